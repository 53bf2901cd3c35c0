package mask

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

var constantMasker = &masker{
	name: "constant",
	doc:  maskerDoc{"one given value", "no", "nothing", "which values are NULL"},
	options: []option{
		{name: "value", kind: optScalar, required: true, doc: "the value, as PostgreSQL reads it"},
	},
	build: func(t *target, r *rule) (transform, traits, error) {
		v, err := t.literal(r.scalar())
		return constant(v), traits{frequencySafe: true}, err
	},
}

type constant []byte

func (c constant) mask(_ *workspace, dst, _ []byte) ([]byte, error) { return append(dst, c...), nil }

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
