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
	// There is no such commit.
	res, err := b.ask(ctx, http.MethodPost, path+"/commit/"+strings.Repeat("0", 40)+"/statuses/build",
		map[string]string{"key": "seedling/check", "state": "INPROGRESS", "url": b.URL()})
	switch {
	case err == nil:
		res.Body.Close()
		err = errors.New("a status was set on a commit that is not there")
	case errors.Is(err, errNotFound) && rights[0].Missing == nil && rights[0].Unknown == "":
		err = nil
	}
	return append(rights,
		triedRight(bitbucketStatuses, "make another token with it", err),
		Right{Name: bitbucketComments, Unknown: "nothing but a comment tells whether it is there"}), nil
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
