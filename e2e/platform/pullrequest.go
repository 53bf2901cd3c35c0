package platform

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"code.gitea.io/sdk/gitea"
)

// The labels that people put on pull requests.
const (
	LabelPreview = "preview"
	LabelReset   = "preview-reset"
	// LabelPlatform asks for a preview of the folder that brings no Postgres.
	LabelPlatform = "preview-platform"
)

// StatusContext is the commit status in which the plugin speaks to people about
// a pull request.
func (pr *PullRequest) StatusContext() string { return fmt.Sprintf("seedling/previews/%d", pr.Number) }

// PullRequest is a pull request of the shop, and what people do with it.
// Everything is done as [Developer].
type PullRequest struct {
	Number int64
	Branch string
	URL    string

	platform *Platform
}

// Change is what a pull request changes: files by path in the repository.
type Change map[string]string

// Removed as a file's content removes the file.
const Removed = "\x00removed"

// OpenPullRequest opens a pull request of a new branch with one commit. A nil
// change is a harmless one. One that is open already for that branch is
// returned with the change pushed.
func (p *Platform) OpenPullRequest(ctx context.Context, branch, title string, c Change) (*PullRequest, error) {
	if c == nil {
		c = Change{"CHANGES.md": "# Changes\n\n" + title + "\n"}
	}
	pr := &PullRequest{Branch: branch, platform: p}
	if _, err := pr.Push(ctx, title, c); err != nil {
		return nil, err
	}
	dev, err := p.forge.as(ctx, Developer)
	if err != nil {
		return nil, err
	}
	open, _, err := dev.ListRepoPullRequests(Organisation, ShopRepository, gitea.ListPullRequestsOptions{State: gitea.StateOpen})
	if err != nil {
		return nil, fmt.Errorf("list pull requests: %w", err)
	}
	for _, o := range open {
		if o.Head != nil && o.Head.Ref == branch {
			pr.Number, pr.URL = o.Index, o.HTMLURL
			return pr, nil
		}
	}
	made, _, err := dev.CreatePullRequest(Organisation, ShopRepository, gitea.CreatePullRequestOption{
		Head: branch, Base: "main", Title: title,
	})
	if err != nil {
		return nil, fmt.Errorf("open a pull request of branch %s: %w", branch, err)
	}
	pr.Number, pr.URL = made.Index, made.HTMLURL
	return pr, nil
}

// Push commits to the pull request's branch and returns the new head.
func (pr *PullRequest) Push(ctx context.Context, message string, c Change) (sha string, err error) {
	files := make(map[string][]byte, len(c))
	for path, content := range c {
		files[path] = []byte(content)
		if content == Removed {
			files[path] = nil
		}
	}
	return pr.platform.forge.commit(ctx, Developer, ShopRepository, pr.Branch, message, files)
}

// Label puts a label on the pull request.
func (pr *PullRequest) Label(ctx context.Context, name string) error {
	return pr.LabelAs(ctx, Developer, name)
}

// LabelAs puts a label on it as the given user.
func (pr *PullRequest) LabelAs(ctx context.Context, user, name string) error {
	c, id, err := pr.labelID(ctx, user, name)
	if err != nil {
		return err
	}
	if _, _, err := c.AddIssueLabels(Organisation, ShopRepository, pr.Number, gitea.IssueLabelsOption{Labels: []int64{id}}); err != nil {
		return fmt.Errorf("label pull request %d %q: %w", pr.Number, name, err)
	}
	return nil
}

// Unlabel takes a label off the pull request.
func (pr *PullRequest) Unlabel(ctx context.Context, name string) error {
	c, id, err := pr.labelID(ctx, Developer, name)
	if err != nil {
		return err
	}
	if _, err := c.DeleteIssueLabel(Organisation, ShopRepository, pr.Number, id); err != nil {
		return fmt.Errorf("take label %q off pull request %d: %w", name, pr.Number, err)
	}
	return nil
}

// Labels are those that the pull request carries.
func (pr *PullRequest) Labels(ctx context.Context) ([]string, error) {
	c, err := pr.platform.forge.as(ctx, Developer)
	if err != nil {
		return nil, err
	}
	labels, _, err := c.GetIssueLabels(Organisation, ShopRepository, pr.Number, gitea.ListLabelsOptions{})
	if err != nil {
		return nil, fmt.Errorf("list labels of pull request %d: %w", pr.Number, err)
	}
	var names []string
	for _, l := range labels {
		names = append(names, l.Name)
	}
	return names, nil
}

func (pr *PullRequest) labelID(ctx context.Context, user, name string) (*gitea.Client, int64, error) {
	c, err := pr.platform.forge.as(ctx, user)
	if err != nil {
		return nil, 0, err
	}
	labels, _, err := c.ListRepoLabels(Organisation, ShopRepository, gitea.ListLabelsOptions{})
	if err != nil {
		return nil, 0, fmt.Errorf("list the repository's labels: %w", err)
	}
	i := slices.IndexFunc(labels, func(l *gitea.Label) bool { return l.Name == name })
	if i < 0 {
		return nil, 0, fmt.Errorf("the repository has no label %q", name)
	}
	return c, labels[i].ID, nil
}

// Close closes the pull request without merging it.
func (pr *PullRequest) Close(ctx context.Context) error { return pr.state(ctx, gitea.StateClosed) }

// Reopen opens it again.
func (pr *PullRequest) Reopen(ctx context.Context) error { return pr.state(ctx, gitea.StateOpen) }

func (pr *PullRequest) state(ctx context.Context, s gitea.StateType) error {
	c, err := pr.platform.forge.as(ctx, Developer)
	if err != nil {
		return err
	}
	if _, _, err := c.EditPullRequest(Organisation, ShopRepository, pr.Number, gitea.EditPullRequestOption{State: &s}); err != nil {
		return fmt.Errorf("make pull request %d %s: %w", pr.Number, s, err)
	}
	return nil
}

// Status is the newest commit status of the given context on the pull
// request's head; nil if there is none.
func (pr *PullRequest) Status(ctx context.Context, context string) (*gitea.Status, error) {
	c, err := pr.platform.forge.as(ctx, Developer)
	if err != nil {
		return nil, err
	}
	now, _, err := c.GetPullRequest(Organisation, ShopRepository, pr.Number)
	if err != nil {
		return nil, fmt.Errorf("get pull request %d: %w", pr.Number, err)
	}
	all, _, err := c.ListStatuses(Organisation, ShopRepository, now.Head.Sha, gitea.ListStatusesOption{})
	if err != nil {
		return nil, fmt.Errorf("list statuses of pull request %d: %w", pr.Number, err)
	}
	for _, s := range all { // newest first
		if s.Context == context {
			return s, nil
		}
	}
	return nil, nil
}

// CloseAll closes every open pull request whose branch has the prefix, and
// returns the namespaces of their previews.
func (p *Platform) CloseAll(ctx context.Context, prefix string) (namespaces []string, err error) {
	var open []*gitea.PullRequest
	for page := 1; page > 0; {
		more, response, err := p.forge.admin.ListRepoPullRequests(Organisation, ShopRepository, gitea.ListPullRequestsOptions{
			State: gitea.StateOpen, ListOptions: gitea.ListOptions{Page: page, PageSize: 50},
		})
		if err != nil {
			return nil, fmt.Errorf("list pull requests: %w", err)
		}
		open, page = append(open, more...), response.NextPage
	}
	for _, o := range open {
		if o.Head == nil || !strings.HasPrefix(o.Head.Ref, prefix) {
			continue
		}
		pr := &PullRequest{Number: o.Index, Branch: o.Head.Ref, platform: p}
		if err := pr.Close(ctx); err != nil {
			return nil, err
		}
		v, ok, err := p.FindPreview(ctx, o.Index)
		if err != nil {
			return nil, err
		}
		if ok {
			namespaces = append(namespaces, v.Namespace)
		}
	}
	return namespaces, nil
}

// Said are the plugin's comments on the pull request, the oldest first.
func (pr *PullRequest) Said(ctx context.Context) ([]*gitea.Comment, error) {
	c, err := pr.platform.forge.as(ctx, Developer)
	if err != nil {
		return nil, err
	}
	all, _, err := c.ListIssueComments(Organisation, ShopRepository, pr.Number, gitea.ListIssueCommentOptions{})
	if err != nil {
		return nil, fmt.Errorf("list comments of pull request %d: %w", pr.Number, err)
	}
	return slices.DeleteFunc(all, func(c *gitea.Comment) bool { return c.Poster == nil || c.Poster.UserName != pluginUser }), nil
}

// Rendered is the HTML that the Git host makes of a comment.
func (p *Platform) Rendered(ctx context.Context, markdown string) (string, error) {
	html, err := p.forge.send(ctx, Developer, "/api/v1/markdown",
		map[string]string{"Text": markdown, "Mode": "gfm", "Context": Organisation + "/" + ShopRepository})
	if err != nil {
		return "", fmt.Errorf("have a comment rendered: %w", err)
	}
	return string(html), nil
}
