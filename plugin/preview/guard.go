package preview

import (
	"context"
	"errors"
	"slices"
	"sort"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seedling-dev/seedling/plugin/forge"
)

// maxConfirmations bounds how many pull requests one round asks for one by
// one. What is not asked for stays in the list, and is asked for in the next.
const maxConfirmations = 400

// known is what was last confirmed of a repository.
type known struct {
	// open are the numbers of the last confirmed list.
	open []int64
	// pulls are those pull requests as last seen, as far as remembered.
	pulls map[int64]forge.PullRequest
	// needed are those that have a preview.
	needed map[int64]bool
}

// guarded is a list after the guard.
type guarded struct {
	// pulls are open, or not known to be closed.
	pulls map[int64]forge.PullRequest
	// open are their numbers, with those of whom nothing but the number is
	// known.
	open []int64
	// unconfirmed are in the list for want of an answer.
	unconfirmed []int64
	// at is when the list was complete, as of the list's beginning.
	at time.Time
}

// massive says whether a list that had n pull requests and lost some of them
// lost more than is believed without asking.
func massive(lost, n int) bool { return lost > max(2, n*30/100) }

// guard turns what a forge listed into what is believed. Of a list that lost
// more than max(2, 30 %), each lost pull request is asked for; of any other,
// those are that have a preview. What the forge does not call closed stays.
func guard(ctx context.Context, was known, list []forge.PullRequest, get func(context.Context, int64) (forge.PullRequest, error)) guarded {
	g := guarded{pulls: map[int64]forge.PullRequest{}}
	for _, p := range list {
		g.pulls[p.Number] = p
	}
	var lost []int64
	for _, n := range was.open {
		if _, ok := g.pulls[n]; !ok {
			lost = append(lost, n)
		}
	}
	ask := map[int64]bool{}
	for n := range was.needed {
		if _, ok := g.pulls[n]; !ok {
			ask[n] = true
		}
	}
	if massive(len(lost), len(was.open)) {
		for _, n := range lost {
			ask[n] = true
		}
	}
	// Those with a preview first: they are the ones that matter.
	order := make([]int64, 0, len(ask))
	for n := range ask {
		order = append(order, n)
	}
	sort.Slice(order, func(i, j int) bool {
		if a, b := was.needed[order[i]], was.needed[order[j]]; a != b {
			return a
		}
		return order[i] < order[j]
	})

	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(8)
	only := map[int64]bool{} // open as far as we know, and nothing more is
	for i, n := range order {
		stay := func() {
			mu.Lock()
			defer mu.Unlock()
			g.unconfirmed = append(g.unconfirmed, n)
			if p, ok := was.pulls[n]; ok {
				g.pulls[n] = p
			} else {
				only[n] = true
			}
		}
		if i >= maxConfirmations {
			stay()
			continue
		}
		group.Go(func() error {
			var p forge.PullRequest
			err := caught(func() (err error) {
				p, err = get(ctx, n)
				return err
			})()
			switch {
			case errors.Is(err, forge.ErrGone):
			case err != nil:
				stay()
			case p.Open:
				mu.Lock()
				g.pulls[n] = p
				mu.Unlock()
			}
			return nil
		})
	}
	_ = group.Wait() // its functions return no error

	for n := range g.pulls {
		g.open = append(g.open, n)
	}
	for n := range only {
		g.open = append(g.open, n)
	}
	slices.Sort(g.open)
	slices.Sort(g.unconfirmed)
	return g
}
