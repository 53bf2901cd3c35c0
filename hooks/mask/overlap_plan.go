package mask

import (
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
	sides map[ColumnName]*overlapSide
}

type overlapSide struct {
	joinSide
	column *ColumnPlan
}

// NewOverlaps starts to look.
func (p *Plan) NewOverlaps() *Overlaps {
	return &Overlaps{plan: p, sides: map[ColumnName]*overlapSide{}}
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
			if sets[i] != nil && !copytext.IsNull(f) {
				sets[i].add(plainField(f))
			}
		}
	}
}

func (o *Overlaps) side(t *TablePlan, column string) *overlapSide {
	name := ColumnName{t.root.Schema, t.root.Name, column}
	if s := o.sides[name]; s != nil {
		return s
	}
	at := slices.IndexFunc(t.Columns, func(c ColumnPlan) bool { return c.Name == column })
	c := &t.Columns[at]
	s := &overlapSide{joinSide{name: name, kind: c.kind, masker: c.Masker}, c}
	if s.joinSide.set = newValueSet(c.kind); s.set != nil && !(joinSide{masker: c.Masker, set: &valueSet{values: 1}}).joinable() {
		s.joinSide.set = nil
	}
	o.sides[name] = s
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
	slices.SortFunc(sides, func(a, b joinSide) int { return strings.Compare(a.name.String(), b.name.String()) })
	found := findJoins(sides)
	var out []string
	for _, g := range found.groups {
		if w := o.unlinked(g); w != "" {
			out = append(out, w)
		}
	}
	for _, k := range found.kept {
		if o.sides[k.masked.name].column.group == o.sides[k.kept.name].column.group {
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
		if label := o.sides[s.name].column.group; !groups[label] {
			groups[label] = true
			apart = append(apart, s)
		}
	}
	if len(apart) < 2 {
		return ""
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

// wayToLink says which rule two linked columns may have.
func wayToLink(a, b kind) string {
	if a == b {
		return "any masker of their type"
	}
	return wayToAgree(a, b)
}
