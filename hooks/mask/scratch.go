package mask

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
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

	// own says that the row is large, and that the value's memory in it may be
	// worked in. forget is told then of parts that nothing reads any more. room is
	// how many bytes there are for what masks take more than what is forgotten, and
	// surplus how many of them the value around the present one has taken.
	own           bool
	forget        func([]byte)
	room, surplus int64

	json   jsonWalk
	bounds boundNoise // of the range that is being masked
}

func newScratch() *scratch { return &scratch{chacha: rand.NewChaCha8([32]byte{})} }

// tooLarge is why a value cannot be masked in the memory there is: beside the row it
// takes so many bytes.
type tooLarge int64

func (e tooLarge) Error() string {
	return fmt.Sprintf("the mask takes %d MB of memory beside the row, which there are not", e>>20)
}

// slack is how many bytes a large value may take without being asked for: what is
// not worth to be forgotten, once for the value and once for one inside.
const slack = 2 * passedStep

// takes fails when there is no room for so many bytes beside a large row.
func (s *scratch) takes(size int64) error {
	if s.own && size > s.room+slack {
		return tooLarge(size)
	}
	return nil
}

// passedStep is how many bytes of a large value are worth to be forgotten.
const passedStep = 1 << 20

// passed is told by transforms that they will not read value before pos again, and
// returns how much of it is forgotten, done at the last call.
func (s *scratch) passed(value []byte, done, pos int) int {
	if !s.own || pos-done < passedStep {
		return done
	}
	s.forget(value[done:pos])
	return pos
}

// grown fails when there is no room for what the mask of a large value of so many
// bytes has grown by: written bytes stand for those before pos, of which the ones
// before done are forgotten.
func (s *scratch) grown(written, done, pos, size int) error {
	if !s.own {
		return nil
	}
	s.surplus = max(0, int64(written-done))
	if s.surplus <= s.room+slack {
		return nil
	}
	return tooLarge(max(s.surplus, int64(written)*int64(size)/int64(pos)-int64(size)))
}

// large is tf.mask for a large value inside of another, which is masked where it
// lies.
func (s *scratch) large(tf transform, dst, value []byte) ([]byte, error) {
	room := s.room
	s.room, s.surplus = s.room-s.surplus, 0
	out, err := tf.mask(s, dst, value)
	s.room = room
	return out, err
}

// place is where a value inside of another that begins at pos is read to: buf, or
// where it lies, as it is never longer than what is written for it.
func (s *scratch) place(buf *[]byte, value []byte, pos int) []byte {
	if s.own {
		return value[pos:pos]
	}
	return (*buf)[:0]
}

// keep takes a buffer back that was read to.
func (s *scratch) keep(buf *[]byte, read []byte) {
	if !s.own {
		*buf = read
	}
}

// lies reports whether a value inside of another is to be masked where it lies, its
// mask straight into the other's: by copies of it nothing is gained.
func (s *scratch) lies(value []byte) bool { return s.own && len(value) > largeRow }

// appendPassed appends a value that stays.
func (s *scratch) appendPassed(dst, value []byte) []byte {
	for s.own && len(value) > passedStep {
		dst = append(dst, value[:passedStep]...)
		s.forget(value[:passedStep])
		value = value[passedStep:]
	}
	return append(dst, value...)
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

// largeRow is from how many bytes on a row's buffers are given back after it.
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
	*buf = e.appendFolded(*buf, value)
	return *buf
}

// appendFolded appends value without the differences between upper and lower case
// that do not count.
func (e equality) appendFolded(dst, value []byte) []byte {
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
	if k.eq.fold && len(value) > largeRow {
		return k.largeTag(s, value)
	}
	buf := s.buf()
	t := k.prf.sum(s, k.eq.canonical(buf, value))
	s.release()
	return t
}

// largeTag is tag without a copy of the value.
func (k *keyed) largeTag(s *scratch, value []byte) tag {
	rest := equality{trim: k.eq.trim}.canonical(nil, value)
	return k.prf.sumOf(s, nil, func(dst []byte) []byte {
		n := min(len(rest), sumPart)
		for n < len(rest) && !utf8.RuneStart(rest[n]) {
			n++
		}
		dst = k.eq.appendFolded(dst, rest[:n])
		rest = rest[n:]
		return dst
	})
}

// tagBytea is tag of the bytea whose bytes are raw, as PostgreSQL writes it.
func (k *keyed) tagBytea(s *scratch, raw []byte) tag { return k.prf.sumHex(s, `\x`, raw) }

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
