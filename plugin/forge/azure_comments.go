package forge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// OwnComment implements Commenter. A comment is the first one of a thread, and
// known by that.
func (a *Azure) OwnComment(ctx context.Context, repository string, number int64, marker string) (Comment, error) {
	fail := func(err error) (Comment, error) {
		return Comment{}, fmt.Errorf("forge %s: look for our comment on %s#%d: %w", a.Name(), repository, number, err)
	}
	login, err := a.Login(ctx)
	if err != nil {
		return fail(err)
	}
	path, err := azureRepository(repository)
	if err != nil {
		return fail(err)
	}
	threads, err := a.threads(ctx, path, number)
	if err != nil {
		return fail(err)
	}
	var own Comment
	oldest := int64(0)
	for _, t := range threads {
		if t.Deleted || len(t.Comments) == 0 || oldest > 0 && t.ID > oldest {
			continue
		}
		c := t.Comments[0]
		if c.ID == 1 && !c.Deleted && c.Type == "text" && c.Author != nil && c.Author.ID == login && marked(c.Content, marker) {
			oldest, own = t.ID, Comment{ID: strconv.FormatInt(t.ID, 10), Body: c.Content}
		}
	}
	return own, nil
}

// AddComment implements Commenter. Its thread is closed, so that no policy waits
// for somebody to resolve it.
// https://learn.microsoft.com/en-us/rest/api/azure/devops/git/pull-request-threads/create
func (a *Azure) AddComment(ctx context.Context, repository string, number int64, body string) (string, error) {
	fail := func(err error) (string, error) {
		return "", fmt.Errorf("forge %s: comment on %s#%d: %w", a.Name(), repository, number, err)
	}
	path, err := azureRepository(repository)
	if err != nil {
		return fail(err)
	}
	res, err := a.ask(ctx, http.MethodPost, fmt.Sprintf("%s/pullrequests/%d/threads", path, number), azureVersion, nil, map[string]any{
		"status": "closed", "comments": []any{map[string]any{"parentCommentId": 0, "commentType": "text", "content": body}},
	})
	if err != nil {
		return fail(err)
	}
	defer res.Body.Close()
	var made azureThread
	if err := decode(res.Body, &made); err != nil {
		return fail(err)
	}
	if made.ID <= 0 {
		return fail(errors.New("the answer names no comment"))
	}
	return strconv.FormatInt(made.ID, 10), nil
}

// EditComment implements Commenter.
// https://learn.microsoft.com/en-us/rest/api/azure/devops/git/pull-request-thread-comments/update
func (a *Azure) EditComment(ctx context.Context, repository string, number int64, id, body string) error {
	fail := func(err error) error {
		return fmt.Errorf("forge %s: edit our comment on %s#%d: %w", a.Name(), repository, number, err)
	}
	path, err := azureRepository(repository)
	if err != nil {
		return fail(err)
	}
	res, err := a.ask(ctx, http.MethodPatch, fmt.Sprintf("%s/pullrequests/%d/threads/%s/comments/1", path, number, url.PathEscape(id)), azureVersion, nil, map[string]string{"content": body})
	if errors.Is(err, errNotFound) {
		return fail(ErrNoComment)
	} else if err != nil {
		return fail(err)
	}
	return res.Body.Close()
}

// Private implements Commenter.
// https://learn.microsoft.com/en-us/rest/api/azure/devops/core/projects/get
func (a *Azure) Private(ctx context.Context, repository string) (bool, error) {
	fail := func(err error) (bool, error) {
		return false, fmt.Errorf("forge %s: ask who can read %s: %w", a.Name(), repository, err)
	}
	project, _, err := split(repository)
	if err != nil {
		return fail(err)
	}
	var p struct {
		Visibility string `json:"visibility"`
	}
	if err := a.read(ctx, "/_apis/projects/"+url.PathEscape(project), azureVersion, nil, &p); err != nil {
		return fail(err)
	}
	if p.Visibility == "" {
		return fail(errors.New("the answer does not say"))
	}
	return p.Visibility == "private", nil
}
