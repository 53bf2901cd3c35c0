package mask

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
)

// intervalNoise is masker number_noise on intervals: months stay, and their
// change goes into days, that of days into the time.
type intervalNoise struct {
	keyed
	percent uint64
}

// interval is what PostgreSQL keeps of one: units do not mix.
type interval struct{ months, days, micros int64 }

// maxHours is what fits the time part of an interval, and an hour less.
const maxHours = 2562047787

const notInterval = reason("the value is not an interval as PostgreSQL writes it (IntervalStyle postgres)")

// parseInterval reads what IntervalStyle postgres writes: 1 year -2 mons
// 3 days -04:05:06.7.
func parseInterval(b []byte) (v interval, ok bool) {
	for len(b) > 0 {
		word, rest, _ := bytes.Cut(b, []byte{' '})
		sign := int64(1)
		digits := word
		if len(digits) > 0 && (digits[0] == '-' || digits[0] == '+') {
			if digits[0] == '-' {
				sign = -1
			}
			digits = digits[1:]
		}
		if i := bytes.IndexByte(digits, ':'); i > 0 {
			h, ok := parseUint(digits[:i])
			t := digits[i+1:]
			if !ok || h > maxHours || len(t) < 5 || t[2] != ':' || len(rest) > 0 {
				return v, false
			}
			minutes, ok1 := parseUint(t[:2])
			seconds, ok2 := parseUint(t[3:5])
			frac := t[5:]
			micros := uint64(0)
			if len(frac) > 0 {
				if frac[0] != '.' || len(frac) > 7 {
					return v, false
				}
				micros, ok = parseUint(frac[1:])
				for range 7 - len(frac) {
					micros *= 10
				}
			}
			if !ok || !ok1 || !ok2 {
				return v, false
			}
			v.micros = sign * int64(((h*60+minutes)*60+seconds)*1e6+micros)
			return v, true
		}
		n, ok := parseUint(digits)
		unit, after, _ := bytes.Cut(rest, []byte{' '})
		if !ok || n > math.MaxInt32+1 {
			return v, false
		}
		switch string(bytes.TrimSuffix(unit, []byte{'s'})) {
		case "year":
			v.months += sign * int64(n) * 12
		case "mon":
			v.months += sign * int64(n)
		case "day":
			v.days = sign * int64(n)
		default:
			return v, false
		}
		b = after
	}
	return v, true
}

func (v interval) append(dst []byte) []byte {
	if v.months != 0 {
		dst = append(strconv.AppendInt(dst, v.months, 10), " mons "...)
	}
	if v.days != 0 {
		dst = append(strconv.AppendInt(dst, v.days, 10), " days "...)
	}
	us := uint64(v.micros)
	if v.micros < 0 {
		dst = append(dst, '-')
		us = -us
	}
	two := func(n uint64) { dst = append(dst, byte('0'+n/10), byte('0'+n%10)) }
	if h := us / 3600e6; h < 100 {
		two(h)
	} else {
		dst = strconv.AppendUint(dst, h, 10)
	}
	dst = append(dst, ':')
	two(us / 60e6 % 60)
	dst = append(dst, ':')
	two(us / 1e6 % 60)
	if us %= 1e6; us > 0 {
		dst = append(dst, '.')
		for unit := uint64(1e5); unit > 0; unit /= 10 {
			dst = append(dst, byte('0'+us/unit%10))
		}
	}
	return dst
}

func abs(v int64) uint64 {
	if v < 0 {
		return -uint64(v)
	}
	return uint64(v)
}

// share is the part r/2^64 of percent of v.
func share(v, r, percent uint64) uint64 {
	q, _ := bits.Mul64(v, r)
	return q/100*percent + q%100*percent/100
}

func (m *intervalNoise) mask(s *scratch, dst, value []byte) ([]byte, error) {
	if isInfinity(value) {
		return append(dst, value...), nil
	}
	v, ok := parseInterval(value)
	if !ok {
		return dst, notInterval
	}
	if v == (interval{}) {
		return append(dst, value...), nil
	}
	t := m.tag(s, value)
	days := int64(min(share(abs(v.months)*30, t.hi, m.percent), 1e9))
	micros := int64(share(abs(v.days)*86400e6, t.hi, m.percent)/1e6*1e6 + share(abs(v.micros), t.hi, m.percent))
	if days == 0 {
		// Less than a day of the months, whose days are few then.
		micros += int64(share(min(abs(v.months)*30, 1e4)*86400e6, t.hi, m.percent) / 1e6 * 1e6)
	}
	if micros == 0 && days == 0 {
		micros = 1
	}
	// Each part goes the same way, unless its type has no room there.
	if t.lo&1 == 0 {
		days, micros = -days, -micros
	}
	if d := v.days + days; d > math.MaxInt32 || d < math.MinInt32 {
		days = -days
	}
	const limit = 2e9 * 3600e6
	if us := float64(v.micros) + float64(micros); us > limit || us < -limit {
		micros = -micros
	}
	v.days += days
	v.micros += micros
	return v.append(dst), nil
}

func buildIntervalNoise(t *target, r *rule) (transform, traits, error) {
	switch c := t.column; {
	case r.has("amount"):
		return nil, traits{}, errors.New("amount is for numbers, give percent")
	case strings.HasPrefix(c.Type, "interval ") && !strings.HasSuffix(c.Type, " to second"):
		return nil, traits{}, fmt.Errorf("%s leaves no room for a change of days and seconds: use null or choice", c.Type)
	}
	m := &intervalNoise{t.keyed("number_noise"), 10}
	if r.has("percent") {
		m.percent = uint64(r.int("percent"))
	}
	tf, err := t.lenient(m, r)
	return tf, traits{clean: true, kept: []string{"rough value"}}, err
}

// ranges masks the bounds of a range or multirange of numbers or dates. All
// bounds of a value move alike, so that their order stays.
type ranges struct{ of boundMask }

// boundMask masks bounds.
type boundMask interface {
	// begin looks at a whole value before its bounds are masked.
	begin(s *scratch, value []byte) error
	bound(s *scratch, dst, bound []byte) ([]byte, error)
}

// isRangeSign marks what stands between bounds: neither a number nor a date
// holds any of it.
var isRangeSign = [256]bool{'[': true, ']': true, '(': true, ')': true, '{': true, '}': true, ',': true, '"': true}

// nextBound finds the next bound of a range or multirange from a place on;
// from is len(value) when there is none.
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

func (m *ranges) mask(s *scratch, dst, value []byte) ([]byte, error) {
	if string(value) == "empty" {
		return append(dst, value...), nil
	}
	if len(value) < 2 || !isRangeSign[value[0]] || !isRangeSign[value[len(value)-1]] {
		return dst, notRange
	}
	if err := m.of.begin(s, value); err != nil {
		return dst, err
	}
	start := len(dst)
	for at := 0; at < len(value); {
		from, to := nextBound(value, at)
		dst = append(dst, value[at:from]...)
		if from < to {
			var err error
			if dst, err = m.of.bound(s, dst, value[from:to]); err != nil {
				return dst[:start], err
			}
		}
		at = to
	}
	return dst, nil
}

// shiftBounds is date_shift on ranges.
type shiftBounds struct{ *shift }

func (shiftBounds) begin(*scratch, []byte) error { return nil }

func (m shiftBounds) bound(s *scratch, dst, b []byte) ([]byte, error) { return m.mask(s, dst, b) }

// noiseBounds is number_noise on ranges.
type noiseBounds struct {
	keyed
	percent uint64
	amount  *decimal // in place of percent
	max     uint64
}

// boundNoise is what begin finds out for the bounds of one value.
type boundNoise struct {
	scale int // decimals that all bounds are written with
	down  bool
	roll  uint64
	fixed uint64 // the change of each bound, 0: in percent
}

const longBound = reason("a bound has more digits than number_noise can move in a range (18)")

func (m *noiseBounds) begin(s *scratch, value []byte) error {
	n := &s.bounds
	*n = boundNoise{}
	for from, to := nextBound(value, 0); from < to; from, to = nextBound(value, to) {
		d, ok := parseDecimal(value[from:to])
		if !ok || d.exponent != nil {
			return notRange
		}
		n.scale = max(n.scale, len(d.fraction))
	}
	t := m.tag(s, value)
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
		// Away from what the type has no room for.
		if m.max > 0 && abs(v)+m.change(n, v)+1 > m.max {
			n.down = v > 0
		}
	}
	return nil
}

// change is how far a bound moves.
func (m *noiseBounds) change(n *boundNoise, v int64) uint64 {
	if n.fixed > 0 {
		return n.fixed
	}
	return share(abs(v), n.roll, m.percent)
}

func (m *noiseBounds) bound(s *scratch, dst, b []byte) ([]byte, error) {
	n := &s.bounds
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

// appendUnits writes a number given in units of its last decimal.
func appendUnits(dst []byte, v int64, decimals int) []byte {
	if v < 0 {
		dst = append(dst, '-')
		v = -v
	}
	if decimals == 0 {
		return strconv.AppendInt(dst, v, 10)
	}
	pow := pow10(decimals)
	dst = append(strconv.AppendInt(dst, v/pow, 10), '.')
	for frac, div := v%pow, pow/10; div > 0; div /= 10 {
		dst = append(dst, byte('0'+frac/div%10))
	}
	return dst
}

func buildRangeNoise(t *target, r *rule) (transform, traits, error) {
	m := &noiseBounds{keyed: t.keyed("number_noise"), percent: 10}
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
