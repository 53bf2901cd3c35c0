package preview

import (
	"context"
	"errors"
	"time"

	"github.com/seedling-dev/seedling/plugin/forge"
	"github.com/seedling-dev/seedling/plugin/queue"
)

// listKey is the task that lists a repository's pull requests.
const listKey = "list"

// task is something to be asked of, or told to, the outside world. Its result
// is kept when it comes, whatever becomes of others.
type task struct {
	// key tells it apart within its repository: one at a time.
	key     string
	cluster bool // the cluster's queue, not the forge's
	class   queue.Class
	// timeout bounds it from the moment its turn comes.
	timeout time.Duration
	// do does it. again: it made a part, and goes on in its next turn.
	do func(context.Context) (again bool, err error)
}

// plan is what a step leaves to be done, and how long it may rest.
type plan struct {
	tasks []task
	wait  time.Duration
}

// errands collects the tasks of a step.
type errands struct {
	repo *repository
	now  time.Time
	plan
}

// want asks for a task, unless it is under way or has to wait after a failure.
// It says whether it did. The caller holds repo.mu.
func (e *errands) want(t task) bool {
	if e.repo.flights[t.key] {
		return false
	}
	for _, when := range []map[string]try{e.repo.tries, e.repo.pace} {
		// One that failed after now did so before our clock was set back.
		if was := when[t.key]; was.next.After(e.now) && !was.at.After(e.now) {
			e.by(was.next)
			return false
		}
	}
	e.tasks = append(e.tasks, t)
	return true
}

// by makes the next step come by then.
func (e *errands) by(at time.Time) {
	e.wait = min(e.wait, max(at.Sub(e.now), 0))
}

// hand puts tasks in their queues.
func (r *Reconciler) hand(ctx context.Context, repo *repository, tasks []task) {
	for _, t := range tasks {
		repo.mu.Lock()
		under := repo.flights[t.key]
		repo.flights[t.key] = true
		q := r.cluster
		if !t.cluster && repo.forge != nil {
			q = r.queues[repo.forge.Name()]
		}
		repo.mu.Unlock()
		if !under {
			r.enqueue(ctx, q, repo, t)
		}
	}
}

func (r *Reconciler) enqueue(ctx context.Context, q *queue.Queue, repo *repository, t task) {
	owner := repo.id
	if t.key == listKey {
		// A row of its own: page by page behind a hundred questions about single
		// pull requests, a list would be too old to be answered before it is whole.
		owner += " " + listKey
	}
	q.Add(owner, t.class, func() {
		if ctx.Err() != nil {
			return
		}
		again, limited := r.do(ctx, repo, t)
		if !limited.IsZero() {
			q.Limit(limited)
		}
		if again {
			r.enqueue(ctx, q, repo, t)
			return
		}
		repo.wake(func() { delete(repo.flights, t.key) })
	})
}

// do does a task once, within its own time, and remembers a failure.
func (r *Reconciler) do(ctx context.Context, repo *repository, t task) (again bool, limited time.Time) {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	err := caught(func() (err error) {
		again, err = t.do(ctx)
		return err
	})()
	repo.mu.Lock()
	defer repo.mu.Unlock()
	if err == nil {
		delete(repo.tries, t.key)
		return again, limited
	}
	was := repo.tries[t.key]
	if l, ok := errors.AsType[*forge.LimitedError](err); ok {
		// The forge's state, and no failure of the task.
		repo.tries[t.key] = try{n: was.n, at: r.Now(), next: l.Until}
		return false, l.Until
	}
	wait := min(retryFirst<<min(was.n, 5), pollEvery)
	repo.tries[t.key] = try{n: was.n + 1, at: r.Now(), next: r.Now().Add(wait)}
	if was.n == 0 {
		r.Log.WarnContext(ctx, "a question has no answer; it is asked again, and what it decides stays as it is until then",
			"repository", repo.key.Repository, "task", t.key, "error", err)
	}
	return false, limited
}

// later makes a task that found nothing be asked again: twice as late each time,
// up to most. The caller holds repo.mu.
func (repo *repository) later(key string, now time.Time, first, most time.Duration) {
	n := repo.pace[key].n
	repo.pace[key] = try{n: n + 1, at: now, next: now.Add(min(first<<min(n, 8), most))}
}

// seldom makes it be asked again at one pace for a while, and then seldom. lags:
// the answer may be one from before what was asked about. The caller holds repo.mu.
func (repo *repository) seldom(key string, now time.Time, lags bool) {
	n, wait := repo.pace[key].n, refusedSeldom
	switch {
	case lags && n < lagTries:
		wait = retryFirst << n
	case n < refusedTries:
		wait = refusedAgain
	}
	repo.pace[key] = try{n: n + 1, at: now, next: now.Add(wait)}
}
