package mask

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// scanString finds the quote that ends the string whose first byte is at pos.
func scanString(b []byte, pos int) (end int, escaped, ok bool) {
	for {
		// Eight bytes at a time: a quote, a backslash or a control character.
		for pos+8 <= len(b) {
			v := binary.LittleEndian.Uint64(b[pos:])
			q, s := v^0x2222222222222222, v^0x5c5c5c5c5c5c5c5c
			found := ((v-0x2020202020202020)&^v | (q-0x0101010101010101)&^q | (s-0x0101010101010101)&^s) & 0x8080808080808080
			if found != 0 {
				pos += bits.TrailingZeros64(found) / 8
				break
			}
			pos += 8
		}
		for pos < len(b) && b[pos] != '"' && b[pos] != '\\' && b[pos] >= 0x20 {
			pos++
		}
		if pos >= len(b) || b[pos] < 0x20 {
			return 0, false, false
		}
		if b[pos] == '"' {
			return pos, escaped, true
		}
		escaped = true
		if pos+1 >= len(b) {
			return 0, false, false
		}
		switch b[pos+1] {
		case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			pos += 2
		case 'u':
			if pos+6 > len(b) {
				return 0, false, false
			}
			for _, c := range b[pos+2 : pos+6] {
				if !isHex(c) {
					return 0, false, false
				}
			}
			pos += 6
		default:
			return 0, false, false
		}
	}
}

// appendJSONText appends what a valid JSON string says, without its escapes.
func appendJSONText(dst, s []byte) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '\\' {
			dst = append(dst, c)
			continue
		}
		i++
		switch c = s[i]; c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			r := hex4(s[i+1:])
			i += 4
			if utf16.IsSurrogate(r) && i+6 < len(s) && s[i+1] == '\\' && s[i+2] == 'u' {
				if pair := utf16.DecodeRune(r, hex4(s[i+3:])); pair != utf8.RuneError {
					r = pair
					i += 6
				}
			}
			dst = utf8.AppendRune(dst, r)
			continue
		}
		dst = append(dst, c)
	}
	return dst
}

func hex4(b []byte) rune {
	return rune(hexValue(b[0]))<<12 | rune(hexValue(b[1]))<<8 | rune(hexValue(b[2]))<<4 | rune(hexValue(b[3]))
}

// appendJSONString appends s with JSON's escapes, without the quotes.
func appendJSONString(dst, s []byte) []byte {
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c >= 0x20:
			dst = append(dst, c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return dst
}
