package preview

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/seedling-dev/seedling/plugin/forge"
	"github.com/seedling-dev/seedling/plugin/queue"
	"github.com/seedling-dev/seedling/plugin/sight"
)

const (
	// maxHints is how many pull requests are asked for one by one; for more the
	// list is quicker.
	maxHints = 20
	// listNext bounds one call of a list, getTimeout one question with its calls.
	listNext   = 30 * time.Second
	getTimeout = 30 * time.Second
	// listGivenUp is how often in a row a list may fail before it begins anew.
	listGivenUp = 10
	// listRest is how long at most there is no list because the last one took
	// long: one that stood still for hours is no measure.
	listRest = 10 * time.Minute
	// oldNews is how long a closing that a webhook tells of still counts once the
	// pull request was seen as it is after it: deliveries come again days later.
	oldNews = 10 * time.Minute
)

// hint is that somebody told of a pull request.
type hint struct {
	at time.Time // by our clock
	// closedAt is when it was closed by the forge's clock; zero if it was not.
	closedAt time.Time
	// settled: it was looked at since.
	settled bool
}

// listing is how a repository's list is doing.
type listing struct {
	lister forge.Lister // nil between two lists
	label  string
	// begun is when we began the present or last one, done when the last
	// complete one was complete, began when that began, took how long it took.
	begun, began, done time.Time
	took               time.Duration
	failures           int
	// now asks for one at once; attempts counts ends, good and bad.
	now      bool
	attempts int
	// err is why the last one failed, nil after a complete one.
	err error
}

// hint notes what to ask for; of two closings the later counts.
func (repo *repository) hint(closings map[int64]time.Time, now time.Time) {
	repo.mu.Lock()
	defer repo.mu.Unlock()
	for n, closedAt := range closings {
		was := repo.hints[n]
		if was.closedAt.After(closedAt) {
			closedAt = was.closedAt
		}
		repo.hints[n] = hint{at: now, closedAt: closedAt}
	}
}

// observe asks for what is not known, or in doubt. The caller holds mu.
func (r *Reconciler) observe(repo *repository, e *errands) {
	if repo.forge == nil {
		return
	}
	label := repo.filter()
	q := repo.book.Questions(label, e.now.Add(-pollEvery))
	l := &repo.list

	open := 0
	for _, h := range repo.hints {
		if !h.settled {
			open++
		}
	}
	if open > maxHints {
		l.now = true
	} else {
		for n, h := range repo.hints {
			if !h.settled {
				e.want(r.getTask(repo, n, queue.Urgent))
			}
		}
	}
	for _, n := range q.Get {
		e.want(r.getTask(repo, n, queue.Normal))
	}
	for _, question := range q.Events {
		e.want(r.eventTask(repo, question))
	}

	due := l.begun.Add(pollEvery)
	if rest := l.done.Add(min(l.took/2, listRest)); rest.After(due) && !l.done.IsZero() {
		due = rest
	}
	if !q.List.IsZero() {
		// One that settled nothing is no reason for another at once.
		due = earliest(due, latest(q.List, l.begun.Add(sight.Apart)))
	}
	// A clock that was set back must not put the next one off.
	if l.lister != nil || l.now || l.begun.IsZero() || !due.After(e.now) || l.begun.After(e.now) {
		e.want(r.listTask(repo, label))
		return
	}
	e.by(due)
}

// deaf says whether the last complete list is too old to be all the news. The
// caller holds mu.
func (repo *repository) deaf(now time.Time) bool {
	age := now.Sub(repo.list.done)
	return repo.list.done.IsZero() || age < 0 || age > max(staleAfter, 3*repo.list.took)
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// filter is the label that all who ask for the repository ask for; empty where
// they differ, or where many previews would not be among those with it. The
// caller holds mu.
func (repo *repository) filter() string {
	label := ""
	for i, s := range repo.subs {
		if i > 0 && s.in.Label != label {
			return ""
		}
		label = s.in.Label
	}
	without := 0
	for _, n := range repo.book.Numbers() {
		if look := repo.book.Look(n); repo.book.Needs(n) && look.State == sight.Open && !look.PullRequest.HasLabel(label) {
			without++
		}
	}
	if without > maxHints {
		return ""
	}
	return label
}

// watched are the labels that matter to anybody. The caller holds mu.
func (repo *repository) watched() []string {
	seen := map[string]bool{}
	var labels []string
	for _, s := range repo.subs {
		for _, label := range []string{s.in.Label, s.in.ResetLabel, s.in.KeepLabel, s.in.wakeLabel()} {
			if !seen[label] {
				seen[label] = true
				labels = append(labels, label)
			}
		}
	}
	return labels
}

// listTask makes one call of the list, and goes on in its next turn until it is
// complete.
func (r *Reconciler) listTask(repo *repository, label string) task {
	return task{key: listKey, class: queue.Normal, timeout: listNext, do: func(ctx context.Context) (bool, error) {
		repo.mu.Lock()
		l, f := &repo.list, repo.forge
		if f == nil {
			repo.mu.Unlock()
			return false, nil
		}
		if l.lister == nil {
			l.begun, l.label, l.now = r.Now(), label, false
			l.lister = f.List(repo.key.Repository, forge.Query{Label: label})
		}
		lister := l.lister
		repo.mu.Unlock()

		done := false
		err := caught(func() (err error) {
			done, err = lister.Next(ctx)
			return err
		})()

		repo.mu.Lock()
		defer repo.mu.Unlock()
		if err != nil {
			l.err = err
			l.attempts++
			if _, limited := errors.AsType[*forge.LimitedError](err); !limited {
				if l.failures++; l.failures >= listGivenUp {
					l.lister, l.failures = nil, 0
				}
			}
			return false, err
		}
		l.failures = 0
		if !done {
			return true, nil
		}
		r.listed(repo, lister.List())
		return false, nil
	}}
}

// listed takes in a complete list. The caller holds mu.
func (r *Reconciler) listed(repo *repository, list forge.List) {
	l := &repo.list
	now := r.Now()
	l.lister, l.err = nil, nil
	l.attempts++
	l.began, l.done, l.took = l.begun, now, max(now.Sub(l.begun), 0)
	// By our clock, whatever the forge's package has for one: what counts is that
	// it is not before the list began.
	if list.Began.IsZero() || list.Began.Before(l.begun) {
		list.Began = l.begun
	}
	watched := repo.watched()
	for i := range list.PullRequests {
		list.PullRequests[i] = bounded(list.PullRequests[i], watched)
	}
	list.Done = now
	repo.book.Listed(list, l.label)
	for i, n := range list.Unreadable {
		if i >= maxHints {
			break // the rest in the lists to come
		}
		if h, ok := repo.hints[n]; !ok || h.settled {
			repo.hints[n] = hint{at: now, closedAt: h.closedAt}
		}
	}
	for n := range repo.hints {
		repo.settle(n, list.Began, now)
	}
}

// settle notes that a pull request was looked at by a call that began then. A
// hint from after now is from before our clock was set back. The caller holds
// mu.
func (repo *repository) settle(n int64, began, now time.Time) {
	if h, ok := repo.hints[n]; ok && (!h.at.After(began) || h.at.After(now)) {
		h.settled = true
		repo.hints[n] = h
	}
}

// getTask asks for one pull request.
func (r *Reconciler) getTask(repo *repository, n int64, class queue.Class) task {
	return task{key: "get/" + strconv.FormatInt(n, 10), class: class, timeout: getTimeout, do: func(ctx context.Context) (bool, error) {
		began := r.Now()
		repo.mu.Lock()
		f := repo.forge
		repo.mu.Unlock()
		if f == nil {
			return false, nil
		}
		pr, err := f.Get(ctx, repo.key.Repository, n)
		repo.mu.Lock()
		defer repo.mu.Unlock()
		switch {
		case errors.Is(err, forge.ErrGone):
			repo.book.Missing(n, began)
		case err != nil:
			if _, hinted := repo.hints[n]; hinted {
				repo.list.now = true
			}
			return false, err
		default:
			repo.book.See(bounded(pr, repo.watched()), began)
		}
		repo.settle(n, began, r.Now())
		return false, nil
	}}
}

// openTask asks for one pull request that may go live if it is open. An answer
// that settles nothing, as a cache may give, is no reason for another at once.
func (r *Reconciler) openTask(repo *repository, n int64, class queue.Class) task {
	t := r.getTask(repo, n, class)
	get := t.do
	t.key = "open/" + strconv.FormatInt(n, 10)
	t.do = func(ctx context.Context) (bool, error) {
		again, err := get(ctx)
		repo.mu.Lock()
		defer repo.mu.Unlock()
		if look := repo.book.Look(n); err == nil && look.State == sight.Open && !fresh(look.SeenAt, r.Now()) {
			repo.later(t.key, r.Now(), retryFirst, pollEvery)
		} else {
			delete(repo.pace, t.key)
		}
		return again, err
	}
	return t
}

// see asks for one pull request that nothing was seen of for a while.
func (r *Reconciler) see(ctx context.Context, repo *repository, n int64) error {
	repo.mu.Lock()
	seen := fresh(repo.book.Look(n).SeenAt, r.Now().Add(freshFor/2))
	repo.mu.Unlock()
	if seen {
		return nil
	}
	_, err := r.getTask(repo, n, queue.Normal).do(ctx)
	return err
}

// eventTask asks the forge's record of events whether a label was removed.
func (r *Reconciler) eventTask(repo *repository, q sight.Question) task {
	key := "event/" + strconv.FormatInt(q.Number, 10) + "/" + q.Label
	return task{key: key, class: queue.Urgent, timeout: getTimeout, do: func(ctx context.Context) (bool, error) {
		repo.mu.Lock()
		f := repo.forge
		repo.mu.Unlock()
		if f == nil {
			return false, nil
		}
		_, err := f.Labelled(ctx, repo.key.Repository, q.Number, q.Label)
		repo.mu.Lock()
		defer repo.mu.Unlock()
		var removed *forge.UnlabelledError
		switch {
		case errors.As(err, &removed):
			repo.book.Removed(q.Number, q.Label, removed.At)
			delete(repo.pace, key)
		case err != nil && !errors.Is(err, forge.ErrNotLabelled):
			return false, err
		default:
			repo.book.Asked(q.Number, q.Label, err == nil)
			// The record may be behind what was seen.
			repo.later(key, r.Now(), retryFirst, pollEvery)
		}
		return false, nil
	}}
}

// closing is when a pull request was closed, as a webhook told; zero for never,
// and for what is old news. The caller holds mu.
func (repo *repository) closing(n int64, look sight.Look, now time.Time) time.Time {
	h, ok := repo.hints[n]
	if !ok || h.closedAt.IsZero() || !h.settled {
		return time.Time{}
	}
	if !look.PullRequest.UpdatedAt.Before(h.closedAt) && now.Sub(look.ChangedAt) > oldNews {
		return time.Time{}
	}
	return h.closedAt
}

// Knows says whether the last list already has this pull request as it is,
// so that hearing of it again is no news.
func (r *Reconciler) Knows(forgeName, repository string, p forge.PullRequest) bool {
	f := r.Forges[forgeName]
	if f == nil {
		return false
	}
	r.mu.Lock()
	repo := r.repos[Key{ForgeURL: f.URL(), Repository: repository}.RepositoryHash()]
	r.mu.Unlock()
	if repo == nil {
		return true // nobody asks for the repository
	}
	repo.mu.Lock()
	defer repo.mu.Unlock()
	if repo.list.done.IsZero() {
		return false
	}
	look := repo.book.Look(p.Number)
	p = bounded(p, repo.watched())
	switch look.State {
	case sight.Open, sight.Closed:
		was := look.PullRequest
		return was.Open == p.Open && was.HeadSHA == p.HeadSHA && was.Title == p.Title &&
			was.TargetBranch == p.TargetBranch && sameLabels(was.Labels, p.Labels)
	default:
		// A filtered list says nothing of those without the label.
		return !p.Open || repo.list.label != "" && !p.HasLabel(repo.list.label)
	}
}
