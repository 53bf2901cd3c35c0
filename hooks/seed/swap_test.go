package seed_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
	"github.com/seedling-dev/seedling/hooks/seed"
)

// few is a database for tests that are not about rows.
const few = "CREATE TABLE notes AS SELECT g AS id, 'a note of ' || g AS note FROM generate_series(1, 10) g"

const fewPolicy = "version: 1\ntables: {public.notes: {columns: {id: keep, note: text}}}\n"

// again is a policy that asks for another import of the same dump.
func again(policy string) string { return strings.Replace(policy, "note: text", "note: hash", 1) }

// TestCarriedOver: what a seed's database was set to, the next one is.
func TestCarriedOver(t *testing.T) {
	t.Parallel()
	src := pgtest.Source(t)
	file := src.Dump(t, src.Database(t, few), "-Fc")
	for name, test := range map[string]struct{ sql, state string }{
		"lists": {
			`ALTER DATABASE app SET search_path = ''; ALTER DATABASE app SET temp_tablespaces = ''; ALTER ROLE app IN DATABASE app SET search_path = "Odd, ""name", public, "$user";
				ALTER DATABASE app SET DateStyle = 'ISO, DMY'`,
			"SELECT setrole || ' ' || setconfig::text FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase WHERE datname = 'app' ORDER BY 1",
		},
		"template": {"ALTER DATABASE app IS_TEMPLATE true", "SELECT datistemplate::text FROM pg_database WHERE datname = 'app'"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := pgtest.Start(t)
			mustImport(t, options(t, s, file, fewPolicy), seed.Imported)
			s.Exec(t, "postgres", test.sql)
			before := s.Strings(t, "postgres", test.state)
			mustImport(t, options(t, s, file, again(fewPolicy)), seed.Imported)
			if diff := cmp.Diff(before, s.Strings(t, "postgres", test.state)); diff != "" {
				t.Error(diff)
			}
			nothingLeft(t, s)
		})
	}
}

// TestLockedAtTheSwap: a transaction elsewhere holds the database's own lock,
// for ever. The import gives up, and the old seed takes new sessions.
func TestLockedAtTheSwap(t *testing.T) {
	t.Parallel()
	src := pgtest.Source(t)
	file := src.Dump(t, src.Database(t, few), "-Fc")
	s := pgtest.Start(t)
	first := mustImport(t, options(t, s, file, fewPolicy), seed.Imported)
	tx, err := s.Connect(t, "postgres").Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "COMMENT ON DATABASE app IS 'of an open transaction'"); err != nil {
		t.Fatal(err)
	}
	user := s.Connect(t, "app")
	o := options(t, s, file, again(fewPolicy))
	_, err = seed.Import(t.Context(), o)
	if command.ExitCode(err) != command.ExitRetry || !strings.Contains(err.Error(), "locked") {
		t.Errorf("error %v", err)
	}
	if got := s.Strings(t, "app", "SELECT import_id FROM seedling.marker"); got[0] != first.ImportID {
		t.Errorf("import %v answers", got)
	}
	if _, err := user.Exec(t.Context(), "SELECT 1"); err != nil {
		t.Errorf("a session of the old seed ended, and it is the seed still: %v", err)
	}
	nothingLeft(t, s)
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustImport(t, o, seed.Imported)
	nothingLeft(t, s)
}
