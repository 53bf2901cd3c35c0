package seed_test

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
	"github.com/seedling-dev/seedling/hooks/seed"
)

// versionsOf is where the dumps lie that real pg_dumps of several versions
// made: see make in that folder.
const versionsOf = "../dump/testdata/versions"

// TestVersions imports what each PostgreSQL from 13 up to the seed's own dumped,
// keeping everything, and compares with what pg_restore or psql make of the same
// dump. Plain dumps bring settings that only newer servers know
// (transaction_timeout) and psql commands (\restrict). It says so where the dump
// is older than the seed, and what is newer is refused.
func TestVersions(t *testing.T) { //nolint:tparallel // its subtests share a server
	t.Parallel()
	s := pgtest.Start(t)
	own := s.Major(t)
	dump := func(t *testing.T, db, more string) string {
		out := s.MustShell(t, "pg_dump -h /run/postgresql -U postgres --exclude-schema=seedling "+more+" "+db+" | grep -v '^.\\(un\\)\\?restrict '")
		return strings.NewReplacer("UNLOGGED ", "", "SET UNLOGGED", "SET LOGGED").Replace(out)
	}
	imported := 0
	for _, test := range []struct{ file, restore, policy, compare string }{
		// A plain dump's large objects are statements, which are not read. It
		// comes first: a volume that was given them cannot go back.
		{"plain.sql", "psql -X -q -v ON_ERROR_STOP=1 -d oracle -f", strings.Replace(everythingKept, "large_objects: keep", "large_objects: none", 1), "--no-blobs"},
		{"custom.dump", "pg_restore --exit-on-error -d oracle", everythingKept, ""},
	} {
		for _, folder := range []string{"13", "14", "15", "16", "17", "16by17", "18"} {
			t.Run(folder+"/"+test.file, func(t *testing.T) {
				server, _, by := strings.Cut(folder, "by")
				major, err := strconv.Atoi(server)
				if err != nil {
					t.Fatal(err)
				}
				file := filepath.Join(versionsOf, folder, test.file)
				o := options(t, s, file, test.policy+"roles: {postgres: postgres}\n")
				if major > own {
					everyVerbRefuses(t, o, fmt.Sprintf("the dump is of Postgres %d and the seed runs %d: build seed-postgres with Postgres %d", major, own, major))
					return
				}
				if by && own < 17 {
					t.Skip("the settings of pg_dump 17 are not known to the seed's " + strconv.Itoa(own))
				}
				report := mustImport(t, o, seed.Imported)
				imported++
				if !strings.HasPrefix(report.DumpServer, server+".") {
					t.Errorf("the dump is of server %s", report.DumpServer)
				}
				warnings := strings.Join(report.Warnings, "\n")
				if said := strings.Contains(warnings, fmt.Sprintf("the dump is of Postgres %d and the seed runs %d", major, own)); said != (major < own) {
					t.Errorf("of majors %d and %d it says %q", major, own, warnings)
				}
				if said := strings.Contains(warnings, "does not say how its text sorts"); said != (test.file == "plain.sql") {
					t.Errorf("of the order of text it says %q", warnings)
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
	if imported < 6 {
		t.Errorf("%d dumps were imported", imported)
	}
}

// everyVerbRefuses gives the dump to all that read one.
func everyVerbRefuses(t *testing.T, o seed.Options, sentence string) {
	t.Helper()
	_ = refused(t, o, sentence)
	_, planErr := seed.Plan(t.Context(), o, true)
	_, draftErr := seed.Draft(t.Context(), o, true, true)
	check, checkErr := seed.CheckPolicy(t.Context(), o, true)
	if checkErr == nil && len(check.Gaps) == 1 {
		checkErr = check.Err()
	}
	_, verifyErr := seed.Verify(t.Context(), o)
	for verb, err := range map[string]error{"plan": planErr, "draft-policy": draftErr, "check": checkErr, "verify": verifyErr} {
		if err == nil || !strings.Contains(err.Error(), sentence) || command.ExitCode(err) != command.ExitMisconfigured {
			t.Errorf("%s: %v", verb, err)
		}
	}
}
