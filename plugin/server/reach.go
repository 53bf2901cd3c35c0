package server

import (
	"sync"
	"time"
)

const (
	// reachSettles is how long it takes from a probe that calls the pod ready until
	// everybody who asks the Service comes out here.
	reachSettles = 2 * time.Second
	// reachAfter is when nobody who probes is waited for any more.
	reachAfter = 15 * time.Second
	reachAgain = 500 * time.Millisecond
)

// Reach knows whether Argo CD would reach this process. One that is asked to ask
// before, while the Service has no endpoint, is answered by nobody: what it sent
// first decides in the kernel where all its tries go, so that it waits for its
// whole timeout, and no label counts meanwhile.
type Reach struct {
	// Now is the clock.
	Now func() time.Time

	mu       sync.Mutex
	began    time.Time // the first question
	probed   time.Time // the first probe that found it ready
	answered bool
}

// Probed is told that a probe was answered with ready.
func (r *Reach) Probed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.probed.IsZero() {
		r.probed = r.Now()
	}
}

// Asked is told that Argo CD has asked: it reaches us.
func (r *Reach) Asked() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answered = true
}

// Wait is for how long Argo CD is better left alone, 0 if it may be poked.
func (r *Reach) Wait() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.Now()
	if r.began.IsZero() {
		r.began = now
	}
	switch {
	case r.answered, now.Sub(r.began) >= reachAfter:
		return 0
	case r.probed.IsZero():
		return reachAgain
	default:
		return max(r.probed.Add(reachSettles).Sub(now), 0)
	}
}
