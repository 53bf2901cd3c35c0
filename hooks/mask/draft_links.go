package mask

import (
	"fmt"
	"slices"
	"strings"
)

// draftLink is columns whose samples hold the same values, and that no foreign key
// joins. What they follow stands for them: each is a column that carries a rule.
type draftLink struct {
	name    string
	columns []*columnState
	chosen  *proposal
}

// linkOverlaps joins the columns whose samples hold the same values, so that they are
// judged as one. Columns for which no rule fits are parted again by chooseLinked.
func (d *drafter) linkOverlaps() {
	var sides []joinSide
	for c := range d.ownColumns(func(*columnState) bool { return true }) {
		rule := d.propose(c).rule
		if s, ok := d.suggestion(c); ok && len(s.Rules) == 0 {
			continue // it gets the strictest rule that it takes alone
		} else if ok {
			rule = s.Rules[0]
		}
		if s := d.samples[c.qualified]; s != nil && s.set != nil {
			sides = append(sides, joinSide{name: c.qualified, kind: c.kind(), masker: proposedMasker(rule), set: s.set})
		}
	}
	found := findJoins(sides)
	byGroup := map[*columnState]*draftLink{}
	for _, g := range found.groups {
		var carriers []*columnState
		for _, side := range g {
			c := d.carrier(d.column(side.name))
			if !slices.Contains(carriers, c) {
				carriers = append(carriers, c)
			}
		}
		d.addLink(byGroup, carriers)
	}
	for _, k := range found.kept {
		masked, kept := d.carrier(d.column(k.masked.name)), d.column(k.kept.name)
		if masked.find() != kept.find() {
			d.unjoined = append(d.unjoined, fmt.Sprintf("%s holds values of %s, which is kept: its masks join nothing; keep it where nothing else is in it", masked.qualified, kept.qualified))
		}
	}
}

// addLink joins columns that carry rules, with those that they are linked to already:
// what foreign keys join can be in one link only.
func (d *drafter) addLink(byGroup map[*columnState]*draftLink, carriers []*columnState) {
	l := &draftLink{}
	for _, c := range carriers {
		if other := byGroup[c.find()]; other != nil && other != l {
			other.columns = append(other.columns, l.columns...)
			d.links = slices.DeleteFunc(d.links, func(o *draftLink) bool { return o == l })
			l = other
		} else if other == nil {
			l.columns = append(l.columns, c)
		}
		for _, member := range l.columns {
			byGroup[member.find()] = l
		}
	}
	if len(l.columns) < 2 {
		return
	}
	if !slices.Contains(d.links, l) {
		l.name = linkName(l.columns[0].qualified, d.linkNames)
		d.linkNames[l.name] = true
		d.links = append(d.links, l)
	}
	for _, c := range l.columns {
		d.linkOf[c] = l
	}
}

// linkName names a link after its first column.
func linkName(c ColumnName, taken map[string]bool) string {
	name := snake(c.Table) + "_" + snake(c.Column)
	for n := 2; taken[name]; n++ {
		name = fmt.Sprintf("%s_%s_%d", snake(c.Table), snake(c.Column), n)
	}
	return name
}

func (d *drafter) column(n ColumnName) *columnState {
	return d.tables[Name{n.Schema, n.Table}].byName[n.Column]
}

// carrier is the column whose rule another one follows, itself where it has its own.
func (d *drafter) carrier(c *columnState) *columnState {
	for len(c.follows) > 0 && !d.leads(c) {
		c = c.follows[0]
	}
	return c
}

// proposedMasker is the masker that a rule in YAML names.
func proposedMasker(rule string) string {
	rule = strings.TrimPrefix(rule, "{mask: ")
	if i := strings.IndexAny(rule, ",}"); i >= 0 {
		rule = rule[:i]
	}
	return rule
}

// chooseLinked chooses one rule for all columns of a link: a mask that the types,
// lengths and indexes of all take. Where there is none the columns are parted again,
// and have rules of their own.
func (d *drafter) chooseLinked(l *draftLink) bool {
	if l.chosen != nil {
		return true
	}
	before := map[*columnState]*columnState{}
	infos := map[*columnState]*groupInfo{}
	joined := &groupInfo{eq: equality{ascii: d.ascii}, label: "link " + l.name}
	for _, c := range l.columns {
		for _, m := range c.find().info.members {
			before[m] = m.group
			joined.add(m)
		}
		infos[c.find()] = c.find().info
	}
	for _, m := range joined.members {
		m.group = l.columns[0]
	}
	l.columns[0].group = l.columns[0]
	l.columns[0].info = joined
	var candidates []proposal
	asked := map[string]string{} // why a person is asked about a rule that somebody suggests
	for _, c := range l.columns {
		first := d.propose(c)
		if s, ok := d.suggestion(c); ok && len(s.Rules) > 0 {
			first.rule, asked[s.Rules[0]] = s.Rules[0], s.Why
		}
		for _, p := range d.alternatives(c, first) {
			if m := proposedMasker(p.rule); identityMaskers[m] || valueMaskers[m] {
				candidates = append(candidates, p)
			}
		}
	}
	slices.SortStableFunc(candidates, func(a, b proposal) int { return slices.Index(lastRules, a.rule) - slices.Index(lastRules, b.rule) })
	for _, c := range l.columns { // by what a column of texts agrees with one of another type
		switch c.kind() {
		case kindUUID:
			candidates = append(candidates, proposal{"uuid", true, ""})
		case kindInt, kindNumeric:
			candidates = append(candidates, proposal{"key", true, ""})
		}
	}
	for _, indexes := range []string{"", indexTry} {
		for _, p := range candidates {
			if d.takes(l.columns[0], p.rule, indexes) {
				p.why = asked[p.rule]
				p.sure = p.why == ""
				l.chosen = &p
				return true
			}
		}
	}
	for m, g := range before {
		m.group = g
	}
	for c, info := range infos {
		c.info = info
	}
	for _, c := range l.columns {
		delete(d.linkOf, c)
	}
	d.links = slices.DeleteFunc(d.links, func(o *draftLink) bool { return o == l })
	d.unjoined = append(d.unjoined, fmt.Sprintf("%s hold the same values, and no mask fits all of them: joins of them find nothing", l.list(", ")))
	return false
}

// lastRules are tried last, the best of them first: they say nothing of what they
// are for, and text gives distinct values equal masks.
var lastRules = []string{"hash", "permute", "text"}

func (l *draftLink) list(separator string) string {
	var names []string
	for _, c := range l.columns {
		names = append(names, yamlKey(c.qualified.String()))
	}
	return strings.Join(names, separator)
}

// writeLinks writes the policy's links.
func (d *drafter) writeLinks(b *strings.Builder) {
	for _, n := range d.unjoined {
		fmt.Fprintf(b, "# %s\n", comment(n))
	}
	if len(d.links) == 0 {
		return
	}
	b.WriteString("links:   # samples of these hold the same values: linked, they have the same masks, and joins find what they found\n")
	for _, l := range d.links {
		fmt.Fprintf(b, "  %s: [%s]\n", yamlKey(l.name), l.list(", "))
	}
}
