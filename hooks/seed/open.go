package seed

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/dump"
	"github.com/seedling-dev/seedling/hooks/postgres"
)

// opened is a server that was checked, over the session that holds the lock.
type opened struct {
	*started
	server    *server
	rolesMade bool
	newRoles  []string // which go again, unless the import is done
}

// open connects, checks the server, takes the lock and removes what earlier imports
// left.
func (r *started) open(ctx context.Context) (*opened, error) {
	if err := r.locate(ctx); err != nil {
		return nil, err
	}
	o, warnings, err := r.connect(ctx)
	if err != nil {
		return nil, err
	}
	for _, w := range warnings {
		r.warn(w)
	}
	err = o.server.passwords(ctx, r.Namespace)
	if err == nil {
		err = o.server.role(ctx, r.Owner)
	}
	if err == nil {
		err = o.server.lock(ctx)
	}
	if err == nil {
		err = o.server.removeLeftovers(ctx)
	}
	if err != nil {
		o.close(ctx)
		return nil, err
	}
	return o, nil
}

// locate finds which dump is meant where that is told by a pattern, and what its
// digest is where that is told by a file beside it.
func (r *started) locate(ctx context.Context) error {
	if !dump.IsPattern(r.Dump) && !r.DumpPick.Beside {
		return nil
	}
	picked, err := dump.Newest(ctx, r.Dump, r.DumpOptions, r.DumpPick)
	if err != nil {
		return sourceError(err)
	}
	for _, why := range picked.Skipped {
		r.Log.Info("pass over a dump", "because", "it "+why)
	}
	r.Dump, r.DumpSHA256 = picked.URL, picked.SHA256
	r.Log.Info("take the newest whole dump", "dump", dump.Redact(r.Dump), "changed", picked.Modified.UTC().Format(time.RFC3339), "sha256", r.DumpSHA256)
	return nil
}

// connect connects to the server and checks it and its volume.
func (r *started) connect(ctx context.Context) (o *opened, warnings []string, err error) {
	t, err := dial(ctx, r.Target, r.Database, r.Wait, r.Log)
	if err != nil {
		return nil, nil, err
	}
	o = &opened{started: r, server: t}
	if warnings, err = t.check(ctx); err == nil {
		r.report.Server = t.versionIs
		err = t.stamp(ctx)
	}
	if err != nil {
		o.close(ctx)
		return nil, nil, err
	}
	r.report.VolumeID = t.volume
	return o, warnings, nil
}

func (r *opened) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	r.dropRoles(ctx, r.newRoles)
	_ = r.server.conn.Close(ctx)
}

const (
	// application is the application_name of an import's session in the
	// maintenance database, which waits for the lock and then holds it.
	application = "seed-import"
	// worker is the application_name of its sessions in its own databases.
	// They belong to the holder of the lock, or to a run that was killed.
	worker = "seed-import worker"
	// ours begins the comment of every database that an import made and did
	// not finish.
	ours = "seedling: unfinished, of import "
)

// server is the seed's Postgres, over the session that holds the lock.
type server struct {
	config   *pgx.ConnConfig
	database string
	conn     *pgx.Conn // of the maintenance database
	log      *slog.Logger

	version   int    // server_version_num
	versionIs string // as people read it
	volume    string // the stamp
	memory    int64  // maintenance_work_mem to use, bytes
	unlogged  bool   // rows copied into a table made in the same transaction need no WAL
}

// dial connects to the maintenance database and waits, bounded, for a server
// that does not answer yet.
func dial(ctx context.Context, config *pgx.ConnConfig, database string, wait time.Duration, log *slog.Logger) (*server, error) {
	t := &server{config: config.Copy(), database: database, log: log}
	t.config.RuntimeParams["application_name"] = application
	var err error
	if t.conn, err = postgres.Dial(ctx, log, t.config, wait); err != nil {
		return nil, err
	}
	return t, nil
}

// check reads what the server is, and refuses what an import cannot work with.
// It returns warnings.
func (t *server) check(ctx context.Context) ([]string, error) {
	var pid uint32
	var super, recovery bool
	var preload, wal, encoding string
	var memory int64
	err := t.conn.QueryRow(ctx, `SELECT pg_backend_pid(), current_setting('is_superuser') = 'on', pg_is_in_recovery(),
		current_setting('server_version_num')::int, current_setting('server_version'), current_setting('server_encoding')`).
		Scan(&pid, &super, &recovery, &t.version, &t.versionIs, &encoding)
	if err != nil {
		return nil, fmt.Errorf("ask the seed's Postgres what it is: %w", postgres.Redact(err))
	}
	switch {
	case pid != t.conn.PgConn().PID():
		return nil, command.Misconfiguredf("the target is a connection pooler: an import needs sessions of its own; name Postgres itself")
	case !super:
		return nil, command.Misconfiguredf("the target's role is not a superuser: an import restores other roles' objects and extensions; use the seed's superuser")
	case recovery:
		return nil, command.Misconfiguredf("the target is a standby: name the primary")
	case t.version < 130000:
		return nil, command.Misconfiguredf("the target runs Postgres %s: 13 or newer is needed", t.versionIs)
	case encoding != "UTF8":
		return nil, command.Misconfiguredf("the target's encoding is %s: initialise the seed with --encoding=UTF8", encoding)
	}
	if t.version >= 170000 {
		// Event triggers of the dump are for the seed's users: in our sessions they
		// would run as superuser, from login on. The maintenance database has none.
		t.config.RuntimeParams["event_triggers"] = "off"
	}
	err = t.conn.QueryRow(ctx, `SELECT current_setting('shared_preload_libraries') || ',' || current_setting('session_preload_libraries'),
		current_setting('wal_level'), (SELECT setting::bigint * 1024 FROM pg_settings WHERE name = 'maintenance_work_mem')`).Scan(&preload, &wal, &memory)
	if err != nil {
		return nil, fmt.Errorf("ask the seed's Postgres for its settings: %w", postgres.Redact(err))
	}
	t.unlogged = wal == "minimal"
	t.memory = max(memory, 64<<20)
	if err := t.patient(ctx, t.conn); err != nil {
		return nil, fmt.Errorf("prepare the session in database %s: %w", postgres.Maintenance, postgres.Redact(err))
	}
	var warnings []string
	if failed := t.quiet(ctx, t.conn); len(failed) > 0 {
		warnings = append(warnings, "these settings could not be changed, so rows may reach the server's log: "+strings.Join(failed, ", "))
	}
	for _, lib := range []string{"pgaudit", "auto_explain", "pg_stat_statements", "pg_tracing", "pg_stat_monitor"} {
		if strings.Contains(preload, lib) {
			warnings = append(warnings, fmt.Sprintf("the server loads %s, which may write parts of statements to its own log or files: leave it out of the seed", lib))
		}
	}
	return warnings, nil
}

// lock takes the import's lock or says who has it.
func (t *server) lock(ctx context.Context) error {
	w := command.Wait{Status: command.NewStatus(t.log), Every: time.Second, Timeout: 15 * time.Second}
	err := w.Until(ctx, func(ctx context.Context) (string, error) {
		if got, err := postgres.ImportLock.Try(ctx, t.conn); err != nil || got {
			return "", err
		}
		who := "another session"
		var app string
		var since time.Time
		err := t.conn.QueryRow(ctx, `SELECT a.application_name, a.backend_start FROM pg_locks l JOIN pg_stat_activity a USING (pid)
			WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND (l.classid::bigint << 32 | l.objid::bigint) = $1 LIMIT 1`, postgres.ImportLock.Key()).Scan(&app, &since)
		if err == nil {
			who = fmt.Sprintf("%s, connected since %s", app, since.UTC().Format(time.RFC3339))
		}
		return "wait for the import's lock, which is held by " + who, nil
	})
	if err != nil {
		return fmt.Errorf("lock the seed: %w", err)
	}
	return nil
}

// stamp reads the volume's identity, and refuses a volume that our base did
// not make: it may have held raw rows.
func (t *server) stamp(ctx context.Context) error {
	var err error
	if t.volume, err = postgres.Volume(ctx, t.conn); err != nil {
		return err
	}
	var file string
	err = t.conn.QueryRow(ctx, "SELECT pg_read_file('seedling-volume')").Scan(&file)
	if err != nil && !postgres.Is(err, postgres.UndefinedFile) {
		return fmt.Errorf("read the volume's stamp: %w", postgres.Redact(err))
	}
	if err != nil {
		return command.Misconfiguredf("the seed's volume carries no file seedling-volume beside its database: it was not made by seed-postgres; give the seed a fresh volume")
	}
	if strings.TrimSpace(file) != t.volume {
		return command.Misconfiguredf("the seed's volume says %q and its database %q: they do not belong together; give the seed a fresh volume", strings.TrimSpace(file), t.volume)
	}
	return nil
}

// passwords refuses a seed with roles that have one: a snapshot would carry its
// verifier into every preview. A throw-away Postgres has one and no snapshots.
func (t *server) passwords(ctx context.Context, namespace string) error {
	var throwAway bool
	var roles []string
	err := t.conn.QueryRow(ctx, `SELECT coalesce(current_setting('seedling.throw_away', true) = 'on', false),
		ARRAY(SELECT rolname::text FROM pg_authid WHERE rolpassword IS NOT NULL ORDER BY 1)`).Scan(&throwAway, &roles)
	if err != nil {
		return fmt.Errorf("look for roles with a password: %w", postgres.Redact(err))
	}
	if len(roles) > 0 && !throwAway {
		return postgres.HasPasswords(roles, namespace)
	}
	return nil
}

// role checks that the application's role is there.
func (t *server) role(ctx context.Context, name string) error {
	there, err := t.hasRole(ctx, name)
	if err != nil {
		return err
	}
	if !there {
		return command.Misconfiguredf("the seed has no role %s, which is to own the data: create it, or name another with --owner", name)
	}
	return nil
}
