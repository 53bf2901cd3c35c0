package mask

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

var dateMaskers = []*masker{
	{
		name:  "date_shift",
		doc:   maskerDoc{"the date some days earlier or later, the same number of days for all dates of one entity, and for both bounds of a range", "within one entity (a unique index that holds the entity's column too)", "time of day, order and distance of the dates of one entity, wherever `by` leads to the same entity", "time of day; distances between an entity's dates; one known date gives away the others of that entity"},
		kinds: []kind{kindDate, kindTimestamp, kindRange, kindText},
		options: []option{
			{name: "by", kind: optString, required: true, doc: "the column that names the entity, such as user_id; columns joined by a foreign key or a link name the same entities"},
			{name: "days", kind: optInt, min: 1, max: 36500, fallback: 180, doc: "largest shift in days, either way; never zero"},
			malformed,
		},
		build: buildShift,
	},
	{
		name:    "year_only",
		doc:     maskerDoc{"1 January of the same year, at midnight", "no", "the year", "the year"},
		kinds:   []kind{kindDate, kindTimestamp, kindText},
		options: []option{malformed},
		build: func(t *target, r *rule) (transform, traits, error) {
			tf, err := t.lenient(yearOnly{t.padding()}, r)
			return tf, traits{clean: true, told: true, kept: []string{"year"}}, err
		},
	},
}

// date is a day of the proleptic Gregorian calendar; year 0 is 1 BC.
type date struct{ year, month, day int64 }

// parseDate reads a date at the start of an ISO date or timestamp as
// PostgreSQL writes them, with BC at the end for years before 1. It returns
// the length of the date's text.
func parseDate(b []byte) (d date, n int, ok bool) {
	for n < len(b) && n < 7 && isDigit(b[n]) {
		d.year = d.year*10 + int64(b[n]-'0')
		n++
	}
	if n < 4 || len(b) < n+6 || b[n] != '-' || b[n+3] != '-' ||
		!isDigit(b[n+1]) || !isDigit(b[n+2]) || !isDigit(b[n+4]) || !isDigit(b[n+5]) {
		return d, 0, false
	}
	d.month = int64(b[n+1]-'0')*10 + int64(b[n+2]-'0')
	d.day = int64(b[n+4]-'0')*10 + int64(b[n+5]-'0')
	n += 6
	if len(b) > n && isDigit(b[n]) {
		return d, 0, false
	}
	if bytes.HasSuffix(b, []byte(" BC")) {
		d.year = 1 - d.year
	}
	return d, n, d.month >= 1 && d.month <= 12 && d.day >= 1 && d.day <= 31
}

// days since 1 January 1970 (Hinnant, "chrono-Compatible Low-Level Date
// Algorithms").
func (d date) days() int64 {
	y, m := d.year, d.month
	if m <= 2 {
		y--
	}
	era := floorDiv(y, 400)
	yoe := y - era*400
	mp := (m + 9) % 12
	doy := (153*mp+2)/5 + d.day - 1
	doe := yoe*365 + yoe/4 - yoe/100 + doy
	return era*146097 + doe - 719468
}

func dateOf(days int64) date {
	z := days + 719468
	era := floorDiv(z, 146097)
	doe := z - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	m := mp + 3
	if m > 12 {
		m -= 12
	}
	y := yoe + era*400
	if m <= 2 {
		y++
	}
	return date{y, m, doy - (153*mp+2)/5 + 1}
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// appendDay writes year, month and day.
func (d date) appendDay(dst []byte) []byte {
	y := d.year
	if y <= 0 {
		y = 1 - y
	}
	for pad := int64(1000); pad > y && pad > 1; pad /= 10 {
		dst = append(dst, '0')
	}
	dst = strconv.AppendInt(dst, y, 10)
	return append(dst, '-', byte('0'+d.month/10), byte('0'+d.month%10), '-', byte('0'+d.day/10), byte('0'+d.day%10))
}

// appendEra writes BC, which stands behind the time, where it belongs.
func (d date) appendEra(dst []byte) []byte {
	if d.year <= 0 {
		return append(dst, " BC"...)
	}
	return dst
}

const (
	notDate     = reason("the value is not an ISO date such as 2024-01-31")
	dateTooFar  = reason("the shifted date is out of range")
	earliestDay = -2440587 // 4713-01-01 BC, a little later than PostgreSQL's limit
	latestDay   = 106000000
)

func isInfinity(value []byte) bool {
	return string(value) == "infinity" || string(value) == "-infinity"
}

type shift struct {
	keyed
	days   uint64
	length int
	padding
}

func (m *shift) mask(s *scratch, dst, value []byte) ([]byte, error) {
	value = m.cut(value)
	if len(value) == 0 || isInfinity(value) {
		return append(dst, value...), nil
	}
	d, n, ok := parseDate(value)
	if !ok || !onlyTime(value[n:]) {
		return dst, notDate
	}
	entity := s.entity
	if s.entityNull {
		entity = nil
	}
	t := m.tag(s, entity)
	roll := t.dice()
	by := int64(roll.between(1, int(m.days)))
	if t.lo&1 == 0 {
		by = -by
	}
	day := d.days() + by
	if day < earliestDay || day > latestDay {
		return dst, dateTooFar
	}
	at := len(dst)
	d = dateOf(day)
	dst = d.appendEra(append(d.appendDay(dst), bytes.TrimSuffix(value[n:], []byte(" BC"))...))
	if m.length > 0 && len(dst)-at > m.length {
		return dst[:at], dateTooFar
	}
	return dst, nil
}

func buildShift(t *target, r *rule) (transform, traits, error) {
	if t.entity == nil {
		return nil, traits{}, errors.New("date_shift needs a column of the row and cannot be used here")
	}
	by := r.text("by")
	label, eq, err := t.entity(by)
	if err != nil {
		return nil, traits{}, err
	}
	// The sub-key is the entity's, not the column's: all dates of an entity
	// move together.
	m := &shift{keyed{newPRF(t.key, "date_shift\x00"+label), eq}, uint64(r.int("days")), t.length, t.padding()}
	var first transform = m
	if t.kind == kindRange {
		switch t.column.Range {
		case "date", "timestamp", "timestamptz":
		default:
			return nil, traits{}, fmt.Errorf("date_shift takes ranges of dates and timestamps, and this one is of %s: use number_noise, null or choice", t.column.Range)
		}
		first = &ranges{shiftBounds{m}}
	}
	tf, err := t.lenient(first, r)
	tr := traits{entity: by, kept: []string{"time of day"}}
	if t.kind != kindText && !t.inside {
		tr.within = by
		tr.clean = true
	}
	tr.remedy = "add the column " + QuoteIdent(by) + " to the index, or keep the column"
	return tf, tr, err
}

type yearOnly struct{ padding }

func (m yearOnly) mask(_ *scratch, dst, value []byte) ([]byte, error) {
	value = m.cut(value)
	if len(value) == 0 || isInfinity(value) {
		return append(dst, value...), nil
	}
	d, n, ok := parseDate(value)
	if !ok {
		return dst, notDate
	}
	d.month, d.day = 1, 1
	// The time goes to midnight; zone and fraction go with it, they may tell
	// the season.
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

// onlyTime reports whether what follows a date is a time, a zone and an era, and
// nothing else that might be somebody's: it passes as it is.
func onlyTime(b []byte) bool {
	b = bytes.TrimSuffix(b, []byte(" BC"))
	if len(b) == 0 {
		return true
	}
	if b[0] != ' ' && b[0] != 'T' {
		return false
	}
	b, ok := cutPair(b[1:], 24)
	if !ok || len(b) == 0 || b[0] != ':' {
		return false
	}
	if b, ok = cutPair(b[1:], 59); !ok {
		return false
	}
	if len(b) > 0 && b[0] == ':' {
		if b, ok = cutPair(b[1:], 60); !ok {
			return false
		}
		if len(b) > 0 && b[0] == '.' {
			n := digitsLen(b[1:])
			if n == 0 || n > 9 {
				return false
			}
			b = b[1+n:]
		}
	}
	if len(b) > 1 && b[0] == ' ' {
		b = b[1:]
	}
	return len(b) == 0 || string(b) == "Z" || (b[0] == '+' || b[0] == '-') && isZone(b[1:])
}

// isZone reports whether b is a zone's hours, with minutes and seconds or
// without: 02, 05:30, 0200, 00:53:28.
func isZone(b []byte) bool {
	b, ok := cutPair(b, 15)
	for range 2 {
		if len(b) > 0 && ok {
			if b[0] == ':' {
				b = b[1:]
			}
			b, ok = cutPair(b, 59)
		}
	}
	return ok && len(b) == 0
}

// cutPair cuts off two digits, a number that is at most so much.
func cutPair(b []byte, most byte) (rest []byte, ok bool) {
	if len(b) < 2 || !isDigit(b[0]) || !isDigit(b[1]) || (b[0]-'0')*10+b[1]-'0' > most {
		return b, false
	}
	return b[2:], true
}

// isTime reports whether b starts like " 12:34:56" or "T12:34:56".
func isTime(b []byte) bool {
	return len(b) >= 9 && (b[0] == ' ' || b[0] == 'T') && isDigit(b[1]) && isDigit(b[2]) && b[3] == ':' && b[6] == ':'
}
