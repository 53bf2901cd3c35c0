package forge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/google/go-github/v89/github"
)

// OwnComment implements Commenter. Comments come the oldest first.
// https://docs.github.com/en/rest/issues/comments?apiVersion=2022-11-28
func (g *GitHub) OwnComment(ctx context.Context, repository string, number int64, marker string) (Comment, error) {
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
	path := fmt.Sprintf("/repos/%s/%s/issues/%d/comments?per_page=%d&page=", url.PathEscape(owner), url.PathEscape(repo), number, githubPage)
	var own Comment
	for page := 1; page <= maxPages; page++ {
		// Not by the SDK, which takes an answer that is empty for a list that is.
		res, err := g.ask(ctx, repository, path+strconv.Itoa(page), "")
		if err != nil {
			return fail(fmt.Errorf("page %d: %w", page, err))
		}
		err = elements(res.Body, func(e json.RawMessage) error {
			var c *github.IssueComment
			if err := json.Unmarshal(e, &c); err != nil {
				return quiet(err)
			}
			if c.GetID() <= 0 || !strings.EqualFold(c.GetUser().GetLogin(), login) || !marked(c.GetBody(), marker) {
				return nil
			}
			own = Comment{ID: strconv.FormatInt(c.GetID(), 10), Body: c.GetBody()}
			return errFound
		})
		end := !more(res)
		res.Body.Close()
		switch {
		case errors.Is(err, errFound):
			return own, nil
		case err != nil:
			return fail(fmt.Errorf("page %d: %w", page, err))
		case end:
			return Comment{}, nil
		}
	}
	return fail(fmt.Errorf("more than %d pages", maxPages))
}

// AddComment implements Commenter.
func (g *GitHub) AddComment(ctx context.Context, repository string, number int64, body string) (string, error) {
	fail := func(err error) (string, error) {
		return "", fmt.Errorf("forge %s: comment on %s#%d: %w", g.Name(), repository, number, err)
	}
	c, owner, repo, err := g.client(ctx, repository)
	if err != nil {
		return fail(err)
	}
	made, res, err := c.Issues.CreateComment(ctx, owner, repo, int(number), &github.IssueComment{Body: &body})
	if err := githubOutcome(res, err); err != nil {
		return fail(err)
	}
	if made.GetID() <= 0 {
		return fail(errors.New("the answer names no comment"))
	}
	return strconv.FormatInt(made.GetID(), 10), nil
}

// EditComment implements Commenter.
func (g *GitHub) EditComment(ctx context.Context, repository string, number int64, id, body string) error {
	fail := func(err error) error {
		return fmt.Errorf("forge %s: edit our comment on %s#%d: %w", g.Name(), repository, number, err)
	}
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return fail(ErrNoComment)
	}
	c, owner, repo, err := g.client(ctx, repository)
	if err != nil {
		return fail(err)
	}
	_, res, err := c.Issues.EditComment(ctx, owner, repo, n, &github.IssueComment{Body: &body})
	if err := githubOutcome(res, err); errors.Is(err, errNotFound) {
		return fail(ErrNoComment)
	} else if err != nil {
		return fail(err)
	}
	return nil
}

// Private implements Commenter. What a whole enterprise can read is private.
func (g *GitHub) Private(ctx context.Context, repository string) (bool, error) {
	fail := func(err error) (bool, error) {
		return false, fmt.Errorf("forge %s: ask who can read %s: %w", g.Name(), repository, err)
	}
	c, owner, repo, err := g.client(ctx, repository)
	if err != nil {
		return fail(err)
	}
	r, res, err := c.Repositories.Get(ctx, owner, repo)
	if err := githubOutcome(res, err); err != nil {
		return fail(err)
	}
	if r == nil || r.Private == nil {
		return fail(errors.New("the answer does not say"))
	}
	// An internal one is called private too, and everybody of the enterprise reads it.
	return *r.Private && (r.Visibility == nil || *r.Visibility == "private"), nil
}
