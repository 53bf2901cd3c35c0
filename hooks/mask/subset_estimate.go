package mask

import (
	"math"
	"slices"
	"sync"

	"github.com/seedling-dev/seedling/hooks/copytext"
)

// Estimate says which part of each table's rows an import will load and keep, from
// the first rows of each. Shares are taken at their word, ages as if rows had come
// evenly since the oldest one seen, everything else as the first rows have it.
type Estimate struct {
	plan   *Plan
	mu     sync.Mutex
	tables map[Name]*tableEstimate
	stay   map[*TablePlan]fraction // what was found out, see kept
}

// tableEstimate counts the first rows of one table.
type tableEstimate struct {
	size  float64 // rows of the whole table
	rows  int64
	meets int64            // all conditions but ages and shares
	nulls map[string]int64 // by column of a foreign key
	ages  map[*filter]*ageEstimate
}

// ageEstimate is what the first rows say of an age.
type ageEstimate struct {
	rows, meets int64
	oldest      int64
}

// NewEstimate begins an estimate.
func (p *Plan) NewEstimate() *Estimate { return &Estimate{plan: p, tables: map[Name]*tableEstimate{}} }

// Add counts the first rows of a table of about size rows, lines of COPY text. A row
// that cannot be read is left out: the load is what refuses it.
func (e *Estimate) Add(l *Layout, rows []byte, size float64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stay = nil
	name := Name{l.table.Schema, l.table.Name}
	t := e.tables[name]
	if t == nil {
		t = &tableEstimate{nulls: map[string]int64{}, ages: map[*filter]*ageEstimate{}}
		e.tables[name] = t
	}
	t.size += size
	keys := e.keyColumns(l)
	w := l.NewWorker()
	var fields [][]byte
	for {
		line, rest, ok := copytext.CutLine(rows)
		if !ok || copytext.IsEnd(line) {
			return
		}
		rows = rest
		var err error
		if fields, err = copytext.Split(fields[:0], line); err != nil || len(fields) != len(l.columns) {
			continue
		}
		t.add(w.workspace, l, fields)
		for _, i := range keys {
			if copytext.IsNull(fields[i]) {
				t.nulls[l.columns[i].name]++
			}
		}
	}
}

// keyColumns are the positions of columns whose foreign keys may drop rows.
func (e *Estimate) keyColumns(l *Layout) []int {
	var out []int
	for _, o := range e.dropping(l.table) {
		for i, c := range l.columns {
			if slices.Contains(o.ForeignKey.Columns, c.name) && !slices.Contains(out, i) {
				out = append(out, i)
			}
		}
	}
	return out
}

// dropping are the foreign keys for which rows of a table may be dropped.
func (e *Estimate) dropping(t *TablePlan) []Orphans {
	var out []Orphans
	for _, o := range e.plan.orphanList {
		if len(o.SetNull) == 0 && (o.Table == Name{t.Schema, t.Name} || o.Table == t.root && o.Partitioned) {
			out = append(out, o)
		}
	}
	return out
}

func (t *tableEstimate) add(ws *workspace, l *Layout, fields [][]byte) {
	t.rows++
	meets := true
	for i := range l.filters {
		f := &l.filters[i]
		switch {
		case f.share != nil:
		case f.newest:
			a := t.ages[f.filter]
			if a == nil {
				a = &ageEstimate{oldest: math.MaxInt64}
				t.ages[f.filter] = a
			}
			a.add(ws, f.filter, fields[f.column])
		default:
			ok, err := f.matches(ws, fields[f.column])
			meets = meets && ok && err == nil
		}
	}
	if meets {
		t.meets++
	}
}

func (a *ageEstimate) add(ws *workspace, f *filter, field []byte) {
	a.rows++
	if ok, err := f.matches(ws, field); ok && err == nil {
		a.meets++
	}
	if o, err := f.read(field); err == nil && !copytext.IsNull(field) && !isInfinity(field) {
		a.oldest = min(a.oldest, o.moment)
	}
}

// part is the part of rows that an age leaves.
func (a *ageEstimate) part(f *filter) float64 {
	if a.oldest >= f.from.moment { // or there is none
		return float64(a.meets) / float64(max(1, a.rows))
	}
	return float64(f.taken-f.from.moment) / float64(max(1, f.taken-a.oldest))
}

// fraction is a part of a table's rows: a share of each of these columns, and of those
// another part.
type fraction struct {
	shares map[string]float64 // by the sub-key's label
	other  float64
}

func (p fraction) all() float64 {
	all := p.other
	for _, s := range p.shares {
		all *= s
	}
	return all
}

// Of returns the parts of a table's rows that are loaded, and that are kept after
// those that reference missing rows are gone.
func (e *Estimate) Of(t *TablePlan) (loaded, kept float64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !t.Rows {
		return 0, 0
	}
	return e.own(t).all(), e.kept(t).all()
}

// own is what a table's own conditions leave.
func (e *Estimate) own(t *TablePlan) fraction {
	p := fraction{map[string]float64{}, 1}
	counted := e.tables[Name{t.Schema, t.Name}]
	if counted != nil && counted.rows > 0 {
		p.other = float64(counted.meets) / float64(counted.rows)
	}
	for _, f := range t.filters {
		switch {
		case f.share != nil:
			s := float64(f.share.limit) / math.MaxUint64
			if had, ok := p.shares[f.share.label]; !ok || s < had {
				p.shares[f.share.label] = s
			}
		case f.newest && counted != nil && counted.ages[f] != nil:
			p.other *= counted.ages[f].part(f)
		}
	}
	return p
}

// kept adds to own what the rows that a table references leave. Of a circle of
// foreign keys nothing is known.
func (e *Estimate) kept(t *TablePlan) fraction {
	if p, ok := e.stay[t]; ok {
		return p
	}
	p := e.own(t)
	if rest, ok := e.parts(t, p); ok {
		p.other *= rest
		return p
	}
	above := 1.0
	for _, o := range e.dropping(t) {
		ref := e.plan.byName[o.ForeignKey.References]
		if ref == nil || !ref.Rows || o.circle {
			continue
		}
		r := e.kept(ref)
		if free := e.free(t, o.ForeignKey); free > 0 {
			above = min(above, free+(1-free)*r.all())
			continue
		}
		above = min(above, r.other)
		for label, s := range r.shares {
			if had, ok := p.shares[label]; !ok || s < had {
				p.shares[label] = s
			}
		}
	}
	p.other *= above
	if e.stay == nil {
		e.stay = map[*TablePlan]fraction{}
	}
	e.stay[t] = p
	return p
}

// parts is what the partitions of a table keep, beside the shares of them all. It is
// not ok where there are none.
func (e *Estimate) parts(root *TablePlan, of fraction) (rest float64, ok bool) {
	var size, kept float64
	for _, t := range e.plan.tableList {
		if counted := e.tables[Name{t.Schema, t.Name}]; t != root && t.root == (Name{root.Schema, root.Name}) && counted != nil && t.Rows {
			size += counted.size
			kept += counted.size * e.kept(t).all()
		}
	}
	if size == 0 {
		return 0, false
	}
	return kept / size / of.all(), true
}

// free is the part of a table's rows that reference nothing by a foreign key.
func (e *Estimate) free(t *TablePlan, fk ForeignKey) float64 {
	counted := e.tables[Name{t.Schema, t.Name}]
	if counted == nil || counted.rows == 0 {
		return 0
	}
	var nulls int64
	for _, c := range fk.Columns {
		nulls = max(nulls, counted.nulls[c])
	}
	return float64(nulls) / float64(counted.rows)
}
