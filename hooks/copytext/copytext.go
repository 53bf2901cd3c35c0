// Package copytext reads and writes rows of PostgreSQL's COPY text format
// without allocating.
//
// A row is one line without its newline: fields separated by tabs, NULL
// written as \N, and backslash sequences inside values. Everything here works
// on slices of the caller's memory; a function that produces bytes appends to
// a destination that the caller reuses. The rules are those of COPY FROM
// (CopyReadAttributesText in PostgreSQL's copyfromparse.c), which reads more
// than COPY TO ever writes: octal and hexadecimal sequences, an escaped tab,
// a backslash before any other character. Encodings in which a byte below 128
// may be the second byte of a character (SJIS, BIG5, GBK, GB18030, JOHAB, UHC)
// are not supported: the caller asks for UTF-8.
package copytext

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/bits"
	"slices"
)

// Null is how a field that is NULL is written.
const Null = `\N`

// ErrLoneBackslash says that a row ends in a backslash that escapes nothing.
// COPY FROM would join such a row with the next one.
var ErrLoneBackslash = errors.New("the row ends in a lone backslash")

// IsNull reports whether a field, as written, is NULL.
func IsNull(field []byte) bool {
	return len(field) == 2 && field[0] == '\\' && field[1] == 'N'
}

// IsEnd reports whether a line is the end-of-data mark \. (a value that reads
// \. is written \\. and is not one).
func IsEnd(line []byte) bool {
	return len(line) == 2 && line[0] == '\\' && line[1] == '.'
}

var newline = []byte{'\n'}

// CutLine splits off the first line of buf, without its newline. It reports
// false, and returns buf as rest, when buf holds no complete line.
func CutLine(buf []byte) (line, rest []byte, ok bool) {
	line, rest, ok = bytes.Cut(buf, newline)
	if !ok {
		return nil, buf, false
	}
	return line, rest, true
}

// Split appends the fields of row, as written, to dst. The fields share row's
// memory. A row always has at least one field, which may be empty. The only
// error is ErrLoneBackslash.
func Split(dst [][]byte, row []byte) ([][]byte, error) {
	for {
		end, err := FieldEnd(row)
		if err != nil {
			return dst, err
		}
		dst = append(dst, row[:end])
		if end == len(row) {
			return dst, nil
		}
		row = row[end+1:]
	}
}

// FieldEnd returns the length of the first field of row: the index of the tab
// that ends it, or len(row).
func FieldEnd(row []byte) (int, error) {
	from := 0
	for {
		i := bytes.IndexByte(row[from:], '\t')
		if i < 0 {
			if loneBackslash(row[from:]) {
				return 0, ErrLoneBackslash
			}
			return len(row), nil
		}
		if !loneBackslash(row[from : from+i]) {
			return from + i, nil
		}
		from += i + 1
	}
}

// loneBackslash reports whether b ends in an odd number of backslashes.
func loneBackslash(b []byte) bool {
	if len(b) == 0 || b[len(b)-1] != '\\' {
		return false
	}
	n := 1
	for n < len(b) && b[len(b)-1-n] == '\\' {
		n++
	}
	return n%2 == 1
}

// Plain reports whether a field reads as it is written: it holds no
// backslash.
func Plain(field []byte) bool { return bytes.IndexByte(field, '\\') < 0 }

// Unescape appends the value of a field as written to dst. The field must not
// be NULL. A backslash that ends the field is dropped, as COPY FROM does.
func Unescape(dst, field []byte) []byte {
	for {
		i := bytes.IndexByte(field, '\\')
		if i < 0 {
			return append(dst, field...)
		}
		dst = append(dst, field[:i]...)
		field = field[i+1:]
		if len(field) == 0 {
			return dst
		}
		c := field[0]
		field = field[1:]
		switch c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'v':
			c = '\v'
		case '0', '1', '2', '3', '4', '5', '6', '7':
			c -= '0'
			for n := 0; n < 2 && len(field) > 0 && field[0] >= '0' && field[0] <= '7'; n++ {
				c = c<<3 | (field[0] - '0')
				field = field[1:]
			}
		case 'x':
			if h, ok := unhex(field); ok {
				c = h
				field = field[1:]
				if h, ok = unhex(field); ok {
					c = c<<4 | h
					field = field[1:]
				}
			}
		}
		dst = append(dst, c)
	}
}

func unhex(b []byte) (byte, bool) {
	if len(b) == 0 {
		return 0, false
	}
	switch c := b[0]; {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// Escape appends value to dst as COPY TO writes it: backslash, tab, newline,
// carriage return, backspace, form feed and vertical tab become sequences.
func Escape(dst, value []byte) []byte {
	for {
		i := indexSpecial(value)
		if i < 0 {
			return append(dst, value...)
		}
		dst = append(dst, value[:i]...)
		dst = append(dst, '\\', escapes[value[i]])
		value = value[i+1:]
	}
}

// EscapeTail escapes in place what dst holds from start on: for a caller that
// wrote a value there before it knew whether it needs escaping.
func EscapeTail(dst []byte, start int) []byte {
	first := indexSpecial(dst[start:])
	if first < 0 {
		return dst
	}
	first += start
	n := 0
	for i := first; i < len(dst); {
		n++
		next := indexSpecial(dst[i+1:])
		if next < 0 {
			break
		}
		i += 1 + next
	}
	// From the end, so that nothing is overwritten before it has moved.
	from := len(dst) - 1
	dst = slices.Grow(dst, n)[:len(dst)+n]
	for to := len(dst) - 1; from >= first; from-- {
		c := dst[from]
		if e := escapes[c]; e != 0 {
			dst[to] = e
			dst[to-1] = '\\'
			to -= 2
			continue
		}
		dst[to] = c
		to--
	}
	return dst
}

var escapes = [256]byte{'\b': 'b', '\f': 'f', '\n': 'n', '\r': 'r', '\t': 't', '\v': 'v', '\\': '\\'}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// indexSpecial returns the index of the first byte that Escape must write as
// a sequence, or -1. Eight bytes at a time: a candidate is a backslash or any
// byte below 14, and the table decides.
func indexSpecial(b []byte) int {
	i := 0
	for ; i+8 <= len(b); i += 8 {
		v := binary.LittleEndian.Uint64(b[i:])
		slash := v ^ ('\\' * ones)
		found := ((v-14*ones) & ^v | (slash-ones) & ^slash) & highs
		for found != 0 {
			at := i + bits.TrailingZeros64(found)/8
			if escapes[b[at]] != 0 {
				return at
			}
			found &= found - 1
		}
	}
	for ; i < len(b); i++ {
		if escapes[b[i]] != 0 {
			return i
		}
	}
	return -1
}
