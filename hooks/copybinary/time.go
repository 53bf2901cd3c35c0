package copybinary

import (
	"bytes"
	"encoding/binary"
	"math"
)

const (
	microsecond = 1
	second      = 1e6 * microsecond
	day         = 86400 * second

	// firstYear and lastYear are those of which every day is a timestamp;
	// negative years are BC, the year 0 is 1 BC.
	firstYear = -4711
	lastYear  = 294275
	// lastDateYear is the same for dates.
	lastDateYear = 5874896
)

// since2000 is the number of days from 2000-01-01 to a day of the proleptic
// Gregorian calendar, as PostgreSQL's is. Years from firstYear on.
func since2000(year, month, dayOfMonth int) int {
	// Counted from a March, so that the leap day is the last of its year, and from
	// a multiple of 400 years before any date.
	year += 4800
	if month <= 2 {
		year--
		month += 12
	}
	const epoch = 2483589
	return 365*year + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + dayOfMonth - 1 - epoch
}

// reader reads fixed forms from the front of a text.
type reader struct {
	text []byte
	bad  bool
}

// two reads two digits, at most a maximum.
func (r *reader) two(most int) int {
	if len(r.text) < 2 {
		r.bad = true
		return 0
	}
	a, b := r.text[0]-'0', r.text[1]-'0'
	n := int(a)*10 + int(b)
	if a > 9 || b > 9 || n > most {
		r.bad = true
		return 0
	}
	r.text = r.text[2:]
	return n
}

// next reads a character if it is the one asked for.
func (r *reader) next(c byte) bool {
	if len(r.text) == 0 || r.text[0] != c {
		return false
	}
	r.text = r.text[1:]
	return true
}

// must reads a character that has to be there.
func (r *reader) must(c byte) {
	if !r.next(c) {
		r.bad = true
	}
}

var bc = []byte(" BC")

// era takes the end off that makes years BC.
func (r *reader) era() (before bool) {
	if r.text, before = bytes.CutSuffix(r.text, bc); before && len(r.text) == 0 {
		r.bad = true
	}
	return before
}

// date reads year, month and day, and returns the days since 2000-01-01.
func (r *reader) date(before bool, last int) int {
	year, digits := 0, 0
	for digits < len(r.text) && digits < 8 && r.text[digits]-'0' <= 9 {
		year = year*10 + int(r.text[digits]-'0')
		digits++
	}
	if digits < 4 || digits > 4 && r.text[0] == '0' {
		r.bad = true
		return 0
	}
	r.text = r.text[digits:]
	r.must('-')
	month := r.two(12)
	r.must('-')
	dayOfMonth := r.two(31)
	if before {
		year = 1 - year
	} else if year == 0 {
		r.bad = true
	}
	if r.bad || month == 0 || dayOfMonth == 0 || year < firstYear || year > last || dayOfMonth > daysIn(year, month) {
		r.bad = true
		return 0
	}
	return since2000(year, month, dayOfMonth)
}

func daysIn(year, month int) int {
	switch {
	case month == 2 && year%4 == 0 && (year%100 != 0 || year%400 == 0):
		return 29
	case month == 2:
		return 28
	case month == 4 || month == 6 || month == 9 || month == 11:
		return 30
	}
	return 31
}

// clock reads hours, minutes, seconds and their fraction, in microseconds.
func (r *reader) clock() int64 {
	h := r.two(23)
	r.must(':')
	m := r.two(59)
	r.must(':')
	s := r.two(59)
	us := int64((h*60+m)*60+s) * second
	if r.next('.') {
		us += r.fraction()
	}
	return us
}

// fraction reads the decimals of a second, in microseconds.
func (r *reader) fraction() (us int64) {
	digits := 0
	for unit := int64(100000); len(r.text) > 0 && r.text[0]-'0' <= 9; unit /= 10 {
		us += int64(r.text[0]-'0') * unit
		digits++
		r.text = r.text[1:]
	}
	if digits == 0 || digits > 6 {
		r.bad = true
	}
	return us
}

// zone reads a zone's distance from UTC, in microseconds.
func (r *reader) zone() int64 {
	west := r.next('-')
	if !west {
		r.must('+')
	}
	seconds := r.two(15) * 3600 // PostgreSQL's most
	if r.next(':') {
		seconds += r.two(59) * 60
		if r.next(':') {
			seconds += r.two(59)
		}
	}
	if west {
		seconds = -seconds
	}
	return int64(seconds) * second
}

func (r *reader) ended() bool { return !r.bad && len(r.text) == 0 }

func appendTimestamp(dst, text []byte, zoned bool) ([]byte, bool) {
	switch string(text) {
	case "infinity":
		return binary.BigEndian.AppendUint64(dst, math.MaxInt64), true
	case "-infinity":
		return binary.BigEndian.AppendUint64(dst, 1<<63), true
	}
	us, rest, ok := recent(text)
	r := reader{text: rest}
	if !ok {
		r.text = text
		days := r.date(r.era(), lastYear)
		r.must(' ')
		us = int64(days)*day + r.clock()
	} else if r.next('.') {
		us += r.fraction()
	}
	if zoned {
		us -= r.zone()
	}
	return binary.BigEndian.AppendUint64(dst, uint64(us)), r.ended()
}

// recent reads date and time of the years 1000 to 9999 AD, up to the whole
// second: nearly all timestamps, in a third of the time.
func recent(text []byte) (us int64, rest []byte, ok bool) {
	if len(text) < 19 || text[0] == '0' || text[len(text)-1] == 'C' {
		return 0, nil, false
	}
	t := text[:19]
	if t[4] != '-' || t[7] != '-' || t[10] != ' ' || t[13] != ':' || t[16] != ':' {
		return 0, nil, false
	}
	var most byte
	for _, i := range [...]int{0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18} {
		most = max(most, t[i]-'0')
	}
	two := func(i int) int { return int(t[i]-'0')*10 + int(t[i+1]-'0') }
	year, month, dayOfMonth := two(0)*100+two(2), two(5), two(8)
	h, m, s := two(11), two(14), two(17)
	if most > 9 || month == 0 || month > 12 || dayOfMonth == 0 || dayOfMonth > 28 && dayOfMonth > daysIn(year, month) || h > 23 || m > 59 || s > 59 {
		return 0, nil, false
	}
	return int64(since2000(year, month, dayOfMonth))*day + int64((h*60+m)*60+s)*second, text[19:], true
}

func appendDate(dst, text []byte) ([]byte, bool) {
	switch string(text) {
	case "infinity":
		return binary.BigEndian.AppendUint32(dst, math.MaxInt32), true
	case "-infinity":
		return binary.BigEndian.AppendUint32(dst, 1<<31), true
	}
	r := reader{text: text}
	days := r.date(r.era(), lastDateYear)
	return binary.BigEndian.AppendUint32(dst, uint32(days)), r.ended()
}

func appendTime(dst, text []byte) ([]byte, bool) {
	r := reader{text: text}
	us := r.clock()
	return binary.BigEndian.AppendUint64(dst, uint64(us)), r.ended()
}
