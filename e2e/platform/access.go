package platform

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
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
	git := func(args ...string) error {
		cmd := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...)
		// The password reaches git by its environment, and nothing of this
		// machine's own configuration does.
		login := base64.StdEncoding.EncodeToString([]byte(user + ":" + p.forge.endpoint.Password))
		cmd.Env = append(os.Environ(),
			"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_TERMINAL_PROMPT=0",
			"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=http.extraHeader", "GIT_CONFIG_VALUE_0=Authorization: Basic "+login,
			"GIT_AUTHOR_NAME="+user, "GIT_AUTHOR_EMAIL="+user+"@acme.example",
			"GIT_COMMITTER_NAME="+user, "GIT_COMMITTER_EMAIL="+user+"@acme.example",
		)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("git %s: %w: %.500s", args[0], err, out)
		}
		return nil
	}
	url := p.forge.endpoint.URL + "/" + Organisation + "/" + ShopRepository + ".git"
	if err := git("clone", "--quiet", "--branch", "main", url, "."); err != nil {
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
		if err := git(args...); err != nil {
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
