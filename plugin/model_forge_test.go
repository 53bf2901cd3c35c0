package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/seedling-dev/seedling/plugin/forge/forgetest"
)

// hub is the forge with what is in between. It notes what it says that is not
// so: two sightings that are apart, one of them a complete list, are believed.
type hub struct {
	life    *life
	handler http.Handler

	mu  sync.Mutex
	now func(w http.ResponseWriter, r *http.Request) bool
	// lies are what was said of a pull request, truth when the record of events
	// was told as it is, and there when it was told by number that it is open.
	lies         map[int64][]lie
	truth, there map[int64]time.Time
}

// lie is one sighting that is not so.
type lie struct {
	at   time.Time
	what string
}

const (
	lieMissing   = "it is not there"
	lieAbsent    = "a list lacks it"
	lieBare      = "it has no label"
	lieBareList  = "it has no label in a list"
	apartAtLeast = 9 * time.Second
)

// answers is a fault: it is true where it answered.
type answers = func(w http.ResponseWriter, r *http.Request) bool

func (h *hub) set(f answers) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = f
}

// ServeHTTP implements http.Handler.
func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	f := h.now
	h.mu.Unlock()
	if f != nil && f(w, r) {
		return
	}
	if n := numberOf(r, "/timeline"); n > 0 {
		h.mu.Lock()
		h.truth[n] = time.Now()
		h.mu.Unlock()
	}
	if n := numberOf(r, ""); n > 0 && r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/pulls/") {
		if p := h.copies()[n]; p != nil && !p.Closed {
			h.mu.Lock()
			h.there[n] = time.Now()
			h.mu.Unlock()
		}
	}
	h.handler.ServeHTTP(w, r)
}

// numberOf is the pull request that a call is about, 0 for none.
func numberOf(r *http.Request, sub string) int64 {
	path, ok := strings.CutSuffix(r.URL.Path, sub)
	if !ok {
		return 0
	}
	n, _ := strconv.ParseInt(path[strings.LastIndex(path, "/")+1:], 10, 64) // 0 for what is none
	return n
}

func lists(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/pulls") }

// first is for the first page of a list: there it begins, by our clock.
func first(r *http.Request) bool { return lists(r) && r.URL.Query().Get("page") == "1" }

func (h *hub) lied(n int64, what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lies[n] = append(h.lies[n], lie{time.Now(), what})
}

// saidGone says whether two sightings said that a pull request is not there, and
// a list is among them that began after the other. What was said by number counts
// until the opposite is.
func (h *hub) saidGone(n int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	missing := slices.ContainsFunc(h.lies[n], func(l lie) bool { return l.what == lieMissing && !l.at.Before(h.there[n]) })
	return missing && h.confirmed(n, lieAbsent, time.Time{}, lieMissing, lieAbsent)
}

// saidUnlabelled says whether two sightings said that a label is not there, and
// the record of events did not say otherwise.
func (h *hub) saidUnlabelled(n int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.confirmed(n, lieBareList, h.truth[n], lieBare, lieBareList)
}

// confirmed says whether a lie of one kind came that was apart from the first of
// some. The caller holds mu.
func (h *hub) confirmed(n int64, by string, since time.Time, of ...string) bool {
	var first time.Time
	for _, l := range h.lies[n] {
		if l.at.Before(since) || !slices.Contains(of, l.what) {
			continue
		}
		if first.IsZero() {
			first = l.at
		}
		if l.what == by && l.at.Sub(first) >= apartAtLeast {
			return true
		}
	}
	return false
}

// says answers with a status code, as something in between does.
func says(code int, kind, body string, header ...string) answers {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", kind)
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		fmt.Fprint(w, body)
		return true
	}
}

const (
	page404 = "default backend - 404"
	own404  = `{"message":"The target couldn't be found.","url":"https://git.example.com/api/swagger"}`
	login   = "<html><form>Log in</form></html>"
)

// choose chooses what goes wrong, until something else is set.
func (h *hub) choose() {
	rng := h.life.rng
	if rng.IntN(8) == 0 {
		h.lose(h.life.any())
		return
	}
	all := h.faults(rng)
	name := slices.Sorted(maps.Keys(all))[rng.IntN(len(all))]
	f := all[name]
	// All calls, or some of them, or those of one kind.
	switch rng.IntN(4) {
	case 0:
		name += ", now and then"
		f = some(rand.New(rand.NewPCG(rng.Uint64(), 1)), f)
	case 1:
		part := []string{"/pulls", "/timeline", "/reviews", "/permission"}[rng.IntN(4)]
		name += ", for " + part
		f = onlyFor(part, f)
	}
	h.life.note("  the forge: %s", name)
	h.set(f)
}

// lose has a pull request be not there when it is asked for by number, for a push
// that a webhook tells of.
func (h *hub) lose(n int64) {
	h.life.note("  the forge: %d is not here, which was pushed to", n)
	h.set(h.missing(n))
	if h.copies()[n] == nil {
		return
	}
	told := h.life.change(n, "synchronized", func(p *forgetest.Pull, _ time.Time) { p.SHA = fmt.Sprintf("%040x", h.life.rng.Int64()) })
	h.life.webhook(told)
}

func some(rng *rand.Rand, f answers) answers {
	var mu sync.Mutex
	return func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		hit := rng.IntN(3) == 0
		mu.Unlock()
		return hit && f(w, r)
	}
}

func onlyFor(part string, f answers) answers {
	return func(w http.ResponseWriter, r *http.Request) bool {
		return strings.HasSuffix(r.URL.Path, part) && f(w, r)
	}
}

func (h *hub) faults(rng *rand.Rand) map[string]answers {
	n := h.life.any()
	wait := strconv.Itoa(1 + rng.IntN(150))
	seconds := time.Duration(1+rng.IntN(40)) * time.Second
	hidden := map[int64]bool{}
	for n := int64(1); n <= modelPulls; n++ {
		hidden[n] = rng.IntN(2) == 0
	}
	all := map[string]answers{
		"502":           says(502, "text/html", "<html>Bad Gateway</html>"),
		"500":           says(500, "application/json", `{"message":"database is locked"}`),
		"401":           says(401, "application/json", `{"message":"token is required"}`),
		"403":           says(403, "application/json", `{"message":"forbidden"}`),
		"410":           says(410, "text/plain", "gone"),
		"429, seconds":  says(429, "application/json", `{"message":"slow down"}`, "Retry-After", wait),
		"429, no word":  says(429, "text/plain", "slow down"),
		"429, a date":   func(w http.ResponseWriter, r *http.Request) bool { return h.limited(w, r, seconds) },
		"maintenance":   says(503, "text/html", "<html>", "Retry-After", wait),
		"a proxy's 404": says(404, "text/plain", page404),
		"404 as JSON":   says(404, "application/json", `"not found"`),
		"own 404":       says(404, "application/json", own404),
		"a login page":  says(200, "text/html", login),
		"an object":     says(200, "application/json", "{}"),
		"nothing":       says(200, "application/json", ""),
		"null":          says(200, "application/json", "null"),
		"204":           says(204, "application/json", ""),
		"no list":       onlyFor("/pulls", says(200, "application/json", "[]")),
		"an empty list": h.emptyList,
		"an empty page": h.emptyPage,
		"half a list":   says(200, "application/json", `[{"number":1,`),
		"closed":        func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) },
		"cut": h.altered(func(b []byte, header http.Header) []byte {
			header.Set("Content-Length", strconv.Itoa(len(b)+10))
			return b
		}),
		"cut in half": h.altered(func(b []byte, header http.Header) []byte { header.Del("Content-Length"); return b[:len(b)/2] }),
		"slow":        func(http.ResponseWriter, *http.Request) bool { time.Sleep(seconds); return false },
		"moved":       redirects("/api/v1/repos/acme/store", 301),
		"elsewhere":   redirects("https://elsewhere.example.com/api/v1/repos/acme/shop", 307),
		"to log in": func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, "/user/login", http.StatusFound)
			return true
		},
		"one is not here": h.missing(n),
		"a list lacks some": h.told(lieAbsent, func(pulls map[int64]*forgetest.Pull) []int64 {
			var lost []int64
			for n := range pulls {
				if hidden[n] {
					lost = append(lost, n)
					delete(pulls, n)
				}
			}
			return lost
		}),
		"old answers": h.stale(),
		"one has no label": h.told(lieBareList, func(pulls map[int64]*forgetest.Pull) []int64 {
			p := pulls[n]
			if p == nil || !slices.Contains(p.Labels, forgetest.Label) {
				return nil
			}
			p.Labels = slices.DeleteFunc(slices.Clone(p.Labels), func(s string) bool { return s == forgetest.Label })
			return []int64{n}
		}),
		"null in a list": h.altered(func(b []byte, _ http.Header) []byte { return replaceFirst(b, func(string) string { return "null" }) }),
		"one twice": h.altered(func(b []byte, _ http.Header) []byte {
			return replaceFirst(b, func(s string) string { return s + "," + s })
		}),
		"no number": h.altered(func(b []byte, _ http.Header) []byte {
			return replaceFirst(b, func(string) string { return `{"title":"x"}` })
		}),
		"another's number": h.altered(func(b []byte, _ http.Header) []byte {
			return bytes.ReplaceAll(b, []byte(`"number":`), []byte(`"number":1`))
		}),
	}
	for _, total := range []string{"0", "1", "1000", "x", "-1", ""} {
		all["a total of "+total] = h.altered(func(b []byte, header http.Header) []byte {
			header.Del("X-Total-Count")
			if total != "" {
				header.Set("X-Total-Count", total)
			}
			return b
		})
	}
	return all
}

// limited says until when by the forge's clock.
func (h *hub) limited(w http.ResponseWriter, r *http.Request, d time.Duration) bool {
	now := h.life.forgeNow().UTC()
	return says(429, "application/json", "{}", "Date", now.Format(http.TimeFormat), "Retry-After", now.Add(d).Format(http.TimeFormat))(w, r)
}

func redirects(to string, code int) answers {
	return func(w http.ResponseWriter, r *http.Request) bool {
		_, rest, ok := strings.Cut(r.URL.Path, "/repos/"+forgetest.Repository)
		if ok {
			w.Header().Set("Location", to+rest)
			w.WriteHeader(code)
		}
		return ok
	}
}

// missing says in the forge's own form that one is not there. Its list has it.
func (h *hub) missing(n int64) answers {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || numberOf(r, "") != n {
			return false
		}
		h.lied(n, lieMissing)
		return says(404, "application/json", own404)(w, r)
	}
}

// emptyList is a list that says that there is nothing.
func (h *hub) emptyList(w http.ResponseWriter, r *http.Request) bool {
	if !lists(r) {
		return false
	}
	if first(r) {
		for n := int64(1); n <= modelPulls; n++ {
			h.lied(n, lieAbsent)
		}
	}
	return says(200, "application/json", "[]", "X-Total-Count", "0")(w, r)
}

// emptyPage is a page with nothing on it in a list that says how much it has.
func (h *hub) emptyPage(w http.ResponseWriter, r *http.Request) bool {
	return lists(r) && says(200, "application/json", "[]", "X-Total-Count", "7")(w, r)
}

// told answers lists and questions as if pull requests were otherwise. A list
// that lacks one says nothing when it is asked for by number.
func (h *hub) told(what string, change func(map[int64]*forgetest.Pull) []int64) answers {
	var mu sync.Mutex
	lost := map[int64]bool{}
	return func(w http.ResponseWriter, r *http.Request) bool {
		n := numberOf(r, "")
		if r.Method != http.MethodGet || !lists(r) && (n == 0 || what == lieAbsent) {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		pulls := h.copies()
		if first(r) || !lists(r) {
			before := maps.Clone(pulls)
			clear(lost)
			for _, n := range change(pulls) {
				lost[n] = true
			}
			if what == lieAbsent {
				pulls = before
			}
		} else if what != lieAbsent {
			change(pulls)
		}
		for gone := range lost {
			if what == lieAbsent {
				delete(pulls, gone)
			}
			switch {
			case first(r):
				h.lied(gone, what)
			case n == gone:
				h.lied(gone, lieBare)
			}
		}
		h.play(pulls).ServeHTTP(w, r)
		return true
	}
}

// stale tells of pull requests as they were. No cache is older than minutes.
func (h *hub) stale() answers {
	since := time.Now()
	old := map[int64]forgetest.Pull{}
	for n, p := range h.life.before {
		if h.life.rng.IntN(2) == 0 {
			old[n] = p
		}
	}
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !lists(r) && numberOf(r, "") == 0 || time.Since(since) > 2*time.Minute {
			return false
		}
		pulls := h.copies()
		for n, p := range old {
			if is := pulls[n]; is != nil && h.life.forgeNow().Sub(is.Updated) < 5*time.Minute {
				pulls[n] = &p
			}
		}
		h.play(pulls).ServeHTTP(w, r)
		return true
	}
}

func (h *hub) copies() map[int64]*forgetest.Pull {
	pulls := map[int64]*forgetest.Pull{}
	h.life.world.Change(func() {
		for n, p := range h.life.world.Pulls {
			c := *p
			pulls[n] = &c
		}
	})
	return pulls
}

// play is a forge with other pull requests.
func (h *hub) play(pulls map[int64]*forgetest.Pull) http.Handler {
	return h.life.kind.Handler(&forgetest.World{Pulls: pulls, Users: h.life.world.Users, PageSize: h.life.world.PageSize})
}

// altered changes the answer of a list on its way.
func (h *hub) altered(change func(b []byte, header http.Header) []byte) answers {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !lists(r) {
			return false
		}
		is := httptest.NewRecorder()
		h.handler.ServeHTTP(is, r)
		maps.Copy(w.Header(), is.Header())
		body := change(is.Body.Bytes(), w.Header())
		w.WriteHeader(is.Code)
		_, _ = w.Write(body)
		return true
	}
}

// replaceFirst puts something in the place of the first entry of a list.
func replaceFirst(list []byte, with func(string) string) []byte {
	var entries []json.RawMessage
	if json.Unmarshal(list, &entries) != nil || len(entries) == 0 {
		return list
	}
	var b strings.Builder
	b.WriteString("[" + with(string(entries[0])))
	for _, e := range entries[1:] {
		b.WriteString("," + string(e))
	}
	return []byte(b.String() + "]")
}
