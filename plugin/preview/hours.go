package preview

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // images have no time zones of their own
)

// Hours are when previews are awake: spans of days and times of one time zone, as
// in "Mon-Fri 07:00-20:00, Sat 09:00-13:00 Europe/Berlin". The zero value is always.
type Hours struct {
	text  string
	zone  *time.Location
	spans []hourSpan
}

// hourSpan is from a minute of each of its days up to another, which is not in it.
type hourSpan struct {
	days     [7]bool
	from, to int
}

const (
	// hoursAlways is what Hours are called that have no bounds.
	hoursAlways = "always"
	minutesADay = 24 * 60
	mostHours   = 200
)

var (
	weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}
	errHours = errors.New(`must be days, times and a time zone, such as "Mon-Fri 07:00-20:00 Europe/Berlin", several parted by commas, or "always"`)
)

// ParseHours reads Hours.
func ParseHours(text string) (Hours, error) {
	text = strings.Join(strings.Fields(text), " ")
	if text == "" || text == hoursAlways {
		return Hours{}, nil
	}
	at := strings.LastIndex(text, " ")
	if at < 0 || len(text) > mostHours {
		return Hours{}, errHours
	}
	name := text[at+1:]
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return Hours{}, fmt.Errorf("must end with a time zone, such as Europe/Berlin or UTC: %w", errHours)
	}
	h := Hours{text: text, zone: zone}
	for one := range strings.SplitSeq(text[:at], ",") {
		span, ok := parseHourSpan(strings.TrimSpace(one))
		if !ok {
			return Hours{}, errHours
		}
		h.spans = append(h.spans, span)
	}
	return h, nil
}

// parseHourSpan reads days and times, such as Mon-Fri 07:00-20:00.
func parseHourSpan(text string) (s hourSpan, ok bool) {
	days, times, ok := strings.Cut(text, " ")
	if !ok {
		return s, false
	}
	first, last, isSpan := strings.Cut(strings.ToLower(days), "-")
	if !isSpan {
		last = first
	}
	from, to := slices.Index(weekdays, first), slices.Index(weekdays, last)
	if from < 0 || to < 0 {
		return s, false
	}
	for day := from; ; day = (day + 1) % len(weekdays) {
		s.days[day] = true
		if day == to {
			break
		}
	}
	begin, end, ok := strings.Cut(times, "-")
	if !ok {
		return s, false
	}
	s.from, ok = minuteOf(begin)
	if !ok {
		return s, false
	}
	s.to, ok = minuteOf(end)
	return s, ok && s.from < s.to
}

// minuteOf reads a time of day; 24:00 is the end of it.
func minuteOf(text string) (int, bool) {
	if text == "24:00" {
		return minutesADay, true
	}
	at, err := time.Parse("15:04", text)
	return at.Hour()*60 + at.Minute(), err == nil
}

// Open says whether previews are awake at that time.
func (h Hours) Open(at time.Time) bool {
	if len(h.spans) == 0 {
		return true
	}
	at = at.In(h.zone)
	minute := at.Hour()*60 + at.Minute()
	return slices.ContainsFunc(h.spans, func(s hourSpan) bool {
		return s.days[at.Weekday()] && s.from <= minute && minute < s.to
	})
}

func (h Hours) String() string {
	if len(h.spans) == 0 {
		return hoursAlways
	}
	return h.text
}

// UnmarshalJSON implements json.Unmarshaler.
func (h *Hours) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return fmt.Errorf("awakeHours %w", errHours)
	}
	read, err := ParseHours(text)
	if err != nil {
		return fmt.Errorf("awakeHours %q %w", text, err)
	}
	*h = read
	return nil
}
