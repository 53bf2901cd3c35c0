package mask

import (
	"fmt"
	"slices"
	"strings"
)

// everything makes sure that nothing passes undecided: unless there is an error, each
// column that carries data has a transform.
func (x *compiler) everything() {
	if len(x.errs) > 0 {
		return
	}
	for _, t := range x.order {
		for _, c := range t.columnStates {
			if t.plan.Rows && !c.Generated && !c.built {
				x.fail("%s: no rule was found, and none was missed: this is a mistake of seed-import, please report it", c.qualified)
			}
		}
	}
}

// embeddings refuses to keep vectors by a rule that is not about them alone: from an
// embedding, much of the text that it was made of can be read.
func (x *compiler) embeddings() {
	for _, t := range x.order {
		for _, c := range t.columnStates {
			if c.rule != nil && c.rule.name == "keep" && c.elementKind() == kindVector && t.plan.Rows && !t.inherits(c) && len(c.follows) == 0 && !c.explicit {
				x.fail("%s: an embedding tells much of what it was made of, and is kept only by a rule under its own name: write %s: null, or %s: keep for this column", c.qualified, QuoteIdent(c.Name), QuoteIdent(c.Name))
			}
		}
	}
}

func (x *compiler) uncoveredError(c Catalog) {
	e := &UncoveredError{Columns: x.uncovered, LargeObjects: c.LargeObjects && x.policy.largeObjects == ""}
	if len(e.Columns) == 0 && !e.LargeObjects {
		return
	}
	e.catalog = c
	x.errs = append([]error{e}, x.errs...)
}

// UncoveredError lists what the policy says nothing about.
type UncoveredError struct {
	Columns []ColumnName
	// LargeObjects says that the dump has large objects and the policy does
	// not decide on them.
	LargeObjects bool

	catalog Catalog
}

func (e *UncoveredError) Error() string {
	var b strings.Builder
	b.WriteString("the policy does not cover ")
	switch n := len(e.Columns); {
	case n == 1:
		b.WriteString("1 column: ")
	case n > 1:
		fmt.Fprintf(&b, "%d columns: ", n)
	}
	for i, c := range e.Columns {
		if i == 20 {
			fmt.Fprintf(&b, " and %d more", len(e.Columns)-20)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(c.String())
	}
	if e.LargeObjects {
		if len(e.Columns) > 0 {
			b.WriteString("; nor ")
		}
		b.WriteString("the dump's large objects")
	}
	b.WriteString(". Add a rule for each; nothing was loaded")
	return b.String()
}

// Fragment returns YAML to paste into the policy: a proposal for everything
// that is not covered, marked where a person must decide.
func (e *UncoveredError) Fragment() string {
	var b strings.Builder
	if e.LargeObjects {
		b.WriteString(largeObjectsLine)
	}
	if len(e.Columns) > 0 {
		d := newDrafter(e.catalog, nil)
		d.write(&b, func(c *columnState) bool { return slices.Contains(e.Columns, c.qualified) })
	}
	return b.String()
}

// Fragments are those lines for one column each, in the order of Columns.
func (e *UncoveredError) Fragments() []string {
	d := newDrafter(e.catalog, nil)
	var out []string
	for _, name := range e.Columns {
		var b strings.Builder
		d.write(&b, func(c *columnState) bool { return c.qualified == name })
		out = append(out, b.String())
	}
	return out
}
