package forgetest

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seedling-dev/seedling/plugin/forge"
)

// poll reads a list, and says how many calls it took.
func poll(t *testing.T, w *World, f forge.Forge, label string) (forge.List, int) {
	t.Helper()
	before := w.Calls
	list, err := read(t.Context(), f.List(Repository, forge.Query{Label: label}))
	if err != nil {
		t.Fatal(err)
	}
	return list, w.Calls - before
}

// thousand has 1,000 open pull requests, of which the oldest 50 are labelled.
func thousand() *World {
	w := newWorld(1000)
	w.PageSize = 100
	for n, p := range w.Pulls {
		if n > 50 {
			p.Labels = []string{"bug"}
		}
	}
	return w
}

func later(w *World, n int64, minutes int, change func(p *Pull)) {
	w.Change(func() {
		w.Pulls[n].Updated = Start.Add(100*24*time.Hour + time.Duration(minutes)*time.Minute)
		change(w.Pulls[n])
	})
}

func TestGitHubPolls(t *testing.T) {
	t.Parallel()
	w := thousand()
	f := open(t, GitHub(), w)
	if list, calls := poll(t, w, f, Label); len(list.PullRequests) != 50 || !list.Filtered || calls > 3 {
		t.Errorf("at first: %d listed by %d calls", len(list.PullRequests), calls)
	}
	statuses := []int{}
	w.Change(func() {
		w.Fault = func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("If-None-Match") != "" {
				statuses = append(statuses, http.StatusNotModified)
			}
			return false
		}
	})
	if list, calls := poll(t, w, f, Label); len(list.PullRequests) != 50 || calls != 1 || len(statuses) != 1 {
		t.Errorf("nothing changed: %d listed by %d calls, %d of them conditional", len(list.PullRequests), calls, len(statuses))
	}
	for _, test := range []struct {
		what string
		n    int64
		is   bool
		pull func(*Pull)
	}{
		{"closed", 3, false, func(p *Pull) { p.Closed, p.ClosedAt = true, p.Updated }},
		{"opened again", 3, true, func(p *Pull) { p.Closed = false }},
		{"unlabelled", 4, false, func(p *Pull) { p.Labels = []string{"bug"} }},
		{"labelled", 700, true, func(p *Pull) { p.Labels = []string{"bug", Label} }},
	} {
		later(w, test.n, int(test.n), test.pull)
		w.Change(func() { w.Pulls[test.n].Updated = w.Pulls[test.n].Updated.Add(time.Duration(w.Calls) * time.Hour) })
		list, calls := poll(t, w, f, Label)
		if slices.Contains(numbers(list.PullRequests), test.n) != test.is || calls > 3 {
			t.Errorf("%s: %v by %d calls", test.what, numbers(list.PullRequests), calls)
		}
	}
	// As many changes as two pages hold are read, more are not.
	for _, changed := range []int64{90, 300} {
		for n := range changed {
			later(w, 100+n, int(n)+w.Calls*2000, func(p *Pull) { p.Labels, p.Closed = []string{Label}, false })
		}
		later(w, 100, 1+w.Calls*2000, func(p *Pull) { p.Closed, p.ClosedAt = true, p.Updated })
		list, calls := poll(t, w, f, Label)
		got := numbers(list.PullRequests)
		if slices.Contains(got, 100) || calls > 2+4 {
			t.Errorf("%d changed: %d listed by %d calls", changed, len(got), calls)
		}
		for n := int64(101); n < 100+changed; n++ {
			if !slices.Contains(got, n) {
				t.Errorf("%d changed: %d is not listed", changed, n)
			}
		}
	}
}

// A list that is kept is never brought up to date by what is not in order, or by
// nothing.
func TestGitHubPollsThatDoNotTell(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"nothing": reply(200, "application/json", `[]`),
		"another order": reply(200, "application/json", `[{"number":1,"state":"open","labels":[{"name":"preview"}],"updated_at":"2026-11-21T10:00:00Z"},
			{"number":2,"state":"open","labels":[{"name":"preview"}],"updated_at":"2026-11-21T23:00:00Z"},
			{"number":3,"state":"open","labels":[{"name":"preview"}],"updated_at":"2026-11-21T10:01:00Z"}]`),
		"null": reply(200, "application/json", `[null]`),
	} {
		w := newWorld(60)
		f := open(t, GitHub(), w)
		poll(t, w, f, Label)
		// Nothing tells that this one closed, but the list of all.
		w.Change(func() {
			w.Pulls[7].Closed = true
			w.Fault = func(rw http.ResponseWriter, r *http.Request) bool {
				return strings.HasSuffix(r.URL.Path, "/pulls") && fault(rw, r)
			}
		})
		if list, _ := poll(t, w, f, Label); len(list.PullRequests) != 59 {
			t.Errorf("%s: %d listed", name, len(list.PullRequests))
		}
	}
	// An earlier version than the one that is kept opens nothing again.
	w := newWorld(3)
	f := open(t, GitHub(), w)
	poll(t, w, f, Label)
	w.Change(func() { w.Pulls[3].Updated, w.Pulls[3].HeadRepository = Start, "stranger/shop" })
	if list, _ := poll(t, w, f, Label); len(list.PullRequests) != 3 || list.PullRequests[2].Fork {
		t.Errorf("%+v", list.PullRequests)
	}
}

// Both APIs tell of one pull request in the same words.
func TestGitHubOneForm(t *testing.T) {
	t.Parallel()
	w := newWorld(4)
	w.Pulls[2].HeadRepository = ""
	w.Pulls[3].HeadRepository, w.Pulls[3].Draft = "stranger/shop", true
	w.Pulls[4].Labels = nil
	f := open(t, GitHub(), w)
	list, _ := poll(t, w, f, "")
	for _, p := range list.PullRequests {
		got, err := f.Get(t.Context(), Repository, p.Number)
		if err != nil || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", p) {
			t.Errorf("listed %+v, got %+v, error %v", p, got, err)
		}
	}
	for name, test := range map[string]struct{ rest, graphql, want string }{
		"an App":          {`{"login":"renovate[bot]","type":"Bot"}`, `{"__typename":"Bot","login":"renovate"}`, "renovate[bot]"},
		"one who is gone": {`null`, `null`, "ghost"},
	} {
		w := newWorld(1)
		w.Fault = func(rw http.ResponseWriter, r *http.Request) bool {
			switch {
			case strings.HasSuffix(r.URL.Path, "/pulls/1"):
				return reply(200, "application/json", `{"number":1,"state":"open","updated_at":"2026-11-21T10:00:00Z","user":`+test.rest+`}`)(rw, r)
			case strings.HasSuffix(r.URL.Path, "/graphql"):
				return reply(200, "application/json", `{"data":{"repository":{"pullRequests":{"totalCount":1,"pageInfo":{"hasNextPage":false},"nodes":[
					{"number":1,"state":"OPEN","updatedAt":"2026-11-21T10:00:00Z","headRefOid":"`+SHA+`","labels":{"nodes":[]},"author":`+test.graphql+`}]}}}}`)(rw, r)
			}
			return false
		}
		f := open(t, GitHub(), w)
		list, _ := poll(t, w, f, "")
		got, err := f.Get(t.Context(), Repository, 1)
		if err != nil || got.Author != test.want || list.PullRequests[0].Author != test.want {
			t.Errorf("%s: got %q, listed %q, error %v", name, got.Author, list.PullRequests[0].Author, err)
		}
	}
}

func TestGitHubGraphQLErrors(t *testing.T) {
	t.Parallel()
	const page = `"data":{"repository":{"pullRequests":{"totalCount":1,"pageInfo":{"hasNextPage":false},"nodes":[
		{"number":5,"state":"OPEN","updatedAt":"2026-11-21T10:00:00Z","headRefOid":"` + SHA + `","labels":{"nodes":[]}}]}}}`
	for name, test := range map[string]struct {
		said string
		want error
	}{
		"forbidden":      {`{"data":{"repository":null},"errors":[{"type":"FORBIDDEN","path":["repository"],"message":"Resource not accessible"}]}`, forge.ErrCredential},
		"scopes":         {`{"errors":[{"type":"INSUFFICIENT_SCOPES","message":"x"}]}`, forge.ErrCredential},
		"unknown error":  {`{` + page + `,"errors":[{"message":"Something went wrong"}]}`, nil},
		"no repository":  {`{"data":{"repository":null}}`, nil},
		"no list":        {`{"data":{"repository":{"pullRequests":{"totalCount":1}}}}`, nil},
		"a proxy's page": {`<html>`, nil},
		"an endless one": {strings.Replace(`{`+page+`}`, `"hasNextPage":false`, `"hasNextPage":true,"endCursor":""`, 1), nil},
	} {
		w := newWorld(1)
		w.Fault = func(rw http.ResponseWriter, r *http.Request) bool {
			return strings.HasSuffix(r.URL.Path, "/graphql") && reply(200, "application/json", test.said)(rw, r)
		}
		list, err := read(t.Context(), open(t, GitHub(), w).List(Repository, forge.Query{}))
		if err == nil || test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%s: %d listed, error %v", name, len(list.PullRequests), err)
		}
	}
	// What cannot be told of one pull request is asked for by number.
	w := newWorld(1)
	w.Fault = func(rw http.ResponseWriter, r *http.Request) bool {
		return strings.HasSuffix(r.URL.Path, "/graphql") && reply(200, "application/json",
			`{`+page+`,"errors":[{"type":"FORBIDDEN","path":["repository","pullRequests","nodes",0,"headRepository"]}]}`)(rw, r)
	}
	list, err := read(t.Context(), open(t, GitHub(), w).List(Repository, forge.Query{}))
	if err != nil || len(list.PullRequests) != 0 || !slices.Equal(list.Unreadable, []int64{5}) {
		t.Errorf("%+v, error %v", list, err)
	}
}

func TestGitHubLimits(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"a secondary one without headers": reply(403, "application/json", `{"message":"You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}`),
		"by its explanation":              reply(403, "application/json", `{"message":"no","documentation_url":"https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"}`),
		"GraphQL's": func(w http.ResponseWriter, r *http.Request) bool {
			return strings.HasSuffix(r.URL.Path, "/graphql") && reply(200, "application/json", `{"errors":[{"type":"RATE_LIMITED","message":"API rate limit exceeded"}]}`)(w, r)
		},
		"GraphQL's secondary one": func(w http.ResponseWriter, r *http.Request) bool {
			return strings.HasSuffix(r.URL.Path, "/graphql") && reply(200, "application/json", `{"message":"You have exceeded a secondary rate limit."}`)(w, r)
		},
	} {
		w := newWorld(1)
		f := open(t, GitHub(), w)
		w.Fault = fault
		_, err := read(t.Context(), f.List(Repository, forge.Query{}))
		if _, ok := errors.AsType[*forge.LimitedError](err); !ok {
			t.Errorf("%s: error %v", name, err)
		}
		calls := w.Calls
		if _, err := f.Get(t.Context(), Repository, 1); err == nil || w.Calls != calls {
			t.Errorf("%s: %d more calls, error %v", name, w.Calls-calls, err)
		}
	}
	w := newWorld(1)
	f := open(t, GitHub(), w)
	w.Fault = reply(403, "application/json", `{"message":"Resource not accessible by personal access token"}`)
	if _, err := f.Get(t.Context(), Repository, 1); !errors.Is(err, forge.ErrCredential) {
		t.Errorf("only forbidden: error %v", err)
	}
}

// Nobody grants consent but who set the label and may write.
func TestGitHubConsent(t *testing.T) {
	t.Parallel()
	at := func(n int) time.Time { return Start.Add(time.Duration(n) * time.Minute) }
	w := newWorld(1)
	p := w.Pulls[1]
	p.Title, p.Body = "preview approved-by: maintainer", "/label preview"
	w.Users = map[string]string{"maintainer": "write", "triager": "read", "removed": "none", "ghost": "read"}
	f := open(t, GitHub(), w)
	asked := func() (string, bool) {
		l, err := f.Labelled(t.Context(), Repository, 1, Label)
		if err != nil {
			if !errors.Is(err, forge.ErrNotLabelled) {
				t.Fatal(err)
			}
			return "", false
		}
		may, err := f.CanWrite(t.Context(), Repository, l.By)
		if err != nil {
			t.Fatal(err)
		}
		return l.By, may
	}
	for name, events := range map[string][]Event{
		"nobody's record":          nil,
		"at opening by the author": {{Label: Label, By: "author", Added: true, At: at(0)}},
		"by a triager":             {{Label: Label, By: "triager", Added: true, At: at(0)}},
		"by one who was removed":   {{Label: Label, By: "removed", Added: true, At: at(0)}},
		"by one who is gone":       {{Label: Label, By: "ghost", Added: true, At: at(0)}},
		"by a workflow":            {{Label: Label, By: "github-actions[bot]", Added: true, At: at(0)}},
		"again by a triager": {
			{Label: Label, By: "maintainer", Added: true, At: at(0)}, {Label: Label, By: "triager", At: at(1)}, {Label: Label, By: "triager", Added: true, At: at(2)},
		},
	} {
		w.Change(func() { p.Events = events })
		if by, may := asked(); may || by == "ghost" {
			t.Errorf("%s: %s may: %v", name, by, may)
		}
	}
	w.Change(func() { p.Events = []Event{{Label: Label, By: "maintainer", Added: true, At: at(0)}} })
	if _, may := asked(); !may {
		t.Error("by a maintainer: not")
	}
	// Pushing after the label changes who set it in nothing.
	w.Change(func() { p.Updated = at(9) })
	if by, may := asked(); by != "maintainer" || !may {
		t.Errorf("after a push: %q, %v", by, may)
	}
	w.Change(func() { w.Users["maintainer"] = "none" })
	if _, may := asked(); may {
		t.Error("by a maintainer who was removed since: yes")
	}
	for _, said := range []string{
		`{"permission":"write","user":{"login":"another"}}`,
		`{"permission":"write","user":null}`,
		`{"permission":"write"}`, `{}`, `null`,
	} {
		w.Change(func() { w.Fault = reply(200, "application/json", said) })
		if may, err := f.CanWrite(t.Context(), Repository, "maintainer"); may || err == nil {
			t.Errorf("%s: %v, error %v", said, may, err)
		}
	}
	for said, want := range map[string]bool{
		`{"permission":"write","role_name":"maintain","user":{"login":"Maintainer"}}`:      true,
		`{"permission":"admin","role_name":"admin","user":{"login":"maintainer"}}`:         true,
		`{"permission":"read","role_name":"triage","user":{"login":"maintainer"}}`:         false,
		`{"permission":"read","role_name":"write-the-docs","user":{"login":"maintainer"}}`: false,
		`{"permission":"none","role_name":"","user":{"login":"maintainer"}}`:               false,
		`{"permission":"","role_name":"admin","user":{"login":"maintainer"}}`:              false,
	} {
		w.Change(func() { w.Fault = reply(200, "application/json", said) })
		if may, err := f.CanWrite(t.Context(), Repository, "maintainer"); may != want || err != nil {
			t.Errorf("%s: %v, error %v", said, may, err)
		}
	}
}

func TestGitHubCheckRuns(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		statuses, runs []Status
		want           bool
	}{
		"a run":              {nil, []Status{{"ci/images", "success"}}, true},
		"one that goes on":   {nil, []Status{{"ci/images", "pending"}}, false},
		"one that was left":  {nil, []Status{{"ci/images", "skipped"}}, false},
		"of two one fails":   {nil, []Status{{"ci/images", "success"}, {"ci/images", "failure"}}, false},
		"another":            {nil, []Status{{"ci/other", "success"}}, false},
		"a run and a status": {[]Status{{"ci/images", "success"}}, []Status{{"ci/images", "success"}}, true},
		"a run, no status":   {[]Status{{"ci/images", "pending"}}, []Status{{"ci/images", "success"}}, false},
		"a status, no run":   {[]Status{{"ci/images", "success"}}, []Status{{"ci/images", "failure"}}, false},
		"none":               {nil, nil, false},
	} {
		w := newWorld(1)
		w.Statuses, w.Runs = test.statuses, test.runs
		if got, err := open(t, GitHub(), w).Passed(t.Context(), Repository, SHA, "ci/images"); err != nil || got != test.want {
			t.Errorf("%s: %v, error %v", name, got, err)
		}
	}
}

// A fine-grained token cannot read check runs.
func TestGitHubNoCheckRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(1)
	w.Statuses = []Status{{"ci/images", "success"}, {"ci/other", "failure"}}
	w.Fault = func(rw http.ResponseWriter, r *http.Request) bool {
		return strings.HasSuffix(r.URL.Path, "/check-runs") && reply(403, "application/json", `{"message":"Resource not accessible by personal access token"}`)(rw, r)
	}
	f := open(t, GitHub(), w)
	for name, want := range map[string]bool{"ci/images": true, "ci/other": false} {
		if got, err := f.Passed(t.Context(), Repository, SHA, name); err != nil || got != want {
			t.Errorf("%s: %v, error %v", name, got, err)
		}
	}
	if got, err := f.Passed(t.Context(), Repository, SHA, "ci/none"); got || !errors.Is(err, forge.ErrCredential) || !strings.Contains(err.Error(), "GitHub App") {
		t.Errorf("no status: %v, error %v", got, err)
	}
	if got, err := open(t, GitHubApp(), w).Passed(t.Context(), Repository, SHA, "ci/images"); got || !errors.Is(err, forge.ErrCredential) {
		t.Errorf("an App: %v, error %v", got, err)
	}
}

func TestGitHubWebhooks(t *testing.T) {
	t.Parallel()
	w := newWorld(1)
	f := open(t, GitHub(), w)
	header, body := githubWebhook(w.Pulls[1], "labeled", secret)
	for name, value := range map[string]string{
		"SHA-1":     "sha1=" + sign(secret, body)[:40],
		"no method": sign(secret, body),
		"half":      "sha256=" + sign(secret, body)[:32],
		"no hex":    "sha256=" + strings.Repeat("z", 64),
	} {
		h := header.Clone()
		h.Set("X-Hub-Signature-256", value)
		if _, err := f.Event(h, body); !errors.Is(err, forge.ErrSignature) || f.Signed(h) {
			t.Errorf("%s: signed %v, error %v", name, f.Signed(h), err)
		}
	}
	h := http.Header{"X-Hub-Signature": {"sha1=" + sign(secret, body)[:40]}, "X-Github-Event": {"pull_request"}}
	if _, err := f.Event(h, body); !errors.Is(err, forge.ErrSignature) {
		t.Errorf("the old header: error %v", err)
	}
	for _, kind := range []string{"ping", "installation", "installation_repositories", "issues", "check_run"} {
		h := header.Clone()
		h.Set("X-GitHub-Event", kind)
		if _, err := f.Event(h, body); !errors.Is(err, forge.ErrIgnored) {
			t.Errorf("%s: error %v", kind, err)
		}
	}
	form := []byte("payload=%7B%7D")
	h = header.Clone()
	h.Set("X-Hub-Signature-256", "sha256="+sign(secret, form))
	if _, err := f.Event(h, form); err == nil || !strings.Contains(err.Error(), "application/json") {
		t.Errorf("a form: error %v", err)
	}
}

// An App's token is made once, and again before its end, when it is refused, and
// when the App is installed anew.
func TestGitHubAppToken(t *testing.T) {
	t.Parallel()
	k := GitHubApp()
	for name, test := range map[string]struct {
		life    time.Duration
		between func(w *World, f forge.Forge)
		made    int
	}{
		"an hour":        {time.Hour, nil, 1},
		"about to end":   {4 * time.Minute, nil, 2},
		"ended long ago": {-time.Hour, nil, 2},
		"installed anew": {time.Hour, func(w *World, f forge.Forge) {
			h, body := githubWebhook(w.Pulls[1], "created", secret)
			h.Set("X-GitHub-Event", "installation")
			_, _ = f.Event(h, body) // it is ignored
		}, 2},
		"refused": {time.Hour, func(w *World, f forge.Forge) {
			made := w.Fault
			w.Change(func() { w.Fault = reply(401, "application/json", `{"message":"Bad credentials"}`) })
			if _, err := f.Get(t.Context(), Repository, 1); !errors.Is(err, forge.ErrCredential) || strings.Contains(err.Error(), token) {
				t.Errorf("error %v", err)
			}
			w.Change(func() { w.Fault = made })
		}, 2},
	} {
		w := newWorld(1)
		f := open(t, k, w)
		made := 0
		w.Fault = func(rw http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, "/access_tokens") {
				return false
			}
			made++
			// By the forge's clock, which is a day late.
			now := time.Now().Add(-24 * time.Hour).UTC()
			rw.Header().Set("Date", now.Format(http.TimeFormat))
			answer(rw, 201, map[string]any{"token": token, "expires_at": now.Add(test.life).Format(time.RFC3339)})
			return true
		}
		for i := range 2 {
			if _, err := f.Get(t.Context(), Repository, 1); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if i == 0 && test.between != nil {
				test.between(w, f)
			}
		}
		if made != test.made {
			t.Errorf("%s: %d tokens were made", name, made)
		}
	}
	w := newWorld(1)
	f := open(t, k, w)
	w.Fault = func(rw http.ResponseWriter, r *http.Request) bool {
		return strings.HasSuffix(r.URL.Path, "/installation") && reply(404, "application/json", `{"message":"Not Found"}`)(rw, r)
	}
	if _, err := f.Get(t.Context(), Repository, 1); !errors.Is(err, forge.ErrCredential) || errors.Is(err, forge.ErrGone) || !strings.Contains(err.Error(), "install it") {
		t.Errorf("where it is not installed: %v", err)
	}
}

func TestGitHubRights(t *testing.T) {
	t.Parallel()
	all := []string{"Metadata: read", "Pull requests: read and write", "Commit statuses: read and write", "Checks: read", "Contents: read", "Deployments: read and write"}
	refuse := func(method, part string) func(http.ResponseWriter, *http.Request) bool {
		return func(rw http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.URL.Path, "/statuses/"+strings.Repeat("0", 40)) && part != "/statuses/" {
				return reply(422, "application/json", `{"message":"No commit found for SHA"}`)(rw, r)
			}
			return part != "" && r.Method == method && strings.Contains(r.URL.Path, part) &&
				reply(403, "application/json", `{"message":"Resource not accessible by personal access token"}`)(rw, r)
		}
	}
	for name, test := range map[string]struct {
		fault   func(http.ResponseWriter, *http.Request) bool
		missing []string
	}{
		"all":                {refuse("", ""), nil},
		"who may write":      {refuse("GET", "/collaborators/"), all[:1]},
		"labels":             {refuse("DELETE", "/labels/"), all[1:2]},
		"even pull requests": {refuse("GET", "/pulls"), all[1:2]},
		"statuses":           {refuse("POST", "/statuses/"), all[2:3]},
		"check runs":         {refuse("GET", "/check-runs"), nil},
		"contents": {func(rw http.ResponseWriter, r *http.Request) bool {
			return refuse("", "")(rw, r) || strings.HasSuffix(r.URL.Path, "/commits") && reply(403, "application/json", `{"message":"no"}`)(rw, r)
		}, nil},
		"deployments": {refuse("POST", "/deployments/"), nil},
	} {
		w := newWorld(1)
		w.Users = map[string]string{"seedling": "write"}
		w.Fault = test.fault
		rights, err := open(t, GitHub(), w).(forge.Righter).Rights(t.Context(), Repository)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var names, missing []string
		for _, r := range rights {
			names = append(names, r.Name)
			if r.Missing != nil {
				missing = append(missing, r.Name)
			}
			if told := r.Unknown == ""; told == (name == "check runs" && r.Name == all[3] || name == "contents" && r.Name == all[4] || name == "deployments" && r.Name == all[5]) {
				t.Errorf("%s: %s: %q", name, r.Name, r.Unknown)
			}
		}
		if !slices.Equal(names, all) || !slices.Equal(missing, test.missing) {
			t.Errorf("%s: of %v are missing %v", name, names, missing)
		}
		if len(w.Set) > 0 || len(w.Removed) > 0 || len(w.Deployments) > 0 {
			t.Errorf("%s: it changed %v %v %v", name, w.Set, w.Removed, w.Deployments)
		}
	}
	k := GitHubApp()
	w := newWorld(1)
	f := open(t, k, w)
	rights, err := f.(forge.Righter).Rights(t.Context(), Repository)
	if err != nil || len(rights) != 6 || rights[4].Unknown == "" || rights[5].Unknown == "" || slices.ContainsFunc(rights, func(r forge.Right) bool { return r.Missing != nil }) {
		t.Errorf("an App's: %v, error %v", rights, err)
	}
	w = newWorld(1)
	w.Fault = func(rw http.ResponseWriter, r *http.Request) bool {
		return strings.HasSuffix(r.URL.Path, "/access_tokens") && reply(201, "application/json",
			`{"token":"`+token+`","expires_at":"`+time.Now().Add(time.Hour).UTC().Format(time.RFC3339)+`","permissions":{"metadata":"read","pull_requests":"read","checks":"write"}}`)(rw, r)
	}
	rights, err = open(t, k, w).(forge.Righter).Rights(t.Context(), Repository)
	if err != nil || len(rights) != 6 || rights[0].Missing != nil || rights[1].Missing == nil || rights[2].Missing == nil || rights[3].Missing != nil {
		t.Errorf("an App's without: %v, error %v", rights, err)
	}
	w = newWorld(1)
	w.Fault = reply(404, "application/json", `{"message":"Not Found"}`)
	if _, err := open(t, GitHub(), w).(forge.Righter).Rights(t.Context(), Repository); !errors.Is(err, forge.ErrCredential) {
		t.Errorf("no access: error %v", err)
	}
}
