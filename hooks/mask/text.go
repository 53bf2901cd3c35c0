package mask

import (
	"encoding/binary"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

var textMaskers = []*masker{
	{
		name:  "text",
		doc:   maskerDoc{"pronounceable nonsense: every letter another letter, every digit another digit", "no", "length in characters, upper and lower case, spaces and ASCII punctuation", "length and shape (that something was an address, a date, a sentence); which rows have equal values"},
		kinds: []kind{kindText},
		build: func(t *target, _ *rule) (transform, traits, error) {
			return newShape(t), traits{shaped: true, remedy: "use hash"}, nil
		},
	},
	{
		name:  "regex",
		doc:   maskerDoc{"the value with what the pattern matches replaced, or masked by another masker", "no", "everything the pattern does not match", "everything the pattern does not match. With `anchored: true` (the default) a value that the pattern does not match as a whole stops the import; with false it passes as it is"},
		kinds: []kind{kindText},
		options: []option{
			{name: "pattern", kind: optString, required: true, doc: "a regular expression in RE2 syntax"},
			{name: "replace", kind: optString, doc: "what to write in place of a match; ${1} stands for a group and passes it unmasked"},
			{name: "with", kind: optRule, doc: "a rule that masks each match, in place of replace"},
			{name: "anchored", kind: optBool, fallback: true, doc: "the pattern must match the whole value"},
			malformed,
		},
		check: func(r *rule) string {
			re, err := r.pattern()
			if err != nil {
				return "pattern is not a regular expression in RE2 syntax: " + err.Error()
			}
			if r.has("replace") == r.has("with") {
				return "give either replace or with"
			}
			if group := missingGroup(re, r.text("replace")); group != "" {
				return "replace names the group " + group + ", which the pattern does not have: write ${1} for a group, and $$ for a dollar"
			}
			return ""
		},
		build: buildRegex,
	},
}

// shape is masker text.
type shape struct {
	keyed
	stream *prf
}

func newShape(t *target) *shape { return &shape{t.keyed("text"), t.stream("text")} }

func (m *shape) mask(s *scratch, dst, value []byte) ([]byte, error) {
	if len(value) == 0 {
		return dst, nil
	}
	st := newStream(s, m.stream, m.tag(s, value))
	return appendShape(dst, value, &st), nil
}

// What shape does to each ASCII byte, as masks, so that the loop has no
// branch: a letter, a digit, or the byte itself.
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

// regex is masker regex. It allocates: the standard library's matcher does.
type regex struct {
	re       *regexp.Regexp
	replace  []byte
	with     transform
	anchored bool
	padding
}

const noMatch = reason("the pattern does not match the whole value: widen it, set `malformed`, or use text")

func (m *regex) mask(s *scratch, dst, value []byte) ([]byte, error) {
	value = m.cut(value)
	switch {
	case len(value) == 0:
		return dst, nil
	case !m.anchored:
		return m.all(s, dst, value)
	}
	match := m.re.FindSubmatchIndex(value)
	switch {
	case match == nil:
		return dst, noMatch
	case m.with == nil:
		return m.re.Expand(dst, m.replace, value, match), nil
	}
	return m.with.mask(s, dst, value)
}

// all masks or replaces every match in a value.
func (m *regex) all(s *scratch, dst, value []byte) ([]byte, error) {
	if m.with == nil {
		return append(dst, m.re.ReplaceAll(value, m.replace)...), nil
	}
	mask := s.buf()
	defer s.release()
	written := 0
	var err error
	out := m.re.ReplaceAllFunc(value, func(match []byte) []byte {
		if err == nil {
			*mask, err = m.with.mask(s, (*mask)[:0], match)
			written += len(*mask)
		}
		if err == nil {
			err = s.within(written, 1, 1)
		}
		if err != nil {
			return nil
		}
		return *mask
	})
	if err != nil {
		return dst, err
	}
	return append(dst, out...), nil
}

// pattern compiles the rule's pattern. One that matches the whole value must be a
// pattern by itself, too.
func (r *rule) pattern() (*regexp.Regexp, error) {
	pattern := r.text("pattern")
	re, err := regexp.Compile(pattern)
	if err != nil || !r.flag("anchored") {
		return re, err
	}
	return regexp.Compile(`\A(?:` + pattern + `)\z`)
}

var groupName = regexp.MustCompile(`\$(?:\$|([A-Za-z0-9_]+)|\{([A-Za-z0-9_]+)\})`)

// missingGroup returns a group that a replacement names and the pattern does not
// have, which would be nothing, or "".
func missingGroup(re *regexp.Regexp, replace string) string {
	for _, m := range groupName.FindAllStringSubmatch(replace, -1) {
		name := m[1] + m[2]
		if name == "" || re.SubexpIndex(name) >= 0 {
			continue
		}
		if n, err := strconv.Atoi(name); err != nil || n > re.NumSubexp() {
			return name
		}
	}
	return ""
}

func buildRegex(t *target, r *rule) (transform, traits, error) {
	m := &regex{anchored: r.flag("anchored"), replace: []byte(r.text("replace")), padding: t.padding()}
	var err error
	if m.re, err = r.pattern(); err != nil {
		return nil, traits{}, err
	}
	tr := traits{depth: 1, remedy: "use hash"}
	if !m.anchored || strings.Contains(string(m.replace), "$") {
		tr.kept = []string{"what regex leaves"}
	}
	if with := r.rule("with"); with != nil {
		sub := t.at("regex", kindText)
		sub.length = 0
		tf, sr, err := sub.buildRule(with)
		if err != nil {
			return nil, tr, err
		}
		if sr.keep {
			tr.kept = append(tr.kept, "what regex matches")
		}
		for _, k := range sr.kept {
			tr.kept = append(tr.kept, "each match's "+k)
		}
		if sr.null {
			return nil, tr, errors.New("with: null is not possible inside a text, use replace")
		}
		m.with, tr.entity, tr.depth = tf, sr.entity, sr.depth+1
	}
	tf, err := t.lenient(m, r)
	if err == nil && t.length > 0 {
		tf = &bounded{tf, t.length, r}
	}
	return tf, tr, err
}

// bounded refuses a mask that is longer than the column takes, for maskers
// whose output's length is not known beforehand.
type bounded struct {
	transform
	length int
	rule   *rule
}

func (b *bounded) mask(s *scratch, dst, value []byte) ([]byte, error) {
	out, err := b.transform.mask(s, dst, value)
	if err == nil && utf8.RuneCount(out[len(dst):]) > b.length {
		return out[:len(dst)], reason("the mask is longer than the column takes")
	}
	return out, err
}
