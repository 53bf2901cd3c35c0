package seed_test

import (
	"os"
	"strings"
	"testing"

	"github.com/seedling-dev/seedling/hooks/greenmask"
	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/seed"
)

// A draft from Greenmask's rules has their counterparts, asks about the rest, and
// imports as it stands without anything of what was planted.
func TestDraftFromGreenmask(t *testing.T) {
	t.Parallel()
	src, s := pgtest.Source(t), pgtest.Start(t)
	db := src.Database(t, `
CREATE SCHEMA crm;
CREATE TABLE people (id int PRIMARY KEY, email text NOT NULL, "Nick Name" text NOT NULL, notes text NOT NULL, team int, joined date NOT NULL, code text NOT NULL CHECK (length(code) < 40), email_count int,
	born date NOT NULL, level text CHECK (level IN ('gold', 'silver', 'bronze')), unnamed text NOT NULL) PARTITION BY RANGE (id);
CREATE TABLE people_1 PARTITION OF people DEFAULT;
CREATE TABLE orders (id int PRIMARY KEY, person int REFERENCES people, what text);
CREATE TABLE log (id int PRIMARY KEY, who int);
CREATE TABLE crm."Contact" ("Mail" text);
INSERT INTO people SELECT g, 'planted' || g || '@corp.example', 'PLANTED' || g, 'PLANTED note', g, '2024-01-01', 'PLANTED-' || g, 5, '1970-01-01'::date + g, 'gold', 'Planted Person ' || g FROM generate_series(1, 100) g;
INSERT INTO orders SELECT g, g, 'PLANTED ' || g FROM generate_series(1, 100) g;
INSERT INTO crm."Contact" VALUES ('planted@corp.example');`)
	content, err := os.ReadFile("../greenmask/testdata/shop.yaml")
	if err != nil {
		t.Fatal(err)
	}
	o := options(t, s, src.Dump(t, db, "-Fc"), "version: 1\n")
	if o.Suggested, err = greenmask.Read(content); err != nil {
		t.Fatal(err)
	}
	text, err := seed.Draft(t.Context(), o, true, false)
	if err != nil {
		t.Fatal(err)
	}
	draft := string(text)
	for _, want := range []string{
		"# The rules of Greenmask are taken over",
		"      email: email\n", "'Nick Name': username\n", "joined: {mask: date_shift, by: id, days: 20}\n", "email_count: {mask: number_range, min: 0, max: 9}\n",
		`team: {mask: constant, value: "7"}   # decide: `, "Mail: email\n",
		`level: {mask: choice, values: ["silver", "bronze"]}   # decide: `,
		"born: {mask: constant, value: 2000-01-01}   # decide: date, the rule of Greenmask does not fit the column",
		"# - in the rules of Greenmask, and not in this dump: public.orders.gone\n",
		"Greenmask takes a part of its rows by SQL", "Greenmask's Cmd works on whole rows", "Greenmask's Template has no counterpart",
	} {
		if !strings.Contains(draft, want) {
			t.Errorf("the draft lacks %q", want)
		}
	}
	if strings.Contains(draft, "not-read") || strings.Contains(strings.ToLower(draft), "planted") || t.Failed() {
		t.Errorf("the draft:\n%s", draft)
	}
	if o.Policy, err = mask.ParsePolicy(text); err != nil {
		t.Fatal(err)
	}
	mustImport(t, o, seed.Imported)
	for _, table := range []string{"people", "orders", `crm."Contact"`} {
		if got := s.Strings(t, "app", "SELECT count(*) FROM "+table+" x WHERE x::text ILIKE '%planted%'"); got[0] != "0" {
			t.Errorf("%s rows of %s hold originals", got[0], table)
		}
	}
}
