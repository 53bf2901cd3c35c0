package preview

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seedling-dev/seedling/hooks/snapshot"
)

const (
	// settleFor is how long an ending must stand that nothing but configuration
	// causes, so that all who would end are counted before the first does.
	settleFor = 10 * time.Second
	// guardWindow is for how long an ending counts against the next.
	guardWindow = 15 * time.Minute
)

// Massive says whether of n a loss of some is more than is believed without
// asking. It is the one rule of what a mass is.
func Massive(lost, n int) bool { return lost > max(2, n*30/100) }

// massGuard keeps endings back that come in masses and that nobody told of each:
// a label renamed in the repository, a typo in an ApplicationSet, a cluster that
// was restored. What a pull request's own record tells, or the forge's record of
// events, or a person by a label, is not counted and passes.
type massGuard struct {
	mu   sync.Mutex
	sets map[string]*ledger
	// spent are tokens that were acted upon.
	spent map[string]bool
	// refusals counts how often a mass began to be kept back.
	refusals uint64
}

// ledger is what the guard knows of one ApplicationSet.
type ledger struct {
	// wants are the endings asked for, by repository and life.
	wants map[string]map[string]want
	// known is of how many of a repository's live previews anything is known.
	known map[string]int
	// released are lives whose end a person confirmed.
	released map[string]bool
	ended    []time.Time
	// confirmed is the annotation's value; token what would confirm the present
	// endings, sentence what was said of them.
	confirmed, token, sentence string
	withheld                   int
}

// want is one ending asked for.
type want struct {
	since  time.Time
	reason string
	// settles: it must stand for a while.
	settles bool
}

// verdict is what the guard says of the endings of one repository.
type verdict struct {
	// may end, by life.
	may map[string]bool
	// by is when to ask again; zero for no need.
	by time.Time
	// say is a sentence that was not said yet, spend a token that was used.
	say, spend string
	// wake are other repositories whose endings were released.
	wake []string
}

// life tells one life of a preview from the next.
func lifeOf(p *Preview) string { return p.Namespace + "/" + string(p.NamespaceUID) }

func (g *massGuard) ledger(set string) *ledger {
	if g.sets == nil {
		g.sets = map[string]*ledger{}
	}
	l := g.sets[set]
	if l == nil {
		l = &ledger{wants: map[string]map[string]want{}, known: map[string]int{}, released: map[string]bool{}}
		g.sets[set] = l
	}
	return l
}

// remember takes in tokens that were spent before a restart.
func (g *massGuard) remember(tokens []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.spent == nil {
		g.spent = map[string]bool{}
	}
	for _, t := range tokens {
		g.spent[t] = true
	}
}

// confirm takes in the annotations of all ApplicationSets, and returns the
// repositories that have something to do for it.
func (g *massGuard) confirm(annotations map[string]string) map[string]bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	wake := map[string]bool{}
	for set, value := range annotations {
		l := g.ledger(set)
		if value != l.confirmed {
			l.confirmed = value
			for id := range l.wants {
				wake[id] = true
			}
		}
	}
	maps.DeleteFunc(g.sets, func(set string, _ *ledger) bool { _, ok := annotations[set]; return !ok })
	return wake
}

// crowd is among whom something ends.
type crowd struct {
	// live is how many live previews the ApplicationSet has in all, unknown how
	// many of them nobody has looked at since the start: those may end too.
	live, unknown int
	// everything says that a large part of all previews there are would end.
	everything bool
}

// unknown takes in of how many of a repository's live previews anything is
// known, and says of how many nothing is. live is how many there are, by
// repository.
func (g *massGuard) unknown(set, repository string, known int, live map[string]int) (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.ledger(set)
	l.known[repository] = known
	for id, there := range live {
		n += max(there-l.known[id], 0)
	}
	return n
}

// judge says which of a repository's endings may happen. wants are all of its
// guarded endings for that ApplicationSet.
func (g *massGuard) judge(set, repository string, wants map[string]want, among crowd, now time.Time) verdict {
	g.mu.Lock()
	defer g.mu.Unlock()
	l, live := g.ledger(set), among.live
	before := l.wants[repository]
	for id, w := range wants {
		if was, ok := before[id]; ok && !was.since.After(now) {
			w.since = was.since
		} else {
			w.since = now
		}
		wants[id] = w
	}
	if len(wants) == 0 {
		delete(l.wants, repository)
	} else {
		l.wants[repository] = wants
	}
	l.ended = slices.DeleteFunc(l.ended, func(at time.Time) bool { return now.Sub(at) > guardWindow })

	v := verdict{may: map[string]bool{}}
	var all []string
	reasons := map[string]int{}
	for _, of := range l.wants {
		for id, w := range of {
			if !l.released[id] {
				all = append(all, id)
				reasons[w.reason]++
			}
		}
	}
	held := len(all) > 0 && (among.everything || Massive(len(all)+len(l.ended), live+len(l.ended)))
	// After a restart they come into sight one by one: the first of a mass are
	// few.
	early := Massive(len(all)+among.unknown+len(l.ended), live+len(l.ended))
	if !held {
		l.token, l.sentence, l.withheld = "", "", 0
	} else {
		l.withheld = len(all)
		l.token = token(set, all)
		if g.agreed(l) {
			g.use(l.token)
			v.spend = l.token
			for _, id := range all {
				l.released[id] = true
			}
			for id := range l.wants {
				if id != repository {
					v.wake = append(v.wake, id)
				}
			}
			l.token, l.sentence, l.withheld = "", "", 0
		} else if s := sentenceOf(set, l.token, len(all), live, reasons); s != l.sentence {
			if l.sentence == "" {
				g.refusals++
			}
			l.sentence, v.say = s, s
		}
	}
	for id, w := range wants {
		switch stands := w.since.Add(settleFor); {
		case l.released[id]:
			delete(l.released, id)
			v.may[id] = true
		case held:
		case early:
			v.by = now.Add(settleFor)
		case w.settles && stands.After(now):
			if v.by.IsZero() || stands.Before(v.by) {
				v.by = stands
			}
		default:
			v.may[id] = true
			l.ended = append(l.ended, now)
		}
	}
	return v
}

func (g *massGuard) use(token string) {
	if g.spent == nil {
		g.spent = map[string]bool{}
	}
	g.spent[token] = true
}

// agreed says whether a person confirmed exactly these endings, and for the
// first time.
func (g *massGuard) agreed(l *ledger) bool {
	return l.token != "" && strings.TrimSpace(l.confirmed) == l.token && !g.spent[l.token]
}

// token stands for exactly these lives.
func token(set string, lives []string) string {
	slices.Sort(lives)
	return fmt.Sprintf("%d-%s", len(lives), digest(append([]string{set}, lives...)...)[:12])
}

func sentenceOf(set, token string, n, live int, reasons map[string]int) string {
	var why []string
	for _, reason := range slices.Sorted(maps.Keys(reasons)) {
		why = append(why, fmt.Sprintf("%d because %s", reasons[reason], reason))
	}
	return fmt.Sprintf("%d of %d previews of ApplicationSet %s would end at once (%s), which looks like a mistake: they stay. "+
		"If all of them shall end: kubectl -n <argocd's namespace> annotate --overwrite applicationset %s %s=%s",
		n, live, set, strings.Join(why, "; "), set, snapshot.AnnotationEndConfirmed, token)
}

// Withheld are the endings that the guard keeps back, by ApplicationSet: how
// many, and the sentence that says what to do.
func (g *massGuard) Withheld() map[string]Withheld {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := map[string]Withheld{}
	for set, l := range g.sets {
		if l.withheld > 0 {
			out[set] = Withheld{Previews: l.withheld, Sentence: l.sentence}
		}
	}
	return out
}

// Refusals is how often a mass began to be kept back since the start.
func (g *massGuard) Refusals() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.refusals
}

// Withheld is what the guard keeps back for one ApplicationSet.
type Withheld struct {
	Previews int
	Sentence string
}
