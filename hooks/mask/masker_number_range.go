package mask

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
)

var numberRangeMasker = &masker{
	name:   "number_range",
	doc:    maskerDoc{"a number between two bounds, all equally likely", "no", "nothing", "which rows have equal values. With `by` nothing: the original is not read"},
	kinds:  []kind{kindInt, kindNumeric, kindFloat, kindMoney, kindText},
	digits: true,
	options: []option{
		{name: "min", kind: optNumber, required: true, doc: "the least number"},
		{name: "max", kind: optNumber, required: true, doc: "the greatest number"},
		{name: "decimals", kind: optInt, min: 0, max: 12, doc: "digits after the point; as many as min and max have when not given"},
		byOption,
	},
	build: buildRange,
}

type numberRange struct {
	drawer
	low      int64 // in units of the last decimal
	n        uint64
	decimals int
}

func (m *numberRange) mask(ws *workspace, dst, value []byte) ([]byte, error) {
	if len(value) == 0 && !m.byEntity {
		return dst, nil
	}
	off, _ := bits.Mul64(m.draw(ws, value).hi, m.n)
	return appendUnits(dst, m.low+int64(off), m.decimals), nil
}

func buildRange(t *target, r *rule) (transform, traits, error) {
	least, _ := parseDecimal([]byte(r.text("min")))
	most, _ := parseDecimal([]byte(r.text("max")))
	m := &numberRange{decimals: max(len(least.fraction), len(most.fraction))}
	if r.has("decimals") {
		m.decimals = r.int("decimals")
	}
	if t.kind == kindInt && m.decimals > 0 {
		return nil, traits{}, errors.New("the column takes whole numbers, give min and max without decimals")
	}
	if c := t.column; t.kind == kindNumeric && !t.inside && c.Precision > 0 {
		m.decimals = min(m.decimals, max(0, c.Scale))
		if n := max(least.intDigits(), most.intDigits()); n > c.Precision-c.Scale {
			return nil, traits{}, fmt.Errorf("min and max do not fit numeric(%d,%d)", c.Precision, c.Scale)
		}
	}
	low, ok1 := least.units(m.decimals)
	high, ok2 := most.units(m.decimals)
	if !ok1 || !ok2 || low > high {
		return nil, traits{}, errors.New("min must not be above max, and both must be below 10^18 with their decimals and without an exponent")
	}
	if t.kind == kindInt && !t.inside {
		bits := intBits(t.column.BaseType)
		if low < -1<<(bits-1) || high > 1<<(bits-1)-1 {
			return nil, traits{}, fmt.Errorf("min and max do not fit %s", t.column.BaseType)
		}
	}
	if n := len(strconv.FormatInt(high, 10)) + len(strconv.FormatInt(low, 10)) + 2; t.length > 0 && n > t.length {
		return nil, traits{}, t.tooLong("number_range", n)
	}
	m.low, m.n = low, uint64(high-low)+1
	var tr traits
	var err error
	m.drawer, tr, err = t.drawer(r)
	tr.clean = true
	return m, tr, err
}
