package forge

import (
	"context"
	"fmt"
	"net/url"
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
	return append(rights, Right{Name: "comments and builds", Unknown: "nothing but one of them tells whether it may be written"}), nil
}
