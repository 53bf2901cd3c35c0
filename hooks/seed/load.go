package seed

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/seedling-dev/seedling/hooks/postgres"
	"github.com/seedling-dev/seedling/hooks/sqltext"
)

// load fills a scratch database and swaps it in.
func (r *run) load(ctx context.Context, checked *digestCheck) (err error) {
	name := "seedling_scratch_" + r.short
	swapped := false
	defer func() {
		if swapped {
			return
		}
		if derr := r.drop(ctx, name); derr != nil {
			r.Log.Warn("the scratch database could not be dropped; the next import removes it", "database", name, "error", derr)
		}
	}()
	start := time.Now()
	if err := r.target.create(ctx, name, r.id, r.locale); err != nil {
		return err
	}
	conn, err := r.target.session(ctx, name)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for _, s := range r.schema.pre {
		if err := execStep(ctx, conn, s); err != nil {
			return schemaError(err)
		}
	}
	if err := postgres.CreateMarker(ctx, conn); err != nil {
		return err
	}
	if err := r.createObjects(ctx, conn); err != nil {
		return err
	}
	if err := r.createRebuilds(ctx, conn); err != nil {
		return err
	}
	r.report.phase("schema", start)

	start = time.Now()
	if err := r.rows(ctx, name); err != nil {
		return err
	}
	if err := r.dropRebuilds(ctx, conn); err != nil {
		return err
	}
	if err := r.removeOrphans(ctx, conn); err != nil {
		return err
	}
	r.report.phase("rows and indexes", start)

	start = time.Now()
	r.Progress.Start("constraints, triggers, grants", 0)
	if err := r.after(ctx, conn); err != nil {
		return err
	}
	r.report.phase("constraints, triggers, grants", start)
	r.Progress.End()

	start = time.Now()
	r.Progress.Start("vacuum and analyze", 0)
	if err := r.vacuum(ctx, name); err != nil {
		return err
	}
	r.report.phase("vacuum and analyze", start)
	r.Progress.End()

	if err := checked.wait(ctx, r.Progress); err != nil {
		return err
	}
	if err := r.mark(ctx, conn); err != nil {
		return err
	}
	if err := conn.Close(ctx); err != nil {
		return fmt.Errorf("leave database %s: %w", name, err)
	}
	start = time.Now()
	old, err := r.swap(ctx, name)
	if err != nil {
		return err
	}
	swapped = true
	r.report.phase("swap", start)
	r.report.Outcome = Imported
	if old != "" {
		start = time.Now()
		defer func() { r.report.phase("drop the old database", start) }()
		// The import is done; what cannot be dropped now, the next run drops.
		if err := r.drop(ctx, old); err != nil {
			r.Log.Warn("the old database could not be dropped; the next import removes it", "database", old, "error", err)
		}
	}
	return nil
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
