package seed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/postgres"
	"github.com/seedling-dev/seedling/hooks/sqltext"
)

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

// Names of databases that an import makes: one expression finds what a killed
// run left, should it have died before it could write the comment.
var ourDatabase = regexp.MustCompile(`^seedling_(scratch|shadow|old)_[0-9a-f]{12}$`)

// target is the seed's server, over the session that holds the lock.
type target struct {
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
func dial(ctx context.Context, config *pgx.ConnConfig, database string, wait time.Duration, log *slog.Logger) (*target, error) {
	t := &target{config: config.Copy(), database: database, log: log}
	t.config.RuntimeParams["application_name"] = application
	var err error
	if t.conn, err = postgres.Dial(ctx, log, t.config, wait); err != nil {
		return nil, err
	}
	return t, nil
}

// connect opens a session of the import in a database.
func (t *target) connect(ctx context.Context, database string) (*pgx.Conn, error) {
	c := t.config.Copy()
	c.Database = database
	if database != postgres.Maintenance {
		c.RuntimeParams["application_name"] = worker
	}
	return postgres.Connect(ctx, c)
}

// quiet keeps rows, and whatever else a statement may hold, out of the
// server's log for this session. It returns what could not be set.
func (t *target) quiet(ctx context.Context, conn *pgx.Conn) []string {
	var failed []string
	for _, set := range []string{
		"log_min_messages = 'panic'", "log_min_error_statement = 'panic'", "log_error_verbosity = 'terse'",
		"log_statement = 'none'", "log_duration = off", "log_min_duration_statement = -1",
		"log_min_duration_sample = -1", "log_transaction_sample_rate = 0",
		"log_parameter_max_length = 0", "log_parameter_max_length_on_error = 0",
		"log_lock_waits = off", "debug_print_parse = off", "debug_print_rewritten = off", "debug_print_plan = off",
		"log_statement_stats = off", "log_parser_stats = off", "log_planner_stats = off", "log_executor_stats = off",
	} {
		if _, err := conn.Exec(ctx, "SET "+set); err != nil && !postgres.Is(err, postgres.UndefinedObject) {
			failed = append(failed, strings.Fields(set)[0])
		}
	}
	return failed
}

// patient lets a session last, and write, whatever the server's settings are
// for those of its users: the one that holds the lock is idle for hours.
func (t *target) patient(ctx context.Context, conn *pgx.Conn) error {
	sql := "SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET default_transaction_read_only = off; " +
		// Should this node vanish, the lock goes within two minutes.
		"SET tcp_keepalives_idle = 60; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 6"
	if t.version >= 140000 {
		// A statement of a killed import ends soon, and not hours later.
		sql += "; SET idle_session_timeout = 0; SET client_connection_check_interval = '10s'"
	}
	if t.version >= 170000 {
		sql += "; SET transaction_timeout = 0"
	}
	_, err := conn.PgConn().Exec(ctx, sql).ReadAll()
	return err
}

// check reads what the server is, and refuses what an import cannot work with.
// It returns warnings.
func (t *target) check(ctx context.Context) ([]string, error) {
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
		// Those of the dump are for its users: here they would run as superuser,
		// at the login already. The maintenance database has none of them.
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
func (t *target) lock(ctx context.Context) error {
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
func (t *target) stamp(ctx context.Context) error {
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

// sweep removes what runs that were killed left: their sessions first, then
// their databases. The lock must be held.
func (t *target) sweep(ctx context.Context) error {
	_, err := t.conn.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE application_name = $1 AND backend_type = 'client backend'`, worker)
	if err != nil {
		return fmt.Errorf("end the sessions of an earlier import: %w", postgres.Redact(err))
	}
	rows, err := t.conn.Query(ctx, `SELECT datname, coalesce(shobj_description(oid, 'pg_database'), '') FROM pg_database`)
	if err != nil {
		return fmt.Errorf("list the databases: %w", postgres.Redact(err))
	}
	var left []string
	var name, comment string
	_, err = pgx.ForEachRow(rows, []any{&name, &comment}, func() error {
		if name != t.database && name != postgres.Maintenance && (strings.HasPrefix(comment, ours) || ourDatabase.MatchString(name)) {
			left = append(left, name)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list the databases: %w", postgres.Redact(err))
	}
	for _, name := range left {
		t.log.Info("remove what an earlier import left", "database", name)
		if err := t.drop(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// drop removes a database of ours, with whoever is connected to it.
func (t *target) drop(ctx context.Context, name string) error {
	var template bool
	err := t.conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND datistemplate)", name).Scan(&template)
	if err == nil && template {
		_, err = t.conn.Exec(ctx, "ALTER DATABASE "+sqltext.Identifier(name)+" IS_TEMPLATE false")
	}
	if err == nil {
		_, err = t.conn.Exec(ctx, "DROP DATABASE IF EXISTS "+sqltext.Identifier(name)+" WITH (FORCE)")
	}
	if err != nil {
		return fmt.Errorf("drop database %s: %w", name, postgres.Redact(err))
	}
	return nil
}

// create makes an empty database of ours.
func (t *target) create(ctx context.Context, name, importID, locale string) error {
	if _, err := t.conn.Exec(ctx, "CREATE DATABASE "+sqltext.Identifier(name)+" TEMPLATE template0 ENCODING 'UTF8'"+locale); err != nil {
		return fmt.Errorf("create database %s: %w", name, postgres.Redact(err))
	}
	if _, err := t.conn.Exec(ctx, "COMMENT ON DATABASE "+sqltext.Identifier(name)+" IS "+sqltext.Literal(ours+importID)); err != nil {
		return fmt.Errorf("mark database %s as unfinished: %w", name, postgres.Redact(err))
	}
	// Nobody else has business there until it is the seed.
	if _, err := t.conn.Exec(ctx, "REVOKE ALL ON DATABASE "+sqltext.Identifier(name)+" FROM PUBLIC"); err != nil {
		return fmt.Errorf("close database %s to others: %w", name, postgres.Redact(err))
	}
	return nil
}

// session opens a session that restores into a database.
func (t *target) session(ctx context.Context, database string) (*pgx.Conn, error) {
	conn, err := t.connect(ctx, database)
	if err != nil {
		return nil, fmt.Errorf("connect to database %s: %w", database, err)
	}
	t.quiet(ctx, conn)
	if err = t.patient(ctx, conn); err == nil {
		_, err = conn.Exec(ctx, fixedSettings)
	}
	if err != nil {
		conn.Close(context.WithoutCancel(ctx))
		return nil, fmt.Errorf("prepare a session in database %s: %w", database, postgres.Redact(err))
	}
	return conn, nil
}

// exec runs the statements of a step one by one. Any error stops.
func execStep(ctx context.Context, conn *pgx.Conn, s step) error {
	for _, sql := range s.statements {
		if err := execSQL(ctx, conn, sql); err != nil {
			return fmt.Errorf("restore %s: %w", s.object(), err)
		}
	}
	return nil
}

// execSQL runs one statement. The protocol for prepared ones takes no second,
// which a dump might hide from the lexer, and leaves nothing prepared.
func execSQL(ctx context.Context, conn *pgx.Conn, sql string) error {
	if err := conn.PgConn().ExecParams(ctx, sql, nil, nil, nil, nil).Read().Err; err != nil {
		return interrupted(ctx, postgres.Redact(err))
	}
	return nil
}

// interrupted prefers the reason why ctx ended to what that broke.
func interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
			return cause
		}
	}
	return err
}
