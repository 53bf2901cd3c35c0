package platform

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
)

// shopURL is where the shop's repository is cloned from.
func (p *Platform) shopURL() string {
	return p.forge.endpoint.URL + "/" + Organisation + "/" + ShopRepository + ".git"
}

// git runs Git in a folder, as a user of the Git host: for what its API lacks.
func (p *Platform) git(ctx context.Context, user, dir string, args ...string) error {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...)
	// The password reaches git by its environment, and nothing of this machine's
	// own configuration does.
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

// AddSubmodules commits submodules to the pull request's branch, URLs by path, and
// returns the new head.
func (pr *PullRequest) AddSubmodules(ctx context.Context, urls map[string]string) (sha string, err error) {
	fail := func(err error) (string, error) {
		return "", fmt.Errorf("add submodules to branch %s: %w", pr.Branch, err)
	}
	dir, err := os.MkdirTemp("", "seedling-submodules-")
	if err != nil {
		return fail(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	// Which commit does not matter: nobody may ask for it.
	const commit = "1234567890123456789012345678901234567890"
	steps := [][]string{{"clone", "--quiet", "--branch", pr.Branch, pr.platform.shopURL(), "."}}
	for _, path := range slices.Sorted(maps.Keys(urls)) {
		name := "submodule." + path
		steps = append(steps,
			[]string{"config", "--file", ".gitmodules", name + ".path", path},
			[]string{"config", "--file", ".gitmodules", name + ".url", urls[path]},
			[]string{"update-index", "--add", "--cacheinfo", "160000," + commit + "," + path})
	}
	steps = append(steps,
		[]string{"add", ".gitmodules"},
		[]string{"commit", "--quiet", "--message", "Add submodules"},
		[]string{"push", "--quiet", "origin", "HEAD:" + pr.Branch})
	for _, args := range steps {
		if err := pr.platform.git(ctx, Developer, dir, args...); err != nil {
			return fail(err)
		}
	}
	c, err := pr.platform.forge.as(ctx, Developer)
	if err != nil {
		return fail(err)
	}
	head, _, err := c.GetRepoBranch(Organisation, ShopRepository, pr.Branch)
	if err != nil {
		return fail(err)
	}
	return head.Commit.ID, nil
}
