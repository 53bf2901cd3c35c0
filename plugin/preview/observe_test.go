package preview

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seedling-dev/seedling/plugin/forge"
	"github.com/seedling-dev/seedling/plugin/queue"
)

func observer(now func() time.Time) (*Reconciler, *repository) {
	repo := newRepository(Key{Repository: "acme/shop"})
	repo.forge = newHost()
	return &Reconciler{Options: Options{Log: slog.New(slog.DiscardHandler), Now: now}}, repo
}

// TestLimitIsOfTheForge: a forge that wants no calls for a while is asked nothing
// by anybody, for however urgent, and the task that heard it did not fail.
func TestLimitIsOfTheForge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, repo := observer(time.Now)
		other := newRepository(Key{Repository: "acme/other"})
		q := queue.New(1)
		began := time.Now()
		until := began.Add(10 * time.Minute)
		r.enqueue(t.Context(), q, repo, task{key: "get/1", class: queue.Urgent, timeout: time.Minute, do: func(context.Context) (bool, error) {
			return false, errors.Join(errDown, &forge.LimitedError{Until: until})
		}})
		synctest.Wait()
		asked := make(chan time.Time, 1)
		r.enqueue(t.Context(), q, other, task{key: "get/1", class: queue.Urgent, timeout: time.Minute, do: func(context.Context) (bool, error) {
			asked <- time.Now()
			return false, nil
		}})
		if at := <-asked; at.Before(until) {
			t.Errorf("it was asked after %s", at.Sub(began))
		}
		q.Close()
		if was := repo.tries["get/1"]; was.n != 0 || !was.next.Equal(until) {
			t.Errorf("%+v", was)
		}
		e := &errands{repo: repo, now: until.Add(-time.Second)}
		if e.want(task{key: "get/1"}) {
			t.Error("the task is asked for before")
		}
	})
}

// failingLists is a forge whose lists fail.
type failingLists struct {
	*host
	err   error
	begun int
}

func (f *failingLists) List(string, forge.Query) forge.Lister {
	f.begun++
	return failingList{f}
}

type failingList struct{ of *failingLists }

func (failingList) List() forge.List { return forge.List{} }

func (l failingList) Next(context.Context) (bool, error) { return false, l.of.err }

// TestListGoesOn: a list that fails goes on where it was, until it failed too often
// in a row. A forge that wants no calls has not failed.
func TestListGoesOn(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	r, repo := observer(func() time.Time { return now })
	lists := &failingLists{host: newHost(), err: errDown}
	repo.forge = lists
	list := r.listTask(repo, "preview")
	for n := range listGivenUp {
		if _, err := list.do(t.Context()); !errors.Is(err, errDown) {
			t.Fatal(err)
		}
		if lists.begun != 1 {
			t.Fatalf("it began %d times after %d failures", lists.begun, n+1)
		}
	}
	lists.err = &forge.LimitedError{Until: now}
	for range 2 * listGivenUp {
		_, _ = list.do(t.Context())
	}
	if lists.begun != 2 {
		t.Errorf("it began %d times", lists.begun)
	}
}

// TestListRests: a list that took long is not begun again at once, and one that
// stood still for hours is no measure. A doubt does not wait for it.
func TestListRests(t *testing.T) {
	t.Parallel()
	done := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	for took, rests := range map[time.Duration]time.Duration{
		time.Second: pollEvery - time.Second, 10 * time.Minute: 5 * time.Minute, 5 * time.Hour: listRest,
	} {
		r, repo := observer(nil)
		begun := done.Add(-took)
		repo.list = listing{begun: begun, began: begun, done: done, took: took}
		due := func(at time.Time) bool {
			e := &errands{repo: repo, now: at, plan: plan{wait: pollEvery}}
			r.observe(repo, e)
			return len(e.tasks) == 1 && e.tasks[0].key == listKey
		}
		if due(done.Add(rests-time.Second)) || !due(done.Add(rests)) {
			t.Errorf("after one that took %s it is not begun after %s", took, rests)
		}
		repo.book.Need(map[int64]bool{1: true}, nil)
		repo.book.See(pull(1), begun)
		repo.book.Missing(1, done)
		if due(done.Add(9*time.Second)) || !due(done.Add(10*time.Second)) {
			t.Errorf("after one that took %s it is not begun for a doubt", took)
		}
	}
}

// TestFilter: what is asked for is filtered by a label that all ask for, unless many
// previews would not be among those with it.
func TestFilter(t *testing.T) {
	t.Parallel()
	_, repo := observer(nil)
	repo.subs = []subscription{{set: "a", in: Input{Label: "preview"}}, {set: "b", in: Input{Label: "preview"}}}
	needed := map[int64]bool{}
	see := func(n int64) {
		needed[n] = true
		repo.book.Need(needed, nil)
		repo.book.See(pull(n, unlabelled), time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC))
	}
	for n := range int64(maxHints) {
		see(n + 1)
	}
	if label := repo.filter(); label != "preview" {
		t.Errorf("filtered by %q", label)
	}
	see(maxHints + 1)
	if label := repo.filter(); label != "" {
		t.Errorf("filtered by %q, which leaves out many", label)
	}
	_, repo = observer(nil)
	repo.subs = []subscription{{set: "a", in: Input{Label: "preview"}}, {set: "b", in: Input{Label: "show"}}}
	if label := repo.filter(); label != "" {
		t.Errorf("filtered by %q, and others ask for another", label)
	}
}

// TestListed: a list counts from when we began it, and of those that cannot be read
// a bounded number is asked for one by one.
func TestListed(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	r, repo := observer(func() time.Time { return now })
	repo.book.Need(map[int64]bool{1: true}, nil)
	repo.book.See(pull(1), now.Add(-30*time.Minute))
	repo.list.begun = now.Add(-time.Minute)
	list := forge.List{Began: now.Add(-time.Hour)} // by another clock
	for n := range int64(2 * maxHints) {
		list.Unreadable = append(list.Unreadable, n+10)
	}
	r.listed(repo, list)
	if !repo.book.Look(1).Doubt {
		t.Error("what the list lacks is not in doubt")
	}
	asked := 0
	for _, h := range repo.hints {
		if !h.settled {
			asked++
		}
	}
	if asked != maxHints {
		t.Errorf("%d are asked for", asked)
	}
	if l := repo.list; !l.done.Equal(now) || l.took != time.Minute {
		t.Errorf("%+v", l)
	}
}
