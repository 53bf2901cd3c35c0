package forge

import (
	"context"
	"errors"
	"strings"
)

// Comment is a comment on a pull request.
type Comment struct {
	// ID is as the forge names it; empty for no comment.
	ID   string
	Body string
}

// ErrNoComment is wrapped where the comment that was to be edited is not there
// any more.
var ErrNoComment = errors.New("the comment is not there any more")

// Commenter is a Forge that comments on pull requests. Every host here is one.
type Commenter interface {
	// OwnComment finds the oldest comment whose author we are and whose last line
	// is the marker; one without an ID where there is none. What somebody else
	// wrote is never found, whatever is in it. That not all could be read is an
	// error.
	OwnComment(ctx context.Context, repository string, number int64, marker string) (Comment, error)
	// AddComment writes one, and returns its ID.
	AddComment(ctx context.Context, repository string, number int64, body string) (id string, err error)
	// EditComment replaces the text of one of ours.
	EditComment(ctx context.Context, repository string, number int64, id, body string) error
	// Private says whether only members can read what is said there. One that
	// everybody with an account can read is not private.
	Private(ctx context.Context, repository string) (bool, error)
}

// errFound ends the reading of comments.
var errFound = errors.New("found")

// marked says whether the last line of a text is the marker. Within a text it is
// something else: somebody is quoted.
func marked(body, marker string) bool {
	body = strings.TrimSpace(body)
	return strings.TrimSpace(body[strings.LastIndexByte(body, '\n')+1:]) == marker
}
