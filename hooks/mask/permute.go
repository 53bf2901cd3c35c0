package mask

import (
	"errors"
	"math/bits"
	"strconv"
)

// permutation is a keyed permutation of the numbers below n: a Feistel network
// of ten rounds whose round function is AES, walked until the result is below
// n (Black and Rogaway, "Ciphers with Arbitrary Finite Domains", CT-RSA 2002).
// Under a PRF four rounds are indistinguishable from random for few queries;
// ten leave a margin for small domains, where half the width is only a few
// bits.
type permutation struct {
	prf   *prf
	n     uint64
	tweak uint64
	a, b  uint // bits of the left and the right half
}

const feistelRounds = 10

func newPermutation(p *prf, n, tweak uint64) permutation {
	width := uint(max(2, bits.Len64(n-1)))
	return permutation{prf: p, n: n, tweak: tweak << 8, a: width / 2, b: width - width/2}
}

func (p *permutation) apply(s *scratch, x uint64) uint64 {
	for {
		if x = p.once(s, x); x < p.n {
			return x
		}
	}
}

// once permutes the numbers of a+b bits.
func (p *permutation) once(s *scratch, x uint64) uint64 {
	l, r := x>>p.b, x&(1<<p.b-1)
	la, lb := p.a, p.b
	for i := range uint64(feistelRounds) {
		f := p.prf.one(s, p.tweak|i, r).lo
		l, r = r, (l^f)&(1<<la-1)
		la, lb = lb, la
	}
	return l<<p.b | r
}

// zones are the bounds that key keeps numbers within: one below the upper
// bound stays below it. They do not depend on the column's type, so that a
// bigint that references an integer agrees with it, and they leave each type
// room for new numbers above what sequences have given out so far.
var zones = [...]uint64{1, 1 << 14, 1 << 15, 1 << 30, 1 << 31, 1 << 52, 1 << 63}

type keyMask struct {
	zone [2][len(zones) - 1]permutation // positive, negative
	bits int
}

func (k *keyMask) mask(s *scratch, dst, value []byte) ([]byte, error) {
	neg := len(value) > 0 && value[0] == '-'
	digits := value
	if neg {
		digits = value[1:]
	}
	v, ok := parseUint(digits)
	if !ok {
		return dst, reason("the value is not a whole number that masker key can permute")
	}
	if v == 0 {
		return append(dst, '0'), nil
	}
	if v >= 1<<(k.bits-1) {
		return dst, reason("the value is the least of its type, masker key cannot permute it")
	}
	sign := 0
	if neg {
		sign = 1
		dst = append(dst, '-')
	}
	for i := range k.zone[sign] {
		if v < zones[i+1] {
			v = zones[i] + k.zone[sign][i].apply(s, v-zones[i])
			break
		}
	}
	return strconv.AppendUint(dst, v, 10), nil
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

func buildKey(t *target, _ *rule) (transform, traits, error) {
	k := &keyMask{bits: 64}
	if t.kind == kindInt && t.column.BaseType != "" && !t.inside {
		k.bits = intBits(t.column.BaseType)
	}
	if c := t.column; t.kind == kindNumeric && !t.inside && c.Precision > 0 && (c.Precision < 19 || c.Scale != 0) {
		return nil, traits{}, errors.New("key takes numeric only without a precision or with at least 19 digits and scale 0")
	}
	p := t.stream("key")
	for sign := range k.zone {
		for i := range k.zone[sign] {
			k.zone[sign][i] = newPermutation(p, zones[i+1]-zones[i], uint64(sign<<4|i))
		}
	}
	return k, traits{injective: true, clean: true}, nil
}
