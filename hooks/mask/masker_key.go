package mask

import (
	"errors"
	"strconv"
)

var keyMasker = &masker{
	name:    "key",
	doc:     maskerDoc{"another whole number, in text that holds numbers too", "yes: a permutation", "sign and rough size: numbers below 2^14, 2^30, 2^52 stay below, so that sequences keep room", "which rows have equal values; order is lost"},
	kinds:   []kind{kindInt, kindNumeric, kindText},
	options: []option{malformed},
	build:   buildKey,
}

// zones are the bounds that key keeps numbers within: a number below one stays below
// it. They are the same for all types, so that a bigint that references an integer
// agrees with it, and they leave each type room for what sequences will give out.
var zones = [...]uint64{1, 1 << 14, 1 << 15, 1 << 30, 1 << 31, 1 << 52, 1 << 63}

// longestKey is the most characters of a bigint.
const longestKey = 20

type keyMask struct {
	zone [2][len(zones) - 1]permutation // positive, negative
	bits int
	text bool
	padding
}

const notKey = reason("the value is not a whole number that masker key can permute")

func (k *keyMask) mask(ws *workspace, dst, value []byte) ([]byte, error) {
	value = k.cut(value)
	if k.text && len(value) == 0 {
		return dst, nil
	}
	neg := len(value) > 0 && value[0] == '-'
	digits := value
	if neg {
		digits = value[1:]
	}
	v, ok := parseUint(digits)
	if !ok || k.text && digits[0] == '0' && len(value) > 1 { // 007 is not 7
		return dst, notKey
	}
	if v == 0 {
		return append(dst, '0'), nil
	}
	if v >= 1<<(k.bits-1) {
		return dst, reason("the value is the least of its type, masker key cannot permute it")
	}
	sign := 0
	if neg {
		sign = 1
		dst = append(dst, '-')
	}
	for i := range k.zone[sign] {
		if v < zones[i+1] {
			v = zones[i] + k.zone[sign][i].apply(ws, v-zones[i])
			break
		}
	}
	return strconv.AppendUint(dst, v, 10), nil
}

func buildKey(t *target, r *rule) (transform, traits, error) {
	k := &keyMask{bits: 64, text: t.kind == kindText, padding: t.padding()}
	if t.kind == kindInt && t.column.BaseType != "" && !t.inside {
		k.bits = intBits(t.column.BaseType)
	}
	if c := t.column; t.kind == kindNumeric && !t.inside && c.Precision > 0 && (c.Precision < 19 || c.Scale != 0) {
		return nil, traits{}, errors.New("key takes numeric only without a precision or with at least 19 digits and scale 0")
	}
	p := t.stream("key")
	for sign := range k.zone {
		for i := range k.zone[sign] {
			k.zone[sign][i] = newPermutation(p, zones[i+1]-zones[i], uint64(sign<<4|i))
		}
	}
	if !k.text {
		return k, traits{injective: true, clean: true}, nil
	}
	var tf transform = k
	if t.length > 0 && t.length < longestKey {
		tf = &bounded{tf, t.length, r}
	}
	tf, err := t.lenient(tf, r)
	return tf, traits{injective: r.text("malformed") == "stop", clean: true}, err
}
