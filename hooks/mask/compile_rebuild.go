package mask

import "slices"

// Rebuild is a column that the loader computes from the masked row: workers
// write NULL for it.
type Rebuild struct {
	Table  Name
	Column string
	// Type of the column, as SQL.
	Type string
	// As is the policy's text. Only the database can tell whether it is an
	// expression: check that before it is run.
	As string
	// Unusable are the table's columns that have no value yet when the
	// expression is computed: generated ones, and those rebuilt themselves.
	Unusable []string
}

// Rebuilds lists the columns to compute, table by table. Partitions and
// inheritance children are listed apart from their root, partitioned tables,
// which hold no rows, are not.
func (p *Plan) Rebuilds() []Rebuild { return p.rebuildList }

// rebuilds collects the columns to compute and refuses those that other
// columns depend on.
func (x *compiler) rebuilds() {
	for _, t := range x.order {
		var unusable []string
		for _, c := range t.columnStates {
			if c.Generated || c.traits.rebuilt {
				unusable = append(unusable, c.Name)
			}
		}
		for _, c := range t.columnStates {
			if !c.built || !c.traits.rebuilt {
				continue
			}
			if slices.Contains(t.PartitionKey, c.Name) {
				x.fail("%s: masker rebuild cannot compute a partition key: keep the column", c.qualified)
			}
			if slices.ContainsFunc(c.find().info.members, func(o *columnState) bool { return o.table.plan.root != t.plan.root }) {
				x.fail("%s: masker rebuild cannot compute a column that foreign keys or links join with others", c.qualified)
			}
			if !t.Partitioned {
				x.plan.rebuildList = append(x.plan.rebuildList, Rebuild{t.qualified, c.Name, c.Type, c.rule.text("as"), unusable})
			}
		}
	}
}
