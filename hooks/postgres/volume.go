package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/seedling-dev/seedling/hooks/command"
)

// Volume reads the stamp of the seed's volume, over a session in the maintenance
// database. A volume without one is refused: our image did not make it.
func Volume(ctx context.Context, conn *pgx.Conn) (id string, err error) {
	err = conn.QueryRow(ctx, "SELECT id::text FROM seedling.volume").Scan(&id)
	switch {
	case errors.Is(err, pgx.ErrNoRows), Is(err, UndefinedTable, InvalidSchemaName):
		return "", command.Misconfiguredf("the seed's volume carries no stamp (seedling.volume in database %s): it was not made by seed-postgres and may have held raw data; give the seed a fresh volume", Maintenance)
	case err != nil:
		return "", fmt.Errorf("read the volume's stamp: %w", Redact(err))
	}
	return id, nil
}
