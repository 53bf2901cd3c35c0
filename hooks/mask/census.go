package mask

import (
	"fmt"
	"hash/maphash"
	"slices"
	"sync"

	"github.com/seedling-dev/seedling/hooks/copytext"
)

// defaultMinDistinct is what the policy's min_distinct is when it does not say.
const defaultMinDistinct = 20

// maxMinDistinct is the largest min_distinct that a sample can tell about.
const maxMinDistinct = 200

// maxPlaces is how many places inside the values of one column are counted.
const maxPlaces = 200

// Census counts the distinct originals of masked columns in a sample, and
// those of each place inside JSON documents and other values that hold values.
// Equal originals have equal masks: where there are few of them, the most
// frequent mask gives away the most frequent original. It holds hashes
// under a key of its own, never a value, and is safe for concurrent use.
type Census struct {
	mu        sync.Mutex
	seed      maphash.Seed
	least     int
	tallies   map[place]*tally
	places    map[ColumnName]int // inside values, of each column
	workspace *workspace
}

// place is what has a count of its own: a column, or a place inside its values.
type place struct {
	column ColumnName
	where  string // "" for the column itself
	path   uint64
}

// tally is the count of one place.
type tally struct {
	masker   string
	values   int
	distinct map[uint64]struct{} // no more than min_distinct
}

// NewCensus starts a census of the plan's tables.
func (p *Plan) NewCensus() *Census {
	return &Census{seed: maphash.MakeSeed(), least: p.minDistinct, tallies: map[place]*tally{}, places: map[ColumnName]int{}, workspace: newWorkspace()}
}

// Add counts rows of a table, lines of COPY text. Partitions and inheritance
// children count for their root. Rows that cannot be read are not counted.
func (c *Census) Add(l *Layout, rows []byte) {
	if c.least == 0 || !l.table.Rows {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var fields [][]byte
	var plain []byte
	for line, rest, ok := copytext.CutLine(rows); ok; line, rest, ok = copytext.CutLine(rest) {
		var err error
		if fields, err = copytext.Split(fields[:0], line); err != nil || len(fields) != len(l.columns) {
			continue
		}
		for _, i := range l.masked {
			b := &l.columns[i]
			if copytext.IsNull(fields[i]) {
				continue
			}
			name := ColumnName{l.table.root.Schema, l.table.root.Name, b.name}
			if n := containerOf(b.tf); n != nil {
				plain = copytext.Unescape(plain[:0], fields[i])
				c.look(name, innerPlace{}, n, plain)
			} else if b.guessable {
				c.count(place{column: name}, b.masker, fields[i])
			}
		}
	}
}

// look counts the values inside a value.
func (c *Census) look(column ColumnName, outer innerPlace, n container, value []byte) {
	n.visit(c, value, func(at innerPlace, tf transform, v []byte) {
		if outer.where != "" {
			at.where = outer.where + " " + at.where
		}
		if n := containerOf(tf); n != nil {
			c.look(column, at, n, v)
		} else if at.guessable {
			c.count(place{column, at.where, at.path}, at.masker, v)
		}
	})
}

// step is the hash of a path that is one step longer than another.
func (c *Census) step(path uint64, name []byte) uint64 {
	if !plainName(name) {
		name = nil // it may be data, and no two documents have it
	}
	return maphash.Comparable(c.seed, struct {
		path uint64
		name string
	}{path, string(name)})
}

func (c *Census) count(p place, masker string, value []byte) {
	t := c.tallies[p]
	if t == nil {
		if p.where != "" {
			if c.places[p.column] == maxPlaces {
				return
			}
			c.places[p.column]++
		}
		t = &tally{masker: masker, distinct: map[uint64]struct{}{}}
		c.tallies[p] = t
	}
	t.values++
	if len(t.distinct) < c.least {
		t.distinct[maphash.Bytes(c.seed, value)] = struct{}{}
	}
}

// Warnings returns a sentence for each column, and each place inside values
// that the policy names, with fewer distinct originals than the policy's
// min_distinct. Names that only the documents know are not in it. A place
// whose values hardly ever repeat is left out: its sample is too small to tell.
func (c *Census) Warnings() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	type finding struct {
		*tally
		places int
	}
	few := map[place]finding{}
	for p, t := range c.tallies {
		n := len(t.distinct)
		if n == 0 || n >= c.least || t.values < 2*n {
			continue
		}
		p.path = 0
		f := few[p]
		if f.places++; f.tally == nil || n < len(f.distinct) || n == len(f.distinct) && t.values > f.values {
			f.tally = t
		}
		few[p] = f
	}
	var out []string
	for p, f := range few {
		name, what := p.column.String(), "rows"
		if p.where != "" {
			name += " " + p.where
			what = "values"
		}
		originals := fmt.Sprintf("%d distinct values", len(f.distinct))
		if len(f.distinct) == 1 {
			originals = "1 value"
		}
		also := ""
		if f.places > 1 {
			what += " of one place"
			also = fmt.Sprintf(", like %d more", f.places-1)
		}
		out = append(out, fmt.Sprintf("%s: the sample's %d %s hold %s, fewer than min_distinct (%d)%s: masker %s gives equal values equal masks, so that their frequency tells which is which; mask it with null, constant, or choice with `by`",
			name, f.values, what, originals, c.least, also, f.masker))
	}
	slices.Sort(out)
	return out
}
