package copytext

import (
	"bytes"
	"encoding/hex"
)

// Span is a part of a packed row in which every byte stands for two lower-case
// hexadecimal digits.
type Span struct{ Start, End int }

// Packer packs the long bytea values of a row while the row is being read, so that
// they take the memory of their bytes and not of their digits, which are twice as
// many. Nothing is lost: [Expand] gives the row back as it was. A Packer is for one
// row; its zero value is ready.
type Packer struct {
	// Columns, if not nil, says of each column whether its values are packed.
	Columns []bool
	// Spans are what is packed so far, in order.
	Spans  []Span
	open   bool // the last span goes on with the next digits
	other  bool // the last value of the row is none to pack
	value  int  // where that begins
	column int  // whose it is
	seen   int  // up to here it was looked for
}

var byteaStart = []byte(`\\x`)

// Pack packs the end of a row that has come since the last call, in place, and
// returns the row, which is shorter by that. It packs a value once it is the last
// of the row and has only digits: call it every some hundred kilobytes, as what lies
// between two calls stays as it is.
func (p *Packer) Pack(row []byte) []byte {
	if p.open {
		return p.extend(row)
	}
	if i := bytes.LastIndexByte(row[p.seen:], '\t'); i >= 0 {
		p.column += bytes.Count(row[p.seen:], []byte{'\t'})
		p.value, p.other = p.seen+i+1, false
	}
	if p.Columns != nil && (p.column >= len(p.Columns) || !p.Columns[p.column]) {
		p.other = true
	}
	p.seen = len(row)
	if p.other || len(row) < p.value+len(byteaStart)+2 {
		return row
	}
	digits, ok := bytes.CutPrefix(row[p.value:], byteaStart)
	if p.other = !ok || digitsLen(digits) < len(digits); p.other {
		return row
	}
	start := len(row) - len(digits)
	p.Spans = append(p.Spans, Span{start, start})
	return p.extend(row)
}

// extend packs the digits behind the last span.
func (p *Packer) extend(row []byte) []byte {
	span := &p.Spans[len(p.Spans)-1]
	digits := row[span.End:]
	n := digitsLen(digits)
	p.open = n == len(digits)
	p.other = !p.open
	// Decode reads ahead of where it writes.
	packed, _ := hex.Decode(row[span.End:], digits[:n&^1]) // there are only digits
	span.End += packed
	p.seen = span.End
	return append(row[:span.End], digits[n&^1:]...)
}

// digitsLen is how many lower-case hexadecimal digits b begins with.
func digitsLen(b []byte) int {
	for i, c := range b {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return i
		}
	}
	return len(b)
}

// Expand appends the part of a packed row from start to end, as it was before it
// was packed. Spans are the row's, and lie in the part or outside of it.
func Expand(dst, row []byte, spans []Span, start, end int) []byte {
	for _, s := range spans {
		if s.Start < start || s.End > end {
			continue
		}
		dst = append(dst, row[start:s.Start]...)
		dst = hex.AppendEncode(dst, row[s.Start:s.End])
		start = s.End
	}
	return append(dst, row[start:end]...)
}

// PackedFieldEnd is [FieldEnd] of the field that begins at start in a packed row.
func PackedFieldEnd(row []byte, spans []Span, start int) (int, error) {
	from := start // of what is as it was read
	for _, s := range spans {
		if s.End <= start {
			continue
		}
		end, err := FieldEnd(row[from:s.Start])
		if err == nil && from+end < s.Start {
			return from + end, nil
		}
		// No backslash stands before a span alone: it would escape a digit.
		from = s.End
	}
	end, err := FieldEnd(row[from:])
	return from + end, err
}
