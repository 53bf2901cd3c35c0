package mask

import (
	"bytes"
	"errors"
	"math"
	"math/bits"
	"strconv"
)

var numberNoiseMasker = &masker{
	name:   "number_noise",
	doc:    maskerDoc{"the number, more or less some percent or amount; an interval some percent longer or shorter; both bounds of a range of numbers moved alike", "no", "sign, number of decimals, order roughly; zero stays zero, but for bounds; infinity", "the rough value; which rows have equal values"},
	kinds:  []kind{kindInt, kindNumeric, kindFloat, kindMoney, kindInterval, kindRange, kindText},
	digits: true,
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
}

const notNumber = reason("the value is not a number")

// mantissaDigits is how many leading digits number_noise computes with; the rest
// become random.
const mantissaDigits = 17

type numberNoise struct {
	keyed
	stream  *prf
	percent uint64
	amount  []byte // digits, scale of them behind the point
	scale   int
	max     uint64  // largest magnitude of an integer type, 0: none
	digits  int     // most digits before the point of a numeric, 0: any
	float   float64 // largest magnitude of a floating-point type, 0: none
	length  int
	padding
}

func (m *numberNoise) mask(ws *workspace, dst, value []byte) ([]byte, error) {
	value = m.cut(value)
	d, ok := parseDecimal(value)
	if !ok && len(value) > 0 {
		return dst, notNumber
	}
	if d.special || len(value) == 0 {
		return append(dst, value...), nil
	}
	// The number is its first digits (mant) and then some more.
	buf := ws.buf()
	defer ws.release()
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
	t := m.tag(ws, value)
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
		st := newStream(ws, m.stream, t)
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
func (m *numberNoise) limit(mant uint64, scale int) uint64 {
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
func (m *numberNoise) fits(mant uint64, rest, fraction, power int) bool {
	if m.float > 0 {
		// In two steps, so that neither power overflows by itself.
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
	m := &numberNoise{keyed: t.keyed("number_noise"), stream: t.stream("number_noise"), percent: 10, length: t.length, padding: t.padding()}
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
