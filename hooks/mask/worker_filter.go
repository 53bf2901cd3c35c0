package mask

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seedling-dev/seedling/hooks/copytext"
)

// filter tests one column of a row.
type filter struct {
	column      string
	kind        kind
	eq          equality
	null        *bool
	in, notIn   []operand
	from, below *operand
	// newest says that from is an age, of rows when the dump was made.
	newest bool
	taken  int64
	share  *sharing
}

// subset says that the filter is there to make the seed smaller, whatever the rows are
// about.
func (f *filter) subset() bool { return f.newest || f.share != nil }

// operand is a value of a filter, read once: as text, number or moment, as the
// column's type has it.
type operand struct {
	text   string
	number decimal
	float  float64
	moment int64
}

func newFilter(c *Column, cond condition, ascii bool, taken time.Time) (*filter, error) {
	if c.Generated {
		return nil, fmt.Errorf("column %s is generated and not in the dump", QuoteIdent(c.Name))
	}
	f := &filter{column: c.Name, kind: c.kind(), null: cond.null}
	if f.kind == kindText {
		f.eq = equality{fold: c.BaseType == "citext", ascii: ascii, trim: c.BaseType == "bpchar"}
	}
	var errs [5]error
	f.in, errs[0] = f.values(c, cond.in)
	f.notIn, errs[1] = f.values(c, cond.notIn)
	f.from, errs[2] = f.bound(c, cond.from)
	f.below, errs[3] = f.bound(c, cond.below)
	if cond.newest > 0 {
		errs[4] = f.age(cond.newest, taken)
	}
	return f, errors.Join(errs[:]...)
}

// values reads what a filter lists; the result is nil only when there is none.
func (f *filter) values(c *Column, list []string) ([]operand, error) {
	var out []operand
	for _, text := range list {
		o, err := f.operand(c, text)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

func (f *filter) bound(c *Column, text *string) (*operand, error) {
	if text == nil {
		return nil, nil
	}
	switch f.kind {
	case kindInt, kindNumeric, kindDate, kindTimestamp:
	default:
		return nil, fmt.Errorf("column %s: from and below take numbers, dates and timestamps only", QuoteIdent(f.column))
	}
	o, err := f.operand(c, *text)
	if err == nil && (o.number.special || isInfinity([]byte(o.text))) {
		err = f.notOf(*text)
	}
	return &o, err
}

func (f *filter) notOf(text string) error {
	return fmt.Errorf("column %s: %q is not a value of its type", QuoteIdent(f.column), text)
}

// operand reads a value as the column's type does.
func (f *filter) operand(c *Column, text string) (operand, error) {
	o := operand{text: text}
	ok := true
	switch f.kind {
	case kindText:
		var buf []byte
		o.text = string(f.eq.canonical(&buf, []byte(text)))
	case kindBool:
		var b []byte
		var err error
		b, err = (&target{kind: kindBool}).literal(scalar{text: text})
		o.text, ok = string(b), err == nil
	case kindEnum:
		ok = slices.Contains(c.Enum, text)
	case kindUUID:
		o.text, ok = strings.ToLower(text), isUUID([]byte(text))
	case kindInt, kindNumeric:
		o.number, ok = parseDecimal([]byte(text))
		ok = ok && o.number.exponent == nil
	case kindFloat:
		var err error
		o.float, err = strconv.ParseFloat(text, 64)
		ok = err == nil
	case kindDate, kindTimestamp:
		if !isInfinity([]byte(text)) {
			o.moment, ok = parseMoment([]byte(text))
		}
	}
	if !ok {
		return o, f.notOf(text)
	}
	return o, nil
}

var errFilter = errors.New("the row filter cannot read the value")

// matches reports whether a field, as written, satisfies the filter.
func (f *filter) matches(ws *workspace, field []byte) (bool, error) {
	isNull := copytext.IsNull(field)
	if f.null != nil && *f.null != isNull {
		return false, nil
	}
	if isNull {
		if f.share != nil && f.share.orNull {
			return true, nil
		}
		return f.share == nil && f.in == nil && f.notIn == nil && f.from == nil && f.below == nil, nil
	}
	value := field
	if !copytext.Plain(field) {
		buf := ws.buf()
		defer ws.release()
		*buf = copytext.Unescape(*buf, field)
		value = *buf
	}
	if f.eq.fold || f.eq.trim {
		buf := ws.buf()
		defer ws.release()
		value = f.eq.canonical(buf, value)
	}
	if f.share != nil && !f.share.has(ws, value) {
		return false, nil
	}
	o, err := f.read(value)
	if err != nil {
		return false, err
	}
	if f.in != nil && !f.contains(f.in, &o, value) || f.notIn != nil && f.contains(f.notIn, &o, value) {
		return false, nil
	}
	if f.from == nil && f.below == nil {
		return true, nil
	}
	if f.kind == kindInt || f.kind == kindNumeric {
		if o.number.special {
			return false, errFilter
		}
		return (f.from == nil || o.number.compare(&f.from.number) >= 0) && (f.below == nil || o.number.compare(&f.below.number) < 0), nil
	}
	if isInfinity(value) {
		late := value[0] == 'i'
		return (f.from == nil || late) && (f.below == nil || !late), nil
	}
	return (f.from == nil || o.moment >= f.from.moment) && (f.below == nil || o.moment < f.below.moment), nil
}

// read reads a row's value, if its type does not compare text.
func (f *filter) read(value []byte) (o operand, err error) {
	ok := true
	switch f.kind {
	case kindInt, kindNumeric:
		o.number, ok = parseDecimal(value)
		ok = ok && o.number.exponent == nil
	case kindFloat:
		o.float, err = strconv.ParseFloat(string(value), 64)
		ok = err == nil
	case kindDate, kindTimestamp:
		if !isInfinity(value) {
			o.moment, ok = parseMoment(value)
		}
	}
	if !ok {
		return o, errFilter
	}
	return o, nil
}

// contains reports whether a list holds a value that the column's type takes for
// equal to a row's, o.
func (f *filter) contains(list []operand, o *operand, value []byte) bool {
	for i := range list {
		l := &list[i]
		switch {
		case l.text == string(value):
			return true
		case f.kind == kindInt || f.kind == kindNumeric:
			if !l.number.special && !o.number.special && l.number.compare(&o.number) == 0 {
				return true
			}
		case f.kind == kindFloat:
			if l.float == o.float {
				return true
			}
		case f.kind == kindDate || f.kind == kindTimestamp:
			if l.moment == o.moment && !isInfinity([]byte(l.text)) && !isInfinity(value) {
				return true
			}
		}
	}
	return false
}
