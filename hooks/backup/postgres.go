package backup

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seedling-dev/seedling/hooks/hook"
)

// maintenance is the database that locks and the volume's stamp live in.
const maintenance = "postgres"

// lockKey is the key of an advisory lock in the maintenance database, from its
// name. An import holds "seedling import" exclusively.
func lockKey(name string) int64 {
	sum := sha256.Sum256([]byte(name))
	return int64(binary.BigEndian.Uint64(sum[:8]))
}

// Postgres is a seed's Postgres, over one connection that holds the locks. The
// role needs: to connect to both databases, to read seedling.volume and
// seedling.marker, and pg_checkpoint. Only a superuser may set event_triggers:
// ALTER ROLE ... SET event_triggers = off keeps those of the dump out of its
// sessions (seed-postgres has done so).
type Postgres struct {
	config   *pgx.ConnConfig // of the maintenance database
	database string
	conn     *pgx.Conn
}

// Dial connects to a seed's Postgres, and waits, bounded, while it does not
// answer. target is a libpq connection string, password what to use instead of
// the string's own where it is not empty, database the seed's.
func Dial(ctx context.Context, log *slog.Logger, target, password, database string) (*Postgres, error) {
	config, err := pgx.ParseConfig(target)
	if err != nil {
		// The error quotes the string it could not read.
		return nil, hook.Misconfiguredf("read the connection string of the seed's Postgres: it is neither a postgres:// URL nor a list of key=value")
	}
	config.Database = maintenance
	if password != "" {
		config.Password = password
	}
	config.RuntimeParams["application_name"] = "seed-backup"
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 10 * time.Second
	}
	p := &Postgres{config: config, database: database}
	w := hook.Wait{Status: hook.NewStatus(log), Every: pollEvery, Timeout: busyTimeout}
	err = w.Until(ctx, func(ctx context.Context) (string, error) {
		conn, err := pgx.ConnectConfig(ctx, config)
		if err != nil {
			if lasting(err) {
				return "", hook.Misconfigured(err)
			}
			return "the seed's Postgres does not answer: " + hook.OneLine(err.Error()), nil
		}
		p.conn = conn
		return "", nil
	})
	if err != nil {
		return nil, fmt.Errorf("connect to the seed's Postgres: %w", err)
	}
	return p, nil
}

// Close ends the connection, and with it the locks.
func (p *Postgres) Close(ctx context.Context) { _ = p.conn.Close(ctx) }

// Lock takes the import's lock shared and seed-backup's own.
func (p *Postgres) Lock(ctx context.Context) (busy string, err error) {
	var own, free bool
	if err := p.conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", lockKey("seedling backup")).Scan(&own); err != nil {
		return "", sorted(err)
	}
	if !own {
		return "wait for another seed-backup of this seed to end", nil
	}
	if err := p.conn.QueryRow(ctx, "SELECT pg_try_advisory_lock_shared($1)", lockKey("seedling import")).Scan(&free); err != nil {
		return "", sorted(err)
	}
	if !free {
		// Own is given back: it would be counted twice.
		if _, err := p.conn.Exec(ctx, "SELECT pg_advisory_unlock($1)", lockKey("seedling backup")); err != nil {
			return "", sorted(err)
		}
		return "wait for an import into this seed to end: it holds the lock", nil
	}
	return "", nil
}

// Inspect reads the stamp, the names of the databases and the marker.
func (p *Postgres) Inspect(ctx context.Context) (Contents, error) {
	var c Contents
	err := p.conn.QueryRow(ctx, "SELECT id::text FROM seedling.volume").Scan(&c.VolumeID)
	switch {
	case errors.Is(err, pgx.ErrNoRows), absent(err):
		return Contents{}, hook.Misconfiguredf("its volume carries no stamp (seedling.volume in database %s): it was not made by seed-postgres and may have held raw data; use a fresh volume", maintenance)
	case err != nil:
		return Contents{}, fmt.Errorf("read the volume's stamp: %w", sorted(err))
	}

	rows, err := p.conn.Query(ctx, "SELECT datname FROM pg_database WHERE datname <> ALL ($1) ORDER BY 1",
		[]string{maintenance, "template0", "template1", p.database})
	if err == nil {
		c.Others, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err != nil {
		return Contents{}, fmt.Errorf("list the databases: %w", sorted(err))
	}

	if c.Marker, err = p.marker(ctx); err != nil {
		return Contents{}, fmt.Errorf("read the marker in database %s: %w", p.database, err)
	}
	return c, nil
}

func (p *Postgres) marker(ctx context.Context) (Marker, error) {
	config := p.config.Copy()
	config.Database = p.database
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		if code(err) == "3D000" {
			return Marker{}, hook.Misconfiguredf("there is no such database: nothing was imported yet, or --database names another one")
		}
		return Marker{}, sorted(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()

	rows, err := conn.Query(ctx, `SELECT import_id::text, dump_id, dump_digest, policy_digest, key_id, masker_version, volume_id::text, finished_at FROM seedling.marker`)
	var markers []Marker
	if err == nil {
		markers, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (m Marker, err error) {
			return m, row.Scan(&m.ImportID, &m.DumpID, &m.DumpDigest, &m.PolicyDigest, &m.KeyID, &m.MaskerVersion, &m.VolumeID, &m.FinishedAt)
		})
	}
	switch {
	case absent(err):
		return Marker{}, hook.Misconfiguredf("there is none: the database is not a finished import and may hold raw data")
	case err != nil:
		return Marker{}, sorted(err)
	case len(markers) != 1:
		return Marker{}, hook.Misconfiguredf("it has %d rows, not one: the database is not a finished import", len(markers))
	}
	return markers[0], nil
}

// Checkpoint runs CHECKPOINT.
func (p *Postgres) Checkpoint(ctx context.Context) error {
	_, err := p.conn.Exec(ctx, "CHECKPOINT")
	return sorted(err)
}

func code(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// lasting says whether an error of Postgres stays until a person changes
// something: a wrong password or role (class 28), a missing database, a missing
// right.
func lasting(err error) bool {
	c := code(err)
	return strings.HasPrefix(c, "28") || c == "3D000" || c == "42501"
}

// absent says whether a table, a column or its schema is not there.
func absent(err error) bool {
	switch code(err) {
	case "42P01", "42703", "3F000":
		return true
	}
	return false
}

func sorted(err error) error {
	if err != nil && lasting(err) {
		return hook.Misconfigured(err)
	}
	return err
}
