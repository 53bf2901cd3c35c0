package seed

import (
	"context"
	"time"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/dump"
	"github.com/seedling-dev/seedling/hooks/mask"
)

// prepare builds the shadow database, compiles the policy against it, and
// refuses what can be refused before the first row.
func (r *run) prepare(ctx context.Context) (err error) {
	start := time.Now()
	r.Progress.Start("plan", 0)
	defer r.Progress.End()
	name := "seedling_shadow_" + r.short
	defer func() {
		if derr := r.drop(ctx, name); err == nil {
			err = derr
		}
	}()
	catalog, err := r.shadow(ctx, name)
	if err != nil {
		return err
	}
	plan, err := mask.Compile(r.Policy, r.Key, catalog)
	if err != nil {
		return command.Misconfigured(err)
	}
	r.plan = plan
	if plan.LargeObjects() && r.dump.Format == dump.Plain && len(r.schema.largeObjects) > 0 {
		return command.Misconfiguredf("the policy keeps large objects, which cannot be read from a plain dump: dump with -Fc, or leave them out (large_objects: none)")
	}
	r.ordinary = map[mask.Name]bool{}
	r.parents = map[mask.Name][]mask.Name{}
	for _, t := range catalog.Tables {
		r.ordinary[mask.Name{Schema: t.Schema, Name: t.Name}] = !t.Partitioned
		if len(t.Parents) > 0 {
			r.parents[mask.Name{Schema: t.Schema, Name: t.Name}] = t.Parents
		}
	}
	for _, w := range r.plan.Warnings {
		r.warn(w)
	}
	r.report.Kept = r.plan.Kept()
	if r.plan.LargeObjects() {
		r.report.Kept = append(r.report.Kept, keptObjects)
	}
	if r.Policy.Comments && r.schema.comments {
		r.report.Kept = append(r.report.Kept, keptComments)
	}
	if err := r.checkExcluded(ctx, catalog); err != nil {
		return err
	}
	r.schema.leaveOut(plan.Dropped())
	if err := r.dropIndexes(ctx, name); err != nil {
		return err
	}
	r.report.phase("plan", start)
	if err := r.checkRebuilds(ctx, name); err != nil {
		return err
	}
	if err := r.checkLedger(ctx); err != nil || !r.sampling {
		return err
	}
	start = time.Now()
	// The sample, too, puts kept values onto the volume.
	if err := r.writeLedger(ctx); err != nil {
		return err
	}
	err = r.triedError(r.sample(ctx, name))
	r.report.phase("sample", start)
	return err
}

// Plan checks all that an import checks before its first row, and, with
// sample, sends some rows of every table through the masks into the shadow
// database.
func Plan(ctx context.Context, o Options, sample bool) (*PlanReport, error) {
	r := newRun(o)
	defer func() { r.report.Finished = time.Now().UTC() }()
	out := &PlanReport{Report: r.report}
	err := func() error {
		if err := r.open(ctx); err != nil {
			return err
		}
		defer r.close(ctx)
		if err := r.read(ctx); err != nil {
			return err
		}
		defer r.dump.Close()
		// Of a dump that can only be read in order there is none, and what is not
		// tried does not reach the volume.
		r.sampling = sample && !r.dump.Sequential()
		same, err := r.unchanged(ctx, true)
		if err != nil {
			return err
		}
		err = r.prepare(ctx)
		r.describe(out, same)
		return err
	}()
	if err != nil {
		return out, interrupted(ctx, sourceError(err))
	}
	return out, nil
}
