package mask

import (
	"bytes"
	"slices"
	"unicode"
	"unicode/utf8"
)

// equality says which differences between values do not count.
type equality struct {
	fold  bool // upper and lower case
	ascii bool // of A to Z only
	trim  bool // trailing spaces, in char(n)
	scale bool // zeros behind a point, in numeric
}

// canonical returns value in the form that stands for its class. The result
// may share value's memory or the buffer's.
func (e equality) canonical(buf *[]byte, value []byte) []byte {
	if e.trim {
		for len(value) > 0 && value[len(value)-1] == ' ' {
			value = value[:len(value)-1]
		}
	}
	if e.scale && bytes.IndexByte(value, '.') >= 0 && bytes.IndexByte(value, 'e') < 0 {
		value = bytes.TrimRight(bytes.TrimRight(value, "0"), ".")
	}
	if !e.fold {
		return value
	}
	dst := slices.Grow(*buf, len(value))
	for i := 0; i < len(value); {
		c := value[i]
		if c < utf8.RuneSelf {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			dst = append(dst, c)
			i++
			continue
		}
		r, n := utf8.DecodeRune(value[i:])
		if e.ascii || r == utf8.RuneError && n == 1 {
			dst = append(dst, value[i:i+n]...)
		} else {
			dst = utf8.AppendRune(dst, unicode.ToLower(r))
		}
		i += n
	}
	*buf = dst
	return dst
}
