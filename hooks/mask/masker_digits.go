package mask

import (
	"unicode/utf8"

	"github.com/seedling-dev/seedling/hooks/recognize"
)

// anyDigits masks a value with digits of another script, or with full-width forms, as its
// masker masks the same value in ASCII, and writes the mask in the forms of the original:
// what is one number in two scripts has one mask in both.
type anyDigits struct{ transform }

func (m *anyDigits) mask(ws *workspace, dst, value []byte) ([]byte, error) {
	if recognize.ASCII(value) {
		return m.transform.mask(ws, dst, value)
	}
	folded := ws.buf()
	defer ws.release()
	count, digit := 0, rune('0') // digit is the zero of the value's first digit
	recognize.EachFolded(value, func(char []byte, f rune) {
		if f == recognize.Unseen {
			return
		}
		if r, _ := utf8.DecodeRune(char); digit == '0' && f >= '0' && f <= '9' {
			digit = r - (f - '0')
		}
		count++
		*folded = utf8.AppendRune(*folded, f)
	})
	masked := ws.buf()
	defer ws.release()
	var err error
	if *masked, err = m.transform.mask(ws, *masked, *folded); err != nil {
		return dst, err
	}
	// The ends of both stand side by side: a mask may have more at its beginning.
	rest := *masked
	more := utf8.RuneCount(rest) - count
	skip := max(0, -more)
	recognize.EachFolded(value, func(char []byte, f rune) {
		switch {
		case f == recognize.Unseen:
			dst = append(dst, char...)
			return
		case skip > 0:
			skip--
			return
		}
		plus := more > 0 && f == '+' && rest[0] == '+' // before what the mask has more
		if plus {
			dst, rest = append(dst, char...), rest[1:]
		}
		for ; more > 0; more-- {
			r, size := utf8.DecodeRune(rest)
			dst = appendAs(dst, r, rest[:size], digit)
			rest = rest[size:]
		}
		if plus {
			return
		}
		r, size := utf8.DecodeRune(rest)
		original, _ := utf8.DecodeRune(char)
		switch {
		case r == f:
			dst = append(dst, char...)
		case original >= 0xff01 && original <= 0xff5e && r > ' ' && r < 0x7f:
			dst = utf8.AppendRune(dst, caseOf(r, f)-'!'+0xff01)
		case f >= '0' && f <= '9':
			dst = appendAs(dst, r, rest[:size], original-(f-'0'))
		default:
			dst = append(dst, rest[:size]...)
		}
		rest = rest[size:]
	})
	return dst, nil
}

// caseOf is a letter in another one's case: whether case counts in a column is known of
// ASCII alone.
func caseOf(r, like rune) rune {
	switch {
	case like >= 'a' && like <= 'z' && r >= 'A' && r <= 'Z':
		return r + 'a' - 'A'
	case like >= 'A' && like <= 'Z' && r >= 'a' && r <= 'z':
		return r - 'a' + 'A'
	}
	return r
}

// appendAs appends a character, a digit as one of the script that has the zero.
func appendAs(dst []byte, r rune, char []byte, zero rune) []byte {
	if r >= '0' && r <= '9' {
		return utf8.AppendRune(dst, r-'0'+zero)
	}
	return append(dst, char...)
}
