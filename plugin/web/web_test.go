package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"

	"github.com/seedling-dev/seedling/plugin/forge"
	"github.com/seedling-dev/seedling/plugin/preview"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	m.Run()
}

// host is a forge that says what its event is.
type host struct {
	forge.Forge
	event forge.Event
	err   error
	login error
}

func (h *host) Name() string { return "gitea" }

func (h *host) Login(context.Context) (string, error) { return "seedling", h.login }

func (h *host) Event(http.Header, []byte) (forge.Event, error) { return h.event, h.err }

type poker struct {
	triggered []string
	knows     bool
}

func (p *poker) Trigger(forgeName, repository string, number int64, closedAt time.Time) {
	said := fmt.Sprint(forgeName, " ", repository, " ", number)
	if !closedAt.IsZero() {
		said += " closed " + closedAt.Format(time.TimeOnly)
	}
	p.triggered = append(p.triggered, said)
}

func (p *poker) Knows(string, string, forge.PullRequest) bool { return p.knows }

func TestWebhook(t *testing.T) {
	t.Parallel()
	seven := forge.PullRequest{Number: 7}
	label := forge.Event{Repository: "acme/shop", Sender: "maintainer", PullRequest: seven}
	own := forge.Event{Repository: "acme/shop", Sender: "seedling", PullRequest: seven}
	tests := []struct {
		name   string
		host   host
		knows  bool
		path   string
		body   string
		status int
		looks  bool
	}{
		{name: "label", host: host{event: label}, status: 202, looks: true},
		{name: "label known already", host: host{event: label}, knows: true, status: 202, looks: true},
		{name: "our own", host: host{event: own}, knows: true, status: 200},
		{name: "somebody with our account", host: host{event: own}, status: 202, looks: true},
		{name: "we do not know who we are", host: host{event: own, login: errors.New("down")}, knows: true, status: 202, looks: true},
		{name: "wrong signature", host: host{err: forge.ErrSignature}, status: 401},
		{name: "a push", host: host{err: forge.ErrIgnored}, status: 200},
		{name: "odd", host: host{err: errors.New("odd")}, status: 400},
		{name: "unknown forge", path: "/webhook/github", status: 404},
		{name: "too large", host: host{event: label}, body: strings.Repeat("x", maxPayload+1), status: 400},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := &poker{knows: test.knows}
			e := gin.New()
			(&Webhooks{Forges: map[string]forge.Forge{"gitea": &test.host}, Poker: p, Log: slog.New(slog.DiscardHandler)}).Register(e)
			path := test.path
			if path == "" {
				path = "/webhook/gitea"
			}
			w := httptest.NewRecorder()
			e.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, strings.NewReader(test.body)))
			if w.Code != test.status {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			var want []string
			if test.looks {
				want = []string{"gitea acme/shop 7"}
			}
			if diff := cmp.Diff(want, p.triggered); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	var notReady error
	e := gin.New()
	Health{
		Ready: func() error { return notReady },
		Previews: func() []preview.Preview {
			return []preview.Preview{{Seed: "seed", Phase: preview.Live}, {Seed: "seed", Phase: preview.Live}}
		},
		Confirmed: func() map[string]time.Time { return map[string]time.Time{"acme/shop": time.Unix(5, 0), "acme/new": {}} },
	}.Register(e)
	get := func(path string) (int, string) {
		w := httptest.NewRecorder()
		e.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w.Code, w.Body.String()
	}
	if code, _ := get("/readyz"); code != 200 {
		t.Error(code)
	}
	notReady = errors.New("does not lead")
	if code, text := get("/readyz"); code != 503 || text != "does not lead" {
		t.Error(code, text)
	}
	if code, _ := get("/healthz"); code != 200 {
		t.Error("not leading is not unhealthy")
	}
	_, text := get("/metrics")
	for _, want := range []string{
		`seedling_previews{phase="Live",seed="seed"} 2`,
		`seedling_repository_listed_timestamp_seconds{repository="acme/shop"} 5`,
		`seedling_repository_listed_timestamp_seconds{repository="acme/new"} 0`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing", want)
		}
	}
}
