package seed_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
	"github.com/seedling-dev/seedling/hooks/seed"
)

// versionsOf is where the dumps lie that real pg_dumps of several versions
// made: see make in that folder.
const versionsOf = "../dump/testdata/versions"

// TestVersions imports what each PostgreSQL from 13 on dumped into the seed's
// 17, keeping everything, and compares with what pg_restore or psql make of the
// same dump. Plain dumps bring settings that 17 knows (transaction_timeout) and
// psql commands (\restrict).
func TestVersions(t *testing.T) { //nolint:tparallel // its subtests share a server
	t.Parallel()
	s := pgtest.Start(t)
	dump := func(t *testing.T, db, more string) string {
		out := s.MustShell(t, "pg_dump -h /run/postgresql -U postgres --exclude-schema=seedling "+more+" "+db+" | grep -v '^.\\(un\\)\\?restrict '")
		return strings.NewReplacer("UNLOGGED ", "", "SET UNLOGGED", "SET LOGGED").Replace(out)
	}
	for _, test := range []struct{ file, restore, policy, compare string }{
		// A plain dump's large objects are statements, which are not read. It
		// comes first: a volume that was given them cannot go back.
		{"plain.sql", "psql -X -q -v ON_ERROR_STOP=1 -d oracle -f", strings.Replace(everythingKept, "large_objects: keep", "large_objects: none", 1), "--no-large-objects"},
		{"custom.dump", "pg_restore --exit-on-error -d oracle", everythingKept, ""},
	} {
		for _, folder := range []string{"13", "14", "15", "16", "17", "16by17"} {
			t.Run(folder+"/"+test.file, func(t *testing.T) {
				file := filepath.Join(versionsOf, folder, test.file)
				report := mustImport(t, options(t, s, file, test.policy+"roles: {postgres: postgres}\n"), seed.Imported)
				if server, _, _ := strings.Cut(folder, "by"); !strings.HasPrefix(report.DumpServer, server+".") {
					t.Errorf("the dump is of server %s", report.DumpServer)
				}
				s.Put(t, file, "/tmp/oracle")
				s.Exec(t, "postgres", "DROP DATABASE IF EXISTS oracle")
				s.Exec(t, "postgres", "CREATE DATABASE oracle TEMPLATE template0")
				s.MustShell(t, "PGHOST=/run/postgresql PGUSER=postgres "+test.restore+" /tmp/oracle")
				if diff := cmp.Diff(dump(t, "oracle", test.compare), dump(t, "app", test.compare)); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
	t.Run("18", func(t *testing.T) {
		for _, file := range []string{"custom.dump", "directory", "plain.sql"} {
			_ = refused(t, options(t, s, filepath.Join(versionsOf, "18", file), everythingKept), "the dump is of Postgres 18 and the seed runs 17: build seed-postgres with Postgres 18")
		}
	})
}
