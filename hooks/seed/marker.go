package seed

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/postgres"
)

// mark writes the marker into the scratch database, durably.
func (r *run) mark(ctx context.Context, conn *pgx.Conn) error {
	if err := execSQL(ctx, conn, "SET synchronous_commit = on"); err != nil {
		return fmt.Errorf("write the marker: %w", err)
	}
	return postgres.WriteMarker(ctx, conn, postgres.Marker{
		ImportID: r.id, DumpID: r.dump.ID, DumpDigest: r.DumpSHA256, PolicyDigest: r.report.PolicyDigest, KeyID: r.report.KeyID,
		MaskerVersion: mask.Version, VolumeID: r.target.volume, Kept: r.report.Kept, ServerVersion: r.target.versionIs,
		Tables: int64(len(r.report.Tables)), Rows: r.report.Rows, Bytes: r.report.Bytes, StartedAt: r.report.Started,
	})
}

// marker reads the marker of the seed's database; nil when there is no
// database or no marker.
func (t *target) marker(ctx context.Context) (*postgres.Marker, error) {
	conn, err := t.connect(ctx, t.database)
	if postgres.Is(err, postgres.InvalidCatalogName) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the seed's marker: connect to database %s: %w", t.database, err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	m, err := postgres.ReadMarker(ctx, conn)
	switch {
	case errors.Is(err, postgres.ErrNoMarker):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read the seed's marker: %w", err)
	}
	return &m, nil
}

const createLedger = `CREATE TABLE IF NOT EXISTS seedling.ledger (
	volume_id uuid NOT NULL, import_id uuid NOT NULL, kept jsonb NOT NULL, at timestamptz NOT NULL DEFAULT now())`

// ledger lists, sorted, what any import has put onto this volume as it was.
func (t *target) ledger(ctx context.Context) ([]keptLine, error) {
	// Where nothing was kept it may say null.
	rows, err := t.conn.Query(ctx, `SELECT DISTINCT k FROM seedling.ledger, jsonb_array_elements_text(CASE jsonb_typeof(kept) WHEN 'array' THEN kept ELSE '[]' END) k
		WHERE volume_id = $1::uuid ORDER BY 1`, t.volume)
	var kept []keptLine
	if err == nil {
		kept, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (keptLine, error) {
			var line string
			if err := row.Scan(&line); err != nil {
				return keptLine{}, err
			}
			return parseKept(line)
		})
	}
	if postgres.Is(err, postgres.UndefinedTable) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the volume's ledger: %w", postgres.Redact(err))
	}
	return kept, nil
}

// record adds to the ledger, durably.
func (t *target) record(ctx context.Context, importID string, kept []byte) error {
	_, err := t.conn.PgConn().Exec(ctx, createLedger).ReadAll()
	if err == nil {
		_, err = t.conn.Exec(ctx, "INSERT INTO seedling.ledger (volume_id, import_id, kept) VALUES ($1::uuid, $2::uuid, $3::jsonb)", t.volume, importID, string(kept))
	}
	if err != nil {
		return fmt.Errorf("write the volume's ledger: %w", postgres.Redact(err))
	}
	return nil
}

// role checks that the application's role is there.
func (t *target) role(ctx context.Context, name string) error {
	var there bool
	if err := t.conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", name).Scan(&there); err != nil {
		return fmt.Errorf("look for role %s: %w", name, postgres.Redact(err))
	}
	if !there {
		return command.Misconfiguredf("the seed has no role %s, which is to own the data: create it, or name another with --owner", name)
	}
	return nil
}
