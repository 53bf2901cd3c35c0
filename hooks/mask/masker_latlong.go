package mask

import (
	"bytes"
	"errors"
)

var latlongMasker = &masker{
	name:   "latlong",
	doc:    maskerDoc{"the coordinate, in degrees, with the digits behind a few decimals replaced", "no", "place within a grid: 1 decimal is some 11 km, 2 are 1 km", "the grid cell; which rows have equal values"},
	kinds:  []kind{kindFloat, kindNumeric, kindPoint, kindText},
	digits: true,
	options: []option{
		{name: "decimals", kind: optInt, min: 0, max: 4, fallback: 1, doc: "decimals that stay"},
		malformed,
	},
	build: func(t *target, r *rule) (transform, traits, error) {
		if c := t.column; t.kind == kindNumeric && !t.inside && c.Precision > 0 && c.Precision <= c.Scale {
			return nil, traits{}, errors.New("the column takes no coordinates: its scale is its precision or more")
		}
		m := &latlong{t.keyed("latlong"), t.stream("latlong"), r.int("decimals"), t.padding()}
		tf, err := t.lenient(m, r)
		return tf, traits{clean: true, kept: []string{"leading digits"}}, err
	},
}

type latlong struct {
	keyed
	stream   *prf
	decimals int
	padding
}

const notCoordinate = reason("the value is not a coordinate in degrees")

func (m *latlong) mask(ws *workspace, dst, value []byte) ([]byte, error) {
	value = m.cut(value)
	if len(value) == 0 {
		return dst, nil
	}
	start := len(dst)
	st := newStream(ws, m.stream, m.tag(ws, value))
	rest := value
	if value[0] == '(' {
		x, y, found := bytes.Cut(value[1:], []byte(","))
		if !found || len(y) == 0 || y[len(y)-1] != ')' {
			return dst, notCoordinate
		}
		var ok bool
		if dst, ok = m.blur(append(dst, '('), x, &st); !ok {
			return dst[:start], notCoordinate
		}
		if dst, ok = m.blur(append(dst, ','), y[:len(y)-1], &st); !ok {
			return dst[:start], notCoordinate
		}
		return append(dst, ')'), nil
	}
	out, ok := m.blur(dst, rest, &st)
	if !ok {
		return dst, notCoordinate
	}
	return out, nil
}

// blur writes one coordinate with the digits behind the kept ones replaced.
func (m *latlong) blur(dst, v []byte, st *stream) ([]byte, bool) {
	d, ok := parseDecimal(v)
	if !ok || d.special {
		return dst, false
	}
	// More are metres of a projection, or no place at all.
	whole := bytes.TrimLeft(d.whole, "0")
	if len(whole) > 3 || len(whole) == 3 && string(whole) > "360" {
		return dst, false
	}
	if d.exponent != nil {
		return append(dst, '0'), true // far below a millimetre
	}
	dst = append(dst, v[:d.signBytes]...)
	dst = append(dst, d.whole...)
	if len(d.fraction) == 0 {
		return dst, true
	}
	dst = append(dst, '.')
	poles := len(bytes.TrimLeft(d.fraction, "0")) == 0
	for i, c := range d.fraction {
		if i >= m.decimals && !poles {
			c = '0' + st.byte()%10
		}
		dst = append(dst, c)
	}
	return dst, true
}
