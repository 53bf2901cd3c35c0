package mask

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
)

// smallDump is how many stored bytes a dump may have without anybody asking whether
// less would do.
const smallDump = 256 << 20

const asksLarge = "over a quarter of the dump: previews may do with a part of these rows, as a line in their entries proposes"

var (
	ageName = regexp.MustCompile(`(?:^|_)(?:at|on|date|day|time|ts|timestamp|created|inserted|when)$`)
	// What lies ahead, or moves on, says nothing of a row's age.
	noAgeName = nameWords(`expir\w*|until|due|end|ends|ended|deleted|birth\w*|born|updated|modified|changed|valid|next|scheduled|planned|last|seen`)
	bornName  = nameWords(`created|inserted|occurred|logged|received|recorded|added|happened|sent|placed|ordered|event|log`)
)

// subsets proposes, for tables that are over a quarter of a large dump, to load a part
// of their rows. The lines are comments: what to leave out only a person knows.
func (d *drafter) subsets(note func(*tableState, string)) {
	size := map[*tableState]int64{}
	var all int64
	for _, t := range d.order {
		size[t.whole()] += t.Stored
		all += t.Stored
	}
	if all < smallDump {
		return
	}
	for _, t := range d.order {
		if t.whole() != t || !t.plan.Rows || size[t]*4 <= all || t.emptyBecause != "" {
			continue
		}
		if condition := t.subsetCondition(); condition != "" {
			note(t, fmt.Sprintf("    # rows: {where: [%s]}   # decide: the table is %d %% of the dump\n", condition, size[t]*100/all))
			d.questions[asksLarge] = append(d.questions[asksLarge], t.qualified.String())
		}
	}
}

// subsetCondition proposes the newest rows, or else those of a share of what the table
// is about, "" where neither can be told.
func (t *tableState) subsetCondition() string {
	var best *columnState
	rank := func(c *columnState) int {
		r := 0
		if name := spoken(c.Name); bornName.MatchString(name) {
			r += 2
		}
		if c.NotNull {
			r++
		}
		return r
	}
	for _, c := range t.columnStates {
		name := spoken(c.Name)
		if k := c.kind(); k != kindTimestamp && k != kindDate || c.Generated || !ageName.MatchString(name) && !bornName.MatchString(name) || noAgeName.MatchString(name) {
			continue
		}
		if best == nil || rank(c) > rank(best) {
			best = c
		}
	}
	if best != nil {
		return "{column: " + yamlKey(best.Name) + ", newest: 90d}"
	}
	key := cmp.Or(t.oneKey(t.foreignColumns()), t.oneKey(t.primaryColumns()))
	if key == "" {
		return ""
	}
	return "{column: " + yamlKey(key) + ", share: 5 %}"
}

func (t *tableState) foreignColumns() [][]string {
	var out [][]string
	for _, fk := range t.ForeignKeys {
		out = append(out, fk.Columns)
	}
	return out
}

func (t *tableState) primaryColumns() [][]string {
	for _, u := range t.Uniques {
		if u.Primary {
			return [][]string{u.Columns}
		}
	}
	return nil
}

// oneKey is the first key of one column that always names an entity.
func (t *tableState) oneKey(keys [][]string) string {
	for _, columns := range keys {
		if len(columns) != 1 {
			continue
		}
		if c := t.byName[columns[0]]; c != nil && c.NotNull && !c.Generated && slices.Contains(shareKinds, c.kind()) {
			return c.Name
		}
	}
	return ""
}
