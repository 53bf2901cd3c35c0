package preview

import (
	"slices"
	"strings"
	"time"

	"github.com/seedling-dev/seedling/plugin/forge"
	"github.com/seedling-dev/seedling/plugin/queue"
	"github.com/seedling-dev/seedling/plugin/sight"
)

const reasonWithdrawn = "nobody with write access approves it any more"

// doubted says whether who approved a live preview does so no more, where approvals
// are what labels are elsewhere. Others may still approve, and whether one of them
// may is for the forge's record to say: what a stranger says keeps nothing.
func (repo *repository) doubted(it *item) bool {
	if _, approving := repo.forge.(forge.Approving); !approving || it.cur == nil || it.cur.Phase != Live {
		return false
	}
	pr := it.look.PullRequest
	return it.look.State == sight.Open && pr.HasLabel(forge.Approved) && it.in.Label == forge.Approved &&
		!slices.Contains(strings.Split(pr.Approvals, "\n"), it.cur.ConsentBy)
}

// withdrawn says why a live preview ends that nobody approves any more who may;
// empty where somebody does, or as long as the forge said so only once. The caller
// holds mu.
func (repo *repository) withdrawn(it *item) string {
	if !repo.doubted(it) {
		return ""
	}
	k := repo.knowledge(it.namespace())
	if k.consentOf != consentKey(&it.look.PullRequest, it.in.Label) || k.consent.By != "" || k.consent.Unanswered ||
		k.refusedAt.IsZero() || k.consentAt.Sub(k.refusedAt) < sight.Apart {
		return ""
	}
	return reasonWithdrawn
}

// findApproval asks whether somebody who may approves a live preview of which that
// is in doubt. The caller holds mu.
func (r *Reconciler) findApproval(repo *repository, it *item, e *errands) {
	k := repo.knowledge(it.namespace())
	if !repo.doubted(it) {
		k.refusedAt = time.Time{}
		return
	}
	if key := consentKey(it.facts.PullRequest, it.in.Label); k.consentOf != key {
		delete(repo.pace, "consent/"+it.namespace())
	} else if k.consent.By != "" {
		return // Next takes it over
	}
	e.want(r.consentTask(repo, it, queue.Normal))
}
