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

// swap marks the scratch database as finished, renames it into the seed's place and
// drops the old one.
func (r *loaded) swap(ctx context.Context) error {
	if err := r.mark(ctx); err != nil {
		return err
	}
	if err := r.conn.Close(ctx); err != nil {
		return fmt.Errorf("leave database %s: %w", r.scratch, err)
	}
	start := time.Now()
	old, err := r.rename(ctx)
	if err != nil {
		return fmt.Errorf("swap database %s: %w", r.Database, interrupted(ctx, postgres.Redact(err)))
	}
	r.swapped = true
	r.report.phase("swap", start)
	r.report.Outcome = Imported
	if old == "" {
		r.keepRoles(ctx)
		return nil
	}
	start = time.Now()
	// The import is done; what cannot be dropped now, the next run drops.
	if err := r.drop(ctx, old); err != nil {
		r.Log.Warn("the old database could not be dropped; the next import removes it", "database", old, "error", err)
	}
	r.report.phase("drop the old database", start)
	r.keepRoles(ctx)
	return nil
}

// rename renames the scratch database into the seed's place, in one transaction. It
// returns the name that the old database has now, "" when there was none.
func (r *loaded) rename(ctx context.Context) (old string, err error) {
	t := r.server
	var exists bool
	if err := t.conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", r.Database).Scan(&exists); err != nil {
		return "", err
	}
	if err := t.carryOver(ctx, r.Database, r.scratch, r.Owner, exists); err != nil {
		return "", err
	}
	members, err := r.memberships(ctx)
	if err != nil {
		return "", err
	}
	if !exists {
		if err := execAll(ctx, t.conn, beginSwap, members, r.endSwap()); err != nil {
			_ = execSQL(context.WithoutCancel(ctx), t.conn, "ROLLBACK")
			return "", err
		}
		return "", nil
	}
	old = "seedling_old_" + r.short
	// The rename takes the lock that keeps new sessions out, and then waits
	// five seconds at most for the old ones, which another session ends.
	helper, err := t.connect(ctx, postgres.Maintenance)
	if err != nil {
		return "", err
	}
	defer func() { _ = helper.Close(context.WithoutCancel(ctx)) }()
	for attempt := 1; ; attempt++ {
		err := r.replace(ctx, helper, old, members)
		if err == nil {
			return old, nil
		}
		if rerr := execSQL(context.WithoutCancel(ctx), t.conn, "ROLLBACK"); rerr != nil {
			return "", errors.Join(err, rerr)
		}
		// A session got in between, or the lock did not come in time.
		if !postgres.Is(err, postgres.ObjectInUse, postgres.LockNotAvailable) || attempt >= 5 || ctx.Err() != nil {
			return "", t.lockedBy(ctx, err)
		}
		if helper.IsClosed() {
			if helper, err = t.connect(ctx, postgres.Maintenance); err != nil {
				return "", err
			}
		}
	}
}

// replace tries once to put the scratch database in the place of the old one, whose
// sessions the helper ends. The members of made roles change with it.
func (r *loaded) replace(ctx context.Context, helper *pgx.Conn, old string, members []string) error {
	t := r.server
	// The comment waits for most of what others do with the database, and nobody waits
	// for the comment. While the rename waits, new sessions wait too.
	err := execAll(ctx, t.conn, beginSwap, []string{
		"COMMENT ON DATABASE " + sqltext.Identifier(r.Database) + " IS " + sqltext.Literal(ours+r.id),
		"SET LOCAL lock_timeout = '5s'",
	})
	if err != nil {
		return err
	}
	t.log.Info("swap: the sessions of the old database end now", "database", r.Database)
	stop, stopped := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		endSessions(stop, helper, r.Database)
	}()
	err = execSQL(ctx, t.conn, "ALTER DATABASE "+sqltext.Identifier(r.Database)+" RENAME TO "+sqltext.Identifier(old))
	stopped()
	<-ended
	if err != nil {
		return err
	}
	return execAll(ctx, t.conn, members, r.endSwap())
}

// beginSwap begins the transaction of a swap, endSwap ends it.
var beginSwap = []string{"BEGIN", "SET LOCAL synchronous_commit = on", "SET LOCAL lock_timeout = '10s'"}

func (r *loaded) endSwap() []string {
	return []string{
		"ALTER DATABASE " + sqltext.Identifier(r.scratch) + " RENAME TO " + sqltext.Identifier(r.Database),
		"COMMENT ON DATABASE " + sqltext.Identifier(r.Database) + " IS " + sqltext.Literal("seedling: import "+r.id),
		"COMMIT",
	}
}

// execAll runs statements one by one.
func execAll(ctx context.Context, conn *pgx.Conn, lists ...[]string) error {
	for _, sql := range slices.Concat(lists...) {
		if err := execSQL(ctx, conn, sql); err != nil {
			return err
		}
	}
	return nil
}

// lockedBy adds who holds the database's lock to an error that it did not come.
func (t *server) lockedBy(ctx context.Context, err error) error {
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
