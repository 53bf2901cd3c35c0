package mask

import (
	"fmt"
	"slices"

	"github.com/seedling-dev/seedling/hooks/sqltext"
)

// uniqueness refuses masks that a unique index, or an exclusion constraint,
// might not take. It is judged by the index's own equality.
func (x *compiler) uniqueness() {
	for _, t := range x.order {
		if !t.plan.Rows {
			continue
		}
		for i := range t.Uniques {
			u := &t.Uniques[i]
			said := t.indexChoice(u)
			if said == indexDrop {
				x.dropIndex(t, u)
				continue
			}
			if t.PartitionOf && inherited(t, u) { // judged at the parent
				if said == indexTry {
					x.plan.triedIndexes = append(x.plan.triedIndexes, Index{t.qualified, u.Name})
				}
				continue
			}
			sentence := t.judge(u)
			if said == indexTry {
				x.tryIndex(t, u, sentence)
				continue
			}
			if sentence != "" {
				x.fail("%s: %s", t.qualified, sentence)
			}
		}
	}
}

// inherited reports whether a partition's index repeats one of its parent, and
// so is judged there: a parent without rows is not judged.
func inherited(t *tableState, u *Unique) bool {
	for _, p := range t.parentStates {
		if p.plan.Rows && slices.ContainsFunc(p.Uniques, func(o Unique) bool { return sameIndex(&o, u) }) {
			return true
		}
	}
	return false
}

// sameIndex reports whether two indexes say the same of their tables.
func sameIndex(o, u *Unique) bool {
	return slices.Equal(o.Columns, u.Columns) && slices.Equal(o.Expressions, u.Expressions) &&
		o.Predicate == u.Predicate && o.NullsNotDistinct == u.NullsNotDistinct && slices.Equal(o.Exclusion, u.Exclusion)
}

// describe names an index in a sentence.
func (u *Unique) describe() string {
	switch {
	case u.Exclusion != nil:
		return "exclusion constraint " + QuoteIdent(u.Name)
	case u.Primary:
		return "primary key " + QuoteIdent(u.Name)
	}
	return "unique index " + QuoteIdent(u.Name)
}

// bareColumn returns the column of an index expression that is nothing but a column,
// perhaps under casts between types of text, and whether lower() or upper() folds
// its case.
func bareColumn(expression string) (name string, folded, ok bool) {
	statements, err := sqltext.Split(expression)
	if err != nil || len(statements) != 1 {
		return "", false, false
	}
	tokens := statements[0].Tokens
	for i := 0; i < len(tokens); i++ {
		t := tokens[i]
		word, isName := t.Name()
		switch {
		case t.IsSymbol('('), t.IsSymbol(')'), t.IsSymbol(':'):
		case isName && i > 0 && tokens[i-1].IsSymbol(':'):
			if word == "character" && i+1 < len(tokens) && tokens[i+1].Is("VARYING") {
				i++
			} else if word != "text" && word != "varchar" && word != "citext" {
				return "", false, false
			}
		case isName && i+1 < len(tokens) && tokens[i+1].IsSymbol('(') && (word == "lower" || word == "upper") && !folded && name == "" && t.Kind == sqltext.Word:
			folded = true
		case isName && name == "":
			name = word
		default:
			return "", false, false
		}
	}
	return name, folded, name != ""
}

// part is a key part of an index: a column, perhaps under lower() or upper().
type part struct {
	column *columnState
	folded bool
	cast   bool // to another type of text
}

// judge returns a sentence when the index could refuse masked rows.
func (t *tableState) judge(u *Unique) string {
	var parts []part
	masked := false
	for _, name := range u.Columns {
		c := t.byName[name]
		if c == nil {
			continue
		}
		parts = append(parts, part{column: c})
		masked = masked || c.changes()
	}
	if u.Exclusion == nil && !u.NullsNotDistinct && slices.ContainsFunc(parts, func(p part) bool { return p.column.changes() && p.column.traits.null }) {
		return "" // a row with a NULL is distinct from every other
	}
	problem, none := t.judgePredicate(u)
	if none {
		return ""
	}
	if u.Exclusion == nil && (len(u.Expressions) > 0 || problem != "") && t.impliedBy(u) {
		return "" // whatever the expressions and the predicate make of masks
	}
	// A generated column holds what its expression makes of others; without
	// knowing them, an index on it is judged like an expression.
	for _, e := range u.Expressions {
		if name, folded, ok := bareColumn(e); ok && t.byName[name] != nil {
			parts = append(parts, part{t.byName[name], folded, true})
			masked = masked || t.byName[name].changes()
			continue
		}
		for _, name := range u.ExpressionColumns {
			if c := t.byName[name]; c != nil && c.changes() {
				return fmt.Sprintf("%s is on an expression over %s, whose masker %s cannot promise distinct results: %s", u.describe(), QuoteIdent(name), c.maskName(), u.wayOut(t))
			}
		}
	}
	if problem != "" {
		return problem
	}
	if !masked {
		return ""
	}
	if u.Exclusion != nil {
		return u.judgeExclusion(parts)
	}
	if !u.NullsNotDistinct && slices.ContainsFunc(parts, func(p part) bool { return p.column.traits.null }) {
		return ""
	}
	problem = distinctParts(parts, u)
	if problem == "" || t.impliedBy(u) {
		return ""
	}
	return problem
}

// changes reports whether the column's masks differ from the originals.
func (c *columnState) changes() bool {
	if c.Generated {
		// Only safe when nothing in the table is masked.
		return slices.ContainsFunc(c.table.columnStates, func(o *columnState) bool { return !o.Generated && o.built && !o.traits.keep })
	}
	return c.built && !c.traits.keep
}

func (c *columnState) maskName() string {
	if c.rule == nil {
		return "(generated)"
	}
	return c.rule.name
}

// distinctParts returns a sentence unless rows that differ in the index's key
// still differ after masking.
func distinctParts(parts []part, u *Unique) string {
	for _, p := range parts {
		c := p.column
		if !c.changes() {
			continue
		}
		name := QuoteIdent(c.Name)
		refuse := func(why string) string {
			return fmt.Sprintf("%s needs distinct values in %s: %s", u.describe(), name, why)
		}
		switch tr := c.traits; {
		case c.Generated:
			return refuse("it is generated from columns that are masked, and nothing promises distinct results")
		case tr.null:
			return refuse("masker " + c.rule.name + " writes NULL everywhere, and the index takes one NULL only")
		case tr.within != "":
			if !slices.ContainsFunc(parts, func(o part) bool {
				return o.column.Name == tr.within && !o.folded && (!o.column.changes() || o.column.traits.injective)
			}) {
				return refuse("masker " + c.rule.name + " keeps values distinct only within one " + QuoteIdent(tr.within) + ": " + tr.remedy)
			}
		case !tr.injective:
			why := "masker " + c.rule.name + " may give two values the same mask"
			if tr.remedy != "" {
				why += ": " + tr.remedy
			}
			return refuse(why)
		case c.Nondeterministic:
			return refuse("its collation is not deterministic, and masker " + c.rule.name + " cannot promise masks that it tells apart: keep the column, or mask it with null")
		}
		if why := p.coarser(); why != "" {
			return refuse(why)
		}
	}
	return ""
}

// coarser returns a sentence when values that the index tells apart get the
// same mask all the same.
func (p part) coarser() string {
	c := p.column
	eq := c.find().info.eq
	switch {
	case (eq.fold || c.rule.flag("fold")) && (c.BaseType != "citext" || p.cast) && !p.folded:
		return "upper and lower case get the same mask (fold, or a citext column it is joined with), but the index tells them apart"
	case eq.trim && c.BaseType != "bpchar":
		return "it is joined with a char(n) column, where trailing spaces do not count, but the index counts them"
	}
	return ""
}

// impliedBy reports whether another unique index on some of the same columns
// keeps the rows apart already.
func (t *tableState) impliedBy(u *Unique) bool {
	return slices.ContainsFunc(t.Uniques, func(o Unique) bool {
		if o.Exclusion != nil || o.Predicate != "" || len(o.Expressions) > 0 || len(o.Columns) == 0 || len(o.Columns) >= len(u.Columns)+len(u.Expressions) {
			return false
		}
		var parts []part
		for _, name := range o.Columns {
			c := t.byName[name]
			if c == nil || !slices.Contains(u.Columns, name) || !c.NotNull && !o.Primary {
				return false
			}
			parts = append(parts, part{column: c})
		}
		return distinctParts(parts, &o) == ""
	})
}

// judgePredicate refuses a partial index whose predicate could hold for other
// rows after masking than before. none says that it holds for none of them.
func (t *tableState) judgePredicate(u *Unique) (problem string, none bool) {
	if u.Predicate == "" {
		return "", false
	}
	a := t.judgedPredicate(u.Predicate)
	if a.values&saysTrue == 0 {
		return "", true
	}
	if a.same {
		return "", false
	}
	for _, name := range u.PredicateColumns {
		if c := t.byName[name]; c != nil && c.changes() {
			return fmt.Sprintf("%s holds for some rows only, depending on %s, whose masker %s may change which: %s", u.describe(), QuoteIdent(name), c.maskName(), u.wayOut(t)), false
		}
	}
	return "", false
}

// wayOut is what a policy can say where it is not known whether an index takes
// the masks.
func (u *Unique) wayOut(t *tableState) string {
	return fmt.Sprintf("keep the column, or write `indexes: {%s: try}` (or drop) under %s", QuoteIdent(u.Name), t.qualified)
}

// staysNull reports whether the column's masks are NULL where its values are.
// A row of NULLs is NULL, too, when it is tested.
func (c *columnState) staysNull() bool {
	return !c.Generated && c.kind() != kindComposite && !c.traits.null && !c.traits.rebuilt && c.rule.text("malformed") != "null"
}

// judgeExclusion judges an exclusion constraint: equality survives distinct
// masks, other operators do not.
func (u *Unique) judgeExclusion(parts []part) string {
	for i, p := range parts {
		c := p.column
		if !c.changes() || c.traits.null {
			continue
		}
		// Columns and expressions come in two lists: with expressions it is not
		// known which operator belongs to which, and all must be =.
		equality := i < len(u.Exclusion) && u.Exclusion[i] == "=" && len(u.Expressions) == 0 ||
			!slices.ContainsFunc(u.Exclusion, func(op string) bool { return op != "=" })
		if equality && c.traits.injective && !c.Nondeterministic && p.coarser() == "" {
			continue
		}
		return fmt.Sprintf("%s compares %s, whose masker %s may make rows collide: keep the column, or mask it with null", u.describe(), QuoteIdent(c.Name), c.maskName())
	}
	return ""
}
