package broker

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/preview"
)

const (
	// aheadMost is how many Restores of ours Velero has at a time. It takes one
	// after the other, in the order in which they were made, so whoever is in its
	// list cannot be overtaken; these are enough for it never to wait for us.
	aheadMost = 4
	// absentAfter is how long somebody who waits may not ask before others go first.
	absentAfter = 3 * time.Second
	// grantedFor is how long a turn counts that the watch knows no Restore of yet.
	grantedFor = 2 * time.Second
)

// line is who waits until Velero is asked. Repositories take turns, each by as
// many as it has with Velero already, and the previews of one go in the order in
// which they were emitted: a repository that labels fifty at once delays another
// one's only preview by a few Restores. It is in memory alone. The order is made
// of what the state has, so after a restart it is the same as soon as the hooks
// have asked again.
type line struct {
	mu      sync.Mutex
	waiting map[string]waiter
	granted map[string]grant
}

type waiter struct {
	repository string
	since      time.Time // emitted
	seen       time.Time
}

type grant struct {
	repository string
	at         time.Time
}

func newLine() *line { return &line{waiting: map[string]waiter{}, granted: map[string]grant{}} }

// has says whether a preview waits in it.
func (l *line) has(namespace string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.waiting[namespace]
	return ok
}

// turn says whether a preview's Restore may be made now, and its place otherwise.
// atWork are the namespaces that Velero has a Restore of ours for, with their
// repositories.
func (l *line) turn(p preview.Preview, atWork map[string]string, now time.Time) (place int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	open, total := map[string]int{}, 0
	for _, repository := range atWork {
		open[repository]++
		total++
	}
	for namespace, g := range l.granted {
		_, known := atWork[namespace]
		switch {
		case now.Sub(g.at) >= grantedFor:
			delete(l.granted, namespace)
		case namespace == p.Namespace:
			return 0, true
		case !known:
			open[g.repository]++
			total++
		}
	}
	l.waiting[p.Namespace] = waiter{repositoryOf(p), p.EmittedAt, now}
	before := l.before(p.Namespace, open, now)
	if before >= aheadMost-total {
		return total + before + 1, false
	}
	delete(l.waiting, p.Namespace)
	l.granted[p.Namespace] = grant{repositoryOf(p), now}
	return 0, true
}

// before is how many go before a preview that waits, of those that ask now.
func (l *line) before(namespace string, open map[string]int, now time.Time) int {
	var names []string
	for name, w := range l.waiting {
		if now.Sub(w.seen) >= absentAfter {
			delete(l.waiting, name)
			continue
		}
		names = append(names, name)
	}
	older := func(a, b string) int {
		return cmp.Or(l.waiting[a].since.Compare(l.waiting[b].since), strings.Compare(a, b))
	}
	slices.SortFunc(names, older)
	round, next := map[string]int{}, map[string]int{}
	for _, name := range names {
		of := l.waiting[name].repository
		round[name] = open[of] + next[of]
		next[of]++
	}
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(round[a], round[b]) })
	return slices.Index(names, namespace)
}

func repositoryOf(p preview.Preview) string { return p.ForgeURL + " " + p.Repository }

// atWork are the previews that Velero has a Restore of ours for, where the watch
// knows.
func (v *Velero) atWork() (map[string]string, bool) {
	all, known := v.restores.cached()
	if !known {
		return nil, false
	}
	at := map[string]string{}
	for _, r := range all {
		namespace := r.Labels[snapshot.LabelNamespace]
		if namespace == "" || ended(r) || snapshot.Others(r.Labels, v.owner) {
			continue
		}
		p, _ := v.previews.Live(namespace) // one that ended is of no repository
		at[namespace] = repositoryOf(p)
	}
	return at, true
}
