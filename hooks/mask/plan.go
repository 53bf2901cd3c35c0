package mask

import (
	"fmt"
	"slices"
)

// Plan says what happens to every column of a dump. It is read-only once
// compiled and safe for concurrent use.
type Plan struct {
	// Warnings are sentences for the person who reads the plan.
	Warnings []string

	tableList        []*TablePlan
	byName           map[Name]*TablePlan
	keptList         []string
	revealed         Revealed
	sequenceList     []MaskedSequence
	withLargeObjects bool
	minDistinct      int
	rebuildList      []Rebuild
	orphanList       []Orphans
	lateKeyList      []LateKey
	droppedIndexes   []Index
	triedIndexes     []Index
	loginList        []*Login
}

// Table returns the plan of one table, or nil when the catalog has none of
// that name.
func (p *Plan) Table(schema, name string) *TablePlan { return p.byName[Name{schema, name}] }

// Tables returns the plans of all tables, in the catalog's order.
func (p *Plan) Tables() []*TablePlan { return p.tableList }

// Kept lists, sorted, what reaches the seed as it was: columns
// (schema.table.column), and what passes inside values (schema.table.column
// and then a JSON path, or a few words such as "year"). Partitions are not
// listed apart from their root.
func (p *Plan) Kept() []string { return slices.Clone(p.keptList) }

// LargeObjects says whether large objects are loaded.
func (p *Plan) LargeObjects() bool { return p.withLargeObjects }

// Sequences lists the sequences that must be set again after the load,
// because the column that they feed is masked.
func (p *Plan) Sequences() []MaskedSequence { return p.sequenceList }

// MaskedSequence is a sequence that feeds a masked column.
type MaskedSequence struct {
	Sequence string
	Column   ColumnName
}

// TablePlan says what happens to the rows of one table.
type TablePlan struct {
	Schema, Name string
	// Rows is false when the table is loaded empty.
	Rows bool
	// Filtered says that some rows may be dropped.
	Filtered bool
	// Orphans says that rows may be dropped, or foreign keys set to NULL, after
	// the load: see Plan.Orphans.
	Orphans bool
	// LoadInto is the table to COPY into: the table itself, or the root when
	// the partition key is masked and the row may belong elsewhere.
	LoadInto Name
	Columns  []ColumnPlan

	filters []*filter
	root    Name // of a partition or inheritance child, else its own
	login   *Login
}

// ColumnPlan says what happens to one column.
type ColumnPlan struct {
	Name string
	// Masker is the masker's name, "keep" for what stays, "" for generated
	// columns and tables without rows.
	Masker string
	// Rule is the whole rule in one line.
	Rule string
	// Why tells where the rule comes from, for the plan's table: "policy",
	// "type boolean", "references public.users.id", "partition of
	// public.events", "generated", "no rows".
	Why string
	// Because is what the policy says of why the column is kept.
	Because string
	// Unique says that distinct values stay distinct.
	Unique bool

	tf     transform
	traits traits
	kind   kind
	group  string // the columns whose masks agree
}

// Login is what the policy says of testers' accounts among the table's rows, nil for
// nothing.
func (t *TablePlan) Login() *Login { return t.login }

// Bind fixes the order of columns, which is the column list of the dump's
// COPY statement. Unknown, generated and missing columns are errors: a missing
// one would get its default instead of a mask.
func (t *TablePlan) Bind(columns []string) (*Layout, error) {
	l := &Layout{table: t, last: -1, columns: make([]boundColumn, len(columns))}
	at := map[string]int{}
	for i, name := range columns {
		if _, dup := at[name]; dup {
			return nil, fmt.Errorf("bind %s: the dump lists column %s twice", Name{t.Schema, t.Name}, QuoteIdent(name))
		}
		at[name] = i
		j := slices.IndexFunc(t.Columns, func(c ColumnPlan) bool { return c.Name == name })
		if j < 0 {
			return nil, fmt.Errorf("bind %s: the dump has column %s, the plan does not", Name{t.Schema, t.Name}, QuoteIdent(name))
		}
		c := &t.Columns[j]
		if t.Rows && c.tf == nil {
			return nil, fmt.Errorf("bind %s: column %s has no rule (%s)", Name{t.Schema, t.Name}, QuoteIdent(name), c.Why)
		}
		b := &l.columns[i]
		*b = boundColumn{name: name, masker: c.Masker, tf: c.tf, depth: c.traits.depth, clean: c.traits.clean, shaped: c.traits.shaped, null: c.traits.null || c.traits.rebuilt, guessable: c.traits.guessable(), entity: -1}
		if c.traits.keep {
			b.tf = nil
			continue
		}
		l.last = i
		l.masked = append(l.masked, i)
	}
	for _, c := range t.Columns {
		if _, there := at[c.Name]; !there && c.tf != nil {
			return nil, fmt.Errorf("bind %s: the dump's rows lack column %s", Name{t.Schema, t.Name}, QuoteIdent(c.Name))
		}
		if e := c.traits.entity; e != "" {
			i, there := at[e]
			if !there {
				return nil, fmt.Errorf("bind %s: the dump's rows lack column %s, which the rule of %s needs", Name{t.Schema, t.Name}, QuoteIdent(e), QuoteIdent(c.Name))
			}
			l.columns[at[c.Name]].entity = i
			l.last = max(l.last, i)
		}
	}
	for _, f := range t.filters {
		i, there := at[f.column]
		if !there {
			return nil, fmt.Errorf("bind %s: the dump's rows lack column %s, which the row filter needs", Name{t.Schema, t.Name}, QuoteIdent(f.column))
		}
		l.filters = append(l.filters, boundFilter{i, f})
		l.last = max(l.last, i)
	}
	if t.login != nil && t.Rows {
		if err := l.bindLogin(t.login, at); err != nil {
			return nil, fmt.Errorf("bind %s: %w", Name{t.Schema, t.Name}, err)
		}
	}
	return l, nil
}

// NewWorker returns a worker for rows that carry every column but the
// generated ones, in the catalog's order. It panics when the plan cannot be
// bound so, which a compiled plan of a table with rows always can.
func (t *TablePlan) NewWorker() *Worker {
	var names []string
	for _, c := range t.Columns {
		if c.tf != nil {
			names = append(names, c.Name)
		}
	}
	l, err := t.Bind(names)
	if err != nil {
		panic("mask: " + err.Error())
	}
	return l.NewWorker()
}
