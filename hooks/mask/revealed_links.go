package mask

import (
	"slices"
	"strings"
)

// RevealedLink is columns, and places inside of values, in which equal originals have
// equal masks because the policy links them: whoever has the rows can join them.
type RevealedLink struct {
	// Name is the link's, where rules of places name it.
	Name    string         `json:"n,omitempty"`
	Columns []ColumnName   `json:"c,omitempty"`
	Places  []RevealedRule `json:"p,omitempty"`
}

// RevealedRule is a column with the digest of the rule that names a link in it.
type RevealedRule struct {
	ColumnName
	Rule string `json:"r"`
}

// revealLinks collects the links that join something.
func (x *compiler) revealLinks() (out []RevealedLink) {
	for _, name := range sortedKeys(x.policy.links) {
		var l RevealedLink
		for _, m := range x.policy.links[name] {
			t := x.tables[Name{m.column.Schema, m.column.Table}]
			if t == nil || !t.plan.Rows {
				continue
			}
			if c := t.byName[m.column.Column]; c != nil && c.rule != nil && c.built && c.joins() {
				l.Columns = append(l.Columns, m.column)
			}
		}
		for _, t := range x.order {
			for _, c := range t.columnStates {
				if t.plan.Rows && len(t.parentStates) == 0 && c.rule != nil && slices.Contains(c.rule.places(), name) {
					l.Name = name
					l.Places = append(l.Places, RevealedRule{c.qualified, short(c.rule.String())})
				}
			}
		}
		if len(l.Columns)+len(l.Places) > 1 {
			slices.SortFunc(l.Columns, func(a, b ColumnName) int { return strings.Compare(a.String(), b.String()) })
			out = append(out, l)
		}
	}
	return out
}

// joins says that equal values have equal masks, and others seldom have.
func (c *columnState) joins() bool {
	return !c.traits.keep && !c.traits.null && c.rule.name != "constant" && c.rule.name != "credential"
}

// places lists the links that a rule's places name, of whatever depth.
func (r *rule) places() (out []string) {
	if r.link != "" {
		out = append(out, r.link)
	}
	for _, o := range r.options {
		switch v := r.values[o.name].(type) {
		case *rule:
			out = append(out, v.places()...)
		case map[string]*rule:
			for _, k := range sortedKeys(v) {
				out = append(out, v[k].places()...)
			}
		}
	}
	return out
}

// permitsLink says whether the policy joins what a former one joined: in one of its
// links too, or by keeping all of it.
func (p *Policy) permitsLink(l RevealedLink) bool {
	for name, members := range p.links {
		if l.Name != "" && l.Name != name {
			continue
		}
		has := func(c ColumnName) bool {
			return slices.ContainsFunc(members, func(m link) bool { return m.column == c })
		}
		if slices.ContainsFunc(l.Columns, func(c ColumnName) bool { return !has(c) }) {
			continue
		}
		if !slices.ContainsFunc(l.Places, func(r RevealedRule) bool {
			now := p.ruleOf(r.ColumnName)
			return now == nil || short(now.String()) != r.Rule
		}) {
			return true
		}
	}
	kept := func(c ColumnName) bool { now := p.ruleOf(c); return now != nil && now.name == "keep" }
	return !slices.ContainsFunc(l.Columns, func(c ColumnName) bool { return !kept(c) }) &&
		!slices.ContainsFunc(l.Places, func(r RevealedRule) bool { return !kept(r.ColumnName) })
}

// ruleOf is what the policy's tables say of a column, nil for nothing and for what
// is not surely one thing.
func (p *Policy) ruleOf(c ColumnName) *rule {
	best, rival := p.mostSpecificRule(Name{c.Schema, c.Table}, c.Column, false)
	if best == nil || rival != nil {
		return nil
	}
	return best.column.rule
}

// describe names what is joined.
func (l RevealedLink) describe() string {
	var names []string
	for _, c := range l.Columns {
		names = append(names, c.String())
	}
	for _, r := range l.Places {
		names = append(names, "places in "+r.ColumnName.String())
	}
	return strings.Join(names, ", ")
}
