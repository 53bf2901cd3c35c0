package mask

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Compile works out what policy p does, under key k, to the database that c
// describes. A nil error means that every column of every table is decided.
// Otherwise the error joins everything that is wrong: an *UncoveredError for
// what the policy does not cover, and a sentence for each other thing.
func Compile(p *Policy, k Key, c Catalog) (*Plan, error) {
	if !k.Valid() {
		return nil, errors.New("compile the policy: there is no key")
	}
	x := &compiler{policy: p, key: k, ascii: c.FoldsASCII, tables: map[Name]*tableState{}, plan: &Plan{
		byName: map[Name]*TablePlan{}, largeObjects: p.largeObjects == "keep", minDistinct: p.MinDistinct,
	}}
	x.index(c)
	x.references()
	x.indexRules(c.Seed)
	x.rows()
	x.rules()
	x.groups()
	x.build()
	x.uniqueness()
	x.partitions()
	x.rebuilds()
	x.foreignKeys()
	x.orphans()
	x.lateKeys()
	x.uncoveredError(c)
	x.everything()
	if len(x.errs) > 0 {
		return nil, errors.Join(x.errs...)
	}
	slices.Sort(x.plan.kept)
	x.plan.kept = slices.Compact(x.plan.kept)
	return x.plan, nil
}

type compiler struct {
	policy    *Policy
	key       Key
	ascii     bool // the database folds A to Z only
	plan      *Plan
	order     []*tableState
	tables    map[Name]*tableState
	linkGroup map[string]*columnState // a member of each link
	uncovered []ColumnName
	errs      []error
}

type tableState struct {
	*Table
	name    Name
	plan    *TablePlan
	columns []*columnState
	byName  map[string]*columnState
	parents []*tableState
	rowsSet *rowsRule
	indexes map[string]string // what the policy says of them
	idle    string            // why a draft leaves it without rows
}

type columnState struct {
	*Column
	table *tableState
	name  ColumnName
	plan  *ColumnPlan

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

type groupInfo struct {
	label   string
	eq      equality
	length  int
	notNull bool
	members []*columnState
}

func (x *compiler) fail(format string, args ...any) {
	x.errs = append(x.errs, fmt.Errorf(format, args...))
}

func (x *compiler) warn(format string, args ...any) {
	x.plan.Warnings = append(x.plan.Warnings, fmt.Sprintf(format, args...))
}

func (x *compiler) index(c Catalog) {
	for i := range c.Tables {
		t := &c.Tables[i]
		s := &tableState{Table: t, name: Name{t.Schema, t.Name}, byName: map[string]*columnState{}}
		s.plan = &TablePlan{Schema: t.Schema, Name: t.Name, LoadInto: s.name, Columns: make([]ColumnPlan, len(t.Columns))}
		for j := range t.Columns {
			col := &t.Columns[j]
			cs := &columnState{Column: col, table: s, name: ColumnName{t.Schema, t.Name, col.Name}, plan: &s.plan.Columns[j]}
			cs.group = cs
			cs.plan.Name = col.Name
			s.columns = append(s.columns, cs)
			s.byName[col.Name] = cs
		}
		x.order = append(x.order, s)
		x.tables[s.name] = s
		x.plan.tables = append(x.plan.tables, s.plan)
		x.plan.byName[s.name] = s.plan
	}
	for _, t := range x.order {
		for _, p := range t.Parents {
			if parent := x.tables[p]; parent != nil {
				t.parents = append(t.parents, parent)
			}
		}
	}
	for _, t := range x.order {
		root := t
		for hops := 0; len(root.parents) > 0 && hops < 64; hops++ {
			root = root.parents[0]
		}
		t.plan.root = root.name
	}
}

// references checks that what the policy names exists.
func (x *compiler) references() {
	var names []string
	for n := range x.tables {
		names = append(names, n.String())
	}
	slices.Sort(names)
	x.unusedTypes()
	for _, t := range x.policy.tables {
		if !t.exact() {
			x.unusedPatterns(t)
			continue
		}
		table := x.tables[Name{t.schema.text, t.table.text}]
		if table == nil {
			x.fail("policy line %d: table %s is not in the dump%s", t.line, t, didYouMean(Name{t.schema.text, t.table.text}.String(), names))
			continue
		}
		for _, c := range t.columns {
			if !c.column.wild {
				col := table.byName[c.column.text]
				switch {
				case col == nil:
					x.fail("policy line %d: column %s is not in table %s%s", c.rule.line, c.column, table.name, didYouMean(c.column.text, slices.Collect(maps.Keys(table.byName))))
				case col.Generated && c.rule.name != "keep":
					x.fail("policy line %d: column %s is generated: it is computed from masked columns and needs no rule", c.rule.line, col.name)
				}
				continue
			}
			if !slices.ContainsFunc(table.columns, func(s *columnState) bool { return c.column.match(s.Name) }) {
				x.warn("policy line %d: the pattern %s matches no column of %s", c.rule.line, c.column, table.name)
			}
		}
		if t.rows != nil {
			for _, cond := range t.rows.where {
				if table.byName[cond.column] == nil {
					x.fail("policy line %d: the row filter of %s names column %s, which is not there%s", cond.line, table.name, QuoteIdent(cond.column), didYouMean(cond.column, slices.Collect(maps.Keys(table.byName))))
				}
			}
		}
	}
	for _, link := range sortedKeys(x.policy.links) {
		for _, m := range x.policy.links[link] {
			t := x.tables[Name{m.column.Schema, m.column.Table}]
			if t == nil || t.byName[m.column.Column] == nil {
				x.fail("policy line %d: link %s names %s, which is not in the dump", m.line, link, m.column)
			}
		}
	}
}

// unusedPatterns warns of an entry with * that matches nothing, and of columns
// that none of its tables has: where something else keeps them, nobody would
// notice a mistake.
func (x *compiler) unusedPatterns(t tableRule) {
	var columns []string
	tables := 0
	for _, table := range x.order {
		if t.schema.match(table.Schema) && t.table.match(table.Name) {
			tables++
			columns = slices.AppendSeq(columns, maps.Keys(table.byName))
		}
	}
	if tables == 0 {
		x.warn("policy line %d: the entry %s matches no table", t.line, t)
		return
	}
	for _, c := range t.columns {
		if slices.ContainsFunc(columns, c.column.match) {
			continue
		}
		hint := ""
		if !c.column.wild {
			hint = didYouMean(c.column.text, columns)
		}
		x.warn("policy line %d: the column %s of %s is in no table that the entry matches%s", c.rule.line, c.column, t, hint)
	}
}

// unusedTypes warns of defaults for types that neither we nor the dump know.
func (x *compiler) unusedTypes() {
	for _, name := range sortedKeys(x.policy.types) {
		base := strings.TrimSuffix(name, "[]")
		if kindOf[base] != kindOther || typeAliases[base] != "" {
			continue
		}
		used := slices.ContainsFunc(x.order, func(t *tableState) bool {
			return slices.ContainsFunc(t.columns, func(c *columnState) bool { return c.Type == name || c.BaseType == base })
		})
		if !used {
			x.warn("policy line %d: no column has the type %s", x.policy.types[name].line, name)
		}
	}
}

func didYouMean(name string, candidates []string) string {
	slices.Sort(candidates)
	if n := nearest(name, candidates); n != "" {
		return ", did you mean " + n + "?"
	}
	return ""
}

// rows decides which tables carry rows, and compiles their filters.
func (x *compiler) rows() {
	for _, t := range x.order {
		t.rowsSet = x.rowsOf(t, 0)
		t.plan.Rows = !t.Foreign && (t.rowsSet == nil || !t.rowsSet.none)
		if t.plan.Rows && t.rowsSet != nil && len(t.rowsSet.where) > 0 {
			t.plan.Filtered = true
			for _, c := range t.rowsSet.where {
				col := t.byName[c.column]
				if col == nil {
					continue // said already
				}
				f, err := newFilter(col.Column, c, x.ascii)
				if err != nil {
					x.fail("policy line %d: the row filter of %s: %w", c.line, t.name, err)
				}
				t.plan.filters = append(t.plan.filters, f)
			}
		}
	}
}

// rowsOf finds what the policy says on a table's rows: the most specific table
// entry that says something; a partition without one follows its parent.
func (x *compiler) rowsOf(t *tableState, depth int) *rowsRule {
	var found []matched
	for i := range x.policy.tables {
		r := &x.policy.tables[i]
		if r.rows == nil || !r.schema.match(t.Schema) || !r.table.match(t.Name) {
			continue
		}
		if len(t.parents) > 0 && !r.exact() {
			continue
		}
		found = append(found, matched{table: r, weight: [3]int{r.schema.weight(), r.table.weight(), 0}})
	}
	best, rival := mostSpecific(found)
	if rival != nil {
		x.fail("%s: rows of the entries %s (line %d) and %s (line %d) both match and neither is more specific: write an entry for the table", t.name, best.table, best.table.line, rival.table, rival.table.line)
		return nil
	}
	if best != nil {
		return best.table.rows
	}
	if len(t.parents) > 0 && depth < 64 {
		return x.rowsOf(t.parents[0], depth+1)
	}
	return nil
}

// matched is a policy entry that matches a table or column.
type matched struct {
	table  *tableRule
	column *columnRule
	weight [3]int // schema, table, column
}

// beats reports whether m is more specific: nowhere less and somewhere more.
func (m *matched) beats(o *matched) bool {
	more := false
	for i := range m.weight {
		if m.weight[i] < o.weight[i] {
			return false
		}
		more = more || m.weight[i] > o.weight[i]
	}
	return more
}

// mostSpecific returns an entry that no other beats; rival is another such
// entry that says something else.
func mostSpecific(all []matched) (best, rival *matched) {
	for i := range all {
		m := &all[i]
		switch {
		case slices.ContainsFunc(all, func(o matched) bool { return o.beats(m) }):
		case best == nil:
			best = m
		case m.column == nil || !m.column.rule.equal(best.column.rule):
			return best, m
		}
	}
	return best, nil
}

// rules finds the rule of every column.
func (x *compiler) rules() {
	for _, t := range x.order {
		for _, c := range t.columns {
			x.ownRule(c)
		}
	}
	// What follows what: partitions their parent, foreign keys what they
	// reference.
	for _, t := range x.order {
		for _, c := range t.columns {
			for _, p := range t.parents {
				if pc := p.byName[c.Name]; pc != nil && p.plan.Rows {
					c.follows = append(c.follows, pc)
					kind := "child of "
					if t.PartitionOf {
						kind = "partition of "
					}
					c.because = append(c.because, kind+p.name.String())
				}
			}
		}
		for _, fk := range t.ForeignKeys {
			ref := x.tables[fk.References]
			if ref == nil || len(fk.Columns) != len(fk.ReferencedColumns) {
				continue
			}
			for i, name := range fk.Columns {
				c, rc := t.byName[name], ref.byName[fk.ReferencedColumns[i]]
				if c == nil || rc == nil || c == rc || !ref.plan.Rows {
					continue
				}
				c.follows = append(c.follows, rc)
				c.because = append(c.because, "references "+rc.name.String())
			}
		}
	}
	for _, t := range x.order {
		if !t.plan.Rows {
			continue
		}
		for _, c := range t.columns {
			if !c.Generated {
				x.resolve(c)
			}
		}
	}
	// In a cycle of foreign keys the rule of one column is that of all.
	for again := true; again; {
		again = false
		for _, t := range x.order {
			for _, c := range t.columns {
				if c.rule != nil || c.Generated || !t.plan.Rows {
					continue
				}
				for i, f := range c.follows {
					if f.rule != nil && f.table.plan.Rows {
						c.rule, c.why, again = f.rule, c.because[i], true
						break
					}
				}
			}
		}
	}
	for _, t := range x.order {
		if !t.plan.Rows {
			continue
		}
		for _, c := range t.columns {
			if c.rule == nil && !c.Generated && !c.spokenFor() {
				x.uncovered = append(x.uncovered, c.name)
			}
		}
	}
}

// spokenFor reports whether another column, itself reported as uncovered, must
// get the rule that c then follows: a column at the end of what c follows, or
// the first in order of a cycle.
func (c *columnState) spokenFor() bool {
	reached := map[*columnState]bool{}
	end := false
	var walk func(at *columnState)
	walk = func(at *columnState) {
		last := true
		for _, f := range at.follows {
			if f.Generated || !f.table.plan.Rows {
				continue
			}
			last = false
			if !reached[f] {
				reached[f] = true
				walk(f)
			}
		}
		end = end || last && at != c
	}
	walk(c)
	if end || len(reached) == 0 {
		return end
	}
	for f := range reached {
		if f.name.String() < c.name.String() {
			return true
		}
	}
	return false
}

// ownRule finds what the policy says for the column itself.
func (x *compiler) ownRule(c *columnState) {
	var found []matched
	for i := range x.policy.tables {
		t := &x.policy.tables[i]
		if !t.schema.match(c.name.Schema) || !t.table.match(c.name.Table) {
			continue
		}
		for j := range t.columns {
			if cr := &t.columns[j]; cr.column.match(c.Name) {
				found = append(found, matched{t, cr, [3]int{t.schema.weight(), t.table.weight(), cr.column.weight()}})
			}
		}
	}
	best, rival := mostSpecific(found)
	if rival != nil {
		if c.table.plan.Rows && !c.Generated && !c.table.inherits(c) {
			x.fail("%s: the rules in line %d (%s of %s) and line %d (%s of %s) both match and neither is more specific: write a rule for the column itself",
				c.name, best.column.rule.line, best.column.column, best.table, rival.column.rule.line, rival.column.column, rival.table)
		}
		// A rule all the same, so that it is not reported as uncovered too.
	}
	if best != nil {
		c.own = best.column.rule
		c.explicit = best.table.exact() && !best.column.column.wild
		return
	}
	if r := x.policy.typeRule(c.Column); r != nil {
		c.own, c.byType = r, true
	}
}

var typeAliases = map[string]string{
	"smallint": "int2", "integer": "int4", "int": "int4", "bigint": "int8", "boolean": "bool",
	"character varying": "varchar", "character": "bpchar", "char": "bpchar", `"char"`: "char",
	"real": "float4", "double precision": "float8", "decimal": "numeric",
	"timestamp without time zone": "timestamp", "timestamp with time zone": "timestamptz",
	"time without time zone": "time", "time with time zone": "timetz",
}

// typeRule finds a per-type default for the column: by its type as written,
// or by the type's internal name.
func (p *Policy) typeRule(c *Column) *rule {
	suffix := ""
	if c.Array {
		suffix = "[]"
	}
	if r := p.types[c.Type]; r != nil {
		return r
	}
	if r := p.types[c.BaseType+suffix]; r != nil {
		return r
	}
	for _, name := range sortedKeys(p.types) {
		base, array := strings.CutSuffix(name, "[]")
		if alias := typeAliases[base]; alias == c.BaseType && array == c.Array && alias != "" {
			return p.types[name]
		}
	}
	return nil
}

// resolve decides a column's rule: what it follows first, then its own.
func (x *compiler) resolve(c *columnState) *rule {
	if c.state != 0 {
		return c.rule // done, or a cycle: whoever started it decides
	}
	c.state = 1
	var from *rule
	why := ""
	for i, f := range c.follows {
		if f.Generated || !f.table.plan.Rows {
			continue
		}
		r := x.resolve(f)
		if r == nil {
			continue
		}
		if from != nil && !from.equal(r) {
			x.fail("%s %s (masker %s) and %s (masker %s): give both the same rule", c.name, why, from.name, c.because[i], r.name)
			continue
		}
		if from == nil {
			from, why = r, c.because[i]
		}
	}
	switch {
	case from != nil:
		// For partitions an entry of their own, even with *, is a statement;
		// for foreign keys a rule for the column itself is.
		stated := c.explicit
		if c.own != nil && stated && !c.own.equal(from) {
			x.fail("policy line %d: the rule of %s (%s) differs from the rule it must follow, %s (%s): remove it", c.own.line, c.name, c.own, why, from)
		}
		c.rule, c.why = from, why
	case c.own != nil:
		c.rule, c.why = c.own, "policy"
		if c.byType {
			c.why = "type " + c.Type
		}
	}
	c.state = 2
	return c.rule
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
		for _, c := range t.columns {
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
		for _, c := range t.columns {
			g := c.find()
			if g.info == nil {
				g.info = &groupInfo{eq: equality{ascii: x.ascii}}
			}
			g.info.add(c)
		}
	}
	for _, t := range x.order {
		for _, c := range t.columns {
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
		n := c.name.String()
		if first == "" || n < first {
			first = n
		}
		if len(c.follows) == 0 && (root == "" || n < root) {
			root = n
		}
	}
	return "column " + cmp.Or(root, first)
}

// checkGroup checks that the members of a group have one rule, and types on
// which that rule gives one result.
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
				x.fail("link %s: %s has the rule %s and %s has %s: linked columns need the same rule", link, first.name, first.rule, c.name, c.rule)
			}
		case c.rule.name == "keep" || c.rule.name == "null":
		case !sameMasks(c.rule, c.kind(), first.kind()):
			x.fail("%s (%s) and %s (%s) must get the same masks, but their types are of different kinds", first.name, first.Type, c.name, c.Type)
		}
	}
}

// sameMasks reports whether a rule gives equal values of two kinds equal masks.
func sameMasks(r *rule, a, b kind) bool {
	number := func(k kind) bool { return k == kindInt || k == kindNumeric }
	return a == b || r.name == "key" && number(a) && number(b)
}

// build makes the transforms.
func (x *compiler) build() {
	for _, t := range x.order {
		for _, c := range t.columns {
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
			c.plan.Masker, c.plan.Why, c.plan.Rule = c.rule.name, c.why, c.rule.String()
			if !c.rule.accepts(c.kind()) {
				x.fail("%s: masker %s does not take %s, it takes %s", c.name, c.rule.name, c.Type, c.rule.types())
				continue
			}
			tf, tr, err := c.rule.construct(x.target(c))
			if err != nil {
				x.fail("%s: masker %s: %w", c.name, c.rule.name, err)
				continue
			}
			c.tf, c.traits, c.built = tf, tr, true
			c.plan.tf, c.plan.traits = tf, tr
			c.plan.Unique = tr.injective
			if t.inherits(c) {
				continue // its parent speaks for it
			}
			if tr.keep {
				x.plan.kept = append(x.plan.kept, c.name.String())
			}
			for _, k := range tr.kept {
				x.plan.kept = append(x.plan.kept, c.name.String()+" "+k)
			}
			if c.Sequence != "" && !tr.keep && !tr.null {
				x.plan.sequences = append(x.plan.sequences, MaskedSequence{c.Sequence, c.name})
			}
			if c.rule.name == "email" && c.rule.text("domain") != "" {
				x.warn("%s: masks carry a domain that may exist: mail sent to them may reach somebody", c.name)
			}
		}
	}
}

func (x *compiler) target(c *columnState) *target {
	g := c.find().info
	t := newTarget(x.key, g.label, g.eq, c.Column)
	t.length, t.notNull = g.length, g.notNull
	t.entity = func(name string) (string, equality, error) {
		e := c.table.byName[name]
		switch {
		case e == nil:
			return "", equality{}, fmt.Errorf("by names column %s, which is not in %s%s", QuoteIdent(name), c.table.name, didYouMean(name, slices.Collect(maps.Keys(c.table.byName))))
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
			return nil, fmt.Errorf("link %s: %s is %s, which this place is not", link, m.name, m.Type)
		}
		lg := m.find().info
		sub := *at
		sub.label, sub.eq, sub.length = lg.label, lg.eq, lg.length
		return &sub, nil
	}
	return t
}

// partitions sends rows through the root where a masked partition key may
// move them, and refuses where they might find no partition.
func (x *compiler) partitions() {
	for _, t := range x.order {
		if !t.plan.Rows {
			continue
		}
		for p, hops := t, 0; p != nil && hops < 64; hops++ {
			if p.Partitioned && p.keyMasked() {
				t.plan.LoadInto = p.name
			}
			if !p.PartitionOf || len(p.parents) == 0 {
				break
			}
			p = p.parents[0]
		}
		for i := range t.Uniques {
			if u := &t.Uniques[i]; t.plan.LoadInto != t.name && t.indexSaid(u) == "" && !inherited(t, u) && !t.impliedBy(u) {
				x.fail("%s: %s holds for this partition only, and rows of others may move here because the partition key of %s is masked: keep its columns, or drop the index in the dump", t.name, u.describe(), t.plan.LoadInto)
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
		x.fail("%s is partitioned by %s of %s, which is masked: a masked row might find no partition. Keep the column, or give the table a default partition", t.name, t.PartitionStrategy, strings.Join(masked, ", "))
	}
}

func (t *tableState) keyMasked() bool {
	return slices.ContainsFunc(t.PartitionKey, func(name string) bool {
		c := t.byName[name]
		return c != nil && c.rule != nil && c.rule.name != "keep"
	})
}

// foreignKeys names the foreign keys that missing rows could break.
func (x *compiler) foreignKeys() {
	for _, t := range x.order {
		if !t.plan.Rows {
			continue
		}
		for _, fk := range t.ForeignKeys {
			if null := t.nulled(fk); fk.MatchFull && len(null) > 0 && len(null) < len(fk.Columns) {
				x.fail("%s: foreign key %s is MATCH FULL, which takes no key of which %s is NULL and the rest is not: mask all of its columns with null, or none", t.name, fk.Name, quoteNames(null))
			}
			ref := x.tables[fk.References]
			if ref == nil || !x.losesRows(ref) {
				continue
			}
			optional := slices.ContainsFunc(fk.Columns, func(name string) bool { return t.byName[name] != nil && !t.byName[name].NotNull })
			switch {
			case len(t.nulled(fk)) > 0:
			case !ref.plan.Rows && !optional:
				x.fail("%s: foreign key %s references %s, which is loaded without rows: give %s `rows: none` too, or load both", t.name, fk.Name, ref.name, t.name)
			case !ref.plan.Rows:
				x.warn("%s: foreign key %s references %s, which is loaded without rows: any value in it makes the import fail; mask its columns with null to be safe", t.name, fk.Name, ref.name)
			default:
				x.warn("%s: foreign key %s references %s, of which some rows are dropped: a row that references one of them makes the import fail", t.name, fk.Name, ref.name)
			}
		}
	}
}

// losesRows reports whether a table, or a partition of it, is loaded without some
// of its rows, and the policy says nothing on who references them.
func (x *compiler) losesRows(ref *tableState) bool {
	return slices.ContainsFunc(x.order, func(t *tableState) bool {
		for at := t; at != ref; at = at.parents[0] {
			if !at.PartitionOf || len(at.parents) == 0 {
				return false
			}
		}
		return !t.plan.Rows || t.plan.Filtered && t.rowsSet.missing() == orphansStop
	})
}

// nulled lists the columns of a foreign key that are NULL in every masked row.
func (t *tableState) nulled(fk ForeignKey) []string {
	var names []string
	for _, name := range fk.Columns {
		if c := t.byName[name]; c != nil && c.traits.null {
			names = append(names, name)
		}
	}
	return names
}

// everything is the last line of the promise that nothing passes undecided:
// without an error, each column that carries data has a transform.
func (x *compiler) everything() {
	if len(x.errs) > 0 {
		return
	}
	for _, t := range x.order {
		for _, c := range t.columns {
			if t.plan.Rows && !c.Generated && !c.built {
				x.fail("%s: no rule was found, and none was missed: this is a mistake of seed-import, please report it", c.name)
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
