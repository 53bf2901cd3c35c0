package seed

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/copytext"
	"github.com/seedling-dev/seedling/hooks/dump"
	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/postgres"
	"github.com/seedling-dev/seedling/hooks/recognize"
	"github.com/seedling-dev/seedling/hooks/sqltext"
)

// VerifyReport says whether the seed is what the dump, the policy and the key
// make of each other.
type VerifyReport struct {
	*Report
	Verified []VerifyTable `json:"verified"`
	Leaks    []Leak        `json:"leaks,omitempty"`
	// Partial says that not all originals could be looked for.
	Partial string `json:"partial,omitempty"`
}

// VerifyTable is the comparison of one table.
type VerifyTable struct {
	Table    string `json:"table"`
	Rows     int64  `json:"rows"`     // of the dump, after the row filter
	SeedRows int64  `json:"seedRows"` // of the seed
	Equal    bool   `json:"equal"`
	// Differ names the columns whose values differ, Unsure those that may, since
	// rows that they referenced were left out.
	Differ []string `json:"differ,omitempty"`
	Unsure []string `json:"unsure,omitempty"`
}

// Leak is a kept column that holds what was masked elsewhere.
type Leak struct {
	Table  string `json:"table"`
	Column string `json:"column"`
	Kind   string `json:"kind"`
	Rows   int64  `json:"rows"`
}

// DifferError says that the seed does not hold what it should.
type DifferError struct{ Tables []string }

func (e *DifferError) Error() string {
	return "the seed's rows are not what the dump gives under this policy and key, in " + strings.Join(e.Tables, ", ") +
		": somebody wrote to the seed, or the import was not of this program; drop the seed's database, since what its marker names is not loaded twice, and import again"
}

// LeakError says that kept columns hold what was masked elsewhere.
type LeakError struct{ Leaks []Leak }

func (e *LeakError) Error() string {
	var parts []string
	for _, l := range e.Leaks {
		parts = append(parts, fmt.Sprintf("%s.%s (%s in %d rows)", l.Table, mask.QuoteIdent(l.Column), l.Kind, l.Rows))
	}
	return "columns that the policy keeps hold what it masks elsewhere: " + strings.Join(parts, ", ") + ". Mask them, and import into a fresh volume"
}

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

// group is a table of the seed with the entries of the dump that fill it.
type group struct {
	name    mask.Name
	table   *mask.Table
	plan    *mask.TablePlan
	entries []*tableLoad
	columns []string // of the digest, sorted
	canon   []canon  // of each of them
	scan    []bool   // kept text, which may hold originals
	partial []int    // columns of which the policy masks parts
	dropped bool     // rows may be gone with those that they referenced
	mu      sync.Mutex
	dump    digest
	seed    digest
}

// digest is of a set of rows, whatever their order.
type digest struct {
	rows    int64
	row     [2]uint64 // sums of keyed hashes of rows, sure columns only
	columns []uint64
	leaks   []map[string]int64 // by column: kind: rows
}

func (d *digest) add(o digest) {
	d.rows += o.rows
	d.row[0] += o.row[0]
	d.row[1] += o.row[1]
	if d.columns == nil {
		d.columns = make([]uint64, len(o.columns))
		d.leaks = make([]map[string]int64, len(o.columns))
	}
	for i := range o.columns {
		d.columns[i] += o.columns[i]
		for k, n := range o.leaks[i] {
			if d.leaks[i] == nil {
				d.leaks[i] = map[string]int64{}
			}
			d.leaks[i][k] += n
		}
	}
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

// compile reads the catalog from the seed itself and compiles the policy.
func (v *verification) compile(ctx context.Context, conn *pgx.Conn) error {
	withData := map[mask.Name]bool{}
	for _, e := range v.schema.data {
		n, _, err := copyTarget(e)
		if err != nil {
			return err
		}
		withData[n] = true
	}
	catalog, err := readCatalog(ctx, conn, withData, v.schema.foreign)
	if err != nil {
		return err
	}
	catalog.Tables = slices.DeleteFunc(catalog.Tables, func(t mask.Table) bool { return t.Schema == postgres.Schema })
	catalog.LargeObjects = len(v.schema.largeObjects) > 0
	catalog.Seed = true
	if v.plan, err = mask.Compile(v.Policy, v.Key, catalog); err != nil {
		return command.Misconfigured(err)
	}
	byName := map[mask.Name]*group{}
	for _, e := range v.schema.data {
		l, err := newLoad(e, v.plan, silent{})
		if err != nil {
			return command.Misconfigured(err)
		}
		if !l.plan.Rows || !e.HasData || l.bare {
			continue
		}
		into := l.plan.LoadInto
		g := byName[into]
		if g == nil {
			i := slices.IndexFunc(catalog.Tables, func(t mask.Table) bool { return t.Schema == into.Schema && t.Name == into.Name })
			if i < 0 {
				return fmt.Errorf("table %s is not in the seed", into)
			}
			g = &group{name: into, table: &catalog.Tables[i], plan: l.plan}
			byName[into] = g
			v.groups = append(v.groups, g)
		}
		g.entries = append(g.entries, l)
	}
	for _, g := range v.groups {
		for _, c := range g.table.Columns {
			// What is rebuilt only the database can compute.
			rebuilt := slices.ContainsFunc(g.plan.Columns, func(p mask.ColumnPlan) bool { return p.Name == c.Name && p.Masker == "rebuild" })
			if !c.Generated && !rebuilt {
				g.columns = append(g.columns, c.Name)
			}
		}
		slices.Sort(g.columns)
		for _, name := range g.columns {
			i := slices.IndexFunc(g.table.Columns, func(c mask.Column) bool { return c.Name == name })
			j := slices.IndexFunc(g.plan.Columns, func(c mask.ColumnPlan) bool { return c.Name == name })
			c, p := g.table.Columns[i], g.plan.Columns[j]
			kept := p.Masker == "keep"
			g.canon = append(g.canon, canonical(c, kept))
			g.scan = append(g.scan, textual(c) && (kept || passes[p.Masker]))
			if textual(c) && passes[p.Masker] {
				g.partial = append(g.partial, len(g.scan)-1)
			}
		}
	}
	v.settle(catalog)
	return nil
}

// settle marks what the policy's on_missing_parent may change after the load.
func (v *verification) settle(c mask.Catalog) {
	parents := map[mask.Name]mask.Name{}
	for _, t := range c.Tables {
		if len(t.Parents) > 0 {
			parents[mask.Name{Schema: t.Schema, Name: t.Name}] = t.Parents[0]
		}
	}
	root := func(n mask.Name) mask.Name {
		for p, ok := parents[n]; ok; p, ok = parents[n] {
			n = p
		}
		return n
	}
	for _, o := range v.plan.Orphans() {
		for _, g := range v.groups {
			if root(g.name) != root(o.Table) {
				continue
			}
			g.dropped = g.dropped || len(o.SetNull) == 0
			for i, name := range g.columns {
				if slices.Contains(o.SetNull, name) {
					g.canon[i] = canon{write: asIs, loose: true}
				}
			}
		}
	}
}

// readDump reads the rows of some tables in the dump, with one function for
// each of their entries.
func (v *verification) readDump(ctx context.Context, step string, of []*group, entry func(context.Context, *group, *tableLoad, io.Reader) error) error {
	loads := map[int]*tableLoad{}
	groups := map[int]*group{}
	var total int64
	for _, g := range of {
		for _, l := range g.entries {
			loads[l.entry.ID], groups[l.entry.ID] = l, g
			total += l.entry.Bytes
		}
	}
	if v.run.dump.Sequential() {
		total = v.run.dump.Size
	}
	v.Progress.Start(step, total)
	defer v.Progress.End()
	if v.run.dump.Sequential() {
		return v.run.dump.Walk(ctx, func(e *dump.Entry, _ uint32, data io.Reader) error {
			if loads[e.ID] == nil {
				return nil
			}
			return entry(ctx, groups[e.ID], loads[e.ID], data)
		})
	}
	queue := make(chan *dump.Entry, len(loads))
	for _, e := range v.run.dump.DataEntries() {
		if loads[e.ID] != nil {
			queue <- e
		}
	}
	close(queue)
	work, ctx := errgroup.WithContext(ctx)
	for range v.Jobs {
		work.Go(func() error {
			for e := range queue {
				data, err := v.run.dump.Data(ctx, e)
				if err != nil {
					return err
				}
				err = entry(ctx, groups[e.ID], loads[e.ID], data)
				data.Close()
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	return work.Wait()
}

// passes are the maskers that may let parts of a value through.
var passes = map[string]bool{"json": true, "hstore": true, "array": true, "composite": true, "xml": true, "regex": true}

// digestEntry digests the masked rows of one entry and collects originals.
func (v *verification) digestEntry(ctx context.Context, g *group, l *tableLoad, data io.Reader) error {
	_, columns, err := copyTarget(l.entry)
	if err != nil {
		return err
	}
	at, err := positions(g.columns, columns)
	if err != nil {
		return fmt.Errorf("table %s: %w", l.name, err)
	}
	var secret []bool   // masked text: its originals are looked for
	var document []bool // of which some may pass as it is
	var whole []bool    // all of it may be a name
	for _, name := range columns {
		i := slices.IndexFunc(g.table.Columns, func(c mask.Column) bool { return c.Name == name })
		j := slices.IndexFunc(l.plan.Columns, func(c mask.ColumnPlan) bool { return c.Name == name })
		document = append(document, passes[l.plan.Columns[j].Masker])
		whole = append(whole, l.plan.Columns[j].Masker == "regex")
		secret = append(secret, textual(g.table.Columns[i]) && l.plan.Columns[j].Masker != "keep")
	}
	d := v.digester(g, at, false)
	normal, err := v.normalizer(ctx, d)
	defer normal.close(ctx)
	if err == nil {
		err = v.maskEntry(ctx, l, data, func(ctx context.Context, fields, after [][]byte, masked []byte) error {
			for i, f := range fields {
				if secret[i] && !copytext.IsNull(f) {
					var passed []byte
					if len(after) == len(fields) && document[i] {
						passed = bytes.Clone(d.plain(after[i]))
					}
					v.originals.add(d.plain(f), document[i] && !whole[i], passed)
				}
			}
			switch {
			case len(masked) == 0:
				return nil // dropped by the row filter
			case normal != nil:
				return normal.row(ctx, masked[:len(masked)-1])
			}
			return d.row(masked[:len(masked)-1])
		})
	}
	if err == nil {
		err = normal.flush(ctx)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dump.add(d.sum)
	return err
}

// maskEntry masks the rows of one entry again. each gets a row's fields, those
// of its masked form, and that form, which is empty where the row is dropped.
func (v *verification) maskEntry(ctx context.Context, l *tableLoad, data io.Reader, each func(ctx context.Context, fields, after [][]byte, masked []byte) error) error {
	blocks := make(chan *block, 2)
	p := v.pool
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	read := make(chan error, 1)
	go func() {
		defer close(blocks)
		err := stream(ctx, &metered{r: data, done: v.Progress.Read}, l.name, l.layout.Factor()+verifyCopies, p, blocks)
		if err != nil {
			cancel(err)
		}
		read <- err
	}()
	worker := l.layout.NewWorker()
	var fields, after [][]byte
	var masked []byte
	var err error
	err = func() error {
		for b := range blocks {
			rest := b.data
			var rows int64
			for {
				line, tail, ok := copytext.CutLine(rest)
				if !ok {
					break
				}
				rest = tail
				if fields, err = copytext.Split(fields[:0], line); err != nil || len(fields) != len(l.columns) {
					return command.Misconfiguredf("table %s: a row of the dump cannot be read", l.name)
				}
				if masked, err = worker.Append(masked[:0], line); err != nil {
					return err
				}
				if after, err = copytext.Split(after[:0], bytes.TrimSuffix(masked, []byte("\n"))); err != nil {
					return err
				}
				if err := each(ctx, fields, after, masked); err != nil {
					return fmt.Errorf("table %s: %w", l.name, err)
				}
				if len(masked) > 0 {
					rows++
				}
			}
			v.Progress.Rows(rows)
			if b.large {
				masked = nil
			}
			p.put(b)
		}
		return nil
	}()
	if err != nil {
		cancel(err)
	}
	for b := range blocks {
		p.put(b)
	}
	if rerr := <-read; rerr != nil && err == nil {
		err = rerr
	}
	return err
}

// confirm looks again for originals in documents of which the policy masks
// parts: a mask may be another one's original, a full name above all. What
// counts is what stands in a document before and after.
func (v *verification) confirm(ctx context.Context) error {
	var again []*group
	for _, g := range v.groups {
		if slices.ContainsFunc(g.partial, func(i int) bool { return len(g.seed.leaks[i]) > 0 }) {
			again = append(again, g)
			for _, i := range g.partial {
				g.seed.leaks[i] = nil
			}
		}
	}
	if len(again) == 0 {
		return nil
	}
	return v.readDump(ctx, "look at documents again", again, func(ctx context.Context, g *group, l *tableLoad, data io.Reader) error {
		at, err := positions(g.columns, l.columns)
		if err != nil {
			return fmt.Errorf("table %s: %w", l.name, err)
		}
		d := v.digester(g, at, false)
		err = v.maskEntry(ctx, l, data, func(_ context.Context, fields, after [][]byte, masked []byte) error {
			for _, i := range g.partial {
				if f := fields[at[i]]; len(masked) > 0 && !copytext.IsNull(f) {
					before := map[uint64]bool{}
					v.originals.candidates(d.plain(f), func(_ recognize.Kind, h uint64) {
						if v.originals.has(h) {
							before[h] = true
						}
					})
					if len(before) > 0 {
						d.look(i, after[at[i]], func(h uint64) bool { return before[h] })
					}
				}
			}
			return nil
		})
		g.mu.Lock()
		defer g.mu.Unlock()
		g.seed.add(digest{columns: make([]uint64, len(at)), leaks: d.sum.leaks})
		return err
	})
}

// readSeed digests the rows of the seed.
func (v *verification) readSeed(ctx context.Context) error {
	v.Progress.Start("read the seed", 0)
	defer v.Progress.End()
	queue := make(chan *group, len(v.groups))
	for _, g := range v.groups {
		queue <- g
	}
	close(queue)
	work, ctx := errgroup.WithContext(ctx)
	for range v.Jobs {
		work.Go(func() error {
			conn, err := v.target.session(ctx, v.Database)
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
			for g := range queue {
				at, err := positions(g.columns, g.columns)
				if err != nil {
					return err
				}
				var list []string
				for _, c := range g.columns {
					list = append(list, sqltext.Identifier(c))
				}
				only := "ONLY "
				if g.table.Partitioned {
					only = ""
				}
				own, err := dumped(ctx, conn, g.name)
				if err != nil {
					return fmt.Errorf("read %s of the seed: %w", g.name, err)
				}
				w := &rowWriter{digester: v.digester(g, at, true), progress: v.Progress}
				_, err = conn.PgConn().CopyTo(ctx, w, "COPY (SELECT "+strings.Join(list, ", ")+" FROM "+only+sqltext.Identifier(g.name.Schema, g.name.Name)+" "+own+") TO STDOUT")
				if err == nil && len(w.part) > 0 {
					err = errors.New("a row has no end")
				}
				if err != nil {
					return fmt.Errorf("read %s of the seed: %w", g.name, postgres.Redact(err))
				}
				g.seed.add(w.digester.sum)
			}
			return nil
		})
	}
	return work.Wait()
}

// dumped is the condition on the rows that pg_dump takes of an extension's
// table: the others are the extension's own. It is empty for other tables.
func dumped(ctx context.Context, conn *pgx.Conn, table mask.Name) (string, error) {
	var where string
	err := conn.QueryRow(ctx, `SELECT coalesce(max(e.extcondition[i]), '') FROM pg_catalog.pg_extension e, pg_catalog.generate_subscripts(e.extconfig, 1) i
		WHERE e.extconfig[i] = $1::regclass`, sqltext.Identifier(table.Schema, table.Name)).Scan(&where)
	return where, postgres.Redact(err)
}

// positions says where in a row's fields each of some columns stands.
func positions(want, have []string) ([]int, error) {
	var out []int
	for _, name := range want {
		i := slices.Index(have, name)
		if i < 0 {
			return nil, command.Misconfiguredf("the dump's rows lack column %s", mask.QuoteIdent(name))
		}
		out = append(out, i)
	}
	return out, nil
}

// rowWriter cuts what the server copies out into rows.
type rowWriter struct {
	digester *digester
	progress Progress
	part     []byte
}

func (w *rowWriter) Write(p []byte) (int, error) {
	n := len(p)
	if len(w.part) > 0 {
		w.part = append(w.part, p...)
		p = w.part
	}
	for {
		line, rest, ok := copytext.CutLine(p)
		if !ok {
			break
		}
		if err := w.digester.row(line); err != nil {
			return 0, err
		}
		p = rest
	}
	w.part = append(w.part[:0], p...)
	if w.digester.sum.rows-w.digester.told > 10000 {
		w.progress.Rows(w.digester.sum.rows - w.digester.told)
		w.digester.told = w.digester.sum.rows
	}
	return n, nil
}

// digester sums hashes of rows.
type digester struct {
	v      *verification
	g      *group
	at     []int
	scan   bool
	sum    digest
	told   int64
	fields [][]byte
	buf    []byte
	whole  []byte
	text   []byte
}

func (v *verification) digester(g *group, at []int, scan bool) *digester {
	return &digester{v: v, g: g, at: at, scan: scan, sum: digest{columns: make([]uint64, len(at)), leaks: make([]map[string]int64, len(at))}}
}

// plain is a field without its escapes.
func (d *digester) plain(field []byte) []byte {
	if copytext.Plain(field) {
		return field
	}
	d.text = copytext.Unescape(d.text[:0], field)
	return d.text
}

// row adds one row as COPY writes it, without its newline.
func (d *digester) row(line []byte) (err error) {
	if d.fields, err = copytext.Split(d.fields[:0], line); err != nil {
		return err
	}
	d.sum.rows++
	d.whole = d.whole[:0]
	for i, at := range d.at {
		if at >= len(d.fields) {
			return errors.New("a row has too few fields")
		}
		f := d.fields[at]
		null := copytext.IsNull(f)
		if !null {
			if d.scan && d.g.scan[i] {
				d.look(i, f, d.v.originals.has)
			}
			d.buf = d.g.canon[i].write(d.buf[:0], f)
			f = d.buf
		}
		d.sum.columns[i] += maphash.Bytes(d.v.seeds[0], f)
		if !d.g.canon[i].loose {
			d.whole = binary.AppendUvarint(d.whole, uint64(len(f))<<1|b2u(null))
			d.whole = append(d.whole, f...)
		}
	}
	d.sum.row[0] += maphash.Bytes(d.v.seeds[0], d.whole)
	d.sum.row[1] += maphash.Bytes(d.v.seeds[1], d.whole)
	return nil
}

func b2u(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// look searches a kept text for originals.
func (d *digester) look(column int, field []byte, is func(uint64) bool) {
	var kinds [recognize.Kinds]bool
	d.v.originals.candidates(d.plain(field), func(kind recognize.Kind, h uint64) {
		if !kinds[kind] && is(h) {
			kinds[kind] = true
		}
	})
	for kind, found := range kinds {
		if found {
			if d.sum.leaks[column] == nil {
				d.sum.leaks[column] = map[string]int64{}
			}
			d.sum.leaks[column][recognize.Kind(kind).String()]++
		}
	}
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

// Print writes the comparison as a table.
func (r *VerifyReport) Print(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "rows\tin the seed\t\ttable\t")
	for _, t := range r.Verified {
		verdict := "equal"
		if !t.Equal {
			verdict = "DIFFERS"
		}
		note := ""
		if len(t.Unsure) > 0 {
			note = " (not compared: " + strings.Join(t.Unsure, ", ") + ")"
		}
		fmt.Fprintf(tw, "%d\t%d\t%s\t%s%s\t\n", t.Rows, t.SeedRows, verdict, t.Table, note)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, l := range r.Leaks {
		fmt.Fprintf(w, "LEAK: %s.%s keeps %s that another column masks, in %d rows\n", l.Table, mask.QuoteIdent(l.Column), l.Kind, l.Rows)
	}
	if r.Partial != "" {
		fmt.Fprintln(w, r.Partial)
	}
	return nil
}
