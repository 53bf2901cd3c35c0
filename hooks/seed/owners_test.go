package seed_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
	"github.com/seedling-dev/seedling/hooks/seed"
)

// ownable has every kind of object that has an owner of its own, and some of which
// the owner is another one's.
const ownable = `
CREATE SCHEMA "Odd one";
CREATE EXTENSION citext;
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TYPE pair AS (a int, b text);
CREATE TYPE span AS RANGE (subtype = float8);
CREATE DOMAIN short AS text CHECK (length(VALUE) < 9);
CREATE TYPE shell;
CREATE TABLE people (id serial PRIMARY KEY, no int GENERATED ALWAYS AS IDENTITY, m mood, p pair, s span, d short, n text);
CREATE TABLE "Odd one".parts (id int, at date) PARTITION BY RANGE (at);
CREATE TABLE "Odd one"."parts 1" PARTITION OF "Odd one".parts DEFAULT;
CREATE SEQUENCE alone;
CREATE INDEX ON people (n);
CREATE VIEW seen AS SELECT id, n FROM people;
CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM people;
CREATE FUNCTION plus(int, "Odd one".parts) RETURNS int LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION mood_of(mood, mood) RETURNS boolean LANGUAGE sql AS 'SELECT $1 = $2';
CREATE PROCEDURE work(INOUT a int) LANGUAGE sql SECURITY DEFINER AS 'SELECT $1';
CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int);
CREATE AGGREGATE every_row(*) (SFUNC = int8inc, STYPE = int8, INITCOND = '0');
CREATE OPERATOR === (LEFTARG = mood, RIGHTARG = mood, FUNCTION = mood_of);
CREATE OPERATOR !== (RIGHTARG = int, FUNCTION = int4um);
CREATE OPERATOR FAMILY fam USING btree;
CREATE OPERATOR CLASS cls FOR TYPE float8 USING btree FAMILY fam AS OPERATOR 1 <, FUNCTION 1 btfloat8cmp(float8, float8);
CREATE COLLATION nice (PROVIDER = icu, LOCALE = 'und');
CREATE CONVERSION conv FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
CREATE TEXT SEARCH DICTIONARY dict (TEMPLATE = simple);
CREATE TEXT SEARCH CONFIGURATION conf (COPY = simple);
CREATE STATISTICS stats (dependencies) ON id, n FROM people;
ALTER TABLE people ENABLE ROW LEVEL SECURITY;
CREATE POLICY nobody ON people USING (false);
INSERT INTO people (n) SELECT 'x' || g FROM generate_series(1, 20) g;
GRANT SELECT ON seen TO app;
`

// TestNoOwners: what is in a plain dump without owners belongs to the application's
// role, all of it, so that no view shows more than that role may see.
func TestNoOwners(t *testing.T) {
	t.Parallel()
	src, s := pgtest.Source(t), pgtest.Start(t)
	db := src.Database(t, ownable)
	for _, more := range []string{"", "--no-acl"} {
		report := mustImport(t, options(t, s, src.Pipe(t, "pg_dump --no-owner "+more+" DB", db), everythingKept), seed.Imported)
		if said := strings.Join(report.Changed, "\n"); !strings.Contains(said, "names no owners") || !strings.Contains(said, "belongs to app") {
			t.Errorf("the report says %q", said)
		}
		owned := func(s *pgtest.Server, db string) string {
			return s.MustShell(t, "pg_dump -h /run/postgresql -U postgres --exclude-schema=seedling "+db+" | grep ' OWNER TO ' | sort")
		}
		want := strings.ReplaceAll(owned(src, db), "OWNER TO postgres", "OWNER TO app")
		if diff := cmp.Diff(want, owned(s, "app")); diff != "" || strings.Count(want, "\n") < 27 {
			t.Errorf("owners of %d objects: %s", strings.Count(want, "\n"), diff)
		}
		if got := s.Strings(t, "app", "SELECT count(*) FROM pg_class WHERE relnamespace = 'seedling'::regnamespace AND relowner <> 10"); got[0] != "0" {
			t.Errorf("%s tables of ours belong to the application", got[0])
		}
	}
	nothingLeft(t, s)
}
