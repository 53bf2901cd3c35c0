package mask

import (
	"encoding/binary"
	"slices"
	"unicode"
	"unicode/utf8"
)

var textMasker = &masker{
	name:  "text",
	doc:   maskerDoc{"pronounceable nonsense: every letter another letter, every digit another digit", "no", "length in characters, upper and lower case, spaces and ASCII punctuation", "length and shape (that something was an address, a date, a sentence); which rows have equal values"},
	kinds: []kind{kindText},
	build: func(t *target, _ *rule) (transform, traits, error) {
		return newTextMask(t), traits{shaped: true, remedy: "use hash"}, nil
	},
}

// textMask is masker text.
type textMask struct {
	keyed
	stream *prf
}

func newTextMask(t *target) *textMask { return &textMask{t.keyed("text"), t.stream("text")} }

func (m *textMask) mask(ws *workspace, dst, value []byte) ([]byte, error) {
	if len(value) == 0 {
		return dst, nil
	}
	st := newStream(ws, m.stream, m.tag(ws, value))
	return appendShape(dst, value, &st), nil
}

// What happens to each ASCII byte, as bit masks, so that the loop has no branch: it
// becomes a letter or a digit, or stays.
var isLetterMask, isDigitMask, isOtherMask [256]byte

// shapeLetter maps a random byte to a letter: consonants at even places,
// vowels at odd ones.
var shapeLetter [2][256]byte

// shapeDigit maps a random byte to a digit.
var shapeDigit [256]byte

var _ = func() bool {
	for c := range 128 {
		switch {
		case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z':
			isLetterMask[c] = 0xff
		case '0' <= c && c <= '9':
			isDigitMask[c] = 0xff
		default:
			isOtherMask[c] = 0xff
		}
	}
	const consonants, vowels = "bcdfghjklmnprstvwz", "aeiou"
	for b := range 256 {
		shapeLetter[0][b] = consonants[b*len(consonants)/256]
		shapeLetter[1][b] = vowels[b*len(vowels)/256]
		shapeDigit[b] = byte('0' + b*10/256)
	}
	return true
}()

func shapeByte(c, random byte, at int) byte {
	letter := shapeLetter[at&1][random] ^ (c&0x20 ^ 0x20)
	return letter&isLetterMask[c] | shapeDigit[random]&isDigitMask[c] | c&isOtherMask[c]
}

// appendShape appends value with letters and digits replaced. A character beyond
// ASCII becomes a letter, of its case if it has one, or a space.
func appendShape(dst, value []byte, st *stream) []byte {
	dst = slices.Grow(dst, len(value)+8)
	for len(value) > 0 {
		w := st.next()
		if len(value) >= 8 {
			v := binary.LittleEndian.Uint64(value)
			if v&0x8080808080808080 == 0 {
				n := len(dst)
				out := dst[n : n+8]
				_ = out[7]
				out[0] = shapeByte(byte(v), byte(w), 0)
				out[1] = shapeByte(byte(v>>8), byte(w>>8), 1)
				out[2] = shapeByte(byte(v>>16), byte(w>>16), 0)
				out[3] = shapeByte(byte(v>>24), byte(w>>24), 1)
				out[4] = shapeByte(byte(v>>32), byte(w>>32), 0)
				out[5] = shapeByte(byte(v>>40), byte(w>>40), 1)
				out[6] = shapeByte(byte(v>>48), byte(w>>48), 0)
				out[7] = shapeByte(byte(v>>56), byte(w>>56), 1)
				dst = dst[:n+8]
				value = value[8:]
				continue
			}
		}
		for i := 0; i < 8 && len(value) > 0; i++ {
			c := value[0]
			if c < utf8.RuneSelf {
				dst = append(dst, shapeByte(c, byte(w), i))
				value = value[1:]
			} else {
				r, n := utf8.DecodeRune(value)
				like := byte('a')
				switch {
				case unicode.IsUpper(r):
					like = 'A'
				case unicode.IsSpace(r):
					like = ' '
				case unicode.IsDigit(r):
					like = '0'
				}
				dst = append(dst, shapeByte(like, byte(w), i))
				value = value[n:]
			}
			w >>= 8
		}
	}
	return dst
}
