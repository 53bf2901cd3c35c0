package seed_test

import (
	"testing"

	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
	"github.com/seedling-dev/seedling/hooks/seed"
)

// TestSettingsOfTheServer: what it sets for other sessions does not end those
// of an import.
func TestSettingsOfTheServer(t *testing.T) {
	t.Parallel()
	src := pgtest.Source(t)
	// Other sessions are idle for longer than the timeout while this is refreshed.
	file := src.Dump(t, src.Database(t, "CREATE TABLE notes (note text); CREATE MATERIALIZED VIEW slow AS SELECT pg_sleep(4)::text"), "-Fc")
	for _, setting := range []string{"idle_session_timeout = '2s'", "default_transaction_read_only = on"} {
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			s := pgtest.Start(t)
			s.Exec(t, "postgres", "ALTER ROLE postgres SET "+setting)
			o := options(t, s, file, "version: 1\ntables: {public.notes: {columns: {note: text}}}\n")
			mustImport(t, o, seed.Imported)
			nothingLeft(t, s)
			if _, err := seed.Verify(t.Context(), o); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestKeepalives: where the importer's node is gone, its sessions end in
// minutes, and not after the hours that kernels wait.
func TestKeepalives(t *testing.T) {
	t.Parallel()
	src := pgtest.Source(t)
	file := src.Dump(t, src.Database(t, `CREATE TABLE notes (note text); CREATE MATERIALIZED VIEW said AS
		SELECT current_setting('tcp_keepalives_idle')::int + current_setting('tcp_keepalives_interval')::int * current_setting('tcp_keepalives_count')::int AS seconds`), "-Fc")
	s := pgtest.Start(t)
	mustImport(t, options(t, s, file, "version: 1\ntables: {public.notes: {columns: {note: text}}}\n"), seed.Imported)
	if got := s.Strings(t, "app", "SELECT seconds FROM said")[0]; got != "120" {
		t.Errorf("the server finds out after %s seconds", got)
	}
}
