package backup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/postgres"
)

// Postgres is a seed's Postgres, over one connection that holds the locks. The
// role needs: to connect to both databases, to read seedling.volume and
// seedling.marker, to run seedling.roles_with_password, and pg_checkpoint. Only a superuser may set event_triggers:
// ALTER ROLE ... SET event_triggers = off keeps those of the dump out of its
// sessions (seed-postgres has done so).
type Postgres struct {
	config   *pgx.ConnConfig // of the maintenance database
	database string
	conn     *pgx.Conn
}

// Dial connects to a seed's Postgres, and waits, bounded, while it does not
// answer. target comes from postgres.ReadTarget, database is the seed's.
func Dial(ctx context.Context, log *slog.Logger, target *pgx.ConnConfig, database string) (*Postgres, error) {
	config := target.Copy()
	config.RuntimeParams["application_name"] = "seed-backup"
	conn, err := postgres.Dial(ctx, log, config, busyTimeout)
	if err != nil {
		return nil, err
	}
	return &Postgres{config: config, database: database, conn: conn}, nil
}

// Close ends the connection, and with it the locks.
func (p *Postgres) Close(ctx context.Context) { _ = p.conn.Close(ctx) }

// Lock takes the import's lock shared and seed-backup's own.
func (p *Postgres) Lock(ctx context.Context) (busy string, err error) {
	switch own, err := postgres.BackupLock.Try(ctx, p.conn); {
	case err != nil:
		return "", final(err)
	case !own:
		return "wait for another seed-backup of this seed to end", nil
	}
	switch free, err := postgres.ImportLock.TryShared(ctx, p.conn); {
	case err != nil:
		return "", final(err)
	case free:
		return "", nil
	}
	// Own is given back: it would be counted twice.
	if err := postgres.BackupLock.Release(ctx, p.conn); err != nil {
		return "", final(err)
	}
	return "wait for an import into this seed to end: it holds the lock", nil
}

// Inspect reads the stamp, the names of the databases and the marker.
func (p *Postgres) Inspect(ctx context.Context) (c Contents, err error) {
	if c.VolumeID, err = postgres.Volume(ctx, p.conn); err != nil {
		return Contents{}, final(err)
	}
	if c.Passwords, err = p.passwords(ctx); err != nil {
		return Contents{}, err
	}
	rows, err := p.conn.Query(ctx, "SELECT datname FROM pg_database WHERE datname <> ALL ($1) ORDER BY 1",
		[]string{postgres.Maintenance, "template0", "template1", p.database})
	if err == nil {
		c.Others, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err != nil {
		return Contents{}, fmt.Errorf("list the databases: %w", final(postgres.Redact(err)))
	}
	if c.Marker, err = p.marker(ctx); err != nil {
		return Contents{}, fmt.Errorf("read the marker in database %s: %w", p.database, err)
	}
	return c, nil
}

// passwords lists the roles that have one.
func (p *Postgres) passwords(ctx context.Context) ([]string, error) {
	rows, err := p.conn.Query(ctx, "SELECT seedling.roles_with_password()")
	var roles []string
	if err == nil {
		roles, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	switch {
	case postgres.Is(err, postgres.UndefinedFunction):
		return nil, command.Misconfiguredf("it cannot tell whether roles have passwords, because an older seed-postgres started it: give the seed the image of this release, and restart it")
	case err != nil:
		return nil, fmt.Errorf("look for roles with a password: %w", final(postgres.Redact(err)))
	}
	return roles, nil
}

func (p *Postgres) marker(ctx context.Context) (postgres.Marker, error) {
	config := p.config.Copy()
	config.Database = p.database
	conn, err := postgres.Connect(ctx, config)
	if postgres.Is(err, postgres.InvalidCatalogName) {
		return postgres.Marker{}, command.Misconfiguredf("there is no such database: nothing was imported yet, or --database names another one")
	}
	if err != nil {
		return postgres.Marker{}, final(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	m, err := postgres.ReadMarker(ctx, conn)
	return m, final(err)
}

// Checkpoint runs CHECKPOINT.
func (p *Postgres) Checkpoint(ctx context.Context) error {
	_, err := p.conn.Exec(ctx, "CHECKPOINT")
	return final(postgres.Redact(err))
}

// final marks what a retry will not cure.
func final(err error) error {
	if postgres.Lasting(err) || errors.Is(err, postgres.ErrNoMarker) {
		return command.Misconfigured(err)
	}
	return err
}
