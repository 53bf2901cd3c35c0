package seed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/copybinary"
	"github.com/seedling-dev/seedling/hooks/dump"
	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/sqltext"
)

// tableLoads are the loads of all tables, and the jobs that they are.
type tableLoads struct {
	all     []*tableLoad
	total   int64              // stored bytes of those with rows
	byEntry map[int]*tableLoad // by the entry's dump id
	jobs    []*job
	byTable map[int]*job  // by the dump id of the table
	size    map[int]int64 // stored bytes, by the dump id of the table
	share   *sharing
}

// loadTables loads all tables and builds their indexes and constraints.
func (r *loaded) loadTables(ctx context.Context) error {
	loads, err := r.newLoads()
	if err != nil {
		return err
	}
	if err := r.chooseFormats(ctx, loads.all); err != nil {
		return err
	}
	p := r.pool()
	if err := r.addJobs(loads, p); err != nil {
		return err
	}
	objects, stored := r.objectJobs()
	total, jobs := loads.total+stored, loads.jobs
	if r.archive.Sequential() {
		total = r.archive.Size
		for _, j := range jobs {
			j.outside = true
		}
		jobs = append(jobs, &job{cost: 1 << 62, run: func(ctx context.Context, conn *pgx.Conn) error {
			return r.walk(ctx, conn, loads, p)
		}})
	} else {
		jobs = append(jobs, objects...)
	}
	whole, _ := r.splitPost()
	jobs = append(jobs, r.indexJobs(whole, loads)...)
	r.Progress.Start("rows and indexes", total)
	defer r.Progress.End()
	if err := runJobs(ctx, jobs, r.Jobs, r.loadSession, loads.share); err != nil {
		return err
	}
	r.countLoads(loads.all)
	r.loads = loads.all
	return nil
}

// newLoads prepares the load of every entry. All that is wrong is said at once.
func (r *loaded) newLoads() (*tableLoads, error) {
	loads := &tableLoads{byEntry: map[int]*tableLoad{}, byTable: map[int]*job{}, size: map[int]int64{}, share: &sharing{}}
	var errs []error
	for _, e := range r.schema.data {
		l, err := newLoad(e, r.plan, r.Progress)
		if err != nil {
			errs = append(errs, command.Misconfigured(err))
			continue
		}
		loads.all = append(loads.all, l)
		if l.plan.Rows {
			loads.total += e.Bytes
		}
	}
	return loads, errors.Join(errs...)
}

// addJobs makes a job of every load that has rows.
func (r *loaded) addJobs(loads *tableLoads, p *pool) error {
	tables := map[string]int{} // dump ids
	for _, e := range r.archive.Entries {
		if e.Kind == "TABLE" || e.Kind == "FOREIGN TABLE" {
			tables[e.Name()] = e.ID
		}
	}
	var errs []error
	var members *job // the last one of an extension's tables
	for _, l := range loads.all {
		if !l.plan.Rows {
			continue
		}
		if !l.entry.HasData {
			errs = append(errs, command.Misconfiguredf("table %s: the dump does not hold its rows", l.entry.Name()))
			continue
		}
		own := mask.Name{Schema: l.entry.Schema, Name: l.entry.Tag}
		l.splits = r.Jobs > 2 && loads.total > 64<<20 && l.entry.Bytes > loads.total/int64(r.Jobs) || r.archive.Sequential()
		// An extension has put rows of its own into its tables, and references
		// between them.
		id, created := tables[l.entry.Name()]
		l.fresh = created && !l.splits && l.table == own && l.plan.LoadInto == own && r.holdsRows[own]
		j := &job{cost: 2*l.entry.Bytes + 1}
		j.run = func(ctx context.Context, conn *pgx.Conn) error {
			if l.splits {
				return l.run(ctx, conn, r.archive, p, loads.share)
			}
			return l.run(ctx, conn, r.archive, p, nil)
		}
		if created {
			loads.byTable[id] = j
			loads.size[id] = l.entry.Bytes
		} else {
			// Archives do not say what the foreign keys of these need, but have them
			// in an order that fits.
			if members != nil && !r.archive.Sequential() {
				before(members, j)
			}
			members = j
		}
		loads.byEntry[l.entry.ID] = l
		loads.jobs = append(loads.jobs, j)
		l.job = j
	}
	return errors.Join(errs...)
}

// loadSession opens a session that loads rows and builds indexes.
func (r *loaded) loadSession(ctx context.Context) (*pgx.Conn, error) {
	conn, err := r.server.session(ctx, r.scratch)
	if err == nil {
		err = execSQL(ctx, conn, fmt.Sprintf("SET maintenance_work_mem = '%dkB'", r.server.memory>>10))
	}
	if err == nil && r.Jobs > 1 {
		// The sessions are the parallelism. Workers beside them cost more than
		// they bring.
		err = execSQL(ctx, conn, "SET max_parallel_maintenance_workers = 0")
	}
	return conn, err
}

// countLoads reports what was loaded.
func (r *loaded) countLoads(loads []*tableLoad) {
	if n := r.objects.Load(); n > 0 {
		r.report.LargeObjects, r.report.LargeObjectBytes = n, r.objectBytes.Load()
	}
	for _, l := range loads {
		t := TableReport{Table: l.name, Rows: l.rows.Load(), Dropped: l.dropped.Load(), BytesIn: l.in.Load(), BytesOut: l.out.Load(), Stored: l.entry.Bytes, Empty: !l.plan.Rows, into: l.plan.LoadInto}
		for _, c := range l.plan.Columns {
			if c.Masker != "" && c.Masker != "keep" {
				t.Masked++
			}
		}
		r.report.Tables = append(r.report.Tables, t)
		r.report.Rows += t.Rows - t.Dropped
		r.report.Bytes += t.BytesOut
	}
}

// walk loads all tables in the order of a dump that can only be read so.
func (r *loaded) walk(ctx context.Context, conn *pgx.Conn, loads *tableLoads, p *pool) error {
	var objects *objectWriter
	defer func() { objects.abandon(ctx) }()
	err := r.archive.Walk(ctx, func(e *dump.Entry, object uint32, data io.Reader) error {
		if e.Kind == "BLOBS" {
			if !r.plan.LargeObjects() {
				return nil
			}
			if objects == nil {
				objects = &objectWriter{loaded: r, conn: conn}
			}
			return objects.write(ctx, object, data)
		}
		if objects != nil {
			if err := objects.finish(ctx); err != nil {
				return err
			}
		}
		l := loads.byEntry[e.ID]
		if l == nil {
			return nil
		}
		if err := l.from(ctx, conn, data, p, loads.share); err != nil {
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

// tableLoad is the load of one TABLE DATA entry.
type tableLoad struct {
	entry   *dump.Entry
	name    string
	table   mask.Name // that the dump's COPY names
	plan    *mask.TablePlan
	layout  *mask.Layout
	columns []string
	copySQL string
	// fresh: the one session that loads the table truncates it in the same
	// transaction, so that its rows are written frozen, and without WAL where
	// the server is set so.
	fresh    bool
	truncate string
	bare     bool // the table has no columns
	// types, if set, are how the columns are sent in COPY's binary format
	types  []copybinary.Type
	splits bool // other sessions may help
	job    *job

	rows, dropped, in, out atomic.Int64
	progress               Progress
}

// newLoad prepares the load of an entry.
func newLoad(e tableData, plan *mask.Plan, progress Progress) (*tableLoad, error) {
	table, columns := e.table, e.columns
	tp := plan.Table(table.Schema, table.Name)
	if tp == nil {
		return nil, fmt.Errorf("table %s: the dump has rows for it and the schema does not have the table", e.Name())
	}
	l := &tableLoad{entry: e.Entry, table: table, name: mask.Name{Schema: e.Schema, Name: e.Tag}.String(), plan: tp, progress: progress}
	if !tp.Rows {
		return l, nil
	}
	var err error
	if l.layout, err = tp.Bind(columns); err != nil {
		return nil, fmt.Errorf("table %s: %w", e.Name(), err)
	}
	l.columns = columns
	into := sqltext.Identifier(tp.LoadInto.Schema, tp.LoadInto.Name)
	list := make([]string, 0, len(columns))
	for _, c := range columns {
		list = append(list, sqltext.Identifier(c))
	}
	l.copySQL = "COPY " + into + " (" + strings.Join(list, ", ") + ") FROM STDIN"
	if l.bare = len(columns) == 0; l.bare {
		l.copySQL = "COPY " + into + " FROM STDIN"
	}
	l.truncate = "TRUNCATE ONLY " + into
	return l, nil
}

// run loads the table over one session; helpers, if offered, take blocks too.
func (l *tableLoad) run(ctx context.Context, conn *pgx.Conn, d *dump.Dump, p *pool, share *sharing) error {
	r, err := d.Data(ctx, l.entry)
	if err != nil {
		return sourceError(err)
	}
	defer r.Close()
	return l.from(ctx, conn, r, p, share)
}

// from loads the rows that a reader gives.
func (l *tableLoad) from(ctx context.Context, conn *pgx.Conn, r io.Reader, p *pool, share *sharing) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	blocks := make(chan *block, 2)
	read := make(chan error, 1)
	go func() {
		defer close(blocks)
		err := sourceError(stream(ctx, &metered{r: r, done: l.progress.Read}, l.name, l.layout.Factor(), p, blocks))
		if err != nil {
			cancel(err)
		}
		read <- err
	}()
	var helped func() error
	if share != nil {
		helped = share.offer(l, blocks, p)
	}
	err := l.copyIn(ctx, conn, blocks, p)
	if err != nil {
		cancel(err)
	}
	if helped != nil {
		err = errors.Join(err, helped())
	}
	// A failed consumer must not leave the reader waiting.
	for b := range blocks {
		p.put(b)
	}
	if rerr := <-read; rerr != nil && err == nil {
		err = rerr
	}
	return err
}
