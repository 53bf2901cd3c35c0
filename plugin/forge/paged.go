package forge

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// pagedList reads a list page by page where a forge has nothing better than its
// pages. One that changed while its pages were read is read again, because a
// pull request that closes moves others between pages. That it did is told by
// the forge's count of the list, or, where it has none, by asking for the last
// entry of a page once more as the first of the next.
type pagedList struct {
	forge, repository string
	sizes             *pageSizes
	// overlap says that pages begin wherever we say, and that the forge does not
	// count.
	overlap bool
	// newestFirst says that the list begins with the highest number.
	newestFirst bool
	fetch       func(ctx context.Context, at pageAt) (page, error)
	// complete fills in what the pages do not tell of a pull request, by one call
	// at most, and says whether it made one; nil where they tell all.
	complete func(ctx context.Context, p *PullRequest) (called bool, err error)

	begun              bool
	tries, pages, size int
	total              int
	next               string
	entries            []pageEntry
	seen               map[int64]bool
	ended              bool
	list               List
	completed          int
}

// pageAt is where a page begins: at what the page before named as its next one,
// or at that entry.
type pageAt struct {
	next        string
	start, size int
	// again says that its first entry is one that was there before.
	again bool
}

// page is one answer.
type page struct {
	entries []pageEntry
	// next names the next page, where the forge does.
	next string
	// last says that it is the last page; where nothing tells that, a page
	// without a new entry is.
	last bool
	// total is how many there are on all pages; -1 where that is not told.
	total int
}

// pageEntry is one entry: its number, 0 where that cannot be read, and the pull
// request, nil where the rest cannot.
type pageEntry struct {
	number int64
	pull   *PullRequest
}

// List implements Lister.
func (l *pagedList) List() List { return l.list }

// Next implements Lister.
func (l *pagedList) Next(ctx context.Context) (done bool, err error) {
	fail := func(err error) (bool, error) {
		return false, fmt.Errorf("forge %s: list pull requests of %s: page %d: %w", l.forge, l.repository, l.pages+1, err)
	}
	if !l.begun {
		l.begin()
	}
	if l.ended {
		return l.finish(ctx)
	}
	at := pageAt{next: l.next, start: len(l.entries), size: l.size}
	if l.overlap && at.start > 0 {
		at.start, at.again = at.start-1, true
	}
	p, err := l.fetch(ctx, at)
	switch {
	case errors.Is(err, errTooLarge) && l.size > 1:
		l.sizes.set(l.repository, max(l.size/7, 1))
		l.begun = false
		return false, nil
	case err != nil:
		return fail(err)
	}
	stable, err := l.take(p)
	switch {
	case err != nil:
		l.begun = false
		return fail(err)
	case !stable:
		l.begun = false
		if l.tries++; l.tries >= maxTries {
			l.tries = 0
			return false, fmt.Errorf("forge %s: list pull requests of %s: the list changed %d times while it was read", l.forge, l.repository, maxTries)
		}
		return false, nil
	case !l.ended:
		if l.pages++; l.pages > max(maxPages, maxPages*pageSize/l.size) {
			l.begun = false
			return fail(errors.New("the list does not end"))
		}
		return false, nil
	}
	if err := l.settle(); err != nil {
		l.begun = false
		return fail(err)
	}
	return l.complete == nil, nil
}

func (l *pagedList) begin() {
	l.begun, l.ended, l.pages, l.total, l.next, l.completed = true, false, 0, -1, "", 0
	l.size = l.sizes.of(l.repository)
	l.entries, l.seen = nil, map[int64]bool{}
	l.list = List{Began: time.Now()}
}

// take takes in a page as a whole. stable is false where the list changed since
// the page before.
func (l *pagedList) take(p page) (stable bool, err error) {
	if p.total >= 0 {
		if l.total >= 0 && p.total != l.total {
			return false, nil
		}
		l.total = p.total
	}
	entries := p.entries
	if n := len(l.entries); l.overlap && n > 0 {
		if len(entries) == 0 || entries[0].number != l.entries[n-1].number {
			return false, nil
		}
		entries = entries[1:]
	}
	within := map[int64]bool{}
	for _, e := range entries {
		switch {
		case e.number == 0:
		case within[e.number]:
			return false, fmt.Errorf("it repeats pull request %d: does something in between cache answers", e.number)
		case l.seen[e.number]:
			return false, nil
		}
		within[e.number] = e.number != 0 // several may be unknown
	}
	maps.Copy(l.seen, within)
	l.entries = append(l.entries, entries...)
	l.next, l.ended = p.next, p.last
	switch {
	case l.total >= 0 && l.ended:
		return len(l.entries) == l.total, nil
	case !l.ended && len(entries) == 0:
		return false, nil // it says that there are more, and there are none
	}
	return true, nil
}

// settle makes the list of the entries.
func (l *pagedList) settle() error {
	if l.newestFirst {
		slices.Reverse(l.entries)
	}
	var numbers gaps
	for _, e := range l.entries {
		if e.number == 0 {
			numbers.unknown()
			continue
		}
		missed, err := numbers.take(e.number)
		if err != nil {
			return err
		}
		l.list.Unreadable = append(l.list.Unreadable, missed...)
		if e.pull == nil {
			l.list.Unreadable = append(l.list.Unreadable, e.number)
			continue
		}
		l.list.PullRequests = append(l.list.PullRequests, *e.pull)
	}
	missed, err := numbers.end()
	l.list.Unreadable = append(l.list.Unreadable, missed...)
	return err
}

// finish fills in what the pages did not tell, one call at a time.
func (l *pagedList) finish(ctx context.Context) (done bool, err error) {
	for l.completed < len(l.list.PullRequests) {
		p := &l.list.PullRequests[l.completed]
		called, err := l.complete(ctx, p)
		if err != nil {
			return false, fmt.Errorf("forge %s: list pull requests of %s: pull request %d: %w", l.forge, l.repository, p.Number, err)
		}
		l.completed++
		if called {
			return l.completed == len(l.list.PullRequests), nil
		}
	}
	return true, nil
}

// pageSizes are how many entries are asked for at a time: fewer in repositories
// whose pages were too large.
type pageSizes struct {
	usual int

	mu    sync.Mutex
	small map[string]int
}

func newPageSizes(usual int) *pageSizes { return &pageSizes{usual: usual, small: map[string]int{}} }

func (s *pageSizes) of(repository string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if size := s.small[repository]; size > 0 {
		return size
	}
	return s.usual
}

func (s *pageSizes) set(repository string, size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.small[repository] = size
}
