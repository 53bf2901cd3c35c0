package mask

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/seedling-dev/seedling/hooks/copytext"
)

// Overlaps looks in samples of rows for columns that hold the same values and whose
// masks do not agree: joins of them find nothing in the seed. It may be used from
// several goroutines.
type Overlaps struct {
	mu    sync.Mutex
	plan  *Plan
	sides map[placeInside]*overlapSide
	// census shows what is inside of values
	census *Census
}

// placeInside is a column, or a place inside of its values.
type placeInside struct {
	ColumnName
	inside string
}

type overlapSide struct {
	joinSide
	group string // whose masks agree
}

// of is the side that a joinSide stands for.
func (o *Overlaps) of(s joinSide) *overlapSide { return o.sides[placeInside{s.name, s.inside}] }

// NewOverlaps starts to look.
func (p *Plan) NewOverlaps() *Overlaps {
	return &Overlaps{plan: p, sides: map[placeInside]*overlapSide{}, census: p.NewCensus()}
}

// Add looks at rows of a table, lines of COPY text. Partitions and inheritance
// children count for their root. Rows that cannot be read are not looked at.
func (o *Overlaps) Add(l *Layout, rows []byte) {
	if !l.table.Rows {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	var sets []*valueSet
	for _, b := range l.columns {
		sets = append(sets, o.side(l.table, b.name).set)
	}
	var fields [][]byte
	for line, rest, ok := copytext.CutLine(rows); ok; line, rest, ok = copytext.CutLine(rest) {
		if copytext.IsEnd(line) {
			break
		}
		var err error
		if fields, err = copytext.Split(fields[:0], line); err != nil || len(fields) != len(sets) {
			continue
		}
		for i, f := range fields {
			switch {
			case copytext.IsNull(f):
			case sets[i] != nil:
				sets[i].add(plainField(f))
			case containerOf(l.columns[i].tf) != nil:
				o.addInside(ColumnName{l.table.root.Schema, l.table.root.Name, l.columns[i].name}, "", l.columns[i].tf, plainField(f))
			}
		}
	}
}

// addInside looks at places inside of a value whose rules are for somebody's addresses,
// logins and the like: others have few values, which are in many places.
func (o *Overlaps) addInside(column ColumnName, outer string, tf transform, value []byte) {
	containerOf(tf).visit(o.census, value, func(at innerPlace, tf transform, v []byte) {
		where := strings.TrimSpace(outer + " " + at.where)
		if containerOf(tf) != nil {
			o.addInside(column, where, tf, v)
			return
		}
		if !identityMaskers[at.masker] {
			return
		}
		key := placeInside{column, where}
		s := o.sides[key]
		if s == nil {
			if len(o.sides) > mostOverlapSides {
				return
			}
			s = &overlapSide{joinSide: joinSide{name: column, inside: where, kind: kindText, masker: at.masker, set: newValueSet(kindText)}, group: "inside " + column.String() + " " + where}
			if at.link != "" {
				s.group = "link " + at.link
			}
			o.sides[key] = s
		}
		s.set.add(v)
	})
}

// mostOverlapSides bounds the memory of documents with many places.
const mostOverlapSides = 20000

func (o *Overlaps) side(t *TablePlan, column string) *overlapSide {
	name := ColumnName{t.root.Schema, t.root.Name, column}
	key := placeInside{ColumnName: name}
	if s := o.sides[key]; s != nil {
		return s
	}
	at := slices.IndexFunc(t.Columns, func(c ColumnPlan) bool { return c.Name == column })
	c := &t.Columns[at]
	s := &overlapSide{joinSide{name: name, kind: c.kind, masker: c.Masker}, c.group}
	if s.joinSide.set = newValueSet(c.kind); s.set != nil && !(joinSide{masker: c.Masker, set: &valueSet{values: 1}}).joinable() {
		s.joinSide.set = nil
	}
	o.sides[key] = s
	return s
}

// Warnings returns a sentence for each set of columns that hold the same values and
// have unrelated masks, with what would make them agree.
func (o *Overlaps) Warnings() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var sides []joinSide
	for _, s := range o.sides {
		sides = append(sides, s.joinSide)
	}
	slices.SortFunc(sides, func(a, b joinSide) int {
		return strings.Compare(a.name.String()+"\x00"+a.inside, b.name.String()+"\x00"+b.inside)
	})
	found := findJoins(sides)
	var out []string
	for _, g := range found.groups {
		if w := o.unlinked(g); w != "" {
			out = append(out, w)
		}
	}
	for _, k := range found.kept {
		if o.of(k.masked).group == o.of(k.kept).group {
			continue
		}
		if k.masked.inside != "" {
			out = append(out, fmt.Sprintf("%s %s (%s) and %s (keep) hold the same values in the sample, and joins of them will find nothing: keep both where nothing else is in them, or mask the column with %s under a link of its own and give the place the same, `{mask: %s, link: ...}`",
				k.masked.name, k.masked.inside, k.masked.masker, k.kept.name, k.masked.masker, k.masked.masker))
			continue
		}
		out = append(out, fmt.Sprintf("%s (%s) and %s (keep) hold the same values in the sample, and joins of them will find nothing: keep both where nothing else is in them, or mask both alike under one link (%s)",
			k.masked.name, k.masked.masker, k.kept.name, wayToLink(k.masked.kind, k.kept.kind)))
	}
	return out
}

// unlinked is the sentence for columns that hold the same values, "" where their masks
// agree.
func (o *Overlaps) unlinked(g []joinSide) string {
	groups := map[string]bool{}
	var apart []joinSide // one of each set of columns that agree
	for _, s := range g {
		if label := o.of(s).group; !groups[label] {
			groups[label] = true
			apart = append(apart, s)
		}
	}
	if len(apart) < 2 {
		return ""
	}
	if slices.ContainsFunc(apart, func(s joinSide) bool { return s.inside != "" }) {
		return o.unlinkedInside(apart)
	}
	var names, said []string
	kept := ""
	for _, s := range apart {
		names = append(names, yamlKey(s.name.String()))
		said = append(said, fmt.Sprintf("%s (%s)", s.name, s.masker))
		if s.masker == "keep" {
			kept = ", and what is kept gives away what the others mask"
		}
	}
	return fmt.Sprintf("%s hold the same values in the sample, and have unrelated masks: joins of them will find nothing%s. Link them, `links: {%s: [%s]}`, and give them one rule (%s)",
		strings.Join(said, ", "), kept, yamlKey(linkName(apart[0].name, nil)), strings.Join(names, ", "), wayToLink(apart[0].kind, apart[1].kind))
}

// unlinkedInside is the sentence where some of the columns hold the values inside of
// theirs: a link has columns, and places inside of values name it in their rule.
func (o *Overlaps) unlinkedInside(apart []joinSide) string {
	var said, columns []string
	masker, link, name := "", "", ""
	for _, s := range apart {
		said = append(said, strings.TrimSpace(s.name.String()+" "+s.inside)+" ("+s.masker+")")
		if s.inside == "" {
			columns = append(columns, yamlKey(s.name.String()))
			name = cmp.Or(name, linkName(s.name, nil))
			if group, linked := strings.CutPrefix(o.of(s).group, "link "); linked {
				link = group
			}
		}
		if masker == "" || s.inside == "" && s.masker != "keep" {
			masker = s.masker
		}
	}
	if len(columns) == 0 {
		return strings.Join(said, ", ") + " hold the same values in the sample, and have unrelated masks: joins of them will find nothing. A link needs a column that holds the values by itself, and there is none: mask them with null where nothing but the join needs them"
	}
	link = cmp.Or(link, name)
	return fmt.Sprintf("%s hold the same values in the sample, and have unrelated masks: joins of them will find nothing. To have them agree, `links: {%s: [%s]}`, masker %s for these columns, and `{mask: %s, link: %s}` for the places inside of values",
		strings.Join(said, ", "), yamlKey(link), strings.Join(columns, ", "), masker, masker, yamlKey(link))
}

// wayToLink says which rule two linked columns may have.
func wayToLink(a, b kind) string {
	if a == b {
		return "any masker of their type"
	}
	return wayToAgree(a, b)
}
