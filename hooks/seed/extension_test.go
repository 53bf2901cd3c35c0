package seed_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
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
	dir := t.TempDir()
	install := func(s *pgtest.Server) {
		for name, content := range map[string]string{"seedling_members.control": "default_version = '1'\nrelocatable = false\n", "seedling_members--1.sql": members} {
			file := filepath.Join(dir, name)
			if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
			s.Put(t, file, "/usr/share/postgresql/17/extension/"+name)
		}
	}
	src, s := pgtest.Source(t), pgtest.Start(t)
	install(src)
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
	install(s)
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
