package mask

import "bytes"

var yearOnlyMasker = &masker{
	name:    "year_only",
	doc:     maskerDoc{"1 January of the same year, at midnight", "no", "the year", "the year"},
	kinds:   []kind{kindDate, kindTimestamp, kindText},
	digits:  true,
	options: []option{malformed},
	build: func(t *target, r *rule) (transform, traits, error) {
		tf, err := t.lenient(yearOnly{t.padding()}, r)
		return tf, traits{clean: true, frequencySafe: true, kept: []string{"year"}}, err
	},
}

type yearOnly struct{ padding }

func (m yearOnly) mask(_ *workspace, dst, value []byte) ([]byte, error) {
	value = m.cut(value)
	if len(value) == 0 || isInfinity(value) {
		return append(dst, value...), nil
	}
	d, n, ok := parseDate(value)
	if !ok {
		return dst, notDate
	}
	d.month, d.day = 1, 1
	// The time becomes midnight. Zone and fraction go too: the zone may tell the
	// season.
	zero := ""
	if rest := bytes.TrimSuffix(value[n:], []byte(" BC")); len(rest) > 0 {
		if !isTime(rest) {
			return dst, notDate
		}
		t, zone := rest[0] == 'T', rest[9:]
		switch zoned := bytes.ContainsAny(zone, "+-"); {
		case t && zoned:
			zero = "T00:00:00+00:00"
		case t && bytes.HasSuffix(zone, []byte("Z")):
			zero = "T00:00:00Z"
		case t:
			zero = "T00:00:00"
		case zoned:
			zero = " 00:00:00+00"
		default:
			zero = " 00:00:00"
		}
	}
	return d.appendEra(append(d.appendDay(dst), zero...)), nil
}
