package preview

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"
)

const (
	// placeFor is how long a place that was given is kept for a preview that is
	// not live yet, and how long one that waits counts that nobody decides about.
	placeFor = 5 * time.Minute
	// exactPlaces is how many places are counted one by one. Further back they are
	// told by tens, or each preview that ends would change what is said of all.
	exactPlaces = 10
)

// line is the queue before the places that there are: so many previews of a
// repository, and in all. Who is first in it is read from the state, so that a
// restart changes nothing; it remembers only who was given a place and is not
// live yet, and who asked.
type line struct {
	mu sync.Mutex
	// given are places of previews that are not live yet, by namespace.
	given map[string]place
	// asked is who asks for one.
	asked map[string]place
}

// place is that of one preview, or what it asks for.
type place struct {
	repository string
	since, at  time.Time
	most       int // of the repository; 0 for any number
}

// waiter is one that waits.
type waiter struct {
	namespace string
	place
}

// admit gives a preview that lacks nothing else a place, or says which one in
// the queue it has. One that has a namespace has a place: it has what that is kept
// for, and may be one that the state does not know any more.
func (l *line) admit(r *Reconciler, it *item, now time.Time) {
	namespace := it.namespace()
	if it.in.Cap == 0 && r.Cap == 0 {
		return
	}
	renews := it.cur != nil && it.cur.Phase == Ending && renewing[it.cur.Reason] && it.facts.PullRequest != nil && it.facts.Refused == ""
	if !renews && !r.standing(it, now) {
		// What was given to one that is asked about anew is kept for a while.
		l.leave(namespace, it.facts.PullRequest == nil || it.facts.Refused != "")
		return
	}
	since := now
	if it.cur != nil {
		since = it.cur.FirstSeen
	}
	ask := place{repository: it.key.RepositoryHash(), since: since, at: now, most: it.in.Cap}
	if renews {
		l.keep(namespace, ask) // its own, until it begins anew
		return
	}
	if seen, ok := r.inventory.current(); ok && (seen.namespace(namespace) != "" || seen.slot(it.key) != "") {
		l.keep(namespace, ask)
		return
	}
	it.facts.Queue = l.ask(r.Store, namespace, ask, r.Cap)
}

// standing says whether a preview would begin if it had a place.
func (r *Reconciler) standing(it *item, now time.Time) bool {
	if it.facts.PullRequest == nil || it.facts.Refused != "" || it.cur != nil && it.cur.Phase != Held {
		return false
	}
	facts := it.facts
	facts.Space = Space{UID: "asked", HookUID: "asked"}
	p := Next(it.cur, it.key, facts, now)
	return p != nil && p.Phase == Live
}

// leave takes it out of the queue, and its place if it is not asked for any more.
func (l *line) leave(namespace string, unasked bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.asked, namespace)
	if unasked {
		delete(l.given, namespace)
	}
}

// rename follows a preview that was given a slot.
func (l *line) rename(from, to string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	move(l.asked, from, to)
	move(l.given, from, to)
}

func (l *line) keep(namespace string, of place) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.asked, namespace)
	put(&l.given, namespace, of)
}

func put(places *map[string]place, namespace string, of place) {
	if *places == nil {
		*places = map[string]place{}
	}
	(*places)[namespace] = of
}

// ask is empty where there is a place, which is then given, or says which one in
// the queue it is. most is how many there may be in all.
func (l *line) ask(store *Store, namespace string, of place, most int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	put(&l.asked, namespace, of)
	taken := map[string]int{} // by repository
	all := 0
	counted := map[string]bool{}
	waiting := []waiter{{namespace, of}}
	store.each(func(p *Preview) {
		switch {
		case p.Phase == Live, p.Phase == Ending && renewing[p.Reason], p.Phase == Held && p.NamespaceUID != "" && p.Namespace != namespace:
			counted[p.Namespace] = true
			if p.Phase == Live {
				delete(l.given, p.Namespace)
			}
			taken[p.RepositoryHash()]++
			all++
		case p.Phase == Held && p.Queued && p.Namespace != namespace:
			if asks, ok := l.asked[p.Namespace]; ok && recent(asks.at, of.at) {
				waiting = append(waiting, waiter{p.Namespace, asks})
			}
		}
	})
	for other, g := range l.given {
		switch {
		case !recent(g.at, of.at):
			delete(l.given, other)
			continue
		case counted[other]:
			continue
		}
		if other == namespace {
			put(&l.given, namespace, of)
			return ""
		}
		taken[g.repository]++
		all++
	}
	slices.SortFunc(waiting, func(a, b waiter) int {
		return cmp.Or(a.since.Compare(b.since), cmp.Compare(a.namespace, b.namespace))
	})
	full := of.most > 0 && taken[of.repository] >= of.most
	used := taken[of.repository]
	n, before := all, 0
	for _, w := range waiting {
		free := (w.most == 0 || taken[w.repository] < w.most) && (most == 0 || all < most)
		switch {
		case w.namespace == namespace && free:
			delete(l.asked, namespace)
			put(&l.given, namespace, of)
			return ""
		case w.namespace == namespace && full:
			return fmt.Sprintf("it is %s in the queue: the repository has %d of %d previews", nth(before+1), used, of.most)
		case w.namespace == namespace && most > 0:
			return fmt.Sprintf("it is %s in the queue: there are %d of %d previews in all", nth(before+1), n, most)
		case w.namespace == namespace:
			return fmt.Sprintf("it is %s in the queue", nth(before+1))
		case free: // who came before goes before
			taken[w.repository]++
			all++
		}
		if !full || w.repository == of.repository {
			before++
		}
	}
	return "" // not reached: it is among those who wait
}

// recent says whether something was a short while before.
func recent(at, now time.Time) bool {
	age := now.Sub(at)
	return age > -placeFor && age < placeFor
}

// nth is a place in the queue.
func nth(n int) string {
	if n > exactPlaces {
		return fmt.Sprintf("behind the %dth", n/exactPlaces*exactPlaces)
	}
	switch n {
	case 1:
		return "1st"
	case 2:
		return "2nd"
	case 3:
		return "3rd"
	}
	return fmt.Sprintf("%dth", n)
}
