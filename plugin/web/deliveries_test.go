package web

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/seedling-dev/seedling/plugin/forge"
)

// A delivery that comes again is not looked at; one that was refused, or is only
// like another one, is.
func TestDeliveryThatComesAgain(t *testing.T) {
	t.Parallel()
	h := &host{event: forge.Event{Repository: "acme/shop", Sender: "maintainer", PullRequest: forge.PullRequest{Number: 7}}}
	p, now := &fakePoker{}, time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	hooks := &Webhooks{Forges: map[string]forge.Forge{"gitea": h}, Poker: p, Log: slog.New(slog.DiscardHandler)}
	e := gin.New()
	hooks.Register(e)
	hooks.taken.now = func() time.Time { return now }
	send := func(number, body string) int {
		r := httptest.NewRequest(http.MethodPost, "/webhook/gitea", strings.NewReader(body))
		r.Header.Set("X-Gitea-Signature", "00")
		h.event.Delivery = number
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		return w.Code
	}
	for _, step := range []struct {
		name, number, body string
		after              time.Duration
		err                error
		status             int
		looks              bool
	}{
		{name: "refused at first", number: "1", body: "a", err: forge.ErrSignature, status: 401},
		{name: "and then taken", number: "1", body: "a", status: 202, looks: true},
		{name: "again", number: "1", body: "a", status: 200},
		{name: "another with the same content within the second", number: "2", body: "a", status: 202, looks: true},
		{name: "another content", number: "3", body: "b", status: 202, looks: true},
		{name: "again days later", number: "1", body: "a", after: 72 * time.Hour, status: 200},
		{name: "again with a new number, as Gitea gives", number: "4", body: "a", status: 200},
		{name: "again without one", body: "b", status: 200},
		{name: "the clock was set back", number: "5", body: "a", after: -96 * time.Hour, status: 200},
	} {
		now, h.err = now.Add(step.after), step.err
		before := len(p.triggered)
		if code := send(step.number, step.body); code != step.status || (len(p.triggered) > before) != step.looks {
			t.Errorf("%s: %d, looked at: %v", step.name, code, len(p.triggered) > before)
		}
	}
	if a, r := hooks.calls.again.Load(), hooks.calls.refused.Load(); a != 5 || r != 1 {
		t.Errorf("counted %d again, %d refused", a, r)
	}
	// However many come, no more are remembered than there is room for.
	for i := range 2 * deliveriesKept {
		send(strings.Repeat("x", 1000), fmt.Sprint("body ", i))
	}
	if n := hooks.taken.kept.Len(); n != deliveriesKept {
		t.Errorf("%d are remembered", n)
	}
}
