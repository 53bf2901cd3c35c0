package mask

import (
	"slices"
	"strings"
)

// What the policy's on_missing_parent may say.
const (
	orphansStop = "stop"
	orphansDrop = "drop"
	orphansNull = "null"
	// orphansFollow is drop, but null inside a circle of foreign keys, which would be
	// emptied otherwise: of a share of people hardly one has all of the people above
	// in the same share.
	orphansFollow = "follow"
)

// Orphans says what happens to rows whose foreign key references a row that
// the load left out.
type Orphans struct {
	Table      Name
	ForeignKey ForeignKey
	// SetNull are the columns to set to NULL; none: the rows are dropped.
	SetNull []string
	// Partitioned and ReferencesPartitioned say that the two tables are partitioned.
	// A foreign key holds for their partitions, and not for inheritance children.
	Partitioned, ReferencesPartitioned bool

	circle bool // what is referenced references the table in turn
}

// Orphans lists the foreign keys that dropped rows may break and for which the
// policy says what to do, beginning at the filtered tables. They may form a cycle:
// follow them until nothing changes.
func (p *Plan) Orphans() []Orphans { return p.orphanList }

// LateKey is a foreign key that can be made only when orphans are gone.
type LateKey struct {
	Table Name
	Name  string
}

// LateKeys lists the foreign keys of Orphans, and all others that reference a
// table that loses rows: made earlier, they would stop or spread the deletions.
func (p *Plan) LateKeys() []LateKey { return p.lateKeyList }

// lateKeys collects the foreign keys that must wait.
func (x *compiler) lateKeys() {
	for _, t := range x.order {
		for _, fk := range t.ForeignKeys {
			ref := x.tables[fk.References]
			handled := slices.ContainsFunc(x.plan.orphanList, func(o Orphans) bool { return o.Table == t.qualified && o.ForeignKey.Name == fk.Name })
			if handled || ref != nil && ref.plan.Orphans {
				x.plan.lateKeyList = append(x.plan.lateKeyList, LateKey{t.qualified, fk.Name})
			}
		}
	}
}

// orphans follows foreign keys from the tables that lose rows. What the policy says
// for a table holds too for the tables that reference it, unless it has more to say
// on them.
func (x *compiler) orphans() {
	mode := map[*tableState]string{}
	var queue []*tableState
	for i, t := range x.order {
		if !t.plan.Filtered || t.rowsRule.missing() == orphansStop {
			continue
		}
		t = t.whole()
		if mode[t] == "" {
			mode[t] = x.order[i].rowsRule.missing()
			queue = append(queue, t)
		}
	}
	for len(queue) > 0 {
		ref := queue[0]
		queue = queue[1:]
		for _, t := range x.order {
			if !t.plan.Rows {
				continue
			}
			for _, fk := range t.ForeignKeys {
				to := x.tables[fk.References]
				if to == nil || to.whole() != ref {
					continue
				}
				circle := x.reaches(to, t, map[*tableState]bool{})
				o := Orphans{t.qualified, fk, t.nullable(fk, mode[ref], circle), t.Partitioned, to.Partitioned, circle}
				if slices.ContainsFunc(x.plan.orphanList, func(have Orphans) bool { return have.Table == o.Table && have.ForeignKey.Name == fk.Name }) {
					continue
				}
				x.plan.orphanList = append(x.plan.orphanList, o)
				x.affected(t)
				if len(o.SetNull) > 0 {
					x.warn("%s: where its foreign key %s references a dropped row of %s, %s becomes NULL", t.qualified, fk.Name, ref.qualified, quoteNames(o.SetNull))
					continue
				}
				x.warn("%s: rows whose foreign key %s references a dropped row of %s are dropped too", t.qualified, fk.Name, ref.qualified)
				if whole := t.whole(); mode[whole] == "" {
					if mode[whole] = mode[ref]; t.plan.Filtered {
						mode[whole] = t.rowsRule.missing()
					}
					if mode[whole] != orphansStop {
						queue = append(queue, whole)
					}
				}
			}
		}
	}
}

// whole is the partitioned table that a partition belongs to: foreign keys reference
// that.
func (t *tableState) whole() *tableState {
	for t.PartitionOf && len(t.parentStates) > 0 {
		t = t.parentStates[0]
	}
	return t
}

// affected marks a table and what is below it.
func (x *compiler) affected(t *tableState) {
	for _, o := range x.order {
		if o.plan.root == t.plan.root {
			o.plan.Orphans = true
		}
	}
}

// nullable returns the columns of a foreign key to set to NULL, if any.
func (t *tableState) nullable(fk ForeignKey, mode string, circle bool) []string {
	if mode != orphansNull && (mode != orphansFollow || !circle) {
		return nil
	}
	var names []string
	for _, name := range fk.Columns {
		if c := t.byName[name]; c != nil && !c.NotNull && !c.Generated && !slices.Contains(t.PartitionKey, name) {
			names = append(names, name)
		}
	}
	if fk.MatchFull && len(names) < len(fk.Columns) {
		return nil
	}
	return names
}

// reaches reports whether foreign keys lead from one table to another, or are in it.
func (x *compiler) reaches(from, to *tableState, seen map[*tableState]bool) bool {
	if from == nil || seen[from.whole()] {
		return false
	}
	if from = from.whole(); from == to.whole() {
		return true
	}
	seen[from] = true
	return slices.ContainsFunc(x.order, func(t *tableState) bool {
		return t.whole() == from && slices.ContainsFunc(t.ForeignKeys, func(fk ForeignKey) bool { return x.reaches(x.tables[fk.References], to, seen) })
	})
}

func quoteNames(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = QuoteIdent(n)
	}
	return strings.Join(out, ", ")
}

// missing is what happens to rows that reference a dropped one.
func (r *rowsRule) missing() string {
	switch {
	case r == nil:
	case r.onMissing != "":
		return r.onMissing
	case slices.ContainsFunc(r.where, condition.subset):
		return orphansFollow
	}
	return orphansStop
}
