package mask

import "bytes"

var moneyMaskers = []*masker{
	{
		name:    "card",
		doc:     maskerDoc{"a card number of the same brand in a range for tests, with a valid check digit", "no", "brand, number of digits, spaces and signs; fewer than 12 digits (the last four, say) become other digits", "the brand; which rows have equal values"},
		kinds:   []kind{kindText},
		options: []option{malformed},
		build: func(t *target, r *rule) (transform, traits, error) {
			tf, err := t.lenient(&card{t.keyed("card"), t.stream("card")}, r)
			return tf, traits{shaped: true, remedy: "use hash"}, err
		},
	},
	{
		name:    "iban",
		doc:     maskerDoc{"an IBAN of the same country with valid check digits and a bank code that starts with zeros", "no", "country, length, spaces", "the country; which rows have equal values"},
		kinds:   []kind{kindText},
		options: []option{malformed},
		build: func(t *target, r *rule) (transform, traits, error) {
			tf, err := t.lenient(&iban{t.keyed("iban"), t.stream("iban")}, r)
			return tf, traits{shaped: true, remedy: "use hash"}, err
		},
	},
}

// moneyNoise is number_noise on money, which is written as the locale of the
// production wants it: only digits change.
type moneyNoise struct{ noise *noise }

const notMoney = reason("the value is not an amount of money")

func (m *moneyNoise) mask(s *scratch, dst, value []byte) ([]byte, error) {
	number, masked := s.buf(), s.buf()
	defer s.release()
	defer s.release()
	// One or two digits behind the last sign are decimals; three are a group.
	last := bytes.LastIndexAny(value, ".,")
	decimals := 0
	digits := 0
	for i, c := range value {
		if c < ' ' || c == '\\' {
			return dst, notMoney // in no currency's sign, and COPY would have to escape it
		}
		if !isDigit(c) {
			continue
		}
		digits++
		if i > last {
			decimals++
		}
	}
	if digits == 0 {
		return dst, notMoney
	}
	if last < 0 || decimals > 2 {
		decimals = 0
	}
	n := 0
	for _, c := range value {
		if isDigit(c) {
			if n == digits-decimals {
				*number = append(*number, '.')
			}
			*number = append(*number, c)
			n++
		}
	}
	out, err := m.noise.mask(s, *masked, *number)
	*masked = out
	if err != nil {
		return dst, err
	}
	// Right-aligned: what was wider gets zeros in front, what is wider now
	// stands before the first digit.
	left := digits
	for _, c := range out {
		if isDigit(c) {
			left--
		}
	}
	i := 0
	next := func() byte {
		if out[i] == '.' {
			i++
		}
		i++
		return out[i-1]
	}
	for _, c := range value {
		if !isDigit(c) {
			dst = append(dst, c)
			continue
		}
		if left > 0 {
			left--
			dst = append(dst, '0')
			continue
		}
		for ; left < 0; left++ {
			dst = append(dst, next())
		}
		dst = append(dst, next())
	}
	return dst, nil
}

type card struct {
	keyed
	stream *prf
}

const notCard = reason("the value is not a card number: up to 19 digits, spaces, dashes and stars")

func (m *card) mask(s *scratch, dst, value []byte) ([]byte, error) {
	if len(value) == 0 {
		return dst, nil
	}
	buf := s.buf()
	defer s.release()
	d := *buf
	for _, c := range value {
		switch {
		case isDigit(c) && len(d) == 19:
			return dst, notCard
		case isDigit(c):
			d = append(d, c)
		case c != ' ' && c != '-' && c != '*' && c != '.' && c != 'x' && c != 'X':
			return dst, notCard
		}
	}
	*buf = d
	if len(d) == 0 {
		return dst, notCard
	}
	st := newStream(s, m.stream, m.tag(s, value))
	if len(d) < 12 {
		randomDigits(d, &st)
	} else {
		bin := testBIN(d)
		randomDigits(d, &st)
		copy(d, bin)
		d[len(d)-1] = luhn(d[:len(d)-1])
	}
	i := 0
	for _, c := range value {
		if isDigit(c) {
			c = d[i]
			i++
		}
		dst = append(dst, c)
	}
	return dst, nil
}

// testBIN is the start of the card numbers that payment providers give out
// for tests, for the brand of d.
func testBIN(d []byte) string {
	switch d[0] {
	case '2':
		return "222300"
	case '3':
		switch d[1] {
		case '4', '7':
			return "378282"
		case '5':
			return "356600"
		}
		return "305693"
	case '5':
		return "555555"
	case '6':
		return "601111"
	}
	return "411111"
}

// luhn returns the check digit for the digits before it.
func luhn(d []byte) byte {
	sum := 0
	for i := range d {
		v := int(d[len(d)-1-i] - '0')
		if i%2 == 0 {
			if v *= 2; v > 9 {
				v -= 9
			}
		}
		sum += v
	}
	return byte('0' + (10-sum%10)%10)
}

type iban struct {
	keyed
	stream *prf
}

const notIBAN = reason("the value is not an IBAN")

func (m *iban) mask(s *scratch, dst, value []byte) ([]byte, error) {
	if len(value) == 0 {
		return dst, nil
	}
	buf := s.buf()
	defer s.release()
	b := *buf
	for _, c := range value {
		switch {
		case len(b) > 34:
			return dst, notIBAN
		case isDigit(c) || 'A' <= c && c <= 'Z':
			b = append(b, c)
		case 'a' <= c && c <= 'z':
			b = append(b, c-'a'+'A')
		case c != ' ' && c != '-' && c != '.':
			return dst, notIBAN
		}
	}
	*buf = b
	if len(b) < 15 || len(b) > 34 || isDigit(b[0]) || isDigit(b[1]) || !isDigit(b[2]) || !isDigit(b[3]) {
		return dst, notIBAN
	}
	st := newStream(s, m.stream, m.tag(s, b))
	for i := 4; i < len(b); i++ {
		switch {
		case isDigit(b[i]) && i < 8:
			b[i] = '0'
		case isDigit(b[i]):
			b[i] = '0' + st.byte()%10
		case i < 8:
			b[i] = 'X'
		default:
			b[i] = 'A' + st.byte()%26
		}
	}
	check := 98 - ibanRemainder(b)
	b[2], b[3] = byte('0'+check/10), byte('0'+check%10)
	i := 0
	for _, c := range value {
		if c != ' ' && c != '-' && c != '.' {
			c = b[i]
			i++
		}
		dst = append(dst, c)
	}
	return dst, nil
}

// ibanRemainder is the number that ISO 7064 makes of an IBAN with check digits
// 00, modulo 97.
func ibanRemainder(b []byte) int {
	r := 0
	add := func(c byte) {
		if isDigit(c) {
			r = (r*10 + int(c-'0')) % 97
		} else {
			r = (r*100 + int(c-'A') + 10) % 97
		}
	}
	for _, c := range b[4:] {
		add(c)
	}
	add(b[0])
	add(b[1])
	return r * 100 % 97
}
