package recognize

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// Kind is what a part of a text could be.
type Kind uint8

// The kinds of parts, in the order in which they are told.
const (
	Email  Kind = iota // an e-mail address
	Number             // seven to twenty-four digits: a telephone, card or account number
	Phrase             // two or three words: a name, an address
	Code               // a word of letters and digits: a user name, a code
	Kinds              // how many there are
)

// String names the kind in the plural.
func (k Kind) String() string {
	return [...]string{"e-mail addresses", "telephone, card or account numbers", "full names or addresses", "user names or codes"}[k]
}

// Parts calls each for every part of a text that could give somebody away: with
// the words of a phrase, the digits of a number, or the one word that an address
// or a code is. What is passed is valid during the call only.
func Parts(text []byte, each func(k Kind, words ...[]byte)) {
	// Addresses: grow to both sides of every @.
	for i, c := range text {
		if c != '@' {
			continue
		}
		from, to := i, i+1
		for from > 0 && addressByte(text[from-1]) {
			from--
		}
		for to < len(text) && (addressByte(text[to]) || text[to] == '-') {
			to++
		}
		for to > i && text[to-1] == '.' {
			to--
		}
		if from < i && bytes.IndexByte(text[i:to], '.') > 0 {
			each(Email, text[from:to])
		}
	}
	eachNumber(text, func(digits []byte) { each(Number, digits) })
	// Words: codes, and runs of two and three.
	list := Words(text, 1<<20)
	for i, w := range list {
		if len(w) >= 8 && mixed(w) {
			each(Code, w)
		}
		for n := 2; n <= 3 && i+n <= len(list); n++ {
			each(Phrase, list[i:i+n]...)
		}
	}
}

// eachNumber finds numbers: seven digits or more, whatever stands between them.
func eachNumber(text []byte, each func(digits []byte)) {
	var buf []byte
	for i := 0; i < len(text); {
		if text[i] < '0' || text[i] > '9' {
			i++
			continue
		}
		buf = buf[:0]
		gap := 0
		j := i
		for ; j < len(text); j++ {
			c := text[j]
			if c >= '0' && c <= '9' {
				buf = append(buf, c)
				gap = 0
				continue
			}
			if gap++; gap > 2 || c != ' ' && c != '-' && c != '(' && c != ')' && c != '.' && c != '/' {
				break
			}
		}
		if len(buf) >= 7 && len(buf) <= 24 {
			each(buf)
		}
		i = j
	}
}

// Words splits a text at everything that is neither letter nor digit, into n
// parts at most.
func Words(text []byte, n int) [][]byte {
	var out [][]byte
	for i := 0; i < len(text) && len(out) < n; {
		r, size := utf8.DecodeRune(text[i:])
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			i += size
			continue
		}
		j := i
		for j < len(text) {
			r, size := utf8.DecodeRune(text[j:])
			if !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' {
				break
			}
			j += size
		}
		out = append(out, text[i:j])
		i = j
	}
	return out
}

// mixed says that a word has letters and digits.
func mixed(w []byte) bool {
	letter, digit := false, false
	for _, c := range w {
		switch {
		case c >= '0' && c <= '9':
			digit = true
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			letter = true
		}
	}
	return letter && digit
}

func addressByte(c byte) bool {
	return c == '.' || c == '_' || c == '%' || c == '+' || c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}
