package mask

import (
	"encoding/binary"
	"errors"
	"regexp"
	"regexp/syntax"
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

// appendShape appends value, which is not read again, with letters and digits
// replaced. A character beyond ASCII becomes a letter, of its case if it has one,
// or a space.
func appendShape(dst, value []byte, st *stream) []byte {
	if !st.s.own {
		dst, _ = appendShapeUntil(dst, value, 0, st)
		return dst
	}
	for rest, done := value, 0; len(rest) > 0; done = st.s.passed(value, done, len(value)-len(rest)) {
		dst, rest = appendShapeUntil(dst, rest, max(0, len(rest)-passedStep), st)
	}
	return dst
}

// appendShapeUntil is appendShape until so many bytes of value are left, or
// somewhat fewer, which it returns.
func appendShapeUntil(dst, value []byte, left int, st *stream) (masked, rest []byte) {
	dst = slices.Grow(dst, len(value)+8)
	for len(value) > left {
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
	return dst, value
}

// regex is masker regex. It allocates: the standard library's matcher does.
type regex struct {
	re       *regexp.Regexp
	replace  []byte
	groups   int // that replace names: copies of a match, at most
	with     transform
	anchored bool
	padding
	// again finds a match behind the first character of a text, where the pattern
	// asks for what stands before it; otherwise it is nil.
	again *regexp.Regexp
}

const noMatch = reason("the pattern does not match the whole value: widen it, set `malformed`, or use text")

func (m *regex) mask(s *scratch, dst, value []byte) ([]byte, error) {
	value = m.cut(value)
	if len(value) == 0 {
		return dst, nil
	}
	if len(value) > largeRow {
		return m.maskLarge(s, dst, value)
	}
	start := len(dst)
	var matches [][]int
	if !m.anchored {
		matches = m.re.FindAllSubmatchIndex(value, -1)
	} else if loc := m.re.FindSubmatchIndex(value); loc != nil {
		matches = [][]int{loc}
	} else {
		return dst, noMatch
	}
	from := 0
	for _, loc := range matches {
		dst = append(dst, value[from:loc[0]]...)
		if m.with == nil {
			dst = m.re.Expand(dst, m.replace, value, loc)
		} else {
			var err error
			if dst, err = m.with.mask(s, dst, value[loc[0]:loc[1]]); err != nil {
				return dst[:start], err
			}
		}
		from = loc[1]
	}
	return append(dst, value[from:]...), nil
}

// maskLarge is mask match by match: a list of all of them may take many times the
// value.
func (m *regex) maskLarge(s *scratch, dst, value []byte) ([]byte, error) {
	start, from, done := len(dst), 0, 0
	for at, last := 0, -1; at >= 0; {
		loc := m.find(value, at)
		if loc == nil {
			break
		}
		next := loc[1]
		switch {
		case m.anchored:
			next = -1
		case loc[1] == at: // an empty match: on by a character
			_, width := utf8.DecodeRune(value[at:])
			if next += width; width == 0 {
				next = -1
			}
		}
		at = next
		if loc[0] == loc[1] && loc[0] == last {
			continue // none right behind another
		}
		last = loc[1]
		// What stays is copied in steps, and a character before the next match is
		// left to look back on.
		for ; loc[0]-from > passedStep; done = s.passed(value, done, from-utf8.UTFMax) {
			dst = append(dst, value[from:from+passedStep]...)
			from += passedStep
		}
		dst = append(dst, value[from:loc[0]]...)
		var err error
		if dst, err = m.maskMatch(s, dst, value, loc); err != nil {
			return dst[:start], err
		}
		from = loc[1]
		done = s.passed(value, done, from-utf8.UTFMax)
		if err = s.grown(len(dst)-start, done, from, len(value)); err != nil {
			return dst[:start], err
		}
	}
	if m.anchored && from == 0 {
		return dst, noMatch
	}
	return s.appendPassed(dst, value[from:]), nil
}

// maskMatch appends what is written for a match in a large value.
func (m *regex) maskMatch(s *scratch, dst, value []byte, loc []int) ([]byte, error) {
	match := value[loc[0]:loc[1]]
	if m.with == nil {
		if err := s.takes(int64(m.groups) * int64(len(match))); err != nil {
			return dst, err
		}
		return m.re.Expand(dst, m.replace, value, loc), nil
	}
	if !s.lies(match) {
		return m.with.mask(s, dst, match)
	}
	// The next match may look back on the end of this one.
	end := match[len(match)-utf8.UTFMax:]
	kept := [utf8.UTFMax]byte(end)
	dst, err := s.large(m.with, dst, match)
	copy(end, kept[:])
	return dst, err
}

// find returns the first match that begins at a place or behind it, as
// regexp.FindSubmatchIndex does.
func (m *regex) find(value []byte, at int) []int {
	re, from, skip := m.re, at, 0
	if m.again != nil && at > 0 {
		_, width := utf8.DecodeLastRune(value[:at])
		re, from, skip = m.again, at-width, 2 // its first group is the pattern
	}
	loc := re.FindSubmatchIndex(value[from:])
	if loc == nil {
		return nil
	}
	loc = loc[skip:]
	for i := range loc {
		if loc[i] >= 0 {
			loc[i] += from
		}
	}
	return loc
}

// refuses reports whether the pattern is one that does not match a value.
func (m *regex) refuses(value []byte) bool { return m.anchored && !m.re.Match(m.cut(value)) }

// certain reports whether every value that is not refused is masked.
func (m *regex) certain() bool {
	switch m.with.(type) {
	case nil, *shape, *words, *phrase, *hash, *username, *url, *street, *uuidMask, *postcode, constant, *choice:
		return true
	}
	return false
}

// looksBack reports whether a regular expression asks for what stands before a
// match.
func looksBack(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpBeginLine, syntax.OpBeginText, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return true
	}
	return slices.ContainsFunc(re.Sub, looksBack)
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

// again compiles regex.again for the rule's pattern.
func (r *rule) again() (*regexp.Regexp, error) {
	re, err := syntax.Parse(r.text("pattern"), syntax.Perl)
	if err != nil || r.flag("anchored") || !looksBack(re) {
		return nil, err
	}
	// The earliest match behind a first character is what .*? prefers. A pattern
	// may be one only by itself; as it is written again it is one anywhere.
	return regexp.Compile(`\A(?s:.)(?s:.*?)(` + re.String() + `)`)
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
	if m.again, err = r.again(); err != nil {
		return nil, traits{}, err
	}
	m.groups = strings.Count(strings.ReplaceAll(string(m.replace), "$$", ""), "$")
	tr := traits{remedy: "use hash"}
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
		m.with, tr.entity = tf, sr.entity
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
