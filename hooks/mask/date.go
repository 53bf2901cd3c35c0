package mask

import (
	"bytes"
	"strconv"
)

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

// onlyTime reports whether what follows a date is a time, a zone and an era, and
// nothing else: it passes as it is, and so must not be about anybody.
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

// cutPair cuts off two digits whose number is at most most.
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

// parseMoment reads a date or timestamp, with or without a zone (then UTC), as
// microseconds since 1970.
func parseMoment(b []byte) (int64, bool) {
	d, n, ok := parseDate(b)
	if !ok {
		return 0, false
	}
	rest := bytes.TrimSuffix(b[n:], []byte(" BC"))
	us := d.days() * 86400e6
	if len(rest) == 0 {
		return us, true
	}
	if !isTime(rest) {
		return 0, false
	}
	two := func(b []byte) int64 { return int64(b[0]-'0')*10 + int64(b[1]-'0') }
	us += (two(rest[1:])*3600 + two(rest[4:])*60 + two(rest[7:])) * 1e6
	rest = rest[9:]
	if len(rest) > 0 && rest[0] == '.' {
		rest = rest[1:]
		for unit := int64(1e5); len(rest) > 0 && isDigit(rest[0]); unit /= 10 {
			us += int64(rest[0]-'0') * unit
			rest = rest[1:]
		}
	}
	if len(rest) == 0 || string(rest) == "Z" {
		return us, true
	}
	sign := int64(1)
	if rest[0] == '-' {
		sign = -1
	} else if rest[0] != '+' {
		return 0, false
	}
	rest = rest[1:]
	for unit := int64(3600e6); ; unit /= 60 { // +02, +05:30, +00:53:28
		if len(rest) < 2 || !isDigit(rest[0]) || !isDigit(rest[1]) || unit < 1e6 {
			return 0, false
		}
		us -= sign * two(rest) * unit
		if rest = rest[2:]; len(rest) == 0 {
			return us, true
		}
		if rest[0] != ':' {
			return 0, false
		}
		rest = rest[1:]
	}
}
