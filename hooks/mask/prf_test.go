package mask

import (
	"bytes"
	"crypto/aes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"testing"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The test vectors of RFC 4493, and every length against a plain CMAC.
func TestCMAC(t *testing.T) {
	t.Parallel()
	block, err := aes.NewCipher(unhex(t, "2b7e151628aed2a6abf7158809cf4f3c"))
	if err != nil {
		t.Fatal(err)
	}
	p := &prf{block: block}
	var zero [16]byte
	block.Encrypt(zero[:], zero[:])
	p.k1 = double([2]uint64{binary.BigEndian.Uint64(zero[:8]), binary.BigEndian.Uint64(zero[8:])})
	p.k2 = double(p.k1)
	message := unhex(t, "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710")
	ws := newWorkspace()
	sum := func(m []byte) string {
		g := p.sum(ws, m)
		var b [16]byte
		binary.BigEndian.PutUint64(b[:8], g.hi)
		binary.BigEndian.PutUint64(b[8:], g.lo)
		return hex.EncodeToString(b[:])
	}
	for n, want := range map[int]string{
		0: "bb1d6929e95937287fa37d129b756746", 16: "070a16b46b4d4144f79bdd9dd04a287c",
		40: "dfa66747de9ae63030ca32611497c827", 64: "51f0bebf7e3b9d92fc49741779363cfe",
	} {
		if got := sum(message[:n]); got != want {
			t.Errorf("CMAC of %d bytes is %s, want %s", n, got, want)
		}
	}
	plain := func(m []byte) string {
		k := p.k1
		last := m[len(m)/16*16:]
		if len(m) > 0 && len(last) == 0 {
			last = m[len(m)-16:]
		}
		m = m[:len(m)-len(last)]
		padded := make([]byte, 16)
		copy(padded, last)
		if len(last) < 16 {
			padded[len(last)] = 0x80
			k = p.k2
		}
		var x [16]byte
		for ; len(m) > 0; m = m[16:] {
			for i := range x {
				x[i] ^= m[i]
			}
			block.Encrypt(x[:], x[:])
		}
		var kb [16]byte
		binary.BigEndian.PutUint64(kb[:8], k[0])
		binary.BigEndian.PutUint64(kb[8:], k[1])
		for i := range x {
			x[i] ^= padded[i] ^ kb[i]
		}
		block.Encrypt(x[:], x[:])
		return hex.EncodeToString(x[:])
	}
	for n := range message {
		if got, want := sum(message[:n]), plain(message[:n]); got != want {
			t.Errorf("CMAC of %d bytes is %s, want %s", n, got, want)
		}
	}
}

func TestUniqueCharactersHoldTheTag(t *testing.T) {
	t.Parallel()
	base := tag{0x0123456789abcdef, 0xfedcba9876543210}
	for bit := range 128 {
		flipped := base
		if bit < 64 {
			flipped.hi ^= 1 << bit
		} else {
			flipped.lo ^= 1 << (bit - 64)
		}
		same := bytes.Equal(base.appendUnique(nil), flipped.appendUnique(nil))
		if spare := bit >= 64 && bit < 64+28; same != spare {
			t.Errorf("bit %d: written %v", bit, !same)
		}
		if spare := flipped.rest() != base.rest(); spare != (bit >= 64 && bit < 64+28) {
			t.Errorf("bit %d: in the rest %v", bit, spare)
		}
	}
}

// The masks of a value are part of the product: a change here makes every
// snapshot's masks differ from the next one's, and needs another Version.
func TestMasksAreStable(t *testing.T) {
	t.Parallel()
	const version, want = "5", "dc0945441d89569514f4507fbe0bda0a58ab084c8673072a6df4090cc3ec5958"
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		p := properties[name]
		plan, err := tryCompile(t, "tables: {public.t: {columns: {id: keep, a: "+p.rule+"}}}", tableOf("t", "id int8", "a "+p.column))
		if err != nil {
			t.Fatal(err)
		}
		w := plan.Table("public", "t").NewWorker()
		for i := range 50 {
			out, err := w.Append(nil, fmt.Appendf(nil, "%d\t%s", i, p.value(i)))
			if err != nil {
				t.Fatal(err)
			}
			h.Write(out)
		}
	}
	if got := hex.EncodeToString(h.Sum(nil)); Version != version || got != want {
		t.Errorf("masks are %s in version %s, here stand %s and %s: if the change is wanted, raise Version and write both here", got, Version, want, version)
	}
}
