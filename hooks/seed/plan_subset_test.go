package seed_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
	"github.com/seedling-dev/seedling/hooks/seed"
)

// forum has people who recommend each other and lead each other's teams, posts of
// theirs by month, and what hangs on posts.
const forum = `
CREATE TABLE people (id bigint PRIMARY KEY, name text NOT NULL, recommended_by bigint REFERENCES people, team int);
CREATE TABLE teams (id int PRIMARY KEY, lead bigint NOT NULL REFERENCES people);
CREATE TABLE posts (id bigint NOT NULL, person bigint NOT NULL REFERENCES people ON DELETE CASCADE, at timestamptz NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE posts_old PARTITION OF posts FOR VALUES FROM ('2000-01-01') TO ('2020-01-01');
CREATE TABLE posts_new PARTITION OF posts DEFAULT;
CREATE TABLE marks (id bigint PRIMARY KEY, post bigint NOT NULL, post_at timestamptz NOT NULL, by bigint REFERENCES people, what text NOT NULL, FOREIGN KEY (post, post_at) REFERENCES posts);
CREATE TABLE settings (name text PRIMARY KEY, changed_by bigint REFERENCES people);
INSERT INTO people SELECT g, 'PLANTED name ' || g, CASE WHEN g > 1 THEN g / 2 END, CASE WHEN g <= 900 THEN 1 + g % 30 END FROM generate_series(1, 1000) g;
INSERT INTO teams SELECT g, 1 + g * 31 FROM generate_series(1, 30) g;
ALTER TABLE people ADD FOREIGN KEY (team) REFERENCES teams;
INSERT INTO posts SELECT g, 1 + g % 1000, CASE WHEN g % 2 = 0 THEN '2010-01-01'::timestamptz + g * interval '1 minute' ELSE now() - g * interval '1 minute' END FROM generate_series(1, 6000) g;
INSERT INTO marks SELECT id, id, at, CASE WHEN id % 3 = 0 THEN 1 + id % 1000 END, 'PLANTED ' || md5(id::text) || md5((-id)::text) FROM posts;
INSERT INTO settings SELECT 'setting ' || g, CASE WHEN g % 2 = 0 THEN g END FROM generate_series(1, 100) g;
`

func forumPolicy(rows string) string {
	return `
version: 1
tables:
  public.people: {columns: {id: key, name: full_name, recommended_by: keep, team: keep}` + rows + `}
  public.teams: {columns: {id: key}}
  public.posts: {columns: {id: keep, at: keep}}
  public.marks: {columns: {id: keep, post: keep, post_at: keep, what: text}}
  public.settings: {columns: {name: keep}}
`
}

// Of a share of people there is all that is theirs and nothing that is not: the
// constraints say so, and so do the raw rows.
func TestShareOfPeople(t *testing.T) {
	t.Parallel()
	src := pgtest.Source(t)
	db := src.Database(t, forum)
	s := pgtest.Start(t)
	query := func(sql string) string { t.Helper(); return strings.Join(s.Strings(t, "app", sql), " ") }
	raw := func(sql string) string { t.Helper(); return strings.Join(src.Strings(t, db, sql), " ") }
	file := src.Dump(t, db, "-Fc")
	policy := strings.Replace(forumPolicy(", rows: {where: [{column: id, share: 20 %}]}"), "recommended_by: keep, team: keep", "", 1)
	// With the keys kept, the raw rows say what has to be there.
	kept := strings.ReplaceAll(policy, "id: key", "id: keep")
	report := mustImport(t, options(t, s, file, kept), seed.Imported)
	people := query("SELECT string_agg(id::text, ',') FROM people")
	n := strings.Count(people, ",") + 1
	if n < 140 || n > 260 {
		t.Errorf("20 %% of 1000 people are %d", n)
	}
	for sql, want := range map[string]string{
		"SELECT count(*) FROM teams":    raw("SELECT count(*) FROM teams WHERE lead IN (" + people + ")"),
		"SELECT count(*) FROM posts":    raw("SELECT count(*) FROM posts WHERE person IN (" + people + ")"),
		"SELECT count(*) FROM marks":    raw("SELECT count(*) FROM marks JOIN posts ON posts.id = post WHERE person IN (" + people + ") AND (by IS NULL OR by IN (" + people + "))"),
		"SELECT count(*) FROM settings": raw("SELECT count(*) FROM settings WHERE changed_by IS NULL OR changed_by IN (" + people + ")"),
		// In a circle references are let go, where a person would go with their team.
		"SELECT count(*) FROM people WHERE team IS NOT NULL":                                          raw("SELECT count(*) FROM people JOIN teams ON teams.id = team WHERE people.id IN (" + people + ") AND lead IN (" + people + ")"),
		"SELECT count(recommended_by) FROM people":                                                    raw("SELECT count(*) FROM people WHERE id IN (" + people + ") AND recommended_by IN (" + people + ")"),
		"SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND convalidated AND conparentid = 0": raw("SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND conparentid = 0"),
		"SELECT rows FROM seedling.marker":                                                            fmt.Sprint(report.Rows),
	} {
		if got := query(sql); got != want || got == "0" {
			t.Errorf("%s: %s, want %s", sql, got, want)
		}
	}
	if got := query("SELECT sum(n) FROM (SELECT count(*) n FROM people UNION ALL SELECT count(*) FROM teams UNION ALL SELECT count(*) FROM posts UNION ALL SELECT count(*) FROM marks UNION ALL SELECT count(*) FROM settings) x"); got != fmt.Sprint(report.Rows) {
		t.Errorf("the report counts %d rows, the seed has %s", report.Rows, got)
	}
	// What was dropped after it was loaded takes no room.
	size := query("SELECT pg_relation_size('marks')")
	s.Exec(t, "app", "VACUUM FULL marks")
	if got := query("SELECT pg_relation_size('marks')"); got != size {
		t.Errorf("marks takes %s bytes, and %s when it is written again", size, got)
	}
	if v, err := seed.Verify(t.Context(), options(t, s, file, kept)); err != nil {
		t.Errorf("verify: %v, %+v", err, v.Verified)
	}

	// With masked keys the same people are there, and all joins hold.
	count := query("SELECT count(*) FROM posts")
	mustImport(t, options(t, pgtestFresh(t, &s), file, policy), seed.Imported)
	if got := query("SELECT (SELECT count(*) FROM people) || ' ' || (SELECT count(*) FROM posts)"); got != fmt.Sprint(n, " ", count) {
		t.Errorf("with masked keys: %s, want %d %s", got, n, count)
	}

	// Whoever wants to be told is told, and keeps the old seed.
	o := options(t, s, file, strings.Replace(policy, "20 %}]", "20 %}], on_missing_parent: stop", 1))
	if _, err := seed.Import(t.Context(), o); err == nil || command.ExitCode(err) != command.ExitMisconfigured || !strings.Contains(err.Error(), "foreign key") {
		t.Errorf("rows without what they reference: exit code %d, %v", command.ExitCode(err), err)
	}
	if got := query("SELECT count(*) FROM people"); got != fmt.Sprint(n) {
		t.Errorf("the old seed has %s people", got)
	}
	nothingLeft(t, s)
}

// pgtestFresh replaces a server by one with a fresh volume: keys that were kept on it
// cannot be masked any more.
func pgtestFresh(t *testing.T, s **pgtest.Server) *pgtest.Server {
	t.Helper()
	*s = pgtest.Start(t)
	return *s
}

// The newest rows stay with what they reference, and plan says how many about.
func TestNewestRows(t *testing.T) {
	t.Parallel()
	src := pgtest.Source(t)
	db := src.Database(t, forum)
	s := pgtest.Start(t)
	policy := strings.Replace(forumPolicy(""), "public.posts: {", "public.posts: {rows: {where: [{column: at, newest: 90d}]}, ", 1)
	policy = strings.Replace(policy, "recommended_by: keep, team: keep", "", 1)
	o := options(t, s, src.Dump(t, db, "-Fc"), policy)
	plan, err := seed.Plan(t.Context(), o, true)
	if err != nil {
		t.Fatal(err)
	}
	sizes := map[string]seed.TableSize{}
	for _, s := range plan.Sizes {
		sizes[s.Table] = s
	}
	about := func(got, want int64) bool { return got > want*7/10 && got < want*13/10 }
	if p := sizes["public.posts"]; !about(p.Rows, 6000) || p.RowsAfter >= p.Rows*3/4 || p.BytesAfter >= p.Bytes || p.RowsAfter == 0 {
		t.Errorf("posts: %+v", p)
	}
	if p := sizes["public.people"]; !about(p.Rows, 1000) || p.RowsAfter != p.Rows {
		t.Errorf("people: %+v", p)
	}
	if m, p := sizes["public.marks"], sizes["public.posts"]; !about(m.RowsAfter*p.Rows/max(1, p.RowsAfter), m.Rows) {
		t.Errorf("marks: %+v, with posts %+v", m, p)
	}
	var out bytes.Buffer
	if err := plan.Print(&out); err != nil || !strings.Contains(out.String(), "estimates, from the first 200 rows of each table") || !strings.Contains(out.String(), "public.posts") {
		t.Errorf("error %v, printed\n%s", err, out.String())
	}
	mustImport(t, o, seed.Imported)
	for sql, want := range map[string]string{
		"SELECT count(*) FROM people":    "1000",
		"SELECT count(*) FROM posts":     "3000",
		"SELECT count(*) FROM posts_old": "0",
		"SELECT count(*) FROM marks":     "3000",
	} {
		if got := s.Strings(t, "app", sql); got[0] != want {
			t.Errorf("%s: %s, want %s", sql, got[0], want)
		}
	}
	// A plain dump does not say when it was made, but for a talkative one.
	plain := o
	plain.Dump = src.Dump(t, db, "-Fp")
	_ = refused(t, plain, "does not say")
	plain.Dump = src.Dump(t, db, "-Fp", "--verbose")
	mustImport(t, plain, seed.Imported)
	nothingLeft(t, s)
}

// Keys of several columns, of text whose case does not matter, of partitioned and of
// inherited tables: every foreign key holds, and what may stay stays.
func TestSubsetOfOddShapes(t *testing.T) {
	t.Parallel()
	src := pgtest.Source(t)
	db := src.Database(t, `
CREATE EXTENSION citext;
CREATE TABLE tenants (code citext PRIMARY KEY, n int UNIQUE NOT NULL);
CREATE TABLE docs (tenant citext NOT NULL REFERENCES tenants, id int NOT NULL, "Kind" int NOT NULL, PRIMARY KEY (tenant, id, "Kind")) PARTITION BY LIST ("Kind");
CREATE TABLE docs_1 PARTITION OF docs FOR VALUES IN (1); CREATE TABLE docs_rest PARTITION OF docs DEFAULT;
CREATE TABLE lines (id int PRIMARY KEY, tenant text, doc int);
CREATE TABLE notes (id int PRIMARY KEY, tenant citext, doc int, kind int, FOREIGN KEY (tenant, doc, kind) REFERENCES docs);
CREATE TABLE strict (id int PRIMARY KEY, tenant citext, doc int, kind int, FOREIGN KEY (tenant, doc, kind) REFERENCES docs MATCH FULL);
CREATE TABLE by_number (id int PRIMARY KEY, n int NOT NULL REFERENCES tenants (n) DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE old_numbers () INHERITS (by_number);
CREATE VIEW v AS SELECT * FROM docs;
INSERT INTO tenants SELECT 'Tenant' || g, g FROM generate_series(1, 300) g;
INSERT INTO docs SELECT upper('tenant' || 1 + g % 300), g, g % 3 FROM generate_series(1, 3000) g;
INSERT INTO lines SELECT g, 'tenant' || 1 + g % 300, g FROM generate_series(1, 900) g;
INSERT INTO notes SELECT id, CASE WHEN id % 2 = 0 THEN tenant END, id, "Kind" FROM docs;
INSERT INTO strict SELECT id, tenant, id, "Kind" FROM docs WHERE id % 2 = 0;
INSERT INTO strict SELECT -id, NULL, NULL, NULL FROM docs WHERE id % 2 = 1;
INSERT INTO by_number SELECT g, g FROM generate_series(1, 300) g;
INSERT INTO old_numbers SELECT g, g FROM generate_series(1, 300) g;`)
	s := pgtest.Start(t)
	query := func(sql string) string { t.Helper(); return strings.Join(s.Strings(t, "app", sql), " ") }
	raw := func(sql string) string { t.Helper(); return strings.Join(src.Strings(t, db, sql), " ") }
	const everything = "version: 1\ntypes: {integer: keep, text: keep, citext: keep, numeric: keep}\nlinks: {tenants: [public.tenants.code, public.lines.tenant]}\n"
	o := options(t, s, src.Dump(t, db, "-Fd"), everything+`
tables:
  public.tenants: {rows: {where: [{column: code, share: 30 %}]}}
  public.lines: {rows: {where: [{column: tenant, share: 30 %}]}}
`)
	mustImport(t, o, seed.Imported)
	tenants := query("SELECT string_agg(quote_literal(lower(code)), ',') FROM tenants")
	if n := strings.Count(tenants, ",") + 1; n < 55 || n > 130 {
		t.Errorf("30 %% of 300 are %d", n)
	}
	for table, where := range map[string]string{
		"docs": "tenant IN (" + tenants + ")", "docs_1": "tenant IN (" + tenants + ")", "lines": "lower(tenant) IN (" + tenants + ")",
		"notes":          "tenant IS NULL OR tenant IN (" + tenants + ")",
		"strict":         "tenant IS NULL OR tenant IN (" + tenants + ")",
		"ONLY by_number": "n IN (SELECT n FROM tenants WHERE code IN (" + tenants + "))", "old_numbers": "true",
	} {
		if got, want := query("SELECT count(*) FROM "+table), raw("SELECT count(*) FROM "+table+" WHERE "+where); got != want || got == "0" {
			t.Errorf("%s: %s rows, want %s", table, got, want)
		}
	}
	if got, want := query("SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND convalidated"), raw("SELECT count(*) FROM pg_constraint WHERE contype = 'f'"); got != want {
		t.Errorf("%s foreign keys, want %s", got, want)
	}
	if v, err := seed.Verify(t.Context(), o); err != nil {
		t.Errorf("verify: %v, %+v", err, v.Verified)
	}
	nothingLeft(t, s)
}
