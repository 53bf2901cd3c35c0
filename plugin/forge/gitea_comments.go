package forge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"code.gitea.io/sdk/gitea"
)

// OwnComment implements Commenter. Gitea lists all comments in one answer, the
// oldest first.
func (g *Gitea) OwnComment(ctx context.Context, repository string, number int64, marker string) (Comment, error) {
	fail := func(err error) (Comment, error) {
		return Comment{}, fmt.Errorf("forge %s: look for our comment on %s#%d: %w", g.Name(), repository, number, err)
	}
	login, err := g.Login(ctx)
	if err != nil {
		return fail(err)
	}
	owner, repo, err := split(repository)
	if err != nil {
		return fail(err)
	}
	res, err := g.ask(ctx, fmt.Sprintf("/repos/%s/%s/issues/%d/comments", url.PathEscape(owner), url.PathEscape(repo), number))
	if err != nil {
		return fail(err)
	}
	defer res.Body.Close()
	var own Comment
	err = elements(res.Body, func(e json.RawMessage) error {
		var c *struct {
			ID   int64  `json:"id"`
			Body string `json:"body"`
			User *struct {
				Login string `json:"login"`
			} `json:"user"`
		}
		if err := json.Unmarshal(e, &c); err != nil {
			return quiet(err)
		}
		if c == nil || c.ID <= 0 || c.User == nil || !strings.EqualFold(c.User.Login, login) || !marked(c.Body, marker) {
			return nil
		}
		own = Comment{ID: strconv.FormatInt(c.ID, 10), Body: c.Body}
		return errFound
	})
	if err != nil && !errors.Is(err, errFound) {
		return fail(err)
	}
	return own, nil
}

// AddComment implements Commenter.
func (g *Gitea) AddComment(ctx context.Context, repository string, number int64, body string) (string, error) {
	fail := func(err error) (string, error) {
		return "", fmt.Errorf("forge %s: comment on %s#%d: %w", g.Name(), repository, number, err)
	}
	owner, repo, err := split(repository)
	if err != nil {
		return fail(err)
	}
	c, err := g.client(ctx)
	if err != nil {
		return fail(err)
	}
	made, res, err := c.CreateIssueComment(owner, repo, number, gitea.CreateIssueCommentOption{Body: body})
	if err := failed(res, err); err != nil {
		return fail(err)
	}
	if made == nil || made.ID <= 0 {
		return fail(errors.New("the answer names no comment"))
	}
	return strconv.FormatInt(made.ID, 10), nil
}

// EditComment implements Commenter.
func (g *Gitea) EditComment(ctx context.Context, repository string, number int64, id, body string) error {
	fail := func(err error) error {
		return fmt.Errorf("forge %s: edit our comment on %s#%d: %w", g.Name(), repository, number, err)
	}
	owner, repo, err := split(repository)
	if err != nil {
		return fail(err)
	}
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return fail(ErrNoComment)
	}
	c, err := g.client(ctx)
	if err != nil {
		return fail(err)
	}
	_, res, err := c.EditIssueComment(owner, repo, n, gitea.EditIssueCommentOption{Body: body})
	if err := failed(res, err); errors.Is(err, errNotFound) {
		return fail(ErrNoComment)
	} else if err != nil {
		return fail(err)
	}
	return nil
}

// Private implements Commenter.
func (g *Gitea) Private(ctx context.Context, repository string) (bool, error) {
	fail := func(err error) (bool, error) {
		return false, fmt.Errorf("forge %s: ask who can read %s: %w", g.Name(), repository, err)
	}
	owner, repo, err := split(repository)
	if err != nil {
		return fail(err)
	}
	var r struct {
		Private *bool `json:"private"`
	}
	if err := g.read(ctx, "/repos/"+url.PathEscape(owner)+"/"+url.PathEscape(repo), &r); err != nil {
		return fail(err)
	}
	if r.Private == nil {
		return fail(errors.New("the answer does not say"))
	}
	return *r.Private, nil
}
