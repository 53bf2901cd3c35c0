package seed_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
	"github.com/seedling-dev/seedling/hooks/seed"
)

// TestVerify compares a fresh import with its dump, and then after somebody
// wrote to the seed.
func TestVerify(t *testing.T) { //nolint:tparallel // its subtests write to one seed
	t.Parallel()
	src := pgtest.Source(t)
	file := src.Dump(t, src.Database(t, shop+`
		CREATE TABLE odd (a timestamptz, b numeric(10,2), c char(9), d jsonb, e text[], f double precision, g bytea, h int4range);
		INSERT INTO odd SELECT '2024-01-01 00:00:00+02'::timestamptz + g * interval '1 hour', g / 7.0, 'c' || g, '{"a": [1.50, "\u00e9"], "b": null}', ARRAY['x, y', NULL], g / 3.0, '\x00ff', '[1,5]' FROM generate_series(1, 100) g;`), "-Fc")
	s := pgtest.Start(t)
	policy := shopPolicy + `
  public.odd: {columns: {a: keep, b: {mask: number_noise, percent: 10}, c: text, d: json, e: {mask: array, of: text}, f: keep, g: keep, h: keep}}
`
	o := options(t, s, file, policy)
	if _, err := seed.Verify(t.Context(), o); command.ExitCode(err) != command.ExitMisconfigured || !strings.Contains(err.Error(), "import first") {
		t.Errorf("before any import: %v", err)
	}
	mustImport(t, o, seed.Imported)
	report, err := seed.Verify(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Verified) != 7 || report.Rows != 3000+9000+8000+1+100+100 {
		t.Errorf("%d tables, %d rows", len(report.Verified), report.Rows)
	}
	for _, v := range report.Verified {
		if len(v.Unsure) > 0 || !v.Equal || v.Rows != v.SeedRows {
			t.Errorf("%+v", v)
		}
	}
	for name, test := range map[string]struct{ sql, sentence string }{
		"value":  {"UPDATE users SET phone = '+30 210 0000000' WHERE id = 17", "public.users (phone)"},
		"row":    {"DELETE FROM events WHERE id = 17", "public.events_2024 (5"},
		"number": {"UPDATE odd SET b = b + 0.01 WHERE c = (SELECT max(c) FROM odd)", "public.odd (b)"},
		"swap":   {"UPDATE orders SET total = CASE id WHEN 1 THEN (SELECT total FROM orders WHERE id = 2) ELSE (SELECT total FROM orders WHERE id = 1) END WHERE id IN (1, 2)", "moved between rows"},
	} {
		t.Run(name, func(t *testing.T) {
			s.Exec(t, "app", "CREATE TABLE IF NOT EXISTS seedling.saved_users AS TABLE users")
			s.Exec(t, "app", "ALTER TABLE users DISABLE TRIGGER ALL; "+test.sql)
			_, err := seed.Verify(t.Context(), o)
			if _, ok := errors.AsType[*seed.DifferError](err); !ok || !strings.Contains(err.Error(), test.sentence) || command.ExitCode(err) != command.ExitRetry {
				t.Errorf("error %v does not say %q", err, test.sentence)
			}
		})
	}
}

// TestLeaks: what one column masks turns up in another that is kept.
func TestLeaks(t *testing.T) {
	t.Parallel()
	src := pgtest.Source(t)
	file := src.Dump(t, src.Database(t, `
		CREATE TABLE people (id int, email text, phone text, full_name text, login text, notes text, prefs jsonb, harmless text, fax text, reach text, log text);
		INSERT INTO people SELECT g, 'Person.' || g || '@corp-one.com', '+30 210 55' || 51000 + g, 'Firstname' || chr(97 + g % 26) || ' Lastname' || chr(97 + g / 26 % 26), 'login2024x' || g,
			CASE WHEN g = 5 THEN 'mailed to PERSON.5@corp-one.com twice' WHEN g = 6 THEN 'call 210-55-51006 after six' WHEN g = 7 THEN 'Ask Firstnameh lastnamea.' ELSE 'nothing to see, but call 112' END,
			CASE WHEN g < 4 THEN jsonb_build_object('old', jsonb_build_object('login', 'login2024x' || g)) ELSE '{"theme": "dark"}' END,
			'an order of 1234567 pieces on 2024-01-01, ask info@corp-two.com' FROM generate_series(1, 200) g;
		-- Written with dots some telephone numbers are addresses of networks, too. Among many of those is one that reads as a number.
		UPDATE people SET fax = '210.' || 100 + id % 150 || '.' || 10 + id % 89 || '.' || 10 + id % 83, log = 'from 84.' || 100 + id % 90 || '.' || 10 + id % 80 || '.' || 10 + id % 70;
		UPDATE people SET reach = CASE id WHEN 8 THEN 'fax to ' || replace(fax, '.', ' ') WHEN 9 THEN 'or ' || fax ELSE 'by post' END, log = CASE id WHEN 10 THEN 'from ' || substr(fax, 2) ELSE log END`), "-Fc")
	s := pgtest.Start(t)
	o := options(t, s, file, `
version: 1
tables:
  public.people: {columns: {id: keep, email: email, phone: phone, full_name: full_name, login: username, notes: keep, prefs: {mask: json, paths: {"$.theme": keep, "$.old.login": keep}}, harmless: keep, fax: phone, reach: keep, log: keep}}
`)
	mustImport(t, o, seed.Imported)
	report, err := seed.Verify(t.Context(), o)
	if _, ok := errors.AsType[*seed.LeakError](err); !ok || command.ExitCode(err) != command.ExitMisconfigured {
		t.Fatalf("error %v", err)
	}
	want := map[string]int64{
		"notes e-mail addresses": 1, "notes telephone, card or account numbers": 1, "notes full names or addresses": 1, "prefs user names or codes": 3,
		"reach telephone, card or account numbers": 2, "reach user names or codes": 1,
	}
	for _, l := range report.Leaks {
		if want[l.Column+" "+l.Kind] != l.Rows {
			t.Errorf("leak %+v", l)
		}
		delete(want, l.Column+" "+l.Kind)
	}
	for k := range want {
		t.Errorf("not found: %s", k)
	}
	if strings.Contains(err.Error(), "corp-one") || strings.Contains(err.Error(), "55") {
		t.Error("the error quotes what it found")
	}
}

// TestVerifyNames: masks of names inside of documents are among the originals
// of another column, as they are in production. That is no leak.
func TestVerifyNames(t *testing.T) {
	t.Parallel()
	src := pgtest.Source(t)
	file := src.Dump(t, src.Database(t, `CREATE TABLE people (id int, full_name text, prefs jsonb);
		INSERT INTO people SELECT row_number() OVER (), f || ' ' || l, jsonb_build_object('name', f || ' ' || l, 'theme', CASE WHEN f || l = 'IanSnow' THEN 'that of Ian Snow' ELSE 'dark' END) FROM
		unnest(string_to_array('Hilda Holly Hugo Ian Ibrahim Ida Igor Ines Ingrid Iris Irma Isaac Ivan Ivy Jack Jacob Jada James Jane Janet Jared Lola Lorna Louis Lucas Lucia Luis Luna Lydia Mabel Mae Magda Maia Malik Mara Marco Maria Marina Mario Marta Martin', ' ')) f,
		unnest(string_to_array('Sloan Smith Snow Solis Sommer Soto Sparks Stark Steele Stein Stern Stone Storm Strand Strong Suarez Sutton', ' ')) l`), "-Fc")
	s := pgtest.Start(t)
	policy := func(theme string) seed.Options {
		return options(t, s, file, `
version: 1
tables:
  public.people: {columns: {id: keep, full_name: full_name, prefs: {mask: json, paths: {"$.name": full_name, "$.theme": `+theme+`}}}}
`)
	}
	o := policy("text")
	mustImport(t, o, seed.Imported)
	if n := s.Strings(t, "app", "SELECT count(*) FROM people WHERE prefs->>'name' ~ '^(Hilda|Holly|Hugo|I[a-z]*|Ja[a-z]*|L[ou][a-z]*|Ly[a-z]*|Ma[a-z]*) S'")[0]; n == "0" {
		t.Error("no mask of a name is like an original: the test needs others")
	}
	if _, err := seed.Verify(t.Context(), o); err != nil {
		t.Error(err)
	}
	o = policy("keep")
	mustImport(t, o, seed.Imported)
	report, err := seed.Verify(t.Context(), o)
	want := []seed.Leak{{Table: "public.people", Column: "prefs", Kind: "full names or addresses", Rows: 1, Masker: "json"}}
	if diff := cmp.Diff(want, report.Leaks, cmpopts.IgnoreUnexported(seed.Leak{})); err == nil || diff != "" {
		t.Errorf("error %v, leaks %s", err, diff)
	}
}

// TestVerifyOrphans: a foreign key that is set to NULL after the load leaves
// the other columns as they were.
func TestVerifyOrphans(t *testing.T) {
	t.Parallel()
	src := pgtest.Source(t)
	file := src.Dump(t, src.Database(t, `CREATE TABLE users (id int PRIMARY KEY, name text); CREATE TABLE orders (id int, user_id int REFERENCES users, note text);
		INSERT INTO users SELECT g, 'name ' || g FROM generate_series(1, 100) g; INSERT INTO orders SELECT g, 1 + g % 100, 'note ' || g FROM generate_series(1, 200) g;`), "-Fc")
	s := pgtest.Start(t)
	o := options(t, s, file, `
version: 1
tables:
  public.users: {columns: {id: keep, name: text}, rows: {where: [{column: id, below: 50}], on_missing_parent: null}}
  public.orders: {columns: {id: keep, note: text}}
`)
	mustImport(t, o, seed.Imported)
	if _, err := seed.Verify(t.Context(), o); err != nil {
		t.Error(err)
	}
	s.Exec(t, "app", "UPDATE orders SET note = 'another' WHERE id = 7")
	if _, err := seed.Verify(t.Context(), o); err == nil || !strings.Contains(err.Error(), "public.orders (note)") {
		t.Errorf("error %v", err)
	}
}

// TestLeaksInParts: what one column masks turns up in what others let through.
func TestLeaksInParts(t *testing.T) {
	t.Parallel()
	src := pgtest.Source(t)
	file := src.Dump(t, src.Database(t, `
		CREATE EXTENSION hstore; CREATE TYPE address AS (street text, remark text);
		CREATE TABLE people (id int, email text, home address, tags hstore, kept address, doc xml, notes text, list text[], remark text);
		INSERT INTO people SELECT g, 'person.' || g || '@corp-one.com', ROW('Street of person.' || g || '@corp-two.com', of)::address, hstore(ARRAY['mail', 'x', 'by', of]), ROW('x', of)::address, ('<a><by>' || of || '</by></a>')::xml, of || ' 1', ARRAY[of],
			CASE WHEN g = 9 THEN 'see person.9@corp-two.com' END
			FROM (SELECT g, CASE WHEN g = 5 THEN 'by PERSON.5@corp-one.com' ELSE 'nobody' END AS of FROM generate_series(1, 50) g) s`), "-Fc")
	s := pgtest.Start(t)
	o := options(t, s, file, `
version: 1
tables:
  public.people: {columns: {id: keep, email: email, home: {mask: composite, attributes: {street: text, remark: keep}}, tags: {mask: hstore, keys: {by: keep}}, kept: keep, doc: {mask: xml, elements: {by: keep}},
    notes: {mask: regex, pattern: "[0-9]+$", anchored: false, replace: "0"}, list: {mask: array, of: {mask: regex, pattern: "[0-9]+$", anchored: false, replace: "0"}}, remark: keep}}
`)
	mustImport(t, o, seed.Imported)
	report, err := seed.Verify(t.Context(), o)
	if _, ok := errors.AsType[*seed.LeakError](err); !ok {
		t.Fatalf("error %v", err)
	}
	want := map[string]bool{"home": true, "tags": true, "kept": true, "doc": true, "notes": true, "list": true, "remark": true}
	for _, l := range report.Leaks {
		if !want[l.Column] || l.Kind != "e-mail addresses" || l.Rows != 1 {
			t.Errorf("leak %+v", l)
		}
		delete(want, l.Column)
	}
	if len(want) > 0 {
		t.Errorf("not found in: %v", want)
	}
}
