package seed

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/postgres"
)

// schemaError marks what the server refuses about the schema or a row as misconfigured:
// the same statement or row will be refused again.
func schemaError(err error) error {
	switch c := postgres.Code(err); {
	case c == "", strings.HasPrefix(c, "57"), strings.HasPrefix(c, "53"), strings.HasPrefix(c, "58"), strings.HasPrefix(c, "40"), strings.HasPrefix(c, "08"), strings.HasPrefix(c, "XX"), c == postgres.ObjectInUse:
		return err
	}
	return command.Misconfigured(err)
}

// connect opens a session of the import in a database.
func (t *server) connect(ctx context.Context, database string) (*pgx.Conn, error) {
	c := t.config.Copy()
	c.Database = database
	if database != postgres.Maintenance {
		c.RuntimeParams["application_name"] = worker
	}
	return postgres.Connect(ctx, c)
}

// quiet keeps rows, and whatever else a statement may hold, out of the
// server's log for this session. It returns what could not be set.
func (t *server) quiet(ctx context.Context, conn *pgx.Conn) []string {
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
func (t *server) patient(ctx context.Context, conn *pgx.Conn) error {
	sql := "SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET default_transaction_read_only = off; " +
		// If this node vanishes, the lock is free within two minutes.
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

// session opens a session that restores into a database.
func (t *server) session(ctx context.Context, database string) (*pgx.Conn, error) {
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

// execStep runs the statements of a step one by one. Any error stops.
func execStep(ctx context.Context, conn *pgx.Conn, s step) error {
	for _, sql := range s.statements {
		if s.entry.Kind == "EXTENSION" {
			if err := execAny(ctx, conn, sql); err != nil {
				return interrupted(ctx, extensionError(s.entry.Tag, err))
			}
			continue
		}
		if err := execSQL(ctx, conn, sql); err != nil {
			return fmt.Errorf("restore %s: %w", s.object(), err)
		}
	}
	return nil
}

// execSQL runs one statement, by the protocol for prepared ones: it does not take a
// second one, which a dump might hide from the lexer. Nothing stays prepared.
func execSQL(ctx context.Context, conn *pgx.Conn, sql string) error {
	if err := execAny(ctx, conn, sql); err != nil {
		return interrupted(ctx, postgres.Redact(err))
	}
	return nil
}

// execAny is execSQL with the server's own error.
func execAny(ctx context.Context, conn *pgx.Conn, sql string) error {
	return conn.PgConn().ExecParams(ctx, sql, nil, nil, nil, nil).Read().Err
}

// interrupted returns why ctx ended rather than what failed because of it.
func interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
			return cause
		}
	}
	return err
}

// settings of every session that restores.
const fixedSettings = `
SET client_encoding = 'UTF8'; SET standard_conforming_strings = on; SET check_function_bodies = off;
SET xmloption = content; SET client_min_messages = error; SET row_security = off;
SET search_path = ''; SET datestyle = ISO; SET intervalstyle = postgres; SET extra_float_digits = 3;
SET default_tablespace = ''; SET default_table_access_method = heap; SET synchronous_commit = off;
SET bytea_output = hex; SET timezone = 'UTC'`
