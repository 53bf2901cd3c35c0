package mask

import (
	"maps"
	"slices"
	"strings"
)

// references checks that what the policy names exists.
func (x *compiler) references() {
	var names []string
	for n := range x.tables {
		names = append(names, n.String())
	}
	slices.Sort(names)
	x.unusedTypes()
	for _, t := range x.policy.tables {
		if !t.exact() {
			x.unusedPatterns(t)
			continue
		}
		table := x.tables[Name{t.schema.text, t.table.text}]
		if table == nil {
			x.gone(t.line, "table %s is not in the dump%s", t, didYouMean(Name{t.schema.text, t.table.text}.String(), names))
			continue
		}
		for _, c := range t.columns {
			if !c.column.wild {
				col := table.byName[c.column.text]
				switch {
				case col == nil:
					x.gone(c.rule.line, "column %s is not in table %s%s", c.column, table.qualified, didYouMean(c.column.text, slices.Collect(maps.Keys(table.byName))))
				case col.Generated && c.rule.name != "keep":
					x.failLine(c.rule.line, "column %s is generated: it is computed from masked columns and needs no rule", col.qualified)
				}
				continue
			}
			if !slices.ContainsFunc(table.columnStates, func(s *columnState) bool { return c.column.match(s.Name) }) {
				x.warn("policy line %d: the pattern %s matches no column of %s", c.rule.line, c.column, table.qualified)
			}
		}
		if t.rows != nil {
			for _, cond := range t.rows.where {
				if table.byName[cond.column] == nil {
					x.gone(cond.line, "the row filter of %s names column %s, which is not there%s", table.qualified, QuoteIdent(cond.column), didYouMean(cond.column, slices.Collect(maps.Keys(table.byName))))
				}
			}
		}
	}
	for _, link := range sortedKeys(x.policy.links) {
		for _, m := range x.policy.links[link] {
			t := x.tables[Name{m.column.Schema, m.column.Table}]
			if t == nil || t.byName[m.column.Column] == nil {
				x.gone(m.line, "link %s names %s, which is not in the dump", link, m.column)
			}
		}
	}
}

// unusedPatterns warns of an entry with * that matches nothing, and of columns
// that none of its tables has: a mistake that nobody would notice where another
// entry covers the column.
func (x *compiler) unusedPatterns(t tableRule) {
	var columns []string
	tables := 0
	for _, table := range x.order {
		if t.schema.match(table.Schema) && t.table.match(table.Name) {
			tables++
			columns = slices.AppendSeq(columns, maps.Keys(table.byName))
		}
	}
	if tables == 0 {
		x.warn("policy line %d: the entry %s matches no table", t.line, t)
		return
	}
	for _, c := range t.columns {
		if slices.ContainsFunc(columns, c.column.match) {
			continue
		}
		hint := ""
		if !c.column.wild {
			hint = didYouMean(c.column.text, columns)
		}
		x.warn("policy line %d: the column %s of %s is in no table that the entry matches%s", c.rule.line, c.column, t, hint)
	}
}

// unusedTypes warns of defaults for types that neither we nor the dump know.
func (x *compiler) unusedTypes() {
	for _, name := range sortedKeys(x.policy.types) {
		base := strings.TrimSuffix(name, "[]")
		if kindOf[base] != kindOther || typeAliases[base] != "" {
			continue
		}
		used := slices.ContainsFunc(x.order, func(t *tableState) bool {
			return slices.ContainsFunc(t.columnStates, func(c *columnState) bool { return c.Type == name || c.BaseType == base })
		})
		if !used {
			x.warn("policy line %d: no column has the type %s", x.policy.types[name].line, name)
		}
	}
}

func didYouMean(name string, candidates []string) string {
	slices.Sort(candidates)
	if n := nearest(name, candidates); n != "" {
		return ", did you mean " + n + "?"
	}
	return ""
}
