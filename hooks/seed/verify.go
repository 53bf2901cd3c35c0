package seed

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"time"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/postgres"
	"github.com/seedling-dev/seedling/hooks/recognize"
)

// Verify masks the dump again, compares it with the seed, and looks for
// originals of masked columns in what the policy keeps. It writes nothing.
func Verify(ctx context.Context, o Options) (*VerifyReport, error) {
	r := start(o)
	r.needHashes()
	defer func() { r.report.Finished = time.Now().UTC() }()
	out := &VerifyReport{Report: r.report}
	if err := r.verifyDump(ctx, out); err != nil {
		return out, interrupted(ctx, sourceError(err))
	}
	return out, nil
}

func (r *started) verifyDump(ctx context.Context, out *VerifyReport) error {
	opened, err := r.openShared(ctx)
	if err != nil {
		return err
	}
	defer opened.close(ctx)
	checked, err := opened.check(ctx)
	if err != nil {
		return err
	}
	defer checked.archive.Close()
	same, err := opened.holds(ctx, checked.archive)
	if err != nil {
		return err
	}
	if same == nil {
		return command.Misconfiguredf("database %s does not hold this dump under this policy and key: its marker names others, or there is none; import first", r.Database)
	}
	v, err := checked.newVerification(ctx, out, r.Database)
	if err != nil {
		return err
	}
	return v.run(ctx)
}

// run does the work, and says what it found.
func (v *verification) run(ctx context.Context) error {
	if err := v.readDump(ctx, "mask the dump again", v.groups, v.digestEntry); err != nil {
		return err
	}
	v.originals.finish()
	v.out.Originals = len(v.originals.hashes)
	if v.originals.full {
		v.out.Partial = fmt.Sprintf("only the first %d originals were looked for", v.originals.most)
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

// openShared is open for reading only, which several may do at the same time.
func (r *started) openShared(ctx context.Context) (*opened, error) {
	if err := r.locate(ctx); err != nil {
		return nil, err
	}
	o, _, err := r.connect(ctx) // its warnings are about writing
	if err != nil {
		return nil, err
	}
	free, err := postgres.ImportLock.TryShared(ctx, o.server.conn)
	switch {
	case err != nil:
		err = fmt.Errorf("lock the seed: %w", err)
	case !free:
		err = errors.New("lock the seed: an import is under way; verify when it has ended")
	default:
		return o, nil
	}
	o.close(ctx)
	return nil, err
}

// verification is a policy that compiled against the seed itself, and the digests of
// the tables on both sides.
type verification struct {
	*checked
	database  string    // that is compared with the dump
	sampled   *sampling // nil where all is looked at
	plan      *mask.Plan
	seeds     [2]maphash.Seed // keys of the digests: other ones in each run
	out       *VerifyReport
	originals *originals
	groups    []*group
	pool      *pool
	accepted  map[string]map[string]bool // of leaks: object: fingerprints
}

func (r *checked) newVerification(ctx context.Context, out *VerifyReport, database string) (*verification, error) {
	conn, err := r.server.session(ctx, database)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	v := &verification{checked: r, database: database, seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}, out: out, originals: newOriginals(), pool: r.pool(), accepted: map[string]map[string]bool{}}
	for _, a := range r.Policy.Accept {
		if strings.HasPrefix(a.Object, leakPrefix) {
			if v.accepted[a.Object] == nil {
				v.accepted[a.Object] = map[string]bool{}
			}
			v.accepted[a.Object][a.SHA256] = true
		}
	}
	if err := v.compile(ctx, conn); err != nil {
		return nil, err
	}
	for _, login := range v.plan.Logins() {
		v.originals.known = append(v.originals.known, login.Has)
	}
	return v, r.findAccounts(ctx, v.plan, false)
}

// judge compares the digests.
func (v *verification) judge() error {
	var differ []string
	for _, g := range v.groups {
		if g.cut || g.seedCut {
			t := g.sampledTable()
			v.out.Verified = append(v.out.Verified, t)
			if !t.Equal {
				differ = append(differ, t.Table+" (rows of the dump are missing)")
			}
			v.judgeLeaks(g)
			continue
		}
		t := VerifyTable{Table: g.name.String(), Rows: g.dump.rows, SeedRows: g.seed.rows, Compared: g.dump.rows}
		t.Equal = g.dump.rows == g.seed.rows && g.dump.row == g.seed.row
		for i, name := range g.columns {
			if g.dump.rows == 0 && g.seed.rows == 0 {
				break
			}
			if g.dump.columns == nil || g.seed.columns == nil || g.dump.columns[i] != g.seed.columns[i] {
				if g.forms[i].loose {
					t.Unsure = append(t.Unsure, name)
				} else {
					t.Differ = append(t.Differ, name)
				}
			}
		}
		if g.dropped && t.SeedRows <= t.Rows {
			// Which rows went with those that they referenced is not known here.
			t.Equal, t.Differ, t.Unsure, t.Compared = true, nil, g.columns, 0
		}
		v.out.Verified = append(v.out.Verified, t)
		v.out.Rows += t.Rows
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
		v.judgeLeaks(g)
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

// judgeLeaks tells what was found in the kept columns of a table.
func (v *verification) judgeLeaks(g *group) {
	for i := range g.seed.leaks {
		found := &g.seed.leaks[i]
		found.settleDotted()
		for k := range recognize.Kinds {
			if n := found.rows[k]; n > 0 {
				l := Leak{Table: g.name.String(), Column: g.columns[i], Kind: k.String(), Rows: n, Masker: g.masker(i), object: leakObject(g, i)}
				if found.first != "" && l.Masker == "keep" {
					l.First = fmt.Sprintf("SELECT %s FROM %s WHERE ctid = '%s'", mask.QuoteIdent(l.Column), l.Table, found.first)
				}
				for p, kind := range found.prints {
					if kind == k && len(found.prints) <= mostPrints {
						l.prints = append(l.prints, p)
					}
				}
				slices.Sort(l.prints)
				v.out.Leaks = append(v.out.Leaks, l)
			}
		}
	}
}
