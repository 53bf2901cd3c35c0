package flood

import (
	"context"
	"log/slog"
	"regexp"
	"sync"
	"time"

	"k8s.io/utils/lru"
)

const (
	// Of one message about one preview, linesPer lines are kept in each window.
	linesPer = 10
	window   = 10 * time.Second
	// quietFor is for how long a warning is not said again.
	quietFor = time.Hour
	// maxMessages is how many are told apart.
	maxMessages = 1024
)

// subjects are the attributes that tell what a warning is about.
var subjects = map[string]bool{
	"part": true, "watch": true, "kind": true, "namespace": true, "name": true, "preview": true, "application": true,
	"applicationset": true, "repository": true, "task": true, "forge": true, "restore": true, "error": true,
}

var numbers = regexp.MustCompile(`[0-9]+`)

// Sampled is a log in which nothing that is said again and again drowns the
// rest: of each message about one preview, ten lines are kept in ten seconds,
// and the next one after that says how many were not.
func Sampled(log *slog.Logger) *slog.Logger {
	return slog.New(&sampler{
		Handler: log.Handler(), seen: newMessages(linesPer, window), from: slog.LevelDebug,
		subject: func(name string) bool { return name == "preview" },
	})
}

// Quiet is a log in which a warning or an error about one thing is said once, and
// again an hour later with how often it came: what is tried again and again must
// not fill the log. One that says something else is another one, numbers aside.
func Quiet(log *slog.Logger) *slog.Logger {
	return slog.New(&sampler{
		Handler: log.Handler(), seen: newMessages(1, quietFor), from: slog.LevelWarn,
		subject: func(name string) bool { return subjects[name] },
	})
}

type sampler struct {
	slog.Handler
	seen *messages
	// from is the level below which all is kept; subject says which attributes
	// tell messages apart, about is what is known of them already.
	from    slog.Level
	subject func(name string) bool
	about   string
}

type messages struct {
	lines  int
	window time.Duration

	mu   sync.Mutex
	kept *lru.Cache
}

func newMessages(lines int, window time.Duration) *messages {
	return &messages{lines: lines, window: window, kept: lru.New(maxMessages)}
}

type message struct {
	began         time.Time
	lines, missed int
}

// Handle implements slog.Handler.
func (s *sampler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < s.from {
		return s.Handler.Handle(ctx, r)
	}
	key := r.Message + s.about
	r.Attrs(func(a slog.Attr) bool {
		key += s.of(a)
		return true
	})
	missed, keep := s.seen.count(key, r.Time)
	if !keep {
		return nil
	}
	if missed > 0 {
		r.AddAttrs(slog.Int("more_like_this", missed))
	}
	return s.Handler.Handle(ctx, r)
}

// of is an attribute's part in what tells messages apart.
func (s *sampler) of(a slog.Attr) string {
	if !s.subject(a.Key) {
		return ""
	}
	value := a.Value.String()
	if a.Key == "error" {
		// The same error has another port, time or version each time.
		value = numbers.ReplaceAllString(value, "#")
	}
	return "\x00" + a.Key + "=" + value
}

func (m *messages) count(key string, now time.Time) (missed int, keep bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known, _ := m.kept.Get(key)
	this, ok := known.(*message)
	if !ok {
		this = &message{began: now}
		m.kept.Add(key, this)
	}
	if age := now.Sub(this.began); age >= m.window || age < 0 {
		missed = this.missed
		*this = message{began: now}
	}
	if this.lines++; this.lines > m.lines {
		this.missed++
		return 0, false
	}
	return missed, true
}

// WithAttrs implements slog.Handler.
func (s *sampler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *s
	c.Handler = s.Handler.WithAttrs(attrs)
	for _, a := range attrs {
		c.about += s.of(a)
	}
	return &c
}

// WithGroup implements slog.Handler.
func (s *sampler) WithGroup(name string) slog.Handler {
	c := *s
	c.Handler = s.Handler.WithGroup(name)
	return &c
}
