package mask

import (
	"errors"
	"fmt"
)

var arrayMasker = &masker{
	name:  "array",
	doc:   maskerDoc{"the array with each element masked", "no", "number and order of elements, what the element's masker keeps", "the number of elements, and what the element's masker lets learn"},
	kinds: []kind{kindArray},
	options: []option{
		{name: "of", kind: optRule, required: true, doc: "the rule for elements"},
		malformed,
	},
	build: buildArray,
}

type array struct {
	of transform
	at innerPlace
}

const notArray = reason("the value is not an array")

func (m *array) mask(ws *workspace, dst, value []byte) ([]byte, error) {
	start := len(dst)
	pos := 0
	if len(value) > 0 && value[0] == '[' { // bounds: [0:2]={...}
		for pos < len(value) && value[pos] != '=' {
			pos++
		}
		pos++
	}
	if pos >= len(value) || value[pos] != '{' || value[len(value)-1] != '}' {
		return dst, notArray
	}
	dst = append(dst, value[:pos]...)
	elem, mask := ws.buf(), ws.buf()
	defer ws.release()
	defer ws.release()
	for pos < len(value) {
		switch c := value[pos]; c {
		case '{', '}', ',':
			dst = append(dst, c)
			pos++
			continue
		}
		var quoted bool
		*elem, pos, quoted = arrayElement((*elem)[:0], value, pos)
		if pos < 0 {
			return dst[:start], notArray
		}
		if !quoted && isNullWord(*elem) {
			dst = append(dst, "NULL"...)
			continue
		}
		var err error
		if *mask, err = m.of.mask(ws, (*mask)[:0], *elem); err == nil {
			dst = appendElement(dst, *mask, arraySigns)
		}
		switch {
		case err == errNull: //nolint:errorlint // a sentinel of this package, never wrapped
			dst = append(dst, "NULL"...)
		case err != nil:
			return dst[:start], err
		}
		if err := ws.within(len(dst), pos, len(value)); err != nil {
			return dst[:start], err
		}
	}
	return dst, nil
}

// arrayElement reads one element; pos is negative when it cannot be one.
func arrayElement(dst, b []byte, pos int) (elem []byte, next int, quoted bool) {
	if b[pos] != '"' {
		for pos < len(b) && b[pos] != ',' && b[pos] != '}' {
			switch b[pos] {
			case '\\':
				pos++
			case '"', '{':
				return dst, -1, false
			}
			if pos >= len(b) {
				return dst, -1, false
			}
			dst = append(dst, b[pos])
			pos++
		}
		if pos >= len(b) {
			return dst, -1, false
		}
		return dst, pos, false
	}
	for pos++; pos < len(b); pos++ {
		switch b[pos] {
		case '"':
			return dst, pos + 1, true
		case '\\':
			pos++
			if pos >= len(b) {
				return dst, -1, true
			}
		}
		dst = append(dst, b[pos])
	}
	return dst, -1, true
}

func isNullWord(b []byte) bool {
	return len(b) == 4 && b[0]|0x20 == 'n' && b[1]|0x20 == 'u' && b[2]|0x20 == 'l' && b[3]|0x20 == 'l'
}

// signs are the bytes because of which a value inside of another is quoted.
type signs [256]bool

var arraySigns, rowSigns = newSigns(`{},`), newSigns(`(),`)

func newSigns(more string) *signs {
	s := &signs{'"': true, '\\': true}
	for c := range byte(' ' + 1) {
		s[c] = true
	}
	for _, c := range []byte(more) {
		s[c] = true
	}
	return s
}

func needsQuotes(v []byte, of *signs) bool {
	if len(v) == 0 || of == arraySigns && isNullWord(v) {
		return true
	}
	for _, c := range v {
		if of[c] {
			return true
		}
	}
	return false
}

// appendElement writes v as an element of an array or an attribute of a row.
func appendElement(dst, v []byte, of *signs) []byte {
	if needsQuotes(v, of) {
		return appendQuoted(dst, v)
	}
	return append(dst, v...)
}

// appendQuoted writes v in quotes with backslashes, as arrays and hstore do.
func appendQuoted(dst, v []byte) []byte {
	dst = append(dst, '"')
	for _, c := range v {
		if c == '"' || c == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}

func buildArray(t *target, r *rule) (transform, traits, error) {
	of := r.rule("of")
	sub := t.at("element", t.column.elementKind())
	sub.inside = false // elements are bounded as their type is
	tf, et, err := sub.buildRule(of)
	if err != nil {
		return nil, traits{}, fmt.Errorf("elements: %w", err)
	}
	if et.keep {
		return nil, traits{}, errors.New("an array of kept elements is kept: write keep")
	}
	tr := traits{entity: et.entity, depth: et.depth + 1}
	for _, k := range et.kept {
		tr.kept = append(tr.kept, "[*] "+k)
	}
	tf, err = t.lenient(&array{tf, innerPlace{where: "[*]", masker: of.name, guessable: et.guessable(), link: of.link}}, r)
	return tf, tr, err
}
