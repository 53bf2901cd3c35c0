package mask

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Compile works out what policy p does, under key k, to the database that c
// describes. A nil error means that every column of every table is decided.
// Otherwise the error joins everything that is wrong: an *UncoveredError for
// what the policy does not cover, and a sentence for each other thing.
func Compile(p *Policy, k Key, c Catalog) (*Plan, error) {
	if !k.Valid() {
		return nil, errors.New("compile the policy: there is no key")
	}
	x := &compiler{policy: p, key: k, ascii: c.FoldsASCII, taken: c.Taken, tables: map[Name]*tableState{}, extra: map[*columnState]*shareExtra{}, plan: &Plan{
		byName: map[Name]*TablePlan{}, withLargeObjects: p.largeObjects == "keep", minDistinct: p.MinDistinct,
	}}
	x.index(c)
	x.references()
	x.indexRules(c.Seed)
	x.rows()
	x.rules()
	x.embeddings()
	x.groups()
	x.logins(c.Logins)
	x.shares()
	x.build()
	x.uniqueness()
	x.computed()
	x.partitions()
	x.rebuilds()
	x.foreignKeys()
	x.orphans()
	x.passOn()
	x.loginShares()
	x.lateKeys()
	x.uncoveredError(c)
	x.everything()
	if len(x.errs) > 0 {
		return nil, errors.Join(x.errs...)
	}
	x.plan.revealed = x.reveal()
	slices.Sort(x.plan.keptList)
	x.plan.keptList = slices.Compact(x.plan.keptList)
	return x.plan, nil
}

type compiler struct {
	policy    *Policy
	key       Key
	ascii     bool      // the database folds A to Z only
	taken     time.Time // when the dump was made
	plan      *Plan
	order     []*tableState
	tables    map[Name]*tableState
	linkGroup map[string]*columnState // a member of each link
	uncovered []ColumnName
	extra     map[*columnState]*shareExtra // by the group of a share
	errs      []error
}

type tableState struct {
	*Table
	qualified    Name
	plan         *TablePlan
	columnStates []*columnState
	byName       map[string]*columnState
	parentStates []*tableState
	rowsRule     *rowsRule
	indexes      map[string]string // what the policy says of them
	shares       []shareOf
	emptyBecause string // why a draft loads no rows of it
}

type columnState struct {
	*Column
	table     *tableState
	qualified ColumnName
	plan      *ColumnPlan

	own      *rule // what the policy says for this column
	explicit bool  // own names table and column without *
	byType   bool  // own is a per-type default
	rule     *rule // what holds; nil while undecided or when nothing does
	why      string
	state    int8 // of the search for rule: 0 new, 1 under way, 2 done
	follows  []*columnState
	because  []string // for each of follows: why

	group  *columnState // union-find
	info   *groupInfo   // of a group's representative
	tf     transform
	traits traits
	built  bool
}

func (x *compiler) fail(format string, args ...any) {
	x.errs = append(x.errs, fmt.Errorf(format, args...))
}

// failLine says what is wrong with a line of the policy.
func (x *compiler) failLine(line int, format string, args ...any) {
	x.errs = append(x.errs, &RuleError{Line: line, err: fmt.Errorf(format, args...)})
}

// gone says that a line of the policy is about what the dump does not have.
func (x *compiler) gone(line int, format string, args ...any) {
	x.errs = append(x.errs, &RuleError{Line: line, Gone: true, err: fmt.Errorf(format, args...)})
}

func (x *compiler) warn(format string, args ...any) {
	x.plan.Warnings = append(x.plan.Warnings, fmt.Sprintf(format, args...))
}

func (x *compiler) index(c Catalog) {
	for i := range c.Tables {
		t := &c.Tables[i]
		s := &tableState{Table: t, qualified: Name{t.Schema, t.Name}, byName: map[string]*columnState{}}
		s.plan = &TablePlan{Schema: t.Schema, Name: t.Name, LoadInto: s.qualified, Columns: make([]ColumnPlan, len(t.Columns))}
		for j := range t.Columns {
			col := &t.Columns[j]
			cs := &columnState{Column: col, table: s, qualified: ColumnName{t.Schema, t.Name, col.Name}, plan: &s.plan.Columns[j]}
			cs.group = cs
			cs.plan.Name = col.Name
			s.columnStates = append(s.columnStates, cs)
			s.byName[col.Name] = cs
		}
		x.order = append(x.order, s)
		x.tables[s.qualified] = s
		x.plan.tableList = append(x.plan.tableList, s.plan)
		x.plan.byName[s.qualified] = s.plan
	}
	for _, t := range x.order {
		for _, p := range t.Parents {
			if parent := x.tables[p]; parent != nil {
				t.parentStates = append(t.parentStates, parent)
			}
		}
	}
	for _, t := range x.order {
		root := t
		for hops := 0; len(root.parentStates) > 0 && hops < 64; hops++ {
			root = root.parentStates[0]
		}
		t.plan.root = root.qualified
	}
}
