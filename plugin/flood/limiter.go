package flood

import (
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/utils/lru"
)

// Limiter bounds calls for each key, such as an address. It remembers the keys
// that were seen last; one that is forgotten begins anew.
type Limiter struct {
	perSecond rate.Limit
	burst     int

	mu   sync.Mutex
	keys *lru.Cache
}

const (
	// maxKeys is how many keys one Limiter remembers: some 200 bytes each.
	maxKeys = 8192

	// The pause after a failure doubles from firstPause to maxPause, and is
	// firstPause again when forgiveAfter went by without one.
	firstPause   = 2 * time.Second
	maxPause     = 30 * time.Second
	forgiveAfter = 5 * time.Minute
)

// NewLimiter allows each key that many calls per second, and burst at once.
func NewLimiter(perSecond float64, burst int) *Limiter {
	return &Limiter{perSecond: rate.Limit(perSecond), burst: burst, keys: lru.New(maxKeys)}
}

// source is what is known of one key.
type source struct {
	bucket *rate.Limiter
	// blocked is until when nothing is allowed, after failures in a row.
	blocked  time.Time
	failures int
}

// Take counts a call. wait is 0 when it is allowed, and otherwise how long it
// takes until one will be.
func (l *Limiter) Take(key string, now time.Time) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.source(key)
	if wait := s.blocked.Sub(now); wait > 0 {
		return wait
	}
	if s.bucket.AllowN(now, 1) {
		return 0
	}
	missing := 1 - s.bucket.TokensAt(now)
	return time.Duration(math.Ceil(missing / float64(l.perSecond) * float64(time.Second)))
}

// Fail says that a call of this key was worth nothing: the next ones wait, and
// longer each time.
func (l *Limiter) Fail(key string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.source(key)
	if now.Sub(s.blocked) > forgiveAfter {
		s.failures = 0
	}
	pause := min(firstPause<<min(s.failures, 10), maxPause)
	s.failures++
	s.blocked = now.Add(pause)
}

// source is the caller's to use while it holds mu.
func (l *Limiter) source(key string) *source {
	if known, ok := l.keys.Get(key); ok {
		if s, ok := known.(*source); ok {
			return s
		}
	}
	s := &source{bucket: rate.NewLimiter(l.perSecond, l.burst)}
	l.keys.Add(key, s)
	return s
}

// Slots bounds the calls of each key that are under way at the same time.
type Slots struct {
	most int

	mu    sync.Mutex
	taken map[string]int
}

// NewSlots allows each key that many at once.
func NewSlots(most int) *Slots {
	return &Slots{most: most, taken: map[string]int{}}
}

// Take takes a slot and returns what gives it back, nil when all are taken.
func (s *Slots) Take(key string) (give func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken[key] >= s.most {
		return nil
	}
	s.taken[key]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.taken[key]--; s.taken[key] == 0 {
			delete(s.taken, key)
		}
	}
}
