package forge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// The rights that the calls of bitbucket.go need, as an API token's scopes are
// called.
const (
	bitbucketRepositories = "read:repository:bitbucket"
	bitbucketPulls        = "read:pullrequest:bitbucket"
	bitbucketAdmin        = "admin:repository:bitbucket"
	bitbucketStatuses     = "write:repository:bitbucket"
	bitbucketComments     = "write:pullrequest:bitbucket"
)

// Rights implements Righter. Bitbucket does not tell what a token may: calls are
// made that need each right, and change nothing.
func (b *Bitbucket) Rights(ctx context.Context, repository string) ([]Right, error) {
	fail := func(err error) ([]Right, error) {
		return nil, fmt.Errorf("forge %s: ask for the rights in %s: %w", b.Name(), repository, err)
	}
	path, err := bitbucketRepository(repository)
	if err != nil {
		return fail(err)
	}
	permissions, err := bitbucketPermissions(repository)
	if err != nil {
		return fail(err)
	}
	var rights []Right
	for _, call := range []struct{ name, path, click string }{
		{bitbucketRepositories, path, "make another token with it, and let its account see the repository"},
		{bitbucketPulls, path + "/pullrequests?pagelen=1", "make another token with it: no other scope has it in it"},
		{bitbucketAdmin, permissions + "?pagelen=1", "make another token with it, and give its account Admin under Repository settings > Repository permissions"},
	} {
		rights = append(rights, triedRight(call.name, call.click, b.read(ctx, call.path, &struct{}{})))
	}
	const click = "make another token with it"
	return append(rights,
		rights[0].absent(bitbucketStatuses, click, func() (*http.Response, error) {
			return b.ask(ctx, http.MethodPost, path+"/commit/"+strings.Repeat("0", 40)+"/statuses/build",
				map[string]string{"key": "seedling/check", "state": "INPROGRESS", "url": b.URL()})
		}),
		rights[1].absent(bitbucketComments, click, func() (*http.Response, error) {
			return b.ask(ctx, http.MethodPost, path+"/pullrequests/0/comments", bitbucketText("seedling/check"))
		}),
	), nil
}

// absent is a right to write that is tried on what is not there, in a place that the
// right to read shows us: who may write is told that it is not there, and nothing
// changes.
func (read Right) absent(name, click string, write func() (*http.Response, error)) Right {
	res, err := write()
	switch {
	case err == nil:
		res.Body.Close()
		err = errors.New("a call about what is not there was taken")
	case errors.Is(err, errNotFound) && read.Missing == nil && read.Unknown == "":
		err = nil
	}
	return triedRight(name, click, err)
}

// triedRight is a right that a call needed.
func triedRight(name, click string, err error) Right {
	switch {
	case err == nil:
		return Right{Name: name}
	case errors.Is(err, ErrCredential), errors.Is(err, errNotFound):
		return Right{Name: name, Missing: fmt.Errorf("%w: %s", ErrCredential, click)}
	}
	return Right{Name: name, Unknown: err.Error()}
}
