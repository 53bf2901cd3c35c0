package mask

import (
	"errors"
	"fmt"
	"slices"
)

var nestedMaskers = []*masker{
	{
		name:  "json",
		doc:   maskerDoc{"the document with its strings, numbers and booleans masked, each by the rule for its path; still valid JSON", "no", "structure, member names that look like names, order; what a path keeps", "the structure; a boolean becomes false; the number of digits of numbers"},
		kinds: []kind{kindJSON},
		options: []option{
			{name: "paths", kind: optRules, doc: "rules by path: $.a.b, $.items[*].sku, $.*.name, $ for the whole document. A rule holds for everything below, where no longer path says otherwise"},
			{name: "keys", kind: optRules, doc: "rules by member name, at any depth; a path that leads to the member wins"},
			{name: "unlisted", kind: optString, choices: []string{"mask", "stop"}, fallback: "mask", doc: "what happens to values that no rule covers: masked like text, or the import stops"},
			malformed,
		},
		check: func(r *rule) string {
			for path := range r.rules("paths") {
				if _, err := parseJSONPath(path); err != nil {
					return fmt.Sprintf("path %q: %v", path, err)
				}
			}
			return ""
		},
		build: func(t *target, r *rule) (transform, traits, error) {
			tf, tr, err := buildJSON(t, r)
			if err != nil {
				return nil, tr, err
			}
			tr.shaped = true
			tf, err = t.lenient(tf, r)
			return tf, tr, err
		},
	},
	{
		name:  "array",
		doc:   maskerDoc{"the array with each element masked", "no", "number and order of elements, what the element's masker keeps", "the number of elements, and what the element's masker lets learn"},
		kinds: []kind{kindArray},
		options: []option{
			{name: "of", kind: optRule, required: true, doc: "the rule for elements"},
			malformed,
		},
		build: buildArray,
	},
	{
		name:  "hstore",
		doc:   maskerDoc{"the pairs with their values masked", "no", "keys that look like names", "the keys; which rows have equal values"},
		kinds: []kind{kindHstore},
		options: []option{
			{name: "keys", kind: optRules, doc: "rules by key"},
			{name: "unlisted", kind: optString, choices: []string{"mask", "stop"}, fallback: "mask", doc: "what happens to values that no rule covers: masked like text, or the import stops"},
			malformed,
		},
		build: buildHstore,
	},
	{
		name:  "bytea",
		doc:   maskerDoc{"random bytes", "no", "length", "the length; which rows have equal values"},
		kinds: []kind{kindBytea},
		build: func(t *target, _ *rule) (transform, traits, error) {
			return &blob{t.keyed("bytea"), t.stream("bytea")}, traits{remedy: "use hash"}, nil
		},
	},
}

type array struct {
	of transform
	at inner
}

const notArray = reason("the value is not an array")

func (m *array) mask(s *scratch, dst, value []byte) ([]byte, error) {
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
	elem, mask := s.buf(), s.buf()
	defer s.release()
	defer s.release()
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
		if *mask, err = m.of.mask(s, (*mask)[:0], *elem); err == nil {
			dst = appendElement(dst, *mask, arraySigns)
		}
		switch {
		case err == errNull: //nolint:errorlint // a sentinel of this package, never wrapped
			dst = append(dst, "NULL"...)
		case err != nil:
			return dst[:start], err
		}
		if err := s.within(len(dst), pos, len(value)); err != nil {
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

// signs are the bytes for whose sake a value inside of another is quoted.
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
	sub.inside = false // elements have all the bounds of their type
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
	tf, err = t.lenient(&array{tf, inner{where: "[*]", masker: of.name, guessable: et.guessable()}}, r)
	return tf, tr, err
}

type hstore struct {
	keys     map[string]transform
	unlisted transform // nil: stop
	names    *shape    // for keys that do not look like names
	at       map[string]inner
}

const (
	notHstore      = reason("the value is not an hstore")
	unlistedHstore = reason("the hstore holds a key that `keys` does not list, and `unlisted` is stop")
)

func (m *hstore) mask(s *scratch, dst, value []byte) ([]byte, error) {
	start := len(dst)
	key, elem, mask := s.buf(), s.buf(), s.buf()
	defer s.release()
	defer s.release()
	defer s.release()
	pos := 0
	for pos < len(value) {
		if value[pos] != '"' {
			return dst[:start], notHstore
		}
		*key, pos, _ = arrayElement((*key)[:0], value, pos)
		if pos < 0 || len(value) < pos+3 || value[pos] != '=' || value[pos+1] != '>' {
			return dst[:start], notHstore
		}
		pos += 2
		tf, listed := m.keys[string(*key)]
		if listed || plainName(*key) {
			dst = appendQuoted(dst, *key)
		} else {
			out, err := m.names.mask(s, (*mask)[:0], *key)
			if err != nil {
				return dst[:start], err
			}
			*mask = out
			dst = appendQuoted(dst, out)
		}
		dst = append(dst, "=>"...)
		if value[pos] != '"' {
			if len(value) < pos+4 || !isNullWord(value[pos:pos+4]) {
				return dst[:start], notHstore
			}
			dst = append(dst, "NULL"...)
			pos += 4
		} else {
			*elem, pos, _ = arrayElement((*elem)[:0], value, pos)
			if pos < 0 {
				return dst[:start], notHstore
			}
			if !listed {
				tf = m.unlisted
				if tf == nil {
					return dst[:start], unlistedHstore
				}
			}
			var err error
			if *mask, err = tf.mask(s, (*mask)[:0], *elem); err == nil {
				dst = appendQuoted(dst, *mask)
			}
			switch {
			case err == errNull: //nolint:errorlint // a sentinel of this package, never wrapped
				dst = append(dst, "NULL"...)
			case err != nil:
				return dst[:start], err
			}
			if err := s.within(len(dst), pos, len(value)); err != nil {
				return dst[:start], err
			}
		}
		if pos < len(value) {
			if len(value) < pos+3 || value[pos] != ',' || value[pos+1] != ' ' {
				return dst[:start], notHstore
			}
			dst = append(dst, ", "...)
			pos += 2
		}
	}
	return dst, nil
}

func buildHstore(t *target, r *rule) (transform, traits, error) {
	m := &hstore{keys: map[string]transform{}, names: newShape(t.at("hstore names", kindText)), at: map[string]inner{}}
	if r.text("unlisted") == "mask" {
		m.unlisted = newShape(t.at("hstore unlisted", kindText))
	}
	tr := traits{depth: 1}
	keys := r.rules("keys")
	for _, name := range sortedKeys(keys) {
		tf, kt, err := t.at("hstore "+name, kindText).buildRule(keys[name])
		if err == nil {
			err = tr.hold(kt)
		}
		if err != nil {
			return nil, tr, fmt.Errorf("key %q: %w", name, err)
		}
		m.keys[name] = tf
		m.at[name] = inner{where: name, masker: keys[name].name, guessable: kt.guessable()}
		switch {
		case kt.keep:
			tr.kept = append(tr.kept, name)
		default:
			for _, k := range kt.kept {
				tr.kept = append(tr.kept, name+" "+k)
			}
		}
	}
	tf, err := t.lenient(m, r)
	return tf, tr, err
}

type blob struct {
	keyed
	stream *prf
}

const notBytea = reason(`the value is not bytea in hex format (\x...): dump with bytea_output = hex`)

func (m *blob) mask(s *scratch, dst, value []byte) ([]byte, error) {
	if len(value) < 2 || value[0] != '\\' || value[1] != 'x' || len(value)%2 != 0 {
		return dst, notBytea
	}
	dst = append(slices.Grow(dst, len(value)), '\\', 'x')
	if len(value) == 2 {
		return dst, nil
	}
	st := newStream(s, m.stream, m.tag(s, value))
	for range (len(value) - 2) / 2 {
		b := st.byte()
		dst = append(dst, hexDigits[b>>4], hexDigits[b&15])
	}
	return dst, nil
}
