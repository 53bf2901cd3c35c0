package mask

// rows decides which tables carry rows, and compiles their filters.
func (x *compiler) rows() {
	for _, t := range x.order {
		t.rowsRule = x.rowsOf(t, 0)
		t.plan.Rows = !t.Foreign && (t.rowsRule == nil || !t.rowsRule.none)
		if t.plan.Rows && t.rowsRule != nil && len(t.rowsRule.where) > 0 {
			t.plan.Filtered = true
			for _, c := range t.rowsRule.where {
				col := t.byName[c.column]
				if col == nil {
					continue // said already
				}
				f, err := newFilter(col.Column, c, x.ascii, x.taken)
				if err != nil {
					x.failLine(c.line, "the row filter of %s: %w", t.qualified, err)
				}
				t.plan.filters = append(t.plan.filters, f)
				if c.share > 0 {
					t.shares = append(t.shares, shareOf{col, c.share, f})
				}
			}
		}
	}
}

// rowsOf finds what the policy says on a table's rows: the most specific table
// entry that says something; a partition without one follows its parent.
func (x *compiler) rowsOf(t *tableState, depth int) *rowsRule {
	var found []matched
	for i := range x.policy.tables {
		r := &x.policy.tables[i]
		if r.rows == nil || !r.schema.match(t.Schema) || !r.table.match(t.Name) {
			continue
		}
		if len(t.parentStates) > 0 && !r.exact() {
			continue
		}
		found = append(found, matched{table: r, weight: [3]int{r.schema.weight(), r.table.weight(), 0}})
	}
	best, rival := mostSpecific(found)
	if rival != nil {
		x.fail("%s: rows of the entries %s (line %d) and %s (line %d) both match and neither is more specific: write an entry for the table", t.qualified, best.table, best.table.line, rival.table, rival.table.line)
		return nil
	}
	if best != nil {
		return best.table.rows
	}
	if len(t.parentStates) > 0 && depth < 64 {
		return x.rowsOf(t.parentStates[0], depth+1)
	}
	return nil
}
