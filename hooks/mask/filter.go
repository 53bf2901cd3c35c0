package mask

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/seedling-dev/seedling/hooks/copytext"
)

// filter tests one column of a row.
type filter struct {
	column      string
	kind        kind
	null        *bool
	in, notIn   []string
	from, below *bound
}

// bound is a limit of a filter, read once.
type bound struct {
	number decimal
	moment int64
}

func newFilter(c *Column, cond condition) (*filter, error) {
	if c.Generated {
		return nil, fmt.Errorf("column %s is generated and not in the dump", QuoteIdent(c.Name))
	}
	f := &filter{column: c.Name, kind: c.kind(), null: cond.null}
	f.in, f.notIn = f.values(cond.in), f.values(cond.notIn)
	var err error
	if f.from, err = f.bound(cond.from); err != nil {
		return nil, err
	}
	f.below, err = f.bound(cond.below)
	return f, err
}

// values are the policy's values as the dump writes them.
func (f *filter) values(in []string) []string {
	out := slices.Clone(in)
	for i, v := range out {
		if f.kind == kindBool {
			switch v {
			case "true":
				out[i] = "t"
			case "false":
				out[i] = "f"
			}
		}
	}
	return out
}

func (f *filter) bound(text *string) (*bound, error) {
	if text == nil {
		return nil, nil
	}
	b := &bound{}
	var ok bool
	switch f.kind {
	case kindInt, kindNumeric:
		b.number, ok = parseDecimal([]byte(*text))
		ok = ok && !b.number.special && b.number.exponent == nil
	case kindDate, kindTimestamp:
		b.moment, ok = parseMoment([]byte(*text))
	default:
		return nil, fmt.Errorf("column %s: from and below take numbers, dates and timestamps only", QuoteIdent(f.column))
	}
	if !ok {
		return nil, fmt.Errorf("column %s: %q is not a value of its type", QuoteIdent(f.column), *text)
	}
	return b, nil
}

var errFilter = errors.New("the row filter cannot read the value")

// passes reports whether a field, as written, satisfies the filter.
func (f *filter) passes(s *scratch, field []byte) (bool, error) {
	isNull := copytext.IsNull(field)
	if f.null != nil && *f.null != isNull {
		return false, nil
	}
	if isNull {
		return f.in == nil && f.notIn == nil && f.from == nil && f.below == nil, nil
	}
	value := field
	if !copytext.Plain(field) {
		buf := s.buf()
		defer s.release()
		*buf = copytext.Unescape(*buf, field)
		value = *buf
	}
	if f.in != nil && !contains(f.in, value) || f.notIn != nil && contains(f.notIn, value) {
		return false, nil
	}
	if f.from == nil && f.below == nil {
		return true, nil
	}
	if f.kind == kindInt || f.kind == kindNumeric {
		d, ok := parseDecimal(value)
		if !ok || d.special || d.exponent != nil {
			return false, errFilter
		}
		return (f.from == nil || d.compare(&f.from.number) >= 0) && (f.below == nil || d.compare(&f.below.number) < 0), nil
	}
	if isInfinity(value) {
		late := value[0] == 'i'
		return (f.from == nil || late) && (f.below == nil || !late), nil
	}
	m, ok := parseMoment(value)
	if !ok {
		return false, errFilter
	}
	return (f.from == nil || m >= f.from.moment) && (f.below == nil || m < f.below.moment), nil
}

func contains(list []string, v []byte) bool {
	return slices.Contains(list, string(v))
}

// compare orders two numbers without exponents.
func (d *decimal) compare(o *decimal) int {
	zero := func(d *decimal) bool { return d.intDigits() == 0 && len(bytes.TrimRight(d.fraction, "0")) == 0 }
	if zero(d) && zero(o) {
		return 0
	}
	dn, on := d.neg && !zero(d), o.neg && !zero(o)
	if dn != on {
		if dn {
			return -1
		}
		return 1
	}
	c := len(bytes.TrimLeft(d.whole, "0")) - len(bytes.TrimLeft(o.whole, "0"))
	if c == 0 {
		c = bytes.Compare(bytes.TrimLeft(d.whole, "0"), bytes.TrimLeft(o.whole, "0"))
	}
	if c == 0 {
		c = bytes.Compare(bytes.TrimRight(d.fraction, "0"), bytes.TrimRight(o.fraction, "0"))
	}
	if dn {
		return -c
	}
	return c
}

// parseMoment reads a date or timestamp, with or without a zone (then UTC), as
// microseconds since 1970.
func parseMoment(b []byte) (int64, bool) {
	d, n, ok := parseDate(b)
	if !ok {
		return 0, false
	}
	rest := bytes.TrimSuffix(b[n:], []byte(" BC"))
	us := d.days() * 86400e6
	if len(rest) == 0 {
		return us, true
	}
	if !isTime(rest) {
		return 0, false
	}
	two := func(b []byte) int64 { return int64(b[0]-'0')*10 + int64(b[1]-'0') }
	us += (two(rest[1:])*3600 + two(rest[4:])*60 + two(rest[7:])) * 1e6
	rest = rest[9:]
	if len(rest) > 0 && rest[0] == '.' {
		rest = rest[1:]
		for unit := int64(1e5); len(rest) > 0 && isDigit(rest[0]); unit /= 10 {
			us += int64(rest[0]-'0') * unit
			rest = rest[1:]
		}
	}
	if len(rest) == 0 || string(rest) == "Z" {
		return us, true
	}
	sign := int64(1)
	if rest[0] == '-' {
		sign = -1
	} else if rest[0] != '+' {
		return 0, false
	}
	rest = rest[1:]
	for unit := int64(3600e6); ; unit /= 60 { // +02, +05:30, +00:53:28
		if len(rest) < 2 || !isDigit(rest[0]) || !isDigit(rest[1]) || unit < 1e6 {
			return 0, false
		}
		us -= sign * two(rest) * unit
		if rest = rest[2:]; len(rest) == 0 {
			return us, true
		}
		if rest[0] != ':' {
			return 0, false
		}
		rest = rest[1:]
	}
}
