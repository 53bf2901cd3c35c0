package mask

import "strings"

var phoneMasker = &masker{
	name:   "phone",
	doc:    maskerDoc{"a number in a range reserved for fiction where there is one (+1 ... 555-01xx, +44 7700 900xxx, +33 1 99 00 xx xx, +49 30 23125 xxx, +61 2 5550 xxxx), else one that nobody can be reached at", "no; with `unique: true` the original's digits permuted behind +888, which is no country", "country code, number of digits, spaces and signs", "which rows have equal values; the country"},
	kinds:  []kind{kindText},
	digits: true,
	options: []option{
		{name: "unique", kind: optBool, fallback: false, doc: "distinct numbers get distinct masks, behind the unassigned code +888: four characters longer"},
	},
	build: buildPhone,
}

type phone struct {
	keyed
	stream *prf
	unique bool
	digits []permutation // by number of digits
	length int
}

// fictions are the ranges that regulators keep free for films and books
// (ARCEP, Ofcom, Bundesnetzagentur, ACMA), by country code and number of
// digits: the national number with x for any digit. North America is a case of
// its own.
var fictions = [100][12][]string{
	33: {9: {"19900xxxx", "26191xxxx", "35301xxxx", "46571xxxx", "53649xxxx", "63998xxxx"}},
	44: {10: {"7700900xxx", "2079460xxx", "1632960xxx"}},
	49: {10: {"3023125xxx", "4066969xxx", "2214710xxx", "8999998xxx", "6990009xxx"}},
	61: {9: {"25550xxxx", "27010xxxx", "35550xxxx", "37010xxxx", "75550xxxx", "77010xxxx", "85550xxxx", "87010xxxx"}},
}

// twoDigitCountries are the E.164 country codes of two digits.
var twoDigitCountries = func() (is [100]bool) {
	for _, c := range []int{
		20, 27, 30, 31, 32, 33, 34, 36, 39, 40, 41, 43, 44, 45, 46, 47, 48, 49, 51, 52, 53, 54, 55, 56, 57, 58,
		60, 61, 62, 63, 64, 65, 66, 81, 82, 84, 86, 90, 91, 92, 93, 94, 95, 98,
	} {
		is[c] = true
	}
	return is
}()

// longestPhone is how long a value may be; a longer one is masked like a text.
const longestPhone = 1 << 20

func (p *phone) mask(ws *workspace, dst, value []byte) ([]byte, error) {
	if len(value) > longestPhone {
		return p.text(ws, dst, value)
	}
	buf := ws.buf()
	defer ws.release()
	digits := *buf
	for _, c := range value {
		if isDigit(c) {
			digits = append(digits, c)
		}
	}
	*buf = digits
	switch {
	case len(value) == 0:
		return dst, nil
	case p.unique:
		return p.permute(ws, dst, value, digits)
	case len(digits) == 0:
		return p.text(ws, dst, value)
	}
	st := newStream(ws, p.stream, p.tag(ws, value))
	fakeDigits(digits, value, &st)
	return appendFormatted(dst, value, digits), nil
}

// text masks a value that holds no number to call, but perhaps a name.
func (p *phone) text(ws *workspace, dst, value []byte) ([]byte, error) {
	if p.unique {
		return dst, notPhone
	}
	st := newStream(ws, p.stream, p.tag(ws, value))
	return appendShape(dst, value, &st), nil
}

// appendFormatted writes value with its digits replaced. Letters, as in "ext.",
// are masked like text; signs and spaces stay.
func appendFormatted(dst, value, digits []byte) []byte {
	i := 0
	for _, c := range value {
		switch phoneSigns[c] {
		case 'd':
			dst = append(dst, digits[i])
			i++
		case 's':
			dst = append(dst, c)
		case 'x':
			dst = append(dst, 'x')
		}
	}
	return dst
}

// phoneSigns says what happens to each byte of a phone number: d for digits, s
// for signs that stay, x for what is crossed out, 0 for bytes inside a
// character of UTF-8.
var phoneSigns = func() (class [256]byte) {
	for c := range class {
		switch {
		case '0' <= c && c <= '9':
			class[c] = 'd'
		case strings.IndexByte("+ -.()/", byte(c)) >= 0:
			class[c] = 's'
		case c&0xc0 != 0x80:
			class[c] = 'x'
		}
	}
	return class
}()

// fakeDigits overwrites the digits of a phone number, as many as there are.
func fakeDigits(d, value []byte, st *stream) {
	plus := value[0] == '+'
	skip := 0 // digits before the country code: an international prefix
	if !plus && len(d) > 4 && d[0] == '0' && d[1] == '0' {
		plus, skip = true, 2
	}
	rest := d[skip:]
	country := 0
	switch {
	case plus:
		country = countryLen(rest)
	case len(rest) == 11 && rest[0] == '1':
		country = 1
	}
	cc, national := rest[:country], rest[country:]
	switch {
	case country == 1 && cc[0] == '1', country == 0 && len(national) == 10 && national[0] >= '2':
		northAmerican(national, st)
	case plus && fictional(cc, national, st):
	case plus:
		// No national number starts with 000.
		unreachable(national, '0', st)
	case len(national) <= 7 && national[0] != '0':
		local(national, st)
	case national[0] == '0' && len(national) > 8:
		// An international prefix before +999, which is no country.
		copy(national, "00999")
		randomDigits(national[5:], st)
	default:
		unreachable(national, '8', st)
	}
}

// northAmerican writes an area code and 555-01xx.
func northAmerican(d []byte, st *stream) {
	if len(d) < 7 {
		unreachable(d, '0', st)
		return
	}
	head, tail := d[:len(d)-7], d[len(d)-7:]
	randomDigits(head, st)
	if len(head) > 0 {
		head[0] = '2' + st.byte()%8
	}
	copy(tail, "55501")
	randomDigits(tail[5:], st)
}

// local writes a short number: the end of 55501xx.
func local(d []byte, st *stream) {
	randomDigits(d, st)
	if len(d) < 5 {
		d[0] = '5' // never an emergency number
		return
	}
	copy(d, "55501"[7-len(d):])
}

// fictional writes a number of the country's range for fiction that has as
// many digits, or reports false.
func fictional(cc, d []byte, st *stream) bool {
	if len(cc) != 2 || len(d) == 0 {
		return false
	}
	country := &fictions[int(cc[0]-'0')*10+int(cc[1]-'0')]
	if d[0] == '0' {
		d = d[1:] // +44 (0)20 ...
	}
	if len(d) >= len(country) || len(country[len(d)]) == 0 {
		return false
	}
	ranges := country[len(d)]
	r := ranges[int(st.byte())%len(ranges)]
	for i := range d {
		if d[i] = r[i]; r[i] == 'x' {
			d[i] = '0' + st.byte()%10
		}
	}
	return true
}

// unreachable writes a number that starts with three equal digits.
func unreachable(d []byte, lead byte, st *stream) {
	randomDigits(d, st)
	for i := range min(3, len(d)) {
		d[i] = lead
	}
}

func randomDigits(d []byte, st *stream) {
	for i := range d {
		d[i] = '0' + st.byte()%10
	}
}

// countryLen is how many digits the E.164 country code has that d starts with.
func countryLen(d []byte) int {
	switch {
	case len(d) < 3 || d[0] == '0':
		return 0
	case d[0] == '1' || d[0] == '7':
		return 1
	case twoDigitCountries[int(d[0]-'0')*10+int(d[1]-'0')]:
		return 2
	}
	return 3
}

const notPhone = reason("the value is not a phone number that `unique: true` can mask (1 to 18 digits and signs): clean it, or use hash")

// permute writes +888 and the value with its digits permuted: distinct values
// stay distinct, because everything but the digits stays.
func (p *phone) permute(ws *workspace, dst, value, digits []byte) ([]byte, error) {
	n := len(digits)
	if n == 0 || n > 18 {
		return dst, notPhone
	}
	for i, c := range value {
		if !isDigit(c) && (c != '+' || i > 0) && c != ' ' && c != '-' && c != '.' && c != '(' && c != ')' && c != '/' {
			return dst, notPhone
		}
	}
	var v uint64
	for _, c := range digits {
		v = v*10 + uint64(c-'0')
	}
	v = p.digits[n].apply(ws, v)
	for i := n - 1; i >= 0; i-- {
		digits[i] = byte('0' + v%10)
		v /= 10
	}
	at := len(dst)
	if value[0] == '+' {
		dst = append(dst, '+')
		value = value[1:]
	}
	dst = appendFormatted(append(dst, "888"...), value, digits)
	if p.length > 0 && len(dst)-at > p.length {
		return dst[:at], reason("the mask is longer than the column takes: `unique: true` adds three characters")
	}
	return dst, nil
}

func buildPhone(t *target, r *rule) (transform, traits, error) {
	p := &phone{keyed: t.keyed("phone"), stream: t.stream("phone"), unique: r.flag("unique"), length: t.length}
	tr := traits{clean: true, remedy: "give phone `unique: true`"}
	if !p.unique {
		return p, traits{shaped: true, remedy: tr.remedy}, nil
	}
	if t.length > 0 && t.length < 16 {
		return nil, traits{}, t.tooLong("phone with `unique: true`", 16)
	}
	tr.injective = !t.eq.fold && !t.eq.trim
	p.digits = make([]permutation, 19)
	n := uint64(1)
	for i := range p.digits {
		p.digits[i] = newPermutation(p.stream, max(n, 2), uint64(i))
		n *= 10
	}
	return p, tr, nil
}
