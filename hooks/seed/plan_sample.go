package seed

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/postgres"
)

// Bounds of the sample.
const (
	sampleRows  = 200
	sampleBytes = 1 << 20 // of one table
)

// sample sends the first rows of every table through the masks and into the
// shadow database, where all constraints but foreign keys are checked. What cannot
// work fails here, and not after an hour.
func (r *planned) sample(ctx context.Context, database string) error {
	if r.archive.Sequential() {
		return nil
	}
	checks, err := r.prepareSample(ctx, database)
	if err != nil {
		return fmt.Errorf("try a sample: %w", err)
	}
	sizes := &sizes{estimate: r.plan.NewEstimate(), tables: map[mask.Name]rowsAndBytes{}}
	looks := &looks{r.plan.NewCensus(), r.plan.NewOverlaps(), sizes, checks}
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
			conn, err := r.server.session(ctx, database)
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
				if err := r.sampleTable(ctx, conn, l, looks); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("try a sample: %w", err)
	}
	if err := checks.err(); err != nil {
		return fmt.Errorf("try a sample: %w", err)
	}
	r.smallGroups = append([]string{}, looks.census.Warnings()...)
	for _, w := range slices.Concat(r.smallGroups, looks.overlaps.Warnings()) {
		r.warn(w)
	}
	r.sizes = r.sizesOf(sizes)
	return nil
}

// prepareSample reads the CHECK constraints of the shadow database, and takes out
// of it what a sample would be refused for and the whole would not.
func (r *planned) prepareSample(ctx context.Context, database string) (*trial, error) {
	conn, err := r.server.session(ctx, database)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	checks, err := newTrial(ctx, conn)
	if err != nil {
		return nil, err
	}
	r.opaque = checks.opaque()
	if _, err := dropOpaque(ctx, conn); err != nil {
		return nil, err
	}
	return checks, r.disableTriggers(ctx, conn)
}

// disableTriggers disables the triggers that fire in any session, and drops the
// constraints that production's own rows need not meet.
func (r *planned) disableTriggers(ctx context.Context, conn *pgx.Conn) error {
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

// looks are what the rows of a sample are looked at for.
type looks struct {
	census   *mask.Census
	overlaps *mask.Overlaps
	sizes    *sizes
	checks   *trial
}

// sampleTable loads the first rows of a table.
func (r *planned) sampleTable(ctx context.Context, conn *pgx.Conn, l *tableLoad, look *looks) error {
	data, err := r.archive.Data(ctx, l.entry)
	if err != nil {
		return sourceError(err)
	}
	defer data.Close()
	head, err := io.ReadAll(io.LimitReader(data, sampleBytes))
	if err != nil {
		return sourceError(err)
	}
	b := &block{data: firstRows(head)}
	if len(b.data) == 0 {
		return nil
	}
	look.census.Add(l.layout, b.data)
	look.overlaps.Add(l.layout, head)
	look.sizes.add(l, b.data, head, data.(interface{ Stored() int64 }).Stored())
	if broken, err := look.checks.try(ctx, conn, l, b.data); err != nil || broken {
		return err // COPY would name the first, without what is in it
	}
	blocks := make(chan *block, 1)
	blocks <- b
	close(blocks)
	return l.copyIn(ctx, conn, blocks, r.pool())
}

// firstRows cuts a table's rows after those of a sample.
func firstRows(head []byte) []byte {
	rest := head
	for range sampleRows {
		i := slices.Index(rest, '\n')
		if i < 0 || endMark(rest[:i+1]) == 0 {
			break
		}
		rest = rest[i+1:]
	}
	return head[:len(head)-len(rest)]
}
