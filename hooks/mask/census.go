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

// maxMinDistinct is the most that a sample could tell.
const maxMinDistinct = 200

// Census counts the distinct originals of masked columns in a sample. Equal
// originals have equal masks, so that in a column with few of them the most
// frequent mask gives the most frequent original away. It holds hashes under a
// key of its own, never a value, and is safe for concurrent use.
type Census struct {
	mu      sync.Mutex
	seed    maphash.Seed
	least   int
	columns map[ColumnName]*tally
}

// tally is the count of one column.
type tally struct {
	masker   string
	values   int
	distinct map[uint64]struct{} // at most as many as are enough
}

// NewCensus starts a census of the plan's tables.
func (p *Plan) NewCensus() *Census {
	return &Census{seed: maphash.MakeSeed(), least: p.minDistinct, columns: map[ColumnName]*tally{}}
}

// Add counts rows of a table, lines of COPY text. Partitions and inheritance
// children count for their root. Rows that cannot be read are not counted.
func (c *Census) Add(l *Layout, rows []byte) {
	if c.least == 0 || !l.table.Rows {
		return
	}
	tallies := make([]*tally, len(l.columns))
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, i := range l.masked {
		b := &l.columns[i]
		if !b.guessable {
			continue
		}
		name := ColumnName{l.table.root.Schema, l.table.root.Name, b.name}
		if c.columns[name] == nil {
			c.columns[name] = &tally{masker: b.masker, distinct: map[uint64]struct{}{}}
		}
		tallies[i] = c.columns[name]
	}
	var fields [][]byte
	for line, rest, ok := copytext.CutLine(rows); ok; line, rest, ok = copytext.CutLine(rest) {
		var err error
		if fields, err = copytext.Split(fields[:0], line); err != nil || len(fields) != len(tallies) {
			continue
		}
		for i, t := range tallies {
			if t == nil || copytext.IsNull(fields[i]) {
				continue
			}
			t.values++
			if len(t.distinct) < c.least {
				t.distinct[maphash.Bytes(c.seed, fields[i])] = struct{}{}
			}
		}
	}
}

// Warnings returns a sentence for each column with fewer distinct originals
// than the policy's min_distinct. A column whose values hardly come twice is
// not named: its sample is small, and tells nothing.
func (c *Census) Warnings() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	for name, t := range c.columns {
		n := len(t.distinct)
		if n == 0 || n >= c.least || t.values < 2*n {
			continue
		}
		originals := fmt.Sprintf("%d distinct values", n)
		if n == 1 {
			originals = "1 value"
		}
		out = append(out, fmt.Sprintf("%s: the sample's %d rows hold %s, fewer than min_distinct (%d): masker %s gives equal values equal masks, so that their frequency tells which is which; mask it with null, constant, or choice with `by`",
			name, t.values, originals, c.least, t.masker))
	}
	slices.Sort(out)
	return out
}
