package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/seedling-dev/seedling/hooks/command"
)

// HasPasswords refuses a volume whose roles have passwords. Taking them away is
// not enough: their verifiers stay in its blocks and its WAL.
func HasPasswords(roles []string, namespace string) error {
	return command.Misconfiguredf("roles of the seed have passwords (%s), and a copy of its volume gives their verifiers away: give the seed a fresh volume, with %s, "+
		"sync both of its Applications, and set no password in it: Jobs log in with certificates",
		strings.Join(roles, ", "), FreshVolume(namespace))
}

// FreshVolume are the commands that give the seed of a namespace a fresh volume.
// Where it is not known, as outside of a cluster, its reader fills it in.
func FreshVolume(namespace string) string {
	where := ""
	if namespace == "" {
		namespace, where = "SEED", "(SEED is the seed's namespace) "
	}
	return fmt.Sprintf("%s`kubectl -n %[2]s delete statefulset postgres --cascade=foreground; kubectl -n %[2]s delete pvc data-postgres-0`", where, namespace)
}

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
