package mask

// jsonNumber masks a number inside JSON whose rule says nothing on numbers: every
// digit becomes another, and their number stays.
type jsonNumber struct {
	keyed
	stream *prf
}

// longExponent is how long an exponent may be. A longer one is no magnitude that any
// program knows, but may be somebody's number, and is masked.
const longExponent = len("e-9999")

func (m *jsonNumber) mask(ws *workspace, dst, value []byte) ([]byte, error) {
	st := newStream(ws, m.stream, m.tag(ws, value))
	first, exponent := true, false
	for i, c := range value {
		switch {
		case c == 'e' || c == 'E':
			exponent = len(value)-i <= longExponent
			first = !exponent
		case isDigit(c) && !exponent:
			// A whole part of several digits must not start with zero.
			if first && i+1 < len(value) && isDigit(value[i+1]) {
				c = '1' + st.byte()%9
			} else {
				c = '0' + st.byte()%10
			}
			first = false
		}
		dst = append(dst, c)
	}
	return dst, nil
}
