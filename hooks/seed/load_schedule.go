package seed

import (
	"context"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// job is one piece of work that needs a session: a table's rows, an index, a
// constraint.
type job struct {
	cost  int64 // the dearest ready job runs first
	after int   // jobs that must be done before
	next  []*job
	locks []tableLock
	run   func(context.Context, *pgx.Conn) error
	// outside jobs are not run here: another job does them and calls done
	outside bool
	done    func()
}

// tableLock is what a job's statement locks: two jobs that would wait for each
// other in the server are not started together.
type tableLock struct {
	table     int // dump id
	exclusive bool
}

// lock adds a table, and all below it, to what a job locks.
func (j *job) lock(table int, exclusive bool, below map[int][]int) {
	for _, t := range append([]int{table}, descendants(table, below)...) {
		i := slices.IndexFunc(j.locks, func(l tableLock) bool { return l.table == t })
		switch {
		case i < 0:
			j.locks = append(j.locks, tableLock{t, exclusive})
		case exclusive:
			j.locks[i].exclusive = true
		}
	}
}

// before makes b wait for a.
func before(a, b *job) {
	a.next = append(a.next, b)
	b.after++
}

// scheduler runs jobs in the order of their dependencies over a number of
// sessions.
type scheduler struct {
	mu    sync.Mutex
	wake  *sync.Cond
	ready []*job
	left  int
	held  map[int]int // table: -1 exclusive, else the number of sharers
	// share, if set, is asked for work when no job is ready: help with a
	// running one
	share *sharing
}

// runJobs runs all jobs over n sessions.
func runJobs(ctx context.Context, jobs []*job, n int, open func(context.Context) (*pgx.Conn, error), share *sharing) error {
	s := &scheduler{left: len(jobs), held: map[int]int{}, share: share}
	s.wake = sync.NewCond(&s.mu)
	if share != nil {
		share.wake = func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.wake.Broadcast()
		}
	}
	for _, j := range jobs {
		switch {
		case j.outside:
			j.done = func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.finish(j)
			}
		case j.after == 0:
			s.ready = append(s.ready, j)
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.wake.Broadcast()
	})
	defer stop()
	for range min(n, max(1, len(jobs))) {
		group.Go(func() error {
			conn, err := open(ctx)
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
			return s.work(ctx, conn)
		})
	}
	return group.Wait()
}

func (s *scheduler) work(ctx context.Context, conn *pgx.Conn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if s.left == 0 {
			return nil
		}
		j := s.take()
		if j == nil {
			if s.share != nil {
				if help := s.share.find(); help != nil {
					s.mu.Unlock()
					err := help(ctx, conn)
					s.mu.Lock()
					if err != nil {
						return err
					}
					continue
				}
			}
			s.wake.Wait()
			continue
		}
		s.mu.Unlock()
		err := j.run(ctx, conn)
		s.mu.Lock()
		s.release(j)
		if err != nil {
			s.wake.Broadcast()
			return err
		}
		s.finish(j)
	}
}

// finish lets the jobs go that waited for one.
func (s *scheduler) finish(j *job) {
	s.left--
	for _, n := range j.next {
		if n.after--; n.after == 0 {
			s.ready = append(s.ready, n)
		}
	}
	s.wake.Broadcast()
}

// take removes the dearest ready job whose tables are free.
func (s *scheduler) take() *job {
	best := -1
	for i, j := range s.ready {
		if s.free(j) && (best < 0 || j.cost > s.ready[best].cost) {
			best = i
		}
	}
	if best < 0 {
		return nil
	}
	j := s.ready[best]
	s.ready = append(s.ready[:best], s.ready[best+1:]...)
	for _, l := range j.locks {
		if l.exclusive {
			s.held[l.table] = -1
		} else {
			s.held[l.table]++
		}
	}
	return j
}

func (s *scheduler) free(j *job) bool {
	for _, l := range j.locks {
		if h := s.held[l.table]; h < 0 || l.exclusive && h > 0 {
			return false
		}
	}
	return true
}

func (s *scheduler) release(j *job) {
	for _, l := range j.locks {
		if l.exclusive {
			s.held[l.table] = 0
		} else {
			s.held[l.table]--
		}
	}
}
