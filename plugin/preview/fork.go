package preview

import (
	"slices"
	"time"

	"github.com/seedling-dev/seedling/plugin/forge"
)

const (
	// grantApart is how far apart a signed event and the forge's record of it may
	// be, both by the forge's clock.
	grantApart = 2 * time.Second
	// grantFor is for how long an event is remembered.
	grantFor = 7 * 24 * time.Hour
	// grantsOfOne is how many events of one person about one pull request are
	// remembered, the last ones, and grantsOfAll how many of everybody.
	grantsOfOne = 16
	grantsOfAll = 16 * grantsOfOne
)

// granted is a Grant, and when it came by our clock. It is in memory only: after
// a restart a fork's commit is approved anew.
type granted struct {
	forge.Grant
	seen time.Time
}

// grantsOf are those of one pull request, in the order they came. They are kept
// side by side: what somebody does later, or a bot, takes nothing from what
// another one approved.
type grantsOf []granted

// with is them and one more. Nobody's events take the place of another's, but
// where more people have a say than anybody needs: then those of who has most.
func (gs grantsOf) with(g granted) grantsOf {
	if slices.ContainsFunc(gs, func(was granted) bool {
		return was.HeadSHA == g.HeadSHA && was.By == g.By && was.At.Equal(g.At)
	}) {
		return gs
	}
	gs = append(slices.Clone(gs), g)
	count, most := map[string]int{}, g.By
	for _, one := range gs {
		count[one.By]++
	}
	for _, one := range gs {
		if count[one.By] > count[most] {
			most = one.By
		}
	}
	if count[g.By] > grantsOfOne {
		most = g.By
	} else if len(gs) <= grantsOfAll {
		return gs
	}
	first := slices.IndexFunc(gs, func(one granted) bool { return one.By == most })
	return slices.Delete(gs, first, first+1)
}

// of says whether any tells of that commit.
func (gs grantsOf) of(headSHA string) bool {
	return slices.ContainsFunc(gs, func(g granted) bool { return g.HeadSHA == headSHA })
}

// agree says whether one tells of that commit and of that very setting of the
// label.
func (gs grantsOf) agree(headSHA string, c Consent) bool {
	return c.By != "" && slices.ContainsFunc(gs, func(g granted) bool {
		return g.HeadSHA == headSHA && g.By == c.By && c.At.Sub(g.At).Abs() <= grantApart
	})
}

// Grant takes in that somebody approved a commit of a pull request. Whether they
// may is for the forge's record to say.
func (r *Reconciler) Grant(forgeName, repository string, g forge.Grant) {
	f := r.Forges[forgeName]
	if f == nil {
		return
	}
	r.mu.Lock()
	repo := r.repos[Key{ForgeURL: f.URL(), Repository: repository}.RepositoryHash()]
	r.mu.Unlock()
	if repo == nil {
		return
	}
	repo.mu.Lock()
	defer repo.mu.Unlock()
	repo.grants[g.Number] = repo.grants[g.Number].with(granted{Grant: g, seen: r.Now()})
}

// forkHead keeps a fork's commit back unless it was approved itself: a signed
// event told that it was the head when the label was set, and the forge's record
// tells of that very setting, by somebody who may write. What is emitted stays.
// The caller holds mu.
func (repo *repository) forkHead(it *item, now time.Time) {
	pr := it.facts.PullRequest
	if !pr.Fork || it.cur != nil && it.cur.Phase == Live && it.cur.HeadSHA == pr.HeadSHA {
		return
	}
	if it.facts.Forks && repo.grants[pr.Number].agree(pr.HeadSHA, it.facts.Consent) &&
		(it.cur == nil || it.cur.Phase != Live || fresh(repo.knowledge(it.namespace()).consentAt, now)) {
		return
	}
	it.facts.HeadSHA, it.facts.Paths, it.facts.HeadWaits = "", nil, reasonForkHead
}

// asksForFork says whether a live preview of a fork waits for the forge's record
// of an event that told of its new head. The caller holds mu.
func (repo *repository) asksForFork(it *item, now time.Time) bool {
	pr := it.facts.PullRequest
	if !pr.Fork || !it.facts.Forks || it.cur == nil || it.cur.HeadSHA == pr.HeadSHA || !repo.grants[pr.Number].of(pr.HeadSHA) {
		return false
	}
	k := repo.knowledge(it.namespace())
	return k.consentOf != consentKey(pr, it.in.Label) || !fresh(k.consentAt, now)
}
