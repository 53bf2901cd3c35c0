package seed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/dump"
	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/postgres"
	"github.com/seedling-dev/seedling/hooks/sqltext"
)

// parallel are the kinds of post-data entries that are worth their own job:
// they read whole tables. The rest is quick and runs in the dump's order.
var parallel = map[string]bool{"INDEX": true, "INDEX ATTACH": true, "CONSTRAINT": true, "FK CONSTRAINT": true, "CHECK CONSTRAINT": true}

// rows loads all tables and builds their indexes and constraints.
func (r *run) rows(ctx context.Context, database string) error {
	var loads []*tableLoad
	var total int64
	var errs []error
	for _, e := range r.schema.data {
		l, err := newLoad(e, r.plan, r.Progress)
		if err != nil {
			errs = append(errs, command.Misconfigured(err))
			continue
		}
		loads = append(loads, l)
		if l.plan.Rows {
			total += e.Bytes
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	if err := r.binary(ctx, database, loads); err != nil {
		return err
	}
	p := r.pool()
	share := &sharing{}
	var jobs []*job
	byTable := map[int]*job{} // dump id of the table: its load
	tables := map[string]int{}
	for _, e := range r.dump.Entries {
		if e.Kind == "TABLE" || e.Kind == "FOREIGN TABLE" {
			tables[e.Name()] = e.ID
		}
	}
	size := map[int]int64{}
	byEntry := map[int]*tableLoad{}
	var members *job // the last one of an extension's tables
	for _, l := range loads {
		if !l.plan.Rows {
			continue
		}
		if !l.entry.HasData {
			errs = append(errs, command.Misconfiguredf("table %s: the dump does not hold its rows", l.entry.Name()))
			continue
		}
		own := mask.Name{Schema: l.entry.Schema, Name: l.entry.Tag}
		l.splits = r.Jobs > 2 && total > 64<<20 && l.entry.Bytes > total/int64(r.Jobs) || r.dump.Sequential()
		// An extension has put rows of its own into its tables, and references
		// between them.
		id, created := tables[l.entry.Name()]
		l.fresh = created && !l.splits && l.target == own && l.plan.LoadInto == own && r.ordinary[own]
		j := &job{cost: 2*l.entry.Bytes + 1}
		j.run = func(ctx context.Context, conn *pgx.Conn) error {
			if l.splits {
				return l.run(ctx, conn, r.dump, p, share)
			}
			return l.run(ctx, conn, r.dump, p, nil)
		}
		if created {
			byTable[id] = j
			size[id] = l.entry.Bytes
		}
		if !created {
			// Archives do not say what their foreign keys want, but have them in
			// such an order.
			if members != nil && !r.dump.Sequential() {
				before(members, j)
			}
			members = j
		}
		byEntry[l.entry.ID] = l
		jobs = append(jobs, j)
		l.job = j
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	objects, stored := r.objectJobs()
	total += stored
	if r.dump.Sequential() {
		total = r.dump.Size
		for _, j := range jobs {
			j.outside = true
		}
		jobs = append(jobs, &job{cost: 1 << 62, run: func(ctx context.Context, conn *pgx.Conn) error {
			return r.walk(ctx, conn, byEntry, p, share)
		}})
	} else {
		jobs = append(jobs, objects...)
	}
	jobs = append(jobs, r.indexJobs(byTable, size)...)
	r.Progress.Start("rows and indexes", total)
	defer r.Progress.End()
	open := func(ctx context.Context) (*pgx.Conn, error) {
		conn, err := r.target.session(ctx, database)
		if err == nil {
			err = execSQL(ctx, conn, fmt.Sprintf("SET maintenance_work_mem = '%dkB'", r.target.memory>>10))
		}
		if err == nil && r.Jobs > 1 {
			// The sessions are the parallelism. Workers beside them cost more than
			// they bring.
			err = execSQL(ctx, conn, "SET max_parallel_maintenance_workers = 0")
		}
		return conn, err
	}
	if err := runJobs(ctx, jobs, r.Jobs, open, share); err != nil {
		return err
	}
	if n := r.objects.Load(); n > 0 {
		r.report.LargeObjects, r.report.LargeObjectBytes = n, r.objectBytes.Load()
	}
	for _, l := range loads {
		t := TableReport{Table: l.name, Rows: l.rows.Load(), Dropped: l.dropped.Load(), BytesIn: l.in.Load(), BytesOut: l.out.Load(), Stored: l.entry.Bytes, Empty: !l.plan.Rows}
		for _, c := range l.plan.Columns {
			if c.Masker != "" && c.Masker != "keep" {
				t.Masked++
			}
		}
		r.report.Tables = append(r.report.Tables, t)
		r.report.Rows += t.Rows - t.Dropped
		r.report.Bytes += t.BytesOut
	}
	return nil
}

// walk loads all tables in the order of a dump that can only be read so.
func (r *run) walk(ctx context.Context, conn *pgx.Conn, loads map[int]*tableLoad, p *pool, share *sharing) error {
	var objects *objectWriter
	defer func() { objects.abandon(ctx) }()
	err := r.dump.Walk(ctx, func(e *dump.Entry, object uint32, data io.Reader) error {
		if e.Kind == "BLOBS" {
			if !r.plan.LargeObjects() {
				return nil
			}
			if objects == nil {
				objects = &objectWriter{run: r, conn: conn}
			}
			return objects.write(ctx, object, data)
		}
		if objects != nil {
			if err := objects.finish(ctx); err != nil {
				return err
			}
		}
		l := loads[e.ID]
		if l == nil {
			return nil
		}
		if err := l.from(ctx, conn, data, p, share); err != nil {
			return err
		}
		l.job.done()
		return nil
	})
	if err != nil {
		return sourceError(err)
	}
	return objects.finish(ctx)
}

// indexJobs turns the parallel part of post-data into jobs that wait for the
// rows they read. Entries that depend on one of the quick ones become quick.
func (r *run) indexJobs(loads map[int]*job, size map[int]int64) []*job {
	var jobs []*job
	byID := map[int]*job{}
	var rest []step
	slow := map[int]bool{}
	for _, s := range r.schema.post {
		// A plain dump does not tell what depends on what: its order must do.
		if parallel[s.entry.Kind] && r.dump.Format != dump.Plain && !r.waits(s) {
			slow[s.entry.ID] = true
		}
	}
	for changed := true; changed; {
		changed = false
		for _, s := range r.schema.post {
			if !slow[s.entry.ID] {
				continue
			}
			for _, dep := range s.entry.Deps {
				d := r.dump.Entry(dep)
				if d != nil && d.Section == dump.PostData && !slow[dep] {
					delete(slow, s.entry.ID)
					changed = true
					break
				}
			}
		}
	}
	below := r.below()
	for _, s := range r.schema.post {
		if !slow[s.entry.ID] {
			rest = append(rest, s)
			continue
		}
		j := &job{cost: 1}
		j.run = func(ctx context.Context, conn *pgx.Conn) error {
			for attempt := 1; ; attempt++ {
				err := execStep(ctx, conn, s)
				// The locks above should keep our own statements apart; where they
				// do not, the one that the server chose to stop goes again.
				if !postgres.Is(err, postgres.DeadlockDetected) || attempt == 5 || len(s.statements) > 1 {
					return schemaError(err)
				}
			}
		}
		for _, dep := range s.entry.Deps {
			d := r.dump.Entry(dep)
			if d == nil {
				continue
			}
			if b := byID[dep]; b != nil {
				before(b, j)
				if s.entry.Kind == "INDEX ATTACH" {
					// It names indexes; what it locks are their tables.
					for _, l := range b.locks {
						j.lock(l.table, true, below)
					}
				}
			}
			if d.Kind == "TABLE" || d.Kind == "FOREIGN TABLE" || d.Kind == "MATERIALIZED VIEW" {
				j.cost += size[dep] / 2
				if s.entry.Kind == "INDEX" {
					j.lock(dep, false, nil)
				} else {
					j.lock(dep, true, below)
				}
				for _, t := range append([]int{dep}, descendants(dep, below)...) {
					if b := loads[t]; b != nil && (t == dep || s.entry.Kind != "INDEX") {
						before(b, j)
					}
				}
			}
		}
		byID[s.entry.ID] = j
		jobs = append(jobs, j)
	}
	r.schema.post = rest
	return jobs
}

// below lists, for each table, its partitions and inheritance children.
func (r *run) below() map[int][]int {
	out := map[int][]int{}
	for _, e := range r.dump.Entries {
		if e.Kind != "TABLE ATTACH" && e.Kind != "TABLE" {
			continue
		}
		child := e.ID
		if e.Kind == "TABLE ATTACH" {
			for _, dep := range e.Deps {
				if d := r.dump.Entry(dep); d != nil && d.Schema == e.Schema && d.Tag == e.Tag {
					child = dep
				}
			}
		}
		for _, dep := range e.Deps {
			if d := r.dump.Entry(dep); d != nil && dep != child && (d.Kind == "TABLE" || d.Kind == "FOREIGN TABLE") {
				out[dep] = append(out[dep], child)
			}
		}
	}
	return out
}

// descendants are all tables below one.
func descendants(table int, below map[int][]int) []int {
	var out []int
	for _, child := range below[table] {
		if !slices.Contains(out, child) {
			out = append(append(out, child), descendants(child, below)...)
		}
	}
	return out
}

// after runs what is left: in the dump's order, then the grants, then what
// runs code of the database.
func (r *run) after(ctx context.Context, conn *pgx.Conn) error {
	for _, s := range r.schema.post {
		if err := execStep(ctx, conn, s); err != nil {
			return schemaError(err)
		}
	}
	for _, s := range r.plan.Sequences() {
		c := s.Column
		sql := fmt.Sprintf("SELECT pg_catalog.setval(%s::pg_catalog.regclass, coalesce((SELECT max(%s)::bigint FROM %s), 1), EXISTS (SELECT FROM %s))",
			sqltext.Literal(s.Sequence), sqltext.Identifier(c.Column), sqltext.Identifier(c.Schema, c.Table), sqltext.Identifier(c.Schema, c.Table))
		if err := execSQL(ctx, conn, sql); err != nil {
			return fmt.Errorf("set sequence %s after masked column %s: %w", s.Sequence, c, err)
		}
	}
	for _, list := range [][]step{r.schema.grants, r.schema.last} {
		for _, s := range list {
			if s.aboutLargeObjects() && !r.plan.LargeObjects() {
				continue
			}
			if err := execStep(ctx, conn, s); err != nil {
				return schemaError(err)
			}
		}
	}
	return nil
}

// vacuum freezes and analyzes all tables, several at once.
func (r *run) vacuum(ctx context.Context, database string) error {
	conn, err := r.target.session(ctx, database)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	rows, err := conn.Query(ctx, `SELECT n.nspname, c.relname, pg_relation_size(c.oid), c.relkind = 'p' FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't' AND n.nspname <> 'information_schema' ORDER BY 3 DESC`)
	if err != nil {
		return fmt.Errorf("list the tables: %w", postgres.Redact(err))
	}
	var schema, name string
	var size int64
	var root bool
	var jobs []*job
	_, err = pgx.ForEachRow(rows, []any{&schema, &name, &size, &root}, func() error {
		sql := "VACUUM (FREEZE, ANALYZE) " + sqltext.Identifier(schema, name)
		if root {
			// Its partitions are vacuumed as tables of their own.
			sql = "ANALYZE " + sqltext.Identifier(schema, name)
		}
		table := sqltext.Identifier(schema, name)
		jobs = append(jobs, &job{cost: size, run: func(ctx context.Context, conn *pgx.Conn) error {
			if err := execSQL(ctx, conn, sql); err != nil {
				return fmt.Errorf("vacuum %s: %w", table, err)
			}
			return nil
		}})
		return nil
	})
	if err != nil {
		return fmt.Errorf("list the tables: %w", postgres.Redact(err))
	}
	return runJobs(ctx, jobs, r.Jobs, func(ctx context.Context) (*pgx.Conn, error) { return r.target.session(ctx, database) }, nil)
}

// sharing lets sessions without a table of their own help with one that is
// being loaded.
type sharing struct {
	mu   sync.Mutex
	open []*shared
	wake func() // tells idle sessions that there is something
}

type shared struct {
	load    *tableLoad
	blocks  chan *block
	pool    *pool
	helpers sync.WaitGroup
	mu      sync.Mutex
	err     error
}

// offer makes a load's blocks available to helpers; the function it returns
// ends that and waits for them.
func (s *sharing) offer(l *tableLoad, blocks chan *block, p *pool) func() error {
	h := &shared{load: l, blocks: blocks, pool: p}
	s.mu.Lock()
	s.open = append(s.open, h)
	s.mu.Unlock()
	if s.wake != nil {
		s.wake()
	}
	return func() error {
		s.close(h)
		h.helpers.Wait()
		return h.err
	}
}

func (s *sharing) close(h *shared) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.open, h); i >= 0 {
		s.open = slices.Delete(s.open, i, i+1)
	}
}

// find returns help for a load that is under way, or nil.
func (s *sharing) find() func(context.Context, *pgx.Conn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.open) == 0 {
		return nil
	}
	h := s.open[0]
	h.helpers.Add(1)
	// Taken in turns, so that helpers spread.
	s.open = append(s.open[1:], h)
	return func(ctx context.Context, conn *pgx.Conn) error {
		defer h.helpers.Done()
		err := h.load.copyIn(ctx, conn, h.blocks, h.pool)
		if err != nil {
			h.mu.Lock()
			h.err = errors.Join(h.err, err)
			h.mu.Unlock()
		}
		// The last block was taken: nothing is left to help with.
		s.close(h)
		return err
	}
}
