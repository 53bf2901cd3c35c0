package preview

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/seedling-dev/seedling/plugin/queue"
)

// Each page of a list waits for a question or two of its own repository, and not
// for all of them.
func TestListDoesNotWaitForAllQuestions(t *testing.T) {
	t.Parallel()
	const pages, questions = 3, 50
	r := &Reconciler{Options: Options{Log: slog.New(slog.DiscardHandler), Now: time.Now}}
	repo := newRepository(Key{Repository: "acme/shop"})
	q := queue.New(1)
	var order []string
	done := make(chan struct{})
	gate := make(chan struct{})
	say := func(what string) {
		if order = append(order, what); len(order) == pages+questions {
			close(done)
		}
	}
	q.Add("other", queue.Normal, func() { <-gate })
	for i := range questions {
		r.enqueue(t.Context(), q, repo, task{key: fmt.Sprint("consent ", i), class: queue.Normal, timeout: time.Minute, do: func(context.Context) (bool, error) {
			say("consent")
			return false, nil
		}})
	}
	turn := 0
	r.enqueue(t.Context(), q, repo, task{key: listKey, class: queue.Normal, timeout: time.Minute, do: func(context.Context) (bool, error) {
		say("page")
		turn++
		return turn < pages, nil
	}})
	close(gate)
	<-done
	q.Close()
	last := 0
	for i, what := range order {
		if what == "page" {
			last = i
		}
	}
	if last > 2*pages {
		t.Errorf("the last of %d pages was number %d of what was asked: %v", pages, last, order[:last+1])
	}
}
