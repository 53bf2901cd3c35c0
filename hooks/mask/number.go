package mask

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
)

var numberMaskers = []*masker{
	{
		name:  "number_noise",
		doc:   maskerDoc{"the number, more or less some percent or amount; an interval some percent longer or shorter; both bounds of a range of numbers moved alike", "no", "sign, number of decimals, order roughly; zero stays zero, but for bounds; infinity", "the rough value; which rows have equal values"},
		kinds: []kind{kindInt, kindNumeric, kindFloat, kindMoney, kindInterval, kindRange, kindText},
		options: []option{
			{name: "percent", kind: optInt, min: 1, max: 100, doc: "largest change in percent of the number (10 when neither is given)"},
			{name: "amount", kind: optNumber, doc: "largest change as a number, in place of percent"},
			malformed,
		},
		check: func(r *rule) string {
			if r.has("percent") && r.has("amount") {
				return "give either percent or amount"
			}
			return ""
		},
		build: buildNoise,
	},
	{
		name:  "number_range",
		doc:   maskerDoc{"a number between two bounds, all equally likely", "no", "nothing", "which rows have equal values. With `by` nothing: the original is not read"},
		kinds: []kind{kindInt, kindNumeric, kindFloat, kindMoney, kindText},
		options: []option{
			{name: "min", kind: optNumber, required: true, doc: "the least number"},
			{name: "max", kind: optNumber, required: true, doc: "the greatest number"},
			{name: "decimals", kind: optInt, min: 0, max: 12, doc: "digits after the point; as many as min and max have when not given"},
			byOption,
		},
		build: buildRange,
	},
	{
		name:  "latlong",
		doc:   maskerDoc{"the coordinate, in degrees, with the digits behind a few decimals replaced", "no", "place within a grid: 1 decimal is some 11 km, 2 are 1 km", "the grid cell; which rows have equal values"},
		kinds: []kind{kindFloat, kindNumeric, kindPoint, kindText},
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
	},
}

// decimal is a number as it is written: digits before and after the point,
// and an exponent as written, e included.
type decimal struct {
	neg       bool
	special   bool // NaN, Infinity, -Infinity
	whole     []byte
	fraction  []byte
	exponent  []byte
	signBytes int
}

// power is the exponent's value, within what floating-point numbers have.
func (d *decimal) power() int {
	if len(d.exponent) == 0 {
		return 0
	}
	e, neg := d.exponent[1:], false
	if e[0] == '-' || e[0] == '+' {
		neg = e[0] == '-'
		e = e[1:]
	}
	n := 0
	for _, c := range e {
		n = min(n*10+int(c-'0'), 1000)
	}
	if neg {
		return -n
	}
	return n
}

// intDigits counts the digits before the point, without leading zeros.
func (d *decimal) intDigits() int { return len(bytes.TrimLeft(d.whole, "0")) }

// maxDecimal is from how many bytes on no number of PostgreSQL's is as long: a
// numeric has at most 131072 digits before its point and 16383 behind it.
const maxDecimal = 150_000

// parseDecimal reads what PostgreSQL writes for numbers, and JSON's.
func parseDecimal(b []byte) (d decimal, ok bool) {
	if len(b) > maxDecimal {
		return d, false
	}
	switch string(b) {
	case "NaN", "Infinity", "-Infinity":
		return decimal{special: true}, true
	}
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		d.neg, d.signBytes = b[0] == '-', 1
		b = b[1:]
	}
	n := digitsLen(b)
	d.whole, b = b[:n], b[n:]
	if len(b) > 0 && b[0] == '.' {
		n = digitsLen(b[1:])
		d.fraction, b = b[1:1+n], b[1+n:]
	}
	if len(d.whole) == 0 && len(d.fraction) == 0 {
		return d, false
	}
	if len(b) > 0 && (b[0] == 'e' || b[0] == 'E') {
		e := b[1:]
		if len(e) > 0 && (e[0] == '-' || e[0] == '+') {
			e = e[1:]
		}
		if n = digitsLen(e); n == 0 || n != len(e) {
			return d, false
		}
		d.exponent, b = b, nil
	}
	return d, len(b) == 0
}

func digitsLen(b []byte) int {
	n := 0
	for n < len(b) && isDigit(b[n]) {
		n++
	}
	return n
}

const notNumber = reason("the value is not a number")

// mantissaDigits is how many leading digits number_noise counts with; those
// behind become random.
const mantissaDigits = 17

type noise struct {
	keyed
	stream  *prf
	percent uint64
	amount  []byte // digits, with amountScale of them behind the point
	scale   int
	max     uint64  // largest magnitude of an integer type, 0: none
	digits  int     // most digits before the point of a numeric, 0: any
	float   float64 // largest magnitude of a floating-point type, 0: none
	length  int
	padding
}

func (m *noise) mask(s *scratch, dst, value []byte) ([]byte, error) {
	value = m.cut(value)
	d, ok := parseDecimal(value)
	if !ok && len(value) > 0 {
		return dst, notNumber
	}
	if d.special || len(value) == 0 {
		return append(dst, value...), nil
	}
	// The number is its first digits (mant) and then some more.
	buf := s.buf()
	defer s.release()
	all := append(append(*buf, d.whole...), d.fraction...)
	*buf = all
	lead := 0
	for lead < len(all) && all[lead] == '0' {
		lead++
	}
	if lead == len(all) {
		return append(dst, value...), nil // zero
	}
	end := min(len(all), lead+mantissaDigits)
	var mant uint64
	for _, c := range all[lead:end] {
		mant = mant*10 + uint64(c-'0')
	}
	rest := len(all) - end
	t := m.tag(s, value)
	power := d.power()
	limit := m.limit(mant, len(d.fraction)-rest-power)
	delta, _ := bits.Mul64(t.hi, limit)
	delta++
	down := t.lo&1 == 0 && delta < mant // never to zero: a domain may want a sign
	if !down && !m.fits(mant+delta, rest, len(d.fraction), power) {
		down = true
		delta = min(delta, mant)
	}
	if down {
		mant -= delta
	} else {
		mant += delta
	}
	start := len(dst)
	if d.neg && mant > 0 {
		dst = append(dst, '-')
	}
	// Write mant and rest digits with the point where it was.
	at := len(dst)
	dst = strconv.AppendUint(dst, mant, 10)
	if rest > 0 {
		st := newStream(s, m.stream, t)
		for range rest {
			dst = append(dst, '0'+st.byte()%10)
		}
	}
	if f := len(d.fraction); f > 0 {
		for len(dst)-at <= f { // 5 with two decimals is 0.05
			dst = append(dst, 0)
			copy(dst[at+1:], dst[at:])
			dst[at] = '0'
		}
		dst = append(dst, 0)
		copy(dst[len(dst)-f:], dst[len(dst)-f-1:])
		dst[len(dst)-f-1] = '.'
	}
	dst = append(dst, d.exponent...)
	if m.length > 0 && len(dst)-start > m.length {
		return dst[:start], reason("the mask is longer than the column takes")
	}
	return dst, nil
}

// limit is the largest change of a mantissa whose last digit stands scale
// digits behind the point.
func (m *noise) limit(mant uint64, scale int) uint64 {
	if m.amount == nil {
		hi, lo := bits.Mul64(mant, m.percent)
		q, _ := bits.Div64(hi, lo, 100)
		return max(1, q)
	}
	var v uint64
	for i := range len(m.amount) - m.scale + scale {
		var c uint64
		if i < len(m.amount) {
			c = uint64(m.amount[i] - '0')
		}
		if v > math.MaxInt64/10-10 {
			break
		}
		v = v*10 + c
	}
	return max(1, min(v, 1e17))
}

// fits reports whether a magnitude fits the column's type.
func (m *noise) fits(mant uint64, rest, fraction, power int) bool {
	if m.float > 0 {
		// In two steps, for neither power may overflow alone.
		return float64(mant+1)*math.Pow10(rest-fraction)*math.Pow10(power) < m.float
	}
	if m.max > 0 && fraction == 0 {
		for range rest {
			hi, lo := bits.Mul64(mant, 10)
			if hi > 0 || lo > math.MaxUint64-9 {
				return false
			}
			mant = lo + 9
		}
		return mant <= m.max
	}
	if m.digits > 0 {
		n := rest - fraction
		for ; mant > 0; mant /= 10 {
			n++
		}
		return n <= m.digits
	}
	return true
}

func buildNoise(t *target, r *rule) (transform, traits, error) {
	switch t.kind {
	case kindInterval:
		return buildIntervalNoise(t, r)
	case kindRange:
		return buildRangeNoise(t, r)
	}
	m := &noise{keyed: t.keyed("number_noise"), stream: t.stream("number_noise"), percent: 10, length: t.length, padding: t.padding()}
	if r.has("percent") {
		m.percent = uint64(r.int("percent"))
	}
	if r.has("amount") {
		d, _ := parseDecimal([]byte(r.text("amount")))
		if d.neg || d.exponent != nil {
			return nil, traits{}, errors.New("amount must be a positive number without an exponent")
		}
		m.amount, m.scale = append(bytes.Clone(d.whole), d.fraction...), len(d.fraction)
	}
	if !t.inside {
		if t.kind == kindInt {
			m.max = 1<<(intBits(t.column.BaseType)-1) - 1
		}
		if t.kind == kindFloat {
			m.float = math.MaxFloat64
			if t.column.BaseType == "float4" {
				m.float = math.MaxFloat32
			}
		}
		if c := t.column; t.kind == kindNumeric && c.Precision > 0 {
			m.digits = c.Precision - c.Scale
			if m.digits <= 0 {
				return nil, traits{}, errors.New("number_noise does not take a numeric whose scale is its precision or more: use number_range")
			}
		}
	}
	tr := traits{clean: true, kept: []string{"rough value"}}
	if t.kind == kindMoney {
		m.digits = 16 // below 2^63 cents
		tf, err := t.lenient(&moneyNoise{m}, r)
		return tf, tr, err
	}
	tf, err := t.lenient(m, r)
	return tf, tr, err
}

type uniform struct {
	drawer
	low      int64 // in units of the last decimal
	n        uint64
	decimals int
}

func (m *uniform) mask(s *scratch, dst, value []byte) ([]byte, error) {
	if len(value) == 0 && !m.byEntity {
		return dst, nil
	}
	off, _ := bits.Mul64(m.draw(s, value).hi, m.n)
	return appendUnits(dst, m.low+int64(off), m.decimals), nil
}

func pow10(n int) int64 {
	p := int64(1)
	for range n {
		p *= 10
	}
	return p
}

func buildRange(t *target, r *rule) (transform, traits, error) {
	least, _ := parseDecimal([]byte(r.text("min")))
	most, _ := parseDecimal([]byte(r.text("max")))
	m := &uniform{decimals: max(len(least.fraction), len(most.fraction))}
	if r.has("decimals") {
		m.decimals = r.int("decimals")
	}
	if t.kind == kindInt && m.decimals > 0 {
		return nil, traits{}, errors.New("the column takes whole numbers, give min and max without decimals")
	}
	if c := t.column; t.kind == kindNumeric && !t.inside && c.Precision > 0 {
		m.decimals = min(m.decimals, max(0, c.Scale))
		if n := max(least.intDigits(), most.intDigits()); n > c.Precision-c.Scale {
			return nil, traits{}, fmt.Errorf("min and max do not fit numeric(%d,%d)", c.Precision, c.Scale)
		}
	}
	low, ok1 := least.units(m.decimals)
	high, ok2 := most.units(m.decimals)
	if !ok1 || !ok2 || low > high {
		return nil, traits{}, errors.New("min must not be above max, and both must be below 10^18 with their decimals and without an exponent")
	}
	if t.kind == kindInt && !t.inside {
		bits := intBits(t.column.BaseType)
		if low < -1<<(bits-1) || high > 1<<(bits-1)-1 {
			return nil, traits{}, fmt.Errorf("min and max do not fit %s", t.column.BaseType)
		}
	}
	if n := len(strconv.FormatInt(high, 10)) + len(strconv.FormatInt(low, 10)) + 2; t.length > 0 && n > t.length {
		return nil, traits{}, t.tooLong("number_range", n)
	}
	m.low, m.n = low, uint64(high-low)+1
	var tr traits
	var err error
	m.drawer, tr, err = t.drawer(r)
	tr.clean = true
	return m, tr, err
}

// units is the number in units of 10^-decimals; further decimals are cut off.
func (d *decimal) units(decimals int) (int64, bool) {
	if d.exponent != nil || d.special || len(d.whole)+decimals > 18 {
		return 0, false
	}
	var v int64
	for _, c := range d.whole {
		v = v*10 + int64(c-'0')
	}
	for i := range decimals {
		v *= 10
		if i < len(d.fraction) {
			v += int64(d.fraction[i] - '0')
		}
	}
	if d.neg {
		v = -v
	}
	return v, true
}

// digits masks a number inside JSON whose rule says nothing on numbers: every
// digit becomes another, the number of digits stays.
type digits struct {
	keyed
	stream *prf
}

// longExponent is from how many bytes on an exponent is no magnitude that any
// program knows, but may be somebody's number, and is masked.
const longExponent = len("e-9999")

func (m *digits) mask(s *scratch, dst, value []byte) ([]byte, error) {
	st := newStream(s, m.stream, m.tag(s, value))
	first, exponent := true, false
	for i, c := range value {
		switch {
		case c == 'e' || c == 'E':
			exponent = len(value)-i <= longExponent
			first = !exponent
		case isDigit(c) && !exponent:
			// A whole part of several digits must not start with zero.
			if first && i+1 < len(value) && isDigit(value[i+1]) {
				c = '1' + st.byte()%9
			} else {
				c = '0' + st.byte()%10
			}
			first = false
		}
		dst = append(dst, c)
	}
	return dst, nil
}

type latlong struct {
	keyed
	stream   *prf
	decimals int
	padding
}

const notCoordinate = reason("the value is not a coordinate in degrees")

func (m *latlong) mask(s *scratch, dst, value []byte) ([]byte, error) {
	value = m.cut(value)
	if len(value) == 0 {
		return dst, nil
	}
	start := len(dst)
	st := newStream(s, m.stream, m.tag(s, value))
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
