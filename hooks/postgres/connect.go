package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seedling-dev/seedling/hooks/command"
)

// Maintenance is the database that the locks, the volume's stamp and the ledger
// of imports live in.
const Maintenance = "postgres"

// Schema holds what the project writes into databases.
const Schema = "seedling"

// TargetVariable names the seed's Postgres where no file does: a connection
// string, whose sslcert and sslkey name the files of its login.
const TargetVariable = "SEED_TARGET"

// ReadTarget reads the connection string from a file, or from SEED_TARGET where
// file is "". It says everything that is wrong at once.
func ReadTarget(file string, getenv func(string) string) (*pgx.ConnConfig, error) {
	config, err := targetConfig(file, getenv)
	if getenv("SEED_PASSWORD_FILE") != "" {
		err = errors.Join(err, errors.New("SEED_PASSWORD_FILE is set, and a seed takes no password: name sslcert, sslkey and sslrootcert in "+TargetVariable+", as manifests/seed-data does"))
	}
	if err != nil {
		return nil, command.Misconfigured(err)
	}
	return config, nil
}

func targetConfig(file string, getenv func(string) string) (*pgx.ConnConfig, error) {
	if file == "" {
		return ParseTarget(getenv(TargetVariable))
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read --target-file: %w", err)
	}
	if strings.TrimSpace(string(b)) == "" {
		return nil, fmt.Errorf("read --target-file: %s is empty", file)
	}
	return ParseTarget(string(b))
}

// ParseTarget reads a libpq connection string as one of the maintenance
// database. Its error does not quote it.
func ParseTarget(s string) (*pgx.ConnConfig, error) {
	if strings.TrimSpace(s) == "" {
		return nil, command.Misconfiguredf("no seed's Postgres is named: pass --target-file or set %s to a libpq connection string", TargetVariable)
	}
	c, err := pgx.ParseConfig(strings.TrimSpace(s))
	if file, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, command.Misconfiguredf("read the certificates of the seed's Postgres: %w; `%s` makes Secret %s", file, MakeCertificates, Secret)
	}
	if err != nil {
		return nil, command.Misconfiguredf("read the connection string of the seed's Postgres: it is neither a postgres:// URL nor a list of key=value, or its sslcert, sslkey and sslrootcert are no pair and its authority in PEM")
	}
	c.Database = Maintenance
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 10 * time.Second
	}
	c.DefaultQueryExecMode = pgx.QueryExecModeExec
	c.OnNotice = func(*pgconn.PgConn, *pgconn.Notice) {}
	return c, nil
}

// Connect opens a session. An error keeps host and reason: at this point the
// server's message names roles and databases only.
func Connect(ctx context.Context, config *pgx.ConnConfig) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, config)
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok {
		return nil, &Error{Code: pe.Code, Message: pe.Message}
	}
	if err != nil {
		err = explainTLS(err)
	}
	return conn, err
}

// Dial opens a session and waits, bounded, for a server that does not answer
// yet. An error that waiting cannot cure is misconfigured.
func Dial(ctx context.Context, log *slog.Logger, config *pgx.ConnConfig, timeout time.Duration) (*pgx.Conn, error) {
	if err := checkCertificate(log, config.TLSConfig, time.Now()); err != nil {
		return nil, fmt.Errorf("connect to the seed's Postgres: %w", err)
	}
	var conn *pgx.Conn
	var last error
	w := command.Wait{Status: command.NewStatus(log), Every: time.Second, Timeout: max(timeout, time.Millisecond)}
	err := w.Until(ctx, func(ctx context.Context) (_ string, err error) {
		conn, err = Connect(ctx, config)
		switch {
		case err == nil:
			return "", nil
		case Lasting(err):
			return "", command.Misconfigured(err)
		}
		// Why it does not answer changes while it starts, and is a long line.
		last = err
		return "wait for the seed's Postgres, which does not answer yet", nil
	})
	if errors.Is(err, command.ErrTimeout) {
		err = fmt.Errorf("%w: %s", err, command.OneLine(last.Error()))
	}
	if err != nil {
		return nil, fmt.Errorf("connect to the seed's Postgres: %w", err)
	}
	return conn, nil
}
