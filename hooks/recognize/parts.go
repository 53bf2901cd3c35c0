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
	Dotted             // digits in the shape of an IPv4 address, as some telephone numbers are written
	Kinds              // how many there are
)

// String names the kind in the plural.
func (k Kind) String() string {
	return [...]string{"e-mail addresses", "telephone, card or account numbers", "full names or addresses", "user names or codes", "telephone numbers written with dots"}[k]
}

// Parts calls each for every part of a text that could give somebody away: with
// the words of a phrase, the digits of a number, or the one word that an address
// or a code is. What may be the address of a network as well as a telephone number is
// passed as both. The text is folded first, so that what is passed is the same in all
// scripts' digits; it is valid during the call only.
func Parts(text []byte, each func(k Kind, words ...[]byte)) {
	text = Fold(text)
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
	eachNumber(text, func(k Kind, part []byte) { each(k, part) })
	// Words: codes, and runs of two and three.
	list := words(text, 1<<20)
	for i, w := range list {
		if len(w) >= 8 && mixed(w) {
			each(Code, w)
		}
		if Unspaced(w) {
			each(Phrase, w)
		}
		for n := 2; n <= 3 && i+n <= len(list); n++ {
			each(Phrase, list[i:i+n]...)
		}
	}
}

// eachNumber finds numbers: seven digits or more, whatever stands between them. The
// digits in a UUID, a digest or another hexadecimal code are none: among millions of
// those some are, or end as, some number of somebody. Codes are found as a whole, and
// so are addresses of networks, which are codes for this. Neither are those of a
// moment, written as ISO 8601 has it: of many moments some read as somebody's number.
func eachNumber(text []byte, each func(k Kind, part []byte)) {
	var buf []byte
	told := 0 // up to where it is known that none of those begins
	for i := 0; i < len(text); {
		if text[i] < '0' || text[i] > '9' {
			if i >= told && isHexDigit(text[i]) {
				end, digest := digestAt(text, i)
				if told = end; digest {
					i = end
					continue
				}
			}
			i++
			continue
		}
		if n := addressAt(text, i); n > 0 {
			each(Code, text[i:i+n])
			if LikeTelephone(text[i : i+n]) {
				each(Dotted, bytes.ReplaceAll(text[i:i+n], []byte{'.'}, nil))
			}
			i += n
			continue
		}
		buf = buf[:0]
		gap, digest, moment := 0, false, 0
		j := i
		for ; j < len(text); j++ {
			c := text[j]
			if c >= '0' && c <= '9' {
				if moment = momentAt(text, j); moment > 0 {
					break
				}
				if j >= told {
					if told, digest = digestAt(text, j); digest {
						break
					}
				}
				buf = append(buf, c)
				gap = 0
				continue
			}
			if gap++; gap > 2 || c != ' ' && c != '-' && c != '(' && c != ')' && c != '.' && c != '/' {
				break
			}
		}
		if len(buf) >= 7 && len(buf) <= 24 {
			each(Number, buf)
		}
		if digest {
			j = told
		}
		i = j + moment
	}
}

// momentAt returns how long the date with a time of day is that stands at i, 0 for
// none: 2026-03-04 05:06, with a T between them, seconds, their fraction and a zone.
func momentAt(text []byte, i int) int {
	if len(text)-i < len("2026-03-04 05:06") || text[i+4] != '-' || text[i+7] != '-' || text[i+13] != ':' ||
		text[i+10] != ' ' && text[i+10] != 'T' || i > 0 && text[i-1] >= '0' && text[i-1] <= '9' {
		return 0
	}
	two := func(at, least, most int) bool {
		if at+2 > len(text) || text[at] < '0' || text[at] > '9' || text[at+1] < '0' || text[at+1] > '9' {
			return false
		}
		n := int(text[at]-'0')*10 + int(text[at+1]-'0')
		return n >= least && n <= most
	}
	if !two(i, 10, 29) || !two(i+2, 0, 99) || !two(i+5, 1, 12) || !two(i+8, 1, 31) || !two(i+11, 0, 24) || !two(i+14, 0, 59) {
		return 0
	}
	end := i + 16
	if end < len(text) && text[end] == ':' && two(end+1, 0, 60) {
		if end += 3; end+1 < len(text) && text[end] == '.' && text[end+1] >= '0' && text[end+1] <= '9' {
			end++
			for end < len(text) && text[end] >= '0' && text[end] <= '9' {
				end++
			}
		}
	}
	if end < len(text) && (text[end] == '+' || text[end] == '-') && two(end+1, 0, 14) {
		switch end += 3; {
		case end < len(text) && text[end] == ':' && two(end+1, 0, 59):
			end += 3
		case two(end, 0, 59):
			end += 2
		}
	}
	if end < len(text) && text[end] >= '0' && text[end] <= '9' {
		return 0 // more digits than a moment has
	}
	return end - i
}

// digestAt reports whether a UUID begins at i, or a word of hexadecimal digits and
// letters, as digests and many codes are; IBANs are told from those. It returns where
// that ends, or the word that begins there.
func digestAt(text []byte, i int) (end int, digest bool) {
	if isUUID(text[i:]) {
		return i + 36, true
	}
	letters, last, hex := 0, i-1, true // last is the last letter
	for end = i; end < len(text); end++ {
		c := text[end]
		if c >= '0' && c <= '9' {
			continue
		}
		if isHexDigit(c) {
			letters++
		} else if c >= 'g' && c <= 'z' || c >= 'G' && c <= 'Z' || c == '_' {
			hex = false
		} else {
			break
		}
		last = end
	}
	account := letters == 2 && last == i+1 && end-i >= 15 || // DE, or the E of SE
		letters == 1 && last == i && end-i >= 14 && i > 0 && text[i-1] >= 'G' && text[i-1] <= 'Z' && (i == 1 || !alphanumeric(text[i-2]))
	return end, hex && letters > 0 && !account
}

func alphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
}

// addressAt returns how long the IPv4 address is that stands at i, 0 for none.
func addressAt(text []byte, i int) int {
	if i > 0 && text[i-1] == '.' {
		return 0
	}
	end := i
	for group := range 4 {
		if group > 0 {
			if end >= len(text) || text[end] != '.' {
				return 0
			}
			end++
		}
		from, n := end, 0
		for ; end < len(text) && end-from < 4 && text[end] >= '0' && text[end] <= '9'; end++ {
			n = n*10 + int(text[end]-'0')
		}
		if end == from || n > 255 || end-from > 1 && text[from] == '0' {
			return 0
		}
	}
	if end < len(text) && (text[end] == '.' && end+1 < len(text) && text[end+1] >= '0' && text[end+1] <= '9' || text[end] == '-') {
		return 0
	}
	return end - i
}

// LikeTelephone reports whether an IPv4 address is grouped as telephone numbers are, with
// two digits each at the end: 210.123.45.67. Of addresses picked at random one in nine is.
func LikeTelephone(address []byte) bool {
	groups := bytes.Split(address, []byte{'.'})
	return len(groups) == 4 && len(groups[0]) > 1 && len(groups[1]) > 1 && len(groups[2]) == 2 && len(groups[3]) == 2
}

// isUUID reports whether a text begins with a UUID.
func isUUID(text []byte) bool {
	if len(text) < 36 {
		return false
	}
	for i, c := range text[:36] {
		if hyphen := i == 8 || i == 13 || i == 18 || i == 23; hyphen != (c == '-') || !hyphen && !isHexDigit(c) {
			return false
		}
	}
	return true
}

func isHexDigit(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// Words splits a text, folded, at everything that is neither letter nor digit, into n
// parts at most. A letter's marks are of it: vowels are, in many scripts.
func Words(text []byte, n int) [][]byte { return words(Fold(text), n) }

func words(text []byte, n int) [][]byte {
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
			if !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' && !unicode.IsMark(r) {
				break
			}
			j += size
		}
		out = append(out, text[i:j])
		i = j
	}
	return out
}

// Unspaced reports whether a word may be a full name of somebody, in a script that
// writes names without spaces.
func Unspaced(w []byte) bool {
	n := 0
	for len(w) > 0 {
		r, size := utf8.DecodeRune(w)
		if !unicode.In(r, unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana) && r != 'ー' {
			return false
		}
		n++
		w = w[size:]
	}
	return n >= 3 && n <= 6
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
