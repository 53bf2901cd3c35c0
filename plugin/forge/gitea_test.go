package forge

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// giteaServer plays the calls that we make as Gitea 1.26 answers them.
type giteaServer struct {
	*httptest.Server

	mu    sync.Mutex
	pulls map[int64]map[string]any
	// timeline of pull request 1.
	timeline []map[string]any
	// perPage is the server's own limit.
	perPage  int
	statuses []map[string]any
	posted   []map[string]any
	deleted  []string
	users    map[string]string // permissions
	// before each answer; true when it answered itself.
	before func(w http.ResponseWriter, r *http.Request) bool
}

func giteaPull(n int64) map[string]any {
	repo := map[string]any{"full_name": "acme/shop"}
	return map[string]any{
		"number": n, "title": fmt.Sprint("Change ", n), "state": "open", "merged": false,
		"user": map[string]any{"login": "dev"}, "html_url": fmt.Sprint("https://git.example.com/acme/shop/pulls/", n),
		"labels": []any{map[string]any{"id": 5, "name": "preview"}},
		"base":   map[string]any{"ref": "main", "sha": strings.Repeat("b", 40), "repo": repo},
		"head":   map[string]any{"label": fmt.Sprint("feature/", n), "ref": fmt.Sprint("feature/", n), "sha": strings.Repeat("a", 40), "repo": repo},
	}
}

func label(name, by, body string) map[string]any {
	return map[string]any{
		"type": "label", "body": body, "created_at": "2026-11-21T10:00:00Z",
		"user": map[string]any{"login": by}, "label": map[string]any{"id": 5, "name": name},
	}
}

func newGiteaServer(t *testing.T, pulls int64) (*giteaServer, *Gitea) {
	t.Helper()
	s := &giteaServer{pulls: map[int64]map[string]any{}, perPage: 50, users: map[string]string{}}
	for n := int64(1); n <= pulls; n++ {
		s.pulls[n] = giteaPull(n)
	}
	write := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(v); err != nil {
			t.Error(err)
		}
	}
	page := func(r *http.Request, total int) (from, to int) {
		limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
		number, _ := strconv.Atoi(r.URL.Query().Get("page"))
		limit = min(limit, s.perPage)
		return min((number-1)*limit, total), min(number*limit, total)
	}
	mux := http.NewServeMux()
	const repo = "/api/v1/repos/acme/shop"
	mux.HandleFunc("GET /api/v1/user", func(w http.ResponseWriter, r *http.Request) { write(w, map[string]any{"login": "seedling"}) })
	mux.HandleFunc("GET "+repo, func(w http.ResponseWriter, r *http.Request) {
		write(w, map[string]any{"full_name": "acme/shop", "has_pull_requests": true})
	})
	mux.HandleFunc("GET "+repo+"/pulls", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("state") != "open" {
			t.Errorf("the list asks for %q", r.URL.RawQuery)
		}
		numbers := slices.Sorted(maps.Keys(s.pulls))
		from, to := page(r, len(numbers))
		list := []any{}
		for _, n := range numbers[from:to] {
			list = append(list, s.pulls[n])
		}
		w.Header().Set("X-Total-Count", strconv.Itoa(len(numbers)))
		write(w, list)
	})
	mux.HandleFunc("GET "+repo+"/pulls/{n}", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.ParseInt(r.PathValue("n"), 10, 64)
		p, ok := s.pulls[n]
		if !ok {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusNotFound)
			write(w, map[string]any{"message": "not found"})
			return
		}
		write(w, p)
	})
	mux.HandleFunc("GET "+repo+"/issues/1/timeline", func(w http.ResponseWriter, r *http.Request) {
		from, to := page(r, len(s.timeline))
		var list []map[string]any // null when empty, as Gitea answers
		for _, e := range s.timeline[from:to] {
			if e["type"] != "code" { // left out after the page was cut
				list = append(list, e)
			}
		}
		write(w, list)
	})
	mux.HandleFunc("GET "+repo+"/collaborators/{user}/permission", func(w http.ResponseWriter, r *http.Request) {
		p, ok := s.users[r.PathValue("user")]
		if !ok {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusNotFound)
			write(w, map[string]any{"message": "no such user"})
			return
		}
		write(w, map[string]any{"permission": p, "user": map[string]any{"login": r.PathValue("user")}})
	})
	mux.HandleFunc("GET "+repo+"/commits/{sha}/status", func(w http.ResponseWriter, r *http.Request) {
		from, to := page(r, len(s.statuses))
		write(w, map[string]any{"statuses": s.statuses[from:to]})
	})
	mux.HandleFunc("GET "+repo+"/pulls/1/reviews", func(w http.ResponseWriter, r *http.Request) {
		hidden := 0
		for _, e := range s.timeline {
			if e["type"] == "code" {
				hidden++
			}
		}
		w.Header().Set("X-Total-Count", "1")
		write(w, []any{map[string]any{"id": 1, "comments_count": hidden}})
	})
	mux.HandleFunc("POST "+repo+"/statuses/{sha}", func(w http.ResponseWriter, r *http.Request) {
		var b map[string]any
		if err := json.NewDecoder(r.Body).Decode(&b); err != nil {
			t.Error(err)
		}
		s.posted = append(s.posted, b)
		w.WriteHeader(http.StatusCreated)
		write(w, b)
	})
	mux.HandleFunc("DELETE "+repo+"/issues/{n}/labels/{id}", func(w http.ResponseWriter, r *http.Request) {
		s.deleted = append(s.deleted, r.PathValue("n")+"/"+r.PathValue("id"))
		w.WriteHeader(http.StatusNoContent)
	})
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if got := r.Header.Get("Authorization"); got != "token secret-token" {
			t.Errorf("%s %s carries %q", r.Method, r.URL, got)
		}
		if s.before != nil && s.before(w, r) {
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)

	dir := t.TempDir()
	for name, content := range map[string]string{"token": "secret-token\n", "webhook": "hook-secret\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f, err := New(Config{
		Name: "gitea", Type: "gitea", URL: s.URL + "/",
		CredentialFile: filepath.Join(dir, "token"), WebhookSecretFile: filepath.Join(dir, "webhook"),
	})
	if err != nil {
		t.Fatal(err)
	}
	g, ok := f.(*Gitea)
	if !ok {
		t.Fatalf("a forge of type gitea is %T", f)
	}
	return s, g
}

func TestGiteaList(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		pulls   int64
		perPage int
	}{{0, 50}, {1, 50}, {50, 50}, {51, 50}, {120, 50}, {75, 10}} {
		t.Run(fmt.Sprintf("%d by %d", test.pulls, test.perPage), func(t *testing.T) {
			t.Parallel()
			s, g := newGiteaServer(t, test.pulls)
			s.perPage = test.perPage
			list, err := whole(t, g, "acme/shop")
			if err != nil {
				t.Fatal(err)
			}
			seen := map[int64]bool{}
			for _, p := range list {
				seen[p.Number] = true
			}
			if int64(len(list)) != test.pulls || int64(len(seen)) != test.pulls {
				t.Errorf("%d pull requests, %d different", len(list), len(seen))
			}
		})
	}
}

func TestGiteaListWithoutCount(t *testing.T) {
	t.Parallel()
	// A proxy took the header off: pages are read until one is empty.
	s, g := newGiteaServer(t, 60)
	s.before = func(w http.ResponseWriter, r *http.Request) bool {
		page, _ := strconv.Atoi(r.URL.Query().Get("page"))
		list := []any{}
		for n := int64(page-1)*20 + 1; n <= min(int64(page)*20, 60); n++ {
			list = append(list, giteaPull(n))
		}
		_ = json.NewEncoder(w).Encode(list)
		return true
	}
	list, err := whole(t, g, "acme/shop")
	if err != nil || len(list) != 60 {
		t.Fatalf("%d pull requests, error %v", len(list), err)
	}
}

func TestGiteaNormal(t *testing.T) {
	t.Parallel()
	s, g := newGiteaServer(t, 6)
	s.pulls[2]["title"] = "WIP: not yet"
	// By a prefix of the instance's own.
	s.pulls[6]["title"], s.pulls[6]["draft"] = "Entwurf: noch nicht", true
	s.pulls[2]["head"] = map[string]any{"label": "feature/2", "ref": "feature/2", "sha": strings.Repeat("a", 40), "repo": map[string]any{"full_name": "stranger/shop"}}
	s.pulls[3]["head"] = map[string]any{"label": "feature/3", "ref": "feature/3", "sha": strings.Repeat("a", 40), "repo": nil}
	s.pulls[4]["merged"], s.pulls[4]["state"] = true, "closed"
	// Pushed to refs/for/main, for which reading is enough.
	s.pulls[5]["head"] = map[string]any{"label": "", "ref": "feature/5", "sha": strings.Repeat("a", 40), "repo": map[string]any{"full_name": "acme/shop"}}
	want := map[int64]PullRequest{
		1: {Number: 1, Title: "Change 1", HeadRepository: "acme/shop", Open: true},
		2: {Number: 2, Title: "WIP: not yet", HeadRepository: "stranger/shop", Fork: true, Draft: true, Open: true},
		3: {Number: 3, Title: "Change 3", Fork: true, Open: true},
		4: {Number: 4, Title: "Change 4", HeadRepository: "acme/shop"},
		5: {Number: 5, Title: "Change 5", HeadRepository: "acme/shop", Fork: true, Open: true},
		6: {Number: 6, Title: "Entwurf: noch nicht", HeadRepository: "acme/shop", Draft: true, Open: true},
	}
	for n, p := range want {
		p.Author, p.Branch, p.TargetBranch, p.HeadSHA, p.Labels = "dev", fmt.Sprint("feature/", n), "main", strings.Repeat("a", 40), []string{"preview"}
		p.URL = fmt.Sprint("https://git.example.com/acme/shop/pulls/", n)
		got, err := g.Get(t.Context(), "acme/shop", n)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p, got); diff != "" {
			t.Error(diff)
		}
	}
}

// TestGiteaSaysWhyThereIsNoList: behind a 404 is what to do about it.
func TestGiteaSaysWhyThereIsNoList(t *testing.T) {
	t.Parallel()
	const repository = "/api/v1/repos/acme/shop"
	for name, c := range map[string]struct{ repository, says string }{
		"empty":        {`{"full_name":"acme/shop","empty":true,"has_pull_requests":true}`, "has no commit yet, push a first one"},
		"switched off": {`{"full_name":"acme/shop"}`, "has its pull requests switched off"},
		"not seen":     {"", "there is no such repository, or the credential may not see it"},
		"well":         {`{"full_name":"acme/shop","has_pull_requests":true}`, "404 not found"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, g := newGiteaServer(t, 1)
			s.before = func(w http.ResponseWriter, r *http.Request) bool {
				switch {
				case r.URL.Path == repository && c.repository != "":
					w.Header().Set("Content-Type", "application/json")
					fmt.Fprint(w, c.repository)
				case r.URL.Path == repository || r.URL.Path == repository+"/pulls":
					w.Header().Set("Content-Type", "application/json")
					w.WriteHeader(http.StatusNotFound)
					fmt.Fprint(w, `{"message":"not found"}`)
				default:
					return false
				}
				return true
			}
			if _, err := whole(t, g, "acme/shop"); err == nil || !strings.HasSuffix(err.Error(), c.says) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestGiteaNeverShort: whatever goes wrong is an error, and never a list.
func TestGiteaNeverShort(t *testing.T) {
	t.Parallel()
	on := func(page string, answer func(w http.ResponseWriter, r *http.Request)) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Query().Get("page") != page {
				return false
			}
			answer(w, r)
			return true
		}
	}
	status := func(code int) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "secret detail", code) }
	}
	text := func(body string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }
	}
	tests := []struct {
		name   string
		before func(http.ResponseWriter, *http.Request) bool
	}{
		{"500", on("1", status(500))},
		{"404", on("1", status(404))},
		{"401", on("1", status(401))},
		{"403", on("1", status(403))},
		{"429", on("1", status(429))},
		{"204", on("1", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })},
		{"500 on page 2", on("2", status(500))},
		{"404 on page 2", on("2", status(404))},
		{"no body", on("1", text(""))},
		{"null", on("1", text("null"))},
		{"empty list without a count", on("1", text("[]"))},
		{"object", on("1", text("{}"))},
		{"HTML", on("1", text("<html>down for maintenance</html>"))},
		{"cut", on("2", text(`[{"number":51`))},
		{"list of null", on("1", text("[null]"))},
		{"no number", on("1", text(`[{"title":"x"}]`))},
		{"redirect", on("1", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) })},
		{"hangs up", on("2", func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				c.Close()
			}
		})},
		{"page 2 is empty", on("2", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Total-Count", "120")
			fmt.Fprint(w, "[]")
		})},
		{"the same page again and again", func(w http.ResponseWriter, r *http.Request) bool {
			q := r.URL.Query()
			q.Set("page", "1")
			r.URL.RawQuery = q.Encode()
			return false
		}},
		{"changes all the time", func(w http.ResponseWriter, r *http.Request) bool {
			page, _ := strconv.Atoi(r.URL.Query().Get("page"))
			w.Header().Set("X-Total-Count", strconv.Itoa(200-page))
			_ = json.NewEncoder(w).Encode([]any{giteaPull(int64(page))})
			return true
		}},
		{"never ends", func(w http.ResponseWriter, r *http.Request) bool {
			page, _ := strconv.Atoi(r.URL.Query().Get("page"))
			_ = json.NewEncoder(w).Encode([]any{giteaPull(int64(page))})
			return true
		}},
		{"too large", on("1", func(w http.ResponseWriter, _ *http.Request) {
			chunk := []byte(strings.Repeat(" ", 1<<20))
			for range maxBody>>20 + 1 {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
			fmt.Fprint(w, "[]")
		})},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, g := newGiteaServer(t, 120)
			s.before = test.before
			list, err := whole(t, g, "acme/shop")
			if err == nil {
				t.Fatalf("a list of %d", len(list))
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error quotes: %v", err)
			}
		})
	}
	t.Run("timeout", func(t *testing.T) {
		t.Parallel()
		_, g := newGiteaServer(t, 1)
		silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
		t.Cleanup(silent.Close)
		g.config.URL, g.http.Timeout = silent.URL, 50*time.Millisecond
		if _, err := whole(t, g, "acme/shop"); err == nil {
			t.Error("no error")
		}
	})
	t.Run("no such path", func(t *testing.T) {
		t.Parallel()
		_, g := newGiteaServer(t, 1)
		for _, repo := range []string{"", "shop", "a/b/c", "/shop"} {
			if _, err := whole(t, g, repo); err == nil {
				t.Errorf("%q is listed", repo)
			}
		}
	})
	t.Run("no credential", func(t *testing.T) {
		t.Parallel()
		_, g := newGiteaServer(t, 1)
		g.config.CredentialFile += "-gone"
		if _, err := whole(t, g, "acme/shop"); err == nil {
			t.Error("no error")
		}
	})
}

func TestGiteaListThatMoves(t *testing.T) {
	t.Parallel()
	// Number 3 closes between the pages of the first try.
	s, g := newGiteaServer(t, 120)
	moved := false
	s.before = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("page") == "2" && !moved {
			moved = true
			delete(s.pulls, 3)
		}
		return false
	}
	list, err := whole(t, g, "acme/shop")
	if err != nil || len(list) != 119 {
		t.Fatalf("%d pull requests, error %v", len(list), err)
	}
}

func TestGiteaGone(t *testing.T) {
	t.Parallel()
	s, g := newGiteaServer(t, 1)
	if _, err := g.Get(t.Context(), "acme/shop", 9); !errors.Is(err, ErrGone) {
		t.Errorf("error %v", err)
	}
	// Gitea says 404 of a repository we may not see; that is not gone.
	s.before = func(w http.ResponseWriter, _ *http.Request) bool {
		http.Error(w, "{}", http.StatusNotFound)
		return true
	}
	if _, err := g.Get(t.Context(), "acme/shop", 9); err == nil || errors.Is(err, ErrGone) {
		t.Errorf("error %v", err)
	}
	s.before = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/acme/shop") {
			return false
		}
		fmt.Fprint(w, `{"full_name":"acme/shop","has_pull_requests":false}`)
		return true
	}
	if _, err := g.Get(t.Context(), "acme/shop", 9); err == nil || errors.Is(err, ErrGone) {
		t.Errorf("error %v", err)
	}
	// It says so too of pull requests that we may not see any more in a
	// repository that we may.
	s.before = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/pulls") {
			return false
		}
		http.Error(w, "{}", http.StatusNotFound)
		return true
	}
	if _, err := g.Get(t.Context(), "acme/shop", 1); err == nil || errors.Is(err, ErrGone) {
		t.Errorf("error %v", err)
	}
}

func TestGiteaLabelled(t *testing.T) {
	t.Parallel()
	code := map[string]any{"type": "code"}
	tests := []struct {
		name     string
		timeline []map[string]any
		by       string // "" for ErrNotLabelled
	}{
		{"never", nil, ""},
		{"once", []map[string]any{{"type": "comment"}, label("preview", "maintainer", "1")}, "maintainer"},
		{"another label", []map[string]any{label("bug", "maintainer", "1")}, ""},
		{"taken off", []map[string]any{label("preview", "maintainer", "1"), label("preview", "maintainer", "")}, ""},
		{"set again by another", []map[string]any{label("preview", "maintainer", "1"), label("preview", "maintainer", ""), label("preview", "stranger", "1")}, "stranger"},
		{"nobody", []map[string]any{{"type": "label", "body": "1", "label": map[string]any{"name": "preview"}}}, ""},
		{"on the second page", append(slices.Repeat([]map[string]any{{"type": "comment"}}, 70), label("preview", "maintainer", "1")), "maintainer"},
		{"behind an empty page", append(slices.Repeat([]map[string]any{code}, 50), label("preview", "maintainer", "1")), "maintainer"},
		{"behind many empty pages", append(slices.Repeat([]map[string]any{code}, 1000), label("preview", "maintainer", "1")), "maintainer"},
		{"set again behind an empty page", slices.Concat([]map[string]any{label("preview", "author", "1")},
			slices.Repeat([]map[string]any{code}, 60), []map[string]any{label("preview", "author", ""), label("preview", "maintainer", "1")}), "maintainer"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, g := newGiteaServer(t, 1)
			s.timeline = test.timeline
			got, err := g.Labelled(t.Context(), "acme/shop", 1, "preview")
			if test.by == "" {
				if !errors.Is(err, ErrNotLabelled) {
					t.Errorf("%+v, error %v", got, err)
				}
				return
			}
			if err != nil || got.By != test.by || got.At.IsZero() {
				t.Errorf("%+v, error %v", got, err)
			}
		})
	}
	t.Run("no answer", func(t *testing.T) {
		t.Parallel()
		s, g := newGiteaServer(t, 1)
		s.timeline = []map[string]any{label("preview", "maintainer", "1")}
		s.before = func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Query().Get("page") == "2" {
				w.WriteHeader(http.StatusBadGateway)
				return true
			}
			return false
		}
		if _, err := g.Labelled(t.Context(), "acme/shop", 1, "preview"); err == nil || errors.Is(err, ErrNotLabelled) {
			t.Errorf("error %v", err)
		}
	})
}

func TestGiteaCanWrite(t *testing.T) {
	t.Parallel()
	s, g := newGiteaServer(t, 1)
	s.users = map[string]string{"owner": "owner", "admin": "admin", "writer": "write", "reader": "read", "none": "none", "odd": "something"}
	for user, want := range map[string]bool{"owner": true, "admin": true, "writer": true, "reader": false, "none": false, "odd": false, "gone": false} {
		got, err := g.CanWrite(t.Context(), "acme/shop", user)
		if err != nil || got != want {
			t.Errorf("%s: %v, error %v", user, got, err)
		}
	}
	s.before = func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusForbidden)
		return true
	}
	if _, err := g.CanWrite(t.Context(), "acme/shop", "writer"); err == nil || !strings.Contains(err.Error(), "must administer the repository") {
		t.Errorf("error %v", err)
	}
}

// TestGiteaNamesNobody: errors go into the log, where no login belongs.
func TestGiteaNamesNobody(t *testing.T) {
	t.Parallel()
	s, g := newGiteaServer(t, 1)
	ask := func(what string) {
		t.Helper()
		if _, err := g.CanWrite(t.Context(), "acme/shop", "some-person"); err == nil || strings.Contains(err.Error(), "some-person") {
			t.Errorf("%s: error %v", what, err)
		}
	}
	s.before = func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusBadGateway)
		return true
	}
	ask("a failing forge")
	s.before = func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, "/login?for=some-person", http.StatusFound)
		return true
	}
	ask("one that redirects")
	s.Close()
	ask("one that is down")
}

func TestGiteaPassed(t *testing.T) {
	t.Parallel()
	s, g := newGiteaServer(t, 1)
	status := func(id int, name, state string) map[string]any {
		return map[string]any{"id": id, "context": name, "status": state}
	}
	for n := range 60 {
		s.statuses = append(s.statuses, status(1000-n, "lint", "success"))
	}
	s.statuses = append(s.statuses, status(5, "ci/images", "success"), status(4, "ci/images", "failure"), status(3, "ci/other", "pending"), status(2, "ci/other", "success"))
	for name, want := range map[string]bool{"ci/images": true, "ci/other": false, "ci/none": false} {
		got, err := g.Passed(t.Context(), "acme/shop", strings.Repeat("a", 40), name)
		if err != nil || got != want {
			t.Errorf("%s: %v, error %v", name, got, err)
		}
	}
}

func TestGiteaWrites(t *testing.T) {
	t.Parallel()
	s, g := newGiteaServer(t, 1)
	long := strings.Repeat("ä", 300)
	if err := g.SetStatus(t.Context(), "acme/shop", strings.Repeat("a", 40), Status{Context: "seedling/previews", State: Pending, Description: long}); err != nil {
		t.Fatal(err)
	}
	if p := s.posted[0]; p["state"] != "pending" || p["context"] != "seedling/previews" || len([]rune(fmt.Sprint(p["description"]))) != maxDescription {
		t.Errorf("posted %v", p)
	}
	if err := g.RemoveLabel(t.Context(), "acme/shop", 1, "preview"); err != nil {
		t.Fatal(err)
	}
	if err := g.RemoveLabel(t.Context(), "acme/shop", 1, "not-there"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"1/5"}, s.deleted); diff != "" {
		t.Error(diff)
	}
	login, err := g.Login(t.Context())
	if err != nil || login != "seedling" {
		t.Errorf("%q, error %v", login, err)
	}
}

func TestGiteaEvent(t *testing.T) {
	t.Parallel()
	_, g := newGiteaServer(t, 0)
	pr := giteaPull(7)
	delete(pr, "number") // the payload has it outside
	payload, err := json.Marshal(map[string]any{
		"action": "label_updated", "number": 7, "pull_request": pr,
		"repository": map[string]any{"full_name": "acme/shop"}, "sender": map[string]any{"login": "maintainer"},
	})
	if err != nil {
		t.Fatal(err)
	}
	sign := func(secret string, body []byte) string {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(body)
		return hex.EncodeToString(mac.Sum(nil))
	}
	tests := []struct {
		name, event, signature string
		body                   []byte
		err                    error
	}{
		{"good", "pull_request", sign("hook-secret", payload), payload, nil},
		{"wrong secret", "pull_request", sign("guess", payload), payload, ErrSignature},
		{"empty secret", "pull_request", sign("", payload), payload, ErrSignature},
		{"no signature", "pull_request", "", payload, ErrSignature},
		{"no hex", "pull_request", "zz", payload, ErrSignature},
		{"another body", "pull_request", sign("hook-secret", payload), append([]byte(" "), payload...), ErrSignature},
		{"a push", "push", sign("hook-secret", payload), payload, ErrIgnored},
		{"a review", "pull_request_approved", sign("hook-secret", payload), payload, ErrIgnored},
		{"no pull request", "pull_request", sign("hook-secret", []byte("{}")), []byte("{}"), ErrIgnored},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{}
			h.Set("X-Gitea-Event", test.event)
			h.Set("X-Gitea-Signature", test.signature)
			e, err := g.Event(h, test.body)
			if !errors.Is(err, test.err) {
				t.Fatalf("error %v", err)
			}
			if err == nil && (e.Repository != "acme/shop" || e.Sender != "maintainer" || e.PullRequest.Number != 7 || !e.PullRequest.HasLabel("preview")) {
				t.Errorf("%+v", e)
			}
		})
	}
	t.Run("closed", func(t *testing.T) {
		t.Parallel()
		closed := giteaPull(7)
		closed["state"], closed["closed_at"] = "closed", "2026-11-21T12:00:00Z"
		body, err := json.Marshal(map[string]any{
			"action": "closed", "number": 7, "pull_request": closed,
			"repository": map[string]any{"full_name": "acme/shop"}, "sender": map[string]any{"login": "maintainer"},
		})
		if err != nil {
			t.Fatal(err)
		}
		h := http.Header{}
		h.Set("X-Gitea-Event", "pull_request")
		h.Set("X-Gitea-Signature", sign("hook-secret", body))
		e, err := g.Event(h, body)
		if err != nil {
			t.Fatal(err)
		}
		if want := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC); !e.ClosedAt.Equal(want) {
			t.Errorf("closed at %s", e.ClosedAt)
		}
	})
	t.Run("as Gitea 1.26 sent it", func(t *testing.T) {
		t.Parallel()
		body, err := os.ReadFile("testdata/gitea_label_updated.json")
		if err != nil {
			t.Fatal(err)
		}
		c := newGitea(g.config)
		c.config.WebhookSecretFile = filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(c.config.WebhookSecretFile, []byte("hooksecret"), 0o600); err != nil {
			t.Fatal(err)
		}
		h := http.Header{}
		h.Set("X-Gitea-Event", "pull_request")
		h.Set("X-Gitea-Event-Type", "pull_request_label")
		h.Set("X-Gitea-Signature", "68dfd7337bad89b9c4f4a8f53d9cc7400feb27cbebbfcf404dde3285314f632d")
		e, err := c.Event(h, body)
		if err != nil {
			t.Fatal(err)
		}
		p := e.PullRequest
		if want := time.Date(2026, 11, 21, 4, 0, 1, 0, time.UTC); !p.UpdatedAt.Equal(want) {
			t.Errorf("changed at %s", p.UpdatedAt)
		}
		if e.Repository != "acme/shop" || e.Sender != "writer" || p.Number != 3 || !p.Open || p.Fork || !p.HasLabel("preview") || len(p.HeadSHA) != 40 {
			t.Errorf("%+v", e)
		}
	})
	t.Run("Forgejo's own headers count", func(t *testing.T) {
		t.Parallel()
		h := http.Header{}
		h.Set("X-Gitea-Event", "pull_request")
		h.Set("X-Gitea-Signature", sign("hook-secret", payload))
		h.Set("X-Forgejo-Signature", sign("guess", payload))
		if _, err := g.Event(h, payload); !errors.Is(err, ErrSignature) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("no secret configured", func(t *testing.T) {
		t.Parallel()
		c := newGitea(g.config)
		c.config.WebhookSecretFile = ""
		h := http.Header{}
		h.Set("X-Gitea-Event", "pull_request")
		h.Set("X-Gitea-Signature", sign("", payload))
		if _, err := c.Event(h, payload); !errors.Is(err, ErrSignature) {
			t.Errorf("error %v", err)
		}
	})
}

func TestConfig(t *testing.T) {
	t.Parallel()
	good := Config{Name: "gitea", Type: "gitea", URL: "https://git.example.com/sub", CredentialFile: "x"}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	err := Config{Name: "Git", Type: "svn", URL: "https://me:secret@git.example.com"}.Validate()
	for _, want := range []string{"name", "type", "url", "credentialFile"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the error quotes: %v", err)
	}
}

// whole reads a list to its end, or its first error.
func whole(t *testing.T, f Forge, repository string) ([]PullRequest, error) {
	t.Helper()
	l := f.List(repository, Query{})
	for {
		done, err := l.Next(t.Context())
		switch {
		case err != nil:
			return nil, err
		case done:
			return l.List().PullRequests, nil
		}
	}
}
