package recognize

import (
	"encoding/binary"
	"sort"
	"unicode"
	"unicode/utf8"
)

// Fold writes a text as a keyboard with Latin letters would: digits of all scripts as
// 0 to 9, full-width forms, and spaces and dashes of all kinds, as ASCII has them. What
// nobody sees, such as marks of direction, is left out. It returns the text itself where
// nothing of that is in it; that of an ASCII text costs nothing.
func Fold(text []byte) []byte {
	if !folds(text) {
		return text
	}
	out := make([]byte, 0, len(text))
	EachFolded(text, func(_ []byte, folded rune) {
		if folded != Unseen {
			out = utf8.AppendRune(out, folded)
		}
	})
	return out
}

// foldString is Fold for a string.
func foldString(s string) string {
	if text := []byte(s); folds(text) {
		return string(Fold(text))
	}
	return s
}

// Unseen stands for a character that Fold leaves out.
const Unseen rune = -1

// EachFolded calls each for every character of a text, with what Fold writes for it.
func EachFolded(text []byte, each func(char []byte, folded rune)) {
	before := Unseen
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		f := r
		if r == utf8.RuneError && size == 1 { // no UTF-8: it stays what it is
			f = rune(text[0])
		} else if r >= utf8.RuneSelf {
			f = foldedRune(r, before)
		}
		each(text[:size], f)
		if f != Unseen {
			before = f
		}
		text = text[size:]
	}
}

// folds reports whether a text is another one once it is folded.
func folds(text []byte) bool {
	if ASCII(text) {
		return false
	}
	before := Unseen
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		f := r
		if r >= utf8.RuneSelf && size > 1 {
			if f = foldedRune(r, before); f != r {
				return true
			}
		}
		before, text = f, text[size:]
	}
	return false
}

// ASCII reports whether a text has no other characters.
func ASCII(text []byte) bool {
	for len(text) >= 8 {
		if binary.LittleEndian.Uint64(text)&0x8080808080808080 != 0 {
			return false
		}
		text = text[8:]
	}
	for _, c := range text {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// foldedRune is what Fold writes for a character beyond ASCII that stands behind another
// one.
func foldedRune(r, before rune) rune {
	switch {
	case r < 0x0660:
		switch r {
		case '\u00a0':
			return ' '
		case '\u00ad', '\u061c':
			return Unseen
		}
		return r
	case r >= 0x2000 && r <= 0x206f:
		switch {
		case r <= 0x200a, r == 0x202f, r == 0x205f:
			return ' '
		case r <= 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x2060:
			return Unseen
		case r <= 0x2015:
			return '-'
		}
		return r
	case r == 0x2212, r == 0xfe58, r == 0xfe63:
		return '-'
	case r == 0x3000:
		return ' '
	case r == 0x30fc: // which makes a vowel long, and is a dash between digits
		if before >= '0' && before <= '9' {
			return '-'
		}
		return r
	case r > 0x3000 && r < 0xa620, r >= 0xac00 && r < 0xfe00: // no digits among these
		return r
	case r == 0x066b:
		return '.'
	case r == 0xfeff:
		return Unseen
	case r >= 0xff01 && r <= 0xff5e:
		return r - 0xff01 + '!'
	}
	// Digits of a script stand in a row of ten.
	if i := sort.Search(len(zeros), func(i int) bool { return zeros[i] > r }); i > 0 && r-zeros[i-1] < 10 {
		return '0' + r - zeros[i-1]
	}
	return r
}

// zeros are the digits zero of all scripts, in order.
var zeros = func() (list []rune) {
	add := func(lo, hi rune) {
		for zero := lo; zero <= hi; zero += 10 {
			list = append(list, zero)
		}
	}
	for _, r := range unicode.Nd.R16 {
		add(rune(r.Lo), rune(r.Hi))
	}
	for _, r := range unicode.Nd.R32 {
		add(rune(r.Lo), rune(r.Hi))
	}
	return list
}()
