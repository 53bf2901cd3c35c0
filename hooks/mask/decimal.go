package mask

import (
	"bytes"
	"math/bits"
	"strconv"
)

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

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

// maxDecimal is more bytes than any number of PostgreSQL's has: a numeric has at most
// 131072 digits before its point and 16383 behind it.
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

func pow10(n int) int64 {
	p := int64(1)
	for range n {
		p *= 10
	}
	return p
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

// parseUint reads decimal digits that fit 64 bits.
func parseUint(b []byte) (uint64, bool) {
	if len(b) == 0 || len(b) > 19 {
		return 0, false
	}
	var v uint64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		v = v*10 + uint64(c-'0')
	}
	return v, true
}

// compare orders two numbers without exponents.
func (d *decimal) compare(o *decimal) int {
	zero := func(d *decimal) bool { return d.intDigits() == 0 && len(bytes.TrimRight(d.fraction, "0")) == 0 }
	if zero(d) && zero(o) {
		return 0
	}
	dn, on := d.neg && !zero(d), o.neg && !zero(o)
	if dn != on {
		if dn {
			return -1
		}
		return 1
	}
	c := len(bytes.TrimLeft(d.whole, "0")) - len(bytes.TrimLeft(o.whole, "0"))
	if c == 0 {
		c = bytes.Compare(bytes.TrimLeft(d.whole, "0"), bytes.TrimLeft(o.whole, "0"))
	}
	if c == 0 {
		c = bytes.Compare(bytes.TrimRight(d.fraction, "0"), bytes.TrimRight(o.fraction, "0"))
	}
	if dn {
		return -c
	}
	return c
}
