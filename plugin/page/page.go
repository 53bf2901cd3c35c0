package page

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/seedling-dev/seedling/plugin/ended"
	"github.com/seedling-dev/seedling/plugin/forge"
	"github.com/seedling-dev/seedling/plugin/preview"
)

const (
	// freshFor is how old what is shown may be, mostRenders how many pages are made
	// at once; whoever comes then is asked to come again.
	freshFor    = 2 * time.Second
	mostRenders = 4
	// Making it anew takes at most a 50th of the time; mostSent is how many queries'
	// answers are kept until then.
	restFor  = 50
	mostSent = 32
	// mostForm bounds a login form. Logins are bounded for all together: nobody
	// guesses a token, and this keeps guessing cheap.
	mostForm                      = 4 << 10
	loginsPerSecond, loginsAtOnce = 2, 20
	// Each waking writes the state.
	wakesPerSecond, wakesAtOnce = 2, 20
)

// policy is what a browser may do with the page: show it, with our own style and
// script, and send our own forms to us.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

//go:embed assets
var assets embed.FS

var templates = template.Must(template.New("").Funcs(template.FuncMap{"moment": moment}).ParseFS(assets, "assets/*.html"))

// Sources is where the page's content comes from. All return copies.
type Sources struct {
	Previews func() []preview.Report
	Ended    func() []ended.Preview
	Status   func() preview.Status
	Forges   func() map[string]forge.Budget
	// Wake wakes a preview that sleeps; nil where nobody can.
	Wake func(ctx context.Context, namespace string) error
	// Leads is nil while this process leads and has loaded its state.
	Leads   func() error
	Cluster *Looker
}

// Page serves the status page.
type Page struct {
	Config
	Sources
	Log *slog.Logger
	Now func() time.Time

	renders chan struct{}
	logins  *rate.Limiter
	wakes   *rate.Limiter

	mu   sync.Mutex
	last *world
	// until is how long last is good, sent what was made of it, by query.
	until time.Time
	sent  map[query][]byte
}

// New makes a Page.
func New(c Config, s Sources, log *slog.Logger, now func() time.Time) *Page {
	return &Page{
		Config: c, Sources: s, Log: log, Now: now,
		renders: make(chan struct{}, mostRenders), logins: rate.NewLimiter(loginsPerSecond, loginsAtOnce),
		wakes: rate.NewLimiter(wakesPerSecond, wakesAtOnce),
	}
}

// Handler serves the page and nothing else.
func (p *Page) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.whole)
	mux.HandleFunc("GET /fragment", p.fragment)
	mux.HandleFunc("GET /login", p.form)
	mux.HandleFunc("POST /login", p.login)
	mux.HandleFunc("POST /logout", p.logout)
	mux.HandleFunc("POST /wake", p.wake)
	for name, kind := range map[string]string{"page.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml"} {
		mux.HandleFunc("GET /"+name, func(w http.ResponseWriter, _ *http.Request) { asset(w, name, kind) })
	}
	// Browsers say where a form was sent from: from another site none is taken.
	guarded := http.NewCrossOriginProtection().Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		// Nothing goes elsewhere; without any, browsers would not say where a form is
		// from.
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		guarded.ServeHTTP(w, r)
	})
}

func asset(w http.ResponseWriter, name, kind string) {
	b, err := assets.ReadFile("assets/" + name)
	if err != nil { // they are in the program
		http.Error(w, "this file is missing", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", kind)
	_, _ = w.Write(b) // whoever is gone misses it
}

// may says whether who asks may look, and answers if not.
func (p *Page) may(w http.ResponseWriter, r *http.Request, redirect bool) bool {
	who, err := p.Config.of(r, p.Now())
	switch {
	case err != nil:
		p.Log.ErrorContext(r.Context(), "the status page's token could not be read", "error", err)
		http.Error(w, "the page's token cannot be read; the plugin's log says why", http.StatusServiceUnavailable)
	case who == reader:
		return true
	case who == stranger && redirect:
		to := "/login"
		if r.URL.RawQuery != "" {
			to += "?" + url.Values{"to": {r.URL.RawQuery}}.Encode()
		}
		http.Redirect(w, r, to, http.StatusSeeOther)
	case who == stranger:
		w.Header().Set("WWW-Authenticate", `Bearer realm="seedling"`)
		http.Error(w, "log in first", http.StatusUnauthorized)
	default:
		http.Error(w, "this page is behind a proxy that says who is logged in", http.StatusForbidden)
	}
	return false
}

func (p *Page) whole(w http.ResponseWriter, r *http.Request) {
	if p.may(w, r, true) {
		p.render(w, r, "page")
	}
}

func (p *Page) fragment(w http.ResponseWriter, r *http.Request) {
	if p.may(w, r, false) {
		p.render(w, r, "content")
	}
}

// render answers with a template of what is shown now. It is whole, or an error.
func (p *Page) render(w http.ResponseWriter, r *http.Request, name string) {
	select {
	case p.renders <- struct{}{}:
		defer func() { <-p.renders }()
	default:
		w.Header().Set("Retry-After", "2")
		http.Error(w, "many look at this page at once; try again in a moment", http.StatusServiceUnavailable)
		return
	}
	q := readQuery(r.URL.Query())
	world := p.world(p.Now())
	content, err := p.content(world, q)
	var b bytes.Buffer
	if err == nil && name == "page" {
		err = templates.ExecuteTemplate(&b, name, frame{
			Query: q, Here: "?" + q.encode(), At: world.at.UTC().Format("2006-01-02 15:04:05 UTC"),
			CanLogOut: p.TokenFile != "" && !p.proxied(r), Content: template.HTML(content), //nolint:gosec // it is what a template made
		})
	}
	if err != nil {
		p.Log.ErrorContext(r.Context(), "the status page could not be made: this is a bug", "error", err)
		http.Error(w, "the page could not be made; the plugin's log says why", http.StatusInternalServerError)
		return
	}
	if name == "content" {
		b.Write(content)
		sum := sha256.Sum256(content)
		tag := `"` + hex.EncodeToString(sum[:12]) + `"`
		w.Header().Set("ETag", tag)
		if r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(b.Bytes()) // whoever is gone misses it
}

// world is what is shown, made anew when it is too old. Others wait meanwhile.
func (p *Page) world(now time.Time) *world {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last != nil && !now.Before(p.last.at) && now.Before(p.until) {
		return p.last
	}
	began := time.Now()
	p.last, p.sent = newWorld(p.Sources, now), map[query][]byte{}
	p.until = now.Add(max(freshFor, restFor*time.Since(began)))
	return p.last
}

// content is what the page shows of a world, for a query. Whoever asks the same gets
// the same.
func (p *Page) content(w *world, q query) ([]byte, error) {
	p.mu.Lock()
	made, ok := p.sent[q]
	ok = ok && p.last == w
	p.mu.Unlock()
	if ok {
		return made, nil
	}
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, "content", w.view(q)); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last == w && len(p.sent) < mostSent {
		p.sent[q] = b.Bytes()
	}
	return b.Bytes(), nil
}

// wake wakes one preview, and shows the page again. It is the one thing that the
// page lets its readers change.
func (p *Page) wake(w http.ResponseWriter, r *http.Request) {
	if !p.may(w, r, true) {
		return
	}
	if p.Wake == nil {
		http.NotFound(w, r)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, mostForm)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "the form could not be read", http.StatusBadRequest)
		return
	}
	if !p.wakes.AllowN(p.Now(), 1) {
		w.Header().Set("Retry-After", "5")
		http.Error(w, "many previews are woken at once: try again in a moment", http.StatusTooManyRequests)
		return
	}
	switch err := p.Wake(r.Context(), r.PostForm.Get("preview")); {
	case errors.Is(err, preview.ErrNoPreview):
		http.Error(w, "there is no such preview any more", http.StatusNotFound)
	case err != nil:
		p.Log.ErrorContext(r.Context(), "a preview could not be woken", "error", err)
		http.Error(w, "it could not be woken; the plugin's log says why", http.StatusServiceUnavailable)
	default:
		p.mu.Lock()
		p.last = nil // who looks now sees it wake
		p.mu.Unlock()
		http.Redirect(w, r, "./", http.StatusSeeOther)
	}
}

// frame is what is around the content.
type frame struct {
	Query     query
	Here, At  string
	CanLogOut bool
	Content   template.HTML
}

// formView is what the login form shows.
type formView struct{ Wrong, To string }

func (p *Page) form(w http.ResponseWriter, r *http.Request) {
	if p.TokenFile == "" {
		http.NotFound(w, r)
		return
	}
	p.showForm(w, r, http.StatusOK, formView{To: readQuery(values(r.URL.Query().Get("to"))).encode()})
}

func (p *Page) showForm(w http.ResponseWriter, r *http.Request, status int, v formView) {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, "login", v); err != nil {
		p.Log.ErrorContext(r.Context(), "the login form could not be made: this is a bug", "error", err)
		status = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // whoever is gone misses it
}

func (p *Page) login(w http.ResponseWriter, r *http.Request) {
	if p.TokenFile == "" {
		http.NotFound(w, r)
		return
	}
	if !p.logins.AllowN(p.Now(), 1) {
		w.Header().Set("Retry-After", "5")
		p.showForm(w, r, http.StatusTooManyRequests, formView{Wrong: "Too many logins at once: try again in a moment."})
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, mostForm)
	if err := r.ParseForm(); err != nil {
		p.showForm(w, r, http.StatusBadRequest, formView{Wrong: "The form could not be read."})
		return
	}
	to := readQuery(values(r.PostForm.Get("to"))).encode()
	token, err := p.token()
	switch {
	case err != nil:
		p.Log.ErrorContext(r.Context(), "the status page's token could not be read", "error", err)
		p.showForm(w, r, http.StatusServiceUnavailable, formView{Wrong: "The page's token cannot be read; the plugin's log says why.", To: to})
		return
	case !same(strings.TrimSpace(r.PostForm.Get("token")), token):
		p.Log.WarnContext(r.Context(), "a login to the status page carried a wrong token", "from", r.RemoteAddr)
		p.showForm(w, r, http.StatusForbidden, formView{Wrong: "That is not the token.", To: to})
		return
	}
	setLogin(w, login(token, p.Now()))
	target := "/"
	if to != "" {
		target += "?" + to
	}
	http.Redirect(w, r, target, http.StatusSeeOther) //nolint:gosec // it begins with / or /?, and has only what readQuery knows
}

func (p *Page) logout(w http.ResponseWriter, r *http.Request) {
	setLogin(w, "")
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}
