package mask

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"unicode"
	"unicode/utf8"
)

// scratch is the memory that transforms work in: one per worker, reused for
// every value.
type scratch struct {
	block  [16]byte // AES works here
	seed   [32]byte
	chacha *rand.ChaCha8

	bufs []*[]byte
	used int

	// entity is the value of the column that the transform's rule names as
	// its entity, valid while the column is masked.
	entity     []byte
	entityNull bool
	entityBuf  []byte

	// escaped is set by a transform that promised to be shaped and wrote a
	// byte that needs escaping all the same.
	escaped bool

	// most, if set, is how many bytes the row's mask may take.
	most int64

	json   jsonWalk
	bounds boundNoise // of the range that is being masked
}

func newScratch() *scratch { return &scratch{chacha: rand.NewChaCha8([32]byte{})} }

// tooLong is why a large row is not masked: its mask would take more bytes than
// there are, about so many.
type tooLong int64

func (e tooLong) Error() string {
	return fmt.Sprintf("the mask takes about %d MB, for which there is no memory", int64(e)>>20)
}

// within fails when the mask of a large row is longer than there is memory for:
// written bytes of it stand for what comes before pos in a value of size bytes.
func (s *scratch) within(written, pos, size int) error {
	if s.most == 0 || int64(written) <= s.most {
		return nil
	}
	return tooLong(int64(written) * int64(size) / int64(max(pos, 1)))
}

// buf lends an empty buffer until release.
func (s *scratch) buf() *[]byte {
	if s.used == len(s.bufs) {
		b := make([]byte, 0, 256)
		s.bufs = append(s.bufs, &b)
	}
	b := s.bufs[s.used]
	s.used++
	*b = (*b)[:0]
	return b
}

// release takes back the buffer lent last.
func (s *scratch) release() { s.used-- }

// largeRow is from how many bytes on a row is large: its buffers are given back
// after it.
const largeRow = 1 << 20

// shrink gives back the buffers that a large row left.
func (s *scratch) shrink() {
	for _, b := range s.bufs {
		if cap(*b) > largeRow {
			*b = make([]byte, 0, 256)
		}
	}
	if cap(s.entityBuf) > largeRow {
		s.entityBuf = nil
	}
	s.entity = nil
}

// errNull is how a transform asks for NULL.
var errNull = errors.New("the mask is NULL")

// reason is why a value cannot be masked: a sentence without a value in it.
type reason string

func (r reason) Error() string { return string(r) }

// equality says which differences between values do not count.
type equality struct {
	fold  bool // upper and lower case
	ascii bool // of A to Z only
	trim  bool // trailing spaces, in char(n)
	scale bool // zeros behind a point, in numeric
}

// canonical returns value in the form that stands for its class. The result
// may share value's memory or the buffer's.
func (e equality) canonical(buf *[]byte, value []byte) []byte {
	if e.trim {
		for len(value) > 0 && value[len(value)-1] == ' ' {
			value = value[:len(value)-1]
		}
	}
	if e.scale && bytes.IndexByte(value, '.') >= 0 && bytes.IndexByte(value, 'e') < 0 {
		value = bytes.TrimRight(bytes.TrimRight(value, "0"), ".")
	}
	if !e.fold {
		return value
	}
	dst := slices.Grow(*buf, len(value))
	for i := 0; i < len(value); {
		c := value[i]
		if c < utf8.RuneSelf {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			dst = append(dst, c)
			i++
			continue
		}
		r, n := utf8.DecodeRune(value[i:])
		if e.ascii || r == utf8.RuneError && n == 1 {
			dst = append(dst, value[i:i+n]...)
		} else {
			dst = utf8.AppendRune(dst, unicode.ToLower(r))
		}
		i += n
	}
	*buf = dst
	return dst
}

// keyed is a sub-key together with the equality of the group's columns: equal
// values have equal tags.
type keyed struct {
	prf *prf
	eq  equality
}

func (k *keyed) tag(s *scratch, value []byte) tag {
	if !k.eq.fold && !k.eq.trim && !k.eq.scale {
		return k.prf.sum(s, value)
	}
	buf := s.buf()
	t := k.prf.sum(s, k.eq.canonical(buf, value))
	s.release()
	return t
}

// stream is the pseudo-random stream that starts from a tag.
type stream struct {
	s     *scratch
	prf   *prf
	tag   tag
	have  int    // blocks used
	word  uint64 // bits left
	left  int    // bytes left in word
	spare uint64 // the second half of an AES block
	half  bool
	fast  bool
}

// streamBlocks is how many blocks a stream reads before it goes over to
// ChaCha8, the tag included.
const streamBlocks = 4

// newStream starts a stream: the tag itself, then blocks under prf, which must
// be a sub-key used for streams alone.
func newStream(s *scratch, p *prf, t tag) stream { return stream{s: s, prf: p, tag: t} }

// next returns 64 fresh bits.
func (r *stream) next() uint64 {
	if r.half {
		r.half = false
		return r.spare
	}
	if r.fast {
		return r.s.chacha.Uint64()
	}
	switch r.have {
	case 0:
		r.have++
		r.half, r.spare = true, r.tag.lo
		return r.tag.hi
	case streamBlocks:
		r.fast = true
		for i := range 2 {
			r.block()
			copy(r.s.seed[16*i:], r.s.block[:])
		}
		r.s.chacha.Seed(r.s.seed)
		return r.s.chacha.Uint64()
	}
	t := r.block()
	r.half, r.spare = true, t.lo
	return t.hi
}

func (r *stream) block() tag {
	t := r.prf.one(r.s, r.tag.hi, r.tag.lo^uint64(r.have))
	r.have++
	return t
}

// byte returns a fresh byte.
func (r *stream) byte() byte {
	if r.left == 0 {
		r.word, r.left = r.next(), 8
	}
	b := byte(r.word)
	r.word >>= 8
	r.left--
	return b
}
