package sight

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seedling-dev/seedling/plugin/forge"
)

var (
	ours   = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	theirs = ours.Add(-3 * time.Hour) // the forge's clock is behind
)

// pr is pull request 1 as it was so many seconds after theirs.
func pr(seconds int, change ...func(*forge.PullRequest)) forge.PullRequest {
	p := forge.PullRequest{Number: 1, Open: true, HeadSHA: "a", Labels: []string{"preview"}, UpdatedAt: theirs.Add(time.Duration(seconds) * time.Second)}
	for _, c := range change {
		c(&p)
	}
	return p
}

func bare(p *forge.PullRequest)     { p.Labels = nil }
func isClosed(p *forge.PullRequest) { p.Open = false }

// at is our clock, so many seconds after ours.
func at(seconds int) time.Time { return ours.Add(time.Duration(seconds) * time.Second) }

func list(began int, filtered bool, prs ...forge.PullRequest) forge.List {
	return forge.List{Began: at(began), Filtered: filtered, PullRequests: prs}
}

// TestBook is what is believed after a row of sightings, of a pull request that
// has a preview and was seen at 0.
func TestBook(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		see   func(b *Book)
		state State
		label bool
		ask   Questions
	}{
		{"nothing else", func(*Book) {}, Open, true, Questions{}},
		{"its own record says closed", func(b *Book) { b.See(pr(5, isClosed), at(5)) }, Closed, true, Questions{}},
		{"an older record says closed", func(b *Book) { b.See(pr(-5, isClosed), at(5)) }, Open, true, Questions{}},
		{"a list from before the closing", func(b *Book) {
			b.See(pr(5, isClosed), at(5))
			b.Listed(list(20, false, pr(0)), "preview")
		}, Closed, true, Questions{}},
		{"opened again", func(b *Book) {
			b.See(pr(5, isClosed), at(5))
			b.See(pr(9), at(9))
		}, Open, true, Questions{}},

		{"one 404", func(b *Book) { b.Missing(1, at(5)) }, Open, true, Questions{List: at(15)}},
		{"many 404s", func(b *Book) { b.Missing(1, at(5)); b.Missing(1, at(50)); b.Missing(1, at(500)) }, Open, true, Questions{List: at(15)}},
		{"a 404, and a list at once lacks it", func(b *Book) { b.Missing(1, at(5)); b.Listed(list(6, false), "preview") }, Open, true, Questions{List: at(15)}},
		{"a 404, and a list later lacks it", func(b *Book) { b.Missing(1, at(5)); b.Listed(list(15, false), "preview") }, Gone, true, Questions{}},
		{"a 404, and a list later has it", func(b *Book) { b.Missing(1, at(5)); b.Listed(list(15, false, pr(0)), "preview") }, Open, true, Questions{}},
		{"a 404, and a list from before lacks it", func(b *Book) { b.Missing(1, at(25)); b.Listed(list(15, false), "preview") }, Open, true, Questions{List: at(35)}},
		{"absent once", func(b *Book) { b.Listed(list(5, false), "preview") }, Open, true, Questions{Get: []int64{1}}},
		{"absent always, nobody answers for it", func(b *Book) {
			for n := range 10 {
				b.Listed(list(60*(n+1), false), "preview")
			}
		}, Open, true, Questions{Get: []int64{1}}},
		{"absent, asked for and open", func(b *Book) { b.Listed(list(5, false), "preview"); b.See(pr(0), at(6)) }, Open, true, Questions{}},
		{"absent, asked for and closed", func(b *Book) { b.Listed(list(5, false), "preview"); b.See(pr(3, isClosed), at(6)) }, Closed, true, Questions{}},
		{"absent, not there, and absent again", func(b *Book) {
			b.Listed(list(5, false), "preview")
			b.Missing(1, at(6))
			b.Listed(list(16, false), "preview")
		}, Gone, true, Questions{}},
		{"absent from a list that began before it was seen", func(b *Book) { b.Listed(list(-1, false), "preview") }, Open, true, Questions{}},

		{"once without its label", func(b *Book) { b.See(pr(5, bare), at(5)) }, Open, true, Questions{Events: []Question{{1, "preview"}}}},
		{"without its label, no event tells", func(b *Book) { b.See(pr(5, bare), at(5)); b.Asked(1, "preview", false) }, Open, true, Questions{List: at(15)}},
		{"without its label, an event tells", func(b *Book) { b.See(pr(5, bare), at(5)); b.Removed(1, "preview", pr(5).UpdatedAt) }, Open, false, Questions{}},
		{"without its label, and so in a list at once", func(b *Book) { b.See(pr(5, bare), at(5)); b.Listed(list(6, false, pr(5, bare)), "preview") }, Open, true, Questions{Events: []Question{{1, "preview"}}}},
		{"without its label, and so in a list later", func(b *Book) {
			b.See(pr(5, bare), at(5))
			b.Asked(1, "preview", false)
			b.Listed(list(15, false, pr(5, bare)), "preview")
		}, Open, false, Questions{}},
		{"without its label, and not among those with it", func(b *Book) {
			b.See(pr(5, bare), at(5))
			b.Asked(1, "preview", false)
			b.Listed(list(15, true), "preview")
		}, Open, false, Questions{}},
		{"without its label in lists for long, and nobody asked the record of events", func(b *Book) {
			b.See(pr(5, bare), at(5))
			b.Listed(list(15, false, pr(5, bare)), "preview")
			b.Listed(list(500, true), "preview")
		}, Open, true, Questions{Events: []Question{{1, "preview"}}}},
		{"a list lacks it, it is there, and later it has no label", func(b *Book) {
			b.Listed(list(5, true), "preview")
			b.See(pr(0), at(6))
			b.Listed(list(25, true), "preview")
			b.See(pr(0, bare), at(26))
			b.Listed(list(30, true), "preview")
		}, Open, true, Questions{Events: []Question{{1, "preview"}}}},
		{"without its label in two lists, and an event says who set it", func(b *Book) {
			b.See(pr(5, bare), at(5))
			b.Asked(1, "preview", true)
			b.Listed(list(15, false, pr(5, bare)), "preview")
		}, Open, true, Questions{Events: []Question{{1, "preview"}}}},
		{"without its label twice, one by one", func(b *Book) {
			b.See(pr(5, bare), at(5))
			b.Asked(1, "preview", false)
			b.See(pr(5, bare), at(50))
		}, Open, true, Questions{List: at(15)}},
		{"a list from before the label was set", func(b *Book) { b.Listed(list(5, false, pr(-9, bare)), "preview") }, Open, true, Questions{}},
		{"labelled again", func(b *Book) { b.See(pr(5, bare), at(5)); b.See(pr(8), at(8)) }, Open, true, Questions{}},
		{"a list from before the removal that an event told of", func(b *Book) {
			b.See(pr(5, bare), at(5))
			b.Removed(1, "preview", pr(5).UpdatedAt)
			b.Listed(list(15, false, pr(0)), "preview")
		}, Open, false, Questions{}},

		{"an answer that was asked for before another of the same version", func(b *Book) {
			b.See(pr(5, isClosed), at(9))
			b.See(pr(5), at(6))
		}, Closed, true, Questions{}},
		{"an answer that was asked for before a 404", func(b *Book) { b.Missing(1, at(10)); b.See(pr(0), at(5)) }, Open, true, Questions{List: at(20)}},
		{"a 404 that was asked for before it was seen", func(b *Book) { b.See(pr(0), at(10)); b.Missing(1, at(5)) }, Open, true, Questions{}},
		{"an event of before it was labelled again", func(b *Book) { b.See(pr(8), at(8)); b.Removed(1, "preview", pr(5).UpdatedAt) }, Open, true, Questions{}},
		{"a cache tells of an earlier version for long, and no list does", func(b *Book) {
			b.See(pr(-5, isClosed), at(5))
			b.See(pr(-5, isClosed), at(1000))
		}, Open, true, Questions{}},
		{"the forge went back for a minute", func(b *Book) {
			b.Listed(list(5, false, pr(-99, bare)), "preview")
			b.Listed(list(65, false, pr(-99, bare)), "preview")
		}, Open, true, Questions{}},
		{"the forge went back for good", func(b *Book) {
			for n := range 14 {
				b.Listed(list(5+60*n, false, pr(-99, bare)), "preview")
				b.Asked(1, "preview", false)
			}
		}, Open, false, Questions{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := NewBook()
			b.Need(map[int64]bool{1: true}, []string{"preview"})
			b.See(pr(0), at(0))
			test.see(b)
			look := b.Look(1)
			if look.State != test.state || look.PullRequest.HasLabel("preview") != test.label {
				t.Errorf("state %d, labels %v", look.State, look.PullRequest.Labels)
			}
			if diff := cmp.Diff(test.ask, b.Questions("", time.Time{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestWithoutPreview: of a pull request that has no preview everything is
// believed at once, and nothing is kept.
func TestWithoutPreview(t *testing.T) {
	t.Parallel()
	b := NewBook()
	b.Need(nil, []string{"preview"})
	b.See(pr(0), at(0))
	b.See(pr(1, bare), at(1))
	if b.Look(1).PullRequest.HasLabel("preview") {
		t.Error("the label is still there")
	}
	b.Listed(list(2, false), "preview")
	if n := b.Numbers(); len(n) > 0 {
		t.Errorf("%v are kept", n)
	}
}

// TestClosedIsRemembered: a list from before its closing does not open one that has
// no preview, for a while.
func TestClosedIsRemembered(t *testing.T) {
	t.Parallel()
	b := NewBook()
	b.Need(nil, []string{"preview"})
	b.See(pr(5, isClosed), at(5))
	b.Listed(list(20, false), "preview")
	b.Listed(list(30, false, pr(0)), "preview")
	if l := b.Look(1); l.State != Closed {
		t.Errorf("%+v", l)
	}
	b.Listed(list(3600, false), "preview")
	if n := b.Numbers(); len(n) > 0 {
		t.Errorf("%v are kept for ever", n)
	}
}

// TestRemembered: what is known from before a restart is not taken for seen.
func TestRemembered(t *testing.T) {
	t.Parallel()
	b := NewBook()
	b.Remember(pr(0))
	b.Need(map[int64]bool{1: true}, []string{"preview"})
	if s := b.Look(1).State; s != Unknown {
		t.Errorf("state %d", s)
	}
	b.Listed(list(0, false), "preview")
	if q := b.Questions("", time.Time{}); !slices.Equal(q.Get, []int64{1}) {
		t.Errorf("%+v", q)
	}
	b.Listed(list(5, false, pr(1, bare)), "preview")
	b.Asked(1, "preview", false)
	if l := b.Look(1); l.State != Open || !l.PullRequest.HasLabel("preview") {
		t.Errorf("%+v: its label went with the first look", l)
	}
}

// TestClockSetBack: what was seen before our clock was set back is not taken for
// what was seen just now, and no list for one from before it.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	for _, filtered := range []bool{true, false} {
		b := NewBook()
		b.Need(map[int64]bool{1: true, 2: true}, []string{"preview"})
		b.See(pr(0), at(3600))
		b.See(forge.PullRequest{Number: 2, Open: true, UpdatedAt: theirs, Labels: []string{"preview"}}, at(3600))
		b.See(forge.PullRequest{Number: 2, Open: true, UpdatedAt: theirs, Labels: []string{"preview"}}, at(5))
		if l := b.Look(1); l.State != Open || !l.SeenAt.Before(at(5).Add(-30*time.Second)) {
			t.Errorf("%+v: seen an hour ahead, it is seen just now", l)
		}
		b.Listed(list(5, filtered), "preview")
		if l := b.Look(1); !l.Doubt || !l.SeenAt.IsZero() {
			t.Errorf("filtered %v: %+v: a list lacks it", filtered, l)
		}
		if q := b.Questions("preview", at(-55)); !slices.Contains(q.Get, 1) {
			t.Errorf("filtered %v: %+v", filtered, q)
		}
	}
}

// TestFilteredOut: those that a filtered list cannot show are asked for one by
// one.
func TestFilteredOut(t *testing.T) {
	t.Parallel()
	b := NewBook()
	b.Need(map[int64]bool{1: true}, nil)
	b.See(pr(0, bare), at(0))
	b.Listed(list(60, true), "preview")
	if l := b.Look(1); l.State != Open || l.Doubt {
		t.Errorf("%+v", l)
	}
	if q := b.Questions("preview", at(60)); !slices.Equal(q.Get, []int64{1}) {
		t.Errorf("%+v", q)
	}
	if q := b.Questions("preview", at(0)); len(q.Get) > 0 {
		t.Errorf("%+v: it was asked for just now", q)
	}
}

// TestLongListIsOneSighting: what the end of a list that took minutes told is
// not confirmed by the list that follows at once.
func TestLongListIsOneSighting(t *testing.T) {
	t.Parallel()
	for _, bare := range []bool{true, false} {
		b := NewBook()
		b.Need(map[int64]bool{1: true}, []string{"preview"})
		is := forge.PullRequest{Number: 1, Open: true, Labels: []string{"preview"}}
		b.See(is, at(0))
		long, next := forge.List{Began: at(5), Done: at(130)}, forge.List{Began: at(131), Done: at(132)}
		if bare {
			is.Labels = nil
			long.PullRequests, next.PullRequests = []forge.PullRequest{is}, []forge.PullRequest{is}
		} else {
			b.Missing(1, at(125)) // while it is listed
		}
		b.Listed(long, "preview")
		b.Asked(1, "preview", false)
		b.Listed(next, "preview")
		if l := b.Look(1); l.State != Open || !l.PullRequest.HasLabel("preview") {
			t.Errorf("without its label %v: believed at once: %+v", bare, l)
		}
		next.Began, next.Done = at(140), at(141)
		b.Listed(next, "preview")
		if l := b.Look(1); bare && l.PullRequest.HasLabel("preview") || !bare && l.State != Gone {
			t.Errorf("without its label %v: not believed later: %+v", bare, l)
		}
	}
}
