package mask

import (
	"fmt"
	"slices"
	"strings"
)

// Suggestions are what another tool does with the columns of a database: the draft
// takes its rules over, and masks most strictly what has no counterpart.
type Suggestions struct {
	// From names the tool.
	From string
	// Columns says what it does with a column; what is not listed it passes as it is.
	Columns map[ColumnName]Suggestion
	// Tables holds what cannot be taken over of a table, as questions.
	Tables map[Name][]string
	// Notes are of the whole, as questions.
	Notes []string
}

// Suggestion is what another tool does with a column.
type Suggestion struct {
	// Rules are counterparts as YAML, the best first; none: the column gets the
	// strictest rule that it takes. TheKey stands for the table's key.
	Rules []string
	// Why a person is asked, "" for no question.
	Why string
}

// TheKey stands in a suggested rule for the column that is the table's primary key.
const TheKey = "\x00key"

// suggestion is what another tool does with a column, or with that of a partition of
// its table.
func (d *drafter) suggestion(c *columnState) (Suggestion, bool) {
	if d.suggested == nil {
		return Suggestion{}, false
	}
	if s, ok := d.suggested.Columns[c.qualified]; ok {
		return s.of(c.table)
	}
	for _, t := range d.order {
		if t.plan.root == c.table.qualified {
			if s, ok := d.suggested.Columns[ColumnName{t.Schema, t.Name, c.Name}]; ok {
				return s.of(c.table)
			}
		}
	}
	return Suggestion{}, false
}

// of puts the key of a table into the rules.
func (s Suggestion) of(t *tableState) (Suggestion, bool) {
	key := t.oneKey(t.primaryColumns())
	out := Suggestion{Why: s.Why}
	for _, rule := range s.Rules {
		switch {
		case !strings.Contains(rule, TheKey):
			out.Rules = append(out.Rules, rule)
		case key != "":
			out.Rules = append(out.Rules, strings.ReplaceAll(rule, TheKey, yamlKey(quoteName(key))))
		}
	}
	return out, true
}

// chooseSuggested chooses the counterpart of another tool's rule, or the strictest rule
// that the column takes: NULL, one value for all rows, then the mask that keeps the
// least.
func (d *drafter) chooseSuggested(c *columnState, s Suggestion) proposal {
	first := d.propose(c)
	var masks []proposal
	for _, rule := range s.Rules {
		masks = append(masks, proposal{rule, s.Why == "", s.Why})
	}
	why := s.Why
	if why == "" {
		why = "the rule of " + d.suggested.From + " does not fit the column here: it is masked as strictly as it can be"
	}
	var strict []proposal
	add := func(rules ...string) {
		for _, rule := range rules {
			strict = append(strict, proposal{rule, false, why})
		}
	}
	add("null")
	if c.kind() == kindText && first.rule == "text" {
		add("hash") // which does not keep the shape
	}
	if value := harmlessConstant(c.Column); value != "" && c.kind() != kindText {
		add("{mask: constant, value: " + value + "}")
	}
	add(anyMask(c.kind())...)
	for _, p := range d.alternatives(c, first) {
		if p.rule != "keep" && p.rule != "null" {
			add(p.rule)
		}
	}
	if value := harmlessConstant(c.Column); value != "" {
		add("{mask: constant, value: " + value + "}")
	}
	for _, indexes := range []string{"", indexTry, indexDrop} {
		for _, p := range append(slices.Clone(masks), strict...) {
			if d.takes(c, p.rule, indexes) {
				if indexes == indexDrop {
					p.sure, p.why = false, asksDropped
				}
				return p
			}
		}
	}
	d.takes(c, "keep", "")
	return proposal{"keep", false, asksForced}
}

// anyMask lists masks by kind, those first that keep the least.
func anyMask(k kind) []string {
	switch k {
	case kindUUID:
		return []string{"uuid"}
	case kindInt, kindNumeric:
		return []string{"key", "number_noise"}
	case kindFloat, kindMoney, kindInterval, kindRange:
		return []string{"number_noise"}
	case kindDate, kindTimestamp:
		return []string{"{mask: constant, value: 2000-01-01}", "year_only"}
	case kindJSON:
		return []string{"json"}
	case kindInet:
		return []string{"{mask: ip, keep4: 0, keep6: 0}"}
	case kindMAC:
		return []string{"mac", "{mask: mac, unique: true}"}
	case kindXML:
		return []string{"xml"}
	case kindHstore:
		return []string{"hstore"}
	case kindBytea:
		return []string{"bytea"}
	case kindArray:
		return []string{"{mask: constant, value: '{}'}"}
	}
	return nil
}

// askSuggested adds the questions that another tool's rules leave.
func (d *drafter) askSuggested() {
	s := d.suggested
	if s == nil {
		return
	}
	for _, note := range s.Notes {
		d.questions[note] = nil
	}
	for _, n := range sortedNames(s.Tables) {
		for _, why := range s.Tables[n] {
			d.questions[why] = append(d.questions[why], n.String())
		}
	}
	gone := "in the rules of " + s.From + ", and not in this dump"
	follows := s.From + " has a rule for it; here it follows what it references, whose rule must mask it"
	for _, n := range sortedColumns(s.Columns) {
		t := d.tables[Name{n.Schema, n.Table}]
		if t == nil || t.byName[n.Column] == nil {
			d.questions[gone] = append(d.questions[gone], n.String())
			continue
		}
		c := t.byName[n.Column]
		if len(c.follows) > 0 && !t.inherits(c) && !d.leads(c) && d.carrier(c).rule != nil && d.carrier(c).rule.name == "keep" {
			d.questions[follows] = append(d.questions[follows], n.String())
		}
	}
}

// fromSuggestions says in the head of a draft whose rules are in it.
func (d *drafter) fromSuggestions() string {
	if d.suggested == nil {
		return ""
	}
	return fmt.Sprintf("# The rules of %s are taken over where there is a counterpart; what it does otherwise is masked as strictly\n# as the column allows, and asked about; columns that it leaves alone are judged as everywhere.\n", d.suggested.From)
}

func sortedNames(m map[Name][]string) []Name {
	names := make([]Name, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.SortFunc(names, func(a, b Name) int { return strings.Compare(a.String(), b.String()) })
	return names
}

func sortedColumns(m map[ColumnName]Suggestion) []ColumnName {
	names := make([]ColumnName, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.SortFunc(names, func(a, b ColumnName) int { return strings.Compare(a.String(), b.String()) })
	return names
}
