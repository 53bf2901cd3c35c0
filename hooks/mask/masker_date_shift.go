package mask

import (
	"bytes"
	"errors"
	"fmt"
)

var dateShiftMasker = &masker{
	name:   "date_shift",
	doc:    maskerDoc{"the date some days earlier or later, the same number of days for all dates of one entity, and for both bounds of a range", "within one entity (a unique index that holds the entity's column too)", "time of day, order and distance of the dates of one entity, wherever `by` leads to the same entity", "time of day; distances between an entity's dates; one known date gives away the others of that entity"},
	kinds:  []kind{kindDate, kindTimestamp, kindRange, kindText},
	digits: true,
	options: []option{
		{name: "by", kind: optString, required: true, doc: "the column that names the entity, such as user_id; columns joined by a foreign key or a link name the same entities"},
		{name: "days", kind: optInt, min: 1, max: 36500, fallback: 180, doc: "largest shift in days, either way; never zero"},
		malformed,
	},
	build: buildShift,
}

type dateShift struct {
	keyed
	days   uint64
	length int
	padding
}

func (m *dateShift) mask(ws *workspace, dst, value []byte) ([]byte, error) {
	value = m.cut(value)
	if len(value) == 0 || isInfinity(value) {
		return append(dst, value...), nil
	}
	d, n, ok := parseDate(value)
	if !ok || !onlyTime(value[n:]) {
		return dst, notDate
	}
	entity := ws.entity
	if ws.entityNull {
		entity = nil
	}
	t := m.tag(ws, entity)
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
	m := &dateShift{keyed{newPRF(t.key, "date_shift\x00"+label), eq}, uint64(r.int("days")), t.length, t.padding()}
	var first transform = m
	if t.kind == kindRange {
		switch t.column.Range {
		case "date", "timestamp", "timestamptz":
		default:
			return nil, traits{}, fmt.Errorf("date_shift takes ranges of dates and timestamps, and this one is of %s: use number_noise, null or choice", t.column.Range)
		}
		first = &ranges{dateShiftBounds{m}}
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
