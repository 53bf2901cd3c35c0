package forgetest

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/seedling-dev/seedling/plugin/forge"
)

func TestBitbucketPolls(t *testing.T) {
	t.Parallel()
	w := thousand()
	f := open(t, Bitbucket(), w)
	approved := func(list forge.List) []int64 {
		return numbers(slices.DeleteFunc(list.PullRequests, func(p forge.PullRequest) bool { return !p.HasLabel(forge.Approved) }))
	}
	// 20 pages of 50; the full name of the one head that all have is asked for
	// once.
	for _, want := range []int{21, 20} {
		if list, calls := poll(t, w, f, forge.Approved); len(list.PullRequests) != 1000 || list.Filtered || calls != want {
			t.Errorf("%d listed by %d calls, not %d", len(list.PullRequests), calls, want)
		} else if got := approved(list); len(got) != 50 {
			t.Errorf("approved: %v", got)
		}
	}
	later(w, 3, 1, func(p *Pull) { p.Closed, p.ClosedAt = true, p.Updated })
	later(w, 4, 1, func(p *Pull) { p.Labels = []string{"bug"} })
	if list, _ := poll(t, w, f, forge.Approved); len(list.PullRequests) != 999 || len(approved(list)) != 48 {
		t.Errorf("%d listed", len(list.PullRequests))
	}
	// A list that does not tell who approved has none without approval.
	w.Change(func() {
		w.Fault = func(_ http.ResponseWriter, r *http.Request) bool {
			q := r.URL.Query()
			q.Del("fields")
			r.URL.RawQuery = q.Encode()
			return false
		}
	})
	if list, err := read(t.Context(), f.List(Repository, forge.Query{})); err == nil {
		t.Errorf("without approvals: %d listed", len(list.PullRequests))
	}
}

// The next page is one of the API: the credential goes along.
func TestBitbucketNextPage(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
	t.Cleanup(other.Close)
	for _, next := range []string{other.URL + "/2.0/repositories/acme/shop/pullrequests?page=2", "//" + strings.TrimPrefix(other.URL, "http://") + "/2.0/x", "/elsewhere"} {
		w := newWorld(1)
		w.Fault = func(rw http.ResponseWriter, _ *http.Request) bool {
			answer(rw, 200, map[string]any{"size": 100, "next": next, "values": []any{bitbucketPull(w.Pulls[1])}})
			return true
		}
		f := open(t, Bitbucket(), w)
		if list, err := read(t.Context(), f.List(Repository, forge.Query{})); err == nil {
			t.Errorf("%s: %d listed", next, len(list.PullRequests))
		}
		if may, err := f.CanWrite(t.Context(), Repository, "{x}"); err == nil || may {
			t.Errorf("%s: may write %v, error %v", next, may, err)
		}
	}
	if n := calls.Load(); n != 0 {
		t.Errorf("%d calls went to another host", n)
	}
}

// The head of what may get a preview has its full name, or the list fails; that
// of a fork keeps the digits it has, which no preview is made of.
func TestBitbucketHeads(t *testing.T) {
	t.Parallel()
	w := newWorld(3)
	w.Pulls[2].HeadRepository, w.Pulls[3].Labels = "stranger/shop", nil
	f := open(t, Bitbucket(), w)
	list, _ := poll(t, w, f, forge.Approved)
	for _, p := range list.PullRequests {
		if want := map[int64]string{1: SHA, 2: SHA[:12], 3: SHA[:12]}[p.Number]; p.HeadSHA != want {
			t.Errorf("%d: head %s", p.Number, p.HeadSHA)
		}
	}
	for _, said := range []string{`{"hash":"` + strings.Repeat("b", 40) + `"}`, `{"hash":"` + SHA[:20] + `"}`, `{}`} {
		f := open(t, Bitbucket(), w)
		w.Change(func() {
			w.Fault = func(rw http.ResponseWriter, r *http.Request) bool {
				return strings.Contains(r.URL.Path, "/commit/") && reply(200, "application/json", said)(rw, r)
			}
		})
		if p, err := f.Get(t.Context(), Repository, 1); err == nil {
			t.Errorf("%s: head %s", said, p.HeadSHA)
		}
		if list, err := read(t.Context(), f.List(Repository, forge.Query{})); err == nil {
			t.Errorf("%s: %d listed", said, len(list.PullRequests))
		}
	}
}

func TestBitbucketWebhooks(t *testing.T) {
	t.Parallel()
	w := newWorld(1)
	f := open(t, Bitbucket(), w)
	good, body := bitbucketWebhook(w.Pulls[1], "labeled", secret)
	for _, signature := range []string{"", "sha256=", "sha1=" + good.Get("X-Hub-Signature")[7:], good.Get("X-Hub-Signature")[7:], "sha256=" + strings.Repeat("0", 64)} {
		h := good.Clone()
		h.Set("X-Hub-Signature", signature)
		if _, err := f.Event(h, body); !errors.Is(err, forge.ErrSignature) {
			t.Errorf("%q: error %v", signature, err)
		}
	}
	for _, key := range []string{"pullrequest:rejected", "pullrequest:fulfilled"} {
		h := good.Clone()
		h.Set("X-Event-Key", key) // which nobody signed
		if e, err := f.Event(h, body); err != nil || !e.ClosedAt.IsZero() {
			t.Errorf("the header says %s: closed at %s, error %v", key, e.ClosedAt, err)
		}
	}
	for _, key := range []string{"pullrequest:comment_created", "issue:created", "", "pr:opened"} {
		h := good.Clone()
		h.Set("X-Event-Key", key)
		if _, err := f.Event(h, body); !errors.Is(err, forge.ErrIgnored) {
			t.Errorf("%s: error %v", key, err)
		}
	}
}

func TestBitbucketStatuses(t *testing.T) {
	t.Parallel()
	w := newWorld(1)
	f := open(t, Bitbucket(), w)
	// Keys have at most 40 characters: what is longer is told apart all the same.
	long := "seedling/previews-of-the-whole-company-and-more/"
	for _, context := range []string{long + "1", long + "2", "seedling/previews/1"} {
		if err := f.SetStatus(t.Context(), Repository, SHA, forge.Status{Context: context, State: forge.Failure}); err != nil {
			t.Error(err)
		}
	}
	if len(w.Set) != 3 || w.Set[0]["key"] == w.Set[1]["key"] || w.Set[2]["key"] != "seedling/previews/1" || w.Set[0]["name"] != long+"1" {
		t.Errorf("%v", w.Set)
	}
	// A pipeline's status is known by its name.
	w.Change(func() { w.Statuses = []Status{{"-1803123", "success"}} })
	if passed, err := f.Passed(t.Context(), Repository, SHA, "Pipeline"); err != nil || !passed {
		t.Errorf("%v, error %v", passed, err)
	}
	w.Change(func() { w.Statuses = []Status{{"-1803123", "success"}, {"-1803124", "failure"}} })
	if passed, err := f.Passed(t.Context(), Repository, SHA, "Pipeline"); err != nil || passed {
		t.Errorf("two of one name and moment: %v, error %v", passed, err)
	}
}

func TestBitbucketRights(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		refused, missing string
	}{
		"all":            {"", ""},
		"no pulls":       {"/pullrequests", "read:pullrequest:bitbucket"},
		"no admin":       {"/permissions/repositories/shop", "admin:repository:bitbucket"},
		"no statuses":    {"/statuses/build", "write:repository:bitbucket"},
		"no comments":    {"/pullrequests/0/comments", "write:pullrequest:bitbucket"},
		"not even reads": {"/repositories/acme/shop", "read:repository:bitbucket"},
	} {
		w := newWorld(1)
		w.Fault = func(rw http.ResponseWriter, r *http.Request) bool {
			switch {
			case test.refused != "" && strings.HasSuffix(r.URL.Path, test.refused):
				return reply(403, "application/json", `{"type":"error","error":{"message":"Your credentials lack one or more required privilege scopes."}}`)(rw, r)
			case strings.HasSuffix(r.URL.Path, "/statuses/build"):
				return reply(404, "application/json", `{"type":"error","error":{"message":"Commit not found"}}`)(rw, r)
			}
			return false
		}
		rights, err := open(t, Bitbucket(), w).(forge.Righter).Rights(t.Context(), Repository)
		if err != nil || len(rights) != 5 {
			t.Fatalf("%s: %v, error %v", name, rights, err)
		}
		if len(w.Set)+len(w.Comments) != 0 {
			t.Errorf("%s: it wrote %v %v", name, w.Set, w.Comments)
		}
		missing := ""
		for _, r := range rights {
			if r.Unknown != "" {
				t.Errorf("%s: of %s it is not told: %s", name, r.Name, r.Unknown)
			}
			if r.Missing != nil && missing == "" {
				missing = r.Name
			}
		}
		if missing != test.missing {
			t.Errorf("%s: missing %q", name, missing)
		}
	}
}

// Other labels than the approval are refused where nobody can tell who set them.
func TestLabelsThatCannotBeTold(t *testing.T) {
	t.Parallel()
	w := newWorld(1)
	for _, k := range []Kind{Bitbucket(), BitbucketDC(), Azure(), GitLab()} {
		f := open(t, k, w)
		if wrong := forge.CheckLabel(f, Label); (wrong != "") != k.Approvals {
			t.Errorf("%s: label %s: %q", k.Type, Label, wrong)
		}
		if none := k.Type == "bitbucket" || k.Type == "bitbucket-datacenter"; forge.HasLabels(f) == none {
			t.Errorf("%s: it has labels: %v", k.Type, !none)
		}
		if wrong := forge.CheckLabel(f, k.label()); wrong != "" {
			t.Errorf("%s: label %s: %q", k.Type, k.label(), wrong)
		}
	}
}
