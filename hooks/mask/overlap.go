package mask

import (
	"bytes"
	"encoding/json"
	"hash/maphash"
	"slices"
	"strings"
)

// Columns that hold the same values are likely joined, whether a foreign key says so
// or not. A valueSet tells from samples which do.

// valueSet is the distinct values of one column: hashes, never a value. When there
// are too many, it keeps those whose hashes end in zeros: of two columns these are
// the same values.
type valueSet struct {
	kind   kind
	values int  // that were added
	level  uint // how many zeros
	hashes map[uint64]struct{}
}

const (
	maxSetHashes  = 2048
	longestJoined = 200 // bytes of a value: longer ones are no keys
)

// setSeed is the key of the hashes, another one in each process.
var setSeed = maphash.MakeSeed()

// newValueSet returns nil for a kind that no join goes over.
func newValueSet(k kind) *valueSet {
	switch k {
	case kindText, kindUUID, kindInt, kindNumeric, kindInet, kindMAC, kindBytea:
		return &valueSet{kind: k, hashes: map[uint64]struct{}{}}
	}
	return nil
}

// add adds a value without escapes, in the form that stands for it in all types: in
// lower case, without padding, without zeros behind a point.
func (s *valueSet) add(v []byte) {
	if s == nil || len(v) == 0 || len(v) > longestJoined {
		return
	}
	switch s.kind {
	case kindText:
		if v = bytes.TrimRight(v, " "); isDocument(v) {
			return
		}
		v = bytes.ToLower(v)
	case kindNumeric:
		v = equality{scale: true}.canonical(nil, v)
	}
	if len(v) == 0 {
		return
	}
	s.values++
	h := maphash.Bytes(setSeed, v)
	if h&(1<<s.level-1) != 0 {
		return
	}
	s.hashes[h] = struct{}{}
	for len(s.hashes) > maxSetHashes {
		s.level++
		for h := range s.hashes {
			if h&(1<<s.level-1) != 0 {
				delete(s.hashes, h)
			}
		}
	}
}

// isDocument says of a text that it is a JSON object or array. Nobody joins those, and
// a mask that keeps them apart by replacing them as a whole leaves none.
func isDocument(v []byte) bool {
	return len(v) > 0 && (v[0] == '{' || v[0] == '[') && json.Valid(v)
}

// unique reports whether hardly a value repeats.
func (s *valueSet) unique() bool {
	return float64(len(s.hashes)<<s.level) >= .9*float64(s.values)
}

// meeting is how much two sets have in common.
type meeting struct {
	common, least int // values of both, and of the smaller set
}

func (s *valueSet) meets(o *valueSet) meeting {
	if len(s.hashes) > len(o.hashes) {
		s, o = o, s
	}
	zeros := uint64(1)<<max(s.level, o.level) - 1
	var m meeting
	mine, others := 0, 0
	for h := range s.hashes {
		if h&zeros != 0 {
			continue
		}
		mine++
		if _, found := o.hashes[h]; found {
			m.common++
		}
	}
	for h := range o.hashes {
		if h&zeros == 0 {
			others++
		}
	}
	m.least = min(mine, others)
	return m
}

// joinSide is a column that may be one side of a join, and the masker that it has.
type joinSide struct {
	name   ColumnName
	kind   kind
	masker string
	set    *valueSet
	// inside is a place inside of the column's values, as the policy names it, "" for
	// the column itself
	inside string
}

// identityMaskers give away nothing less than one person or thing: few such values in
// two columns are no coincidence. valueMaskers give equal values equal masks, too, and
// of words that many have.
var (
	identityMaskers = map[string]bool{"email": true, "username": true, "phone": true, "uuid": true, "iban": true, "card": true}
	valueMaskers    = map[string]bool{
		"hash": true, "permute": true, "key": true, "first_name": true, "last_name": true, "full_name": true, "company": true, "product": true,
		"street": true, "city": true, "postcode": true, "url": true, "ip": true, "mac": true, "text": true, "regex": true, "bytea": true,
	}
)

// joinable reports whether equal values of the column have something in common when
// they are masked.
func (s joinSide) joinable() bool {
	return s.set != nil && s.set.values > 0 && (s.masker == "keep" || identityMaskers[s.masker] || valueMaskers[s.masker])
}

// joins reports whether two columns hold the same values, and at least one of them is
// masked.
func (s joinSide) joins(o joinSide) (meeting, bool) {
	const (
		fewIdentities = 3
		fewValues     = 5
	)
	if s.masker == "keep" && o.masker == "keep" {
		return meeting{}, false
	}
	m := s.set.meets(o.set)
	number := func(k kind) bool { return k == kindInt || k == kindNumeric }
	switch {
	case number(s.kind) || number(o.kind):
		// Rows are numbered in every table: only names tell which number is meant.
		return m, m.common >= fewValues && m.common*10 >= m.least*9 && (s.set.unique() || o.set.unique()) && (s.pointsTo(o) || o.pointsTo(s))
	case identityMaskers[s.masker] || identityMaskers[o.masker] || s.kind == kindUUID || o.kind == kindUUID:
		return m, m.common >= fewIdentities && (m.common*10 >= m.least || m.common >= 10*fewIdentities)
	}
	return m, m.common >= fewValues && m.common*2 >= m.least && (s.set.unique() || o.set.unique())
}

// pointsTo reports whether the column's name speaks of the other column: user_id of
// users.id, customer_no of any customer_no.
func (s joinSide) pointsTo(o joinSide) bool {
	name, other := spoken(s.name.Column), spoken(o.name.Column)
	if name == other && name != "id" && s.name.Table != o.name.Table {
		return true
	}
	stem, ending := "", false
	for _, end := range []string{"_id", "_uuid", "_key", "_ref", "_no", "_number", "_nr"} {
		if stem, ending = strings.CutSuffix(name, end); ending {
			break
		}
	}
	return ending && stem != "" && strings.HasPrefix(spoken(o.name.Table), strings.TrimSuffix(stem, "y"))
}

// joins is what samples say of the joins between columns.
type joins struct {
	// groups are columns that need equal masks for equal values.
	groups [][]joinSide
	// kept are masked columns that hold the values of a kept one.
	kept []keptJoin
}

type keptJoin struct{ masked, kept joinSide }

// maxHolders is of how many columns a value tells anything: one that hundreds hold,
// as small numbers are, joins none of them.
const maxHolders = 500

// ofSomebody says whether what a masker takes for somebody's gives them away where it
// is kept elsewhere: names too, though many bear the same.
func ofSomebody(masker string) bool {
	switch masker {
	case "first_name", "last_name", "full_name", "company", "street":
		return true
	}
	return identityMaskers[masker]
}

// findJoins looks for columns that hold the same values. Masked ones, and what is kept
// although another column's masker takes it for somebody's, are to be linked.
func findJoins(sides []joinSide) joins {
	var list []joinSide
	holders := map[uint64][]int{} // only columns that share a value are compared
	for _, s := range sides {
		if s.joinable() {
			for h := range s.set.hashes {
				holders[h] = append(holders[h], len(list))
			}
			list = append(list, s)
		}
	}
	parent := make([]int, len(list))
	for i := range parent {
		parent[i] = i
	}
	find := func(i int) int {
		for parent[i] != i {
			i = parent[i]
		}
		return i
	}
	best := make([]meeting, len(list)) // of a masked column with a kept one
	bestKept := map[int]int{}
	compared := map[[2]int]bool{}
	for _, at := range holders {
		if len(at) > maxHolders {
			continue
		}
		for n, i := range at {
			for _, j := range at[n+1:] {
				if list[i].masker == "keep" && list[j].masker == "keep" || compared[[2]int{i, j}] {
					continue
				}
				compared[[2]int{i, j}] = true
				m, joined := list[i].joins(list[j])
				if !joined {
					continue
				}
				masked, kept := i, j
				if list[i].masker == "keep" {
					masked, kept = j, i
				}
				if list[kept].masker != "keep" || list[kept].kind == kindText && ofSomebody(list[masked].masker) {
					a, b := find(i), find(j)
					parent[max(a, b)] = min(a, b)
					continue
				}
				if was, ok := bestKept[masked]; !ok || m.common > best[masked].common || m.common == best[masked].common && kept < was {
					bestKept[masked], best[masked] = kept, m
				}
			}
		}
	}
	var out joins
	byFirst := map[int][]joinSide{}
	for i, s := range list {
		byFirst[find(i)] = append(byFirst[find(i)], s)
		if k, ok := bestKept[i]; ok {
			out.kept = append(out.kept, keptJoin{s, list[k]})
		}
	}
	for i := range list {
		if g := byFirst[i]; len(g) > 1 {
			// What others point to comes first: it gives the link its name and its rule.
			slices.SortStableFunc(g, func(a, b joinSide) int { return boolOrder(b.set.unique(), a.set.unique()) })
			out.groups = append(out.groups, g)
		}
	}
	return out
}

// boolOrder orders false before true.
func boolOrder(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}
