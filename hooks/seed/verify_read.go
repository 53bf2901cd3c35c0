package seed

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
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
	if v.archive.Sequential() {
		total = v.archive.Size
	}
	v.Progress.Start(step, total)
	defer v.Progress.End()
	v.sampled.begin(len(loads))
	for _, g := range of {
		g.read = 0
	}
	one := func(ctx context.Context, e *dump.Entry, data io.Reader) error {
		g := groups[e.ID]
		head := v.sampled.head(data, v.Jobs)
		err := entry(ctx, g, loads[e.ID], head)
		g.mu.Lock()
		defer g.mu.Unlock()
		g.read++
		g.cut = g.cut || head.cut
		if errors.Is(err, errLargeRow) {
			g.cut = true
			return nil
		}
		return err
	}
	if v.archive.Sequential() {
		err := v.archive.Walk(ctx, func(e *dump.Entry, _ uint32, data io.Reader) error {
			switch {
			case v.sampled.over():
				return errSampled
			case loads[e.ID] == nil:
				return nil
			}
			return one(ctx, e, data)
		})
		for _, g := range of {
			g.cut = g.cut || g.read < len(g.entries)
		}
		if errors.Is(err, errSampled) {
			return nil
		}
		return err
	}
	entries := slices.DeleteFunc(slices.Clone(v.archive.DataEntries()), func(e *dump.Entry) bool { return loads[e.ID] == nil })
	if v.sampled != nil {
		slices.SortStableFunc(entries, func(a, b *dump.Entry) int { return cmp.Compare(a.Bytes, b.Bytes) })
	}
	queue := make(chan *dump.Entry, len(entries))
	for _, e := range entries {
		queue <- e
	}
	close(queue)
	work, ctx := errgroup.WithContext(ctx)
	for range v.Jobs {
		work.Go(func() error {
			for e := range queue {
				data, err := v.archive.Data(ctx, e)
				if err != nil {
					return err
				}
				err = one(ctx, e, data)
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

// digestEntry digests the masked rows of one entry and collects originals.
func (v *verification) digestEntry(ctx context.Context, g *group, l *tableLoad, data io.Reader) error {
	columns := l.columns
	at, err := positions(g.columns, columns)
	if err != nil {
		return fmt.Errorf("table %s: %w", l.name, err)
	}
	var secret []bool // masked text: its originals are looked for
	var places []place
	var kept []bool // which testers' accounts keep
	for _, name := range columns {
		i := slices.IndexFunc(g.table.Columns, func(c mask.Column) bool { return c.Name == name })
		j := slices.IndexFunc(l.plan.Columns, func(c mask.ColumnPlan) bool { return c.Name == name })
		m := l.plan.Columns[j].Masker
		places = append(places, place{document: partialMaskers[m], whole: m == "regex", things: m == "city" || m == "product", phones: m == "phone", people: m == "full_name"})
		kept = append(kept, g.logins != nil && slices.Contains(g.logins.login.Keep, name) && l.plan.Columns[j].Masker != "keep")
		secret = append(secret, textual(g.table.Columns[i]) && l.plan.Columns[j].Masker != "keep")
	}
	by := 0 // the address of testers' accounts
	if g.logins != nil {
		by = slices.Index(columns, g.logins.login.By)
	}
	d := v.digester(g, at, false)
	forms, err := v.newServerForms(ctx, d)
	defer forms.close(ctx)
	if err == nil {
		err = v.maskEntry(ctx, l, data, func(ctx context.Context, fields, after [][]byte, masked []byte) error {
			account := g.logins != nil && !copytext.IsNull(fields[by]) && g.logins.login.Has(d.plain(fields[by]))
			for i, f := range fields {
				if account && kept[i] {
					continue // of a tester's account, for whom it is no secret
				}
				if secret[i] && !copytext.IsNull(f) {
					var passed []byte
					if len(after) == len(fields) && places[i].document {
						passed = bytes.Clone(d.plain(after[i]))
					}
					v.originals.add(d.plain(f), places[i], passed)
				}
			}
			switch {
			case len(masked) == 0:
				return nil // dropped by the row filter
			case forms != nil:
				return forms.row(ctx, masked[:len(masked)-1])
			}
			return d.row(masked[:len(masked)-1])
		})
	}
	if err == nil {
		err = forms.flush(ctx)
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
		if err != nil && !errors.Is(err, errLargeRow) { // the rows before a large one are still looked at
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

// confirm looks again for originals in documents of which the policy masks parts: a
// mask, a full name above all, may be somebody else's original. A leak is what stands
// in a document before and after.
func (v *verification) confirm(ctx context.Context) error {
	var again []*group
	for _, g := range v.groups {
		if slices.ContainsFunc(g.partial, func(i int) bool { return len(g.seed.leaks[i].rows) > 0 }) {
			again = append(again, g)
			for _, i := range g.partial {
				g.seed.leaks[i] = leaks{dotted: g.seed.leaks[i].dotted}
			}
		}
	}
	if len(again) == 0 {
		return nil
	}
	// To the end, however short the time: what was found is found or not, and where
	// the first reading stopped the seed's may have gone on.
	sampled, small := v.sampled, v.pool.small
	v.sampled, v.pool.small = nil, false
	defer func() { v.sampled, v.pool.small = sampled, small }()
	return v.readDump(ctx, "look at documents again", again, func(ctx context.Context, g *group, l *tableLoad, data io.Reader) error {
		at, err := positions(g.columns, l.columns)
		if err != nil {
			return fmt.Errorf("table %s: %w", l.name, err)
		}
		d := v.digester(g, at, false)
		err = v.maskEntry(ctx, l, data, func(_ context.Context, fields, after [][]byte, masked []byte) error {
			account := d.account(fields)
			for _, i := range g.partial {
				if f := fields[at[i]]; len(masked) > 0 && !copytext.IsNull(f) && !(account && d.ofAccount(i, f)) {
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
	groups := slices.Clone(v.groups)
	if v.sampled != nil {
		slices.SortStableFunc(groups, func(a, b *group) int { return cmp.Compare(a.stored(), b.stored()) })
	}
	v.sampled.begin(len(groups))
	queue := make(chan *group, len(groups))
	for _, g := range groups {
		queue <- g
	}
	close(queue)
	work, ctx := errgroup.WithContext(ctx)
	for range v.Jobs {
		work.Go(func() error {
			var conn *pgx.Conn
			defer func() { leave(ctx, conn) }()
			for g := range queue {
				var err error
				if conn == nil {
					if conn, err = v.server.session(ctx, v.database); err != nil {
						return err
					}
				}
				if err := v.readGroup(ctx, conn, g); err != nil {
					return err
				}
				if g.seedCut { // which ended the session
					leave(ctx, conn)
					conn = nil
				}
			}
			return nil
		})
	}
	return work.Wait()
}

// leave ends a session, and waits for its end: the database may be renamed next.
func leave(ctx context.Context, conn *pgx.Conn) {
	if conn != nil {
		_ = conn.Close(context.WithoutCancel(ctx))
		<-conn.PgConn().CleanupDone()
	}
}

// readGroup digests the rows of one table of the seed, those that there is time for.
func (v *verification) readGroup(ctx context.Context, conn *pgx.Conn, g *group) error {
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
	ctid := 0
	if !g.table.Partitioned { // its partitions have rows of the same place
		ctid = len(list)
		list = append(list, "ctid")
	}
	own, err := dumped(ctx, conn, g.name)
	if err != nil {
		return fmt.Errorf("read %s of the seed: %w", g.name, err)
	}
	w := &rowWriter{digester: v.digester(g, at, true), progress: v.Progress, scans: slices.Contains(g.scan, true) || g.logins != nil}
	w.digester.ctid = ctid
	if v.sampled != nil {
		w.until = v.sampled.next(v.Jobs)
		own = g.smallRows(own)
	}
	_, err = conn.PgConn().CopyTo(ctx, w, "COPY (SELECT "+strings.Join(list, ", ")+" FROM "+only+sqltext.Identifier(g.name.Schema, g.name.Name)+" "+own+") TO STDOUT")
	switch {
	case errors.Is(err, errSampled):
		g.seedCut, err = true, nil
	case err == nil && len(w.part) > 0:
		err = errors.New("a row has no end")
	}
	if err != nil {
		return fmt.Errorf("read %s of the seed: %w", g.name, postgres.Redact(err))
	}
	g.seed.add(w.digester.sum)
	return nil
}

// stored is how many bytes the table takes in the dump.
func (g *group) stored() (n int64) {
	for _, l := range g.entries {
		n += l.entry.Bytes
	}
	return n
}

// dumped is the condition on the rows that pg_dump takes of an extension's
// table: the others are the extension's own. It is empty for other tables.
func dumped(ctx context.Context, conn *pgx.Conn, table mask.Name) (string, error) {
	var where string
	err := conn.QueryRow(ctx, `SELECT coalesce(max(e.extcondition[i]), '') FROM pg_catalog.pg_extension e, pg_catalog.generate_subscripts(e.extconfig, 1) i
		WHERE e.extconfig[i] = $1::regclass`, sqltext.Identifier(table.Schema, table.Name)).Scan(&where)
	return where, postgres.Redact(err)
}

// rowWriter cuts what the server copies out into rows.
type rowWriter struct {
	digester *digester
	progress Progress
	part     []byte
	until    time.Time // when a sampled reading may end; zero: never
	bytes    int
	scans    bool // kept text is looked through
}

func (w *rowWriter) Write(p []byte) (int, error) {
	n := len(p)
	w.bytes += n
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
	if w.digester.sum.rows-w.digester.reported > 10000 {
		w.progress.Rows(w.digester.sum.rows - w.digester.reported)
		w.digester.reported = w.digester.sum.rows
	}
	if w.enough() {
		return 0, errSampled
	}
	return n, nil
}
