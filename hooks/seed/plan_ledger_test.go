package seed_test

import (
	"strings"
	"testing"

	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
	"github.com/seedling-dev/seedling/hooks/seed"
)

// TestLedger imports a dump under one policy, and then the same or another dump
// under another: what was kept and is masked now is refused, and nothing else.
func TestLedger(t *testing.T) { //nolint:tparallel // its subtests share a server
	t.Parallel()
	src := pgtest.Source(t)
	s := pgtest.Start(t)
	const people = `CREATE TABLE people (id int, doc jsonb, note text); COMMENT ON TABLE people IS 'of the ministry';
		INSERT INTO people SELECT g, '{"a": {"b": "deep", "c": 1}, "mail": "x@corp.test"}', 'call 4711 of Ms ' || g FROM generate_series(1, 10) g`
	const events = `CREATE TABLE events (id int, doc text) PARTITION BY RANGE (id); CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (10);
		CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM (10) TO (20); INSERT INTO events SELECT g, 'event' FROM generate_series(1, 19) g`
	const detached = events + "; ALTER TABLE events DETACH PARTITION events_2"
	doc := func(rule string) string {
		return "version: 1\ntables: {public.people: {columns: {id: keep, doc: {mask: json, " + rule + "}, note: text}}}\n"
	}
	note := func(rule string) string {
		return "version: 1\ntables: {public.people: {columns: {id: keep, doc: json, note: " + rule + "}}}\n"
	}
	kept := func(events, other string) string {
		p := "version: 1\ntables: {public.events: {columns: {id: keep, doc: " + events + "}}"
		if other != "" {
			p += ", public.events_2: {columns: {id: keep, doc: " + other + "}}"
		}
		return p + "}\n"
	}
	for _, test := range []struct {
		name                                     string
		first, firstPolicy, second, secondPolicy string
		refused                                  string
	}{
		{"a path below a kept one", people, doc(`paths: {"$.a": keep}`), people, doc(`paths: {"$.a": keep, "$.a.b": hash}`), "public.people.doc $.a.b"},
		{"a path below any kept one", people, doc(`paths: {"$.*": keep}`), people, doc(`paths: {"$.*": keep, "$.mail": email}`), "public.people.doc $.mail"},
		{"a member anywhere", people, doc(`paths: {"$": keep}`), people, doc(`paths: {"$": keep}, keys: {mail: email}`), "public.people.doc $..mail"},
		{"a path beside a kept one", people, doc(`paths: {"$.a": keep}`), people, doc(`paths: {"$.a": keep, "$.mail": email}`), ""},
		{"less masked below a kept path", people, doc(`paths: {"$.a": keep, "$.a.b": hash}`), people, doc(`paths: {"$.a": keep}`), ""},
		{"more below a masked path", people, doc(`paths: {"$.a": keep, "$.a.b": hash}`), people, doc(`paths: {"$.a": keep, "$.a.b": hash, "$.a.b.c": email}`), ""},
		{"a kept path widened", people, doc(`paths: {"$.a.b": keep}`), people, doc(`paths: {"$.a": keep}`), ""},
		{"a kept path narrowed", people, doc(`paths: {"$.a": keep}`), people, doc(`paths: {"$.a.b": keep}`), "public.people.doc $.a"},
		{"what a pattern leaves", people, note(`{mask: regex, pattern: "[0-9]", anchored: false, replace: "0"}`), people, note(`{mask: regex, pattern: "[0-9]|Ms", anchored: false, replace: "0"}`), "public.people.note"},
		{"the same pattern", people, note(`{mask: regex, pattern: "[0-9]", anchored: false, replace: "0"}`), people, strings.Replace(note(`{mask: regex, pattern: "[0-9]", anchored: false, replace: "0"}`), "doc: json", "doc: {mask: json, unlisted: stop, paths: {\"$\": hash}}", 1), ""},
		{"a pattern's column loosened", people, note(`{mask: regex, pattern: "[0-9]", anchored: false, replace: "0"}`), people, note("keep"), ""},
		{"comments", people, note("text") + "comments: keep\n", people, note("text"), "comments"},
		{"a partition detached and masked", events, kept("keep", ""), detached, kept("keep", "text"), "public.events_2.doc"},
		{"a partition detached and kept", events, kept("keep", ""), detached, kept("keep", "keep"), ""},
		{"a table attached", detached, kept("keep", "keep"), events, kept("keep", ""), ""},
		{"a table attached and masked", detached, kept("text", "keep"), events, kept("text", ""), "public.events.doc"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s.Exec(t, "postgres", "DROP TABLE IF EXISTS seedling.ledger") // as a fresh volume has none
			mustImport(t, options(t, s, src.Dump(t, src.Database(t, test.first), "-Fc"), test.firstPolicy), seed.Imported)
			o := options(t, s, src.Dump(t, src.Database(t, test.second), "-Fc"), test.secondPolicy)
			if test.refused == "" {
				mustImport(t, o, seed.Imported)
				return
			}
			_ = refused(t, o, "the policy now masks "+test.refused)
		})
	}
}

// TestPlanKeepsNothing: a plan that tries no rows puts none onto the volume.
func TestPlanKeepsNothing(t *testing.T) {
	t.Parallel()
	src := pgtest.Source(t)
	db := src.Database(t, few)
	s := pgtest.Start(t)
	for name, test := range map[string]struct {
		file   string
		sample bool
	}{"compressed as a whole": {src.Pipe(t, "pg_dump DB | gzip", db), true}, "no sample": {src.Dump(t, db, "-Fc"), false}} {
		if _, err := seed.Plan(t.Context(), options(t, s, test.file, strings.Replace(fewPolicy, "note: text", "note: keep", 1)), test.sample); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		mustImport(t, options(t, s, test.file, fewPolicy), seed.Imported)
	}
}
