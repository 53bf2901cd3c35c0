package forge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// gitlabNote is a comment.
type gitlabNote struct {
	ID     int64       `json:"id"`
	Body   string      `json:"body"`
	System bool        `json:"system"`
	Author *gitlabUser `json:"author"`
}

// OwnComment implements Commenter. https://docs.gitlab.com/api/notes/#merge-requests
func (g *GitLab) OwnComment(ctx context.Context, repository string, number int64, marker string) (Comment, error) {
	fail := func(err error) (Comment, error) {
		return Comment{}, fmt.Errorf("forge %s: look for our comment on %s!%d: %w", g.Name(), repository, number, err)
	}
	login, err := g.Login(ctx)
	if err != nil {
		return fail(err)
	}
	project, err := gitlabProject(repository)
	if err != nil {
		return fail(err)
	}
	var own Comment
	oldest := url.Values{"sort": {"asc"}, "order_by": {"created_at"}}
	err = g.pages(ctx, fmt.Sprintf("%s/merge_requests/%d/notes", project, number), oldest, func(e json.RawMessage) error {
		var n *gitlabNote
		if err := json.Unmarshal(e, &n); err != nil {
			return quiet(err)
		}
		if n == nil || n.ID <= 0 || n.System || n.Author == nil || !strings.EqualFold(n.Author.Username, login) || !marked(n.Body, marker) {
			return nil
		}
		own = Comment{ID: strconv.FormatInt(n.ID, 10), Body: n.Body}
		return errFound
	})
	if err != nil && !errors.Is(err, errFound) {
		return fail(err)
	}
	return own, nil
}

// AddComment implements Commenter.
func (g *GitLab) AddComment(ctx context.Context, repository string, number int64, body string) (string, error) {
	fail := func(err error) (string, error) {
		return "", fmt.Errorf("forge %s: comment on %s!%d: %w", g.Name(), repository, number, err)
	}
	project, err := gitlabProject(repository)
	if err != nil {
		return fail(err)
	}
	res, err := g.ask(ctx, http.MethodPost, fmt.Sprintf("%s/merge_requests/%d/notes", project, number), map[string]string{"body": body})
	if err != nil {
		return fail(err)
	}
	defer res.Body.Close()
	var made gitlabNote
	if err := json.NewDecoder(res.Body).Decode(&made); err != nil {
		return fail(fmt.Errorf("the answer is not as the API says: %w", quiet(err)))
	}
	if made.ID <= 0 {
		return fail(errors.New("the answer names no comment"))
	}
	return strconv.FormatInt(made.ID, 10), nil
}

// EditComment implements Commenter.
func (g *GitLab) EditComment(ctx context.Context, repository string, number int64, id, body string) error {
	fail := func(err error) error {
		return fmt.Errorf("forge %s: edit our comment on %s!%d: %w", g.Name(), repository, number, err)
	}
	project, err := gitlabProject(repository)
	if err != nil {
		return fail(err)
	}
	res, err := g.ask(ctx, http.MethodPut, fmt.Sprintf("%s/merge_requests/%d/notes/%s", project, number, url.PathEscape(id)), map[string]string{"body": body})
	if errors.Is(err, errNotFound) {
		return fail(ErrNoComment)
	} else if err != nil {
		return fail(err)
	}
	return res.Body.Close()
}

// Private implements Commenter. What everybody with an account can read, which
// GitLab calls internal, is not.
func (g *GitLab) Private(ctx context.Context, repository string) (bool, error) {
	fail := func(err error) (bool, error) {
		return false, fmt.Errorf("forge %s: ask who can read %s: %w", g.Name(), repository, err)
	}
	project, err := gitlabProject(repository)
	if err != nil {
		return fail(err)
	}
	var p struct {
		Visibility string `json:"visibility"`
	}
	if err := g.read(ctx, project, &p); err != nil {
		return fail(err)
	}
	if p.Visibility == "" {
		return fail(errors.New("the answer does not say"))
	}
	return p.Visibility == "private", nil
}
