package seed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seedling-dev/seedling/hooks/hook"
	"github.com/seedling-dev/seedling/hooks/mask"
)

// Marker is what an import writes into the seed's database when it is whole.
type Marker struct {
	ImportID, DumpID, DumpDigest, PolicyDigest, KeyID, MaskerVersion, VolumeID string
	Kept                                                                       []string
	Collation, ServerVersion                                                   string
	Tables, Rows, Bytes                                                        int64
	StartedAt, FinishedAt                                                      time.Time
}

const createMarker = `CREATE SCHEMA seedling;
REVOKE ALL ON SCHEMA seedling FROM PUBLIC;
CREATE TABLE seedling.marker (
	import_id uuid NOT NULL, dump_id text NOT NULL, dump_digest text NOT NULL, policy_digest text NOT NULL, key_id text NOT NULL,
	masker_version text NOT NULL, volume_id uuid NOT NULL, kept jsonb NOT NULL, "collation" text NOT NULL, server_version text NOT NULL,
	tables bigint NOT NULL, rows bigint NOT NULL, bytes bigint NOT NULL, started_at timestamptz NOT NULL, finished_at timestamptz NOT NULL,
	one boolean NOT NULL DEFAULT true UNIQUE CHECK (one))`

// createMarker makes the marker's table, empty: before the dump's event
// triggers are there to see it.
func (r *run) createMarker(ctx context.Context, conn *pgx.Conn) error {
	sql := createMarker
	var backup bool
	err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'seed_backup')").Scan(&backup)
	if backup {
		sql += "; GRANT USAGE ON SCHEMA seedling TO seed_backup; GRANT SELECT ON seedling.marker TO seed_backup"
	}
	if err == nil {
		_, err = conn.PgConn().Exec(ctx, sql).ReadAll()
	}
	if err != nil {
		return fmt.Errorf("create the marker: %w", redact(err))
	}
	return nil
}

// mark writes the marker into the scratch database, durably.
func (r *run) mark(ctx context.Context, conn *pgx.Conn) error {
	kept, err := json.Marshal(nonNil(r.report.Kept))
	if err == nil {
		err = execSQL(ctx, conn, "SET synchronous_commit = on")
	}
	if err == nil {
		_, err = conn.Exec(ctx, `INSERT INTO seedling.marker
			SELECT $1::uuid, $2, $3, $4, $5, $6, $7::uuid, $8::jsonb, datcollate || coalesce(' ' || datcollversion, ''), $9, $10, $11, $12, $13, now()
			FROM pg_catalog.pg_database WHERE datname = current_database()`,
			r.id, r.dump.ID, r.DumpSHA256, r.report.PolicyDigest, r.report.KeyID, mask.Version, r.target.volume, string(kept),
			r.target.versionIs, int64(len(r.report.Tables)), r.report.Rows, r.report.Bytes, r.report.Started)
	}
	if err != nil {
		return fmt.Errorf("write the marker: %w", redact(err))
	}
	return nil
}

func nonNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// marker reads the marker of the seed's database; nil when there is no
// database or no marker.
func (t *target) marker(ctx context.Context) (*Marker, error) {
	conn, err := t.connect(ctx, t.database)
	if code(err) == "3D000" {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the seed's marker: connect to database %s: %w", t.database, err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var m Marker
	err = conn.QueryRow(ctx, `SELECT import_id::text, dump_id, dump_digest, policy_digest, key_id, masker_version, volume_id::text, finished_at FROM seedling.marker`).
		Scan(&m.ImportID, &m.DumpID, &m.DumpDigest, &m.PolicyDigest, &m.KeyID, &m.MaskerVersion, &m.VolumeID, &m.FinishedAt)
	switch {
	case errors.Is(err, pgx.ErrNoRows), code(err) == "42P01", code(err) == "3F000", code(err) == "42703":
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read the seed's marker: %w", redact(err))
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
	if code(err) == "42P01" {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the volume's ledger: %w", redact(err))
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
		return fmt.Errorf("write the volume's ledger: %w", redact(err))
	}
	return nil
}

// role checks that the application's role is there.
func (t *target) role(ctx context.Context, name string) error {
	var there bool
	if err := t.conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", name).Scan(&there); err != nil {
		return fmt.Errorf("look for role %s: %w", name, redact(err))
	}
	if !there {
		return hook.Misconfiguredf("the seed has no role %s, which is to own the data: create it, or name another with --owner", name)
	}
	return nil
}
