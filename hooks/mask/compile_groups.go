package mask

import "cmp"

type groupInfo struct {
	label   string
	eq      equality
	length  int
	notNull bool
	members []*columnState
}

// find returns the representative of a column's group.
func (c *columnState) find() *columnState {
	for c.group != c {
		c.group = c.group.group
		c = c.group
	}
	return c
}

func (c *columnState) union(o *columnState) {
	if a, b := c.find(), o.find(); a != b {
		b.group = a
	}
}

// groups joins the columns that must agree and names their sub-keys.
func (x *compiler) groups() {
	for _, t := range x.order {
		for _, c := range t.columnStates {
			for _, f := range c.follows {
				c.union(f)
			}
		}
	}
	links := map[*columnState]string{}
	x.linkGroup = map[string]*columnState{}
	for _, link := range sortedKeys(x.policy.links) {
		var first *columnState
		for _, m := range x.policy.links[link] {
			t := x.tables[Name{m.column.Schema, m.column.Table}]
			if t == nil || t.byName[m.column.Column] == nil {
				continue // said already
			}
			c := t.byName[m.column.Column]
			if first == nil {
				first = c
				x.linkGroup[link] = c
			} else {
				first.union(c)
			}
		}
	}
	for _, link := range sortedKeys(x.linkGroup) {
		g := x.linkGroup[link].find()
		if other := links[g]; other != "" {
			x.fail("links %s and %s meet in one set of columns joined by foreign keys: make them one link", other, link)
		}
		links[g] = link
	}
	for _, t := range x.order {
		for _, c := range t.columnStates {
			g := c.find()
			if g.info == nil {
				g.info = &groupInfo{eq: equality{ascii: x.ascii}}
			}
			g.info.add(c)
		}
	}
	for _, t := range x.order {
		for _, c := range t.columnStates {
			if c.find() == c {
				c.info.label = c.info.name()
				if link := links[c]; link != "" {
					c.info.label = "link " + link
				}
				x.checkGroup(c.info, links[c])
			}
		}
	}
}

func (g *groupInfo) add(c *columnState) {
	g.members = append(g.members, c)
	if c.elementKind() == kindText {
		g.eq.fold = g.eq.fold || c.BaseType == "citext"
		g.eq.trim = g.eq.trim || c.BaseType == "bpchar"
	}
	g.eq.scale = g.eq.scale || c.kind() == kindNumeric
	if n := c.lengthLimit(); n > 0 && (g.length == 0 || n < g.length) {
		g.length = n
	}
	g.notNull = g.notNull || c.NotNull
}

// name is the name of the column that the others follow.
func (g *groupInfo) name() string {
	var root, first string
	for _, c := range g.members {
		n := c.qualified.String()
		if first == "" || n < first {
			first = n
		}
		if len(c.follows) == 0 && (root == "" || n < root) {
			root = n
		}
	}
	return "column " + cmp.Or(root, first)
}

// checkGroup checks that the members of a group have the same rule, and types for
// which that rule gives equal values equal masks.
func (x *compiler) checkGroup(g *groupInfo, link string) {
	var first *columnState
	for _, c := range g.members {
		if c.rule == nil {
			continue
		}
		if first == nil {
			first = c
			continue
		}
		switch {
		case !c.rule.equal(first.rule):
			if link != "" {
				x.fail("link %s: %s has the rule %s and %s has %s: linked columns need the same rule", link, first.qualified, first.rule, c.qualified, c.rule)
			}
		case c.rule.name == "keep" || c.rule.name == "null":
		case !sameMasks(c.rule, c.kind(), first.kind()):
			x.fail("%s (%s) and %s (%s) must get the same masks, but their types are of different kinds", first.qualified, first.Type, c.qualified, c.Type)
		}
	}
}

// sameMasks reports whether a rule gives equal values of two kinds equal masks.
func sameMasks(r *rule, a, b kind) bool {
	number := func(k kind) bool { return k == kindInt || k == kindNumeric }
	return a == b || r.name == "key" && number(a) && number(b)
}
