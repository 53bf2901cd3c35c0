package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Marker is what an import writes into the seed's database when it is whole:
// which dump is there, and how it was masked.
type Marker struct {
	ImportID, DumpID, DumpDigest, PolicyDigest, KeyID, MaskerVersion, VolumeID string
	// Kept lists what the policy kept as it was.
	Kept []string
	// Collation is the database's, with its version; the server fills it in.
	Collation, ServerVersion string
	Tables, Rows, Bytes      int64
	// FinishedAt is the server's clock when the marker was written.
	StartedAt, FinishedAt time.Time
	// Verified is how the import was verified before it became the seed: sampled,
	// full, or off. It is "" where an older seed-import made it.
	Verified string
	// Record is what the import says of itself to those who must sign for it, in JSON.
	Record string
	// Revealed is what the import lets through of its originals, as package mask
	// packs it; "" where an older seed-import made it.
	Revealed string
}

// DumpedAt is when the source was dumped, as the dump says: by the clock of the
// machine that pg_dump ran on, taken for UTC, since archives name no zone. It is
// zero where the dump does not say so, or an older seed-import made the seed.
func (m *Marker) DumpedAt() (time.Time, error) {
	if m.Record == "" {
		return time.Time{}, nil
	}
	var record struct {
		DumpCreated time.Time `json:"dumpCreated"`
	}
	if err := json.Unmarshal([]byte(m.Record), &record); err != nil {
		return time.Time{}, fmt.Errorf("read when the dump was made from the record beside the marker: %w", err)
	}
	return record.DumpCreated, nil
}

// ErrNoMarker says that a database is not a finished import.
var ErrNoMarker = errors.New("there is no marker: the database is not a finished import and may hold raw data")

const markerTable = `CREATE SCHEMA seedling;
REVOKE ALL ON SCHEMA seedling FROM PUBLIC;
CREATE TABLE seedling.marker (
	import_id uuid NOT NULL, dump_id text NOT NULL, dump_digest text NOT NULL, policy_digest text NOT NULL, key_id text NOT NULL,
	masker_version text NOT NULL, volume_id uuid NOT NULL, kept jsonb NOT NULL, "collation" text NOT NULL, server_version text NOT NULL,
	tables bigint NOT NULL, rows bigint NOT NULL, bytes bigint NOT NULL, started_at timestamptz NOT NULL, finished_at timestamptz NOT NULL,
	one boolean NOT NULL DEFAULT true UNIQUE CHECK (one));
CREATE TABLE seedling.record (verified text NOT NULL, record text NOT NULL, revealed text NOT NULL, one boolean NOT NULL DEFAULT true UNIQUE CHECK (one))`

// CreateMarker makes the marker's table, empty: seed-backup's role, where there
// is one, may read it.
func CreateMarker(ctx context.Context, conn *pgx.Conn) error {
	sql := markerTable
	var backup bool
	err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'seed_backup')").Scan(&backup)
	if backup {
		sql += "; GRANT USAGE ON SCHEMA seedling TO seed_backup; GRANT SELECT ON seedling.marker, seedling.record TO seed_backup"
	}
	if err == nil {
		_, err = conn.PgConn().Exec(ctx, sql).ReadAll()
	}
	if err != nil {
		return fmt.Errorf("create the marker: %w", Redact(err))
	}
	return nil
}

// WriteMarker writes it, with the server's collation and clock.
func WriteMarker(ctx context.Context, conn *pgx.Conn, m Marker) error {
	if m.Kept == nil {
		m.Kept = []string{}
	}
	kept, err := json.Marshal(m.Kept)
	if err == nil { // before the marker, which says that all is there
		_, err = conn.Exec(ctx, "INSERT INTO seedling.record VALUES ($1, $2, $3)", m.Verified, m.Record, m.Revealed)
	}
	if err == nil {
		_, err = conn.Exec(ctx, `INSERT INTO seedling.marker
			SELECT $1::uuid, $2, $3, $4, $5, $6, $7::uuid, $8::jsonb, datcollate || coalesce(' ' || datcollversion, ''), $9, $10, $11, $12, $13, now()
			FROM pg_catalog.pg_database WHERE datname = current_database()`,
			m.ImportID, m.DumpID, m.DumpDigest, m.PolicyDigest, m.KeyID, m.MaskerVersion, m.VolumeID, string(kept),
			m.ServerVersion, m.Tables, m.Rows, m.Bytes, m.StartedAt)
	}
	if err != nil {
		return fmt.Errorf("write the marker: %w", Redact(err))
	}
	return nil
}

// ReadMarker reads it over a session in the seed's database. The error is
// ErrNoMarker where there is none, or not exactly one.
func ReadMarker(ctx context.Context, conn *pgx.Conn) (m Marker, err error) {
	rows, err := conn.Query(ctx, `SELECT import_id::text, dump_id, dump_digest, policy_digest, key_id, masker_version, volume_id::text,
		kept::text, "collation", server_version, tables, rows, bytes, started_at, finished_at FROM seedling.marker`)
	if err == nil {
		m, err = pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (m Marker, err error) {
			var kept string
			err = row.Scan(&m.ImportID, &m.DumpID, &m.DumpDigest, &m.PolicyDigest, &m.KeyID, &m.MaskerVersion, &m.VolumeID,
				&kept, &m.Collation, &m.ServerVersion, &m.Tables, &m.Rows, &m.Bytes, &m.StartedAt, &m.FinishedAt)
			if err == nil {
				err = json.Unmarshal([]byte(kept), &m.Kept)
			}
			return m, err
		})
	}
	if err == nil {
		err = readRecord(ctx, conn, &m)
	}
	switch {
	case errors.Is(err, pgx.ErrNoRows), errors.Is(err, pgx.ErrTooManyRows), Is(err, UndefinedTable, UndefinedColumn, InvalidSchemaName):
		return Marker{}, ErrNoMarker
	case err != nil:
		return Marker{}, Redact(err)
	}
	return m, nil
}

// readRecord adds the record, which older imports did not write.
func readRecord(ctx context.Context, conn *pgx.Conn, m *Marker) error {
	err := conn.QueryRow(ctx, "SELECT verified, record, revealed FROM seedling.record").Scan(&m.Verified, &m.Record, &m.Revealed)
	if Is(err, UndefinedColumn) {
		err = conn.QueryRow(ctx, "SELECT verified, record FROM seedling.record").Scan(&m.Verified, &m.Record)
	}
	if errors.Is(err, pgx.ErrNoRows) || Is(err, UndefinedTable) {
		return nil
	}
	return err
}
