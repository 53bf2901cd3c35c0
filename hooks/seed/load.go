package seed

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/postgres"
	"github.com/seedling-dev/seedling/hooks/sqltext"
)

// loaded is a scratch database that nobody else sees, and that will hold all that the
// seed does.
type loaded struct {
	*planned
	scratch string
	conn    *pgx.Conn          // a session in it
	swapped bool               // it is the seed's now
	checks  []droppedCheck     // make the constraints again that were dropped until the rows are there
	loads   []*tableLoad       // that were done
	thinned map[mask.Name]bool // lost many rows after they were loaded, or changed them

	objects, objectBytes atomic.Int64 // large objects that were loaded
}

// load fills a scratch database, all but the marker.
func (r *planned) load(ctx context.Context) (_ *loaded, err error) {
	l := &loaded{planned: r, scratch: "seedling_scratch_" + r.short}
	defer func() {
		if err != nil {
			l.discard(ctx)
		}
	}()
	for _, step := range []struct {
		name  string
		shown bool // as a step of its own: loading rows shows more
		run   func(context.Context) error
	}{
		{"schema", false, l.createSchema},
		{"rows and indexes", false, l.loadRows},
		{"constraints, triggers, grants", true, l.finishSchema},
		{"vacuum and analyze", true, l.vacuum},
	} {
		start := time.Now()
		if step.shown {
			r.Progress.Start(step.name, 0)
		}
		if err := step.run(ctx); err != nil {
			return nil, err
		}
		r.report.phase(step.name, start)
		if step.shown {
			r.Progress.End()
		}
	}
	return l, nil
}

// discard drops the scratch database, unless it is the seed's.
func (r *loaded) discard(ctx context.Context) {
	if r.conn != nil {
		_ = r.conn.Close(context.WithoutCancel(ctx))
	}
	if r.swapped {
		return
	}
	if err := r.drop(ctx, r.scratch); err != nil {
		r.Log.Warn("the scratch database could not be dropped; the next import removes it", "database", r.scratch, "error", err)
	}
}

// createSchema makes the database with what comes before its rows.
func (r *loaded) createSchema(ctx context.Context) (err error) {
	if err := r.server.create(ctx, r.scratch, r.id, r.locale); err != nil {
		return err
	}
	if r.conn, err = r.server.session(ctx, r.scratch); err != nil {
		return err
	}
	for _, s := range r.schema.pre {
		if err := execStep(ctx, r.conn, s); err != nil {
			return schemaError(err)
		}
	}
	if err := r.own(ctx); err != nil {
		return err
	}
	if r.checks, err = dropOpaque(ctx, r.conn); err != nil {
		return err
	}
	if err := postgres.CreateMarker(ctx, r.conn); err != nil {
		return err
	}
	if err := r.createObjects(ctx, r.conn); err != nil {
		return err
	}
	return r.createRebuilds(ctx, r.conn)
}

// own gives what the dump names no owner of to the application's role.
func (r *loaded) own(ctx context.Context) error {
	if !r.schema.ownerless {
		return nil
	}
	return schemaError(ownAll(ctx, r.conn, r.Owner))
}

// loadRows loads all rows, with the indexes and constraints that read whole tables.
func (r *loaded) loadRows(ctx context.Context) error {
	if err := r.loadTables(ctx); err != nil {
		return err
	}
	if err := r.dropRebuilds(ctx, r.conn); err != nil {
		return err
	}
	if err := r.removeOrphans(ctx, r.conn); err != nil {
		return err
	}
	if err := r.countLogins(ctx, r.loads); err != nil {
		return err
	}
	for _, c := range r.checks {
		if err := execSQL(ctx, r.conn, c.again); err != nil {
			return schemaError(fmt.Errorf("make CHECK constraint %s, which calls functions, for all rows: %w", c.name, err))
		}
	}
	return nil
}

// finishSchema restores what is left: in the dump's order, then the grants, then
// what runs code of the database.
func (r *loaded) finishSchema(ctx context.Context) error {
	_, rest := r.splitPost()
	for _, s := range rest {
		if err := execStep(ctx, r.conn, s); err != nil {
			return schemaError(err)
		}
	}
	if err := r.own(ctx); err != nil {
		return err
	}
	for _, s := range r.plan.Sequences() {
		c := s.Column
		sql := fmt.Sprintf("SELECT pg_catalog.setval(%s::pg_catalog.regclass, coalesce((SELECT max(%s)::bigint FROM %s), 1), EXISTS (SELECT FROM %s))",
			sqltext.Literal(s.Sequence), sqltext.Identifier(c.Column), sqltext.Identifier(c.Schema, c.Table), sqltext.Identifier(c.Schema, c.Table))
		if err := execSQL(ctx, r.conn, sql); err != nil {
			return fmt.Errorf("set sequence %s after masked column %s: %w", s.Sequence, c, err)
		}
	}
	for _, list := range [][]step{r.schema.grants, r.schema.last} {
		for _, s := range list {
			if s.aboutLargeObjects() && !r.plan.LargeObjects() {
				continue
			}
			if err := execStep(ctx, r.conn, s); err != nil {
				return schemaError(err)
			}
		}
	}
	return nil
}

// vacuum freezes and analyzes all tables, several at once.
func (r *loaded) vacuum(ctx context.Context) error {
	conn, err := r.server.session(ctx, r.scratch)
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
		} else if r.wasThinned(mask.Name{Schema: schema, Name: name}) {
			sql = "VACUUM (FULL, FREEZE, ANALYZE) " + sqltext.Identifier(schema, name)
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
	return runJobs(ctx, jobs, r.Jobs, func(ctx context.Context) (*pgx.Conn, error) { return r.server.session(ctx, r.scratch) }, nil)
}
