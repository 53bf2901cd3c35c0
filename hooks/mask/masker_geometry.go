package mask

import (
	"encoding/binary"
	"math"
)

var geometryMasker = &masker{
	name: "geometry",
	doc: maskerDoc{
		"PostGIS: a point becomes another one in the same square of a grid; lines, polygons and collections become the squares that they touch, as a rectangle (lines: its diagonal). Valid, of the same type, SRID and dimensions; Z and M become 0",
		"no", "place within a grid of so many metres, and extent", "the square; which points have equal values",
	},
	kinds: []kind{kindGeometry},
	options: []option{
		{name: "metres", kind: optInt, min: 10, max: 1000000, fallback: 1000, doc: "size of the squares, in metres"},
		{name: "unit", kind: optString, choices: []string{"auto", "degrees", "metres"}, fallback: "auto", doc: "what coordinates count: auto tells by the SRID, and stops the import where that says nothing"},
		malformed,
	},
	build: func(t *target, r *rule) (transform, traits, error) {
		m := &geometry{keyed: t.keyed("geometry"), metres: float64(r.int("metres")), unit: r.text("unit"), geography: t.column.BaseType == "geography"}
		tf, err := t.lenient(m, r)
		return tf, traits{clean: true, kept: []string{"rough place"}}, err
	},
}

// geometry masks values in PostGIS' extended well-known binary, which is how dumps
// have geometry and geography, as hexadecimal digits.
type geometry struct {
	keyed
	metres    float64
	unit      string
	geography bool
}

const (
	notGeometry   = reason("the value is not a geometry in PostGIS' binary form")
	curvedShape   = reason("the geometry is curved, or a surface, which masker geometry does not take: use null")
	unitUnknown   = reason("the geometry's SRID does not say whether it counts degrees or metres: say unit: degrees or unit: metres")
	outOfTheWorld = reason("the geometry counts degrees, and lies outside of the world")
)

// The bits of a geometry's type beside its number.
const (
	wkbZ    = 0x80000000
	wkbM    = 0x40000000
	wkbSRID = 0x20000000
)

// Types of geometries.
const (
	wkbPoint = iota + 1
	wkbLine
	wkbPolygon
	wkbMultiPoint
	wkbMultiLine
	wkbMultiPolygon
	wkbCollection
)

// extent is what was read of a geometry: the rectangle around it.
type extent struct {
	west, south, east, north float64
	points                   int
}

func (e *extent) add(x, y float64) {
	if e.points == 0 {
		e.west, e.south, e.east, e.north = x, y, x, y
	}
	e.west, e.east = min(e.west, x), max(e.east, x)
	e.south, e.north = min(e.south, y), max(e.north, y)
	e.points++
}

// wkb reads well-known binary.
type wkb struct {
	rest []byte
	big  bool
	bad  bool
}

func (w *wkb) uint32() uint32 {
	if len(w.rest) < 4 {
		w.bad = true
		return 0
	}
	b := w.rest[:4]
	w.rest = w.rest[4:]
	if w.big {
		return binary.BigEndian.Uint32(b)
	}
	return binary.LittleEndian.Uint32(b)
}

func (w *wkb) float() float64 {
	if len(w.rest) < 8 {
		w.bad = true
		return 0
	}
	b := w.rest[:8]
	w.rest = w.rest[8:]
	if w.big {
		return math.Float64frombits(binary.BigEndian.Uint64(b))
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b))
}

// header reads the order of bytes, the type and the SRID of a geometry.
func (w *wkb) header() (typ, srid uint32) {
	if len(w.rest) == 0 || w.rest[0] > 1 {
		w.bad = true
		return 0, 0
	}
	w.big = w.rest[0] == 0
	w.rest = w.rest[1:]
	typ = w.uint32()
	if typ&wkbSRID != 0 {
		srid = w.uint32()
	}
	return typ, srid
}

// point reads a point's coordinates into an extent. Those of an empty point are not
// numbers.
func (w *wkb) point(typ uint32, e *extent) {
	x, y := w.float(), w.float()
	for _, flag := range []uint32{wkbZ, wkbM} {
		if typ&flag != 0 {
			w.float()
		}
	}
	switch {
	case w.bad || math.IsNaN(x) && math.IsNaN(y):
	case math.IsNaN(x) || math.IsNaN(y) || math.IsInf(x, 0) || math.IsInf(y, 0):
		w.bad = true
	default:
		e.add(x, y)
	}
}

func (w *wkb) points(typ uint32, e *extent) {
	for n := w.uint32(); n > 0 && !w.bad; n-- {
		w.point(typ, e)
	}
}

// mostNested bounds collections of collections.
const mostNested = 32

// body reads what follows a header.
func (w *wkb) body(typ uint32, e *extent, depth int) error {
	switch typ &^ (wkbZ | wkbM | wkbSRID) {
	case wkbPoint:
		w.point(typ, e)
	case wkbLine:
		w.points(typ, e)
	case wkbPolygon:
		for n := w.uint32(); n > 0 && !w.bad; n-- {
			w.points(typ, e)
		}
	case wkbMultiPoint, wkbMultiLine, wkbMultiPolygon, wkbCollection:
		for n := w.uint32(); n > 0 && !w.bad; n-- {
			if depth == mostNested {
				return notGeometry
			}
			inner, _ := w.header()
			if w.bad {
				break
			}
			if err := w.body(inner, e, depth+1); err != nil {
				return err
			}
		}
	default:
		if typ&0xff >= 8 && typ&0xff <= 17 {
			return curvedShape
		}
		return notGeometry
	}
	if w.bad {
		return notGeometry
	}
	return nil
}

func (g *geometry) mask(ws *workspace, dst, value []byte) ([]byte, error) {
	buf := ws.buf()
	defer ws.release()
	if len(value)%2 != 0 || len(value) == 0 {
		return dst, notGeometry
	}
	raw := *buf
	for i := 0; i < len(value); i += 2 {
		if !isHex(value[i]) || !isHex(value[i+1]) {
			return dst, notGeometry
		}
		raw = append(raw, hexValue(value[i])<<4|hexValue(value[i+1]))
	}
	*buf = raw
	w := wkb{rest: raw}
	typ, srid := w.header()
	if w.bad {
		return dst, notGeometry
	}
	var e extent
	if err := w.body(typ, &e, 0); err != nil {
		return dst, err
	}
	if len(w.rest) > 0 {
		return dst, notGeometry
	}
	if e.points == 0 {
		return append(dst, value...), nil // it is empty
	}
	grid, err := g.grid(srid, &e)
	if err != nil {
		return dst, err
	}
	if typ&^(wkbZ|wkbM|wkbSRID) == wkbPoint {
		t := g.tag(ws, raw)
		x, y := grid.within(e.west, e.south, t)
		return appendHeader(dst, typ, srid).point(typ, x, y).hex, nil
	}
	return appendHeader(dst, typ, srid).shape(typ, grid.around(&e)).hex, nil
}

// isDegrees says whether a reference system of a number counts degrees, and whether
// that is known.
func isDegrees(srid uint32) (degrees, known bool) {
	switch {
	case srid >= 4000 && srid <= 4999:
		return true, true
	case isMercator(srid), srid == 3035, srid == 2056, srid == 2100, srid == 2154, srid == 27700, srid == 28992, srid == 31370,
		srid > 32600 && srid <= 32660, srid > 32700 && srid <= 32760, srid >= 25828 && srid <= 25838:
		return false, true
	}
	return false, false
}

// grid is squares of a number of metres, as degrees where those are counted.
type grid struct {
	width, height float64
	degrees       bool
	// mercator says that y counts units that shrink towards the poles: rows of squares
	// are equal in degrees of latitude, and their squares as wide as those are high.
	mercator bool
}

// isMercator says whether a reference system is the maps' own, whose metres are true at
// the equator alone.
func isMercator(srid uint32) bool {
	switch srid {
	case 3857, 900913, 3395, 102100, 102113, 3785, 54004:
		return true
	}
	return false
}

const (
	earthRadius = 6378137 // metres
	// farMercator is beyond every map: at 89.9 degrees.
	farMercator = 44e6
)

// latitude is that of a y of Mercator's projection, in degrees; mercatorY goes back.
func latitude(y float64) float64 { return math.Atan(math.Sinh(y/earthRadius)) * 180 / math.Pi }

func mercatorY(latitude float64) float64 {
	return earthRadius * math.Asinh(math.Tan(min(max(latitude, -89.9), 89.9)*math.Pi/180))
}

const metresPerDegree = 111320

// grid lays the squares for a geometry.
func (g *geometry) grid(srid uint32, e *extent) (grid, error) {
	world := e.west >= -180 && e.east <= 180 && e.south >= -90 && e.north <= 90
	degrees, known := isDegrees(srid)
	switch {
	case g.geography || g.unit == "degrees":
		degrees = true
	case g.unit == "metres":
		degrees = false
	case !known: // degrees or metres, or feet
		return grid{}, unitUnknown
	}
	height := g.metres / metresPerDegree
	switch {
	case !degrees && isMercator(srid) && max(math.Abs(e.south), math.Abs(e.north)) < farMercator:
		stretch := 1 / cosine(latitude(e.south), latitude(e.north), height)
		return grid{width: g.metres * stretch, height: height, mercator: true}, nil
	case !degrees:
		return grid{width: g.metres, height: g.metres}, nil
	case !world:
		return grid{}, outOfTheWorld
	}
	return grid{width: height / cosine(e.south, e.north, height), height: height, degrees: true}, nil
}

// cosine is how wide a degree is, of its width at the equator: at the middle of the row
// of squares that is nearest to the equator, and the same for all of the row.
func cosine(south, north, height float64) float64 {
	nearest := 0.0
	if south > 0 {
		nearest = south
	} else if north < 0 {
		nearest = -north
	}
	row := (math.Floor(nearest/height) + .5) * height
	return max(.01, math.Cos(min(row, 90)*math.Pi/180))
}

// square is the lower and upper bound of the squares that two coordinates lie in.
func square(least, most, size float64) (lower, upper float64) {
	lower, upper = math.Floor(least/size)*size, math.Ceil(most/size)*size
	if upper <= lower {
		upper = lower + size
	}
	return lower, upper
}

// around is the squares that an extent touches.
func (g grid) around(e *extent) extent {
	var out extent
	out.west, out.east = square(e.west, e.east, g.width)
	if g.mercator {
		south, north := square(latitude(e.south), latitude(e.north), g.height)
		out.south, out.north = mercatorY(south), mercatorY(north)
		return out
	}
	out.south, out.north = square(e.south, e.north, g.height)
	return g.inWorld(out)
}

// inWorld cuts what squares have beyond the world.
func (g grid) inWorld(e extent) extent {
	if g.degrees {
		e.west, e.east = max(-180, e.west), min(180, e.east)
		e.south, e.north = max(-90, e.south), min(90, e.north)
		if e.east <= e.west { // at the very edge
			e.west = e.east - min(g.width, 1)
		}
		if e.north <= e.south {
			e.south = e.north - min(g.height, 1)
		}
	}
	return e
}

// within is a place in the square of another one.
func (g grid) within(x, y float64, t tag) (float64, float64) {
	e := g.around(&extent{x, y, x, y, 1})
	part := func(bits uint64) float64 { return float64(bits>>11) / (1 << 53) }
	return e.west + part(t.hi)*(e.east-e.west), e.south + part(t.lo)*(e.north-e.south)
}

// ewkb writes extended well-known binary, little-endian, as hexadecimal digits.
type ewkb struct{ hex []byte }

const upperHex = "0123456789ABCDEF"

func (w ewkb) byte(b byte) ewkb { return ewkb{append(w.hex, upperHex[b>>4], upperHex[b&15])} }

func (w ewkb) uint32(v uint32) ewkb {
	for range 4 {
		w = w.byte(byte(v))
		v >>= 8
	}
	return w
}

func (w ewkb) float(f float64) ewkb {
	v := math.Float64bits(f)
	for range 8 {
		w = w.byte(byte(v))
		v >>= 8
	}
	return w
}

func appendHeader(dst []byte, typ, srid uint32) ewkb {
	w := ewkb{dst}.byte(1).uint32(typ)
	if typ&wkbSRID != 0 {
		w = w.uint32(srid)
	}
	return w
}

func (w ewkb) point(typ uint32, x, y float64) ewkb {
	w = w.float(x).float(y)
	if typ&wkbZ != 0 {
		w = w.float(0)
	}
	if typ&wkbM != 0 {
		w = w.float(0)
	}
	return w
}

// shape writes a rectangle as a geometry of a type, behind its header.
func (w ewkb) shape(typ uint32, e extent) ewkb {
	flags := typ & (wkbZ | wkbM)
	switch typ &^ (wkbZ | wkbM | wkbSRID) {
	case wkbLine:
		return w.uint32(2).point(typ, e.west, e.south).point(typ, e.east, e.north)
	case wkbPolygon:
		begun := w.uint32(1).uint32(5).point(typ, e.west, e.south).point(typ, e.west, e.north)
		return begun.point(typ, e.east, e.north).point(typ, e.east, e.south).point(typ, e.west, e.south)
	case wkbMultiPoint:
		first := appendHeader(w.uint32(2).hex, wkbPoint|flags, 0).point(flags, e.west, e.south)
		return appendHeader(first.hex, wkbPoint|flags, 0).point(flags, e.east, e.north)
	case wkbMultiLine:
		return appendHeader(w.uint32(1).hex, wkbLine|flags, 0).shape(wkbLine|flags, e)
	}
	return appendHeader(w.uint32(1).hex, wkbPolygon|flags, 0).shape(wkbPolygon|flags, e)
}
