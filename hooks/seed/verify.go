package seed

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
	"time"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/postgres"
	"github.com/seedling-dev/seedling/hooks/recognize"
)

// Verify masks the dump again, compares it with the seed, and looks for
// originals of masked columns in what the policy keeps. It writes nothing.
func Verify(ctx context.Context, o Options) (*VerifyReport, error) {
	r := newRun(o)
	defer func() { r.report.Finished = time.Now().UTC() }()
	v := &verification{run: r, seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}, out: &VerifyReport{Report: r.report}, originals: newOriginals()}
	if err := v.do(ctx); err != nil {
		return v.out, interrupted(ctx, sourceError(err))
	}
	return v.out, nil
}

type verification struct {
	*run
	seeds     [2]maphash.Seed // keys of the digests: other ones in each run
	out       *VerifyReport
	originals *originals
	groups    []*group
	pool      *pool
}

func (v *verification) do(ctx context.Context) error {
	t, err := dial(ctx, v.Target, v.Database, v.Wait, v.Log)
	if err != nil {
		return err
	}
	v.target = t
	defer v.close(ctx)
	if _, err := t.check(ctx); err != nil {
		return err
	}
	v.report.Server = t.versionIs
	if err := t.stamp(ctx); err != nil {
		return err
	}
	v.report.VolumeID = t.volume
	free, err := postgres.ImportLock.TryShared(ctx, t.conn)
	if err != nil {
		return fmt.Errorf("lock the seed: %w", err)
	}
	if !free {
		return errors.New("lock the seed: an import is under way; verify when it has ended")
	}
	if err := v.read(ctx); err != nil {
		return err
	}
	defer v.run.dump.Close()
	v.pool = v.run.pool()
	same, err := v.unchanged(ctx, true)
	if err != nil {
		return err
	}
	if !same {
		return command.Misconfiguredf("database %s does not hold this dump under this policy and key: its marker names others, or there is none; import first", v.Database)
	}
	conn, err := t.session(ctx, v.Database)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if err := v.compile(ctx, conn); err != nil {
		return err
	}
	if err := v.readDump(ctx, "mask the dump again", v.groups, v.digestEntry); err != nil {
		return err
	}
	v.originals.finish()
	if v.originals.full {
		v.out.Partial = fmt.Sprintf("only the first %d originals were looked for", maxOriginals)
		v.warn(v.out.Partial)
	}
	if err := v.readSeed(ctx); err != nil {
		return err
	}
	if err := v.confirm(ctx); err != nil {
		return err
	}
	return v.judge()
}

// judge compares the digests.
func (v *verification) judge() error {
	var differ []string
	for _, g := range v.groups {
		t := VerifyTable{Table: g.name.String(), Rows: g.dump.rows, SeedRows: g.seed.rows}
		t.Equal = g.dump.rows == g.seed.rows && g.dump.row == g.seed.row
		for i, name := range g.columns {
			if g.dump.rows == 0 && g.seed.rows == 0 {
				break
			}
			if g.dump.columns == nil || g.seed.columns == nil || g.dump.columns[i] != g.seed.columns[i] {
				if g.canon[i].loose {
					t.Unsure = append(t.Unsure, name)
				} else {
					t.Differ = append(t.Differ, name)
				}
			}
		}
		if g.dropped && t.SeedRows <= t.Rows {
			// Which rows went with those that they referenced is not known here.
			t.Equal, t.Differ, t.Unsure = true, nil, g.columns
		}
		v.out.Verified = append(v.out.Verified, t)
		v.report.Rows += t.Rows
		if !t.Equal {
			what := t.Table
			switch {
			case t.Rows != t.SeedRows:
				what += fmt.Sprintf(" (%d rows instead of %d)", t.SeedRows, t.Rows)
			case len(t.Differ) > 0:
				what += " (" + strings.Join(t.Differ, ", ") + ")"
			default:
				what += " (values moved between rows)"
			}
			differ = append(differ, what)
		}
		for i, kinds := range g.seed.leaks {
			for k := range recognize.Kinds {
				if kind := k.String(); kinds[kind] > 0 {
					n := kinds[kind]
					v.out.Leaks = append(v.out.Leaks, Leak{g.name.String(), g.columns[i], kind, n})
				}
			}
		}
	}
	var errs []error
	if len(v.out.Leaks) > 0 {
		errs = append(errs, command.Misconfigured(&LeakError{v.out.Leaks}))
	}
	if len(differ) > 0 {
		errs = append(errs, &DifferError{differ})
	}
	return errors.Join(errs...)
}
