package mask

var cardMasker = &masker{
	name:    "card",
	doc:     maskerDoc{"a card number of the same brand in a range for tests, with a valid check digit", "no", "brand, number of digits, spaces and signs; fewer than 12 digits (the last four, say) become other digits", "the brand; which rows have equal values"},
	kinds:   []kind{kindText},
	digits:  true,
	options: []option{malformed},
	build: func(t *target, r *rule) (transform, traits, error) {
		tf, err := t.lenient(&card{t.keyed("card"), t.stream("card")}, r)
		return tf, traits{shaped: true, remedy: "use hash"}, err
	},
}

type card struct {
	keyed
	stream *prf
}

const notCard = reason("the value is not a card number: up to 19 digits, spaces, dashes and stars")

func (m *card) mask(ws *workspace, dst, value []byte) ([]byte, error) {
	if len(value) == 0 {
		return dst, nil
	}
	buf := ws.buf()
	defer ws.release()
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
	st := newStream(ws, m.stream, m.tag(ws, value))
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
