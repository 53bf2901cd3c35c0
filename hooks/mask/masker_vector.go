package mask

import "bytes"

var vectorMasker = &masker{
	name:  "vector",
	doc:   maskerDoc{"pgvector: a random vector of the same dimensions, for a column that takes no NULL; distances mean nothing", "no", "number of dimensions", "which rows have equal values"},
	kinds: []kind{kindVector},
	build: func(t *target, _ *rule) (transform, traits, error) {
		return &vector{t.keyed("vector"), t.stream("vector")}, traits{clean: true}, nil
	},
}

type vector struct {
	keyed
	stream *prf
}

const notVector = reason("the value is not a vector")

func (m *vector) mask(ws *workspace, dst, value []byte) ([]byte, error) {
	if len(value) < 2 {
		return dst, notVector
	}
	if value[0] == '{' { // sparsevec: {index:value,...}/dimensions
		_, dimensions, ok := bytes.Cut(value, []byte("}/"))
		if _, number := parseUint(dimensions); !ok || !number {
			return dst, notVector
		}
		dst = append(dst, "{1:0."...)
		st := newStream(ws, m.stream, m.tag(ws, value))
		dst = append(dst, '1'+st.byte()%9, "0123456789"[st.byte()%10])
		return append(append(dst, "}/"...), dimensions...), nil
	}
	if value[0] != '[' || value[len(value)-1] != ']' {
		return dst, notVector
	}
	st := newStream(ws, m.stream, m.tag(ws, value))
	dst = append(dst, '[')
	for range bytes.Count(value, []byte{','}) + 1 {
		b := st.byte()
		if b&1 != 0 {
			dst = append(dst, '-')
		}
		dst = append(dst, '0', '.', '1'+b>>1%9, '0'+st.byte()%10, ',')
	}
	dst[len(dst)-1] = ']'
	return dst, nil
}
