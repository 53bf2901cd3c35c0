package seed_test

import (
	"strings"
	"testing"

	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
	"github.com/seedling-dev/seedling/hooks/seed"
)

// TestVerifyTypes: values of types that can be written in several ways are
// equal after an import, and differ when somebody changed one.
func TestVerifyTypes(t *testing.T) { //nolint:tparallel // its subtests write to one seed
	t.Parallel()
	src := pgtest.Source(t)
	db := src.Database(t, "CREATE EXTENSION hstore")
	src.Exec(t, "postgres", "ALTER DATABASE "+db+" SET timezone = 'Europe/Athens'")
	src.Exec(t, db, `CREATE DOMAIN score AS numeric(8,2) CHECK (VALUE > 0); CREATE TYPE pair AS (a text, b timestamptz);
		CREATE TABLE odd (id int, at timestamptz, times timestamptz[], span tstzrange, r real, n real, d double precision, ip inet, net cidr, mac macaddr, list text[], h hstore, m money, i interval, s score, p pair, x xml);
		INSERT INTO odd SELECT g, (ARRAY['9999-12-31 23:59:59+00', '0044-03-15 12:00:00.5+00 BC', '20000-01-01 00:00:00+00', '1890-01-01 00:00:00.123456+00', 'infinity'])[1 + g % 5]::timestamptz,
		ARRAY['2024-01-01 00:00:00+02', NULL]::timestamptz[], '[2024-01-01 00:00:00+02,2024-01-02 00:00:00+02)', g / 7.0, g * 1.1, g / 3.0, ('fe80::' || g)::inet, ('10.1.' || g || '.0/24')::cidr, ('08:00:2b:01:02:' || 10 + g)::macaddr,
		ARRAY['some "text"', NULL, E'a\\b\tc'], 'b=>1, a=>"x y"', g::numeric::money, g * interval '1 day', g, ROW('x, y', '2024-01-01 00:00:00+02')::pair, ('<a b="c">text ' || g || '</a>')::xml FROM generate_series(1, 50) g;`)
	s := pgtest.Start(t)
	o := options(t, s, src.Dump(t, db, "-Fc"), `
version: 1
tables:
  public.odd: {columns: {id: keep, at: keep, times: keep, span: keep, r: {mask: number_noise, percent: 10}, n: {mask: number_range, min: 1, max: 1000000, decimals: 3}, d: {mask: number_noise, percent: 10}, ip: ip, net: ip, mac: mac,
    list: {mask: array, of: text}, h: hstore, m: number_noise, i: {mask: number_noise, percent: 20}, s: number_noise, p: {mask: composite, attributes: {a: text, b: keep}}, x: xml}}
`)
	mustImport(t, o, seed.Imported)
	report, err := seed.Verify(t.Context(), o)
	if err != nil || len(report.Verified) != 1 || len(report.Verified[0].Unsure) > 0 {
		t.Fatalf("error %v, %+v", err, report.Verified)
	}
	s.Exec(t, "app", "CREATE TABLE seedling.whole AS TABLE odd")
	for column, value := range map[string]string{
		"at": "'9999-12-31 23:59:58+00'", "times": "ARRAY[now()]", "span": "'[2024-01-01 00:00:00+02,2024-01-02 00:00:03+02)'", "r": "r + 1", "n": "n + 1", "d": "d + 0.001", "ip": "'203.0.113.9'", "net": "'203.0.113.0/24'",
		"mac": "'08:00:2b:01:02:03'", "list": "ARRAY['x']", "h": "'a=>2'", "m": "m + '0.01'", "i": "i + '1 second'", "s": "s + 0.01", "p": "ROW('x', (p).b)::pair", "x": "'<a/>'",
	} {
		t.Run(column, func(t *testing.T) {
			s.Exec(t, "app", "UPDATE odd SET "+column+" = "+value+" WHERE id = 7")
			_, err := seed.Verify(t.Context(), o)
			if want := "public.odd (" + column + ")"; err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v does not say %q", err, want)
			}
			s.Exec(t, "app", "TRUNCATE odd; INSERT INTO odd TABLE seedling.whole")
		})
	}
}
