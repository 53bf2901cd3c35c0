package mask

import (
	"slices"
	"strings"
)

// partitions sends rows through the root where a masked partition key may
// move them, and refuses where they might find no partition.
func (x *compiler) partitions() {
	for _, t := range x.order {
		if !t.plan.Rows {
			continue
		}
		for p, hops := t, 0; p != nil && hops < 64; hops++ {
			if p.Partitioned && p.keyMasked() {
				t.plan.LoadInto = p.qualified
			}
			if !p.PartitionOf || len(p.parentStates) == 0 {
				break
			}
			p = p.parentStates[0]
		}
		for i := range t.Uniques {
			if u := &t.Uniques[i]; t.plan.LoadInto != t.qualified && t.indexChoice(u) == "" && !inherited(t, u) && !t.impliedBy(u) {
				x.fail("%s: %s holds for this partition only, and rows of others may move here because the partition key of %s is masked: keep its columns, or drop the index in the dump", t.qualified, u.describe(), t.plan.LoadInto)
			}
		}
		if !t.Partitioned || !t.keyMasked() || t.PartitionStrategy == "hash" || t.DefaultPartition {
			continue
		}
		var masked []string
		for _, name := range t.PartitionKey {
			if c := t.byName[name]; c != nil && c.rule != nil && c.rule.name != "keep" {
				masked = append(masked, QuoteIdent(name)+" ("+c.rule.name+")")
			}
		}
		x.fail("%s is partitioned by %s of %s, which is masked: a masked row might find no partition. Keep the column, or give the table a default partition", t.qualified, t.PartitionStrategy, strings.Join(masked, ", "))
	}
}

func (t *tableState) keyMasked() bool {
	return slices.ContainsFunc(t.PartitionKey, func(name string) bool {
		c := t.byName[name]
		return c != nil && c.rule != nil && c.rule.name != "keep"
	})
}
