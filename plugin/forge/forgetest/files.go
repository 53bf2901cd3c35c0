package forgetest

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seedling-dev/seedling/plugin/forge"
)

// changed are that many files in folder api, the last one renamed.
func changed(n int) (list []File, paths []string) {
	for i := range n {
		f := File{Path: fmt.Sprintf("api/file %04d.go", i)}
		if i == n-1 {
			f.Before = "web/was.go"
			paths = append(paths, f.Before)
		}
		list, paths = append(list, f), append(paths, f.Path)
	}
	slices.Sort(paths)
	return list, paths
}

// files: a list is complete, or it says why it is not.
func files(t *testing.T, k Kind) {
	for _, test := range []struct{ files, pageSize int }{{0, 50}, {1, 50}, {50, 50}, {51, 50}, {100, 100}, {240, 100}, {75, 10}} {
		w := newWorld(1)
		w.PageSize = test.pageSize
		var want []string
		w.Pulls[1].Files, want = changed(test.files)
		got, err := open(t, k, w).Changes(t.Context(), Repository, 1, SHA)
		slices.Sort(got.Paths)
		if err != nil || got.Cut != "" || !slices.Equal(got.Paths, want) {
			t.Errorf("%d by %d: %d paths, cut %q, error %v", test.files, test.pageSize, len(got.Paths), got.Cut, err)
		}
	}
	w := newWorld(2)
	w.PageSize = 100
	w.Pulls[1].Files, _ = changed(3200)
	w.Pulls[2].Files = []File{{Path: strings.Repeat("a", 600<<10)}, {Path: "b"}}
	f := open(t, k, w)
	for n := range w.Pulls {
		got, err := f.Changes(t.Context(), Repository, n, SHA)
		if err != nil || got.Cut == "" || len(got.Paths) != 0 {
			t.Errorf("%d is too large: %d paths, cut %q, error %v", n, len(got.Paths), got.Cut, err)
		}
	}
}

// filesNeverShort: whatever goes wrong is an error, and neither no file nor fewer.
func filesNeverShort(t *testing.T, k Kind) {
	for name, fault := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"an error":      reply(http.StatusInternalServerError, "application/json", `{"message":"x"}`),
		"a login page":  reply(http.StatusOK, "text/html", "<html>log in</html>"),
		"an object":     reply(http.StatusOK, "application/json", `{}`),
		"nothing":       reply(http.StatusOK, "application/json", ""),
		"null":          reply(http.StatusOK, "application/json", "null"),
		"half a list":   reply(http.StatusOK, "application/json", `[{"filename":"a",`),
		"an empty list": reply(http.StatusOK, "application/json", "[]"),
		"no names":      reply(http.StatusOK, "application/json", "[{},{}]"),
		"a proxy's 404": reply(http.StatusNotFound, "text/plain", "default backend - 404"),
		"its own 404":   reply(http.StatusNotFound, "application/json", `{"message":"Not Found"}`),
	} {
		for from := 1; from <= 2*cmp.Or(k.FileCalls, 4); from++ {
			call, only := (from+1)/2, from%2 == 0
			w := newWorld(1)
			w.Pulls[1].Files, _ = changed(110)
			f := open(t, k, w)
			if k.Configure != nil { // an App's token is not what fails here
				if _, err := f.Get(t.Context(), Repository, 1); err != nil {
					t.Fatal(err)
				}
			}
			w.Change(func() {
				seen := 0
				w.Fault = func(rw http.ResponseWriter, r *http.Request) bool {
					seen++
					rw.Header().Set("X-Total-Count", "110")
					return (seen == call || seen > call && !only) && fault(rw, r)
				}
			})
			if got, err := f.Changes(t.Context(), Repository, 1, SHA); err == nil {
				t.Errorf("%s at call %d (only there: %v): %d paths, cut %q", name, call, only, len(got.Paths), got.Cut)
			}
			if w.Calls > 20 {
				t.Errorf("%s at call %d: %d calls", name, call, w.Calls)
			}
		}
	}
}

// otherHead: an answer is about the head that was asked about, whenever it moves.
func otherHead(t *testing.T, k Kind) {
	other := strings.Repeat("d", 40)
	w := newWorld(1)
	w.Pulls[1].Files, _ = changed(110)
	f := open(t, k, w)
	if got, err := f.Changes(t.Context(), Repository, 1, other); !errors.Is(err, forge.ErrOtherHead) {
		t.Errorf("%d paths, error %v", len(got.Paths), err)
	}
	for from := 1; from <= cmp.Or(k.FileCalls, 4); from++ {
		seen := 0
		w.Change(func() {
			w.Pulls[1].SHA = SHA
			w.Fault = func(http.ResponseWriter, *http.Request) bool {
				if seen++; seen == from {
					w.Pulls[1].SHA = other
				}
				return false
			}
		})
		if got, err := f.Changes(t.Context(), Repository, 1, SHA); !errors.Is(err, forge.ErrOtherHead) {
			t.Errorf("pushed before call %d: %d paths, error %v", from, len(got.Paths), err)
		}
	}
}

func touched(t *testing.T, k Kind) {
	w := newWorld(1)
	sha := func(n int) string { return fmt.Sprintf("%040x", n) }
	for n := 60; n > 0; n-- {
		path := "web/page.ts"
		if n%2 == 0 {
			path = "services/api/main.go"
		}
		// Times tell nothing: this one is the same for all.
		w.Commits = append(w.Commits, Commit{SHA: sha(n), At: Start, Files: []string{path}})
	}
	w.Commits = append(w.Commits, Commit{SHA: sha(999), At: Start.Add(time.Hour), Files: []string{"docs/a b#c?.md", "services/api2/x"}})
	f := open(t, k, w)
	for path, want := range map[string][]string{
		"services/api2": {sha(999)}, "docs/a b#c?.md": {sha(999)}, "services/api": {sha(60), sha(58)}, "web/page.ts": {sha(59), sha(57)},
		"services": {sha(60), sha(58)}, "": {sha(60), sha(59)}, "services/ap": nil,
	} {
		got, err := f.Touched(t.Context(), Repository, "main", path)
		var shas []string
		for _, c := range got {
			shas = append(shas, c.SHA)
			if c.At.Before(Start) {
				t.Errorf("%q: %s was committed at %s", path, c.SHA, c.At)
			}
		}
		if err != nil || len(got) > forge.MaxTouched || !slices.Equal(shas[:min(len(shas), len(want))], want) || len(want) < 2 && len(got) != len(want) {
			t.Errorf("%q: %v, error %v", path, shas, err)
		}
	}
	if got, err := f.Touched(t.Context(), Repository, "gone", "web"); err == nil {
		t.Errorf("of a branch that is not there: %+v", got)
	}
	for name, fault := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"an error": reply(http.StatusBadGateway, "text/html", "<html>"), "a proxy's 404": reply(http.StatusNotFound, "text/plain", "404"),
		"its own 404": reply(http.StatusNotFound, "application/json", `{"message":"Not Found"}`), "forbidden": reply(http.StatusForbidden, "application/json", `{"message":"no"}`),
		"null": reply(http.StatusOK, "application/json", "null"), "no names": reply(http.StatusOK, "application/json", "[{},{}]"),
	} {
		w.Change(func() { w.Fault = fault })
		if got, err := f.Touched(t.Context(), Repository, "main", "web"); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
