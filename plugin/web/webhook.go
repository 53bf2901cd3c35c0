package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/seedling-dev/seedling/plugin/flood"
	"github.com/seedling-dev/seedling/plugin/forge"
)

const (
	// maxPayload bounds a webhook call; forges cut theirs well below.
	maxPayload = 1 << 20
	// maxReaders is how many calls are read at once, each for at most
	// readTimeout. There is no bound for one address: behind an Ingress all calls
	// come from one.
	maxReaders  = 8
	readTimeout = 5 * time.Second
	// turnTimeout is how long a call waits for its turn to be read.
	turnTimeout = 2 * time.Second
	// loginFor is how long we believe to be who we were.
	loginFor = 10 * time.Minute
)

// Poker is told where to look. The Reconciler is one.
type Poker interface {
	// Trigger makes a pull request be looked at now. closedAt is when it was
	// closed, if it was: it may be open again when it is looked at.
	Trigger(forgeName, repository string, number int64, closedAt time.Time)
	// Grant is told that somebody approved a commit, by a call whose signature
	// covers that.
	Grant(forgeName, repository string, g forge.Grant)
	// Knows says whether that pull request is known to be just so.
	Knows(forgeName, repository string, p forge.PullRequest) bool
}

// Webhooks takes the calls of forges at /webhook/<forge name>.
type Webhooks struct {
	Forges map[string]forge.Forge
	Poker  Poker
	Log    *slog.Logger

	// turns bounds how many calls are read at once, buffers are what they are read
	// into.
	turns   chan struct{}
	buffers sync.Pool
	taken   *deliveries
	calls   deliveryCounts

	mu     sync.Mutex
	logins map[string]login
}

type deliveryCounts struct {
	taken, again, refused atomic.Uint64
	waiting               atomic.Int64
}

// WebhookCalls are how many calls there were since the start: those that were
// taken, those that came again, and those that were refused or turned away.
// Waiting are those that wait to be read now, or are read.
type WebhookCalls struct {
	Taken, Again, Refused uint64
	Waiting               int64
}

// Calls says how many calls there were.
func (h *Webhooks) Calls() WebhookCalls {
	return WebhookCalls{
		Taken: h.calls.taken.Load(), Again: h.calls.again.Load(), Refused: h.calls.refused.Load(), Waiting: h.calls.waiting.Load(),
	}
}

type login struct {
	name string
	at   time.Time
}

// Register adds the endpoint to an engine.
func (h *Webhooks) Register(e *gin.Engine) {
	h.turns = make(chan struct{}, maxReaders)
	h.buffers.New = func() any { return &bytes.Buffer{} }
	h.Log = flood.Sampled(h.Log)
	h.taken = newDeliveries()
	e.POST("/webhook/:forge", h.take)
}

func (h *Webhooks) take(c *gin.Context) {
	defer func() {
		if c.Writer.Status() >= http.StatusBadRequest {
			h.calls.refused.Add(1)
		}
	}()
	f := h.Forges[c.Param("forge")]
	if f == nil {
		c.String(http.StatusNotFound, "no such forge")
		return
	}
	// Who signs nothing, or sends too much, costs no memory.
	switch {
	case !f.Signed(c.Request.Header):
		h.Log.WarnContext(c, "a webhook call was refused: it is not signed", "forge", f.Name(), "from", flood.Host(c.Request.RemoteAddr))
		turnAway(c, http.StatusUnauthorized, "the call carries no signature")
		return
	case c.Request.ContentLength > maxPayload:
		h.Log.WarnContext(c, "a webhook call was refused: it is too large", "forge", f.Name(), "bytes", c.Request.ContentLength)
		turnAway(c, http.StatusRequestEntityTooLarge, "the payload is larger than 1 MiB")
		return
	}
	event, content, err := h.read(c, f)
	switch {
	case errors.Is(err, forge.ErrSignature):
		h.Log.WarnContext(c, "a webhook call was refused", "forge", f.Name(), "error", err)
		c.String(http.StatusUnauthorized, "the signature does not match")
		return
	case errors.Is(err, forge.ErrIgnored):
		c.String(http.StatusOK, "nothing to do: no pull-request event")
		return
	case errors.Is(err, errBusy):
		h.Log.WarnContext(c, "a webhook call was turned away", "forge", f.Name(), "error", err)
		turnAway(c, http.StatusServiceUnavailable, "too many calls at once")
		return
	case errors.Is(err, errBroken):
		h.Log.WarnContext(c, "a webhook call was turned away", "forge", f.Name(), "error", err)
		turnAway(c, http.StatusBadRequest, "the payload did not come, or is too large")
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
	// Not before it is known to be genuine, and can be acted upon.
	if h.taken.again(content, event.Delivery) {
		h.calls.again.Add(1)
		c.String(http.StatusOK, "nothing to do: this delivery was taken before")
		return
	}
	h.calls.taken.Add(1)
	if event.Grant != nil {
		h.Poker.Grant(f.Name(), event.Repository, *event.Grant)
	}
	h.Poker.Trigger(f.Name(), event.Repository, event.PullRequest.Number, event.ClosedAt)
	c.String(http.StatusAccepted, "looking")
}

var (
	errBusy   = errors.New("too many calls at once")
	errBroken = errors.New("the payload did not come")
)

// read reads a call when it is its turn. What it is read into is used again and
// again while calls come, and given back when none does.
func (h *Webhooks) read(c *gin.Context, f forge.Forge) (event forge.Event, content [sha256.Size]byte, err error) {
	h.calls.waiting.Add(1)
	defer h.calls.waiting.Add(-1)
	wait := time.NewTimer(turnTimeout)
	defer wait.Stop()
	select {
	case h.turns <- struct{}{}:
		defer func() { <-h.turns }()
	case <-wait.C:
		return event, content, errBusy
	case <-c.Request.Context().Done():
		return event, content, fmt.Errorf("%w: %w", errBusy, c.Request.Context().Err())
	}
	body, _ := h.buffers.Get().(*bytes.Buffer) // there is nothing else in it
	defer h.buffers.Put(body)
	body.Reset()
	size := int64(maxPayload) // of one that does not say it
	if c.Request.ContentLength >= 0 {
		size = c.Request.ContentLength
	}
	body.Grow(int(size) + bytes.MinRead)
	// Where no deadline can be set (in a test) the server's own must do.
	_ = http.NewResponseController(c.Writer).SetReadDeadline(time.Now().Add(readTimeout))
	if _, err := body.ReadFrom(http.MaxBytesReader(c.Writer, c.Request.Body, maxPayload)); err != nil {
		return event, content, fmt.Errorf("%w: %w", errBroken, err)
	}
	event, err = f.Event(c.Request.Header, body.Bytes())
	return event, contentOf(f.Name(), body.Bytes()), err
}

// turnAway refuses a call and ends its connection.
func turnAway(c *gin.Context, status int, text string) {
	c.Header("Connection", "close")
	c.String(status, text)
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
