package seed_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
	"github.com/seedling-dev/seedling/hooks/seed"
)

// chains has lists in which each row references the one before: in one table, over
// two, in partitions, and in a table that is inherited from.
const chains = `
CREATE TABLE people (id int PRIMARY KEY);
CREATE TABLE versions (id int PRIMARY KEY, owner int REFERENCES people, before int REFERENCES versions);
CREATE TABLE left_hand (id int PRIMARY KEY, "Right" int);
CREATE TABLE right_hand (id int PRIMARY KEY, "left" int NOT NULL REFERENCES left_hand, owner int REFERENCES people);
ALTER TABLE left_hand ADD FOREIGN KEY ("Right") REFERENCES right_hand;
CREATE TABLE posts (month int, id int, owner int REFERENCES people, answers_month int, answers int, PRIMARY KEY (month, id), FOREIGN KEY (answers_month, answers) REFERENCES posts) PARTITION BY LIST (month);
CREATE TABLE posts_1 PARTITION OF posts FOR VALUES IN (1); CREATE TABLE posts_2 PARTITION OF posts FOR VALUES IN (2); CREATE TABLE posts_rest PARTITION OF posts DEFAULT;
CREATE TABLE base (id int PRIMARY KEY, before int REFERENCES base, owner int REFERENCES people);
CREATE TABLE heir () INHERITS (base);
INSERT INTO people SELECT g FROM generate_series(1, 100) g;
INSERT INTO versions SELECT g, CASE WHEN g % 1000 = 1 THEN 1 + g / 1000 END, CASE WHEN g % 1000 <> 1 THEN g - 1 END FROM generate_series(1, 5000) g;
INSERT INTO left_hand SELECT g FROM generate_series(1, 300) g;
INSERT INTO right_hand SELECT g, g, CASE WHEN g = 1 THEN 1 WHEN g = 201 THEN 90 END FROM generate_series(1, 300) g;
UPDATE left_hand SET "Right" = id - 1 WHERE id NOT IN (1, 201);
INSERT INTO posts SELECT 1 + g % 3, g, CASE WHEN g = 1 THEN 1 WHEN g = 301 THEN 90 END, CASE WHEN g NOT IN (1, 301) THEN 1 + (g - 1) % 3 END, CASE WHEN g NOT IN (1, 301) THEN g - 1 END FROM generate_series(1, 600) g;
INSERT INTO base SELECT g, CASE WHEN g NOT IN (1, 51) THEN g - 1 END, CASE WHEN g = 1 THEN 1 WHEN g = 51 THEN 90 END FROM generate_series(1, 100) g;
INSERT INTO heir SELECT g, NULL, 90 FROM generate_series(1, 10) g;`

// Rows that go with the row before them go, whatever the chain's length, and the table
// is not read once per row. Report and record count what is in the seed.
func TestChainsOfOrphans(t *testing.T) {
	t.Parallel()
	src := pgtest.Source(t)
	s := pgtest.Start(t)
	query := func(sql string) string { t.Helper(); return strings.Join(s.Strings(t, "app", sql), " ") }
	policy := func(columns string) string {
		return "version: 1\ntables:\n  public.people: {columns: {id: keep}, rows: {where: [{column: id, from: 50}], on_missing_parent: drop}}\n  'public.*': {columns: {'*': keep" + columns + "}}\n"
	}
	file := src.Dump(t, src.Database(t, chains), "-Fc")
	o := options(t, s, file, policy(""))
	o.Verify = seed.VerifySampled
	report := mustImport(t, o, seed.Imported)
	// Those of version 1, 1001, 2001 ... belong to people 1 to 5, who are gone.
	counts := map[string]int64{
		"people": 51, "versions": 0, "left_hand": 101, "right_hand": 100, "ONLY posts_1": 100, "ONLY posts_2": 100, "ONLY posts_rest": 100, "ONLY base": 50, "ONLY heir": 10,
	}
	var want, total int64
	for table, n := range counts {
		if got := query("SELECT count(*) FROM " + table); got != fmt.Sprint(n) {
			t.Errorf("%s has %s rows, want %d", table, got, n)
		}
		want += n
	}
	if got := query("SELECT count(*) FROM pg_class WHERE relname LIKE 'seedling_orphans%'"); got != "0" {
		t.Errorf("%s indexes are left", got)
	}
	if got := query("SELECT CASE WHEN seq_scan < 40 THEN 'few' END FROM pg_stat_user_tables WHERE relname = 'versions'"); got != "few" {
		t.Errorf("versions, a chain of 1000 rows, was read %s times", query("SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'versions'"))
	}
	recorded := func() map[string]int64 {
		t.Helper()
		r, _, err := seed.ReadRecord(t.Context(), o.Target, "app")
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]int64{}
		total = 0
		for _, table := range r.Tables {
			out[table.Table] = table.Rows
			total += table.Rows
		}
		if total != r.Rows {
			t.Errorf("the record counts %d rows, of tables %d", r.Rows, total)
		}
		return out
	}
	wantRecord := map[string]int64{}
	for table, n := range counts {
		wantRecord["public."+strings.TrimPrefix(table, "ONLY ")] = n
	}
	if diff := cmp.Diff(wantRecord, recorded()); diff != "" {
		t.Errorf("the record's counts: %s", diff)
	}
	if report.Rows != want {
		t.Errorf("the report counts %d rows, the seed has %d", report.Rows, want)
	}

	// Where rows may belong to another partition than in production, all count for the
	// table.
	s = pgtest.Start(t)
	o = options(t, s, file, policy(", month: key, answers_month: key"))
	mustImport(t, o, seed.Imported)
	got := recorded()
	if n := query("SELECT count(*) FROM posts"); n != "300" || got["public.posts"] != 300 {
		t.Errorf("posts has %s rows, the record says %v", n, got)
	}
	if keys := slices.Sorted(maps.Keys(got)); slices.ContainsFunc(keys, func(k string) bool { return strings.HasPrefix(k, "public.posts_") }) {
		t.Errorf("the record counts partitions that rows were not loaded into: %v", keys)
	}
	nothingLeft(t, s)
}
