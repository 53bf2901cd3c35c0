package copybinary

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"slices"

	"github.com/seedling-dev/seedling/hooks/copytext"
)

// Header begins a COPY in binary format: the signature, no flags, no
// extension. Trailer ends it.
const (
	Header  = "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	Trailer = "\xff\xff"
)

// ErrText says that a row has to be sent as text. It does not say that
// something is wrong with the row.
var ErrText = errors.New("the row is not written as PostgreSQL writes it: send it as text")

// Encoder encodes the rows of one table. It is not safe for concurrent use.
type Encoder struct {
	types []Type
	value []byte // a field without its escapes
}

// NewEncoder returns an encoder of rows with such fields, of which there are at
// most 32767.
func NewEncoder(types []Type) *Encoder { return &Encoder{types: types} }

// Append appends one row, a line of COPY text without its newline, to dst. The
// only error is [ErrText], after which dst is as it was.
func (e *Encoder) Append(dst, row []byte) ([]byte, error) {
	start := len(dst)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(e.types)))
	plain := bytes.IndexByte(row, '\\') < 0
	if !plain && hasEnd(row) {
		return dst[:start], ErrText
	}
	last := len(e.types) - 1
	for i, t := range e.types {
		var field []byte
		end := -1
		if plain {
			end = bytes.IndexByte(row, '\t')
		} else if n, err := copytext.FieldEnd(row); err != nil {
			return dst[:start], ErrText
		} else if n < len(row) {
			end = n
		}
		switch {
		case end < 0 && i == last:
			field = row
		case end < 0 || i == last:
			return dst[:start], ErrText
		default:
			field, row = row[:end], row[end+1:]
		}
		if !plain {
			if copytext.IsNull(field) {
				dst = append(dst, 0xff, 0xff, 0xff, 0xff)
				continue
			}
			if !copytext.Plain(field) {
				e.value = copytext.Unescape(slices.Grow(e.value[:0], len(field)), field)
				if field = e.value; bytes.IndexByte(field, 0) >= 0 {
					return dst[:start], ErrText // which ends a text
				}
			}
		}
		at := len(dst)
		var ok bool
		if dst, ok = t.append(append(dst, 0, 0, 0, 0), field); !ok {
			return dst[:start], ErrText
		}
		size := len(dst) - at - 4
		if size > math.MaxInt32 {
			return dst[:start], ErrText
		}
		binary.BigEndian.PutUint32(dst[at:], uint32(size))
	}
	if len(e.types) == 0 && len(row) > 0 {
		return dst[:start], ErrText
	}
	if cap(e.value) > 1<<20 { // of a large row, which come seldom
		e.value = nil
	}
	return dst, nil
}

// hasEnd reports whether the mark of the end stands in a row. Servers take
// offence at it anywhere, also where it only stands for a point.
func hasEnd(row []byte) bool {
	for {
		i := bytes.IndexByte(row, '\\')
		if i < 0 || i == len(row)-1 {
			return false
		}
		if row[i+1] == '.' {
			return true
		}
		row = row[i+2:]
	}
}
