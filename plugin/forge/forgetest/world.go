// Package forgetest is what every forge must pass: one suite, driven over HTTP
// against a server that answers as the API's documentation says, with faults.
//
// Its promise: a forge that passes never has a list that is short, never says
// gone or unlabelled where that is not what the forge said, and lets nobody
// grant consent but by the forge's own record.
package forgetest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seedling-dev/seedling/plugin/forge"
)

// What the suite asks for.
const (
	Repository = "acme/shop"
	Label      = "preview"
	SHA        = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	token      = "secret-token"
	secret     = "hook-secret"
	delivery   = "72d3162e-cc78-11e3-81ab-4c9367dc0958"
)

// Start is when the world begins, by the forge's clock.
var Start = time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)

// Kind is a kind of forge: its type in the configuration, a server that plays
// it, and how it signs.
type Kind struct {
	Type string
	// Handler answers as the forge's documentation says. Faults come before it.
	Handler func(*World) http.Handler
	// Credential is the token that a call carries.
	Credential func(*http.Request) string
	// Webhook is a genuine call about a pull request. Action is "labeled",
	// "closed", or "push" or "deployment" for an event that concerns none.
	Webhook func(p *Pull, action, secret string) (http.Header, []byte)
	// ListPaths are what the path of a call for a page of a list ends in.
	ListPaths []string
	// BodyUnsigned says that a call's proof says nothing of its body.
	BodyUnsigned bool
	// Approvals says that the forge has an approval where others have a label.
	Approvals bool
	// NoRemovals says that it keeps no record of labels that were taken off.
	NoRemovals bool
	// Grants says that its webhooks prove which commit somebody approved.
	Grants bool
	// NoUpdates says that the forge does not tell when a pull request changed last,
	// NoSender that its webhooks do not tell who did it.
	NoUpdates, NoSender bool
	// FileCalls is how many calls ask for the 110 files of a pull request; at
	// least 4 where it is 0.
	FileCalls int
	// Deployed are the deployments that are there, as group/name, the first letter of
	// the commit and the address; nil where the forge has none.
	Deployed func(*World) []string
	// Person is what the forge calls somebody; the name where it is nil.
	Person func(name string) string
	// Login is as whom we call; seedling where it is empty.
	Login string
	// Configure, where it is not nil, completes the configuration. Files of its
	// own go into dir.
	Configure func(dir string, c *forge.Config) error
}

func (k Kind) label() string {
	if k.Approvals {
		return forge.Approved
	}
	return Label
}

func (k Kind) person(name string) string {
	if k.Person == nil || name == "" {
		return name
	}
	return k.Person(name)
}

func (k Kind) lists(r *http.Request) bool {
	return slices.ContainsFunc(k.ListPaths, func(path string) bool { return strings.HasSuffix(r.URL.Path, path) })
}

// World is what a forge would know. Its fields are for one goroutine at a time:
// calls hold its lock, and Change takes it.
type World struct {
	mu sync.Mutex

	// Repository is the one whose world it is; the suite's where it is empty.
	Repository string
	Pulls      map[int64]*Pull
	// Users are permissions: admin, write, read, none. One who is missing does
	// not exist.
	Users    map[string]string
	Statuses []Status
	// Runs are check runs, where the forge has them.
	Runs []Status
	// Commits of branch main, the newest first.
	Commits []Commit
	// PageSize is the server's own bound.
	PageSize int
	// Fault is asked before each call; true when it answered itself.
	Fault func(w http.ResponseWriter, r *http.Request) bool
	// Calls that came.
	Calls int
	// Set are statuses that were set, Removed labels that were taken off.
	Set     []map[string]any
	Removed []string
	// Unlabelled is told of a label that a call took off; nil for nobody.
	Unlabelled func(p *Pull, label string)
	// Comments are by pull request, the oldest first. Private is whether only
	// members can read.
	Comments  map[int64][]*Comment
	commented int64
	Private   bool
	// AsApp says that who calls is an App.
	AsApp bool
	// Deployments that were made, the oldest first, and Environments.
	Deployments  []*Deployed
	Environments []*Environment
}

// Pull is a pull request.
type Pull struct {
	// Repository is the suite's where it is empty, so is SHA; the target is main,
	// the branch feature.
	Repository, SHA, TargetBranch, Branch string

	Number   int64
	Title    string
	Body     string
	Closed   bool
	ClosedAt time.Time
	Draft    bool
	Updated  time.Time
	Labels   []string
	// HeadRepository is empty where the fork is gone.
	HeadRepository string
	// Files are those that it changes.
	Files []File
	// Null entries of a list cannot be read.
	Null   bool
	Events []Event
	// Statuses are set on it and not on a commit, where the forge has such.
	Statuses []PullStatus
}

// PullStatus is a status of a pull request's push: 2 is the last one's number, 0
// stands for the pull request as a whole.
type PullStatus struct {
	Status

	Push int
	ID   int // its place in the list, where it is 0
}

// approvers are those whose approval stands, the last first, where the forge has
// approvals: the label is one, and taking it off takes all back. Of one that is
// only on the pull request nobody knows whose it is.
func (p *Pull) approvers() []Event {
	var standing []Event
	for _, e := range p.Events {
		switch {
		case e.Label != Label:
		case e.Added:
			standing = append([]Event{e}, standing...)
		default:
			standing = nil
		}
	}
	if len(p.Events) == 0 && slices.Contains(p.Labels, Label) {
		standing = []Event{{Label: Label, Added: true, At: p.Updated}}
	}
	return standing
}

// Event is an entry of the record of events; one without a label is a comment.
type Event struct {
	Label string
	By    string // empty for a deleted user
	Added bool
	At    time.Time
}

// Status is a commit status; the later in the list the newer.
type Status struct {
	Context, State string
}

// File is one that a pull request changes; Before is its name until then, where
// it is renamed.
type File struct {
	Path, Before string
}

// Commit is one of branch main, and the files that it changed.
type Commit struct {
	SHA   string
	At    time.Time
	Files []string
}

// touching are the commits that changed a file, or anything in a folder.
func (w *World) touching(path string) []Commit {
	var list []Commit
	for _, c := range w.Commits {
		if path == "" || slices.ContainsFunc(c.Files, func(f string) bool { return f == path || strings.HasPrefix(f, path+"/") }) {
			list = append(list, c)
		}
	}
	return list
}

// Open are the open pull requests, the oldest first.
func (w *World) Open() []*Pull { return w.sorted(false) }

// All are all pull requests, the last changed first.
func (w *World) All() []*Pull {
	all := w.sorted(true)
	slices.SortStableFunc(all, func(a, b *Pull) int { return b.Updated.Compare(a.Updated) })
	return all
}

func (w *World) sorted(closed bool) []*Pull {
	var pulls []*Pull
	for _, n := range slices.Sorted(maps.Keys(w.Pulls)) {
		if p := w.Pulls[n]; closed || !p.Closed {
			pulls = append(pulls, p)
		}
	}
	return pulls
}

// pullOf is the pull request that a call is about; nil for none.
func pullOf(w *World, r *http.Request) *Pull {
	n, _ := strconv.ParseInt(r.PathValue("n"), 10, 64)
	return w.Pulls[n]
}

// Change changes the world while no call is answered.
func (w *World) Change(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

// newWorld has that many open, labelled pull requests.
func newWorld(pulls int64) *World {
	w := &World{Pulls: map[int64]*Pull{}, Users: map[string]string{}, PageSize: 50}
	for n := int64(1); n <= pulls; n++ {
		w.Pulls[n] = &Pull{
			Number: n, Title: "Change", Labels: []string{Label}, HeadRepository: Repository,
			Updated: Start.Add(time.Duration(n) * time.Minute),
		}
	}
	return w
}

// Handler plays the world, one call at a time.
func (w *World) Handler(k Kind) http.Handler {
	handler := k.Handler(w)
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.Calls++
		if w.Fault == nil || !w.Fault(rw, r) {
			handler.ServeHTTP(rw, r)
		}
	})
}

// serve plays the world, and sees that calls carry the credential.
func (w *World) serve(tb testing.TB, k Kind) *httptest.Server {
	tb.Helper()
	handler := w.Handler(k)
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if got := k.Credential(r); got != token {
			tb.Errorf("%s %s carries the credential %q", r.Method, r.URL.Path, got)
		}
		handler.ServeHTTP(rw, r)
	}))
	tb.Cleanup(s.Close)
	return s
}

// answer writes JSON.
func answer(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) //nolint:errchkjson // maps of strings and numbers marshal, and a client that went away is its own test
}

func notFound(w http.ResponseWriter) {
	answer(w, http.StatusNotFound, map[string]any{"message": "Not Found"})
}

func sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

func named(names []string) []any {
	list := []any{}
	for _, name := range names {
		list = append(list, map[string]any{"id": labelID(name), "name": name})
	}
	return list
}

func labelID(name string) int64 {
	id := int64(1)
	for _, r := range name {
		id = id*31%9973 + int64(r)
	}
	return id
}

func person(login string) any {
	if login == "" {
		return nil
	}
	return map[string]any{"login": login}
}

func page[T any](list []T, number, size int) []T {
	from := min((max(number, 1)-1)*size, len(list))
	return list[from:min(from+size, len(list))]
}
