package preview

import (
	"cmp"
	"context"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/forge"
)

// statusContext names our commit status; one per ApplicationSet.
func statusContext(applicationSet string) string { return "seedling/" + applicationSet }

// status is what is said of a preview on its pull request. Held back for good,
// until somebody does something, is a failure; what is tried again is pending.
func status(p *Preview, in Input, asked Consent) forge.Status {
	s := forge.Status{Context: statusContext(p.ApplicationSet), State: forge.Pending}
	switch p.Phase {
	case Held:
		s.Description = "Held back: " + p.Reason
		if p.PullRequest.Fork || p.ConsentBy == "" && asked.Missing != "" && !asked.Unanswered {
			s.State = forge.Failure
		}
	case Live:
		if p.Foreign {
			s.State = forge.Failure
			s.Description = "Its volume is not the restored one: set label " + cmp.Or(in.ResetLabel, DefaultResetLabel) +
				" for a fresh preview, or delete claim " + snapshot.SeedPVC + " and sync"
			break
		}
		s.URL = parameters(p, in)["preview_url"]
		if p.PVCUID == "" {
			s.Description = "Preview " + p.Namespace + " is starting"
			break
		}
		s.State = forge.Success
		s.Description = "Preview " + p.Namespace + " has the masked data of snapshot " + p.Snapshot
	case Ending:
		if renewing[p.Reason] {
			s.Description = "The preview is being removed: " + p.Reason
			break
		}
		s.State = forge.Success
		s.Description = "No preview: " + p.Reason
	}
	return s
}

// givenUp is a preview that was held back and is not asked for any more. It
// left nothing but what was said of it, which would stand on the commit as
// pending or failed for ever.
func givenUp(it *item) *Preview {
	p := *it.cur
	p.Phase, p.Reason = Ending, it.facts.Refused
	return &p
}

// tell writes commit statuses that differ from what was said last, and takes
// off reset labels that were acted upon. Nothing here decides anything, so
// nothing here is an error.
func (r *Reconciler) tell(ctx context.Context, repo *repository, f forge.Forge, items []*item, events []transition) {
	rec := r.Store.read(repo.key.RepositoryHash())
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(atOnce)
	for _, it := range items {
		p := rec.find(it.key.ApplicationSet, it.key.Number)
		if p == nil && it.cur != nil && it.cur.Phase == Held {
			p = givenUp(it)
		}
		if p == nil || !commit.MatchString(p.PullRequest.HeadSHA) || it.facts.PullRequest == nil {
			continue
		}
		s := status(p, it.in, it.facts.Consent)
		text := digest(p.PullRequest.HeadSHA, string(s.State), s.Description, s.URL)[:16]
		mu.Lock()
		said := repo.said[p.Namespace] == text
		mu.Unlock()
		if said {
			continue
		}
		group.Go(caught(func() error {
			if err := f.SetStatus(ctx, p.Repository, p.PullRequest.HeadSHA, s); err != nil {
				r.Log.WarnContext(ctx, "the commit status could not be written", "preview", p.Namespace, "error", err)
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			repo.said[p.Namespace] = text
			return nil
		}))
	}
	for _, t := range events {
		if t.is == nil || t.is.Phase != Ending || t.is.Reason != reasonReset {
			continue
		}
		group.Go(caught(func() error {
			if err := f.RemoveLabel(ctx, t.is.Repository, t.is.Number, t.in.ResetLabel); err != nil {
				r.Log.WarnContext(ctx, "the reset label could not be taken off; it is spent and does nothing more",
					"preview", t.is.Namespace, "error", err)
			}
			return nil
		}))
	}
	if err := group.Wait(); err != nil {
		r.Log.ErrorContext(ctx, "saying it on pull requests failed", "repository", repo.key.Repository, "error", err)
	}
	for namespace := range repo.said {
		if !r.Store.Known(namespace) {
			delete(repo.said, namespace)
		}
	}
}
