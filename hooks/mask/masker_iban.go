package mask

var ibanMasker = &masker{
	name:    "iban",
	doc:     maskerDoc{"an IBAN of the same country with valid check digits and a bank code that starts with zeros", "no", "country, length, spaces", "the country; which rows have equal values"},
	kinds:   []kind{kindText},
	digits:  true,
	options: []option{malformed},
	build: func(t *target, r *rule) (transform, traits, error) {
		tf, err := t.lenient(&iban{t.keyed("iban"), t.stream("iban")}, r)
		return tf, traits{shaped: true, remedy: "use hash"}, err
	},
}

type iban struct {
	keyed
	stream *prf
}

const notIBAN = reason("the value is not an IBAN")

func (m *iban) mask(ws *workspace, dst, value []byte) ([]byte, error) {
	if len(value) == 0 {
		return dst, nil
	}
	buf := ws.buf()
	defer ws.release()
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
	st := newStream(ws, m.stream, m.tag(ws, b))
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
