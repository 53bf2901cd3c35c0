package mask

import (
	"cmp"
	"slices"
)

type groupInfo struct {
	label   string
	eq      equality
	length  int
	notNull bool
	members []*columnState
	text    bool // some members hold text, some a uuid
	uuid    bool
	// addresses are testers', which pass wherever the members hold them; nil for none
	addresses *addresses
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
	switch c.elementKind() {
	case kindText:
		g.eq.fold = g.eq.fold || c.BaseType == "citext"
		g.eq.trim = g.eq.trim || c.BaseType == "bpchar"
		g.text = true
	case kindUUID:
		g.uuid = true
	}
	// The server writes a uuid in lower case, whatever case a text has it in.
	g.eq.fold = g.eq.fold || g.text && g.uuid
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
			x.fail("%s (%s) and %s (%s) must get the same masks, and masker %s gives their types different ones: %s", first.qualified, first.Type, c.qualified, c.Type, c.rule.name, wayToAgree(first.kind(), c.kind()))
		}
	}
}

// sameMasks reports whether a rule gives equal values of two kinds equal masks.
func sameMasks(r *rule, a, b kind) bool {
	if a == b {
		return true
	}
	both := func(kinds ...kind) bool { return slices.Contains(kinds, a) && slices.Contains(kinds, b) }
	switch r.name {
	case "key":
		return both(kindInt, kindNumeric, kindText)
	case "uuid":
		return both(kindUUID, kindText)
	case "mac":
		return both(kindMAC, kindText)
	}
	return false
}

// wayToAgree says what gives equal values of two kinds equal masks.
func wayToAgree(a, b kind) string {
	for _, m := range []*masker{keyMasker, uuidMasker, macMasker} {
		if sameMasks(&rule{masker: m}, a, b) && a != b {
			return "masker " + m.name + " gives both the same"
		}
	}
	return "no masker does better; keep both, or make them columns of one type"
}
