package queue

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// order runs what add queues behind one place, and says in which order it
// began.
func order(t *testing.T, places int, add func(q *Queue, note func(string) func())) []string {
	t.Helper()
	var began []string
	synctest.Test(t, func(t *testing.T) {
		q := New(places)
		var mu sync.Mutex
		gate := make(chan struct{})
		for range places {
			q.Add("gate", Normal, func() { <-gate })
		}
		synctest.Wait()
		add(q, func(name string) func() {
			return func() {
				mu.Lock()
				defer mu.Unlock()
				began = append(began, name)
			}
		})
		close(gate)
		synctest.Wait()
		q.Close()
	})
	return began
}

// TestOwnersTakeTurns: one with a hundred keeps nobody from their one.
func TestOwnersTakeTurns(t *testing.T) {
	t.Parallel()
	got := order(t, 1, func(q *Queue, note func(string) func()) {
		for n := range 100 {
			q.Add("large", Normal, note(fmt.Sprint("large ", n)))
		}
		q.Add("small", Normal, note("small"))
	})
	if at := slices.Index(got, "small"); at > 1 || len(got) != 101 {
		t.Errorf("small was number %d of %d", at, len(got))
	}
	var large []string
	for _, name := range got {
		if name != "small" {
			large = append(large, name)
		}
	}
	for n, name := range large {
		if name != fmt.Sprint("large ", n) {
			t.Fatalf("%s began as number %d", name, n)
		}
	}
}

// TestUrgentFirst: urgent work overtakes, and starves nobody.
func TestUrgentFirst(t *testing.T) {
	t.Parallel()
	got := order(t, 1, func(q *Queue, note func(string) func()) {
		for range 4 {
			q.Add("a", Normal, note("n"))
		}
		for range 8 {
			q.Add("b", Urgent, note("u"))
		}
	})
	if s := strings.Join(got, ""); s != "uuunuuunuunn" {
		t.Errorf("order %s", s)
	}
}

// TestTellingIsSeldom: work that only tells takes few places from what somebody
// waits for, and is not starved by it.
func TestTellingIsSeldom(t *testing.T) {
	t.Parallel()
	got := order(t, 1, func(q *Queue, note func(string) func()) {
		for range 3 {
			q.Add("a", Telling, note("t"))
		}
		for range 33 {
			q.Add("b", Urgent, note("u"))
		}
	})
	u := strings.Repeat("u", urgentBeforeTelling)
	if s := strings.Join(got, ""); s != u+"t"+u+"tuuut" {
		t.Errorf("order %s", s)
	}
}

// TestTellingHasFewPlaces: calls that hang and only tell leave room for what
// decides.
func TestTellingHasFewPlaces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := New(8)
		hang := make(chan struct{})
		for range 40 {
			q.Add("a", Telling, func() { <-hang })
		}
		synctest.Wait()
		done := false
		q.Add("a", Normal, func() { done = true })
		synctest.Wait()
		if s := q.Stats(); !done || s.Running[Telling] != 2 || s.Waiting[Telling] != 38 {
			t.Errorf("done %v, %+v", done, s)
		}
		close(hang)
		synctest.Wait()
		if s := q.Stats(); s.Waiting[Telling] != 0 || s.Running[Telling] != 0 || s.Began != 41 {
			t.Errorf("%+v", s)
		}
		q.Close()
	})
}

// TestLimit: nothing begins before the service wants calls again.
func TestLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := New(2)
		start := time.Now()
		q.Limit(start.Add(time.Minute))
		q.Limit(start.Add(time.Second)) // an earlier one changes nothing
		began := make(chan time.Time, 1)
		q.Add("a", Urgent, func() { began <- time.Now() })
		time.Sleep(30 * time.Second)
		if s := q.Stats(); len(began) > 0 || s.LimitedUntil.IsZero() || s.Oldest != 30*time.Second {
			t.Errorf("%d began, %+v", len(began), s)
		}
		time.Sleep(30 * time.Second)
		if got := (<-began).Sub(start); got != time.Minute {
			t.Errorf("it began after %s", got)
		}
		q.Close()
	})
}

// TestClose: what waits never begins, what runs is waited for.
func TestClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := New(1)
		ended := false
		q.Add("a", Normal, func() { time.Sleep(time.Second); ended = true })
		q.Add("a", Normal, func() { t.Error("it began") })
		synctest.Wait()
		q.Close()
		if !ended {
			t.Error("it did not wait")
		}
		q.Add("a", Normal, func() { t.Error("it began after the end") })
		synctest.Wait()
	})
}
