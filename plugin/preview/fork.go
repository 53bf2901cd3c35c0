package preview

import (
	"time"

	"github.com/seedling-dev/seedling/plugin/forge"
)

const (
	// grantApart is how far apart a signed event and the forge's record of it may
	// be, both by the forge's clock.
	grantApart = 2 * time.Second
	// grantFor is for how long an event is remembered.
	grantFor = 7 * 24 * time.Hour
)

// granted is a Grant, and when it came by our clock. It is in memory only: after
// a restart a fork's commit is approved anew.
type granted struct {
	forge.Grant
	seen time.Time
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
	repo.grants[g.Number] = granted{Grant: g, seen: r.Now()}
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
	c, g := it.facts.Consent, repo.grants[pr.Number]
	if it.facts.Forks && g.HeadSHA == pr.HeadSHA && c.By != "" && c.By == g.By && c.At.Sub(g.At).Abs() <= grantApart &&
		(it.cur == nil || it.cur.Phase != Live || fresh(repo.knowledge(it.key.Namespace()).consentAt, now)) {
		return
	}
	it.facts.HeadSHA, it.facts.Paths, it.facts.HeadWaits = "", nil, reasonForkHead
}

// asksForFork says whether a live preview of a fork waits for the forge's record
// of an event that told of its new head. The caller holds mu.
func (repo *repository) asksForFork(it *item, now time.Time) bool {
	pr := it.facts.PullRequest
	if !pr.Fork || !it.facts.Forks || it.cur == nil || it.cur.HeadSHA == pr.HeadSHA || repo.grants[pr.Number].HeadSHA != pr.HeadSHA {
		return false
	}
	k := repo.knowledge(it.key.Namespace())
	return k.consentOf != consentKey(pr, it.in.Label) || !fresh(k.consentAt, now)
}
