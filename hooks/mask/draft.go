package mask

import (
	"cmp"
	"fmt"
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
	var b strings.Builder
	d := newDrafter(c, samples)
	d.write(&b, func(*columnState) bool { return true })
	var head strings.Builder
	head.WriteString("# A first policy, drafted from names, types and a sample. What could be personal is masked: it is\n# safe to use as it stands. MASKERS.md lists what else there is.\n")
	d.ask(&head)
	head.WriteString("version: 1\n")
	if c.LargeObjects {
		head.WriteString(largeObjectsLine)
	}
	return []byte(head.String() + b.String())
}

// drafter tries proposals against what Compile would say.
type drafter struct {
	*compiler
	samples   map[ColumnName]*Sample
	questions map[string][]*columnState // by the reason they are asked for
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
	return &drafter{x, samples, map[string][]*columnState{}}
}

// write writes a table's entry for each table with a column that wanted names.
func (d *drafter) write(b *strings.Builder, wanted func(*columnState) bool) {
	b.WriteString("tables:\n")
	for _, t := range d.order {
		if !t.plan.Rows {
			continue
		}
		name := yamlKey(quoteName(t.Schema) + "." + quoteName(t.Name))
		var rules, notes strings.Builder
		for _, c := range t.columns {
			if c.Generated || !wanted(c) || t.inherits(c) {
				continue
			}
			if len(c.follows) > 0 && !d.leads(c) {
				fmt.Fprintf(&notes, "      # %s\n", comment(quoteName(c.Name)+" "+c.because[0]))
				continue
			}
			p := d.choose(c)
			mark := ""
			if !p.sure {
				mark = "   # decide: " + comment(c.Type) + ", " + p.why
				d.questions[p.why] = append(d.questions[p.why], c)
			}
			fmt.Fprintf(&rules, "      %s: %s%s\n", yamlKey(quoteName(c.Name)), p.rule, mark)
		}
		switch {
		case rules.Len() > 0:
			fmt.Fprintf(b, "  %s:\n    columns:\n%s%s", name, rules.String(), notes.String())
		case notes.Len() > 0:
			fmt.Fprintf(b, "  # %s needs no entry:\n%s", name, notes.String())
		}
	}
}

// askedColumns is how many columns a question names.
const askedColumns = 6

// ask writes the questions, one for each reason: what is kept first, and of that
// what nobody knows.
func (d *drafter) ask(b *strings.Builder) {
	if len(d.questions) == 0 {
		return
	}
	b.WriteString("# Questions, the riskiest first; the lines that they are about end in \"decide\":\n")
	risk := func(why string) int { // what is not listed has to be kept
		return slices.Index([]string{asksFewKinds, asksPaths, asksNoRows, asksNumber, asksBirth, asksDate, asksLookup, asksSensitive, asksAttributes}, why)
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
			names = append(names, c.name.String())
		}
		fmt.Fprintf(b, "# - %s: %s\n", why, comment(strings.Join(names, ", ")))
	}
}

// inherits reports whether the column is one of a parent's, whose rule it has.
// A parent without rows, such as a foreign table, has none to give.
func (t *tableState) inherits(c *columnState) bool {
	return slices.ContainsFunc(t.parents, func(p *tableState) bool { return p.plan.Rows && p.byName[c.Name] != nil })
}

// leads reports whether a column in a cycle of foreign keys is the one that
// must carry the rule.
func (d *drafter) leads(c *columnState) bool {
	seen := map[*columnState]bool{}
	for at := c; len(at.follows) > 0; at = at.follows[0] {
		if seen[at] { // a cycle
			least := at
			for m := at.follows[0]; m != at; m = m.follows[0] {
				if m.name.String() < least.name.String() {
					least = m
				}
			}
			return least == c
		}
		seen[at] = true
	}
	return false
}

// choose returns the first rule that the column's type, length and indexes
// take: the one proposed, then stricter or more distinct ones.
func (d *drafter) choose(c *columnState) proposal {
	first := propose(c.table.name, c.Column, d.samples[c.name])
	candidates := []proposal{first}
	add := func(rule string) { candidates = append(candidates, proposal{rule, true, ""}) }
	switch first.rule {
	case "phone":
		add("{mask: phone, unique: true}")
	case "mac":
		add("{mask: mac, unique: true}")
	case "keep":
	case sensitive:
		if value := harmlessConstant(c.Column); value != "" && !first.sure {
			candidates = append(candidates, proposal{"{mask: constant, value: " + value + "}", false, asksSensitive})
		}
	default:
		add("{mask: " + strings.Trim(first.rule, "{}") + ", unique: false}")
	}
	if k := c.kind(); k == kindText && first.rule != "keep" {
		add("hash")
		add("text")
	}
	if first.rule != "keep" {
		add("null")
	}
	candidates = append(candidates, proposal{"keep", false, asksForced})
	for _, p := range candidates {
		if d.takes(c, p.rule) {
			return p
		}
	}
	return candidates[len(candidates)-1]
}

// harmlessConstant is a value for all rows of a column that must have one, as the
// policy has it, or "".
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

// takes reports whether the column can have the rule, and gives it to it if
// so, for the judgement of the columns that follow.
func (d *drafter) takes(c *columnState, text string) bool {
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
	before := *c
	c.rule, c.tf, c.traits, c.built = r, tf, tr, true
	if d.fits(c) {
		return true
	}
	c.rule, c.tf, c.traits, c.built = before.rule, before.tf, before.traits, before.built
	return false
}

// fits judges the column's indexes and partitions as Compile does.
func (d *drafter) fits(c *columnState) bool {
	t := c.table
	if t.Partitioned && t.keyMasked() && t.PartitionStrategy != "hash" && !t.DefaultPartition {
		return false
	}
	for i := range t.Uniques {
		if t.judge(&t.Uniques[i]) != "" {
			return false
		}
	}
	return true
}
