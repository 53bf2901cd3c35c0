package platform

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/index"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/transport/http"
)

// AddSubmodules commits submodules to the pull request's branch, URLs by path, and
// returns the new head. Gitea's API knows files alone, so it is Git that pushes.
func (pr *PullRequest) AddSubmodules(ctx context.Context, urls map[string]string) (sha string, err error) {
	fail := func(err error) (string, error) {
		return "", fmt.Errorf("add submodules to branch %s: %w", pr.Branch, err)
	}
	dir, err := os.MkdirTemp("", "seedling-clone-")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(dir)
	endpoint := pr.platform.forge.endpoint
	login := &http.BasicAuth{Username: Developer, Password: endpoint.Password}
	branch := plumbing.NewBranchReferenceName(pr.Branch)
	clone, err := git.PlainCloneContext(ctx, dir, false, &git.CloneOptions{
		URL: endpoint.URL + "/" + Organisation + "/" + ShopRepository + ".git", Auth: login, ReferenceName: branch, SingleBranch: true, Depth: 1,
	})
	if err != nil {
		return fail(err)
	}
	head, err := clone.Head()
	if err != nil {
		return fail(err)
	}
	staged, err := clone.Storer.Index()
	if err != nil {
		return fail(err)
	}
	modules := ""
	for _, path := range slices.Sorted(maps.Keys(urls)) {
		modules += fmt.Sprintf("[submodule %q]\n\tpath = %s\n\turl = %s\n", path, path, urls[path])
		// Which commit does not matter: nobody may ask for it.
		staged.Entries = append(staged.Entries, &index.Entry{Hash: head.Hash(), Name: path, Mode: filemode.Submodule})
	}
	if err := clone.Storer.SetIndex(staged); err != nil {
		return fail(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".gitmodules"), []byte(modules), 0o600); err != nil {
		return fail(err)
	}
	tree, err := clone.Worktree()
	if err != nil {
		return fail(err)
	}
	if _, err := tree.Add(".gitmodules"); err != nil {
		return fail(err)
	}
	made, err := tree.Commit("Add submodules", &git.CommitOptions{
		Author: &object.Signature{Name: Developer, Email: Developer + "@acme.example", When: time.Now()},
	})
	if err != nil {
		return fail(err)
	}
	if err := clone.PushContext(ctx, &git.PushOptions{Auth: login}); err != nil {
		return fail(err)
	}
	return made.String(), nil
}
