package platform

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"code.gitea.io/sdk/gitea"
)

// SetAccess makes a user, unless there is one, and lets them write to the shop
// or only read it from now on.
func (p *Platform) SetAccess(ctx context.Context, user string, write bool) error {
	f, err := newForge(ctx, p.forge.endpoint) // p's own ended with the installation
	if err != nil {
		return err
	}
	if err := f.user(user); err != nil {
		return err
	}
	mode := gitea.AccessModeRead
	if write {
		mode = gitea.AccessModeWrite
	}
	return f.allow(ShopRepository, user, mode)
}

// PushForReview opens a pull request as somebody who may only read: a push to
// refs/for/main (AGit), for which Gitea asks for no right to write. The commit's
// message is its title.
func (p *Platform) PushForReview(ctx context.Context, user, title string) (*PullRequest, error) {
	fail := func(err error) (*PullRequest, error) {
		return nil, fmt.Errorf("push for review as %s: %w", user, err)
	}
	dir, err := os.MkdirTemp("", "seedling-agit-")
	if err != nil {
		return fail(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := p.git(ctx, user, dir, "clone", "--quiet", "--branch", "main", p.shopURL(), "."); err != nil {
		return fail(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "CHANGES.md"), []byte("# Changes\n\n"+title+"\n"), 0o600); err != nil {
		return fail(err)
	}
	for _, args := range [][]string{
		{"add", "CHANGES.md"},
		{"commit", "--quiet", "--message", title},
		{"push", "--quiet", "origin", "HEAD:refs/for/main/" + strings.ToLower(rand.Text())}, // a topic, which tells it from the user's others
	} {
		if err := p.git(ctx, user, dir, args...); err != nil {
			return fail(err)
		}
	}
	admin, err := p.forge.as(ctx, p.forge.endpoint.User)
	if err != nil {
		return fail(err)
	}
	open, _, err := admin.ListRepoPullRequests(Organisation, ShopRepository, gitea.ListPullRequestsOptions{State: gitea.StateOpen})
	if err != nil {
		return fail(err)
	}
	for _, o := range open { // the newest first
		if o.Title == title && o.Poster != nil && o.Poster.UserName == user {
			return &PullRequest{Number: o.Index, URL: o.HTMLURL, platform: p}, nil
		}
	}
	return fail(errors.New("the push was taken, and there is no pull request of it"))
}

// ReaderToken is a token of [Reader]'s that reads.
func (p *Platform) ReaderToken(ctx context.Context) (string, error) {
	return p.forge.token(ctx, Reader, "", scopeReadRepository, scopeReadUser)
}
