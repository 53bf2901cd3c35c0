package seed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/seedling-dev/seedling/hooks/postgres"
	"github.com/seedling-dev/seedling/hooks/sqltext"
)

// swap renames the scratch database into the seed's place, in one transaction.
// It returns the name that the old database has now, "" when there was none.
func (r *run) swap(ctx context.Context, scratch string) (old string, err error) {
	t := r.target
	fail := func(err error) (string, error) {
		return "", fmt.Errorf("swap database %s: %w", r.Database, interrupted(ctx, postgres.Redact(err)))
	}
	var exists bool
	if err := t.conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", r.Database).Scan(&exists); err != nil {
		return fail(err)
	}
	if err := t.carryOver(ctx, r.Database, scratch, r.Owner, exists); err != nil {
		return fail(err)
	}
	begin := []string{"BEGIN", "SET LOCAL synchronous_commit = on", "SET LOCAL lock_timeout = '10s'"}
	finish := []string{
		"ALTER DATABASE " + sqltext.Identifier(scratch) + " RENAME TO " + sqltext.Identifier(r.Database),
		"COMMENT ON DATABASE " + sqltext.Identifier(r.Database) + " IS " + sqltext.Literal("seedling: import "+r.id),
		"COMMIT",
	}
	if !exists {
		for _, sql := range slices.Concat(begin, finish) {
			if err := execSQL(ctx, t.conn, sql); err != nil {
				_ = execSQL(context.WithoutCancel(ctx), t.conn, "ROLLBACK")
				return fail(err)
			}
		}
		return "", nil
	}
	old = "seedling_old_" + r.short
	// The rename takes the lock that keeps new sessions out, and then waits
	// five seconds at most for the old ones, which another session ends.
	helper, err := t.connect(ctx, postgres.Maintenance)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = helper.Close(context.WithoutCancel(ctx)) }()
	for attempt := 1; ; attempt++ {
		err := func() error {
			// The comment waits for most that others do with the database, and nobody
			// for the comment. While the rename waits, new sessions wait, too.
			for _, sql := range slices.Concat(begin, []string{"COMMENT ON DATABASE " + sqltext.Identifier(r.Database) + " IS " + sqltext.Literal(ours+r.id), "SET LOCAL lock_timeout = '5s'"}) {
				if err := execSQL(ctx, t.conn, sql); err != nil {
					return err
				}
			}
			t.log.Info("swap: the sessions of the old database end now", "database", r.Database)
			stop, stopped := context.WithCancel(ctx)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				endSessions(stop, helper, r.Database)
			}()
			err := execSQL(ctx, t.conn, "ALTER DATABASE "+sqltext.Identifier(r.Database)+" RENAME TO "+sqltext.Identifier(old))
			stopped()
			<-ended
			if err != nil {
				return err
			}
			for _, sql := range finish {
				if err := execSQL(ctx, t.conn, sql); err != nil {
					return err
				}
			}
			return nil
		}()
		if err == nil {
			return old, nil
		}
		if rerr := execSQL(context.WithoutCancel(ctx), t.conn, "ROLLBACK"); rerr != nil {
			return fail(errors.Join(err, rerr))
		}
		// Somebody got in between, or the lock was not had in time.
		if !postgres.Is(err, postgres.ObjectInUse, postgres.LockNotAvailable) || attempt >= 5 || ctx.Err() != nil {
			return fail(t.lockedBy(ctx, err))
		}
		if helper.IsClosed() {
			if helper, err = t.connect(ctx, postgres.Maintenance); err != nil {
				return fail(err)
			}
		}
	}
}

// lockedBy adds to an error that the database's lock was not had who holds it.
func (t *target) lockedBy(ctx context.Context, err error) error {
	if !postgres.Is(err, postgres.LockNotAvailable) {
		return err
	}
	var pid int
	var role, in string
	var since time.Time
	qerr := t.conn.QueryRow(ctx, `SELECT a.pid, coalesce(a.usename, ''), coalesce(a.datname, ''), coalesce(a.xact_start, a.backend_start) FROM pg_locks l
		JOIN pg_stat_activity a USING (pid) JOIN pg_database d ON d.oid = l.objid AND d.datname = $1
		WHERE l.locktype = 'object' AND l.classid = 'pg_database'::regclass AND l.granted AND l.pid <> pg_backend_pid() LIMIT 1`, t.database).Scan(&pid, &role, &in, &since)
	if qerr != nil {
		return fmt.Errorf("it is locked: %w", err)
	}
	return fmt.Errorf("it is locked by a transaction of role %s in database %s (process %d), open since %s: end that: %w", role, in, pid, since.UTC().Format(time.RFC3339), err)
}

// endSessions ends every session of a database until ctx ends.
func endSessions(ctx context.Context, conn *pgx.Conn, database string) {
	for {
		// Not under ctx: cancelling a query would close the connection.
		_, err := conn.Exec(context.WithoutCancel(ctx), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()`, database)
		if err != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}
