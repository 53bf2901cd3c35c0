package platform

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"code.gitea.io/sdk/gitea"
	"golang.org/x/sync/errgroup"
)

// Crowd is a public repository with many open, labelled pull requests, none of
// which anybody deploys.
type Crowd struct {
	// Repository is its full name, URL where Argo CD clones it from.
	Repository, URL string

	name     string
	platform *Platform
	numbers  []int64
}

// OpenCrowd makes the repository with that many pull requests. [Developer] opens
// and labels them. One that is there from an earlier run is made anew.
func (p *Platform) OpenCrowd(ctx context.Context, name string, pulls int) (*Crowd, error) {
	fail := func(err error) (*Crowd, error) {
		return nil, fmt.Errorf("open %d pull requests of %s/%s: %w", pulls, Organisation, name, err)
	}
	f, err := newForge(ctx, p.forge.endpoint) // p's own ended with the installation
	if err != nil {
		return fail(err)
	}
	c := &Crowd{Repository: Organisation + "/" + name, URL: p.Cluster.Gitea().InCluster + "/" + Organisation + "/" + name + ".git", name: name, platform: p}
	if _, res, err := f.admin.GetRepo(Organisation, name); err == nil {
		if err := c.Remove(ctx); err != nil {
			return fail(err)
		}
	} else if res == nil || res.StatusCode != http.StatusNotFound {
		return fail(err)
	}
	_, _, err = f.admin.CreateOrgRepo(Organisation, gitea.CreateRepoOption{Name: name, AutoInit: true, DefaultBranch: "main"})
	if err != nil {
		return fail(err)
	}
	for user, mode := range map[string]gitea.AccessMode{Developer: gitea.AccessModeWrite, pluginUser: gitea.AccessModeAdmin} {
		if err := f.allow(name, user, mode); err != nil {
			return fail(err)
		}
	}
	if err := f.label(name, LabelPreview, "#2da44e", "Give this pull request a preview"); err != nil {
		return fail(err)
	}
	if err := c.push(ctx, pulls); err != nil {
		return fail(err)
	}
	if err := c.open(ctx, f, pulls); err != nil {
		return fail(err)
	}
	return c, nil
}

func crowdBranch(i int) string { return fmt.Sprintf("change-%d", i) }

// push makes a branch with a commit for each, in one push.
func (c *Crowd) push(ctx context.Context, pulls int) error {
	dir, err := os.MkdirTemp("", "seedling-crowd-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	git := func(args ...string) error { return c.platform.git(ctx, Developer, dir, args...) }
	commit := func(file, content string) error {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
			return err
		}
		return errors.Join(git("add", file), git("commit", "--quiet", "--message", "Add "+file))
	}
	clone := c.platform.forge.endpoint.URL + "/" + Organisation + "/" + c.name + ".git"
	if err := git("clone", "--quiet", clone, "."); err != nil {
		return err
	}
	// What an Application of it would deploy, if anybody let it.
	err = commit("nothing.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: nothing}\n")
	if err != nil {
		return err
	}
	for i := range pulls {
		if err := git("checkout", "--quiet", "-b", crowdBranch(i), "main"); err != nil {
			return err
		}
		if err := commit(fmt.Sprintf("CHANGE-%d.md", i), "a change\n"); err != nil {
			return err
		}
	}
	return git("push", "--quiet", "--all", "origin")
}

// open opens and labels them.
func (c *Crowd) open(ctx context.Context, f *forge, pulls int) error {
	dev, err := f.as(ctx, Developer)
	if err != nil {
		return err
	}
	labels, _, err := dev.ListRepoLabels(Organisation, c.name, gitea.ListLabelsOptions{})
	if err != nil || len(labels) != 1 {
		return fmt.Errorf("list the repository's labels: %d, %w", len(labels), err)
	}
	var mu sync.Mutex
	var g errgroup.Group
	g.SetLimit(4)
	for i := range pulls {
		g.Go(func() error {
			made, _, err := dev.CreatePullRequest(Organisation, c.name, gitea.CreatePullRequestOption{Head: crowdBranch(i), Base: "main", Title: fmt.Sprintf("Change %d", i)})
			if err != nil {
				return fmt.Errorf("open pull request %d: %w", i, err)
			}
			if _, _, err := dev.AddIssueLabels(Organisation, c.name, made.Index, gitea.IssueLabelsOption{Labels: []int64{labels[0].ID}}); err != nil {
				return fmt.Errorf("label pull request %d: %w", made.Index, err)
			}
			mu.Lock()
			defer mu.Unlock()
			c.numbers = append(c.numbers, made.Index)
			return nil
		})
	}
	return g.Wait()
}

// Close closes every pull request, which ends their previews.
func (c *Crowd) Close(ctx context.Context) error {
	dev, err := c.platform.forge.as(ctx, Developer)
	if err != nil {
		return err
	}
	closed := gitea.StateClosed
	var g errgroup.Group
	g.SetLimit(4)
	for _, n := range c.numbers {
		g.Go(func() error {
			_, _, err := dev.EditPullRequest(Organisation, c.name, n, gitea.EditPullRequestOption{State: &closed})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("close the pull requests of %s: %w", c.Repository, err)
	}
	return nil
}

// Remove removes the repository.
func (c *Crowd) Remove(ctx context.Context) error {
	f, err := newForge(ctx, c.platform.forge.endpoint)
	if err != nil {
		return err
	}
	if _, err := f.admin.DeleteRepo(Organisation, c.name); err != nil {
		return fmt.Errorf("remove repository %s: %w", c.Repository, err)
	}
	return nil
}
