package seed_test

import (
	"strings"
	"testing"

	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/seed"
)

// places has PostGIS' types in the forms that applications use, and embeddings.
const places = `
CREATE EXTENSION postgis; CREATE EXTENSION vector;
CREATE TABLE shops (id int PRIMARY KEY, at geometry(Point, 4326) NOT NULL, door geography(PointZ, 4326), metres geometry(Point, 3857), area geometry(Polygon, 4326), areas geometry(MultiPolygon, 4326),
	way geometry(LineString, 4326), stops geometry(MultiPoint, 4326), ways geography(MultiLineString, 4326), things geometry(GeometryCollection, 4326), clocked geometry(PointM, 4326), anything geometry,
	meaning vector(3) NOT NULL, half halfvec(3), sparse sparsevec(5) NOT NULL);
CREATE INDEX ON shops USING gist (at); CREATE INDEX ON shops USING hnsw (meaning vector_l2_ops);
INSERT INTO spatial_ref_sys (srid, auth_name, auth_srid, srtext, proj4text) VALUES (990001, 'acme', 1, '', '');
INSERT INTO shops SELECT g, ST_SetSRID(p, 4326), ST_SetSRID(ST_MakePoint(ST_X(p), ST_Y(p), 7), 4326)::geography, ST_Transform(ST_SetSRID(p, 4326), 3857), ST_SetSRID(a, 4326), ST_SetSRID(ST_Multi(a), 4326),
	ST_SetSRID(ST_MakeLine(p, ST_Translate(p, 0.01, 0.02)), 4326), ST_SetSRID(ST_Collect(p, ST_Translate(p, 1, 1)), 4326), ST_SetSRID(ST_Multi(ST_MakeLine(p, ST_Translate(p, 0.1, 0.1))), 4326)::geography,
	ST_SetSRID(ST_Collect(a, p), 4326), ST_SetSRID(ST_MakePointM(ST_X(p), ST_Y(p), 1700000000 + g), 4326), CASE WHEN g % 2 = 0 THEN ST_SetSRID(a, 4326) ELSE ST_GeomFromText('POINT EMPTY', 4326) END,
	ARRAY[g, 0.5, -g]::vector, ARRAY[g, 0.5, -g]::halfvec, ('{1:' || g || ',3:2}/5')::sparsevec
	FROM (SELECT g, p, ST_Buffer(p, 0.001) a FROM (SELECT g, ST_MakePoint(-170 + g * 3.3, -80 + g * 1.6) p FROM generate_series(1, 100) g) x) y;
UPDATE shops SET door = NULL, way = NULL WHERE id % 10 = 0;`

// The draft for PostGIS and pgvector loads as it stands: places are blurred, valid and
// of the same kind, embeddings are gone, and what PostGIS works by is kept.
func TestPlacesAndEmbeddings(t *testing.T) {
	t.Parallel()
	src := pgtest.Source(t)
	if got := src.Strings(t, "postgres", "SELECT count(*) FROM pg_available_extensions WHERE name IN ('postgis', 'vector')"); got[0] != "2" {
		t.Skip("the image has neither PostGIS nor pgvector: `make test-extensions` runs this test with one that has")
	}
	s := pgtest.Start(t)
	db := src.Database(t, places)
	o := options(t, s, src.Dump(t, db, "-Fc"), "version: 1\n")
	text, err := seed.Draft(t.Context(), o, true, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"      at: geometry\n", "door: geometry\n", "anything: geometry\n", "meaning: vector\n", "half: null\n", "sparse: vector\n", "# the settings of extension postgis, which works by them"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the draft lacks %q:\n%s", want, text)
		}
	}
	if o.Policy, err = mask.ParsePolicy(text); err != nil {
		t.Fatal(err)
	}
	mustImport(t, o, seed.Imported)
	query := func(sql string) string { t.Helper(); return strings.Join(s.Strings(t, "app", sql), " ") }
	for _, column := range []string{"at", "door::geometry", "metres", "area", "areas", "way", "stops", "ways::geometry", "things", "clocked", "anything"} {
		form := "SELECT string_agg(DISTINCT GeometryType(" + column + ") || ' ' || ST_SRID(" + column + ") || ' ' || ST_CoordDim(" + column + "), ',') || ' of ' || count(" + column + ") FROM shops"
		if got, want := query(form), strings.Join(src.Strings(t, db, form), " "); got != want {
			t.Errorf("%s: %s, want %s", column, got, want)
		}
		if got := query("SELECT count(*) FROM shops WHERE NOT ST_IsValid(" + column + ")"); got != "0" {
			t.Errorf("%s: %s masks are not valid", column, got)
		}
		same := "SELECT md5(string_agg(ST_AsEWKT(" + column + "), ',' ORDER BY id)) FROM shops"
		if query(same) == src.Strings(t, db, same)[0] {
			t.Errorf("%s is as it was", column)
		}
	}
	// As far as a square of a kilometre lets it, on the ground; beyond 84 degrees
	// squares are narrower.
	raw := src.Strings(t, db, "SELECT string_agg('(' || id || ', ''' || ST_AsEWKT(at) || '''::geometry)', ',') FROM shops")[0]
	if got := query("SELECT count(*) FROM shops JOIN (VALUES " + raw + ") r(id, at) USING (id) WHERE ST_Distance(shops.at::geography, r.at::geography) > 1500 OR shops.at = r.at"); got != "0" {
		t.Errorf("%s places are further away than their square, or in place", got)
	}
	for sql, want := range map[string]string{
		"SELECT count(*) FROM shops WHERE ST_Z(door::geometry) <> 0 OR ST_M(clocked) <> 0":    "0",
		"SELECT count(DISTINCT meaning::text) > 50 FROM shops WHERE vector_dims(meaning) = 3": "t",
		"SELECT count(half) FROM shops":                                                                                  "0",
		"SELECT auth_name FROM spatial_ref_sys WHERE srid = 990001":                                                      "acme",
		"SELECT count(*) FROM (SELECT id FROM shops ORDER BY meaning <-> '[1,2,3]' LIMIT 5) x":                           "5",
		"SELECT count(*) FROM shops WHERE at && ST_MakeEnvelope(-180, -90, 180, 90, 4326) AND ST_DWithin(at, at, 0.001)": "100",
	} {
		if got := query(sql); got != want {
			t.Errorf("%s: %s, want %s", sql, got, want)
		}
	}
	if v, err := seed.Verify(t.Context(), o); err != nil {
		t.Errorf("verify: %v, %+v", err, v.Verified)
	}
	nothingLeft(t, s)
}
