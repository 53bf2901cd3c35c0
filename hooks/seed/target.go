package seed

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seedling-dev/seedling/hooks/hook"
	"github.com/seedling-dev/seedling/hooks/sqltext"
)

const (
	// maintenance is the database that locks, the volume's stamp and the
	// ledger live in.
	maintenance = "postgres"
	// markerSchema holds what the project writes into databases.
	markerSchema = "seedling"
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

// lockKey is the advisory lock of imports, in the maintenance database.
func lockKey() int64 {
	sum := sha256.Sum256([]byte("seedling import"))
	return int64(binary.BigEndian.Uint64(sum[:8])) // the bits are wanted, not the number
}

// ParseTarget reads a libpq connection string. Its error does not quote it.
func ParseTarget(s string) (*pgx.ConnConfig, error) {
	if strings.TrimSpace(s) == "" {
		return nil, hook.Misconfiguredf("no target is named: pass --target-file or set SEED_TARGET to a libpq connection string")
	}
	c, err := pgx.ParseConfig(strings.TrimSpace(s))
	if err != nil {
		return nil, hook.Misconfiguredf("read the target: it is neither a postgres:// URL nor a list of key=value (see libpq's connection strings)")
	}
	c.Database = maintenance
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 10 * time.Second
	}
	c.RuntimeParams["application_name"] = application
	c.DefaultQueryExecMode = pgx.QueryExecModeExec
	c.OnNotice = func(*pgconn.PgConn, *pgconn.Notice) {}
	return c, nil
}

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
	w := hook.Wait{Status: hook.NewStatus(log), Every: time.Second, Timeout: max(wait, time.Millisecond)}
	err := w.Until(ctx, func(ctx context.Context) (string, error) {
		conn, err := t.connect(ctx, maintenance)
		if err == nil {
			t.conn = conn
			return "", nil
		}
		if lasting(err) {
			return "", hook.Misconfigured(err)
		}
		return "wait for Postgres: " + hook.OneLine(err.Error()), nil
	})
	if err != nil {
		return nil, fmt.Errorf("connect to the seed's Postgres: %w", err)
	}
	return t, nil
}

// lasting says whether a failed connection stays until a person changes
// something.
func lasting(err error) bool {
	c := code(err)
	return strings.HasPrefix(c, "28") || c == "3D000" || c == "42501"
}

// connect opens a session of the import in a database.
func (t *target) connect(ctx context.Context, database string) (*pgx.Conn, error) {
	c := t.config.Copy()
	c.Database = database
	if database != maintenance {
		c.RuntimeParams["application_name"] = worker
	}
	conn, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return nil, redactConnect(err)
	}
	return conn, nil
}

// redactConnect keeps a connection error's host and reason. pgx does not put
// passwords into it.
func redactConnect(err error) error {
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok {
		return fmt.Errorf("%w", &ServerError{Code: pe.Code, Message: pe.Message})
	}
	return err
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
		if _, err := conn.Exec(ctx, "SET "+set); err != nil && code(err) != "42704" {
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
		return nil, fmt.Errorf("ask the seed's Postgres what it is: %w", redact(err))
	}
	switch {
	case pid != t.conn.PgConn().PID():
		return nil, hook.Misconfiguredf("the target is a connection pooler: an import needs sessions of its own; name Postgres itself")
	case !super:
		return nil, hook.Misconfiguredf("the target's role is not a superuser: an import restores other roles' objects and extensions; use the seed's superuser")
	case recovery:
		return nil, hook.Misconfiguredf("the target is a standby: name the primary")
	case t.version < 130000:
		return nil, hook.Misconfiguredf("the target runs Postgres %s: 13 or newer is needed", t.versionIs)
	case encoding != "UTF8":
		return nil, hook.Misconfiguredf("the target's encoding is %s: initialise the seed with --encoding=UTF8", encoding)
	}
	if t.version >= 170000 {
		// Those of the dump are for its users: here they would run as superuser,
		// at the login already. The maintenance database has none of them.
		t.config.RuntimeParams["event_triggers"] = "off"
	}
	err = t.conn.QueryRow(ctx, `SELECT current_setting('shared_preload_libraries') || ',' || current_setting('session_preload_libraries'),
		current_setting('wal_level'), (SELECT setting::bigint * 1024 FROM pg_settings WHERE name = 'maintenance_work_mem')`).Scan(&preload, &wal, &memory)
	if err != nil {
		return nil, fmt.Errorf("ask the seed's Postgres for its settings: %w", redact(err))
	}
	t.unlogged = wal == "minimal"
	t.memory = max(memory, 64<<20)
	if err := t.patient(ctx, t.conn); err != nil {
		return nil, fmt.Errorf("prepare the session in database %s: %w", maintenance, redact(err))
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
	w := hook.Wait{Status: hook.NewStatus(t.log), Every: time.Second, Timeout: 15 * time.Second}
	err := w.Until(ctx, func(ctx context.Context) (string, error) {
		var got bool
		if err := t.conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", lockKey()).Scan(&got); err != nil {
			return "", redact(err)
		}
		if got {
			return "", nil
		}
		who := "another session"
		var app string
		var since time.Time
		err := t.conn.QueryRow(ctx, `SELECT a.application_name, a.backend_start FROM pg_locks l JOIN pg_stat_activity a USING (pid)
			WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND (l.classid::bigint << 32 | l.objid::bigint) = $1 LIMIT 1`, lockKey()).Scan(&app, &since)
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
	err := t.conn.QueryRow(ctx, "SELECT id::text FROM seedling.volume").Scan(&t.volume)
	switch {
	case errors.Is(err, pgx.ErrNoRows), code(err) == "42P01", code(err) == "3F000":
		return hook.Misconfiguredf("the seed's volume carries no stamp (seedling.volume in database %s): it was not made by seed-postgres and may have held raw data; give the seed a fresh volume", maintenance)
	case err != nil:
		return fmt.Errorf("read the volume's stamp: %w", redact(err))
	}
	var file string
	err = t.conn.QueryRow(ctx, "SELECT pg_read_file('seedling-volume')").Scan(&file)
	if err != nil && code(err) != "58P01" {
		return fmt.Errorf("read the volume's stamp: %w", redact(err))
	}
	if err != nil {
		return hook.Misconfiguredf("the seed's volume carries no file seedling-volume beside its database: it was not made by seed-postgres; give the seed a fresh volume")
	}
	if strings.TrimSpace(file) != t.volume {
		return hook.Misconfiguredf("the seed's volume says %q and its database %q: they do not belong together; give the seed a fresh volume", strings.TrimSpace(file), t.volume)
	}
	return nil
}

// sweep removes what runs that were killed left: their sessions first, then
// their databases. The lock must be held.
func (t *target) sweep(ctx context.Context) error {
	_, err := t.conn.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE application_name = $1 AND backend_type = 'client backend'`, worker)
	if err != nil {
		return fmt.Errorf("end the sessions of an earlier import: %w", redact(err))
	}
	rows, err := t.conn.Query(ctx, `SELECT datname, coalesce(shobj_description(oid, 'pg_database'), '') FROM pg_database`)
	if err != nil {
		return fmt.Errorf("list the databases: %w", redact(err))
	}
	var left []string
	var name, comment string
	_, err = pgx.ForEachRow(rows, []any{&name, &comment}, func() error {
		if name != t.database && name != maintenance && (strings.HasPrefix(comment, ours) || ourDatabase.MatchString(name)) {
			left = append(left, name)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list the databases: %w", redact(err))
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
		return fmt.Errorf("drop database %s: %w", name, redact(err))
	}
	return nil
}

// create makes an empty database of ours.
func (t *target) create(ctx context.Context, name, importID, locale string) error {
	if _, err := t.conn.Exec(ctx, "CREATE DATABASE "+sqltext.Identifier(name)+" TEMPLATE template0 ENCODING 'UTF8'"+locale); err != nil {
		return fmt.Errorf("create database %s: %w", name, redact(err))
	}
	if _, err := t.conn.Exec(ctx, "COMMENT ON DATABASE "+sqltext.Identifier(name)+" IS "+sqltext.Literal(ours+importID)); err != nil {
		return fmt.Errorf("mark database %s as unfinished: %w", name, redact(err))
	}
	// Nobody else has business there until it is the seed.
	if _, err := t.conn.Exec(ctx, "REVOKE ALL ON DATABASE "+sqltext.Identifier(name)+" FROM PUBLIC"); err != nil {
		return fmt.Errorf("close database %s to others: %w", name, redact(err))
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
		return nil, fmt.Errorf("prepare a session in database %s: %w", database, redact(err))
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
		return interrupted(ctx, redact(err))
	}
	return nil
}

// ReadTarget takes a connection string from a file, or from the environment,
// and the password from the file in SEED_PASSWORD_FILE, where that is set.
func ReadTarget(file string, getenv func(string) string) (*pgx.ConnConfig, error) {
	target := getenv("SEED_TARGET")
	if file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, hook.Misconfiguredf("read the target: %w", err)
		}
		target = string(b)
	}
	c, err := ParseTarget(target)
	if err != nil {
		return nil, err
	}
	password, err := hook.Password(getenv)
	if err != nil {
		return nil, err
	}
	if password != "" {
		c.Password = password
	}
	return c, nil
}
