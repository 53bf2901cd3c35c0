package mask

import "math/bits"

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

func (p *permutation) apply(ws *workspace, x uint64) uint64 {
	for {
		if x = p.once(ws, x); x < p.n {
			return x
		}
	}
}

// once permutes the numbers of a+b bits.
func (p *permutation) once(ws *workspace, x uint64) uint64 {
	l, r := x>>p.b, x&(1<<p.b-1)
	la, lb := p.a, p.b
	for i := range uint64(feistelRounds) {
		f := p.prf.one(ws, p.tweak|i, r).lo
		l, r = r, (l^f)&(1<<la-1)
		la, lb = lb, la
	}
	return l<<p.b | r
}
