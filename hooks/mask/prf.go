package mask

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// The keyed function behind every mask.
//
// Each column, declared link group or set of columns joined by foreign keys
// has sub-keys of its own, by HKDF-SHA-256 (RFC 5869) from the policy's key
// with an info string that names the group, the masker and the purpose. Under
// a sub-key, the tag of a value is AES-128-CMAC (RFC 4493, NIST SP 800-38B).
// CMAC is a pseudo-random function for inputs of any length: plain CBC-MAC is
// one only for prefix-free inputs, and CMAC repairs that by adding one of two
// secret masks to the last block, a different one for a full and for a padded
// block (Iwata and Kurosawa, "OMAC: One-Key CBC MAC", FSE 2003). Its advantage
// bound is about 5 q^2 l^2 / 2^128 for q values of l blocks, which is nothing
// at the size of a database. With AES-NI one block costs some 20 ns where an
// HMAC-SHA-256 costs some 270.
//
// Where a masker needs more than the 128 bits of a tag, it reads a stream: the
// tag, then AES in counter mode from the tag (the synthetic IV construction:
// same value, same stream) under another sub-key, and after the first 64 bytes
// ChaCha8 seeded from it.

// tag is the 128-bit PRF output for one value.
type tag struct{ hi, lo uint64 }

// prf is AES-CMAC under one sub-key. It is read-only and may be shared; the
// blocks it works on live in a workspace, because a slice given to a
// cipher.Block escapes.
type prf struct {
	block  cipher.Block
	k1, k2 [2]uint64 // CMAC's masks for a full and for a padded last block
}

// newPRF derives the sub-key that label names.
func newPRF(k Key, label string) *prf {
	sub, err := hkdf.Key(sha256.New, k.secret, []byte("seedling mask"), label, 16)
	if err != nil {
		panic("mask: derive a sub-key: " + err.Error()) // only for impossible lengths
	}
	block, err := aes.NewCipher(sub)
	if err != nil {
		panic("mask: " + err.Error()) // only for impossible lengths
	}
	var zero [16]byte
	block.Encrypt(zero[:], zero[:])
	l := [2]uint64{binary.BigEndian.Uint64(zero[:8]), binary.BigEndian.Uint64(zero[8:])}
	p := &prf{block: block, k1: double(l)}
	p.k2 = double(p.k1)
	return p
}

// double multiplies by x in GF(2^128), as CMAC's key schedule does.
func double(v [2]uint64) [2]uint64 {
	carry := v[0] >> 63
	return [2]uint64{v[0]<<1 | v[1]>>63, v[1]<<1 ^ carry*0x87}
}

// sum returns the CMAC of value.
func (p *prf) sum(ws *workspace, value []byte) tag {
	var hi, lo uint64
	b := &ws.block
	for len(value) > 16 {
		binary.BigEndian.PutUint64(b[:8], hi^binary.BigEndian.Uint64(value))
		binary.BigEndian.PutUint64(b[8:], lo^binary.BigEndian.Uint64(value[8:]))
		p.block.Encrypt(b[:], b[:])
		hi, lo = binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
		value = value[16:]
	}
	if len(value) == 16 {
		hi ^= binary.BigEndian.Uint64(value) ^ p.k1[0]
		lo ^= binary.BigEndian.Uint64(value[8:]) ^ p.k1[1]
	} else {
		vhi, vlo := lastBlock(value)
		hi ^= vhi ^ p.k2[0]
		lo ^= vlo ^ p.k2[1]
	}
	binary.BigEndian.PutUint64(b[:8], hi)
	binary.BigEndian.PutUint64(b[8:], lo)
	p.block.Encrypt(b[:], b[:])
	return tag{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// lastBlock pads fewer than 16 bytes with 10...0.
func lastBlock(v []byte) (hi, lo uint64) {
	if len(v) >= 8 {
		hi = binary.BigEndian.Uint64(v)
		lo = tail(v[8:])
		return hi, lo
	}
	return tail(v), 0
}

// tail reads fewer than 8 bytes, big endian, padded with 10...0.
func tail(v []byte) uint64 {
	var x uint64
	switch n := len(v); {
	case n >= 4:
		x = uint64(binary.BigEndian.Uint32(v))<<32 | uint64(binary.BigEndian.Uint32(v[n-4:]))<<(64-8*n)
	case n >= 2:
		x = uint64(binary.BigEndian.Uint16(v))<<48 | uint64(binary.BigEndian.Uint16(v[n-2:]))<<(64-8*n)
	case n == 1:
		x = uint64(v[0]) << 56
	}
	return x | 0x80<<(56-8*len(v))
}

// one returns the PRF of a fixed 16-byte block, one AES call. It must not be
// mixed with sum under the same sub-key: the inputs' domains overlap.
func (p *prf) one(ws *workspace, hi, lo uint64) tag {
	b := &ws.block
	binary.BigEndian.PutUint64(b[:8], hi)
	binary.BigEndian.PutUint64(b[8:], lo)
	p.block.Encrypt(b[:], b[:])
	return tag{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// dice draws numbers from 64 pseudo-random bits: as long as the product of
// the ranges stays far below 2^64, the draws are as good as uniform.
type dice uint64

// n returns a number below limit.
func (d *dice) n(limit int) int {
	hi, lo := bits.Mul64(uint64(*d), uint64(limit))
	*d = dice(lo)
	return int(hi)
}

// between returns a number from lo to hi, both included.
func (d *dice) between(lo, hi int) int { return lo + d.n(hi-lo+1) }

// base32 is the extended hex alphabet in lower case: equal under case folding
// only when equal.
const base32 = "0123456789abcdefghijklmnopqrstuv"

// uniqueLen is how many base32 characters of a tag a masker writes when it
// promises distinct masks: 100 bits, so that a billion values collide with a
// chance below 10^-12.
const uniqueLen = 20

// appendUnique appends uniqueLen characters that hold 100 bits of the tag: all
// of hi and the upper 36 of lo. The lower 28 bits of lo stay free for
// decoration.
func (t tag) appendUnique(dst []byte) []byte {
	// 12 characters from hi (60 bits), 1 from the 4 left and 1 of lo, 7 more.
	hi, lo := t.hi, t.lo
	dst = append(dst,
		base32[hi>>59], base32[hi>>54&31], base32[hi>>49&31], base32[hi>>44&31],
		base32[hi>>39&31], base32[hi>>34&31], base32[hi>>29&31], base32[hi>>24&31],
		base32[hi>>19&31], base32[hi>>14&31], base32[hi>>9&31], base32[hi>>4&31],
		base32[hi&15<<1|lo>>63],
		base32[lo>>58&31], base32[lo>>53&31], base32[lo>>48&31], base32[lo>>43&31],
		base32[lo>>38&31], base32[lo>>33&31], base32[lo>>28&31])
	return dst
}

// rest returns dice for the bits that appendUnique leaves: 28, at the top.
func (t tag) rest() dice { return dice(t.lo << 36) }

// dice returns dice over the upper half of the tag.
func (t tag) dice() dice { return dice(t.hi) }
