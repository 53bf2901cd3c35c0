package seed_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/seed"
)

// narrow has CHECK constraints that usual masks break, each in a way of its own.
const narrow = `
CREATE DOMAIN short AS text CHECK (length(VALUE) <= 9);
CREATE TABLE accounts (id int PRIMARY KEY, auth text NOT NULL, password text, email text,
	CONSTRAINT basic CHECK ((auth = 'BASIC' AND password IS NOT NULL) OR (auth = 'SSO' AND password IS NULL)));
CREATE TABLE artists (id int PRIMARY KEY, kind int NOT NULL, name text NOT NULL, sort_name text NOT NULL,
	CONSTRAINT sorted CHECK (kind <> 2 OR sort_name = name));
CREATE TABLE nicks (id int PRIMARY KEY, nick text NOT NULL, login short, "Odd name" text,
	CONSTRAINT brief CHECK (length(nick) <= 15), CONSTRAINT odd CHECK ("Odd name" ~ '^[A-Z]{2}$'));
CREATE TABLE fine (id int PRIMARY KEY, email text CHECK (email LIKE '%@%'));
INSERT INTO accounts SELECT g, CASE g % 2 WHEN 0 THEN 'BASIC' ELSE 'SSO' END, CASE g % 2 WHEN 0 THEN md5(g::text) END, 'Planted' || g || '@corp.example' FROM generate_series(1, 300) g;
INSERT INTO artists SELECT g, g % 3, 'PLANTED Name' || g, 'PLANTED Name' || g FROM generate_series(1, 300) g;
INSERT INTO nicks SELECT g, 'Planted' || g, 'pl' || g, 'AB' FROM generate_series(1, 300) g;
INSERT INTO fine SELECT g, 'planted' || g || '@corp.example' FROM generate_series(1, 300) g;
`

// TestChecks: a plan names every CHECK constraint that the masks break, with its
// text, the masked columns in it and what would help; the draft has none.
func TestChecks(t *testing.T) {
	t.Parallel()
	src, s := pgtest.Source(t), pgtest.Start(t)
	file := src.Dump(t, src.Database(t, narrow), "-Fc")
	o := options(t, s, file, `
version: 1
tables:
  public.accounts: {columns: {id: keep, auth: keep, password: credential, email: email}}
  public.artists: {columns: {id: keep, kind: keep, name: full_name, sort_name: full_name}}
  public.nicks: {columns: {id: keep, nick: email, login: hash, Odd name: city}}
  public.fine: {columns: {id: keep, email: email}}
`)
	_, err := seed.Plan(t.Context(), o, true)
	broken, ok := errors.AsType[*seed.ViolationsError](err)
	if !ok {
		t.Fatalf("plan: %v", err)
	}
	want := map[string]string{
		"basic": "credential or constant with a value", "sorted": "one rule and a link", "short_check": "the same length",
		"brief": "the same length", "odd": "permute keeps shapes",
	}
	for _, v := range broken.Violations {
		if !strings.Contains(v.Help, want[v.Constraint]) || want[v.Constraint] == "" || v.Rows < 1 || !strings.Contains(err.Error(), v.Text) || len(v.Masked) == 0 {
			t.Errorf("%+v", v)
		}
		delete(want, v.Constraint)
	}
	if len(want) > 0 || strings.Contains(strings.ToLower(err.Error()), "planted") || !strings.Contains(err.Error(), "password (credential)") {
		t.Errorf("not said of %v: %v", want, err)
	}
	_ = refused(t, o, "break 5 CHECK constraints")
	nothingLeft(t, s)

	s = pgtest.Start(t) // which was given nothing
	o = options(t, s, file, everythingKept)
	draft, err := seed.Draft(t.Context(), o, true, true)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(strings.ToLower(string(draft)), "planted") {
		t.Errorf("a value of the dump is in the draft:\n%s", draft)
	}
	if o.Policy, err = mask.ParsePolicy(draft); err != nil {
		t.Fatal(err)
	}
	mustImport(t, o, seed.Imported)
	for _, query := range []string{
		"SELECT count(*) FROM accounts WHERE email LIKE 'Planted%' OR length(password) = 32", "SELECT count(*) FROM artists WHERE name LIKE 'PLANTED%' OR sort_name LIKE 'PLANTED%'",
		"SELECT count(*) FROM nicks WHERE nick LIKE 'Planted%'",
	} {
		if got := s.Strings(t, "app", query); got[0] != "0" {
			t.Errorf("%s: %s originals under\n%s", query, got[0], draft)
		}
	}
	nothingLeft(t, s)
}

// TestCheckReadsOthers: a CHECK constraint that reads another table stops neither
// the trial, whose sample lacks rows, nor the load, in which tables come in their
// own order.
func TestCheckReadsOthers(t *testing.T) {
	t.Parallel()
	src, s := pgtest.Source(t), pgtest.Start(t)
	file := src.Dump(t, src.Database(t, `
CREATE TABLE a_parents (id int PRIMARY KEY);
CREATE FUNCTION has_parent(int) RETURNS boolean LANGUAGE sql AS 'SELECT EXISTS (SELECT FROM public.a_parents WHERE id = $1)';
CREATE DOMAIN parent_id AS int CHECK (has_parent(VALUE));
INSERT INTO a_parents SELECT generate_series(1, 5000);
CREATE TABLE kids (id int PRIMARY KEY, parent int CONSTRAINT known CHECK (has_parent(parent)), other parent_id, note text);
CREATE TABLE parts (id int, parent int CONSTRAINT known_too CHECK (has_parent(parent))) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts DEFAULT;
INSERT INTO parts SELECT g, 5001 - g FROM generate_series(1, 5000) g;
INSERT INTO kids SELECT g, 5001 - g, 5001 - g, repeat('x', 500) FROM generate_series(1, 5000) g;`), "-Fc")
	o := options(t, s, file, everythingKept)
	report, err := seed.Plan(t.Context(), o, true)
	if err != nil {
		t.Fatal(err)
	}
	if said := strings.Join(report.Unchecked, "\n"); !strings.Contains(said, "constraint known of public.kids: it calls a function") {
		t.Errorf("not checked: %s", said)
	}
	o.Jobs = 1 // kids, the larger, first
	mustImport(t, o, seed.Imported)
	if got := s.Strings(t, "app", "SELECT count(*) FROM pg_constraint WHERE conname = 'known_too' AND convalidated"); got[0] != "2" {
		t.Errorf("%s constraints of a table and its partition, want 2", got[0])
	}
	if got := s.Strings(t, "app", "SELECT conname FROM pg_constraint WHERE contype = 'c' AND convalidated AND conname IN ('known', 'parent_id_check') ORDER BY 1"); strings.Join(got, " ") != "known parent_id_check" {
		t.Errorf("the seed has %v", got)
	}
	// What the whole does not meet, the whole says, also untried.
	o = options(t, s, file, strings.Replace(everythingKept, "tables: {", "tables: {public.a_parents: {rows: {where: [{column: id, below: 10}]}, columns: {id: keep}}, ", 1))
	o.Untried = true
	_ = refused(t, o, "which calls functions, for all rows: a check constraint is violated")
	nothingLeft(t, s)
}
