package queue

import (
	"sync"
	"time"
)

// Class is how much hurry a piece of work is in.
type Class int

const (
	// Urgent work is what somebody has just asked for. It goes first, but every
	// fourth place is for the rest.
	Urgent Class = iota
	// Normal work is what decisions wait for.
	Normal
	// Telling work decides nothing. It has a quarter of the places at most, and of
	// those for the rest one in four.
	Telling
	classes
)

// urgentInRow is how much urgent work may begin before other work has a turn,
// urgentBeforeTelling before work has one that only tells.
const (
	urgentInRow         = 3
	urgentBeforeTelling = 15
)

// Queue runs work of many owners, a bounded number at a time. Owners take
// turns; each owner's work begins in the order it came.
type Queue struct {
	places  int
	now     func() time.Time
	mu      sync.Mutex
	rings   [classes]ring
	running [classes]int
	// row is how much urgent work began since other work did, untold since telling
	// work did.
	row, untold int
	limited     time.Time
	timer       *time.Timer
	closed      bool
	work        sync.WaitGroup
	began       uint64
}

// ring is the waiting work of one class: owners in turn, each with its own.
type ring struct {
	turn    []string
	waiting map[string][]item
	count   int
}

type item struct {
	run   func()
	since time.Time
}

// New makes a queue with that many places.
func New(places int) *Queue {
	q := &Queue{places: places, now: time.Now}
	for c := range q.rings {
		q.rings[c].waiting = map[string][]item{}
	}
	return q
}

// Add lets run begin when it is its turn, in a goroutine of its own. It does
// not wait. After Close nothing begins.
func (q *Queue) Add(owner string, class Class, run func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	q.rings[class].add(owner, item{run: run, since: q.now()})
	q.begin()
}

// Limit keeps work from beginning until then. An earlier time than one that
// was given before changes nothing.
func (q *Queue) Limit(until time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if until.After(q.limited) {
		q.limited = until
		q.begin()
	}
}

// Close keeps waiting work from beginning, and waits for what runs.
func (q *Queue) Close() {
	q.mu.Lock()
	q.closed = true
	if q.timer != nil {
		q.timer.Stop()
	}
	for c := range q.rings {
		q.rings[c] = ring{waiting: map[string][]item{}}
	}
	q.mu.Unlock()
	q.work.Wait()
}

// Stats are a queue's figures at one moment.
type Stats struct {
	// Waiting and Running are by Class.
	Waiting, Running [int(classes)]int
	// Oldest is how long the longest waiting work has waited.
	Oldest time.Duration
	// Began is how much work has begun since the start.
	Began uint64
	// LimitedUntil is zero, or until when nothing begins.
	LimitedUntil time.Time
}

// Stats says how the queue is doing.
func (q *Queue) Stats() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := Stats{Began: q.began, Running: q.running}
	now := q.now()
	for c := range q.rings {
		s.Waiting[c] = q.rings[c].count
		for _, items := range q.rings[c].waiting {
			s.Oldest = max(s.Oldest, now.Sub(items[0].since))
		}
	}
	if q.limited.After(now) {
		s.LimitedUntil = q.limited
	}
	return s
}

// begin starts what has a place. The caller holds mu.
func (q *Queue) begin() {
	if q.closed {
		return
	}
	if wait := q.limited.Sub(q.now()); wait > 0 {
		if q.timer != nil {
			q.timer.Stop()
		}
		q.timer = time.AfterFunc(wait, func() {
			q.mu.Lock()
			defer q.mu.Unlock()
			q.begin()
		})
		return
	}
	for {
		class, ok := q.next()
		if !ok {
			return
		}
		it := q.rings[class].take()
		q.running[class]++
		q.began++
		q.work.Go(func() {
			defer func() {
				q.mu.Lock()
				defer q.mu.Unlock()
				q.running[class]--
				q.begin()
			}()
			it.run()
		})
	}
}

// next chooses the class whose turn it is.
func (q *Queue) next() (Class, bool) {
	inUse := 0
	for _, n := range q.running {
		inUse += n
	}
	if inUse >= q.places {
		return 0, false
	}
	has := func(c Class) bool {
		return q.rings[c].count > 0 && (c != Telling || q.running[Telling] < max(1, q.places/4))
	}
	others := has(Normal) || has(Telling) && q.untold >= urgentBeforeTelling
	switch {
	case has(Urgent) && (q.row < urgentInRow || !others):
		q.row++
		q.untold++
		return Urgent, true
	case has(Normal):
		q.row = 0
		return Normal, true
	case has(Telling):
		q.row, q.untold = 0, 0
		return Telling, true
	default:
		return 0, false
	}
}

func (r *ring) add(owner string, it item) {
	if len(r.waiting[owner]) == 0 {
		r.turn = append(r.turn, owner)
	}
	r.waiting[owner] = append(r.waiting[owner], it)
	r.count++
}

// take removes the first item of the owner whose turn it is, who then goes to
// the end of the line.
func (r *ring) take() item {
	owner := r.turn[0]
	r.turn = r.turn[1:]
	items := r.waiting[owner]
	it := items[0]
	if len(items) > 1 {
		r.waiting[owner] = items[1:]
		r.turn = append(r.turn, owner)
	} else {
		delete(r.waiting, owner)
	}
	r.count--
	return it
}
