package mask

import "slices"

// foreignKeys names the foreign keys that missing rows could break.
func (x *compiler) foreignKeys() {
	for _, t := range x.order {
		if !t.plan.Rows {
			continue
		}
		for _, fk := range t.ForeignKeys {
			if null := t.nulled(fk); fk.MatchFull && len(null) > 0 && len(null) < len(fk.Columns) {
				x.fail("%s: foreign key %s is MATCH FULL, which takes no key of which %s is NULL and the rest is not: mask all of its columns with null, or none", t.qualified, fk.Name, quoteNames(null))
			}
			ref := x.tables[fk.References]
			if ref == nil || !x.losesRows(ref) {
				continue
			}
			optional := slices.ContainsFunc(fk.Columns, func(name string) bool { return t.byName[name] != nil && !t.byName[name].NotNull })
			switch {
			case len(t.nulled(fk)) > 0:
			case !ref.plan.Rows && !optional:
				x.fail("%s: foreign key %s references %s, which is loaded without rows: give %s `rows: none` too, or load both", t.qualified, fk.Name, ref.qualified, t.qualified)
			case !ref.plan.Rows:
				x.warn("%s: foreign key %s references %s, which is loaded without rows: any value in it makes the import fail; mask its columns with null to be safe", t.qualified, fk.Name, ref.qualified)
			default:
				x.warn("%s: foreign key %s references %s, of which some rows are dropped: a row that references one of them makes the import fail", t.qualified, fk.Name, ref.qualified)
			}
		}
	}
}

// losesRows reports whether some rows of a table, or of a partition of it, are not
// loaded, and the policy does not say what becomes of rows that reference them.
func (x *compiler) losesRows(ref *tableState) bool {
	return slices.ContainsFunc(x.order, func(t *tableState) bool {
		for at := t; at != ref; at = at.parentStates[0] {
			if !at.PartitionOf || len(at.parentStates) == 0 {
				return false
			}
		}
		return !t.plan.Rows || t.plan.Filtered && t.rowsRule.missing() == orphansStop
	})
}

// nulled lists the columns of a foreign key that are NULL in every masked row.
func (t *tableState) nulled(fk ForeignKey) []string {
	var names []string
	for _, name := range fk.Columns {
		if c := t.byName[name]; c != nil && c.traits.null {
			names = append(names, name)
		}
	}
	return names
}
