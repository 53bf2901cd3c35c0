package mask

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"testing"
)

// hexWKB writes numbers as PostGIS does in COPY text: bytes as they are, uint32 and
// float64 little-endian.
func hexWKB(parts ...any) string {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			b = append(b, byte(p))
		case uint32:
			b = binary.LittleEndian.AppendUint32(b, p)
		case float64:
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(p))
		case string:
			raw, err := hex.DecodeString(p)
			if err != nil {
				panic(err)
			}
			b = append(b, raw...)
		}
	}
	return strings.ToUpper(hex.EncodeToString(b))
}

func hexPoint(srid uint32, x, y float64) string {
	return hexWKB(1, uint32(wkbPoint|wkbSRID), srid, x, y)
}

// readExtent reads a geometry, whose form it checks.
func readExtent(t interface{ Fatalf(string, ...any) }, value string) (typ, srid uint32, e extent) {
	raw, err := hex.DecodeString(value)
	if err != nil {
		t.Fatalf("%q: %v", value, err)
	}
	w := wkb{rest: raw}
	typ, srid = w.header()
	if err := w.body(typ, &e, 0); err != nil || w.bad || len(w.rest) > 0 {
		t.Fatalf("%q: %v, %+v", value, err, w)
	}
	return typ, srid, e
}

type failer struct{ err error }

func (f *failer) Fatalf(format string, args ...any) { f.err = fmt.Errorf(format, args...) }

// sameSquare checks that a point's mask lies as near as a square of so many metres
// lets it.
func sameSquare(metres float64) func(string, string) error {
	return func(o, m string) error {
		var f failer
		_, _, a := readExtent(&f, o)
		typ, srid, b := readExtent(&f, m)
		north, east := (b.south-a.south)*metresPerDegree, (b.west-a.west)*metresPerDegree*math.Cos(a.south*math.Pi/180)
		if f.err == nil && (typ != wkbPoint|wkbSRID || srid != 4326 || math.Abs(north) > metres*1.01 || math.Abs(east) > metres*1.01) {
			f.err = fmt.Errorf("moved %f m north and %f m east", north, east)
		}
		return f.err
	}
}

func TestGeometry(t *testing.T) {
	t.Parallel()
	const srid = uint32(4326)
	flags := func(typ, more uint32) uint32 { return typ | more | wkbSRID }
	point := func(x, y float64) string { return hexWKB(1, uint32(wkbPoint), x, y) }
	ring := []any{uint32(4), 13.40012, 52.50012, 13.40013, 52.50016, 13.40019, 52.50011, 13.40012, 52.50012}
	polygon := hexWKB(append([]any{1, uint32(wkbPolygon), uint32(1)}, ring...)...)
	for name, value := range map[string]string{
		"point Z M":        hexWKB(1, flags(wkbPoint, wkbZ|wkbM), srid, 13.40012, 52.50012, 34.5, 1.7e9),
		"line":             hexWKB(1, flags(wkbLine, 0), srid, uint32(2), 13.40012, 52.50012, 13.4102, 52.5203),
		"line of one spot": hexWKB(1, flags(wkbLine, wkbM), srid, uint32(2), 13.40012, 52.50012, 7.0, 13.40012, 52.50012, 8.0),
		"polygon":          hexWKB(append([]any{1, flags(wkbPolygon, 0), srid, uint32(1)}, ring...)...),
		"points":           hexWKB(1, flags(wkbMultiPoint, 0), srid, uint32(2), point(13.40012, 52.50012), point(13.5, 52.6)),
		"lines":            hexWKB(1, flags(wkbMultiLine, 0), srid, uint32(1), hexWKB(1, uint32(wkbLine), uint32(2), 13.40012, 52.50012, 13.5, 52.6)),
		"polygons":         hexWKB(1, flags(wkbMultiPolygon, 0), srid, uint32(2), polygon, polygon),
		"collection":       hexWKB(1, flags(wkbCollection, 0), srid, uint32(2), polygon, point(13.41, 52.51)),
		"pole":             hexPoint(srid, 179.99999, 90),
		"far south":        hexWKB(1, flags(wkbPolygon, 0), srid, uint32(1), uint32(4), -180.0, -90.0, -179.9, -89.99, -179.8, -90.0, -180.0, -90.0),
	} {
		plan := mustCompile(t, "version: 1\ntables: {public.t: {columns: {a: geometry}}}", Catalog{Tables: []Table{tableOf("t", "a geometry")}})
		got := maskRow(t, plan, "t", value)[0]
		typ, _, before := readExtent(t, value)
		typ2, srid2, after := readExtent(t, got)
		if got == value || typ2 != typ || srid2 != srid {
			t.Errorf("%s: %s becomes %s", name, value, got)
		}
		if kind := typ &^ (wkbZ | wkbM | wkbSRID); kind != wkbPoint && (after.west > before.west || after.east < before.east || after.south > before.south || after.north < before.north) {
			t.Errorf("%s: %+v is not around %+v", name, after, before)
		}
		if after.west < -180 || after.east > 180 || after.south < -90 || after.north > 90 || after.east-after.west > before.east-before.west+2 {
			t.Errorf("%s: %+v", name, after)
		}
		if kind := typ &^ (wkbZ | wkbM | wkbSRID); kind != wkbPoint && (after.west == after.east || after.south == after.north) {
			t.Errorf("%s: %+v has no area", name, after)
		}
		if strings.Contains(got, hexWKB(13.40012)) || strings.Contains(got, hexWKB(34.5)) || strings.Contains(got, hexWKB(7.0)) {
			t.Errorf("%s: a coordinate is in %s", name, got)
		}
	}
}

// What says nothing of a place stays; what cannot be told stops.
func TestGeometryUnits(t *testing.T) {
	t.Parallel()
	mask := func(rule, typ, value string) (string, error) {
		plan := mustCompile(t, "version: 1\ntables: {public.t: {columns: {a: "+rule+"}}}", Catalog{Tables: []Table{tableOf("t", "a "+typ)}})
		out, err := plan.Table("public", "t").NewWorker().Append(nil, []byte(value))
		return strings.TrimSuffix(string(out), "\n"), err
	}
	empty := hexWKB(1, uint32(wkbPoint), math.NaN(), math.NaN())
	for _, value := range []string{empty, hexWKB(1, uint32(wkbPolygon|wkbSRID), uint32(4326), uint32(0)), hexWKB(1, uint32(wkbCollection), uint32(0))} {
		if got, err := mask("geometry", "geometry", value); err != nil || got != value {
			t.Errorf("%s becomes %s, %v", value, got, err)
		}
	}
	bare := hexWKB(1, uint32(wkbPoint), 13.4, 52.5)
	for rule, value := range map[string]string{
		"geometry":                     bare,
		"{mask: geometry, metres: 50}": hexPoint(2263, 13.4, 52.5),
		"{mask: geometry, metres: 49}": hexPoint(2263, 987000, 192000), // feet
		"{mask: geometry, metres: 51}": hexPoint(4326, 500, 52.5),
		"{mask: geometry, metres: 52}": hexWKB(1, uint32(8|wkbSRID), uint32(4326), uint32(3), 1.0, 2.0, 3.0, 4.0, 5.0, 6.0), // a curve
		"{mask: geometry, metres: 53}": bare[:len(bare)-2],
		"{mask: geometry, metres: 54}": bare + "00",
		"{mask: geometry, metres: 55}": hexWKB(1, uint32(wkbMultiPoint), uint32(1<<31)),
		"{mask: geometry, metres: 56}": strings.Repeat(hexWKB(1, uint32(wkbCollection), uint32(1)), 100) + bare,
		"{mask: geometry, metres: 57}": hexWKB(1, uint32(wkbPoint), math.Inf(1), 52.5),
	} {
		if got, err := mask(rule, "geometry", value); err == nil {
			t.Errorf("%s becomes %s", value, got)
		}
	}
	for _, test := range []struct{ rule, typ, value string }{
		{"{mask: geometry, unit: degrees}", "geometry", bare},
		{"geometry", "geography", bare},
		{"geometry", "geometry", hexPoint(3857, 1492000, 6894000)},
		{"geometry", "geometry", hexPoint(3857, 0, 0)},
		{"{mask: geometry, unit: metres}", "geometry", hexPoint(2263, 987000, 192000)},
		{"{mask: geometry, unit: metres}", "geometry", bare},
		{"geometry", "geometry", "00" + "00000001" + "402ACCCCCCCCCCCD" + "404A400000000000"}, // big-endian, without SRID
	} {
		got, err := mask(test.rule, test.typ, test.value)
		if strings.HasPrefix(test.value, "0000") {
			if err == nil {
				t.Errorf("%s has no SRID, and becomes %s", test.value, got)
			}
			got, err = mask("{mask: geometry, unit: degrees}", "geometry", test.value)
		}
		if err != nil || got == test.value || len(got) != len(test.value) {
			t.Errorf("%s: %s becomes %s, %v", test.rule, test.value, got, err)
		}
	}
}

// Many places of one home are masked within one square: their middle is that of the
// square, and not the home.
func TestGeometryAverages(t *testing.T) {
	t.Parallel()
	plan := mustCompile(t, "version: 1\ntables: {public.t: {columns: {a: geometry}}}", Catalog{Tables: []Table{tableOf("t", "a geometry")}})
	var x, y float64
	const n = 2000
	for i := range n {
		_, _, e := readExtent(t, maskRow(t, plan, "t", hexPoint(3857, 1492010+float64(i)/n, 6894010+float64(i)/n))[0])
		x, y = x+e.west/n, y+e.south/n
	}
	// Of the square of 1000 metres, which are some 1640 units there.
	var f failer
	_, _, e := readExtent(&f, hexPoint(3857, 1492010, 6894010))
	g, err := (&geometry{metres: 1000, unit: "auto"}).grid(3857, &e)
	if err != nil {
		t.Fatal(err)
	}
	s := g.around(&e)
	if math.Abs(x-(s.west+s.east)/2) > 80 || math.Abs(y-(s.south+s.north)/2) > 80 {
		t.Errorf("the middle is at %f %f, that of the square %+v", x, y, s)
	}
}

// The maps' own metres shrink towards the poles: squares are as large on the ground
// everywhere, and what is masked lies in one.
func TestGeometryMercator(t *testing.T) {
	t.Parallel()
	const metres = 1000.0
	for _, at := range []float64{0, 12.3, -45.6, 52.5, 60.1, -69.9, 80, 85.05, 89} {
		for _, srid := range []uint32{3857, 900913, 3395} {
			y := mercatorY(at)
			e := extent{1492010, y, 1492010, y, 1}
			g, err := (&geometry{metres: metres, unit: "auto"}).grid(srid, &e)
			if err != nil {
				t.Fatal(err)
			}
			s := g.around(&e)
			if s.west > e.west || s.east < e.east || s.south > e.south || s.north < e.north {
				t.Errorf("%v degrees: %+v is not around %+v", at, s, e)
			}
			ground := math.Cos(at * math.Pi / 180) // of a unit
			wide, high := (s.east-s.west)*ground, (latitude(s.north)-latitude(s.south))*metresPerDegree
			if math.Abs(wide-metres) > metres/50 && at < 88 || math.Abs(high-metres) > metres/100 {
				t.Errorf("%v degrees: a square of %v metres is %.0f wide and %.0f high", at, metres, wide, high)
			}
			// Another place of the square is masked into the same one.
			other := extent{s.west + (s.east-s.west)*.01, s.south + (s.north-s.south)*.99, s.west + (s.east-s.west)*.01, s.south + (s.north-s.south)*.99, 1}
			g, err = (&geometry{metres: metres, unit: "auto"}).grid(srid, &other)
			if o := g.around(&other); err != nil || math.Abs(o.west-s.west) > .01 || math.Abs(o.north-s.north) > .01 {
				t.Errorf("%v degrees: %+v and %+v are two squares, %v", at, s, o, err)
			}
		}
	}
	// Beyond every map, and where another unit is said.
	for _, y := range []float64{50e6, -1e9} {
		e := extent{5, y, 5, y, 1}
		if g, err := (&geometry{metres: metres, unit: "auto"}).grid(3857, &e); err != nil || g.mercator || math.IsInf(g.around(&e).north, 0) {
			t.Errorf("%v: %+v, %v", y, g, err)
		}
	}
}

func TestVectors(t *testing.T) {
	t.Parallel()
	tables := []Table{tableOf("t", "a vector", "b sparsevec")}
	plan := mustCompile(t, "version: 1\ntables: {public.t: {columns: {a: vector, b: vector}}}", Catalog{Tables: tables})
	got := maskRow(t, plan, "t", "[1,2,3]", "{1:0.5,3:2}/5")
	if strings.Count(got[0], ",") != 2 || got[0] == "[1,2,3]" || !strings.HasPrefix(got[1], "{1:0.") || !strings.HasSuffix(got[1], "}/5") {
		t.Errorf("%q", got)
	}
	for policy, refused := range map[string]bool{
		"types: {vector: keep, sparsevec: 'null'}":                          true,
		"tables: {'*.*': {columns: {'*': keep}}}":                           true,
		"tables: {public.t: {columns: {'*': keep}}}":                        true,
		"tables: {public.t: {columns: {a: keep, b: keep}}}":                 false,
		"tables: {public.t: {columns: {a: null, b: {mask: vector}}}}":       false,
		"types: {vector: vector}\ntables: {public.t: {columns: {b: keep}}}": false,
	} {
		_, err := tryCompile(t, policy, tables...)
		if (err != nil) != refused || err != nil && !strings.Contains(err.Error(), "only by a rule under its own name") {
			t.Errorf("%s: %v", policy, err)
		}
	}
}
