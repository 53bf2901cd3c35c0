package seed

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/postgres"
)

// PlanReport says what an import would do.
type PlanReport struct {
	*Report
	Columns   []PlanColumn `json:"columns"`
	Unchecked []string     `json:"unchecked,omitempty"`
	// Text is the estimated COPY text in bytes, Room what the volume needs
	// beside the seed that is there; both 0 without a sample.
	Text int64 `json:"estimatedText,omitempty"`
	Room int64 `json:"estimatedRoom,omitempty"`
}

// PlanColumn is what happens to one column.
type PlanColumn struct {
	Table  string `json:"table"`
	Column string `json:"column"`
	Masker string `json:"masker"`
	Why    string `json:"why"`
	Unique bool   `json:"unique,omitempty"`
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

// describe fills the report from the compiled plan, if it was compiled.
func (r *run) describe(out *PlanReport, same bool) {
	if r.plan == nil {
		return
	}
	stored := map[string]int64{}
	for _, e := range r.schema.data {
		if t, _, err := copyTarget(e); err == nil {
			stored[t.String()] += e.Bytes
		}
	}
	for _, t := range r.plan.Tables() {
		name := mask.Name{Schema: t.Schema, Name: t.Name}.String()
		tr := TableReport{Table: name, Stored: stored[name], Empty: !t.Rows}
		for _, c := range t.Columns {
			if c.Masker == "" {
				continue
			}
			if c.Masker != "keep" {
				tr.Masked++
			}
			out.Columns = append(out.Columns, PlanColumn{name, c.Name, c.Masker, c.Why, c.Unique})
		}
		r.report.Tables = append(r.report.Tables, tr)
	}
	if same {
		out.Unchecked = append(out.Unchecked, "nothing would be loaded: the seed already holds this dump under this policy and key")
	}
	if r.sampled.text > 0 {
		out.Text = int64(float64(r.sampled.text) / float64(max(1, r.sampled.stored)) * float64(r.dump.Size))
		// Heap and indexes of production take about one and a half times the
		// text; the old seed stays until the swap.
		out.Room = out.Text * 3 / 2
		out.Unchecked = append(out.Unchecked, fmt.Sprintf("rows beyond the first %d of each table", sampleRows))
	} else {
		out.Unchecked = append(out.Unchecked, "the rows: no sample was taken")
	}
	if r.DumpSHA256 != "" && !same {
		out.Unchecked = append(out.Unchecked, "the declared sha256, for which all of the dump is read")
	}
	out.Unchecked = append(out.Unchecked, "foreign keys and materialized views, which need all rows")
}

// Bounds of the sample.
const (
	sampleRows  = 200
	sampleBytes = 1 << 20 // of one table
)

// sample sends the first rows of every table through the masks and into the
// shadow database, where all constraints but foreign keys judge them. What
// cannot work fails here, and not after an hour.
func (r *run) sample(ctx context.Context, database string) error {
	if r.dump.Sequential() {
		return nil
	}
	if err := r.disarm(ctx, database); err != nil {
		return fmt.Errorf("try a sample: %w", err)
	}
	census := r.plan.NewCensus()
	var text, stored atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	entries := make(chan int)
	group.Go(func() error {
		defer close(entries)
		for i := range r.schema.data {
			select {
			case entries <- i:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	})
	for range min(r.Jobs, max(1, len(r.schema.data))) {
		group.Go(func() error {
			conn, err := r.target.session(ctx, database)
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
			if err := execSQL(ctx, conn, "SET session_replication_role = replica"); err != nil {
				return err
			}
			for i := range entries {
				l, err := newLoad(r.schema.data[i], r.plan, silent{})
				if err != nil {
					return err
				}
				if !l.plan.Rows || !l.entry.HasData {
					continue
				}
				n, err := r.sampleTable(ctx, conn, l, census)
				if err != nil {
					return err
				}
				text.Add(l.in.Load())
				stored.Add(n)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("try a sample: %w", err)
	}
	for _, w := range census.Warnings() {
		r.warn(w)
	}
	r.sampled.text, r.sampled.stored = text.Load(), stored.Load()
	return nil
}

// disarm disables the triggers of the shadow database that fire whatever a
// session says, and the constraints that production's own rows need not meet.
func (r *run) disarm(ctx context.Context, database string) error {
	conn, err := r.target.session(ctx, database)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	rows, err := conn.Query(ctx, `SELECT format('ALTER TABLE %s DISABLE TRIGGER %I', tgrelid::regclass, tgname)
		FROM pg_trigger WHERE tgenabled IN ('A', 'R') AND tgparentid = 0
		UNION ALL SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname)
		FROM pg_constraint WHERE contype = 'c' AND NOT convalidated AND conrelid <> 0 AND conislocal`)
	if err != nil {
		return postgres.Redact(err)
	}
	statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return postgres.Redact(err)
	}
	for _, sql := range statements {
		if err := execSQL(ctx, conn, sql); err != nil {
			return err
		}
	}
	if len(r.plan.Rebuilds()) == 0 {
		return nil
	}
	if err := execSQL(ctx, conn, "CREATE SCHEMA seedling"); err != nil {
		return err
	}
	return r.createRebuilds(ctx, conn)
}

// sampleTable loads the first rows of a table; it returns the stored bytes
// that they took.
func (r *run) sampleTable(ctx context.Context, conn *pgx.Conn, l *tableLoad, census *mask.Census) (int64, error) {
	data, err := r.dump.Data(ctx, l.entry)
	if err != nil {
		return 0, sourceError(err)
	}
	defer data.Close()
	head, err := io.ReadAll(io.LimitReader(data, sampleBytes))
	if err != nil {
		return 0, sourceError(err)
	}
	b := &block{}
	rest := head
	for range sampleRows {
		i := slices.Index(rest, '\n')
		if i < 0 || endMark(rest[:i+1]) == 0 {
			break
		}
		rest = rest[i+1:]
	}
	b.data = head[:len(head)-len(rest)]
	if len(b.data) == 0 {
		return 0, nil
	}
	census.Add(l.layout, b.data)
	used := data.(interface{ Stored() int64 }).Stored() * int64(len(b.data)) / int64(len(head))
	blocks := make(chan *block, 1)
	blocks <- b
	close(blocks)
	return used, l.copyIn(ctx, conn, blocks, r.pool())
}

// printKept begins with what decides: what reaches the seed as it is, by table.
func (p *PlanReport) printKept(w io.Writer) {
	var tables []string
	columns := map[string][]string{}
	masked := 0
	for _, c := range p.Columns {
		if c.Masker != "keep" {
			masked++
			continue
		}
		if columns[c.Table] == nil {
			tables = append(tables, c.Table)
		}
		columns[c.Table] = append(columns[c.Table], mask.QuoteIdent(c.Column))
	}
	fmt.Fprintf(w, "kept as they are, %d columns of %d:\n", len(p.Columns)-masked, len(p.Columns))
	for _, t := range tables {
		fmt.Fprintf(w, "  %s: %s\n", t, strings.Join(columns[t], ", "))
	}
	for _, k := range p.Kept {
		if strings.Contains(k, " ") { // what passes inside of masked values
			fmt.Fprintf(w, "  %s\n", k)
		}
	}
	fmt.Fprintln(w)
}

// Print writes the plan: what is kept first, then every column.
func (p *PlanReport) Print(w io.Writer) error {
	p.printKept(w)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "table\tcolumn\tmasker\tbecause of")
	last := ""
	for _, c := range p.Columns {
		table := c.Table
		if table == last {
			table = ""
		}
		last = c.Table
		masker := c.Masker
		if c.Unique {
			masker += " (unique)"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", table, c.Column, masker, c.Why)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	var empty []string
	for _, t := range p.Tables {
		if t.Empty {
			empty = append(empty, t.Table)
		}
	}
	fmt.Fprintln(w)
	list := func(title string, lines []string) {
		if len(lines) == 0 {
			return
		}
		fmt.Fprintln(w, title)
		for _, l := range lines {
			fmt.Fprintln(w, "  - "+l)
		}
	}
	list("loaded without rows:", empty)
	list("left out:", p.LeftOut)
	list("restored differently:", p.Changed)
	list("warnings:", p.Warnings)
	list("not checked:", p.Unchecked)
	if p.Room > 0 {
		fmt.Fprintf(w, "about %.1f GB of rows; the volume needs about %.1f GB beside the seed that is there\n", float64(p.Text)/1e9, float64(p.Room)/1e9)
	}
	_, err := fmt.Fprintf(w, "policy digest %s, key id %s\n", p.PolicyDigest, p.KeyID)
	return err
}

// leftOut names what the dump has and the seed does not get.
func (s *schema) leftOut() []string {
	var out []string
	for k, n := range s.left {
		out = append(out, fmt.Sprintf("%d %s: %s", n, strings.ToLower(k), kinds[k].why))
	}
	slices.Sort(out)
	kindsEnd := len(out)
	for name := range s.foreign {
		out = append(out, "rows of foreign table "+name.String()+": it becomes an empty local table")
	}
	slices.Sort(out[kindsEnd:])
	return out
}
