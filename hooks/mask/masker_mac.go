package mask

var macMasker = &masker{
	name:   "mac",
	doc:    maskerDoc{"a locally administered address", "no; with `unique: true` all bits are permuted, and the address may be a real vendor's", "separators", "which rows have equal values"},
	kinds:  []kind{kindMAC, kindText},
	digits: true,
	options: []option{
		{name: "unique", kind: optBool, fallback: false, doc: "distinct addresses get distinct masks"},
		malformed,
	},
	build: buildMAC,
}

type mac struct {
	keyed
	perm48, perm64 permutation
	unique         bool
	padding
}

const notMAC = reason("the value is not a MAC address")

func (m *mac) mask(ws *workspace, dst, value []byte) ([]byte, error) {
	value = m.cut(value)
	if len(value) == 0 {
		return dst, nil
	}
	var v uint64
	n := 0
	for _, c := range value {
		switch {
		case isHex(c):
			v = v<<4 | uint64(hexValue(c))
			n++
		case c != ':' && c != '-' && c != '.':
			return dst, notMAC
		}
	}
	if n != 12 && n != 16 {
		return dst, notMAC
	}
	switch {
	case m.unique && n == 12:
		v = m.perm48.apply(ws, v)
	case m.unique:
		v = m.perm64.once(ws, v)
	default:
		// The PRF of the bits, so that spelling does not matter.
		v = m.prf.one(ws, uint64(n), v).lo
		if n == 12 {
			v = v&^(0xffff<<48)&^(3<<40) | 2<<40
		} else {
			v = v&^(3<<56) | 2<<56
		}
	}
	shift := 4 * n
	for _, c := range value {
		if isHex(c) {
			shift -= 4
			c = hexDigits[v>>shift&15]
		}
		dst = append(dst, c)
	}
	return dst, nil
}

func buildMAC(t *target, r *rule) (transform, traits, error) {
	p := t.stream("mac")
	m := &mac{keyed: t.keyed("mac"), unique: r.flag("unique"), padding: t.padding()}
	m.perm48 = newPermutation(p, 1<<48, 48)
	m.perm64 = permutation{prf: p, tweak: 64 << 8, a: 32, b: 32}
	tf, err := t.lenient(m, r)
	return tf, traits{injective: m.unique && t.kind == kindMAC, clean: true, remedy: "give mac `unique: true`"}, err
}
