package forgetest

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seedling-dev/seedling/plugin/forge"
)

func TestGitLabPolls(t *testing.T) {
	t.Parallel()
	w := thousand()
	f := open(t, GitLab(), w)
	for range 2 {
		if list, calls := poll(t, w, f, Label); len(list.PullRequests) != 50 || !list.Filtered || calls != 1 {
			t.Errorf("%d listed by %d calls", len(list.PullRequests), calls)
		}
	}
	later(w, 3, 1, func(p *Pull) { p.Closed, p.ClosedAt = true, p.Updated })
	later(w, 4, 1, func(p *Pull) { p.Labels = []string{"bug"} })
	if list, _ := poll(t, w, f, Label); len(list.PullRequests) != 48 {
		t.Errorf("%v", numbers(list.PullRequests))
	}
	// What GitLab would read as another filter is none.
	for _, label := range []string{"None", "any", "a,b"} {
		if list, _ := poll(t, w, f, label); list.Filtered || len(list.PullRequests) != 999 {
			t.Errorf("%s: filtered %v, %d listed", label, list.Filtered, len(list.PullRequests))
		}
	}
	// A list that is not counted is not complete.
	w.Change(func() {
		w.Fault = func(rw http.ResponseWriter, r *http.Request) bool {
			return strings.HasSuffix(r.URL.Path, "/merge_requests") && reply(200, "application/json", `[]`)(rw, r)
		}
	})
	if list, err := read(t.Context(), f.List(Repository, forge.Query{})); err == nil {
		t.Errorf("not counted: %d listed", len(list.PullRequests))
	}
}

// A filter that GitLab does not follow leaves nobody in who has no label.
func TestGitLabFilterThatIsNone(t *testing.T) {
	t.Parallel()
	w := newWorld(3)
	w.Pulls[2].Labels = []string{"bug"}
	w.Fault = func(_ http.ResponseWriter, r *http.Request) bool {
		q := r.URL.Query()
		q.Del("labels")
		r.URL.RawQuery = q.Encode()
		return false
	}
	if list, _ := poll(t, w, open(t, GitLab(), w), Label); !slices.Equal(numbers(list.PullRequests), []int64{1, 3}) {
		t.Errorf("%v", numbers(list.PullRequests))
	}
}

func TestGitLabGroups(t *testing.T) {
	t.Parallel()
	w := newWorld(1)
	asked := ""
	w.Fault = func(_ http.ResponseWriter, r *http.Request) bool {
		asked = r.URL.EscapedPath()
		return false
	}
	f := open(t, GitLab(), w)
	if _, err := f.Get(t.Context(), "acme/web/shop", 1); err != nil || !strings.HasPrefix(asked, "/api/v4/projects/acme%2Fweb%2Fshop/") {
		t.Errorf("%s, error %v", asked, err)
	}
	for _, path := range []string{"shop", "/shop", "acme//shop", "acme/../shop", ""} {
		if _, err := f.Get(t.Context(), path, 1); err == nil {
			t.Errorf("%q is a project", path)
		}
	}
}

// Nobody grants consent but who set the label and may push.
func TestGitLabConsent(t *testing.T) {
	t.Parallel()
	w := newWorld(1)
	w.Users = map[string]string{"maintainer": "write", "reporter": "read", "removed": "none", "ghost": "none"}
	w.Pulls[1].Title, w.Pulls[1].Body = "preview", "/label ~preview"
	f := open(t, GitLab(), w)
	for name, test := range map[string]struct {
		events []Event
		want   bool
	}{
		"nobody's record":        {nil, false},
		"at opening":             {[]Event{{Label: Label, By: "author", Added: true, At: Start}}, false},
		"by a reporter":          {[]Event{{Label: Label, By: "reporter", Added: true, At: Start}}, false},
		"by one who was removed": {[]Event{{Label: Label, By: "removed", Added: true, At: Start}}, false},
		"by one who is gone":     {[]Event{{Label: Label, By: "ghost", Added: true, At: Start}}, false},
		"by nobody":              {[]Event{{Label: Label, Added: true, At: Start}}, false},
		"a label deleted since":  {[]Event{{By: "maintainer", Added: true, At: Start}}, false},
		"again by a reporter": {[]Event{
			{Label: Label, By: "maintainer", Added: true, At: Start}, {Label: Label, By: "reporter", At: Start}, {Label: Label, By: "reporter", Added: true, At: Start},
		}, false},
		"by a maintainer": {[]Event{{Label: "bug", By: "reporter", Added: true, At: Start}, {Label: Label, By: "maintainer", Added: true, At: Start}}, true},
	} {
		w.Change(func() { w.Pulls[1].Events = test.events })
		l, err := f.Labelled(t.Context(), Repository, 1, Label)
		if err != nil {
			if !errors.Is(err, forge.ErrNotLabelled) || test.want {
				t.Errorf("%s: error %v", name, err)
			}
			continue
		}
		if may, err := f.CanWrite(t.Context(), Repository, l.By); err != nil || may != test.want {
			t.Errorf("%s: %v, error %v", name, may, err)
		}
	}
	id := strconv.FormatInt(labelID("maintainer"), 10)
	day := func(days int) string { return time.Now().UTC().AddDate(0, 0, days).Format(time.DateOnly) }
	for said, want := range map[string]any{
		`{"id":` + id + `,"state":"active","access_level":40,"expires_at":null}`:              true,
		`{"id":` + id + `,"state":"active","access_level":30,"expires_at":"` + day(2) + `"}`:  true,
		`{"id":` + id + `,"state":"active","access_level":50,"expires_at":"` + day(0) + `"}`:  false,
		`{"id":` + id + `,"state":"active","access_level":50,"expires_at":"` + day(-1) + `"}`: false,
		`{"id":` + id + `,"state":"blocked","access_level":50}`:                               false,
		`{"id":` + id + `,"state":"active","membership_state":"awaiting","access_level":50}`:  false,
		`{"id":` + id + `,"state":"active","access_level":25}`:                                false,
		`{"id":` + id + `,"state":"active"}`:                                                  false,
		`{"id":` + id + `,"state":"active","access_level":50,"expires_at":"soon"}`:            errors.New("unreadable"),
		`{"id":1,"state":"active","access_level":50}`:                                         errors.New("somebody else"),
		`{}`: errors.New("nobody"),
	} {
		w.Change(func() {
			w.Fault = func(rw http.ResponseWriter, r *http.Request) bool {
				return strings.Contains(r.URL.Path, "/members/all/") && reply(200, "application/json", said)(rw, r)
			}
		})
		may, err := f.CanWrite(t.Context(), Repository, "maintainer")
		yes, _ := want.(bool)
		if _, fails := want.(error); fails != (err != nil) || may != yes {
			t.Errorf("%s: %v, error %v", said, may, err)
		}
	}
	// A blocked account, another of a like name, several.
	for _, said := range []string{
		`[{"id":` + id + `,"username":"maintainer","state":"blocked"}]`,
		`[{"id":` + id + `,"username":"maintainer2","state":"active"}]`,
		`[{"id":` + id + `,"username":"maintainer","state":"active"},{"id":9,"username":"Maintainer","state":"active"}]`,
		`[{"username":"maintainer","state":"active"}]`,
	} {
		w.Change(func() {
			w.Fault = func(rw http.ResponseWriter, r *http.Request) bool {
				return strings.HasSuffix(r.URL.Path, "/users") && reply(200, "application/json", said)(rw, r)
			}
		})
		if may, err := f.CanWrite(t.Context(), Repository, "maintainer"); may || err != nil {
			t.Errorf("%s: %v, error %v", said, may, err)
		}
	}
}

func TestGitLabWebhooks(t *testing.T) {
	t.Parallel()
	w := newWorld(1)
	f, plain := open(t, GitLab(), w), open(t, GitLabToken(), w)
	good, body := gitlabSigned(w.Pulls[1], "labeled", secret)
	for name, change := range map[string]func(http.Header){
		"old":             func(h http.Header) { signGitLab(h, body, secret, time.Now().Add(-6*time.Minute)) },
		"from the future": func(h http.Header) { signGitLab(h, body, secret, time.Now().Add(6*time.Minute)) },
		"another time":    func(h http.Header) { h.Set("webhook-timestamp", strconv.FormatInt(time.Now().Unix()-7, 10)) },
		"no time":         func(h http.Header) { h.Del("webhook-timestamp") },
		"another id":      func(h http.Header) { h.Set("webhook-id", "x") },
		"another version": func(h http.Header) { h.Set("webhook-signature", "v2"+h.Get("webhook-signature")[2:]) },
		"only the token":  func(h http.Header) { h.Del("webhook-signature"); h.Set("X-Gitlab-Token", signingToken(secret)) },
		"no signature":    func(h http.Header) { h.Del("webhook-signature") },
	} {
		h := good.Clone()
		change(h)
		if _, err := f.Event(h, body); !errors.Is(err, forge.ErrSignature) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	h := good.Clone()
	h.Set("webhook-signature", "v1,AAAA "+h.Get("webhook-signature"))
	if _, err := f.Event(h, body); err != nil {
		t.Errorf("while the token is rotated: %v", err)
	}
	h, body = gitlabWebhook(w.Pulls[1], "labeled", secret)
	for _, token := range []string{"", "hook", "hook-secret2", "hook-secre"} {
		h := h.Clone()
		h.Set("X-Gitlab-Token", token)
		if _, err := plain.Event(h, body); !errors.Is(err, forge.ErrSignature) {
			t.Errorf("token %q: error %v", token, err)
		}
	}
	h.Del("Idempotency-Key")
	if e, err := plain.Event(h, body); err != nil || e.Delivery != "13792a34-cac6-4fda-95a8-c58e00a3954e" {
		t.Errorf("before 17.4: %+v, error %v", e, err)
	}
	for _, kind := range []string{"Note Hook", "System Hook", "Pipeline Hook"} {
		h := h.Clone()
		h.Set("X-Gitlab-Event", kind)
		if _, err := plain.Event(h, body); !errors.Is(err, forge.ErrIgnored) {
			t.Errorf("%s: error %v", kind, err)
		}
	}
	w.Pulls[1].HeadRepository = "stranger/shop"
	h, body = gitlabWebhook(w.Pulls[1], "merge", secret)
	if e, err := plain.Event(h, body); err != nil || e.ClosedAt.IsZero() || !e.PullRequest.Fork || e.PullRequest.HeadSHA != SHA || e.PullRequest.URL == "" {
		t.Errorf("%+v, error %v", e, err)
	}
}

// GitLab refuses a status that is in its state already.
func TestGitLabStatusTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(1)
	f := open(t, GitLab(), w)
	for _, state := range []forge.State{forge.Pending, forge.Pending, forge.Failure} {
		if err := f.SetStatus(t.Context(), Repository, SHA, forge.Status{Context: "x", State: state}); err != nil {
			t.Error(err)
		}
	}
	if len(w.Set) != 2 || w.Set[1]["state"] != "failed" {
		t.Errorf("%v", w.Set)
	}
	w.Change(func() { w.Fault = reply(400, "application/json", `{"message":"name is invalid"}`) })
	if err := f.SetStatus(t.Context(), Repository, SHA, forge.Status{Context: "x", State: forge.Pending}); err == nil {
		t.Error("another 400 is no error")
	}
}

func TestGitLabRights(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		token, project string
		missing        []string
	}{
		"all":          {`{"scopes":["api"],"active":true,"expires_at":"2099-01-01"}`, `{"id":7,"permissions":{"project_access":{"access_level":30},"group_access":null}}`, nil},
		"by its group": {`{"scopes":["api"]}`, `{"id":7,"permissions":{"project_access":null,"group_access":{"access_level":40}}}`, nil},
		"read only":    {`{"scopes":["read_api"]}`, `{"id":7,"permissions":{"project_access":{"access_level":30}}}`, []string{"scope api"}},
		"a reporter":   {`{"scopes":["api"]}`, `{"id":7,"permissions":{"project_access":{"access_level":20}}}`, []string{"role Developer"}},
		"no member":    {`{"scopes":["api"]}`, `{"id":7,"permissions":{"project_access":null}}`, []string{"role Developer"}},
	} {
		w := newWorld(1)
		w.Fault = func(rw http.ResponseWriter, r *http.Request) bool {
			switch {
			case strings.HasSuffix(r.URL.Path, "/personal_access_tokens/self"):
				return reply(200, "application/json", test.token)(rw, r)
			case strings.HasSuffix(r.URL.Path, "/shop"):
				return reply(200, "application/json", test.project)(rw, r)
			}
			return false
		}
		rights, err := open(t, GitLab(), w).(forge.Righter).Rights(t.Context(), Repository)
		if err != nil || len(rights) != 2 {
			t.Errorf("%s: %v, error %v", name, rights, err)
		}
		var missing []string
		for _, r := range rights {
			if r.Missing != nil {
				missing = append(missing, r.Name)
			}
		}
		if !slices.Equal(missing, test.missing) {
			t.Errorf("%s: missing %v", name, missing)
		}
	}
}
