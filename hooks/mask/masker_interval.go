package mask

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// intervalNoise is masker number_noise on intervals: months and days stay, the change
// of months goes into days, and that of days into the time.
type intervalNoise struct {
	keyed
	percent uint64
}

// interval is what PostgreSQL keeps of one: units do not mix.
type interval struct{ months, days, micros int64 }

// maxHours is an hour less than fits into the time part of an interval.
const maxHours = 2562047787

const notInterval = reason("the value is not an interval as PostgreSQL writes it (IntervalStyle postgres)")

// parseInterval reads what IntervalStyle postgres writes: 1 year -2 mons
// 3 days -04:05:06.7.
func parseInterval(b []byte) (v interval, ok bool) {
	for len(b) > 0 {
		word, rest, _ := bytes.Cut(b, []byte{' '})
		sign := int64(1)
		digits := word
		if len(digits) > 0 && (digits[0] == '-' || digits[0] == '+') {
			if digits[0] == '-' {
				sign = -1
			}
			digits = digits[1:]
		}
		if i := bytes.IndexByte(digits, ':'); i > 0 {
			h, ok := parseUint(digits[:i])
			t := digits[i+1:]
			if !ok || h > maxHours || len(t) < 5 || t[2] != ':' || len(rest) > 0 {
				return v, false
			}
			minutes, ok1 := parseUint(t[:2])
			seconds, ok2 := parseUint(t[3:5])
			frac := t[5:]
			micros := uint64(0)
			if len(frac) > 0 {
				if frac[0] != '.' || len(frac) > 7 {
					return v, false
				}
				micros, ok = parseUint(frac[1:])
				for range 7 - len(frac) {
					micros *= 10
				}
			}
			if !ok || !ok1 || !ok2 {
				return v, false
			}
			v.micros = sign * int64(((h*60+minutes)*60+seconds)*1e6+micros)
			return v, true
		}
		n, ok := parseUint(digits)
		unit, after, _ := bytes.Cut(rest, []byte{' '})
		if !ok || n > math.MaxInt32+1 {
			return v, false
		}
		switch string(bytes.TrimSuffix(unit, []byte{'s'})) {
		case "year":
			v.months += sign * int64(n) * 12
		case "mon":
			v.months += sign * int64(n)
		case "day":
			v.days = sign * int64(n)
		default:
			return v, false
		}
		b = after
	}
	return v, true
}

func (v interval) append(dst []byte) []byte {
	if v.months != 0 {
		dst = append(strconv.AppendInt(dst, v.months, 10), " mons "...)
	}
	if v.days != 0 {
		dst = append(strconv.AppendInt(dst, v.days, 10), " days "...)
	}
	us := uint64(v.micros)
	if v.micros < 0 {
		dst = append(dst, '-')
		us = -us
	}
	two := func(n uint64) { dst = append(dst, byte('0'+n/10), byte('0'+n%10)) }
	if h := us / 3600e6; h < 100 {
		two(h)
	} else {
		dst = strconv.AppendUint(dst, h, 10)
	}
	dst = append(dst, ':')
	two(us / 60e6 % 60)
	dst = append(dst, ':')
	two(us / 1e6 % 60)
	if us %= 1e6; us > 0 {
		dst = append(dst, '.')
		for unit := uint64(1e5); unit > 0; unit /= 10 {
			dst = append(dst, byte('0'+us/unit%10))
		}
	}
	return dst
}

func (m *intervalNoise) mask(ws *workspace, dst, value []byte) ([]byte, error) {
	if isInfinity(value) {
		return append(dst, value...), nil
	}
	v, ok := parseInterval(value)
	if !ok {
		return dst, notInterval
	}
	if v == (interval{}) {
		return append(dst, value...), nil
	}
	t := m.tag(ws, value)
	days := int64(min(share(abs(v.months)*30, t.hi, m.percent), 1e9))
	micros := int64(share(abs(v.days)*86400e6, t.hi, m.percent)/1e6*1e6 + share(abs(v.micros), t.hi, m.percent))
	if days == 0 {
		// The change of the months is less than a day.
		micros += int64(share(min(abs(v.months)*30, 1e4)*86400e6, t.hi, m.percent) / 1e6 * 1e6)
	}
	if micros == 0 && days == 0 {
		micros = 1
	}
	// Each part goes the same way, unless its type has no room there.
	if t.lo&1 == 0 {
		days, micros = -days, -micros
	}
	if d := v.days + days; d > math.MaxInt32 || d < math.MinInt32 {
		days = -days
	}
	const limit = 2e9 * 3600e6
	if us := float64(v.micros) + float64(micros); us > limit || us < -limit {
		micros = -micros
	}
	v.days += days
	v.micros += micros
	return v.append(dst), nil
}

func buildIntervalNoise(t *target, r *rule) (transform, traits, error) {
	switch c := t.column; {
	case r.has("amount"):
		return nil, traits{}, errors.New("amount is for numbers, give percent")
	case strings.HasPrefix(c.Type, "interval ") && !strings.HasSuffix(c.Type, " to second"):
		return nil, traits{}, fmt.Errorf("%s leaves no room for a change of days and seconds: use null or choice", c.Type)
	}
	m := &intervalNoise{t.keyed("number_noise"), 10}
	if r.has("percent") {
		m.percent = uint64(r.int("percent"))
	}
	tf, err := t.lenient(m, r)
	return tf, traits{clean: true, kept: []string{"rough value"}}, err
}
