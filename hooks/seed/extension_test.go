package seed_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/seed"
)

// members is an extension with tables whose rows users add to, as PostGIS has
// spatial_ref_sys: it brings rows of its own, which no dump holds, and a foreign
// key.
const members = `
CREATE TABLE @extschema@.zones (id int PRIMARY KEY, name text);
CREATE TABLE @extschema@.a_things (id int PRIMARY KEY, zone int REFERENCES @extschema@.zones, v text);
INSERT INTO @extschema@.zones SELECT g, 'its own' FROM generate_series(1, 7) g;
SELECT pg_catalog.pg_extension_config_dump('@extschema@.zones', 'WHERE id > 100');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.a_things', '');
`

// TestExtensionTables: the rows that an extension brings stay, those that users
// added come masked, in an order that its foreign keys bear.
func TestExtensionTables(t *testing.T) {
	t.Parallel()
	src, s := pgtest.Source(t), pgtest.Start(t)
	own := map[string]string{"seedling_members": members}
	install(t, src, own)
	db := src.Database(t, `CREATE EXTENSION seedling_members;
		INSERT INTO zones SELECT g, 'PLANTED ' || g FROM generate_series(101, 110) g;
		INSERT INTO a_things SELECT g, 1 + g % 7, repeat('PLANTED ', 50) FROM generate_series(1, 3000) g;
		UPDATE a_things SET zone = 101 + id % 10 WHERE id > 500`)
	o := options(t, s, src.Dump(t, db, "-Fc"), `
version: 1
tables:
  public.zones: {columns: {id: keep, name: text}}
  public.a_things: {columns: {id: keep, zone: keep, v: text}}
`)
	o.Jobs = 1 // the dearest first
	_ = refused(t, o, `extensions that the seed's image does not have: seedling_members`)
	install(t, s, own)
	// The draft keeps what an extension works by, and says so.
	draft, err := seed.Draft(t.Context(), o, true, true)
	if want := "  public.zones:\n    # the settings of extension seedling_members, which works by them: kept as they are\n    columns:\n      id: keep\n      name: keep\n"; err != nil || !strings.Contains(string(draft), want) {
		t.Errorf("error %v, the draft lacks\n%s\n%s", err, want, draft)
	}
	// A schema alone has no entry for their rows, and yet they count.
	alone := o
	alone.Dump = src.Dump(t, db, "--schema-only")
	for policy, gaps := range map[string]int{"version: 1\ntables: {public.zones: {rows: none}, public.a_things: {rows: none}}": 0, "version: 1\ntables: {public.zones: {rows: none}}": 3} {
		if alone.Policy, err = mask.ParsePolicy([]byte(policy)); err != nil {
			t.Fatal(err)
		}
		if check, err := seed.CheckPolicy(t.Context(), alone, false); err != nil || len(check.Gaps) != gaps {
			t.Errorf("error %v, %+v, want %d gaps", err, check, gaps)
		}
	}
	mustImport(t, o, seed.Imported)
	for query, want := range map[string]string{
		"SELECT count(*) FROM zones WHERE name = 'its own'": "7",
		"SELECT count(*) FROM zones":                        "17",
		"SELECT count(*) FROM a_things JOIN zones ON zones.id = zone WHERE v || name NOT LIKE '%PLANTED%'": "3000",
	} {
		if got := s.Strings(t, "app", query); got[0] != want {
			t.Errorf("%s: %s, want %s", query, got[0], want)
		}
	}
	report, err := seed.Verify(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if report.Rows != 3010 {
		t.Errorf("%d rows were compared, want 3010", report.Rows)
	}
	nothingLeft(t, s)
}

// provided is what a provider's extensions are like: one has rows, a sequence and
// grants on its members, one a type that a table needs, two must be preloaded.
var provided = map[string]string{
	"seedling_provider": `CREATE TABLE @extschema@.provider_jobs (id serial PRIMARY KEY, command text);
		SELECT pg_catalog.pg_extension_config_dump('@extschema@.provider_jobs', '');
		SELECT pg_catalog.pg_extension_config_dump('@extschema@.provider_jobs_id_seq', '');
		CREATE FUNCTION @extschema@.provider_run() RETURNS int LANGUAGE sql AS 'SELECT 1';`,
	"seedling_type": "CREATE TYPE @extschema@.provider_type AS ENUM ('a', 'b');",
	"seedling_cron": "",
	"seedling_net":  "",
}

// refusedFor is refused with all of the sentences.
func refusedFor(t *testing.T, o seed.Options, sentences ...string) {
	t.Helper()
	err := refused(t, o, sentences[0])
	for _, sentence := range sentences[1:] {
		if !strings.Contains(err.Error(), sentence) {
			t.Errorf("error %v does not say %q", err, sentence)
		}
	}
}

// install puts extensions into a server.
func install(t *testing.T, s *pgtest.Server, extensions map[string]string) {
	t.Helper()
	for name, script := range extensions {
		for file, content := range map[string]string{name + ".control": "default_version = '1'\nrelocatable = false\n", name + "--1.sql": script} {
			path := filepath.Join(t.TempDir(), file)
			if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
			s.Put(t, path, fmt.Sprintf("/usr/share/postgresql/%d/extension/%s", s.Major(t), file))
		}
	}
}

// TestWithoutExtensions: the policy does without an extension that nothing needs,
// with all that is about its members; what needs one is refused.
func TestWithoutExtensions(t *testing.T) {
	t.Parallel()
	src, s := pgtest.Source(t), pgtest.Start(t)
	install(t, src, provided)
	const schema = `CREATE EXTENSION seedling_provider; CREATE TABLE people (id int PRIMARY KEY); INSERT INTO people VALUES (1), (2);
		INSERT INTO provider_jobs (command) VALUES ('PLANTED'); GRANT EXECUTE ON FUNCTION provider_run() TO app; COMMENT ON EXTENSION seedling_provider IS 'a comment';`
	for _, format := range []string{"-Fp", "-Fc"} {
		o := options(t, s, src.Dump(t, src.Database(t, schema), format), "version: 1\ntables: {'*.*': {columns: {'*': keep}}}\n")
		refusedFor(t, o, "extensions that the seed's image does not have: seedling_provider", "`extensions: {seedling_provider: drop}`")
		draft, err := seed.Draft(t.Context(), o, true, false)
		if err != nil || !strings.Contains(string(draft), "extensions:\n  seedling_provider: drop   # decide: ") {
			t.Fatalf("error %v, draft\n%s", err, draft)
		}
		if o.Policy, err = mask.ParsePolicy(append(draft, "comments: keep\n"...)); err != nil {
			t.Fatal(err)
		}
		report := mustImport(t, o, seed.Imported)
		if said := strings.Join(report.Changed, "\n"); !strings.Contains(said, "extension seedling_provider is left out") {
			t.Errorf("the report says %q", said)
		}
		if _, err := seed.Verify(t.Context(), o); err != nil {
			t.Error(err)
		}
		if got := s.Strings(t, "app", "SELECT count(*) FROM people"); got[0] != "2" {
			t.Errorf("%s rows", got[0])
		}
	}
	needed := options(t, s, src.Dump(t, src.Database(t, "CREATE EXTENSION seedling_type; CREATE TABLE t (c provider_type)"), "-Fc"), "version: 1\nextensions: {seedling_type: drop}\ntables: {'*.*': {columns: {'*': keep}}}\n")
	refusedFor(t, needed, "restore TABLE public.t", "the policy does without seedling_type, which it may need")
	if _, err := seed.Draft(t.Context(), needed, true, false); err == nil || !strings.Contains(err.Error(), "does not have: seedling_type") || !strings.Contains(err.Error(), "restore TABLE public.t") {
		t.Errorf("a draft without what is needed: %v", err)
	}
	nothingLeft(t, s)
}

// TestExtensionsThatRefuse: an extension that cannot be made says why itself, all of
// them do at once, and no retry is asked for; TimescaleDB is refused before.
func TestExtensionsThatRefuse(t *testing.T) {
	t.Parallel()
	src, s := pgtest.Source(t), pgtest.Start(t)
	install(t, src, provided)
	refuse := "DO $$ BEGIN RAISE EXCEPTION 'NAME must be preloaded' USING HINT = 'Add it to the settings.', ERRCODE = 'XX000'; END $$;"
	install(t, s, map[string]string{"seedling_cron": strings.ReplaceAll(refuse, "NAME", "cron"), "seedling_net": strings.ReplaceAll(refuse, "NAME", "net")})
	file := src.Dump(t, src.Database(t, "CREATE EXTENSION seedling_cron; CREATE EXTENSION seedling_net; CREATE TABLE t (a int)"), "-Fc")
	refusedFor(t, options(t, s, file, everythingKept), "make extension seedling_cron: cron must be preloaded (Add it to the settings.)", "net must be preloaded", "shared_preload_libraries", "`extensions: {seedling_net: drop}`")
	install(t, src, map[string]string{"timescaledb": ""})
	_ = refused(t, options(t, s, src.Dump(t, src.Database(t, "CREATE EXTENSION timescaledb"), "-Fc"), everythingKept), "TimescaleDB, which imports do not support")
	nothingLeft(t, s)
}
