package mask

import (
	"fmt"
	"maps"
	"slices"
)

// build makes the transforms.
func (x *compiler) build() {
	for _, t := range x.order {
		for _, c := range t.columnStates {
			switch {
			case c.Generated:
				c.plan.Why = "generated"
				continue
			case !t.plan.Rows:
				c.plan.Why = "no rows"
				continue
			case c.rule == nil:
				continue
			}
			c.plan.Masker, c.plan.Why, c.plan.Rule, c.plan.Because = c.rule.name, c.why, c.rule.String(), c.rule.text("because")
			if !c.rule.accepts(c.kind()) {
				x.fail("%s: masker %s does not take %s, it takes %s", c.qualified, c.rule.name, c.Type, c.rule.types())
				continue
			}
			tf, tr, err := c.rule.construct(x.target(c))
			if err != nil {
				x.fail("%s: masker %s: %w", c.qualified, c.rule.name, err)
				continue
			}
			c.tf, c.traits, c.built = tf, tr, true
			c.plan.tf, c.plan.traits = tf, tr
			c.plan.kind, c.plan.group = c.kind(), c.find().info.label
			c.plan.Unique = tr.injective
			if t.inherits(c) {
				continue // reported for its parent
			}
			if tr.keep {
				x.plan.keptList = append(x.plan.keptList, c.qualified.String())
			}
			for _, k := range tr.kept {
				x.plan.keptList = append(x.plan.keptList, c.qualified.String()+" "+k)
			}
			if c.Sequence != "" && !tr.keep && !tr.null {
				x.plan.sequenceList = append(x.plan.sequenceList, MaskedSequence{c.Sequence, c.qualified})
			}
			if c.rule.name == "email" && c.rule.text("domain") != "" {
				x.warn("%s: masks carry a domain that may exist: mail sent to them may reach somebody", c.qualified)
			}
		}
	}
}

func (x *compiler) target(c *columnState) *target {
	g := c.find().info
	t := newTarget(x.key, g.label, g.eq, c.Column)
	t.length, t.notNull, t.addresses = g.length, g.notNull, g.addresses
	t.entity = func(name string) (string, equality, error) {
		e := c.table.byName[name]
		switch {
		case e == nil:
			return "", equality{}, fmt.Errorf("by names column %s, which is not in %s%s", QuoteIdent(name), c.table.qualified, didYouMean(name, slices.Collect(maps.Keys(c.table.byName))))
		case e.Generated:
			return "", equality{}, fmt.Errorf("by names column %s, which is generated and not in the dump", QuoteIdent(name))
		}
		eg := e.find().info
		return eg.label, eg.eq, nil
	}
	t.linked = func(link string, r *rule, at *target) (*target, error) {
		m := x.linkGroup[link]
		if m == nil {
			return nil, fmt.Errorf("link %s has no column", link)
		}
		bare := *r
		bare.link = ""
		if m.rule == nil || !m.rule.equal(&bare) {
			return nil, fmt.Errorf("link %s: the columns have the rule %s and this place %s: they need the same", link, m.rule, &bare)
		}
		if !sameMasks(r, m.kind(), at.kind) {
			return nil, fmt.Errorf("link %s: %s is %s, which this place is not", link, m.qualified, m.Type)
		}
		lg := m.find().info
		sub := *at
		sub.label, sub.eq, sub.length, sub.addresses = lg.label, lg.eq, lg.length, lg.addresses
		return &sub, nil
	}
	return t
}
