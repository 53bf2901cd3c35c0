package mask

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

var basicMaskers = []*masker{
	{
		name: "keep",
		doc:  maskerDoc{"the original", "yes", "everything", "everything: the column is in the seed as it is"},
		build: func(*target, *rule) (transform, traits, error) {
			return keepAll{}, traits{keep: true, injective: true}, nil
		},
	},
	{
		name: "null",
		doc:  maskerDoc{"NULL", "a unique index takes any number of NULLs, unless NULLS NOT DISTINCT", "nothing", "nothing; refused on NOT NULL columns"},
		build: func(t *target, _ *rule) (transform, traits, error) {
			if t.notNull {
				return nil, traits{}, errors.New("the column is NOT NULL: use constant, or credential")
			}
			return nullAll{}, traits{null: true}, nil
		},
	},
	{
		name: "constant",
		doc:  maskerDoc{"one given value", "no", "nothing", "which values are NULL"},
		options: []option{
			{name: "value", kind: optScalar, required: true, doc: "the value, as PostgreSQL reads it"},
		},
		build: func(t *target, r *rule) (transform, traits, error) {
			v, err := t.literal(r.scalar())
			return constant(v), traits{told: true}, err
		},
	},
	{
		name:  "choice",
		doc:   maskerDoc{"one of the given values", "no", "nothing", "which rows had equal values; how frequent a value is often tells which it was. With `by` nothing: the original is not read"},
		kinds: nil,
		options: []option{
			{name: "values", kind: optScalars, required: true, doc: "the values to choose from"},
			byOption,
		},
		build: buildChoice,
	},
	{
		name:  "credential",
		doc:   maskerDoc{"NULL, or a constant that opens nothing (`!`) where the column is NOT NULL", "no", "nothing", "nothing"},
		kinds: []kind{kindText, kindBytea, kindJSON, kindArray, kindLeaf},
		options: []option{
			{name: "value", kind: optScalar, doc: "a constant to write instead, such as the hash of a password for testers"},
		},
		build: buildCredential,
	},
	{
		name:  "hash",
		doc:   maskerDoc{"32 hexadecimal digits (fewer in a shorter column), 16 bytes in bytea", "yes, from 25 digits on", "nothing", "which rows have equal values"},
		kinds: []kind{kindText, kindBytea},
		options: []option{
			{name: "digits", kind: optInt, min: 4, max: 32, fallback: 32, doc: "hexadecimal digits to write"},
			{name: "prefix", kind: optString, fallback: "", doc: "text before the digits"},
			foldOption,
		},
		build: buildHash,
	},
	{
		name:  "uuid",
		doc:   maskerDoc{"a random (version 4) UUID", "yes", "nothing", "which rows have equal values"},
		kinds: []kind{kindUUID, kindText},
		build: func(t *target, r *rule) (transform, traits, error) {
			if t.length > 0 && t.length < 36 {
				return nil, traits{}, t.tooLong("uuid", 36)
			}
			return &uuidMask{t.keyed("uuid")}, traits{injective: true, clean: true}, nil
		},
	},
	{
		name:  "key",
		doc:   maskerDoc{"another whole number", "yes: a permutation", "sign and rough size: numbers below 2^14, 2^30, 2^52 stay below, so that sequences keep room", "which rows have equal values; order is lost"},
		kinds: []kind{kindInt, kindNumeric},
		build: buildKey,
	},
}

var byOption = option{
	name: "by", kind: optString,
	doc: "draw from this column of the row (its key, say) in place of the value, so that the mask says nothing about the value",
}

type keepAll struct{}

func (keepAll) mask(_ *scratch, dst, value []byte) ([]byte, error) { return append(dst, value...), nil }

type nullAll struct{}

func (nullAll) mask(_ *scratch, dst, _ []byte) ([]byte, error) { return dst, errNull }

type constant []byte

func (c constant) mask(_ *scratch, dst, _ []byte) ([]byte, error) { return append(dst, c...), nil }

// literal checks a value from the policy against the type of the target, as
// far as it can, and returns it as COPY writes it (before escaping).
func (t *target) literal(v scalar) ([]byte, error) {
	bad := func(what string) ([]byte, error) {
		return nil, fmt.Errorf("the value %q is not %s", v.text, what)
	}
	switch t.kind {
	case kindText:
		if t.length > 0 && utf8.RuneCountInString(v.text) > t.length {
			return nil, fmt.Errorf("the value %q is longer than the column's %d characters", v.text, t.length)
		}
	case kindEnum:
		if !slices.Contains(t.column.Enum, v.text) {
			return bad("one of the enum's labels: " + strings.Join(t.column.Enum, ", "))
		}
	case kindBool:
		switch strings.ToLower(v.text) {
		case "t", "true", "yes", "on", "1":
			return []byte("t"), nil
		case "f", "false", "no", "off", "0":
			return []byte("f"), nil
		}
		return bad("true or false")
	case kindInt:
		if _, err := strconv.ParseInt(v.text, 10, intBits(t.column.BaseType)); err != nil {
			return bad("a whole number in the range of " + t.column.BaseType)
		}
	case kindNumeric, kindFloat:
		d, ok := parseDecimal([]byte(v.text))
		if !ok {
			return bad("a number")
		}
		if t.kind == kindNumeric && t.column.Precision > 0 && !d.special && d.intDigits() > max(0, t.column.Precision-t.column.Scale) {
			return bad(fmt.Sprintf("within numeric(%d,%d)", t.column.Precision, t.column.Scale))
		}
	case kindUUID:
		if !isUUID([]byte(v.text)) {
			return bad("a UUID")
		}
	case kindJSON:
		if err := checkJSON([]byte(v.text)); err != nil {
			return bad("valid JSON")
		}
	case kindDate, kindTimestamp:
		if _, _, ok := parseDate([]byte(v.text)); !ok {
			return bad("a date such as 2024-01-31")
		}
	}
	if strings.ContainsRune(v.text, 0) {
		return bad("free of zero bytes")
	}
	return []byte(v.text), nil
}

func intBits(base string) int {
	switch base {
	case "int2":
		return 16
	case "int4":
		return 32
	}
	return 64
}

// drawer is a keyed function of the value, or of the row's entity.
type drawer struct {
	keyed
	byEntity bool
}

func (d *drawer) draw(s *scratch, value []byte) tag {
	if d.byEntity {
		value = s.entity
		if s.entityNull {
			value = nil
		}
	}
	return d.tag(s, value)
}

// drawer builds a drawer for a masker that has byOption.
func (t *target) drawer(r *rule) (drawer, traits, error) {
	by := r.text("by")
	if by == "" {
		return drawer{keyed: t.keyed(r.name)}, traits{}, nil
	}
	if t.entity == nil {
		return drawer{}, traits{}, errors.New("by names a column of the row and cannot be used here")
	}
	label, eq, err := t.entity(by)
	if err != nil {
		return drawer{}, traits{}, err
	}
	// The label holds both columns: two columns drawn by one entity differ.
	return drawer{keyed{newPRF(t.key, r.name+"\x00"+t.label+"\x00by\x00"+label), eq}, true}, traits{entity: by}, nil
}

type choice struct {
	drawer
	values [][]byte
}

func (c *choice) mask(s *scratch, dst, value []byte) ([]byte, error) {
	d := c.draw(s, value).dice()
	return append(dst, c.values[d.n(len(c.values))]...), nil
}

func buildChoice(t *target, r *rule) (transform, traits, error) {
	c := &choice{}
	for _, v := range r.list("values") {
		b, err := t.literal(v)
		if err != nil {
			return nil, traits{}, err
		}
		c.values = append(c.values, b)
	}
	var tr traits
	var err error
	c.drawer, tr, err = t.drawer(r)
	return c, tr, err
}

func buildCredential(t *target, r *rule) (transform, traits, error) {
	if r.has("value") {
		v, err := t.literal(r.scalar())
		return constant(v), traits{told: true}, err
	}
	if !t.notNull {
		return nullAll{}, traits{null: true}, nil
	}
	switch t.kind {
	case kindBytea:
		return constant(`\x`), traits{told: true}, nil
	case kindJSON:
		return constant(`{}`), traits{told: true}, nil
	case kindArray:
		return constant(`{}`), traits{told: true}, nil
	}
	return constant("!"), traits{clean: true, told: true}, nil
}

type hash struct {
	keyed
	prefix string
	digits int
	bytea  bool
}

const hexDigits = "0123456789abcdef"

func (h *hash) mask(s *scratch, dst, value []byte) ([]byte, error) {
	if len(value) == 0 && !h.bytea {
		return dst, nil
	}
	t := h.tag(s, value)
	if h.bytea {
		dst = append(dst, '\\', 'x')
	}
	dst = append(dst, h.prefix...)
	at := len(dst)
	dst = appendHex(appendHex(dst, t.hi), t.lo)
	return dst[:at+h.digits], nil
}

func appendHex(dst []byte, v uint64) []byte {
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, hexDigits[v>>shift&15])
	}
	return dst
}

func buildHash(t *target, r *rule) (transform, traits, error) {
	t = t.folded(r)
	h := &hash{keyed: t.keyed("hash"), prefix: r.text("prefix"), digits: r.int("digits"), bytea: t.kind == kindBytea}
	if h.bytea {
		h.prefix, h.digits = "", 32
	}
	if t.length > 0 {
		h.digits = min(h.digits, t.length-utf8.RuneCountInString(h.prefix))
	}
	if h.digits < 4 {
		return nil, traits{}, t.tooLong("hash", 4+utf8.RuneCountInString(h.prefix))
	}
	return h, traits{
		injective: h.digits >= 25,
		clean:     !h.bytea && isPrintable(h.prefix),
		remedy:    "give hash at least 25 digits",
	}, nil
}

func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == '\\' {
			return false
		}
	}
	return true
}

// folded applies the option fold.
func (t *target) folded(r *rule) *target {
	if !r.flag("fold") {
		return t
	}
	f := *t
	f.eq.fold = true
	return &f
}

type uuidMask struct{ keyed }

func (u *uuidMask) mask(s *scratch, dst, value []byte) ([]byte, error) {
	if len(value) == 0 {
		return dst, nil
	}
	t := u.tag(s, value)
	return appendUUID(dst, t.hi, t.lo), nil
}

// appendUUID writes 128 bits as a version 4 UUID.
func appendUUID(dst []byte, hi, lo uint64) []byte {
	hi = hi&^0xf000 | 0x4000
	lo = lo&^(3<<62) | 2<<62
	at := len(dst)
	dst = appendHex(appendHex(dst, hi), lo)
	dst = append(dst, "0000"...)
	b := dst[at:]
	copy(b[24:], b[20:32])
	b[23] = '-'
	copy(b[19:23], b[16:20])
	b[18] = '-'
	copy(b[14:18], b[12:16])
	b[13] = '-'
	copy(b[9:13], b[8:12])
	b[8] = '-'
	return dst
}

func isUUID(b []byte) bool {
	if len(b) != 36 {
		return false
	}
	for i, c := range b {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
		} else if !isHex(c) {
			return false
		}
	}
	return true
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// hexValue of a hexadecimal digit.
func hexValue(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}
