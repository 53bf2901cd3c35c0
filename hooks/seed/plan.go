package seed

import (
	"context"
	"time"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/dump"
	"github.com/seedling-dev/seedling/hooks/mask"
)

// planned is a policy that compiled against the dump's schema.
type planned struct {
	*checked
	plan *mask.Plan
	// holdsRows says which tables hold rows of their own: partitioned ones do not
	holdsRows map[mask.Name]bool
	parents   map[mask.Name][]mask.Name // of partitions and inheritance children
	locale    string                    // of the dump, see shadow
	sizes     []TableSize               // of a sample
	opaque    []string                  // CHECK constraints that a sample cannot judge
	// smallGroups is what the sample says of few values, nil without one
	smallGroups []string
}

// prepare builds the shadow database, compiles the policy against it, and
// refuses what can be refused before the first row. With sample, some rows of every
// table are tried. What it returns is not nil, also with an error, once the policy
// compiled.
func (r *checked) prepare(ctx context.Context, sample bool) (p *planned, err error) {
	r.Progress.Start("plan", 0)
	defer r.Progress.End()
	start := time.Now()
	err = r.withShadow(ctx, func(s *shadow) error {
		if p, err = r.compile(s); err != nil {
			return err
		}
		if err := p.checkExcluded(ctx, s.catalog); err != nil {
			return err
		}
		p.schema.leaveOut(p.plan.Dropped())
		if err := p.dropIndexes(ctx, s.name); err != nil {
			return err
		}
		r.report.phase("plan", start)
		if err := p.checkRebuilds(ctx, s.name); err != nil {
			return err
		}
		if err := p.checkLedger(ctx); err != nil {
			return err
		}
		if err := p.findAccounts(ctx, p.plan, r.printed); err != nil || !sample {
			return err
		}
		start = time.Now()
		// The sample, too, puts kept values onto the volume.
		if err := p.writeLedger(ctx); err != nil {
			return err
		}
		err := p.triedError(p.sample(ctx, s.name))
		r.report.phase("sample", start)
		return err
	})
	return p, err
}

// compile compiles the policy, and says what will be kept.
func (r *checked) compile(s *shadow) (*planned, error) {
	s.catalog.Logins = r.Logins
	plan, err := mask.Compile(r.Policy, r.Key, s.catalog)
	if err != nil {
		return nil, command.Misconfigured(err)
	}
	p := &planned{checked: r, plan: plan, locale: s.locale, holdsRows: map[mask.Name]bool{}, parents: map[mask.Name][]mask.Name{}}
	if plan.LargeObjects() && r.archive.Format == dump.Plain && len(r.schema.largeObjects) > 0 {
		return p, command.Misconfiguredf("the policy keeps large objects, which cannot be read from a plain dump: dump with -Fc, or leave them out (large_objects: none)")
	}
	for _, t := range s.catalog.Tables {
		name := mask.Name{Schema: t.Schema, Name: t.Name}
		p.holdsRows[name] = !t.Partitioned
		if len(t.Parents) > 0 {
			p.parents[name] = t.Parents
		}
	}
	for _, w := range plan.Warnings {
		r.warn(w)
	}
	r.report.Kept = plan.Kept()
	if plan.LargeObjects() {
		r.report.Kept = append(r.report.Kept, keptObjects)
	}
	if r.Policy.Comments && r.schema.commented {
		r.report.Kept = append(r.report.Kept, keptComments)
	}
	return p, nil
}

// revealed is what the import lets through of its originals.
func (r *planned) revealed() mask.Revealed {
	out := r.plan.Revealed()
	out.LargeObjects = out.LargeObjects && len(r.schema.largeObjects) > 0
	out.Comments = r.Policy.Comments && r.schema.commented
	return out
}

// Plan checks all that an import checks before its first row, and, with
// sample, sends some rows of every table through the masks into the shadow
// database.
func Plan(ctx context.Context, o Options, sample bool) (*PlanReport, error) {
	r := start(o)
	r.needHashes()
	r.printed = true
	defer func() { r.report.Finished = time.Now().UTC() }()
	out := &PlanReport{Report: r.report}
	if err := r.planDump(ctx, out, sample); err != nil {
		return out, interrupted(ctx, sourceError(err))
	}
	return out, nil
}

func (r *started) planDump(ctx context.Context, out *PlanReport, sample bool) error {
	opened, err := r.open(ctx)
	if err != nil {
		return err
	}
	defer opened.close(ctx)
	checked, err := opened.check(ctx)
	if err != nil {
		return err
	}
	defer checked.archive.Close()
	same, err := opened.unchanged(ctx, checked.archive)
	if err != nil {
		return err
	}
	// Of a dump that can only be read in order there is no sample, and what is not
	// tried does not reach the volume.
	planned, err := checked.prepare(ctx, sample && !checked.archive.Sequential())
	if planned != nil {
		planned.describe(out, same)
	}
	if err != nil {
		return err
	}
	m, err := opened.server.marker(ctx)
	if err != nil {
		return err
	}
	out.Snapshots = former(m, opened.Policy, opened.Key.ID())
	return nil
}
