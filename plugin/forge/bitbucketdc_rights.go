package forge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Rights implements Righter, by calls that need each right and change nothing.
func (b *BitbucketDC) Rights(ctx context.Context, repository string) ([]Right, error) {
	fail := func(err error) ([]Right, error) {
		return nil, fmt.Errorf("forge %s: ask for the rights in %s: %w", b.Name(), repository, err)
	}
	path, err := bitbucketDCRepository(repository)
	if err != nil {
		return fail(err)
	}
	key, slug, err := split(repository)
	if err != nil {
		return fail(err)
	}
	writers := url.Values{"limit": {"1"}, "permission.1": {"REPO_WRITE"}, "permission.1.projectKey": {key}, "permission.1.repositorySlug": {slug}}
	var rights []Right
	for _, call := range []struct{ name, path, click string }{
		{"Repository read", path + "/pull-requests?limit=1", "let the token's user read the repository, under Repository settings > Repository permissions"},
		{"who may write", "/api/latest/users?" + writers.Encode(), "make the token one of a user who may log in: tokens of a repository or a project see no users"},
	} {
		rights = append(rights, triedRight(call.name, call.click, b.read(ctx, call.path, &struct{}{})))
	}
	return append(rights,
		rights[0].absent("comments", "give the token the permission Repository write, under Manage account > HTTP access tokens", func() (*http.Response, error) {
			return b.ask(ctx, http.MethodPost, path+"/pull-requests/0/comments", map[string]string{"text": "seedling/check"})
		}),
		b.builds(ctx, path)), nil
}

// builds tries the right to write builds. A build is taken of any commit, whether
// it is there or not, so it is tried with one that has no key: whoever may write is
// told that it is wrong, and nothing changes.
func (b *BitbucketDC) builds(ctx context.Context, path string) Right {
	const name = "builds"
	res, err := b.askRaw(ctx, http.MethodPost, path+"/commits/"+strings.Repeat("0", 40)+"/builds", strings.NewReader("{}"))
	if err != nil {
		return Right{Name: name, Unknown: err.Error()}
	}
	res.Body.Close()
	if res.StatusCode == http.StatusBadRequest {
		return Right{Name: name}
	}
	return triedRight(name, "give the token the permission Repository read at least, under Manage account > HTTP access tokens",
		cmp.Or(statusError(res.StatusCode), errors.New("a build without a key was taken")))
}
