package preview

import (
	"context"
	"time"
)

// tellOf logs what became of previews, for people and for the audit, and wakes
// the janitor.
func (r *Reconciler) tellOf(ctx context.Context, repo *repository, events []transition) {
	ended := false
	for _, t := range events {
		p, phase := t.is, "gone"
		switch {
		case p != nil:
			phase = string(p.Phase)
		case t.was != nil:
			p = t.was
		default:
			continue
		}
		r.Log.InfoContext(ctx, "preview", "preview", p.Namespace, "repository", repo.key.Repository, "number", p.Number,
			"phase", phase, "reason", p.Reason, "head", p.HeadSHA)
		ended = ended || phase == string(Ending)
		if t.was == nil || t.is == nil || t.was.Phase != t.is.Phase {
			r.audit(ctx, p, phase)
		}
	}
	if ended {
		r.Ended()
	}
}

// audit writes the record of one event of a preview.
func (r *Reconciler) audit(ctx context.Context, p *Preview, phase string) {
	attrs := []any{
		"preview", p.Namespace, "forge", p.ForgeURL, "repository", p.Repository, "number", p.Number,
		"applicationset", p.ApplicationSet, "namespace_uid", string(p.NamespaceUID), "seed", p.Seed, "head", p.HeadSHA,
	}
	switch Phase(phase) {
	case Live:
		attrs = append(attrs, "consent_by", p.ConsentBy, "consent_at", rfc(p.ConsentAt),
			"consent_checked", "the forge's record of who set the label, and that login's permission, at this step",
			"first_seen", rfc(p.FirstSeen), "kept_data", p.PVCUID != "", "snapshot", p.Snapshot)
	case Ending:
		attrs = append(attrs, "reason", p.Reason, "consent_by", p.ConsentBy, "emitted_at", rfc(p.EmittedAt), "ended_at", rfc(p.EndedAt),
			"snapshot", p.Snapshot, "volume_uid", string(p.PVCUID), "data_kept_until", rfc(p.LingersUntil))
	default:
		attrs = append(attrs, "reason", p.Reason)
	}
	r.Audit.InfoContext(ctx, "preview "+phase, attrs...)
}

func rfc(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}
