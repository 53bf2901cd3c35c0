package seed_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
	"github.com/seedling-dev/seedling/hooks/postgres"
	"github.com/seedling-dev/seedling/hooks/seed"
)

// TestVerifiedImports: what an import finds wrong with what it loaded never becomes
// the seed; what it looked at is in the record.
func TestVerifiedImports(t *testing.T) {
	t.Parallel()
	src := pgtest.Source(t)
	db := src.Database(t, `
		CREATE TABLE people (id int PRIMARY KEY, email text, note text, kind text);
		INSERT INTO people SELECT g, 'canary' || g || '@corp.test', 'nothing to see', (ARRAY['a', 'b'])[1 + g % 2] FROM generate_series(1, 20000) g;
		CREATE TABLE few (id int, doc jsonb); INSERT INTO few VALUES (1, '{"theme": "dark", "by": "x"}');
		CREATE TABLE large (id int, body text); ALTER TABLE large ALTER body SET STORAGE EXTERNAL;
		INSERT INTO large SELECT g, CASE WHEN g = 50 THEN repeat('x', 3000000) ELSE 'of ' || g END FROM generate_series(1, 100) g;
		CREATE TABLE gone (id int); INSERT INTO gone VALUES (1)`)
	clean := src.Dump(t, db, "-Fc")
	src.Exec(t, db, "UPDATE people SET note = 'mailed to Canary19999@corp.test' WHERE id = 7")
	leaky := src.Dump(t, db, "-Fc")
	plain := src.Dump(t, db, "-Fp")
	const policy = `
version: 1
tables:
  public.people: {columns: {id: {mask: keep, because: "a number that nobody outside knows"}, email: email, note: keep, kind: hash}}
  public.few: {columns: {id: keep, doc: {mask: json, paths: {"$.theme": keep}}}}
  public.large: {columns: {id: keep, body: keep}}
  public.gone: {rows: none}
`
	s := pgtest.Start(t)
	o := options(t, s, clean, policy)
	mustImport(t, o, seed.Imported) // without verification, as those of the library
	o.Verify, o.VerifyTime = seed.VerifySampled, time.Hour
	first := mustImport(t, o, seed.Imported) // off is not good enough
	mustImport(t, o, seed.Unchanged)
	v := first.Verify
	if v == nil || v.Depth != seed.VerifySampled || len(v.Tables) != 3 || len(v.Found) > 0 || v.Originals < 20000 {
		t.Fatalf("verified %+v", v)
	}
	for _, table := range v.Tables {
		if table.Table == "public.large" { // a sample has no memory for large rows, and ends there
			if !table.Equal || !table.Partly || table.Compared == 0 || table.Compared > 49 || table.SeedRows > 99 {
				t.Errorf("%+v", table)
			}
			continue
		}
		if !table.Equal || table.Partly || table.Compared != table.Rows || table.Rows != table.SeedRows {
			t.Errorf("%+v", table)
		}
	}

	for name, file := range map[string]string{"custom": leaky, "plain": plain} {
		bad := o
		bad.Dump = file
		report, err := seed.Import(t.Context(), bad)
		if _, leak := errors.AsType[*seed.LeakError](err); !leak || command.ExitCode(err) != command.ExitMisconfigured || report.Outcome != "" || len(report.Verify.Found) == 0 || strings.Contains(err.Error(), "SELECT") {
			t.Errorf("%s: error %v, %+v", name, err, report.Verify)
		}
		if got := s.Strings(t, "app", "SELECT import_id FROM seedling.marker"); got[0] != first.ImportID {
			t.Errorf("%s: what was refused became the seed", name)
		}
		nothingLeft(t, s)
	}

	// With no time at all the first rows of every table are looked at, and it says so.
	short := o
	short.Dump, short.VerifyTime, short.Jobs = leaky, time.Nanosecond, 1
	report, err := seed.Import(t.Context(), short)
	if err != nil {
		t.Fatal(err)
	}
	people := report.Verify.Tables[slices.IndexFunc(report.Verify.Tables, func(t seed.VerifyTable) bool { return t.Table == "public.people" })]
	if !people.Partly || !people.Equal || people.Compared == 0 || people.Rows == 0 || people.Rows >= 20000 || people.SeedRows >= 20000 {
		t.Errorf("%+v", people)
	}
	nothingLeft(t, s)

	// A dump that can only be read in order is looked at from its beginning.
	order := short
	order.Dump = plain
	if report, err := seed.Import(t.Context(), order); err != nil || !slices.ContainsFunc(report.Verify.Tables, func(t seed.VerifyTable) bool { return t.Compared > 0 }) {
		t.Errorf("in order: error %v, %+v", err, report.Verify)
	}
	nothingLeft(t, s)
	if report, err = seed.Import(t.Context(), short); err != nil {
		t.Fatal(err)
	}

	// Full where only a sample was verified is another import, which fails here.
	whole := short
	whole.Verify, whole.VerifyTime = seed.VerifyFull, 0
	if _, err := seed.Import(t.Context(), whole); command.ExitCode(err) != command.ExitMisconfigured {
		t.Errorf("full: %v", err)
	}

	target, err := postgres.ParseTarget(s.DSNAs("seed_backup", "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	record, text, err := seed.ReadRecord(t.Context(), target, "app")
	if err != nil {
		t.Fatal(err)
	}
	// What seed-backup takes from it onto the snapshot.
	if at, err := (&postgres.Marker{Record: text}).DumpedAt(); err != nil || at.IsZero() || !at.Equal(record.DumpCreated) {
		t.Errorf("it was dumped %s, as seed-backup reads it %s, error %v", record.DumpCreated, at, err)
	}
	var page strings.Builder
	if err := record.Print(&page); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		report.ImportID, o.Policy.Digest(), "public.people (a number that nobody outside knows): id", "public.people (policy): note", "email: public.people.email", "hash: public.people.kind", "public.few.doc $.theme",
		"sampled: ", "of 2 of them the first rows", "public.people.kind: the sample's 200 rows hold 2 distinct values",
	} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page lacks %q:\n%s", want, page.String())
		}
	}
	for _, said := range []string{page.String(), text} {
		if strings.Contains(strings.ToLower(said), "canary") || strings.Contains(said, "nothing to see") || strings.Contains(said, `"dark"`) {
			t.Errorf("a value is in the record:\n%s", said)
		}
	}
	sum := sha256.Sum256([]byte(s.Strings(t, "app", "SELECT record FROM seedling.record")[0]))
	if own := sha256.Sum256([]byte(text)); hex.EncodeToString(own[:]) != hex.EncodeToString(sum[:]) || !json.Valid([]byte(text)) {
		t.Error("the record is read as another one than was written")
	}

	// What is in the seed is not what the dump gives: verify tells, also of a part.
	s.Exec(t, "app", "UPDATE people SET email = 'somebody@else.test' WHERE id = 3")
	if _, err := seed.Verify(t.Context(), short); err == nil || !strings.Contains(err.Error(), "public.people (email)") {
		t.Errorf("error %v", err)
	}
	s.Exec(t, "app", "DROP TABLE seedling.record")
	if _, _, err := seed.ReadRecord(t.Context(), target, "app"); command.ExitCode(err) != command.ExitMisconfigured || !strings.Contains(err.Error(), "older seed-import") {
		t.Errorf("without a record: %v", err)
	}
	mustImport(t, short, seed.Imported) // what an older one imported
}

// TestLeakBeyondALargeRow: a sample ends at a large row, for columns too that the
// server has to write. What the seed was found to hold behind it is looked at again
// in the dump, and refused.
func TestLeakBeyondALargeRow(t *testing.T) {
	t.Parallel()
	src := pgtest.Source(t)
	db := src.Database(t, `
		CREATE TABLE people (id int PRIMARY KEY, email text);
		INSERT INTO people SELECT g, 'canary' || g || '@corp.test' FROM generate_series(1, 100) g;
		CREATE TABLE audit (id int, at inet, payload jsonb);
		INSERT INTO audit SELECT g, ('10.0.0.' || g)::inet, jsonb_build_object('note', 'nothing to see', 'body', CASE WHEN g = 10 THEN repeat('x', 2000000) ELSE 'y' END)
			FROM generate_series(1, 100) g`)
	clean := src.Dump(t, db, "-Fc")
	src.Exec(t, db, `UPDATE audit SET payload = '{"note": "mailed to canary7@corp.test"}' WHERE id = 60`)
	leaky := src.Dump(t, db, "-Fc")
	s := pgtest.Start(t)
	o := options(t, s, clean, `
version: 1
tables:
  public.people: {columns: {id: keep, email: email}}
  public.audit: {columns: {id: keep, at: ip, payload: {mask: json, paths: {"$.note": keep}}}}
`)
	o.Verify, o.VerifyTime = seed.VerifySampled, time.Hour
	mustImport(t, o, seed.Imported)
	o.Dump = leaky
	if _, err := seed.Import(t.Context(), o); err == nil {
		t.Error("the leak became the seed")
	} else if _, leak := errors.AsType[*seed.LeakError](err); !leak {
		t.Errorf("error %v", err)
	}
	nothingLeft(t, s)
}
