package preview

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seedling-dev/seedling/plugin/forge"
)

func TestGuard(t *testing.T) {
	t.Parallel()
	upTo := func(n int64) (numbers []int64) {
		for i := int64(1); i <= n; i++ {
			numbers = append(numbers, i)
		}
		return numbers
	}
	down := errors.New("the forge does not answer")
	tests := []struct {
		name    string
		was     []int64
		preview []int64
		list    []int64
		open    []int64 // what the forge says when asked for one
		gone    []int64
		// asked is how many are asked for one by one.
		asked       int
		want        []int64
		unconfirmed []int64
	}{
		{name: "the same", was: upTo(5), list: upTo(5), want: upTo(5)},
		{name: "a new one", was: upTo(5), list: upTo(6), want: upTo(6)},
		{name: "one less without a preview", was: upTo(5), list: upTo(4), want: upTo(4)},
		{name: "one less with a preview, closed", was: upTo(5), preview: []int64{5}, list: upTo(4), asked: 1, want: upTo(4)},
		{name: "one less with a preview, open", was: upTo(5), preview: []int64{5}, list: upTo(4), open: []int64{5}, asked: 1, want: upTo(5)},
		{name: "one less with a preview, no answer", was: upTo(5), preview: []int64{5}, list: upTo(4), gone: []int64{-5}, asked: 1, want: upTo(5), unconfirmed: []int64{5}},
		{name: "one less with a preview, gone", was: upTo(5), preview: []int64{5}, list: upTo(4), gone: []int64{5}, asked: 1, want: upTo(4)},
		{name: "two of six are believed", was: upTo(6), list: upTo(4), want: upTo(4)},
		{name: "three of six are not", was: upTo(6), list: upTo(3), asked: 3, open: []int64{5}, want: []int64{1, 2, 3, 5}},
		{name: "thirty percent are believed", was: upTo(10), list: upTo(7), want: upTo(7)},
		{name: "more are not", was: upTo(10), list: upTo(6), asked: 4, want: upTo(6)},
		{name: "empty once", was: upTo(4), list: nil, open: upTo(4), asked: 4, want: upTo(4)},
		{name: "empty and true", was: upTo(4), list: nil, asked: 4, want: nil},
		{name: "a preview the last list lacked", was: nil, preview: []int64{9}, list: nil, open: []int64{9}, asked: 1, want: []int64{9}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			k := known{open: test.was, pulls: map[int64]forge.PullRequest{}, needed: map[int64]bool{}}
			for _, n := range test.was {
				k.pulls[n] = pull(n)
			}
			for _, n := range test.preview {
				k.pulls[n], k.needed[n] = pull(n), true
			}
			var list []forge.PullRequest
			for _, n := range test.list {
				list = append(list, pull(n))
			}
			asked := make(chan int64, 1000)
			g := guard(t.Context(), k, list, func(_ context.Context, n int64) (forge.PullRequest, error) {
				asked <- n
				if slices.Contains(test.open, n) {
					return pull(n), nil
				}
				for _, o := range test.gone {
					switch o {
					case n:
						return forge.PullRequest{}, forge.ErrGone
					case -n:
						return forge.PullRequest{}, down
					}
				}
				return pull(n, func(p *forge.PullRequest) { p.Open = false }), nil
			})
			if len(asked) != test.asked {
				t.Errorf("asked %d times, want %d", len(asked), test.asked)
			}
			if diff := cmp.Diff(test.want, g.open); diff != "" {
				t.Errorf("open: %s", diff)
			}
			if diff := cmp.Diff(test.unconfirmed, g.unconfirmed); diff != "" {
				t.Errorf("unconfirmed: %s", diff)
			}
			for _, n := range g.open {
				if !g.pulls[n].Open {
					t.Errorf("%d is open and not known so", n)
				}
			}
		})
	}

	t.Run("nobody answers", func(t *testing.T) {
		t.Parallel()
		k := known{open: upTo(1000), pulls: map[int64]forge.PullRequest{}, needed: map[int64]bool{999: true}}
		k.pulls[999] = pull(999)
		asked := make(chan int64, 2000)
		g := guard(t.Context(), k, nil, func(_ context.Context, n int64) (forge.PullRequest, error) {
			asked <- n
			return forge.PullRequest{}, down
		})
		if len(g.open) != 1000 || len(asked) != maxConfirmations || len(g.unconfirmed) != 1000 {
			t.Errorf("%d stay, %d were asked for, %d unconfirmed", len(g.open), len(asked), len(g.unconfirmed))
		}
		if _, ok := g.pulls[999]; !ok {
			t.Error("the one with a preview is not known any more")
		}
	})
}
