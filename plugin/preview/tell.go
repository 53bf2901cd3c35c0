package preview

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/seedling-dev/seedling/plugin/forge"
)

// tellOf logs what became of previews, for people and for the audit, and wakes
// the janitor.
func (r *Reconciler) tellOf(ctx context.Context, repo *repository, events []transition) {
	ended := false
	for _, t := range events {
		r.Moved(t.was, t.is)
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
		switch {
		case t.was == nil || t.is == nil || t.was.Phase != t.is.Phase:
			r.auditStep(ctx, p, phase)
		case t.slept() && p.asleep():
			r.audit(ctx, p, "asleep", "reason", p.AsleepFor)
		case t.slept():
			r.audit(ctx, p, "awake", "slept_since", rfc(t.was.AsleepSince))
		}
	}
	if ended {
		r.Ended()
	}
}

// audit writes the record of one event of a preview. Each says which preview of
// what it is, who asked for it and how that was found out; none holds a value of
// a row or a secret, and titles and names of branches are an author's and left
// out.
func (r *Reconciler) audit(ctx context.Context, p *Preview, event string, more ...any) {
	attrs := []any{
		"event", event, "preview", p.Namespace, "namespace_uid", string(p.NamespaceUID), "forge", p.ForgeURL, "repository", p.Repository,
		"number", p.Number, "applicationset", p.ApplicationSet, "seed", p.Seed, "head", p.HeadSHA, "first_seen", rfc(p.FirstSeen),
	}
	if p.ConsentBy != "" {
		attrs = append(attrs, "labelled_by", p.ConsentBy, "labelled_at", rfc(p.ConsentAt), "consent_checked", r.consentChecked(p))
	}
	r.Audit.InfoContext(ctx, "preview "+event, append(attrs, more...)...)
}

// consentChecked is how consent is found out, each time a preview goes live.
func (r *Reconciler) consentChecked(p *Preview) string {
	act := "set the label"
	for _, f := range r.Forges {
		if _, approving := f.(forge.Approving); approving && f.URL() == p.ForgeURL {
			act = "approved it"
		}
	}
	return "the forge's record of who " + act + ", and that login's permission to write, when it went live"
}

// auditStep writes the record of a step of the state machine.
func (r *Reconciler) auditStep(ctx context.Context, p *Preview, phase string) {
	switch Phase(phase) {
	case Live:
		r.audit(ctx, p, "live", "emitted_at", rfc(p.EmittedAt), "kept_data", p.PVCUID != "", "snapshot", p.Snapshot,
			"data_time", rfc(p.DataAt), "dump_time", rfc(p.DumpedAt), "volume_uid", string(p.PVCUID))
	case Ending:
		r.audit(ctx, p, "ended", "reason", p.Reason, "emitted_at", rfc(p.EmittedAt), "ended_at", rfc(p.EndedAt),
			"snapshot", p.Snapshot, "data_time", rfc(p.DataAt), "dump_time", rfc(p.DumpedAt),
			"volume_uid", string(p.PVCUID), "data_kept_until", rfc(p.LingersUntil))
	case Held:
		r.audit(ctx, p, "held", "reason", p.Reason)
	default:
		r.audit(ctx, p, "given up", "reason", p.Reason)
	}
}

// Origin is where the data of a preview is from.
type Origin struct {
	Snapshot string
	// DataTime is when the import behind the snapshot finished, DumpTime when the
	// source of that was dumped, RFC 3339; empty for what is not told.
	DataTime, DumpTime string
	Volume             types.UID
}

// Restored takes in that a preview has its volume, and where its data is from.
func (r *Reconciler) Restored(p Preview, from Origin) {
	// Where this fails the age is that of the snapshot, which its name has.
	if at, err := time.Parse(time.RFC3339, from.DataTime); err == nil {
		dumped, err := time.Parse(time.RFC3339, from.DumpTime)
		if err != nil {
			dumped = time.Time{} // a snapshot of an older seed-backup
		}
		ctx, cancel := context.WithTimeout(context.Background(), stepTimeout)
		defer cancel()
		if err := r.Store.RecordData(ctx, p.Namespace, at.UTC(), dumped.UTC()); err != nil {
			r.Log.Warn("the age of a preview's data is taken from its snapshot", "preview", p.Namespace, "error", err)
		}
	}
	r.audit(context.Background(), &p, "restored", "snapshot", from.Snapshot, "data_time", from.DataTime, "dump_time", from.DumpTime,
		"volume_uid", string(from.Volume), "restored_at", rfc(r.Now()))
}

// Removed takes in that nothing is left of an ended preview.
func (r *Reconciler) Removed(p Preview) {
	r.audit(context.Background(), &p, "removed", "reason", p.Reason, "emitted_at", rfc(p.EmittedAt), "ended_at", rfc(p.EndedAt),
		"snapshot", p.Snapshot, "data_time", rfc(p.DataAt), "dump_time", rfc(p.DumpedAt), "volume_uid", string(p.PVCUID), "removed_at", rfc(r.Now()),
		"confirmed", "the API server answers that the namespace is not there")
}

func rfc(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}
