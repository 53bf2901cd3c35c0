package mask

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

const largeObjectsLine = "large_objects: none   # decide: or keep; they cannot be masked\n"

// Draft writes a first policy for a catalog: a rule for every column, from
// names, types and the samples there are, that Compile accepts. It masks what
// may be personal, so that it is safe as it stands. What it keeps without being
// sure is marked with "decide", and asked about at its head, the riskiest first.
// No sampled value is in it.
func Draft(c Catalog, samples map[ColumnName]*Sample) []byte {
	return Redraft(c, samples, Refused{}, nil)
}

// Refused is what was tried on a sample's rows and did not work.
type Refused struct {
	// Rules, as ColumnPlan has them, break a constraint.
	Rules map[ColumnName][]string
	// Indexes have expressions or predicates that cannot be computed of masks.
	Indexes map[Index]bool
}

// Redraft is Draft without the rules and indexes that were refused, and with the
// rules of another tool, nil for none.
func Redraft(c Catalog, samples map[ColumnName]*Sample, refused Refused, suggested *Suggestions) []byte {
	var b strings.Builder
	d := newDrafter(c, samples)
	d.refused, d.suggested = refused, suggested
	d.leaveOutRefused()
	d.emptySideEffects()
	d.linkOverlaps()
	d.write(&b, func(*columnState) bool { return true })
	d.askSuggested()
	logins := d.proposeLogins()
	var head strings.Builder
	head.WriteString("# A first policy, drafted from names, types and a sample. What could be personal is masked: it is\n# safe to use as it stands. MASKERS.md lists what else there is.\n" + d.fromSuggestions())
	d.ask(&head)
	head.WriteString("version: 1\n")
	if c.LargeObjects {
		head.WriteString(largeObjectsLine)
	}
	d.writeLinks(&head)
	head.WriteString(logins)
	return []byte(head.String() + b.String())
}

// drafter tries proposals against what Compile would say.
type drafter struct {
	*compiler
	samples   map[ColumnName]*Sample
	refused   Refused
	suggested *Suggestions
	questions map[string][]string // columns and tables, by the reason they are asked about
	links     []*draftLink
	linkOf    map[*columnState]*draftLink
	linkNames map[string]bool
	unjoined  []string // what a person should know of joins that find nothing
}

func newDrafter(c Catalog, samples map[ColumnName]*Sample) *drafter {
	x := &compiler{
		policy: &Policy{}, tables: map[Name]*tableState{}, plan: &Plan{byName: map[Name]*TablePlan{}},
		key: Key{[]byte("only to see whether rules can be built")},
	}
	x.index(c)
	x.rows()
	x.rules()
	x.groups()
	return &drafter{compiler: x, samples: samples, questions: map[string][]string{}, linkOf: map[*columnState]*draftLink{}, linkNames: map[string]bool{}}
}

// leaveOutRefused has the seed do without the indexes that were refused, before the
// columns' rules are chosen: they are none of those rules' business then.
func (d *drafter) leaveOutRefused() {
	for _, t := range d.order {
		for _, u := range slices.Concat(t.Uniques, t.Computed) {
			if !d.refused.Indexes[Index{Table: t.qualified, Name: u.Name}] {
				continue
			}
			of, name := t.owner(&u)
			if of.indexes == nil {
				of.indexes = map[string]string{}
			}
			if of.indexes[name] == indexDrop {
				continue // as another partition's
			}
			of.indexes[name] = indexDrop
			d.questions[asksUncomputed] = append(d.questions[asksUncomputed], of.qualified.String()+" ("+QuoteIdent(name)+")")
		}
	}
}

// owner is the table that an index is one of, and its name there: a partition's copy of
// its parent's cannot be dropped alone.
func (t *tableState) owner(u *Unique) (*tableState, string) {
	for _, p := range t.parentStates {
		for _, o := range slices.Concat(p.Uniques, p.Computed) {
			if t.PartitionOf && sameIndex(&o, u) {
				return p.owner(&o)
			}
		}
	}
	return t, u.Name
}

// write writes a table's entry for each table with a column that wanted names.
func (d *drafter) write(b *strings.Builder, wanted func(*columnState) bool) {
	chosen := map[*columnState]proposal{} // for all tables before one is written: a choice may change another table's indexes
	for c := range d.ownColumns(wanted) {
		switch l := d.linkOf[c]; {
		case len(c.follows) > 0 && !d.leads(c):
		case l != nil && d.chooseLinked(l):
			chosen[c] = *l.chosen
		default:
			chosen[c] = d.choose(c)
		}
	}
	entries := map[*tableState]*strings.Builder{}
	notes := map[*tableState]*strings.Builder{}
	for _, t := range d.order {
		entries[t], notes[t] = &strings.Builder{}, &strings.Builder{}
	}
	d.subsets(func(t *tableState, line string) { notes[t].WriteString(line) })
	for c := range d.ownColumns(wanted) {
		p, ok := chosen[c]
		if !ok {
			fmt.Fprintf(notes[c.table], "      # %s\n", comment(quoteName(c.Name)+" "+c.because[0]))
			continue
		}
		mark := ""
		if s, _ := d.suggestion(c); s.Why != "" && p.sure { // linked
			p.sure, p.why = false, s.Why
		}
		if !p.sure {
			mark = "   # decide: " + comment(c.Type+", "+p.why)
			d.questions[p.why] = append(d.questions[p.why], c.qualified.String())
		}
		fmt.Fprintf(entries[c.table], "      %s: %s%s\n", yamlKey(quoteName(c.Name)), p.rule, mark)
	}
	b.WriteString("tables:\n")
	for _, t := range d.order {
		name := yamlKey(quoteName(t.Schema) + "." + quoteName(t.Name))
		rules, notes := entries[t].String(), notes[t].String()
		if rules != "" {
			rules = t.extensionNote() + d.frameworkNote(t) + "    columns:\n" + rules
		}
		if len(t.indexes) > 0 {
			notes += "    indexes:\n"
			for _, index := range sortedKeys(t.indexes) {
				notes += fmt.Sprintf("      %s: %s\n", yamlKey(quoteName(index)), t.indexes[index])
			}
		}
		if idle := d.idleEntry(t); idle != "" {
			fmt.Fprintf(b, "  %s:\n%s", name, idle)
			continue
		}
		switch {
		case rules != "" || len(t.indexes) > 0:
			fmt.Fprintf(b, "  %s:\n%s%s", name, rules, notes)
		case notes != "":
			fmt.Fprintf(b, "  # %s needs no entry:\n%s", name, notes)
		}
	}
}

// ownColumns yields the columns that are wanted and not a parent's.
func (d *drafter) ownColumns(wanted func(*columnState) bool) iter.Seq[*columnState] {
	return func(yield func(*columnState) bool) {
		for _, t := range d.order {
			for _, c := range t.columnStates {
				if t.plan.Rows && !c.Generated && wanted(c) && !t.inherits(c) && !yield(c) {
					return
				}
			}
		}
	}
}

// askedColumns is how many columns a question names.
const askedColumns = 6

// ask writes the questions, one for each reason: the riskiest first.
func (d *drafter) ask(b *strings.Builder) {
	if len(d.questions) == 0 {
		return
	}
	b.WriteString("# Questions, the riskiest first; the lines that they are about end in \"decide\":\n")
	risk := func(why string) int { // what is not listed has to be kept
		return slices.Index([]string{asksDropped, asksUncomputed, asksSmall, asksDomain, asksFewKinds, asksPaths, asksNoRows, asksNumber, asksBirth, asksDate, asksLookup, asksSensitive, asksAttributes, asksLogins, asksOutbox, asksJobs, asksSessions, asksLarge}, why)
	}
	reasons := slices.SortedFunc(maps.Keys(d.questions), func(a, b string) int {
		return cmp.Or(risk(a)-risk(b), strings.Compare(a, b))
	})
	for _, why := range reasons {
		var names []string
		for i, c := range d.questions[why] {
			if i == askedColumns {
				names = append(names, fmt.Sprintf("and %d more", len(d.questions[why])-i))
				break
			}
			names = append(names, c)
		}
		line := why
		if len(names) > 0 {
			line += ": " + strings.Join(names, ", ")
		}
		fmt.Fprintf(b, "# - %s\n", comment(line))
	}
}

// inherits reports whether the column is one of a parent's, whose rule it has.
// A parent without rows, such as a foreign table, has none to give.
func (t *tableState) inherits(c *columnState) bool {
	return slices.ContainsFunc(t.parentStates, func(p *tableState) bool { return p.plan.Rows && p.byName[c.Name] != nil })
}

// leads reports whether a column in a cycle of foreign keys is the one that
// must carry the rule.
func (d *drafter) leads(c *columnState) bool {
	seen := map[*columnState]bool{}
	for at := c; len(at.follows) > 0; at = at.follows[0] {
		if seen[at] { // a cycle
			least := at
			for m := at.follows[0]; m != at; m = m.follows[0] {
				if m.qualified.String() < least.qualified.String() {
					least = m
				}
			}
			return least == c
		}
		seen[at] = true
	}
	return false
}

// propose proposes a rule for a column by itself.
func (d *drafter) propose(c *columnState) proposal {
	if p, ok := proposeExtension(c); ok {
		return p
	}
	if p, ok := proposeFramework(c, d.samples[c.qualified]); ok {
		return p
	}
	return propose(c.table.qualified, c.Column, d.samples[c.qualified])
}

// choose returns the first rule that the column's type, length and indexes take: the
// one proposed, then more distinct and stricter ones. An index that may take none of
// them is tried on masked rows, and one that cannot is left out of the seed, before
// something personal is kept for its sake.
func (d *drafter) choose(c *columnState) proposal {
	if s, ok := d.suggestion(c); ok {
		return d.chooseSuggested(c, s)
	}
	first := d.propose(c)
	if first.rule == "keep" && d.takes(c, "keep", "") {
		return first
	}
	masks := d.alternatives(c, first)
	for _, step := range []struct {
		indexes    string
		candidates []proposal
	}{
		{"", masks}, {indexTry, masks}, {"", []proposal{{"null", true, ""}}}, {indexDrop, masks}, {"", d.permuted(c)},
	} {
		for _, p := range step.candidates {
			if !d.takes(c, p.rule, step.indexes) {
				continue
			}
			if step.indexes == indexDrop {
				p.sure, p.why = false, asksDropped
			}
			return p
		}
	}
	d.takes(c, "keep", "")
	if slices.ContainsFunc(c.find().info.members, func(m *columnState) bool { return len(d.refused.Rules[m.qualified]) > 0 }) {
		return proposal{"keep", false, asksRefused}
	}
	return proposal{"keep", false, asksForced}
}

// permuted is the last mask before something is kept for an index that other tables
// need: its values change places with those of their shape, if that hides anything.
func (d *drafter) permuted(c *columnState) []proposal {
	s := d.samples[c.qualified]
	if k := c.kind(); k != kindText && k != kindBytea || s == nil || s.values == 0 {
		return nil
	}
	list := d.patterned(c)
	if !s.knows() && s.leastShape >= smallShape {
		list = append(list, proposal{"permute", false, asksSmall})
	}
	return list
}

// patterned are permutations of what matches the patterns of the column's CHECK
// constraints, where that is enough to hide anything.
func (d *drafter) patterned(c *columnState) (list []proposal) {
	s := d.samples[c.qualified]
	if c.kind() != kindText || s == nil || s.values == 0 {
		return nil
	}
	for _, m := range c.find().info.members {
		for _, pattern := range m.Patterns {
			count := patternCount(pattern)
			prefix := shapeCount(literalPrefix(pattern), false)
			p := proposal{"{mask: permute, pattern: " + yamlKey(pattern) + "}", true, ""}
			if min(s.leastShape/max(prefix, 1), count) >= leastShape && s.leastShape/max(prefix, 1) <= count*mostWalks/100 && !slices.Contains(list, p) {
				list = append(list, p)
			}
		}
	}
	return list
}

// alternatives lists the masks for a column, the best first.
func (d *drafter) alternatives(c *columnState, first proposal) []proposal {
	list := []proposal{first}
	add := func(rule string) { list = append(list, proposal{rule, true, ""}) }
	switch first.rule {
	case "phone", "mac":
		add("{mask: " + first.rule + ", unique: true}")
	case "credential":
		if c.kind() == kindText {
			add(`{mask: credential, value: ""}`)
		}
	case sensitive:
		if value := harmlessConstant(c.Column); value != "" && !first.sure {
			list = append(list, proposal{"{mask: constant, value: " + value + "}", false, asksSensitive})
		}
	case "email", "username", "url":
		add("{mask: " + first.rule + ", unique: false}")
		if first.rule == "email" && len(d.refused.Rules[c.qualified]) > 0 {
			list = append(list, proposal{"{mask: email, domain: keep}", false, asksDomain})
		}
	}
	switch c.kind() {
	case kindText, kindBytea:
		add("hash")
		if s := d.samples[c.qualified]; s != nil && s.values > 0 && s.leastShape >= leastShape {
			add("permute")
			if first.rule != "phone" && first.rule != "email" { // which may reach somebody
				list = append(list, d.patterned(c)...)
			}
		}
		if c.kind() == kindText {
			add("text")
		}
	}
	if value := harmlessConstant(c.Column); value != "" && len(d.refused.Rules[c.qualified]) > 0 {
		add("{mask: constant, value: " + value + "}")
	}
	return list
}

// harmlessConstant is one value for all rows of a column that must have a value, as
// the policy writes it, or "".
func harmlessConstant(c *Column) string {
	switch c.kind() {
	case kindText:
		return `""`
	case kindEnum:
		return yamlKey(c.Enum[0])
	case kindBool:
		return "false"
	case kindInt, kindNumeric:
		return "0"
	}
	return ""
}

// takes reports whether the column can have the rule, and if so gives it the rule, so
// that the columns that follow are judged with it. Indexes that refuse its masks are
// tried or dropped, as indexes says.
func (d *drafter) takes(c *columnState, text, indexes string) bool {
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(text), &n); err != nil || len(n.Content) == 0 {
		return false
	}
	p := &parser{policy: &Policy{}}
	r := p.rule(n.Content[0], "", false)
	if r == nil || len(p.errs) > 0 || !r.accepts(c.kind()) {
		return false
	}
	tf, tr, err := r.construct(d.target(c))
	if err != nil {
		return false
	}
	// What follows the column has its rule too.
	members := c.find().info.members
	if r.name != "keep" && r.name != "null" && slices.ContainsFunc(members, func(m *columnState) bool { return !r.accepts(m.kind()) || !sameMasks(r, m.kind(), c.kind()) }) {
		return false
	}
	if slices.ContainsFunc(members, func(m *columnState) bool { return slices.Contains(d.refused.Rules[m.qualified], r.String()) }) {
		return false
	}
	var before []columnState
	for _, m := range members {
		before = append(before, *m)
		m.rule, m.tf, m.traits, m.built = r, tf, tr, true
	}
	refused, ok := d.fits(members)
	if ok && d.loosen(refused, indexes) {
		return true
	}
	for i, m := range members {
		m.rule, m.tf, m.traits, m.built = before[i].rule, before[i].tf, before[i].traits, before[i].built
	}
	return false
}

// refusal is an index that refuses masks.
type refusal struct {
	table *tableState
	index *Unique
}

// fits judges the columns' indexes and partitions as Compile does. It returns
// the indexes that refuse the masks, and whether nothing else does.
func (d *drafter) fits(columns []*columnState) (refused []refusal, ok bool) {
	var tables []*tableState
	for _, c := range columns {
		if t := c.table; t.plan.Rows && !slices.Contains(tables, t) {
			tables = append(tables, t)
		}
	}
	for _, t := range tables {
		if t.Partitioned && t.keyMasked() && t.PartitionStrategy != "hash" && !t.DefaultPartition {
			return nil, false
		}
		for i := range t.Uniques {
			u := &t.Uniques[i]
			if (t.PartitionOf && inherited(t, u)) || t.indexChoice(u) != "" {
				continue
			}
			if t.judge(u) != "" {
				refused = append(refused, refusal{t, u})
			}
		}
	}
	return refused, true
}

// loosen has indexes that refuse masks tried or dropped, if that is possible for all
// of them.
func (d *drafter) loosen(refused []refusal, says string) bool {
	for _, r := range refused {
		switch {
		case says == indexTry && !r.table.worthTrying(r.index), says == indexDrop && d.referencedBy(r.table, r.index) != "", says == "":
			return false
		}
	}
	for _, r := range refused {
		if r.table.indexes == nil {
			r.table.indexes = map[string]string{}
		}
		r.table.indexes[r.index.Name] = says
	}
	return true
}

// worthTrying reports whether an index will likely take the masks: masks of distinct
// values are distinct, and only its expressions or its predicate cannot be judged.
func (t *tableState) worthTrying(u *Unique) bool {
	for _, name := range slices.Concat(u.Columns, u.ExpressionColumns) {
		if c := t.byName[name]; c != nil && c.changes() && (c.Generated || !c.traits.injective) {
			return false
		}
	}
	return u.Exclusion == nil && (len(u.Expressions) > 0 || u.Predicate != "")
}
