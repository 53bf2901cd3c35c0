package web

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/seedling-dev/seedling/plugin/forge"
)

const (
	// maxPayload bounds a webhook call; forges cut theirs well below.
	maxPayload = 5 << 20
	// loginFor is how long we believe to be who we were.
	loginFor = 10 * time.Minute
)

// Poker is told where to look. The Reconciler is one.
type Poker interface {
	// Trigger makes a pull request be looked at now. closedAt is when it was
	// closed, if it was: it may be open again when it is looked at.
	Trigger(forgeName, repository string, number int64, closedAt time.Time)
	// Knows says whether that pull request is known to be just so.
	Knows(forgeName, repository string, p forge.PullRequest) bool
}

// Webhooks takes the calls of forges at /webhook/<forge name>.
type Webhooks struct {
	Forges map[string]forge.Forge
	Poker  Poker
	Log    *slog.Logger

	mu     sync.Mutex
	logins map[string]login
}

type login struct {
	name string
	at   time.Time
}

// Register adds the endpoint to an engine.
func (h *Webhooks) Register(e *gin.Engine) {
	e.POST("/webhook/:forge", h.take)
}

func (h *Webhooks) take(c *gin.Context) {
	f := h.Forges[c.Param("forge")]
	if f == nil {
		c.String(http.StatusNotFound, "no such forge")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, maxPayload))
	if err != nil {
		c.String(http.StatusBadRequest, "the payload could not be read, or is too large")
		return
	}
	event, err := f.Event(c.Request.Header, body)
	switch {
	case errors.Is(err, forge.ErrSignature):
		h.Log.WarnContext(c, "a webhook call was refused", "forge", f.Name(), "error", err)
		c.String(http.StatusUnauthorized, "the signature does not match")
		return
	case errors.Is(err, forge.ErrIgnored):
		c.String(http.StatusOK, "nothing to do: no pull-request event")
		return
	case err != nil:
		h.Log.WarnContext(c, "a webhook call could not be read", "forge", f.Name(), "error", err)
		c.String(http.StatusBadRequest, "the payload could not be read")
		return
	}
	// What we did ourselves is no news, unless somebody uses our account.
	if h.ours(c, f, event.Sender) && h.Poker.Knows(f.Name(), event.Repository, event.PullRequest) {
		c.String(http.StatusOK, "nothing to do: our own event")
		return
	}
	h.Poker.Trigger(f.Name(), event.Repository, event.PullRequest.Number, event.ClosedAt)
	c.String(http.StatusAccepted, "looking")
}

// ours says whether the sender is the account that the plugin uses. Where that
// is not known, nobody is.
func (h *Webhooks) ours(ctx context.Context, f forge.Forge, sender string) bool {
	h.mu.Lock()
	l, ok := h.logins[f.Name()]
	h.mu.Unlock()
	if !ok || time.Since(l.at) > loginFor {
		name, err := f.Login(ctx)
		if err != nil {
			h.Log.WarnContext(ctx, "the forge could not be asked who we are", "forge", f.Name(), "error", err)
			name = ""
		}
		l = login{name: name, at: time.Now()}
		h.mu.Lock()
		if h.logins == nil {
			h.logins = map[string]login{}
		}
		h.logins[f.Name()] = l
		h.mu.Unlock()
	}
	return l.name != "" && l.name == sender
}
