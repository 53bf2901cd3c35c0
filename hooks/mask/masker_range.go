package mask

import (
	"errors"
	"fmt"
	"math/bits"
)

// ranges masks the bounds of a range or multirange of numbers or dates. All
// bounds of a value move alike, so that their order stays.
type ranges struct{ of boundMask }

// boundMask masks bounds.
type boundMask interface {
	// begin looks at a whole value before its bounds are masked.
	begin(ws *workspace, value []byte) error
	bound(ws *workspace, dst, bound []byte) ([]byte, error)
}

// isRangeSign marks what stands between bounds: no number and no date holds any of
// it.
var isRangeSign = [256]bool{'[': true, ']': true, '(': true, ')': true, '{': true, '}': true, ',': true, '"': true}

// nextBound finds the next bound of a range or multirange, looking from at on; from
// is len(value) when there is none.
func nextBound(value []byte, at int) (from, to int) {
	from = at
	for from < len(value) && isRangeSign[value[from]] {
		from++
	}
	to = from
	for to < len(value) && !isRangeSign[value[to]] {
		to++
	}
	return from, to
}

const notRange = reason("the value is not a range of numbers or dates")

func (m *ranges) mask(ws *workspace, dst, value []byte) ([]byte, error) {
	if string(value) == "empty" {
		return append(dst, value...), nil
	}
	if len(value) < 2 || !isRangeSign[value[0]] || !isRangeSign[value[len(value)-1]] {
		return dst, notRange
	}
	if err := m.of.begin(ws, value); err != nil {
		return dst, err
	}
	start := len(dst)
	for at := 0; at < len(value); {
		from, to := nextBound(value, at)
		dst = append(dst, value[at:from]...)
		if from < to {
			var err error
			if dst, err = m.of.bound(ws, dst, value[from:to]); err != nil {
				return dst[:start], err
			}
		}
		at = to
	}
	return dst, nil
}

// dateShiftBounds is date_shift on ranges.
type dateShiftBounds struct{ *dateShift }

func (dateShiftBounds) begin(*workspace, []byte) error { return nil }

func (m dateShiftBounds) bound(ws *workspace, dst, b []byte) ([]byte, error) {
	return m.mask(ws, dst, b)
}

// numberNoiseBounds is number_noise on ranges.
type numberNoiseBounds struct {
	keyed
	percent uint64
	amount  *decimal // in place of percent
	max     uint64
}

// boundNoise is what begin decides for the bounds of one value.
type boundNoise struct {
	scale int // decimals that all bounds are written with
	down  bool
	roll  uint64
	fixed uint64 // the change of each bound, 0: in percent
}

const longBound = reason("a bound has more digits than number_noise can move in a range (18)")

func (m *numberNoiseBounds) begin(ws *workspace, value []byte) error {
	n := &ws.bounds
	*n = boundNoise{}
	for from, to := nextBound(value, 0); from < to; from, to = nextBound(value, to) {
		d, ok := parseDecimal(value[from:to])
		if !ok || d.exponent != nil {
			return notRange
		}
		n.scale = max(n.scale, len(d.fraction))
	}
	t := m.tag(ws, value)
	n.roll, n.down = t.hi, t.lo&1 == 0
	if m.amount != nil {
		units, ok := m.amount.units(n.scale)
		if !ok {
			return longBound
		}
		n.fixed, _ = bits.Mul64(t.hi, uint64(units))
		n.fixed++
	}
	for from, to := nextBound(value, 0); from < to; from, to = nextBound(value, to) {
		d, _ := parseDecimal(value[from:to])
		v, ok := d.units(n.scale)
		if !ok && !d.special {
			return longBound
		}
		// Away from the limit of the type.
		if m.max > 0 && abs(v)+m.change(n, v)+1 > m.max {
			n.down = v > 0
		}
	}
	return nil
}

// change is how far a bound moves.
func (m *numberNoiseBounds) change(n *boundNoise, v int64) uint64 {
	if n.fixed > 0 {
		return n.fixed
	}
	return share(abs(v), n.roll, m.percent)
}

func (m *numberNoiseBounds) bound(ws *workspace, dst, b []byte) ([]byte, error) {
	n := &ws.bounds
	d, _ := parseDecimal(b)
	if d.special {
		return append(dst, b...), nil
	}
	v, _ := d.units(n.scale)
	by := int64(m.change(n, v))
	if n.fixed == 0 && v < 0 {
		by = -by // away from zero, or to it, on both sides
	}
	if n.fixed == 0 && n.down {
		by = -by - 1
	} else if n.fixed == 0 {
		by++
	} else if n.down {
		by = -by
	}
	return appendUnits(dst, v+by, n.scale), nil
}

func buildRangeNoise(t *target, r *rule) (transform, traits, error) {
	m := &numberNoiseBounds{keyed: t.keyed("number_noise"), percent: 10}
	switch sub := t.column.Range; sub {
	case "int4", "int8":
		m.max = 1<<(intBits(sub)-1) - 1
	case "numeric":
	default:
		return nil, traits{}, fmt.Errorf("number_noise takes ranges of integer, bigint and numeric, and this one is of %s: use date_shift for dates and times, null or choice for others", sub)
	}
	if r.has("percent") {
		m.percent = uint64(r.int("percent"))
	}
	if r.has("amount") {
		d, _ := parseDecimal([]byte(r.text("amount")))
		if _, ok := d.units(0); !ok || d.neg {
			return nil, traits{}, errors.New("amount must be a positive number without an exponent")
		}
		m.amount = &d
	}
	tf, err := t.lenient(&ranges{m}, r)
	return tf, traits{clean: true, kept: []string{"rough value"}, remedy: "keep the column, or mask it with null"}, err
}
