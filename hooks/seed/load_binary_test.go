package seed_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
	"github.com/seedling-dev/seedling/hooks/seed"
)

// oddities is a table whose rows are several blocks, with three that have to be
// sent as text: the first row, one in the middle, and one of more than a
// megabyte behind another of that size.
const oddities = `
CREATE TABLE first (id bigint, at time, note text);
CREATE TABLE middle (id bigint, at time, note text);
CREATE TABLE big (id bigint, at time, note text);
CREATE TABLE list (id bigint, many int[]);
CREATE TABLE plain (id bigint, at timestamptz, note text);
INSERT INTO first SELECT g, CASE WHEN g = 1 THEN time '24:00' ELSE '12:00' END, E'a\tb\\c' FROM generate_series(1, 20) g;
INSERT INTO middle SELECT g, CASE WHEN g % 20000 = 0 THEN time '24:00' ELSE '12:34:56.7' END, CASE WHEN g % 7 > 0 THEN 'note ' || g END FROM generate_series(1, 45000) g;
INSERT INTO big SELECT g, CASE WHEN g = 20000 THEN time '24:00' ELSE '12:34' END, CASE WHEN g % 10000 = 0 THEN repeat('0123456789abcde' || chr(10), 70000) ELSE 'note' END FROM generate_series(1, 25000) g;
INSERT INTO list SELECT g, ARRAY[g, NULL] FROM generate_series(1, 20) g;
INSERT INTO plain SELECT g, '2024-01-01'::timestamptz + g * interval '1 hour', 'note ' || g FROM generate_series(1, 45000) g;`

// TestBinaryAndText imports rows of which some have to be sent as text, over one
// session and several, from an archive and from a stream: nothing is lost,
// doubled or changed. The server's statistics tell what format was used.
func TestBinaryAndText(t *testing.T) { //nolint:tparallel // its subtests share a server, and look at what is left on it
	t.Parallel()
	source := pgtest.Source(t)
	database := source.Database(t, oddities)
	const contents = `SELECT t || ' ' || count(*) || ' ' || md5(string_agg(r, chr(10) ORDER BY id)) FROM (
		SELECT 'first' AS t, id, first::text AS r FROM first UNION ALL SELECT 'middle', id, middle::text FROM middle UNION ALL
		SELECT 'big', id, big::text FROM big UNION ALL SELECT 'list', id, list::text FROM list UNION ALL SELECT 'plain', id, plain::text FROM plain) s GROUP BY t ORDER BY t`
	want := source.Strings(t, database, contents)
	archive, stream := source.Dump(t, database, "-Fc"), source.Dump(t, database, "-Fp")
	server := pgtest.Start(t, "-c", "shared_preload_libraries=pg_stat_statements", "-c", "pg_stat_statements.track_utility=on")
	server.Exec(t, "postgres", "CREATE EXTENSION pg_stat_statements")
	for _, c := range []struct {
		name, dump, tables string // another policy is another import
		jobs               int
	}{{"one session", archive, "*.*", 1}, {"three sessions", archive, "public.*", 3}, {"a stream", stream, "*.*", 3}} {
		t.Run(c.name, func(t *testing.T) {
			server.Exec(t, "postgres", "SELECT pg_stat_statements_reset()")
			o := options(t, server, c.dump, `{version: 1, tables: {"`+c.tables+`": {columns: {"*": keep}}}}`)
			o.Jobs = c.jobs
			mustImport(t, o, seed.Imported)
			if d := cmp.Diff(want, server.Strings(t, "app", contents)); d != "" {
				t.Error(d)
			}
			statements := strings.Join(server.Strings(t, "postgres", "SELECT query FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid WHERE datname = 'app' AND query LIKE 'COPY%'"), "\n")
			for table, formats := range map[string][2]bool{"first": {true, true}, "middle": {true, true}, "big": {true, true}, "list": {false, true}, "plain": {true, false}} {
				var got [2]bool
				for s := range strings.Lines(statements) {
					if strings.Contains(s, `"`+table+`"`) {
						got[0] = got[0] || strings.Contains(s, "FORMAT binary")
						got[1] = got[1] || !strings.Contains(s, "FORMAT binary")
					}
				}
				if got != formats {
					t.Errorf("%s: binary and text are %v, want %v:\n%s", table, got, formats, statements)
				}
			}
		})
	}
}

// TestRefusedRowIsNamed makes the server refuse a row behind the sample, in
// what is sent binary and in what has to be text: the error gives its number in
// the dump.
func TestRefusedRowIsNamed(t *testing.T) {
	t.Parallel()
	source := pgtest.Source(t)
	server := pgtest.Start(t)
	for _, row := range []int{15000, 20000, 20001, 35000} {
		database := source.Database(t, fmt.Sprintf(`CREATE TABLE entries (id bigint, at time, note text, CHECK (id <> %d OR note <> 'gone'));
			INSERT INTO entries SELECT g, CASE WHEN g = 20000 THEN time '24:00' ELSE '12:00' END, 'a note of some length' FROM generate_series(1, 45000) g`, row))
		o := options(t, server, source.Dump(t, database, "-Fc"), `{version: 1, tables: {public.entries: {columns: {id: keep, at: keep, note: {mask: constant, value: gone}}}}}`)
		_ = refused(t, o, fmt.Sprintf("load public.entries, row %d: ", row))
	}
}
