package mask

import "slices"

// What a policy may say of a unique index: build it on masked rows and see, or leave
// it out of the seed. Other indexes on expressions may be left out.
const (
	indexTry  = "try"
	indexDrop = "drop"
)

// Index is one that the policy names.
type Index struct {
	Table Name
	Name  string
}

// indexRule is what a policy says of an index.
type indexRule struct {
	name   string
	choice string
	line   int
}

// Dropped lists the indexes, unique constraints and exclusion constraints that the seed
// does without, because the policy says so.
func (p *Plan) Dropped() []Index { return slices.Clone(p.droppedIndexes) }

// Tried lists those that may turn out not to take the masks: only the rows tell.
func (p *Plan) Tried() []Index { return slices.Clone(p.triedIndexes) }

// indexChoice is what the policy says of an index, by its name at the table or, for
// a partition's copy of its parent's index, by its name at the parent.
func (t *tableState) indexChoice(u *Unique) string {
	return t.choiceAmong(u, func(t *tableState) []Unique { return t.Uniques })
}

// computedChoice is indexChoice of an index that is not unique.
func (t *tableState) computedChoice(u *Unique) string {
	return t.choiceAmong(u, func(t *tableState) []Unique { return t.Computed })
}

func (t *tableState) choiceAmong(u *Unique, of func(*tableState) []Unique) string {
	if says := t.indexes[u.Name]; says != "" {
		return says
	}
	for _, p := range t.parentStates {
		for _, o := range of(p) {
			if t.PartitionOf && sameIndex(&o, u) {
				return p.choiceAmong(&o, of)
			}
		}
	}
	return ""
}

// indexRules finds what the policy says of indexes; entries with * cannot name any.
// A seed lacks what was dropped.
func (x *compiler) indexRules(seed bool) {
	for _, r := range x.policy.tables {
		t := x.tables[Name{r.schema.text, r.table.text}]
		if t == nil || !r.exact() {
			continue
		}
		t.indexes = map[string]string{}
		for _, i := range r.indexes {
			named := func(u Unique) bool { return u.Name == i.name }
			switch unique := slices.ContainsFunc(t.Uniques, named); {
			case !unique && slices.ContainsFunc(t.Computed, named):
				if i.choice != indexDrop {
					x.failLine(i.line, "index %s of %s is not unique, and there is nothing to try: write drop, or nothing", QuoteIdent(i.name), t.qualified)
					continue
				}
			case !unique && seed && i.choice == indexDrop:
				continue // it was left out
			case !unique:
				var names []string
				for _, u := range slices.Concat(t.Uniques, t.Computed) {
					names = append(names, u.Name)
				}
				x.gone(i.line, "%s has no unique index, unique constraint, exclusion constraint or index on an expression %s%s", t.qualified, QuoteIdent(i.name), didYouMean(i.name, names))
				continue
			}
			t.indexes[i.name] = i.choice
		}
	}
}

// computed leaves out the indexes on expressions that the policy drops.
func (x *compiler) computed() {
	for _, t := range x.order {
		for i := range t.Computed {
			u := &t.Computed[i]
			if !t.plan.Rows || t.computedChoice(u) != indexDrop {
				continue
			}
			x.plan.droppedIndexes = append(x.plan.droppedIndexes, Index{t.qualified, u.Name})
			x.warn("%s: index %s is left out of the seed, as the policy says: queries that use it are slower there", t.qualified, QuoteIdent(u.Name))
		}
	}
}

// dropIndex leaves an index out, if nothing needs it.
func (x *compiler) dropIndex(t *tableState, u *Unique) {
	if by := x.referencedBy(t, u); by != "" {
		x.fail("%s: %s cannot be dropped: foreign key %s references it", t.qualified, u.describe(), by)
		return
	}
	x.plan.droppedIndexes = append(x.plan.droppedIndexes, Index{t.qualified, u.Name})
	x.warn("%s: %s is left out of the seed, as the policy says: what production refuses twice, a preview takes", t.qualified, u.describe())
}

// tryIndex leaves it to the rows whether an index takes the masks.
func (x *compiler) tryIndex(t *tableState, u *Unique, problem string) {
	if problem == "" {
		x.warn("%s: %s takes the masks whatever the rows are: `indexes` need not say `try`", t.qualified, u.describe())
		return
	}
	x.plan.triedIndexes = append(x.plan.triedIndexes, Index{t.qualified, u.Name})
}

// referencedBy names a foreign key that needs an index, or is "".
func (x *compiler) referencedBy(t *tableState, u *Unique) string {
	for _, o := range x.order {
		for _, fk := range o.ForeignKeys {
			if fk.References != t.qualified || len(u.Expressions) > 0 || u.Predicate != "" || u.Exclusion != nil {
				continue
			}
			if len(fk.ReferencedColumns) == len(u.Columns) && !slices.ContainsFunc(fk.ReferencedColumns, func(c string) bool { return !slices.Contains(u.Columns, c) }) {
				return QuoteIdent(fk.Name) + " of " + o.qualified.String()
			}
		}
	}
	return ""
}
