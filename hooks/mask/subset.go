package mask

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// A subset makes a seed smaller than production: a table's newest rows, or the rows
// of a share of all entities. It only ever drops rows. A row stays when it meets its
// own table's conditions and every row that it references stays; what it references
// is not brought back, since that would bring back most of the database. So the
// answer does not depend on the order in which tables are loaded.
//
// Whether a value is in a share is decided by the sub-key of its column, which is
// that of all columns joined to it by foreign keys and links. They agree without
// seeing each other, so that rows that reference a row outside of the share are
// dropped while they are read; all others go after the load (see Orphans).

// sharing accepts a part of all values.
type sharing struct {
	keyed
	label  string // of the sub-key
	limit  uint64
	orNull bool // and NULL, which references nothing
	extra  *shareExtra
}

func (s *sharing) has(ws *workspace, value []byte) bool {
	return s.tag(ws, value).hi < s.limit || s.extra.has(ws, value)
}

// shareOf is a share of a column's values, and its filter.
type shareOf struct {
	column  *columnState
	percent float64
	filter  *filter
}

// shareKinds are the types whose values name an entity.
var shareKinds = []kind{kindText, kindInt, kindNumeric, kindUUID, kindBytea}

// shares gives the filters their sub-keys, once columns are joined.
func (x *compiler) shares() {
	for _, t := range x.order {
		for _, s := range t.shares {
			if !slices.Contains(shareKinds, s.column.kind()) {
				x.fail("the row filter of %s: column %s is %s, which share does not take: name the column with an entity's key", t.qualified, QuoteIdent(s.column.Name), s.column.Type)
				continue
			}
			s.filter.share = x.share(s.column, s.percent, false)
		}
	}
}

func (x *compiler) share(c *columnState, percent float64, orNull bool) *sharing {
	t := x.target(c)
	e := x.extra[c.find()]
	if e == nil {
		e = &shareExtra{t.eq, map[string]struct{}{}}
		x.extra[c.find()] = e
	}
	return &sharing{t.keyed("share"), t.label, uint64(percent / 100 * math.MaxUint64), orNull, e}
}

// passOn drops rows that reference a row outside of a share while they are read.
func (x *compiler) passOn() {
	for again := true; again; {
		again = false
		for _, o := range x.plan.orphanList {
			ref := x.tables[o.ForeignKey.References]
			if len(o.SetNull) > 0 || ref.Partitioned { // each partition may have rules of its own
				continue
			}
			for _, s := range ref.shares {
				i := slices.Index(o.ForeignKey.ReferencedColumns, s.column.Name)
				if i < 0 {
					continue
				}
				for _, t := range x.order {
					if t.qualified == o.Table || t.whole().qualified == o.Table {
						again = t.passedOn(x, o.ForeignKey, i, s) || again
					}
				}
			}
		}
	}
}

// passedOn gives a table the share of a column that one of a foreign key of its own
// references. With another of its columns NULL the row would reference nothing.
func (t *tableState) passedOn(x *compiler, fk ForeignKey, column int, s shareOf) bool {
	c := t.byName[fk.Columns[column]]
	for i, name := range fk.Columns {
		if i != column && (t.byName[name] == nil || !t.byName[name].NotNull) {
			return false
		}
	}
	if c == nil || c.Generated || c.find() != s.column.find() || slices.ContainsFunc(t.shares, func(have shareOf) bool { return have.column == c && have.percent <= s.percent }) {
		return false
	}
	f := &filter{column: c.Name, kind: c.kind(), share: x.share(c, s.percent, true)}
	t.shares = append(t.shares, shareOf{c, s.percent, f})
	t.plan.filters = append(t.plan.filters, f)
	return true
}

// age sets the least moment of a filter.
func (f *filter) age(hours int, taken time.Time) error {
	switch {
	case f.kind != kindDate && f.kind != kindTimestamp:
		return fmt.Errorf("column %s: newest takes dates and timestamps only", QuoteIdent(f.column))
	case taken.IsZero():
		return errors.New("newest counts from when the dump was made, which this one does not say: dump with -Fc, or write from and a date")
	}
	least := taken.Add(-time.Duration(hours) * time.Hour)
	if f.kind == kindDate {
		least = least.Truncate(24 * time.Hour)
	}
	f.from, f.newest, f.taken = &operand{moment: moment(least)}, true, moment(taken)
	return nil
}

// moment is a time as parseMoment reads it.
func moment(t time.Time) int64 {
	us, ok := parseMoment([]byte(t.UTC().Format("2006-01-02 15:04:05.999999")))
	if !ok {
		panic("mask: a time cannot be read")
	}
	return us
}
