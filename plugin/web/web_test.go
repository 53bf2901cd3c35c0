package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"

	"github.com/seedling-dev/seedling/plugin/forge"
	"github.com/seedling-dev/seedling/plugin/preview"
	"github.com/seedling-dev/seedling/plugin/queue"
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

func (h *host) Signed(header http.Header) bool { return header.Get("X-Gitea-Signature") != "" }

func (h *host) Event(http.Header, []byte) (forge.Event, error) { return h.event, h.err }

type fakePoker struct {
	triggered []string
	knows     bool
}

func (p *fakePoker) Trigger(forgeName, repository string, number int64, closedAt time.Time) {
	said := fmt.Sprint(forgeName, " ", repository, " ", number)
	if !closedAt.IsZero() {
		said += " closed " + closedAt.Format(time.TimeOnly)
	}
	p.triggered = append(p.triggered, said)
}

func (p *fakePoker) Grant(forgeName, repository string, g forge.Grant) {
	p.triggered = append(p.triggered, fmt.Sprint("grant ", forgeName, " ", repository, " ", g.Number, " ", g.HeadSHA, " by ", g.By))
}

func (p *fakePoker) Knows(string, string, forge.PullRequest) bool { return p.knows }

func TestWebhook(t *testing.T) {
	t.Parallel()
	seven := forge.PullRequest{Number: 7}
	label := forge.Event{Repository: "acme/shop", Sender: "maintainer", PullRequest: seven}
	own := forge.Event{Repository: "acme/shop", Sender: "seedling", PullRequest: seven}
	tests := []struct {
		name  string
		host  host
		knows bool
		path  string
		body  string
		// unsigned calls carry no signature at all.
		unsigned bool
		status   int
		looks    bool
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
		{name: "too large", host: host{event: label}, body: strings.Repeat("x", maxPayload+1), status: 413},
		{name: "not signed", host: host{event: label}, unsigned: true, status: 401},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := &fakePoker{knows: test.knows}
			e := gin.New()
			(&Webhooks{Forges: map[string]forge.Forge{"gitea": &test.host}, Poker: p, Log: slog.New(slog.DiscardHandler)}).Register(e)
			path := test.path
			if path == "" {
				path = "/webhook/gitea"
			}
			w := httptest.NewRecorder()
			r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(test.body))
			if !test.unsigned {
				r.Header.Set("X-Gitea-Signature", "00")
			}
			e.ServeHTTP(w, r)
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

// untouched is a body that nobody may read.
type untouched struct{ t *testing.T }

func (u untouched) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

func TestBodyIsNotReadBeforeTheSignatureIsThere(t *testing.T) {
	t.Parallel()
	e := gin.New()
	(&Webhooks{Forges: map[string]forge.Forge{"gitea": &host{}}, Poker: &fakePoker{}, Log: slog.New(slog.DiscardHandler)}).Register(e)
	for name, edit := range map[string]func(*http.Request){
		"unsigned": func(*http.Request) {},
		"large": func(r *http.Request) {
			r.Header.Set("X-Gitea-Signature", "00")
			r.ContentLength = maxPayload + 1
		},
	} {
		r := httptest.NewRequest(http.MethodPost, "/webhook/gitea", untouched{t})
		edit(r)
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		if w.Header().Get("Connection") != "close" || w.Code < 400 {
			t.Errorf("%s: %d, connection %q", name, w.Code, w.Header().Get("Connection"))
		}
	}
}

// slow is a body that comes when it is told to.
type slow struct{ come, begun chan struct{} }

func (s slow) Read([]byte) (int, error) {
	s.begun <- struct{}{}
	<-s.come
	return 0, io.EOF
}

// Bodies that do not come keep the seats of those that do for a while only, and
// no more are read at once than there are seats.
func TestSlowBodies(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := gin.New()
		(&Webhooks{Forges: map[string]forge.Forge{"gitea": &host{err: forge.ErrSignature}}, Poker: &fakePoker{}, Log: slog.New(slog.DiscardHandler)}).Register(e)
		s := slow{make(chan struct{}), make(chan struct{}, 100)}
		codes := make(chan int, 100)
		for range 100 {
			go func() {
				r := httptest.NewRequest(http.MethodPost, "/webhook/gitea", s)
				r.Header.Set("X-Gitea-Signature", "00")
				w := httptest.NewRecorder()
				e.ServeHTTP(w, r)
				codes <- w.Code
			}()
		}
		for range 100 - maxReaders {
			if code := <-codes; code != http.StatusServiceUnavailable {
				t.Errorf("%d", code)
			}
		}
		if len(s.begun) != maxReaders {
			t.Errorf("%d bodies are read at once", len(s.begun))
		}
		close(s.come)
		for range maxReaders {
			if code := <-codes; code != http.StatusUnauthorized {
				t.Errorf("%d", code)
			}
		}
	})
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
		Status: func() preview.Status {
			return preview.Status{
				Repositories: []preview.RepositoryStatus{
					{Forge: "gitea", Repository: "acme/shop", Listed: time.Unix(5, 0)},
					{Forge: "gitea", Repository: "acme/new", Problem: errors.New("the repository was moved")},
				},
				Queues:       map[string]queue.Stats{"gitea": {Waiting: [3]int{0, 7, 0}}},
				Withheld:     map[string]preview.Withheld{"previews": {Previews: 4, Sentence: "4 of 4 would end"}},
				OldestEnding: time.Minute,
			}
		},
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
		`seedling_repository_listed_timestamp_seconds{forge="gitea",repository="acme/shop"} 5`,
		`seedling_repository_listed_timestamp_seconds{forge="gitea",repository="acme/new"} 0`,
		`seedling_repository_problem{forge="gitea",repository="acme/new"} 1`,
		`seedling_queue_waiting{class="normal",queue="forge gitea"} 7`,
		`seedling_guard_withheld_previews{applicationset="previews"} 4`,
		`seedling_oldest_ending_seconds 60`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing", want)
		}
	}
	_, text = get("/status")
	for _, want := range []string{"previews: 2 live", "WITHHELD: 4 of 4 would end", "acme/new: never listed; PROBLEM: the repository was moved"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in %s", want, text)
		}
	}
}
