package mask

import "bytes"

// moneyNoise is number_noise on money, which production's locale decides how to
// write: only digits change.
type moneyNoise struct{ noise *numberNoise }

const notMoney = reason("the value is not an amount of money")

func (m *moneyNoise) mask(ws *workspace, dst, value []byte) ([]byte, error) {
	number, masked := ws.buf(), ws.buf()
	defer ws.release()
	defer ws.release()
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
	out, err := m.noise.mask(ws, *masked, *number)
	*masked = out
	if err != nil {
		return dst, err
	}
	// Aligned to the right: a shorter number gets zeros in front, and the digits
	// that a longer one has more stand before the first.
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
