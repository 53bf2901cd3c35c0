package platformtest

import (
	"sync"
	"testing"
)

// Turns says which tests of a package go on at once. Those that change the whole
// installation (the plugin's mode, the seed, Argo CD, the Git host) go on alone,
// one after the other, in the order of their files. All others go on before them,
// some at once.
//
// A test waits for its turn while it holds one of go test's own places, so those
// must be more than there are tests.
type Turns struct {
	mu      sync.Mutex
	changed *sync.Cond
	// places is how many go on at once.
	places int
	// asked and running count those that go on beside others: without a place, and
	// with one.
	asked, running int
	// tickets were given to those that go on alone, and the first served of them
	// have ended.
	tickets, served int
	alone           bool
}

// NewTurns lets so many tests go on at once.
func NewTurns(places int) *Turns {
	o := &Turns{places: places}
	o.changed = sync.NewCond(&o.mu)
	return o
}

// Beside makes a test parallel, and waits until there is a place for it. The place
// is free again when the test has ended, or when it calls leave: one that only
// waits for something to be gone holds nobody up.
func (o *Turns) Beside(t *testing.T) (leave func()) {
	t.Helper()
	// Before it is parallel: go test comes by all tests before the first parallel
	// one goes on, so those that go on alone know whom they wait for.
	o.ask()
	t.Parallel()
	o.enter()
	leave = sync.OnceFunc(o.leave)
	t.Cleanup(leave)
	return leave
}

// Take is Beside for a test that has said by itself whether it is parallel: who
// goes on alone does not know of it before it comes here.
func (o *Turns) Take(t *testing.T) {
	t.Helper()
	o.ask()
	o.enter()
	t.Cleanup(o.leave)
}

// Alone makes a test parallel, and waits until no other goes on, and none will
// while this one does.
func (o *Turns) Alone(t *testing.T) {
	t.Helper()
	ticket := o.ticket()
	t.Parallel()
	o.enterAlone(ticket)
	t.Cleanup(o.leaveAlone)
}

func (o *Turns) ask() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked++
}

func (o *Turns) enter() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.alone || o.running == o.places {
		o.changed.Wait()
	}
	o.asked--
	o.running++
}

func (o *Turns) leave() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.running--
	o.changed.Broadcast()
}

func (o *Turns) ticket() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tickets++
	return o.tickets - 1
}

func (o *Turns) enterAlone(ticket int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.alone || o.asked+o.running > 0 || o.served < ticket {
		o.changed.Wait()
	}
	o.alone = true
}

func (o *Turns) leaveAlone() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.alone = false
	o.served++
	o.changed.Broadcast()
}
