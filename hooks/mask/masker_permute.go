package mask

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"regexp"
	"regexp/syntax"
)

var permuteMasker = &masker{
	name: "permute",
	doc: maskerDoc{
		"another value of the same shape: `AB-4711` becomes `QX-0295`; in bytea other bytes",
		"yes: a permutation of all values of one shape",
		"length, signs and spaces, which places are letters, capitals and digits",
		"the shape; which rows have equal values. A shape has ten values for each digit times 26 for each letter (256 for each byte): where that is less than a million, whoever knows the originals of most rows can tell the rest. Check digits no longer hold",
	},
	kinds:   []kind{kindText, kindBytea},
	digits:  true,
	options: []option{{name: "pattern", kind: optString, doc: "a regular expression in RE2 syntax, as a CHECK constraint has it: masks of what matches match, too. A literal text that it begins with stays"}},
	check: func(r *rule) string {
		if _, err := regexp.Compile(r.text("pattern")); err != nil {
			return "pattern is not a regular expression in RE2 syntax: " + err.Error()
		}
		return ""
	},
	build: func(t *target, r *rule) (transform, traits, error) {
		m := &permute{padding: t.padding(), bytea: t.kind == kindBytea, fold: t.eq.fold}
		if err := m.hold(r.text("pattern")); err != nil {
			return nil, traits{}, err
		}
		for use, p := range map[string]**prf{"shapes": &m.shapes, "small": &m.small, "rounds": &m.rounds, "streams": &m.streams} {
			*p = newPRF(t.key, "permute\x00"+t.label+"\x00"+use)
		}
		return m, traits{injective: true, shaped: !m.bytea}, nil
	},
}

// permute permutes the values of one shape among themselves, whatever their length.
// Where a shape has few values, they are numbered, and the numbers are permuted.
// Otherwise the string goes through a Feistel network of ten rounds, each of which
// adds to one half, character by character, a stream that depends on the other.
// Letters are permuted as lower case and get their case back, so that masks of
// distinct values stay distinct when case is folded.
type permute struct {
	shapes          *prf // of shapes, which tweak the permutations
	small           *prf
	rounds, streams *prf
	padding
	bytea, fold bool
	pattern     *regexp.Regexp // nil for none
	prefix      []byte         // that its matches begin with
}

// maxPermute is the most bytes that a value may have: no index takes more.
const maxPermute = 8192

const (
	notPermutable = reason("the value has letters beyond ASCII, which masker permute does not know: use hash, or another masker and `indexes`")
	notIndexed    = reason("the value is larger than any that a unique index takes, masker permute does not mask it: use hash or text")
)

func (m *permute) mask(ws *workspace, dst, value []byte) ([]byte, error) {
	cut := m.cut(value)
	if len(cut) > maxPermute {
		return dst, notIndexed
	}
	numerals, radixes := ws.buf(), ws.buf()
	defer ws.release()
	defer ws.release()
	var err error
	if m.bytea {
		err = readBytes(numerals, radixes, cut)
	} else {
		err = readShape(numerals, radixes, cut)
	}
	if err != nil {
		return dst, err
	}
	if m.pattern != nil {
		if dst, err = m.within(ws, dst, cut, *numerals, *radixes); err != nil {
			return dst, err
		}
		return append(dst, value[len(cut):]...), nil
	}
	m.permute(ws, *numerals, *radixes)
	if m.bytea {
		dst = append(dst, '\\', 'x')
		for _, n := range *numerals {
			dst = append(dst, hexDigits[n])
		}
		return dst, nil
	}
	dst = m.write(dst, cut, *numerals, *radixes)
	return append(dst, value[len(cut):]...), nil
}

// write writes the text that numerals stand for, with the signs and the cases of value.
func (m *permute) write(dst, value, numerals, radixes []byte) []byte {
	for i, c := range value {
		switch n := numerals[i]; radixes[i] {
		case 10:
			dst = append(dst, '0'+n)
		case 26:
			if c >= 'a' || m.fold {
				n += 'a' - 'A'
			}
			dst = append(dst, 'A'+n)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// mostWalks bounds how often a value is permuted until its mask matches a pattern.
const mostWalks = 20000

const tooFewMatch = reason("hardly a value of its shape matches `pattern`, among which it could be permuted: use another masker")

// hold reads the pattern that masks match where their originals do.
func (m *permute) hold(pattern string) (err error) {
	switch {
	case pattern == "":
		return nil
	case m.bytea:
		return errors.New("pattern is for text: bytea has none")
	case m.fold:
		return errors.New("pattern cannot be used where upper and lower case mean the same")
	}
	if m.pattern, err = regexp.Compile(pattern); err != nil {
		return err
	}
	m.prefix = literalPrefix(pattern)
	return nil
}

// within permutes a value among those of its shape that match the pattern, or among
// those that do not: it is permuted until one of its own kind comes, which the last of
// its cycle does, itself.
func (m *permute) within(ws *workspace, dst, value, numerals, radixes []byte) ([]byte, error) {
	if bytes.HasPrefix(value, m.prefix) {
		for i := range m.prefix {
			numerals[i], radixes[i] = 0, 1
		}
	}
	matches := m.pattern.Match(value)
	at := len(dst)
	for range mostWalks {
		m.permute(ws, numerals, radixes)
		dst = m.write(dst[:at], value, numerals, radixes)
		if m.pattern.Match(dst[at:]) == matches {
			return dst, nil
		}
	}
	return dst[:at], tooFewMatch
}

// literalPrefix is the text that all matches of a pattern begin with, where it is
// anchored: SA of ^SA[0-9]+$.
func literalPrefix(pattern string) []byte {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil
	}
	re = re.Simplify()
	parts := []*syntax.Regexp{re}
	if re.Op == syntax.OpConcat {
		parts = re.Sub
	}
	if len(parts) < 2 || parts[0].Op != syntax.OpBeginText || parts[1].Op != syntax.OpLiteral || parts[1].Flags&syntax.FoldCase != 0 {
		return nil
	}
	prefix := []byte(string(parts[1].Rune))
	for _, c := range prefix {
		if c >= 0x80 {
			return nil
		}
	}
	return prefix
}

// patternCount is about how many texts match a pattern as a whole, at most: infinite
// where it does not bound their length.
func patternCount(pattern string) float64 {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0
	}
	return matchCount(re)
}

func matchCount(re *syntax.Regexp) float64 {
	count := 1.0
	switch re.Op {
	case syntax.OpNoMatch:
		return 0
	case syntax.OpCharClass:
		count = 0
		for i := 0; i+1 < len(re.Rune); i += 2 {
			count += float64(re.Rune[i+1]-re.Rune[i]) + 1
		}
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return 1 << 7
	case syntax.OpCapture, syntax.OpConcat:
		for _, sub := range re.Sub {
			count *= matchCount(sub)
		}
	case syntax.OpAlternate:
		count = 0
		for _, sub := range re.Sub {
			count += matchCount(sub)
		}
	case syntax.OpQuest:
		return 1 + matchCount(re.Sub[0])
	case syntax.OpStar, syntax.OpPlus:
		return math.Inf(1)
	case syntax.OpRepeat:
		if re.Max < 0 {
			return math.Inf(1)
		}
		return math.Pow(max(matchCount(re.Sub[0]), 1), float64(re.Max))
	}
	return count
}

// readShape reads a text into a numeral for each byte, and how many numerals there
// are for it: one for a sign, which stays.
func readShape(numerals, radixes *[]byte, value []byte) error {
	for _, c := range value {
		n, radix := byte(0), byte(1)
		switch {
		case isDigit(c):
			n, radix = c-'0', 10
		case isLetterMask[c] != 0:
			n, radix = c|0x20-'a', 26
		case c >= 0x80:
			return notPermutable
		}
		*numerals, *radixes = append(*numerals, n), append(*radixes, radix)
	}
	return nil
}

// readBytes reads bytea into a numeral for each half of a byte.
func readBytes(numerals, radixes *[]byte, value []byte) error {
	if len(value) < 2 || value[0] != '\\' || value[1] != 'x' || len(value)%2 != 0 {
		return notBytea
	}
	for _, c := range value[2:] {
		n := c - '0'
		switch {
		case !isHex(c):
			return notBytea
		case !isDigit(c):
			n = c | 0x20 - 'a' + 10
		}
		*numerals, *radixes = append(*numerals, n), append(*radixes, 16)
	}
	return nil
}

// permute permutes the numerals in place.
func (m *permute) permute(ws *workspace, numerals, radixes []byte) {
	tweak := m.shapes.sum(ws, radixes)
	count := uint64(1)
	for _, r := range radixes {
		if count > math.MaxUint64>>6/uint64(r) {
			m.feistel(ws, tweak, numerals, radixes)
			return
		}
		count *= uint64(r)
	}
	if count == 1 {
		return
	}
	var x uint64
	for i, r := range radixes {
		x = x*uint64(r) + uint64(numerals[i])
	}
	p := newPermutation(m.small, count, tweak.hi>>8)
	x = p.apply(ws, x)
	for i := len(radixes) - 1; i >= 0; i-- {
		r := uint64(radixes[i])
		numerals[i] = byte(x % r)
		x /= r
	}
}

// feistel permutes numerals that have too many values for one number.
func (m *permute) feistel(ws *workspace, shape tag, numerals, radixes []byte) {
	half := len(numerals) / 2
	input := ws.buf()
	defer ws.release()
	for round := range feistelRounds {
		from, to, r := numerals[:half], numerals[half:], radixes[half:]
		if round%2 == 1 {
			from, to, r = to, from, radixes[:half]
		}
		b := binary.BigEndian.AppendUint64((*input)[:0], shape.hi)
		b = append(binary.BigEndian.AppendUint64(b, shape.lo), byte(round))
		b = append(b, from...)
		*input = b
		st := newStream(ws, m.streams, m.rounds.sum(ws, b))
		for i := range to {
			to[i] = byte((uint64(to[i]) + st.next()%uint64(r[i])) % uint64(r[i]))
		}
	}
}

// leastShape is how many values a shape must have for the draft to permute
// them: what NIST SP 800-38G asks of format-preserving encryption.
const leastShape = 1e6

// smallShape is how many it must have to be permuted where the alternative is to keep
// the values. Shorter codes are of things: there are hardly so many people.
const smallShape = 1e4

// shapeCount is how many values have the shape of one, at most 1e18, and 0 for
// what cannot be permuted.
func shapeCount(value []byte, bytea bool) float64 {
	var numerals, radixes []byte
	read := readShape
	if bytea {
		read = readBytes
	}
	if len(value) > maxPermute || read(&numerals, &radixes, value) != nil {
		return 0
	}
	count := 1.0
	for _, r := range radixes {
		count = min(count*float64(r), 1e18)
	}
	return count
}
