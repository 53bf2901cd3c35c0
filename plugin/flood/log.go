package flood

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"k8s.io/utils/lru"
)

const (
	// Of one message about one preview, linesPer lines are kept in each window.
	linesPer = 10
	window   = 10 * time.Second
	// maxMessages is how many are told apart.
	maxMessages = 1024
)

// Sampled is a log in which nothing that is said again and again drowns the
// rest: of each message about one preview, ten lines are kept in ten seconds,
// and the next one after that says how many were not.
func Sampled(log *slog.Logger) *slog.Logger {
	return slog.New(&sampler{Handler: log.Handler(), seen: &messages{kept: lru.New(maxMessages)}})
}

type sampler struct {
	slog.Handler
	seen *messages
}

type messages struct {
	mu   sync.Mutex
	kept *lru.Cache
}

type message struct {
	began         time.Time
	lines, missed int
}

// Handle implements slog.Handler.
func (s *sampler) Handle(ctx context.Context, r slog.Record) error {
	key := r.Message
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "preview" {
			key += "\x00" + a.Value.String()
		}
		return a.Key != "preview"
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

func (m *messages) count(key string, now time.Time) (missed int, keep bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known, _ := m.kept.Get(key)
	this, ok := known.(*message)
	if !ok {
		this = &message{began: now}
		m.kept.Add(key, this)
	}
	if now.Sub(this.began) >= window {
		missed = this.missed
		*this = message{began: now}
	}
	if this.lines++; this.lines > linesPer {
		this.missed++
		return 0, false
	}
	return missed, true
}

// WithAttrs implements slog.Handler.
func (s *sampler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &sampler{Handler: s.Handler.WithAttrs(attrs), seen: s.seen}
}

// WithGroup implements slog.Handler.
func (s *sampler) WithGroup(name string) slog.Handler {
	return &sampler{Handler: s.Handler.WithGroup(name), seen: s.seen}
}
