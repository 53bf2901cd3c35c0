package mask

import "unicode/utf8"

var hashMasker = &masker{
	name:  "hash",
	doc:   maskerDoc{"32 hexadecimal digits (fewer in a shorter column), 16 bytes in bytea", "yes, from 25 digits on", "nothing", "which rows have equal values"},
	kinds: []kind{kindText, kindBytea},
	options: []option{
		{name: "digits", kind: optInt, min: 4, max: 32, fallback: 32, doc: "hexadecimal digits to write"},
		{name: "prefix", kind: optString, fallback: "", doc: "text before the digits"},
		foldOption,
	},
	build: buildHash,
}

type hash struct {
	keyed
	prefix string
	digits int
	bytea  bool
}

const hexDigits = "0123456789abcdef"

func (h *hash) mask(ws *workspace, dst, value []byte) ([]byte, error) {
	if len(value) == 0 && !h.bytea {
		return dst, nil
	}
	t := h.tag(ws, value)
	if h.bytea {
		dst = append(dst, '\\', 'x')
	}
	dst = append(dst, h.prefix...)
	at := len(dst)
	dst = appendHex(appendHex(dst, t.hi), t.lo)
	return dst[:at+h.digits], nil
}

func appendHex(dst []byte, v uint64) []byte {
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, hexDigits[v>>shift&15])
	}
	return dst
}

func buildHash(t *target, r *rule) (transform, traits, error) {
	t = t.folded(r)
	h := &hash{keyed: t.keyed("hash"), prefix: r.text("prefix"), digits: r.int("digits"), bytea: t.kind == kindBytea}
	if h.bytea {
		h.prefix, h.digits = "", 32
	}
	if t.length > 0 {
		h.digits = min(h.digits, t.length-utf8.RuneCountInString(h.prefix))
	}
	if h.digits < 4 {
		return nil, traits{}, t.tooLong("hash", 4+utf8.RuneCountInString(h.prefix))
	}
	return h, traits{
		injective: h.digits >= 25,
		clean:     !h.bytea && isPrintable(h.prefix),
		remedy:    "give hash at least 25 digits",
	}, nil
}

func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == '\\' {
			return false
		}
	}
	return true
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// hexValue of a hexadecimal digit.
func hexValue(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}
