package forgetest

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seedling-dev/seedling/plugin/forge"
)

func TestBitbucketDCPolls(t *testing.T) {
	t.Parallel()
	w := thousand()
	f := open(t, BitbucketDC(), w)
	for range 2 {
		// The last entry of each page is asked for again as the first of the next.
		if list, calls := poll(t, w, f, forge.Approved); len(list.PullRequests) != 1000 || list.Filtered || calls != 11 {
			t.Errorf("%d listed by %d calls", len(list.PullRequests), calls)
		}
	}
	w.Change(func() {
		w.Fault = func(rw http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, "/pull-requests") {
				return false
			}
			pull := bitbucketDCPull(w.Pulls[1])
			delete(pull, "reviewers")
			delete(pull, "participants")
			answer(rw, 200, map[string]any{"isLastPage": true, "values": []any{pull}})
			return true
		}
	})
	if list, err := read(t.Context(), f.List(Repository, forge.Query{})); err == nil {
		t.Errorf("without approvals: %d listed", len(list.PullRequests))
	}
}

// Whatever changes between two pages, what was open all the while is listed, and
// once. Nothing counts these lists.
func TestPagesThatMove(t *testing.T) {
	t.Parallel()
	k := BitbucketDC()
	for name, change := range map[string]func(w *World){
		"one of the first page is closed": func(w *World) { w.Pulls[3].Closed = true },
		"its last one is closed":          func(w *World) { w.Pulls[50].Closed = true },
		"the first of the next is closed": func(w *World) { w.Pulls[51].Closed = true },
		"one is closed, another opened": func(w *World) {
			w.Pulls[3].Closed, w.Pulls[300] = true, &Pull{Number: 300, HeadRepository: Repository, Updated: Start}
		},
		"one is opened again": func(w *World) { w.Pulls[2].Closed = false },
		"many are closed": func(w *World) {
			for n := int64(1); n < 60; n++ {
				w.Pulls[n].Closed = true
			}
		},
	} {
		for at := 2; at <= 3; at++ {
			w := newWorld(160)
			w.Pulls[2].Closed = true
			calls := 0
			w.Fault = func(_ http.ResponseWriter, r *http.Request) bool {
				if k.lists(r) {
					if calls++; calls == at {
						change(w)
					}
				}
				return false
			}
			list, err := read(t.Context(), open(t, k, w).List(Repository, forge.Query{}))
			if err != nil {
				t.Errorf("%s before call %d: %v", name, at, err)
				continue
			}
			got := numbers(list.PullRequests)
			for _, p := range w.Open() {
				if p.Number != 2 && !slices.Contains(got, p.Number) {
					t.Errorf("%s before call %d: %d is missing", name, at, p.Number)
				}
			}
			if len(slices.Compact(got)) != len(list.PullRequests) {
				t.Errorf("%s before call %d: some are listed twice", name, at)
			}
		}
	}
	// One that changes all the time is an error.
	w := newWorld(160)
	calls := int64(0)
	w.Fault = func(_ http.ResponseWriter, r *http.Request) bool {
		if k.lists(r) {
			calls++
			w.Pulls[calls].Closed = true
		}
		return false
	}
	if list, err := read(t.Context(), open(t, k, w).List(Repository, forge.Query{})); err == nil {
		t.Errorf("it changes all the time: %d listed", len(list.PullRequests))
	}
}

// Whoever says that there is more and gives nothing is no list.
func TestPagesWithoutEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(1)
	w.Fault = func(rw http.ResponseWriter, r *http.Request) bool {
		answer(rw, 200, map[string]any{"isLastPage": false, "nextPageStart": 0, "values": []any{}})
		return true
	}
	f := open(t, BitbucketDC(), w)
	if list, err := read(t.Context(), f.List(Repository, forge.Query{})); err == nil {
		t.Errorf("%d listed", len(list.PullRequests))
	}
	if may, err := f.CanWrite(t.Context(), Repository, "x"); err == nil || may {
		t.Errorf("may write %v, error %v", may, err)
	}
	if w.Calls > 20 {
		t.Errorf("%d calls", w.Calls)
	}
}

func TestBitbucketDCConsent(t *testing.T) {
	t.Parallel()
	w := newWorld(1)
	w.Users = map[string]string{"anna": "write", "annabel": "write", "ann": "read"}
	f := open(t, BitbucketDC(), w)
	for login, want := range map[string]bool{"anna": true, "annabel": true, "ann": false, "Anna": false, "": false} {
		if may, err := f.CanWrite(t.Context(), Repository, login); err != nil || may != want {
			t.Errorf("%q: %v, error %v", login, may, err)
		}
	}
	w.Change(func() {
		w.Fault = func(rw http.ResponseWriter, r *http.Request) bool {
			return strings.HasSuffix(r.URL.Path, "/users") && reply(200, "application/json", `{"isLastPage":true,"values":[{"name":"anna","active":false}]}`)(rw, r)
		}
	})
	if may, err := f.CanWrite(t.Context(), Repository, "anna"); err != nil || may {
		t.Errorf("one who is not active: %v, error %v", may, err)
	}
	// A record that does not have the approval is no consent, whatever stands on
	// the pull request.
	w.Change(func() {
		w.Pulls[1].Events = []Event{{Label: Label, By: "anna", Added: true, At: Start}}
		w.Fault = func(rw http.ResponseWriter, r *http.Request) bool {
			return strings.HasSuffix(r.URL.Path, "/activities") && reply(200, "application/json", `{"isLastPage":true,"values":[]}`)(rw, r)
		}
	})
	if l, err := f.Labelled(t.Context(), Repository, 1, forge.Approved); !errors.Is(err, forge.ErrNotLabelled) {
		t.Errorf("%+v, error %v", l, err)
	}
}

func TestBitbucketDCWebhooks(t *testing.T) {
	t.Parallel()
	w := newWorld(1)
	f := open(t, BitbucketDC(), w)
	good, body := bitbucketDCWebhook(w.Pulls[1], "labeled", secret)
	for _, key := range []string{"diagnostics:ping", "pr:comment:added", "repo:modified", "pullrequest:approved"} {
		h := good.Clone()
		h.Set("X-Event-Key", key)
		if _, err := f.Event(h, body); !errors.Is(err, forge.ErrIgnored) {
			t.Errorf("%s: error %v", key, err)
		}
	}
	for _, key := range []string{"pr:modified", "pr:declined", "pr:merged"} {
		h := good.Clone()
		h.Set("X-Event-Key", key) // which nobody signed
		if e, err := f.Event(h, body); !errors.Is(err, forge.ErrSignature) {
			t.Errorf("the header says %s: %+v, error %v", key, e, err)
		}
	}
	w.Pulls[1].HeadRepository = "~stranger/shop"
	h, body := bitbucketDCWebhook(w.Pulls[1], "labeled", secret)
	if e, err := f.Event(h, body); err != nil || !e.PullRequest.Fork || e.PullRequest.HeadSHA != SHA || !e.PullRequest.UpdatedAt.Equal(w.Pulls[1].Updated.Truncate(time.Millisecond)) {
		t.Errorf("%+v, error %v", e, err)
	}
}

func TestBitbucketDCRights(t *testing.T) {
	t.Parallel()
	for refused, want := range map[string]string{"": "", "/pull-requests": "Repository read", "/users": "who may write", "/pull-requests/0/comments": "comments", "/builds": "builds"} {
		w := newWorld(1)
		w.Fault = func(rw http.ResponseWriter, r *http.Request) bool {
			return refused != "" && strings.HasSuffix(r.URL.Path, refused) && reply(401, "application/json", `{"errors":[{"message":"You are not permitted to access this resource"}]}`)(rw, r)
		}
		rights, err := open(t, BitbucketDC(), w).(forge.Righter).Rights(t.Context(), Repository)
		if err != nil || len(rights) != 4 || len(w.Comments)+len(w.Set) != 0 {
			t.Fatalf("%v, error %v", rights, err)
		}
		missing := ""
		for _, r := range rights {
			if r.Unknown != "" {
				t.Errorf("%s: of %s it is not told: %q", refused, r.Name, r.Unknown)
			}
			if r.Missing != nil && missing == "" {
				missing = r.Name
			}
		}
		if missing != want {
			t.Errorf("%s: missing %q", refused, missing)
		}
	}
}
