package mask

import "slices"

var byteaMasker = &masker{
	name:  "bytea",
	doc:   maskerDoc{"random bytes", "no", "length", "the length; which rows have equal values"},
	kinds: []kind{kindBytea},
	build: func(t *target, _ *rule) (transform, traits, error) {
		return &byteaMask{t.keyed("bytea"), t.stream("bytea")}, traits{remedy: "use hash"}, nil
	},
}

type byteaMask struct {
	keyed
	stream *prf
}

const notBytea = reason(`the value is not bytea in hex format (\x...): dump with bytea_output = hex`)

func (m *byteaMask) mask(ws *workspace, dst, value []byte) ([]byte, error) {
	if len(value) < 2 || value[0] != '\\' || value[1] != 'x' || len(value)%2 != 0 {
		return dst, notBytea
	}
	dst = append(slices.Grow(dst, len(value)), '\\', 'x')
	if len(value) == 2 {
		return dst, nil
	}
	st := newStream(ws, m.stream, m.tag(ws, value))
	for range (len(value) - 2) / 2 {
		b := st.byte()
		dst = append(dst, hexDigits[b>>4], hexDigits[b&15])
	}
	return dst, nil
}
