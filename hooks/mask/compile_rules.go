package mask

import (
	"slices"
	"strings"
)

// matched is a policy entry that matches a table or column.
type matched struct {
	table  *tableRule
	column *columnRule
	weight [3]int // schema, table, column
}

// beats reports whether m is more specific: nowhere less and somewhere more.
func (m *matched) beats(o *matched) bool {
	more := false
	for i := range m.weight {
		if m.weight[i] < o.weight[i] {
			return false
		}
		more = more || m.weight[i] > o.weight[i]
	}
	return more
}

// mostSpecific returns an entry that no other beats; rival is another such
// entry that says something else.
func mostSpecific(all []matched) (best, rival *matched) {
	for i := range all {
		m := &all[i]
		switch {
		case slices.ContainsFunc(all, func(o matched) bool { return o.beats(m) }):
		case best == nil:
			best = m
		case m.column == nil || !m.column.rule.equal(best.column.rule):
			return best, m
		}
	}
	return best, nil
}

// rules finds the rule of every column.
func (x *compiler) rules() {
	for _, t := range x.order {
		for _, c := range t.columnStates {
			x.ownRule(c)
		}
	}
	// What follows what: partitions their parent, foreign keys what they
	// reference.
	for _, t := range x.order {
		for _, c := range t.columnStates {
			for _, p := range t.parentStates {
				if pc := p.byName[c.Name]; pc != nil && p.plan.Rows {
					c.follows = append(c.follows, pc)
					kind := "child of "
					if t.PartitionOf {
						kind = "partition of "
					}
					c.because = append(c.because, kind+p.qualified.String())
				}
			}
		}
		for _, fk := range t.ForeignKeys {
			ref := x.tables[fk.References]
			if ref == nil || len(fk.Columns) != len(fk.ReferencedColumns) {
				continue
			}
			for i, name := range fk.Columns {
				c, rc := t.byName[name], ref.byName[fk.ReferencedColumns[i]]
				if c == nil || rc == nil || c == rc || !ref.plan.Rows {
					continue
				}
				c.follows = append(c.follows, rc)
				c.because = append(c.because, "references "+rc.qualified.String())
			}
		}
	}
	for _, t := range x.order {
		if !t.plan.Rows {
			continue
		}
		for _, c := range t.columnStates {
			if !c.Generated {
				x.resolve(c)
			}
		}
	}
	// In a cycle of foreign keys the rule of one column is that of all.
	for again := true; again; {
		again = false
		for _, t := range x.order {
			for _, c := range t.columnStates {
				if c.rule != nil || c.Generated || !t.plan.Rows {
					continue
				}
				for i, f := range c.follows {
					if f.rule != nil && f.table.plan.Rows {
						c.rule, c.why, again = f.rule, c.because[i], true
						break
					}
				}
			}
		}
	}
	for _, t := range x.order {
		if !t.plan.Rows {
			continue
		}
		for _, c := range t.columnStates {
			if c.rule == nil && !c.Generated && !c.spokenFor() {
				x.uncovered = append(x.uncovered, c.qualified)
			}
		}
	}
}

// spokenFor reports whether c need not be reported as uncovered, because another
// column is whose rule it will follow: one at the end of what c follows, or the first
// by name of a cycle.
func (c *columnState) spokenFor() bool {
	reached := map[*columnState]bool{}
	end := false
	var walk func(at *columnState)
	walk = func(at *columnState) {
		last := true
		for _, f := range at.follows {
			if f.Generated || !f.table.plan.Rows {
				continue
			}
			last = false
			if !reached[f] {
				reached[f] = true
				walk(f)
			}
		}
		end = end || last && at != c
	}
	walk(c)
	if end || len(reached) == 0 {
		return end
	}
	for f := range reached {
		if f.qualified.String() < c.qualified.String() {
			return true
		}
	}
	return false
}

// ownRule finds what the policy says for the column itself.
func (x *compiler) ownRule(c *columnState) {
	var found []matched
	for i := range x.policy.tables {
		t := &x.policy.tables[i]
		if !t.schema.match(c.qualified.Schema) || !t.table.match(c.qualified.Table) {
			continue
		}
		for j := range t.columns {
			if cr := &t.columns[j]; cr.column.match(c.Name) {
				found = append(found, matched{t, cr, [3]int{t.schema.weight(), t.table.weight(), cr.column.weight()}})
			}
		}
	}
	best, rival := mostSpecific(found)
	if rival != nil {
		if c.table.plan.Rows && !c.Generated && !c.table.inherits(c) {
			x.fail("%s: the rules in line %d (%s of %s) and line %d (%s of %s) both match and neither is more specific: write a rule for the column itself",
				c.qualified, best.column.rule.line, best.column.column, best.table, rival.column.rule.line, rival.column.column, rival.table)
		}
		// It gets a rule all the same, so that it is not reported as uncovered too.
	}
	if best != nil {
		c.own = best.column.rule
		c.explicit = best.table.exact() && !best.column.column.wild
		return
	}
	if r := x.policy.typeRule(c.Column); r != nil {
		c.own, c.byType = r, true
	}
}

var typeAliases = map[string]string{
	"smallint": "int2", "integer": "int4", "int": "int4", "bigint": "int8", "boolean": "bool",
	"character varying": "varchar", "character": "bpchar", "char": "bpchar", `"char"`: "char",
	"real": "float4", "double precision": "float8", "decimal": "numeric",
	"timestamp without time zone": "timestamp", "timestamp with time zone": "timestamptz",
	"time without time zone": "time", "time with time zone": "timetz",
}

// typeRule finds a per-type default for the column: by its type as written,
// or by the type's internal name.
func (p *Policy) typeRule(c *Column) *rule {
	suffix := ""
	if c.Array {
		suffix = "[]"
	}
	if r := p.types[c.Type]; r != nil {
		return r
	}
	if r := p.types[c.BaseType+suffix]; r != nil {
		return r
	}
	for _, name := range sortedKeys(p.types) {
		base, array := strings.CutSuffix(name, "[]")
		if alias := typeAliases[base]; alias == c.BaseType && array == c.Array && alias != "" {
			return p.types[name]
		}
	}
	return nil
}

// resolve decides a column's rule: what it follows first, then its own.
func (x *compiler) resolve(c *columnState) *rule {
	if c.state != 0 {
		return c.rule // done, or a cycle: whoever started it decides
	}
	c.state = 1
	var from *rule
	why := ""
	for i, f := range c.follows {
		if f.Generated || !f.table.plan.Rows {
			continue
		}
		r := x.resolve(f)
		if r == nil {
			continue
		}
		if from != nil && !from.equal(r) {
			x.fail("%s %s (masker %s) and %s (masker %s): give both the same rule", c.qualified, why, from.name, c.because[i], r.name)
			continue
		}
		if from == nil {
			from, why = r, c.because[i]
		}
	}
	switch {
	case from != nil:
		// For partitions an entry of their own, even with *, is a statement;
		// for foreign keys a rule for the column itself is.
		stated := c.explicit
		if c.own != nil && stated && !c.own.equal(from) {
			x.failLine(c.own.line, "the rule of %s (%s) differs from the rule it must follow, %s (%s): remove it", c.qualified, c.own, why, from)
		}
		c.rule, c.why = from, why
	case c.own != nil:
		c.rule, c.why = c.own, "policy"
		if c.byType {
			c.why = "type " + c.Type
		}
	}
	c.state = 2
	return c.rule
}
