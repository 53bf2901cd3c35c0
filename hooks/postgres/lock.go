package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/binary"

	"github.com/jackc/pgx/v5"
)

// Lock is an advisory lock of the maintenance database, by its name. It ends
// with the session that holds it.
type Lock string

const (
	// ImportLock is held alone by an import, and shared by whoever needs that
	// no import runs.
	ImportLock Lock = "seedling import"
	// BackupLock is held by seed-backup.
	BackupLock Lock = "seedling backup"
)

// Key is the lock's key: the first 8 bytes of its name's sha256.
func (l Lock) Key() int64 {
	sum := sha256.Sum256([]byte(l))
	return int64(binary.BigEndian.Uint64(sum[:8])) // the bits are wanted, not the number
}

// Try takes the lock alone, and reports whether it was free. A session that
// takes it twice holds it twice.
func (l Lock) Try(ctx context.Context, conn *pgx.Conn) (bool, error) {
	return l.ask(ctx, conn, "SELECT pg_try_advisory_lock($1)")
}

// TryShared takes the lock shared, and reports whether nobody has it alone.
func (l Lock) TryShared(ctx context.Context, conn *pgx.Conn) (bool, error) {
	return l.ask(ctx, conn, "SELECT pg_try_advisory_lock_shared($1)")
}

// Release gives back what Try took, once.
func (l Lock) Release(ctx context.Context, conn *pgx.Conn) error {
	_, err := l.ask(ctx, conn, "SELECT pg_advisory_unlock($1)")
	return err
}

func (l Lock) ask(ctx context.Context, conn *pgx.Conn, sql string) (yes bool, err error) {
	err = conn.QueryRow(ctx, sql, l.Key()).Scan(&yes)
	return yes, Redact(err)
}
