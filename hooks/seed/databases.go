package seed

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/seedling-dev/seedling/hooks/postgres"
	"github.com/seedling-dev/seedling/hooks/sqltext"
)

// ourDatabase matches the databases that an import makes: it finds what a killed run
// left before it could write the comment.
var ourDatabase = regexp.MustCompile(`^seedling_(scratch|shadow|old)_[0-9a-f]{12}$`)

// removeLeftovers removes what runs that were killed left: their sessions first, then
// their databases. The lock must be held.
func (t *server) removeLeftovers(ctx context.Context) error {
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
func (t *server) drop(ctx context.Context, name string) error {
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
func (t *server) create(ctx context.Context, name, importID, locale string) error {
	if _, err := t.conn.Exec(ctx, "CREATE DATABASE "+sqltext.Identifier(name)+" TEMPLATE template0 ENCODING 'UTF8'"+locale); err != nil {
		return fmt.Errorf("create database %s: %w", name, postgres.Redact(err))
	}
	if _, err := t.conn.Exec(ctx, "COMMENT ON DATABASE "+sqltext.Identifier(name)+" IS "+sqltext.Literal(ours+importID)); err != nil {
		return fmt.Errorf("mark database %s as unfinished: %w", name, postgres.Redact(err))
	}
	// Nobody else may use it until it is the seed.
	if _, err := t.conn.Exec(ctx, "REVOKE ALL ON DATABASE "+sqltext.Identifier(name)+" FROM PUBLIC"); err != nil {
		return fmt.Errorf("close database %s to others: %w", name, postgres.Redact(err))
	}
	return nil
}
