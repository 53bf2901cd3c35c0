package mask

var streetMasker = &masker{
	name:  "street",
	doc:   maskerDoc{"`12 Alder Lane`", "no", "nothing", "which rows have equal values"},
	kinds: []kind{kindText},
	build: buildStreet,
}

var cityMasker = &masker{
	name:  "city",
	doc:   maskerDoc{"an invented town from a list of some two hundred", "no", "nothing", "which rows have equal values; frequent towns stay frequent"},
	kinds: []kind{kindText},
	build: func(t *target, r *rule) (transform, traits, error) { return t.words(r.name, cities) },
}

var postcodeMasker = &masker{
	name:  "postcode",
	doc:   maskerDoc{"a code of the same shape: digits for digits, letters for letters", "no", "length, spaces and signs", "the shape, which often tells the country; which rows have equal values. The code may exist"},
	kinds: []kind{kindText},
	build: func(t *target, _ *rule) (transform, traits, error) {
		return &postcode{t.keyed("postcode"), t.stream("postcode")}, traits{shaped: true}, nil
	},
}

type street struct {
	keyed
	names, kinds []string
}

func (m *street) mask(ws *workspace, dst, value []byte) ([]byte, error) {
	if len(value) == 0 {
		return dst, nil
	}
	d := m.tag(ws, value).dice()
	n := d.between(1, 199)
	if n >= 100 {
		dst = append(dst, '1')
	}
	if n >= 10 {
		dst = append(dst, byte('0'+n/10%10))
	}
	dst = append(dst, byte('0'+n%10), ' ')
	dst = append(dst, m.names[d.n(len(m.names))]...)
	dst = append(dst, ' ')
	return append(dst, m.kinds[d.n(len(m.kinds))]...), nil
}

func buildStreet(t *target, _ *rule) (transform, traits, error) {
	for _, n := range []int{12, 8, 6, 4} {
		m := &street{t.keyed("street"), fit(streets, n), fit(streetKinds, max(n, 4))}
		if t.length == 0 || 5+longest(m.names)+longest(m.kinds) <= t.length {
			return m, traits{clean: true}, nil
		}
	}
	return nil, traits{}, t.tooLong("street", 13)
}

type postcode struct {
	keyed
	stream *prf
}

func (m *postcode) mask(ws *workspace, dst, value []byte) ([]byte, error) {
	if len(value) == 0 {
		return dst, nil
	}
	st := newStream(ws, m.stream, m.tag(ws, value))
	at := len(dst)
	dst = appendShape(dst, value, &st)
	for i, c := range dst[at:] {
		// Consonants and vowels taking turns look odd in a code.
		if isLetterMask[c] != 0 {
			dst[at+i] = 'A' + st.byte()%26 | c&0x20
		}
	}
	return dst, nil
}
