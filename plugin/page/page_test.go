package page

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seedling-dev/seedling/plugin/ended"
	"github.com/seedling-dev/seedling/plugin/forge"
	"github.com/seedling-dev/seedling/plugin/preview"
	"github.com/seedling-dev/seedling/plugin/probe"
	"github.com/seedling-dev/seedling/plugin/queue"
)

var now = time.Date(2026, 3, 4, 15, 6, 7, 0, time.UTC)

const (
	sha   = "aabbccddeeff00112233445566778899aabbccdd"
	token = "a-token-of-more-than-twenty-characters"
)

// reported is a preview of a shop.
func reported(n int64, title string, state preview.State, edit func(*preview.Report)) preview.Report {
	r := preview.Report{State: state, Forge: "git", Sentence: "Preview has the masked data of snapshot seed-20260304030000-abcde"}
	r.Key = preview.Key{ForgeURL: "https://git.example.com", Repository: "acme/shop", ApplicationSet: "previews", Number: n}
	r.Preview.Namespace, r.Seed, r.Phase = r.Key.Namespace(), "seed", preview.Live
	r.PullRequest = forge.PullRequest{Number: n, Title: title, Author: "ada", Branch: "feature/" + strconv.FormatInt(n, 10), HeadSHA: sha, Open: true, URL: fmt.Sprintf("https://git.example.com/acme/shop/pulls/%d", n)}
	seen := now.Add(-time.Duration(n) * time.Hour)
	r.HeadSHA, r.FirstSeen, r.LabelSeenAt, r.ConsentAt, r.EmittedAt = sha, seen, seen, seen.Add(-time.Second), seen.Add(900*time.Millisecond)
	r.Start = preview.Start{Consent: seen.Add(300 * time.Millisecond), Namespace: seen.Add(800 * time.Millisecond), Restore: seen.Add(3 * time.Second), Restored: seen.Add(6 * time.Second), Healthy: seen.Add(14 * time.Second)}
	r.Snapshot, r.PVCUID, r.DataAt, r.Address, r.Health = "seed-20260304030000-abcde", "pvc", now.Add(-12*time.Hour), "https://preview-shop.preview.example.com", "Healthy"
	r.ExpiresAt, r.ExpiresFor = now.Add(5*24*time.Hour), "its time is over"
	if edit != nil {
		edit(&r)
	}
	return r
}

// sources are a small world, of invented names.
func sources(previews ...preview.Report) Sources {
	over := ended.Preview{
		Key:       preview.Key{ForgeURL: "https://git.example.com", Repository: "acme/shop", ApplicationSet: "previews", Number: 7},
		Namespace: "preview-shop-7-aa", NamespaceUID: "uid-7", Title: "An old one", Author: "grace", URL: "https://git.example.com/acme/shop/pulls/7",
		Seed: "seed", Snapshot: "seed-20260301030000-abcde", Reason: "the pull request is closed",
		FirstSeen: now.Add(-90 * time.Hour), EmittedAt: now.Add(-89 * time.Hour), EndedAt: now.Add(-50 * time.Hour), RemovedAt: now.Add(-49 * time.Hour),
	}
	looker := &Looker{Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler), at: now, network: probe.Recorded{}, usage: map[string]Usage{}}
	for _, p := range previews {
		looker.usage[p.Preview.Namespace] = Usage{CPU: "0.35", Memory: "0.6 GiB", Storage: "1.2 GiB", At: now}
	}
	looker.seeds = []Seed{{
		Name: "seed", Kept: []string{"public.orders.status", "public.products.name"}, KeptMore: 3, KeptKnown: true,
		Snapshots: []Snapshot{
			{Name: "seed-20260304030000-abcde", Phase: "Completed", Taken: now.Add(-12 * time.Hour), Data: now.Add(-12 * time.Hour), Newest: true, Verified: "sampled", ImportID: "7e1c", Policy: strings.Repeat("ab", 32), Key: "0011"},
			{Name: "seed-20260303030000-vwxyz", Phase: "PartiallyFailed", Taken: now.Add(-36 * time.Hour), Unfit: "phase is PartiallyFailed, not Completed"},
		},
		Import: Import{Application: "seed-data", Phase: "Succeeded", At: now.Add(-12 * time.Hour)}, Schedule: []Schedule{{Name: "seed-refresh", Cron: "0 3 * * *", Last: now.Add(-12 * time.Hour)}},
	}}
	return Sources{
		Previews: func() []preview.Report { return previews },
		Ended:    func() []ended.Preview { return []ended.Preview{over} },
		Status: func() preview.Status {
			return preview.Status{
				Repositories: []preview.RepositoryStatus{{Forge: "git", Repository: "acme/shop", Listed: now.Add(-20 * time.Second), Took: 400 * time.Millisecond}},
				Queues:       map[string]queue.Stats{"git": {}}, Withheld: map[string]preview.Withheld{},
			}
		},
		Forges: func() map[string]forge.Budget {
			return map[string]forge.Budget{"git": {Calls: 321, Remaining: 4711, Known: true}}
		},
		Leads:   func() error { return nil },
		Cluster: looker,
	}
}

// opened is a page that a token opens.
func opened(t *testing.T, s Sources) *Page {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return New(Config{TokenFile: file}, s, slog.New(slog.DiscardHandler), func() time.Time { return now })
}

func get(t *testing.T, h http.Handler, path string, edit func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	return send(t, h, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil), edit)
}

func send(t *testing.T, h http.Handler, r *http.Request, edit func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	if edit != nil {
		edit(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func bearer(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }

func shown(t *testing.T, h http.Handler, path string) string {
	t.Helper()
	w := get(t, h, path, bearer)
	if w.Code != http.StatusOK {
		t.Fatalf("GET %s answers %d: %s", path, w.Code, w.Body)
	}
	return w.Body.String()
}

// All that is asked for is on the page as it is served, without a script.
func TestPageHasAll(t *testing.T) {
	t.Parallel()
	queued := reported(3, "One that waits", preview.StateQueued, func(r *preview.Report) {
		r.Phase, r.Queued, r.Sentence = preview.Held, true, "Held back: it is 2nd in the queue: there are 5 of 5 previews in all"
		r.EmittedAt, r.Start, r.Snapshot, r.DataAt = time.Time{}, preview.Start{}, "", time.Time{}
	})
	h := opened(t, sources(reported(1, "Cheaper shipping", preview.StateReady, nil), queued)).Handler()
	body := shown(t, h, "/")
	for what, want := range map[string]string{
		"pull request":    `<a href="https://git.example.com/acme/shop/pulls/1" rel="noopener noreferrer">#1</a>`,
		"title":           "Cheaper shipping",
		"state":           `<span class="chip good">Ready</span>`,
		"reason":          "it is 2nd in the queue: there are 5 of 5 previews in all",
		"data age":        ">12 h ago</time>",
		"snapshot":        "<code>seed-20260304030000-abcde</code>",
		"start":           "<summary>14 s",
		"label":           "label set, by the forge&#39;s clock",
		"consent":         "consent found",
		"namespace":       "namespace and guards made",
		"restore":         "hook asked, restore began",
		"hook":            "hook answered, volume there",
		"healthy":         "Healthy",
		"expiry":          ">in 5 d</time>",
		"requests":        "0.35 CPU",
		"GiB":             "1.2 GiB",
		"ended":           "An old one",
		"why it ended":    "the pull request is closed",
		"kept columns":    "<code>public.orders.status</code>",
		"more of those":   "and 3 more",
		"snapshot record": "verified: sampled",
		"unfit snapshot":  "phase is PartiallyFailed, not Completed",
		"last import":     "Last sync of seed-data",
		"schedule":        "0 3 * * *",
		"list age":        ">just now</time>",
		"budget":          `<td class="amount">4711</td>`,
		"policies":        "Not probed",
		"command":         "plugin check --config=config.yaml --probe",
		"form":            `<form id="filter" role="search" method="get"`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("%s: the page has no %s", what, want)
		}
	}
	if at, snapshots := strings.Index(body, "Kept as in production"), strings.Index(body, "<h4>Snapshots"); at < 0 || at > snapshots {
		t.Error("what is kept as it was does not come first")
	}
	// The filter is a form: it works without a script.
	if body := shown(t, h, "/?q=SHIPPING+ada"); !strings.Contains(body, "Cheaper shipping") || strings.Contains(body, "One that waits") {
		t.Error("a filter by words shows others, or not all")
	}
	if body := shown(t, h, "/?state=Queued"); strings.Contains(body, "Cheaper shipping") || !strings.Contains(body, "One that waits") {
		t.Error("a filter by state shows others, or not all")
	}
	if body := shown(t, h, "/?q=nothing-like-it"); !strings.Contains(body, "None of 2 previews matches.") {
		t.Error("a filter that nothing matches says nothing")
	}
}

// What an author wrote is text, wherever it stands and whatever is in it.
func TestAuthorsTextStaysText(t *testing.T) {
	t.Parallel()
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(2)>'` + "\u202e\u2066{{.At}}\x00\u2028"
	r := reported(1, evil, preview.StateReady, func(r *preview.Report) {
		r.PullRequest.Author, r.PullRequest.Branch = evil, evil
		r.PullRequest.URL, r.Address = "javascript://git.example.com/%0Aalert(3)", "data:text/html,x"
		r.Sentence = evil
	})
	s := sources(r)
	over := s.Ended()
	over[0].Title, over[0].Author, over[0].URL = evil, evil, `https://user:pw@git.example.com/" onclick="x`
	s.Ended = func() []ended.Preview { return over }
	h := opened(t, s).Handler()
	for _, path := range []string{"/", "/fragment", "/?q=" + url.QueryEscape(evil), "/?state=" + url.QueryEscape(evil) + "&n=-1&e=9999999999999999999"} {
		body := shown(t, h, path)
		for _, bad := range []string{"<script>alert", "<img", "javascript:", "data:text", "ZgotmplZ", "\u202e", "\u2066", "\x00", "user:pw"} {
			if strings.Contains(body, bad) {
				t.Errorf("GET %s has %q", path, bad)
			}
		}
		if !strings.Contains(body, "&lt;script&gt;alert(1)&lt;/script&gt;") && !strings.Contains(path, "?") {
			t.Errorf("GET %s lost the text", path)
		}
		wellFormed(t, path, body)
	}
	// The form comes back to where one wanted to go, and nowhere else.
	for _, to := range []string{"//evil.example.com", "https://evil.example.com", "q=x&r=%0d%0aSet-Cookie:+a", `q="><script>`, "%zz"} {
		w := get(t, h, "/login?to="+url.QueryEscape(to), nil)
		wellFormed(t, "/login", w.Body.String())
		form := url.Values{"token": {token}, "to": {to}}
		w = send(t, h, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/login", strings.NewReader(form.Encode())), func(r *http.Request) {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		})
		if l := w.Header().Get("Location"); w.Code != http.StatusSeeOther || l != "/" && !strings.HasPrefix(l, "/?q=") || strings.ContainsAny(l, "\r\n") {
			t.Errorf("to=%q leads to %d %q", to, w.Code, l)
		}
	}
}

var (
	quoted    = regexp.MustCompile(`"[^"]*"`)
	handlers  = regexp.MustCompile(`(?i)<[^>]*\s(on[a-z]+|style)\s*=`)
	scripts   = regexp.MustCompile(`(?is)<script[^>]*>(.*?)</script>`)
	elsewhere = regexp.MustCompile(`(?i)<(?:script|link|img|iframe|object|embed|use|form)[^>]*\s(?:src|href|action)="([^"]*)"`)
	ids       = regexp.MustCompile(`\sid="([^"]*)"`)
	inputs    = regexp.MustCompile(`<input[^>]*>`)
	regions   = regexp.MustCompile(`<(?:div|section|nav|article)[^>]*role="region"[^>]*>|<nav[^>]*>|<section[^>]*>|<article[^>]*>`)
	cells     = regexp.MustCompile(`<th[ >][^>]*`)
)

// wellFormed checks what a browser with the page's policy would refuse, and what
// somebody who does not see the page needs.
func wellFormed(t *testing.T, path, body string) {
	t.Helper()
	if m := handlers.FindString(quoted.ReplaceAllString(body, `""`)); m != "" {
		t.Errorf("GET %s has a handler or a style of its own: %s", path, m)
	}
	for _, m := range scripts.FindAllStringSubmatch(body, -1) {
		if strings.TrimSpace(m[1]) != "" {
			t.Errorf("GET %s has a script within it", path)
		}
	}
	for _, m := range elsewhere.FindAllStringSubmatch(body, -1) {
		if strings.Contains(m[1], ":") || strings.HasPrefix(m[1], "//") {
			t.Errorf("GET %s loads from, or sends to, elsewhere: %s", path, m[1])
		}
	}
	seen := map[string]bool{}
	for _, m := range ids.FindAllStringSubmatch(body, -1) {
		if seen[m[1]] {
			t.Errorf("GET %s has id %s twice", path, m[1])
		}
		seen[m[1]] = true
	}
	for _, in := range inputs.FindAllString(body, -1) {
		id := ids.FindStringSubmatch(in)
		if !strings.Contains(in, "hidden") && (id == nil || !strings.Contains(body, `<label for="`+id[1]+`">`)) {
			t.Errorf("GET %s has an input without a label: %s", path, in)
		}
	}
	for _, r := range regions.FindAllString(body, -1) {
		if !strings.Contains(r, "aria-label") {
			t.Errorf("GET %s has a region without a name: %s", path, r)
		}
	}
	for _, c := range cells.FindAllString(body, -1) {
		if !strings.Contains(c, `scope="`) {
			t.Errorf("GET %s has a header of nothing: %s", path, c)
		}
	}
	if strings.HasPrefix(body, "<!doctype") {
		for _, one := range []string{`<html lang="en">`, "<title>", "<main", "<h1>"} {
			if strings.Count(body, one) != 1 {
				t.Errorf("GET %s has %s %d times", path, one, strings.Count(body, one))
			}
		}
	}
}

// Nobody sees a word of it who may not.
func TestAccess(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Add(name, value) }
	}
	both := func(all ...func(*http.Request)) func(*http.Request) {
		return func(r *http.Request) {
			for _, one := range all {
				one(r)
			}
		}
	}
	from := func(address string) func(*http.Request) { return func(r *http.Request) { r.RemoteAddr = address } }
	withCookie := func(value string) func(*http.Request) { return header("Cookie", cookie+"="+value) }
	byToken := Config{TokenFile: file}
	byProxy := Config{UserHeader: "X-Auth-Request-Email", TrustedProxies: []string{"10.244.0.0/16", "fd00::/8"}}
	for _, c := range []struct {
		name   string
		config Config
		edit   func(*http.Request)
		code   int // of the page
	}{
		{"nothing", byToken, nil, http.StatusSeeOther},
		{"the token", byToken, bearer, http.StatusOK},
		{"another token", byToken, header("Authorization", "Bearer "+token+"x"), http.StatusSeeOther},
		{"an empty token", byToken, header("Authorization", "Bearer "), http.StatusSeeOther},
		{"another scheme", byToken, header("Authorization", "Basic "+token), http.StatusSeeOther},
		{"a login", byToken, withCookie(login(token, now.Add(-time.Hour))), http.StatusOK},
		{"a login that is over", byToken, withCookie(login(token, now.Add(-loginFor))), http.StatusSeeOther},
		{"a login from later", byToken, withCookie(login(token, now.Add(time.Hour))), http.StatusSeeOther},
		{"a login of another token", byToken, withCookie(login(token+"x", now)), http.StatusSeeOther},
		{"a login with another end", byToken, withCookie(strings.Replace(login(token, now), "17", "18", 1)), http.StatusSeeOther},
		{"the token as a login", byToken, withCookie(token), http.StatusSeeOther},
		{"a proxy's header, and no proxy is set", byToken, both(header("X-Auth-Request-Email", "ada@example.com"), from("10.244.0.1:9")), http.StatusSeeOther},
		{"a proxy's header", byProxy, both(header("X-Auth-Request-Email", "ada@example.com"), from("10.244.0.1:9")), http.StatusOK},
		{"over IPv6", byProxy, both(header("X-Auth-Request-Email", "ada@example.com"), from("[fd00::1]:9")), http.StatusOK},
		{"from a mapped address", byProxy, both(header("X-Auth-Request-Email", "ada@example.com"), from("[::ffff:10.244.0.1]:9")), http.StatusOK},
		{"from elsewhere", byProxy, both(header("X-Auth-Request-Email", "ada@example.com"), from("10.245.0.1:9")), http.StatusForbidden},
		{"from elsewhere, by what it says", byProxy, both(header("X-Auth-Request-Email", "ada@example.com"), header("X-Forwarded-For", "10.244.0.1"), from("10.245.0.1:9")), http.StatusForbidden},
		{"twice", byProxy, both(header("X-Auth-Request-Email", "ada@example.com"), header("X-Auth-Request-Email", "eve@example.com"), from("10.244.0.1:9")), http.StatusForbidden},
		{"empty", byProxy, both(header("X-Auth-Request-Email", " "), from("10.244.0.1:9")), http.StatusForbidden},
		{"a token, and none is set", byProxy, both(bearer, from("10.244.0.1:9")), http.StatusForbidden},
		{"no token's file", Config{TokenFile: file + "-gone"}, bearer, http.StatusServiceUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := sources(reported(1, "Cheaper shipping", preview.StateReady, nil))
			h := New(c.config, s, slog.New(slog.DiscardHandler), func() time.Time { return now }).Handler()
			for path, code := range map[string]int{"/": c.code, "/fragment": map[int]int{http.StatusSeeOther: http.StatusUnauthorized}[c.code]} {
				if code == 0 {
					code = c.code
				}
				w := get(t, h, path, c.edit)
				if w.Code != code {
					t.Errorf("GET %s answers %d, not %d", path, w.Code, code)
				}
				if saw := strings.Contains(w.Body.String(), "shipping"); saw != (code == http.StatusOK) {
					t.Errorf("GET %s shows it: %v", path, saw)
				}
			}
		})
	}
}

// The form takes the token, once with the cookie that browsers guard, and tells
// nothing of it.
func TestLogin(t *testing.T) {
	t.Parallel()
	p := opened(t, sources())
	h := p.Handler()
	post := func(value string, edit func(*http.Request)) *httptest.ResponseRecorder {
		form := url.Values{"token": {value}, "to": {"q=ada"}}
		return send(t, h, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/login", strings.NewReader(form.Encode())), func(r *http.Request) {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if edit != nil {
				edit(r)
			}
		})
	}
	if w := post("wrong", nil); w.Code != http.StatusForbidden || len(w.Result().Cookies()) != 0 || !strings.Contains(w.Body.String(), `role="alert"`) {
		t.Errorf("a wrong token answers %d with %v", w.Code, w.Result().Cookies())
	}
	if w := post(token, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }); w.Code != http.StatusForbidden || len(w.Result().Cookies()) != 0 {
		t.Errorf("another site's form answers %d", w.Code)
	}
	w := post(token, nil)
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/?q=ada" {
		t.Fatalf("the token answers %d to %s", w.Code, w.Header().Get("Location"))
	}
	k := w.Result().Cookies()[0]
	if !k.HttpOnly || !k.Secure || k.SameSite != http.SameSiteLaxMode || k.Path != "/" || k.Domain != "" || strings.Contains(k.Value, token) {
		t.Errorf("the cookie is %v", k)
	}
	if w := get(t, h, "/", func(r *http.Request) { r.AddCookie(k) }); w.Code != http.StatusOK {
		t.Errorf("who logged in gets %d", w.Code)
	}
	// A new token ends the logins of the old one.
	if err := os.WriteFile(p.TokenFile, []byte(token+"-new"), 0o600); err != nil {
		t.Fatal(err)
	}
	if w := get(t, h, "/", func(r *http.Request) { r.AddCookie(k) }); w.Code != http.StatusSeeOther {
		t.Errorf("a login of the old token gets %d", w.Code)
	}
	for range loginsAtOnce {
		w = post("guess", nil)
	}
	if w.Code != http.StatusTooManyRequests {
		t.Errorf("guess %d answers %d", loginsAtOnce, w.Code)
	}
	if w := send(t, h, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/login", strings.NewReader(strings.Repeat("x", mostForm+1))), nil); w.Code == http.StatusOK || w.Code == http.StatusSeeOther {
		t.Errorf("a form of megabytes answers %d", w.Code)
	}
}

// It is for looking: nothing else is answered, and nothing is kept by caches.
func TestHeaders(t *testing.T) {
	t.Parallel()
	h := opened(t, sources()).Handler()
	for _, path := range []string{"/", "/fragment", "/login", "/page.css", "/page.js", "/icon.svg", "/nothing"} {
		w := get(t, h, path, bearer)
		if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Content-Security-Policy") != policy || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("GET %s answers with %v", path, w.Header())
		}
		if strings.Contains(policy, "'unsafe-") {
			t.Error("the policy lets pages run what is written into them")
		}
	}
	for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodPost, http.MethodPatch} {
		for _, path := range []string{"/", "/fragment"} {
			if w := send(t, h, httptest.NewRequestWithContext(t.Context(), method, path, nil), bearer); w.Code != http.StatusMethodNotAllowed {
				t.Errorf("%s %s answers %d", method, path, w.Code)
			}
		}
	}
}

// However many previews there are and however many look, what it costs is bounded.
func TestBounds(t *testing.T) {
	t.Parallel()
	var many []preview.Report
	for n := range int64(2500) {
		many = append(many, reported(n+1, strings.Repeat("long ", 50), preview.StateReady, nil))
	}
	s := sources(many...)
	made := 0
	all := s.Previews
	s.Previews = func() []preview.Report { made++; return all() }
	p := opened(t, s)
	h := p.Handler()
	body := shown(t, h, "/")
	if n := strings.Count(body, `<tr data-key="preview-`); n != perPage+1 { // and one that ended
		t.Errorf("%d rows", n)
	}
	if len(body) > 1<<20 {
		t.Errorf("%d bytes", len(body))
	}
	if !strings.Contains(body, `<a href="?n=1#previews">Further</a>`) {
		t.Error("no way to the rest")
	}
	if body := shown(t, h, "/?n=24"); !strings.Contains(body, `<a href="?n=23#previews">Back</a>`) || strings.Contains(body, "Further") {
		t.Error("the last page is not the last")
	}
	if made != 1 {
		t.Errorf("it was made %d times for two looks at one moment", made)
	}
	// The same again is not sent again.
	tag := get(t, h, "/fragment", bearer).Header().Get("ETag")
	w := get(t, h, "/fragment", func(r *http.Request) { bearer(r); r.Header.Set("If-None-Match", tag) })
	if tag == "" || w.Code != http.StatusNotModified || w.Body.Len() != 0 {
		t.Errorf("the same fragment answers %d with %d bytes", w.Code, w.Body.Len())
	}
	for range mostRenders {
		p.renders <- struct{}{}
	}
	if w := get(t, h, "/", bearer); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("one too many answers %d", w.Code)
	}
}

// The words of one state of network policies, each.
func TestNetwork(t *testing.T) {
	t.Parallel()
	for want, r := range map[string]probe.Recorded{
		"Not probed":            {},
		"Not known":             {Unread: "no"},
		"Enforced":              {Found: probe.Found{Egress: true, Ingress: true}, At: now},
		"Not enforced inwards":  {Found: probe.Found{Egress: true}, At: now},
		"Not enforced outwards": {Found: probe.Found{Ingress: true}, At: now},
		"Not enforced":          {At: now},
	} {
		if got := networkOf(r, now); got.State != want {
			t.Errorf("%+v is %q, not %q", r, got.State, want)
		}
	}
}

// A guard that keeps something back, and a repository that fails, are said.
func TestAlarms(t *testing.T) {
	t.Parallel()
	s := sources()
	s.Leads = func() error { return errors.New("not yet") }
	s.Status = func() preview.Status {
		return preview.Status{
			Broken: 1, Withheld: map[string]preview.Withheld{"previews": {Previews: 4, Sentence: "4 previews would end: kubectl annotate applicationset previews"}},
			Repositories: []preview.RepositoryStatus{{Forge: "git", Repository: "acme/shop", Problem: errors.New("the forge answers 502")}},
		}
	}
	body := shown(t, opened(t, s).Handler(), "/")
	for _, want := range []string{"Withheld: 4 previews would end", "The state of 1 repositories cannot be read", "the forge answers 502", "The plugin is starting", ">never<"} {
		if !strings.Contains(body, want) {
			t.Errorf("nothing says %q", want)
		}
	}
}

// Text and its ground have a contrast of 4.5 or more, in light and in dark.
func TestContrast(t *testing.T) {
	t.Parallel()
	css, err := assets.ReadFile("assets/page.css")
	if err != nil {
		t.Fatal(err)
	}
	light, dark, ok := bytes.Cut(css, []byte("@media (prefers-color-scheme: dark)"))
	if !ok {
		t.Fatal("no dark mode")
	}
	dark = dark[:bytes.Index(dark, []byte("}\n}"))]
	value := regexp.MustCompile(`--([a-z0-9-]+): (#[0-9a-f]{6})`)
	colours := map[string]string{}
	for _, mode := range [][]byte{light, dark} {
		for _, m := range value.FindAllSubmatch(mode, -1) {
			colours[string(m[1])] = string(m[2])
		}
		for _, pair := range []string{
			"text ground", "text card", "dim ground", "dim card", "link ground", "link card", "bad card", "bad ground", "text over-ground",
			"good good-ground", "busy busy-ground", "bad bad-ground", "over over-ground", "good card",
		} {
			a, b, _ := strings.Cut(pair, " ")
			if c := contrast(t, colours[a], colours[b]); c < 4.5 {
				t.Errorf("%s has a contrast of %.2f", pair, c)
			}
		}
	}
}

func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	la, lb := luminance(t, a), luminance(t, b)
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

// luminance is the relative one of WCAG 2.
func luminance(t *testing.T, colour string) float64 {
	t.Helper()
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(colour[1+2*i:3+2*i], 16, 8)
		if err != nil {
			t.Fatalf("colour %q: %v", colour, err)
		}
		c := float64(n) / 255
		if c <= 0.03928 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}

// BenchmarkPage is what a look costs: first with 4,000 previews read anew, and as
// often as the page is made, then from what was read.
func BenchmarkPage(b *testing.B) {
	var many []preview.Report
	for n := range int64(4000) {
		many = append(many, reported(n+1, "A title of some length", preview.StateReady, nil))
	}
	s := sources(many...)
	at := now
	p := New(Config{}, s, slog.New(slog.DiscardHandler), func() time.Time { return at })
	for _, c := range []struct {
		name string
		step time.Duration
	}{{"page_anew_4000", freshFor}, {"page_again_4000", 0}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				at = at.Add(c.step)
				w := httptest.NewRecorder()
				p.render(w, httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/", nil), "page")
				if w.Code != http.StatusOK {
					b.Fatal(w.Code)
				}
			}
			fmt.Fprintf(os.Stderr, "FIGURE %s %.2f ms\n", c.name, b.Elapsed().Seconds()*1000/float64(b.N))
		})
	}
}
