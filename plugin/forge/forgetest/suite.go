package forgetest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seedling-dev/seedling/plugin/forge"
)

// Run runs the suite.
func Run(t *testing.T, k Kind) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Kind){
		"complete": complete, "filtered": filtered, "resumed": resumed, "never short": neverShort,
		"changing": changing, "large": large, "unreadable": unreadable,
		"get": get, "gone": gone, "moved": moved, "limits": limits, "credential": credential,
		"consent": consent, "not granted": notGranted, "may write": mayWrite, "passed": passed, "writes": writes,
		"files": files, "files never short": filesNeverShort, "files of another head": otherHead, "touched": touched,
		"webhooks": webhooks, "comments": comments, "deployments": deployments, "what is said": said, "empty answers": empty,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, k)
		})
	}
}

// open makes a forge of a world.
func open(tb testing.TB, k Kind, w *World) forge.Forge {
	tb.Helper()
	dir := tb.TempDir()
	for name, content := range map[string]string{"token": token + "\n", "webhook": secret + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	c := forge.Config{
		Name: "forge", Type: k.Type, URL: w.serve(tb, k).URL + "/",
		CredentialFile: filepath.Join(dir, "token"), WebhookSecretFile: filepath.Join(dir, "webhook"),
	}
	if k.Configure != nil {
		if err := k.Configure(dir, &c); err != nil {
			tb.Fatal(err)
		}
	}
	f, err := forge.New(c)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

// read reads a list to its end, or its first error.
func read(ctx context.Context, l forge.Lister) (forge.List, error) {
	for {
		done, err := l.Next(ctx)
		switch {
		case err != nil:
			return forge.List{}, err
		case done:
			return l.List(), nil
		}
	}
}

func numbers(list []forge.PullRequest) []int64 {
	var n []int64
	for _, p := range list {
		n = append(n, p.Number)
	}
	slices.Sort(n)
	return n
}

// status makes a fault of a status code, with a body.
func reply(code int, kind, body string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(code)
		fmt.Fprint(w, body)
		return true
	}
}

func complete(t *testing.T, k Kind) {
	for _, test := range []struct {
		pulls    int64
		pageSize int
	}{{0, 50}, {1, 50}, {50, 50}, {51, 50}, {100, 100}, {240, 100}, {75, 10}} {
		w := newWorld(test.pulls)
		w.PageSize = test.pageSize
		w.Pulls[9000] = &Pull{Number: 9000, Closed: true, ClosedAt: Start, Updated: Start, HeadRepository: Repository}
		before := time.Now()
		f := open(t, k, w)
		for range 2 { // the second may come from what the first left
			list, err := read(t.Context(), f.List(Repository, forge.Query{}))
			if err != nil {
				t.Fatalf("%d by %d: %v", test.pulls, test.pageSize, err)
			}
			if got := numbers(list.PullRequests); int64(len(got)) != test.pulls || len(slices.Compact(got)) != len(got) {
				t.Errorf("%d by %d: %d listed", test.pulls, test.pageSize, len(got))
			}
			if list.Began.Before(before) {
				t.Errorf("it began at %s", list.Began)
			}
			for _, p := range list.PullRequests {
				if !p.Open || p.Fork || p.HeadSHA != SHA || !p.HasLabel(k.label()) || p.UpdatedAt.IsZero() != k.NoUpdates || p.TargetBranch != "main" || p.Author != k.person("dev") {
					t.Fatalf("%+v", p)
				}
			}
			before = time.Now()
		}
	}
}

func filtered(t *testing.T, k Kind) {
	w := newWorld(400)
	want := []int64{3, 170, 399}
	for n, p := range w.Pulls {
		if !slices.Contains(want, n) {
			p.Labels = []string{"bug"}
		}
	}
	list, err := read(t.Context(), open(t, k, w).List(Repository, forge.Query{Label: k.label()}))
	if err != nil {
		t.Fatal(err)
	}
	if !list.Filtered && len(list.PullRequests) != 400 {
		t.Errorf("an unfiltered list of %d", len(list.PullRequests))
	}
	with := slices.DeleteFunc(list.PullRequests, func(p forge.PullRequest) bool { return !list.Filtered && !p.HasLabel(k.label()) })
	if got := numbers(with); !slices.Equal(got, want) {
		t.Errorf("with the label: %v", got)
	}
}

func resumed(t *testing.T, k Kind) {
	w := newWorld(240)
	w.PageSize = 50
	asked := map[string]int{}
	w.Fault = func(rw http.ResponseWriter, r *http.Request) bool {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		call := r.URL.RequestURI() + string(body)
		asked[call]++
		// Every page fails at first.
		return asked[call] == 1 && reply(http.StatusBadGateway, "text/html", "<html>")(rw, r)
	}
	l := open(t, k, w).List(Repository, forge.Query{})
	fails := 0
	for {
		done, err := l.Next(t.Context())
		if err != nil {
			fails++
		}
		if fails > 50 {
			t.Fatal(err)
		}
		if done {
			break
		}
	}
	if got := len(l.List().PullRequests); got != 240 {
		t.Errorf("%d listed", got)
	}
	for uri, n := range asked {
		if n > 3 {
			t.Errorf("%s was asked for %d times", uri, n)
		}
	}
}

func neverShort(t *testing.T, k Kind) {
	for name, fault := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"an error":      reply(http.StatusInternalServerError, "application/json", `{"message":"x"}`),
		"a login page":  reply(http.StatusOK, "text/html", "<html>log in</html>"),
		"an object":     reply(http.StatusOK, "application/json", `{}`),
		"nothing":       reply(http.StatusOK, "application/json", ""),
		"half a list":   reply(http.StatusOK, "application/json", `[{"number":1,`),
		"a proxy's 404": reply(http.StatusNotFound, "text/plain", "default backend - 404"),
		"its own 404":   reply(http.StatusNotFound, "application/json", `{"message":"Not Found"}`),
		"no numbers":    reply(http.StatusOK, "application/json", `[{},{}]`),
		"cut": func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, `[`)
			return true
		},
	} {
		for _, from := range []int{1, 2} {
			w := newWorld(240)
			seen := 0
			w.Fault = func(rw http.ResponseWriter, r *http.Request) bool {
				if !k.lists(r) {
					return false
				}
				seen++
				return seen >= from && fault(rw, r)
			}
			list, err := read(t.Context(), open(t, k, w).List(Repository, forge.Query{}))
			if err == nil {
				t.Errorf("%s, from call %d on: a list of %d", name, from, len(list.PullRequests))
			}
			if errors.Is(err, forge.ErrGone) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func changing(t *testing.T, k Kind) {
	w := newWorld(240)
	calls := 0
	w.Fault = func(_ http.ResponseWriter, r *http.Request) bool {
		if k.lists(r) {
			if calls++; calls == 3 {
				p := w.Pulls[3]
				p.Closed, p.ClosedAt, p.Updated = true, Start.Add(time.Hour*24), Start.Add(time.Hour*24)
			}
		}
		return false
	}
	list, err := read(t.Context(), open(t, k, w).List(Repository, forge.Query{}))
	if err != nil {
		t.Fatal(err)
	}
	if got := numbers(list.PullRequests); len(got) != 239 || slices.Contains(got, 3) {
		t.Errorf("%d listed", len(got))
	}
}

// one keeps the large answers of all kinds from being read at once: a call has
// its time, and machines have few cores.
var one sync.Mutex

func large(t *testing.T, k Kind) {
	one.Lock()
	defer one.Unlock()
	w := newWorld(50)
	for _, p := range w.Pulls {
		p.Body = strings.Repeat("x", 400<<10)
	}
	list, err := read(t.Context(), open(t, k, w).List(Repository, forge.Query{}))
	if err != nil || len(list.PullRequests) != 50 {
		t.Errorf("%d listed, error %v", len(list.PullRequests), err)
	}
}

func unreadable(t *testing.T, k Kind) {
	w := newWorld(20)
	w.Pulls[7].Null = true
	list, err := read(t.Context(), open(t, k, w).List(Repository, forge.Query{}))
	if err != nil {
		t.Fatal(err)
	}
	if len(list.PullRequests) != 19 || !slices.Contains(list.Unreadable, 7) {
		t.Errorf("%d listed, unreadable %v", len(list.PullRequests), list.Unreadable)
	}
}

func get(t *testing.T, k Kind) {
	w := newWorld(4)
	w.Pulls[2].Closed, w.Pulls[2].ClosedAt = true, Start
	w.Pulls[3].HeadRepository = "stranger/shop"
	w.Pulls[4].HeadRepository, w.Pulls[4].Draft = "", true
	f := open(t, k, w)
	for n, want := range map[int64]forge.PullRequest{1: {Open: true}, 2: {}, 3: {Open: true, Fork: true}, 4: {Open: true, Fork: true, Draft: true}} {
		p, err := f.Get(t.Context(), Repository, n)
		if err != nil || p.Number != n || p.Open != want.Open || p.Fork != want.Fork || p.Draft != want.Draft || !k.NoUpdates && !p.UpdatedAt.Equal(w.Pulls[n].Updated) {
			t.Errorf("%d: %+v, error %v", n, p, err)
		}
	}
}

func gone(t *testing.T, k Kind) {
	w := newWorld(1)
	f := open(t, k, w)
	if _, err := f.Get(t.Context(), Repository, 9); !errors.Is(err, forge.ErrGone) {
		t.Errorf("error %v", err)
	}
	only := func(fault func(http.ResponseWriter, *http.Request) bool) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			return strings.HasSuffix(r.URL.Path, "/1") && fault(w, r)
		}
	}
	own := reply(http.StatusNotFound, "application/json", `{"message":"Not Found"}`)
	for name, fault := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"a proxy's 404":                only(reply(http.StatusNotFound, "text/plain", "default backend - 404")),
		"a proxy's 404 that says JSON": only(reply(http.StatusNotFound, "application/json", "not found")),
		"an empty 404":                 only(reply(http.StatusNotFound, "application/json", "")),
		"no repository":                own,
		"pull requests that are not shown": func(w http.ResponseWriter, r *http.Request) bool {
			return !strings.HasSuffix(r.URL.Path, "/shop") && own(w, r)
		},
		"an error": reply(http.StatusBadGateway, "text/html", "<html>"),
		"410":      only(reply(http.StatusGone, "text/plain", "gone")),
	} {
		w.Change(func() { w.Fault = fault })
		if _, err := f.Get(t.Context(), Repository, 1); err == nil || errors.Is(err, forge.ErrGone) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func moved(t *testing.T, k Kind) {
	w := newWorld(1)
	f := open(t, k, w)
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	t.Cleanup(other.Close)
	calls := map[string]func() error{
		"list": func() error {
			_, err := read(t.Context(), f.List(Repository, forge.Query{}))
			return err
		},
		"get": func() error {
			_, err := f.Get(t.Context(), Repository, 1)
			return err
		},
		"status": func() error {
			return f.SetStatus(t.Context(), Repository, SHA, forge.Status{Context: "x", State: forge.Pending})
		},
	}
	for name, call := range calls {
		for _, code := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
			w.Change(func() {
				w.Fault = func(rw http.ResponseWriter, r *http.Request) bool {
					http.Redirect(rw, r, strings.Replace(r.URL.Path, "shop", "store", 1), code) //nolint:gosec // a test server, to which only the test calls
					return true
				}
			})
			if err := call(); !errors.Is(err, forge.ErrMoved) {
				t.Errorf("%s, %d within the host: error %v", name, code, err)
			}
			w.Change(func() {
				w.Fault = func(rw http.ResponseWriter, r *http.Request) bool {
					http.Redirect(rw, r, other.URL+r.URL.Path, code) //nolint:gosec // a test server, to which only the test calls
					return true
				}
			})
			if err := call(); err == nil || errors.Is(err, forge.ErrMoved) || errors.Is(err, forge.ErrGone) {
				t.Errorf("%s, %d to another host: error %v", name, code, err)
			}
		}
	}
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("%d calls followed a redirect to another host", n)
	}
}

func limits(t *testing.T, k Kind) {
	for name, test := range map[string]struct {
		code   int
		header map[string]string
		wait   time.Duration // 0: it is no limit
	}{
		"seconds":        {http.StatusTooManyRequests, map[string]string{"Retry-After": "120"}, 2 * time.Minute},
		"a date":         {http.StatusTooManyRequests, map[string]string{"Retry-After": time.Now().Add(3 * time.Minute).UTC().Format(http.TimeFormat)}, 3 * time.Minute},
		"no word":        {http.StatusTooManyRequests, nil, time.Minute},
		"absurd":         {http.StatusTooManyRequests, map[string]string{"Retry-After": "99999999"}, time.Hour},
		"maintenance":    {http.StatusServiceUnavailable, map[string]string{"Retry-After": "60"}, time.Minute},
		"spent":          {http.StatusForbidden, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": strconv.FormatInt(time.Now().Add(4*time.Minute).Unix(), 10)}, 4 * time.Minute},
		"only forbidden": {http.StatusForbidden, map[string]string{"X-RateLimit-Remaining": "12"}, 0},
		"down":           {http.StatusServiceUnavailable, nil, 0},
	} {
		w := newWorld(1)
		f := open(t, k, w)
		w.Fault = func(rw http.ResponseWriter, _ *http.Request) bool {
			for key, value := range test.header {
				rw.Header().Set(key, value)
			}
			answer(rw, test.code, map[string]any{"message": "no"})
			return true
		}
		_, err := read(t.Context(), f.List(Repository, forge.Query{}))
		var limited *forge.LimitedError
		if errors.As(err, &limited) != (test.wait > 0) {
			t.Errorf("%s: error %v", name, err)
			continue
		}
		if test.wait == 0 {
			continue
		}
		if off := time.Until(limited.Until) - test.wait; off > 10*time.Second || off < -time.Minute {
			t.Errorf("%s: until %s", name, limited.Until)
		}
		calls := w.Calls
		if _, err := f.Get(t.Context(), Repository, 1); !errors.As(err, &limited) || w.Calls != calls {
			t.Errorf("%s: %d more calls, error %v", name, w.Calls-calls, err)
		}
	}
	// What is said with an answer that is one counts for the next call.
	for name, test := range map[string]struct {
		header map[string]string
		waits  bool
	}{
		"delayed":                  {map[string]string{"Retry-After": "120", "X-RateLimit-Delay": "3.5"}, true},
		"the last one":             {map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": strconv.FormatInt(time.Now().Add(4*time.Minute).Unix(), 10)}, true},
		"the last but one":         {map[string]string{"X-RateLimit-Remaining": "1", "X-RateLimit-Reset": strconv.FormatInt(time.Now().Add(4*time.Minute).Unix(), 10)}, false},
		"an empty bucket, filling": {map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-FillRate": "5"}, false},
	} {
		w := newWorld(1)
		f := open(t, k, w)
		w.Fault = func(rw http.ResponseWriter, _ *http.Request) bool {
			for key, value := range test.header {
				rw.Header().Set(key, value)
			}
			return false
		}
		if _, err := f.Login(t.Context()); err != nil {
			t.Errorf("%s: error %v", name, err)
		}
		calls := w.Calls
		_, err := f.Login(t.Context())
		var limited *forge.LimitedError
		if errors.As(err, &limited) != test.waits || w.Calls == calls != test.waits {
			t.Errorf("%s: %d more calls, error %v", name, w.Calls-calls, err)
		}
	}
}

func credential(t *testing.T, k Kind) {
	w := newWorld(1)
	f := open(t, k, w)
	if login, err := f.Login(t.Context()); err != nil || login != cmp.Or(k.Login, "seedling") {
		t.Errorf("%q, error %v", login, err)
	}
	for _, code := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		w.Change(func() { w.Fault = reply(code, "application/json", `{"message":"Bad credentials"}`) })
		if _, err := read(t.Context(), f.List(Repository, forge.Query{})); !errors.Is(err, forge.ErrCredential) {
			t.Errorf("%d: error %v", code, err)
		}
	}
}

func consent(t *testing.T, k Kind) {
	at := func(n int) time.Time { return Start.Add(time.Duration(n) * time.Minute) }
	set := func(by string, n int) Event { return Event{Label: Label, By: by, Added: true, At: at(n)} }
	off := func(by string) Event { return Event{Label: Label, By: by, At: at(2)} }
	talk := slices.Repeat([]Event{{By: "stranger", At: at(5)}}, 260)
	for name, test := range map[string]struct {
		events []Event
		by     string
		at     time.Time // of the setting, or of the removal where by is empty
	}{
		"no record":                        {nil, "", time.Time{}},
		"given at opening":                 {[]Event{set("author", 0)}, "author", at(0)},
		"set":                              {[]Event{{By: "author", At: at(0)}, set("maintainer", 1)}, "maintainer", at(1)},
		"another label":                    {[]Event{{Label: "bug", By: "maintainer", Added: true, At: at(1)}}, "", time.Time{}},
		"set again by a stranger":          {[]Event{set("maintainer", 1), off("stranger"), set("stranger", 3)}, "stranger", at(3)},
		"set again by a stranger, later":   {slices.Concat([]Event{set("maintainer", 1), off("stranger")}, talk, []Event{set("stranger", 9)}), "stranger", at(9)},
		"set before much talk":             {slices.Concat([]Event{set("maintainer", 1)}, talk), "maintainer", at(1)},
		"taken off":                        {[]Event{set("maintainer", 1), off("maintainer")}, "", at(2)},
		"by somebody who is no more":       {[]Event{set("", 1)}, "", time.Time{}},
		"by nobody after a maintainer":     {[]Event{set("maintainer", 1), off(""), set("", 3)}, "", time.Time{}},
		"another label's removal after it": {[]Event{set("maintainer", 1), {Label: "bug", By: "x", At: at(2)}}, "maintainer", at(1)},
	} {
		w := newWorld(1)
		w.Pulls[1].Events = test.events
		got, err := open(t, k, w).Labelled(t.Context(), Repository, 1, k.label())
		var removed *forge.UnlabelledError
		switch {
		case test.by != "":
			if err != nil || got.By != k.person(test.by) || !got.At.Equal(test.at) {
				t.Errorf("%s: %+v, error %v", name, got, err)
			}
		case !errors.Is(err, forge.ErrNotLabelled):
			t.Errorf("%s: %+v, error %v", name, got, err)
		case k.NoRemovals && errors.Is(err, forge.ErrUnlabelled):
			t.Errorf("%s: error %v", name, err)
		case !k.NoRemovals && !test.at.IsZero() && (!errors.As(err, &removed) || !removed.At.Equal(test.at)):
			t.Errorf("%s: error %v", name, err)
		case test.at.IsZero() && errors.Is(err, forge.ErrUnlabelled):
			t.Errorf("%s: error %v", name, err)
		}
	}
	// A record that fails is neither consent nor its absence.
	w := newWorld(1)
	w.Pulls[1].Events = slices.Concat([]Event{set("maintainer", 1)}, talk)
	f := open(t, k, w)
	calls := 0
	w.Fault = func(rw http.ResponseWriter, r *http.Request) bool {
		calls++
		return calls > 1 && reply(http.StatusBadGateway, "text/html", "<html>")(rw, r)
	}
	if got, err := f.Labelled(t.Context(), Repository, 1, k.label()); err == nil || errors.Is(err, forge.ErrNotLabelled) {
		t.Errorf("%+v, error %v", got, err)
	}
}

// notGranted: what an author can write is no consent, nor is what somebody says
// who may not write, or not any more.
func notGranted(t *testing.T, k Kind) {
	at := func(n int) time.Time { return Start.Add(time.Duration(n) * time.Minute) }
	set := func(by string, n int) Event { return Event{Label: Label, By: by, Added: true, At: at(n)} }
	off := func(by string) Event { return Event{Label: Label, By: by, At: at(2)} }
	for name, test := range map[string]struct {
		change func(p *Pull)
		events []Event
		want   bool
	}{
		"the title":                     {change: func(p *Pull) { p.Title, p.Body = "preview: approved", "/label ~preview" }},
		"the branch":                    {change: func(p *Pull) { p.Branch = "preview" }},
		"the date of a change":          {change: func(p *Pull) { p.Updated = at(60 * 24 * 365) }},
		"a label that is just there":    {},
		"a label given at opening":      {events: []Event{set("author", 0)}},
		"a reader":                      {events: []Event{set("reader", 1)}},
		"one who was removed":           {events: []Event{set("removed", 1)}},
		"one whose account is gone":     {events: []Event{set("gone", 1)}},
		"one who is nobody any more":    {events: []Event{set("", 1)}},
		"a stranger, set again":         {events: []Event{set("maintainer", 1), off("stranger"), set("stranger", 3)}},
		"a removed one, set again":      {events: []Event{set("maintainer", 1), off("maintainer"), set("removed", 3)}},
		"another label, by one who may": {events: []Event{{Label: "bug", By: "maintainer", Added: true, At: at(1)}}},
		"taken off":                     {events: []Event{set("maintainer", 1), off("maintainer")}},
		"one who may":                   {events: []Event{set("maintainer", 1)}, want: true},
		"one who may, at last":          {events: []Event{set("stranger", 1), off("stranger"), set("maintainer", 3)}, want: true},
		// Where several approve, one who may is enough, whoever came later.
		"a stranger after one who may": {events: []Event{set("maintainer", 1), set("stranger", 3)}, want: k.Approvals},
		"a reader before one who may":  {events: []Event{set("reader", 1), set("maintainer", 3)}, want: true},
	} {
		w := newWorld(1)
		w.Users = map[string]string{"maintainer": "write", "reader": "read", "removed": "none", "author": "read"}
		w.Pulls[1].Events = test.events
		if test.change != nil {
			test.change(w.Pulls[1])
		}
		f := open(t, k, w)
		granted := func() bool {
			by, err := f.Labelled(t.Context(), Repository, 1, k.label())
			if err != nil {
				if !errors.Is(err, forge.ErrNotLabelled) {
					t.Errorf("%s: %v", name, err)
				}
				return false
			}
			may, err := f.CanWrite(t.Context(), Repository, by.By)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			return may
		}
		if granted() != test.want {
			t.Errorf("%s: granted %v", name, !test.want)
		}
		// A push changes nothing of who gave consent, and whoever loses the right to
		// write takes it along.
		w.Change(func() {
			w.Pulls[1].SHA, w.Pulls[1].Updated = strings.Repeat("c", 40), at(9)
			w.Users["maintainer"] = "none"
		})
		if granted() {
			t.Errorf("%s: granted by one who may not any more", name)
		}
	}
}

func mayWrite(t *testing.T, k Kind) {
	w := newWorld(1)
	w.Users = map[string]string{"admin": "admin", "writer": "write", "reader": "read", "removed": "none", "odd": "something"}
	f := open(t, k, w)
	for login, want := range map[string]bool{"admin": true, "writer": true, "reader": false, "removed": false, "odd": false, "deleted": false} {
		if got, err := f.CanWrite(t.Context(), Repository, k.person(login)); err != nil || got != want {
			t.Errorf("%s: %v, error %v", login, got, err)
		}
	}
	for _, code := range []int{http.StatusForbidden, http.StatusBadGateway} {
		w.Change(func() { w.Fault = reply(code, "application/json", `{"message":"no"}`) })
		if got, err := f.CanWrite(t.Context(), Repository, k.person("writer")); err == nil || got {
			t.Errorf("%d: %v, error %v", code, got, err)
		}
	}
	w.Change(func() { w.Fault = reply(http.StatusNotFound, "text/plain", "404") })
	if got, err := f.CanWrite(t.Context(), Repository, k.person("writer")); err == nil || got {
		t.Errorf("a proxy's 404: %v, error %v", got, err)
	}
}

func passed(t *testing.T, k Kind) {
	w := newWorld(1)
	for n := range 120 {
		w.Statuses = append(w.Statuses, Status{fmt.Sprint("lint/", n), "success"})
	}
	w.Statuses = append(w.Statuses,
		Status{"ci/images", "pending"}, Status{"ci/images", "success"}, // within one second
		Status{"ci/other", "success"}, Status{"ci/other", "failure"})
	f := open(t, k, w)
	for name, want := range map[string]bool{"ci/images": true, "ci/other": false, "ci/none": false, "lint/0": true, "ci": false} {
		if got, err := f.Passed(t.Context(), Repository, SHA, name); err != nil || got != want {
			t.Errorf("%s: %v, error %v", name, got, err)
		}
	}
	w.Change(func() { w.Fault = reply(http.StatusNotFound, "text/plain", "404") })
	if got, err := f.Passed(t.Context(), Repository, SHA, "ci/images"); err == nil || got {
		t.Errorf("%v, error %v", got, err)
	}
}

func writes(t *testing.T, k Kind) {
	w := newWorld(1)
	f := open(t, k, w)
	err := f.SetStatus(t.Context(), Repository, SHA, forge.Status{Context: "seedling/previews", State: forge.Pending, Description: strings.Repeat("ä", 300)})
	if err != nil || len(w.Set) != 1 || w.Set[0]["state"] != "pending" || len([]rune(fmt.Sprint(w.Set[0]["description"]))) > 140 {
		t.Errorf("set %v, error %v", w.Set, err)
	}
	if k.Approvals {
		if err := f.RemoveLabel(t.Context(), Repository, 1, forge.Approved); err == nil {
			t.Error("an approval was taken back")
		}
		return
	}
	for _, label := range []string{Label, "not-there"} {
		if err := f.RemoveLabel(t.Context(), Repository, 1, label); err != nil {
			t.Errorf("%s: %v", label, err)
		}
	}
	if !slices.Equal(w.Removed, []string{Label}) {
		t.Errorf("removed %v", w.Removed)
	}
}

func webhooks(t *testing.T, k Kind) {
	w := newWorld(1)
	f := open(t, k, w)
	p := w.Pulls[1]
	header, body := k.Webhook(p, "labeled", secret)
	e, err := f.Event(header, body)
	if err != nil || e.Delivery != delivery || e.Repository != Repository || e.PullRequest.Number != 1 || !k.NoSender && e.Sender != k.person("maintainer") || !e.ClosedAt.IsZero() || !e.PullRequest.HasLabel(k.label()) {
		t.Errorf("%+v, error %v", e, err)
	}
	granted(t, k, f, e)
	if !f.Signed(header) || f.Signed(http.Header{}) {
		t.Error("what is signed and what is not is not told apart")
	}
	if _, err := f.Event(header, append([]byte(" "), body...)); !k.BodyUnsigned && !errors.Is(err, forge.ErrSignature) {
		t.Errorf("another body: error %v", err)
	}
	if _, err := f.Event(http.Header{}, body); !errors.Is(err, forge.ErrSignature) {
		t.Errorf("no signature: error %v", err)
	}
	for _, wrong := range []string{"", "guess"} {
		header, body := k.Webhook(p, "labeled", wrong)
		if _, err := f.Event(header, body); !errors.Is(err, forge.ErrSignature) {
			t.Errorf("signed with %q: error %v", wrong, err)
		}
	}
	header, body = k.Webhook(p, "push", secret)
	if _, err := f.Event(header, body); !errors.Is(err, forge.ErrIgnored) {
		t.Errorf("a push: error %v", err)
	}
	p.Closed, p.ClosedAt = true, Start.Add(time.Hour)
	header, body = k.Webhook(p, "closed", secret)
	if e, err := f.Event(header, body); err != nil || !e.ClosedAt.Equal(p.ClosedAt) || e.PullRequest.Open {
		t.Errorf("%+v, error %v", e, err)
	}
}

// granted: an event that sets a label tells of which commit it is, where its
// signature covers that. Nothing else does.
func granted(t *testing.T, k Kind, f forge.Forge, labelled forge.Event) {
	t.Helper()
	if can := forge.CheckForks(f) == ""; can != k.Grants {
		t.Errorf("forks: %s", forge.CheckForks(f))
	}
	g := labelled.Grant
	if g != nil != k.Grants {
		t.Fatalf("granted is %+v", g)
	}
	p := newWorld(1).Pulls[1]
	if k.Grants && (g.Number != 1 || g.HeadSHA != SHA || g.By != k.person("maintainer") || !g.At.Equal(p.Updated)) {
		t.Errorf("granted is %+v", g)
	}
	header, body := k.Webhook(p, "closed", secret)
	if e, err := f.Event(header, body); err != nil || e.Grant != nil {
		t.Errorf("an event that sets no label grants %+v, error %v", e.Grant, err)
	}
	p.SHA = "123"
	header, body = k.Webhook(p, "labeled", secret)
	if e, err := f.Event(header, body); err == nil && e.Grant != nil {
		t.Errorf("without a commit: %+v", e.Grant)
	}
}

// said: errors go into the log, where no person, no secret and no text of a
// stranger belongs.
func said(t *testing.T, k Kind) {
	w := newWorld(1)
	f := open(t, k, w)
	for name, fault := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"fails":   reply(http.StatusBadGateway, "application/json", `{"message":"some-person secret-token"}`),
		"forbids": reply(http.StatusForbidden, "application/json", `{"message":"some-person secret-token"}`),
		"redirects": func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, "/login?for=some-person", http.StatusFound)
			return true
		},
		"garbles": reply(http.StatusOK, "application/json", `"some-person secret-token"`),
	} {
		w.Change(func() { w.Fault = fault })
		_, err := f.CanWrite(t.Context(), Repository, "some-person")
		if err == nil || strings.Contains(err.Error(), "some-person") || strings.Contains(err.Error(), token) {
			t.Errorf("it %s: error %v", name, err)
		}
	}
}

// empty: what answers 200 and nothing says nothing.
func empty(t *testing.T, k Kind) {
	for name, body := range map[string]string{"nothing": "", "null": "null", "an object": "{}", "a list": "[]", "text": `"ok"`} {
		w := newWorld(1)
		w.Pulls[1].Events = []Event{{Label: Label, By: "maintainer", Added: true, At: Start}}
		w.Users, w.Statuses = map[string]string{"maintainer": "write"}, []Status{{"ci/images", "success"}}
		f := open(t, k, w)
		if _, err := f.Get(t.Context(), Repository, 1); err != nil { // what is kept in memory is there
			t.Fatal(err)
		}
		w.Change(func() { w.Fault = reply(http.StatusOK, "application/json", body) })
		if login, err := f.Login(t.Context()); err == nil {
			t.Errorf("%s: we are %q", name, login)
		}
		if p, err := f.Get(t.Context(), Repository, 1); err == nil || errors.Is(err, forge.ErrGone) {
			t.Errorf("%s: got %+v, error %v", name, p, err)
		}
		if l, err := f.Labelled(t.Context(), Repository, 1, k.label()); err == nil || errors.Is(err, forge.ErrUnlabelled) {
			t.Errorf("%s: set by %+v, error %v", name, l, err)
		}
		if may, err := f.CanWrite(t.Context(), Repository, k.person("maintainer")); may {
			t.Errorf("%s: may write, error %v", name, err)
		}
		if is, err := f.Passed(t.Context(), Repository, SHA, "ci/images"); is {
			t.Errorf("%s: passed, error %v", name, err)
		}
		if c, err := f.Changes(t.Context(), Repository, 1, SHA); err == nil {
			t.Errorf("%s: changes %+v", name, c)
		}
		if c, err := f.Touched(t.Context(), Repository, "main", "api"); err == nil && body != "[]" {
			t.Errorf("%s: touched by %+v", name, c)
		}
		if list, err := read(t.Context(), f.List(Repository, forge.Query{Label: k.label()})); err == nil {
			t.Errorf("%s: %d listed", name, len(list.PullRequests))
		}
		if err := f.RemoveLabel(t.Context(), Repository, 1, k.label()); err == nil {
			t.Errorf("%s: the label was removed", name)
		}
	}
}
