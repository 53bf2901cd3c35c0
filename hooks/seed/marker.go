package seed

import (
	"context"
	"errors"
	"fmt"

	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/postgres"
)

// mark writes the marker into the scratch database, durably.
func (r *loaded) mark(ctx context.Context) error {
	if err := execSQL(ctx, r.conn, "SET synchronous_commit = on"); err != nil {
		return fmt.Errorf("write the marker: %w", err)
	}
	record, err := r.record()
	if err != nil {
		return err
	}
	revealed, err := r.revealed().Pack()
	if err != nil {
		return err
	}
	return postgres.WriteMarker(ctx, r.conn, postgres.Marker{
		Verified: verifyDepth(r.Verify), Record: record, Revealed: revealed,
		ImportID: r.id, DumpID: r.archive.ID, DumpDigest: r.DumpSHA256, PolicyDigest: r.report.PolicyDigest, KeyID: r.report.KeyID,
		MaskerVersion: mask.Version, VolumeID: r.server.volume, Kept: r.report.Kept, ServerVersion: r.server.versionIs,
		Tables: int64(len(r.report.Tables)), Rows: r.report.Rows, Bytes: r.report.Bytes, StartedAt: r.report.Started,
	})
}

// marker reads the marker of the seed's database; nil when there is no
// database or no marker.
func (t *server) marker(ctx context.Context) (*postgres.Marker, error) {
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
