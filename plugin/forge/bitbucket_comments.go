package forge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// bitbucketComment is a comment. One that was deleted stays in lists, without
// its text.
type bitbucketComment struct {
	ID      int64          `json:"id"`
	User    *bitbucketUser `json:"user"`
	Deleted bool           `json:"deleted"`
	Content struct {
		Raw string `json:"raw"`
	} `json:"content"`
}

// OwnComment implements Commenter.
// https://developer.atlassian.com/cloud/bitbucket/rest/api-group-pullrequests/#api-repositories-workspace-repo-slug-pullrequests-pull-request-id-comments-get
func (b *Bitbucket) OwnComment(ctx context.Context, repository string, number int64, marker string) (Comment, error) {
	fail := func(err error) (Comment, error) {
		return Comment{}, fmt.Errorf("forge %s: look for our comment on %s#%d: %w", b.Name(), repository, number, err)
	}
	login, err := b.Login(ctx)
	if err != nil {
		return fail(err)
	}
	path, err := bitbucketRepository(repository)
	if err != nil {
		return fail(err)
	}
	var own Comment
	err = b.pages(ctx, fmt.Sprintf("%s/pullrequests/%d/comments?pagelen=100&sort=created_on", path, number), func(v json.RawMessage) (bool, error) {
		var c *bitbucketComment
		if err := json.Unmarshal(v, &c); err != nil {
			return false, quiet(err)
		}
		if c == nil || c.ID <= 0 || c.Deleted || c.User == nil || c.User.UUID != login || !marked(c.Content.Raw, marker) {
			return false, nil
		}
		own = Comment{ID: strconv.FormatInt(c.ID, 10), Body: c.Content.Raw}
		return true, nil
	})
	if err != nil {
		return fail(err)
	}
	return own, nil
}

// AddComment implements Commenter.
func (b *Bitbucket) AddComment(ctx context.Context, repository string, number int64, body string) (string, error) {
	fail := func(err error) (string, error) {
		return "", fmt.Errorf("forge %s: comment on %s#%d: %w", b.Name(), repository, number, err)
	}
	path, err := bitbucketRepository(repository)
	if err != nil {
		return fail(err)
	}
	res, err := b.ask(ctx, http.MethodPost, fmt.Sprintf("%s/pullrequests/%d/comments", path, number), bitbucketText(body))
	if err != nil {
		return fail(err)
	}
	defer res.Body.Close()
	var made bitbucketComment
	if err := decode(res.Body, &made); err != nil {
		return fail(err)
	}
	if made.ID <= 0 {
		return fail(errors.New("the answer names no comment"))
	}
	return strconv.FormatInt(made.ID, 10), nil
}

// EditComment implements Commenter.
func (b *Bitbucket) EditComment(ctx context.Context, repository string, number int64, id, body string) error {
	fail := func(err error) error {
		return fmt.Errorf("forge %s: edit our comment on %s#%d: %w", b.Name(), repository, number, err)
	}
	path, err := bitbucketRepository(repository)
	if err != nil {
		return fail(err)
	}
	res, err := b.ask(ctx, http.MethodPut, fmt.Sprintf("%s/pullrequests/%d/comments/%s", path, number, url.PathEscape(id)), bitbucketText(body))
	if errors.Is(err, errNotFound) {
		return fail(ErrNoComment)
	} else if err != nil {
		return fail(err)
	}
	return res.Body.Close()
}

func bitbucketText(body string) any {
	return map[string]any{"content": map[string]string{"raw": body}}
}

// Private implements Commenter.
func (b *Bitbucket) Private(ctx context.Context, repository string) (bool, error) {
	fail := func(err error) (bool, error) {
		return false, fmt.Errorf("forge %s: ask who can read %s: %w", b.Name(), repository, err)
	}
	path, err := bitbucketRepository(repository)
	if err != nil {
		return fail(err)
	}
	var r struct {
		Private *bool `json:"is_private"`
	}
	if err := b.read(ctx, path, &r); err != nil {
		return fail(err)
	}
	if r.Private == nil {
		return fail(errors.New("the answer does not say"))
	}
	return *r.Private, nil
}
