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

// bitbucketDCComment is a comment. Version is that of its text: an edit says
// which one it replaces.
type bitbucketDCComment struct {
	ID      int64            `json:"id"`
	Version int              `json:"version"`
	Text    string           `json:"text"`
	Author  *bitbucketDCUser `json:"author"`
}

// OwnComment implements Commenter. Comments are among the activities, the last
// first.
func (b *BitbucketDC) OwnComment(ctx context.Context, repository string, number int64, marker string) (Comment, error) {
	fail := func(err error) (Comment, error) {
		return Comment{}, fmt.Errorf("forge %s: look for our comment on %s#%d: %w", b.Name(), repository, number, err)
	}
	login, err := b.Login(ctx)
	if err != nil {
		return fail(err)
	}
	path, err := bitbucketDCRepository(repository)
	if err != nil {
		return fail(err)
	}
	var own *bitbucketDCComment
	err = b.pages(ctx, fmt.Sprintf("%s/pull-requests/%d/activities", path, number), nil, func(v json.RawMessage) (bool, error) {
		var a bitbucketDCActivity
		if err := json.Unmarshal(v, &a); err != nil {
			return false, quiet(err)
		}
		c := a.Comment
		if a.Action == "COMMENTED" && a.CommentAction == "ADDED" && c != nil && c.ID > 0 && c.Author != nil &&
			strings.EqualFold(c.Author.Name, login) && marked(c.Text, marker) && (own == nil || c.ID < own.ID) {
			own = c
		}
		return false, nil
	})
	if err != nil {
		return fail(err)
	}
	if own == nil {
		return Comment{}, nil
	}
	return Comment{ID: strconv.FormatInt(own.ID, 10), Body: own.Text}, nil
}

// AddComment implements Commenter.
// https://developer.atlassian.com/server/bitbucket/rest/v906/api-group-pull-requests/#api-api-latest-projects-projectkey-repos-repositoryslug-pull-requests-pullrequestid-comments-post
func (b *BitbucketDC) AddComment(ctx context.Context, repository string, number int64, body string) (string, error) {
	fail := func(err error) (string, error) {
		return "", fmt.Errorf("forge %s: comment on %s#%d: %w", b.Name(), repository, number, err)
	}
	path, err := bitbucketDCRepository(repository)
	if err != nil {
		return fail(err)
	}
	res, err := b.ask(ctx, http.MethodPost, fmt.Sprintf("%s/pull-requests/%d/comments", path, number), map[string]string{"text": body})
	if err != nil {
		return fail(err)
	}
	defer res.Body.Close()
	var made bitbucketDCComment
	if err := decode(res.Body, &made); err != nil {
		return fail(err)
	}
	if made.ID <= 0 {
		return fail(errors.New("the answer names no comment"))
	}
	return strconv.FormatInt(made.ID, 10), nil
}

// EditComment implements Commenter.
func (b *BitbucketDC) EditComment(ctx context.Context, repository string, number int64, id, body string) error {
	fail := func(err error) error {
		return fmt.Errorf("forge %s: edit our comment on %s#%d: %w", b.Name(), repository, number, err)
	}
	path, err := bitbucketDCRepository(repository)
	if err != nil {
		return fail(err)
	}
	path = fmt.Sprintf("%s/pull-requests/%d/comments/%s", path, number, url.PathEscape(id))
	var is bitbucketDCComment
	if err := b.read(ctx, path, &is); errors.Is(err, errNotFound) {
		return fail(ErrNoComment)
	} else if err != nil {
		return fail(err)
	}
	if strconv.FormatInt(is.ID, 10) != id {
		return fail(errors.New("the answer is about another comment"))
	}
	res, err := b.ask(ctx, http.MethodPut, path, map[string]any{"text": body, "version": is.Version})
	if errors.Is(err, errNotFound) {
		return fail(ErrNoComment)
	} else if err != nil {
		return fail(err)
	}
	return res.Body.Close()
}

// Private implements Commenter. Where everybody who may log in has a default
// permission in the project it is not, and neither where nobody tells us.
// https://developer.atlassian.com/server/bitbucket/rest/v906/api-group-project/#api-api-latest-projects-projectkey-permissions-permission-all-get
func (b *BitbucketDC) Private(ctx context.Context, repository string) (bool, error) {
	fail := func(err error) (bool, error) {
		return false, fmt.Errorf("forge %s: ask who can read %s: %w", b.Name(), repository, err)
	}
	path, err := bitbucketDCRepository(repository)
	if err != nil {
		return fail(err)
	}
	var r struct {
		Public  *bool `json:"public"`
		Project struct {
			Key    string `json:"key"`
			Public bool   `json:"public"`
		} `json:"project"`
	}
	if err := b.read(ctx, path, &r); err != nil {
		return fail(err)
	}
	if r.Public == nil || r.Project.Key == "" {
		return fail(errors.New("the answer does not say"))
	}
	if *r.Public || r.Project.Public {
		return false, nil
	}
	var all struct {
		Permitted *bool `json:"permitted"`
	}
	err = b.read(ctx, "/api/latest/projects/"+url.PathEscape(r.Project.Key)+"/permissions/PROJECT_READ/all", &all)
	switch {
	case errors.Is(err, ErrCredential):
		return false, nil
	case err != nil:
		return fail(err)
	case all.Permitted == nil:
		return fail(errors.New("the answer does not say"))
	}
	return !*all.Permitted, nil
}
