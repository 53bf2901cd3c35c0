package forge

import "fmt"

// gaps notes which numbers entries of a list may have had that could not be
// read. The oldest come first, so such a number is between those of the entries
// before and after.
type gaps struct{ last, nulls int64 }

// unknown takes in an entry without a number.
func (g *gaps) unknown() { g.nulls++ }

// take takes in an entry with a number, and says which numbers those before it
// may have had.
func (g *gaps) take(number int64) ([]int64, error) {
	between, err := g.between(number)
	g.last = number
	return between, err
}

// end says the same of those at the end of the list.
func (g *gaps) end() ([]int64, error) { return g.between(g.last + maxGuesses + 1) }

func (g *gaps) between(next int64) ([]int64, error) {
	if g.nulls == 0 {
		return nil, nil
	}
	if next-g.last-1 > maxGuesses || next-g.last-1 < g.nulls {
		return nil, fmt.Errorf("%d entries after number %d cannot be read, and nothing tells which they are", g.nulls, g.last)
	}
	var numbers []int64
	for n := g.last + 1; n < next; n++ {
		numbers = append(numbers, n)
	}
	g.nulls = 0
	return numbers, nil
}
