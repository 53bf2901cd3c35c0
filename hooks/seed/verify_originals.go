package seed

import (
	"bytes"
	"hash/maphash"
	"slices"
	"strings"
	"sync"

	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/recognize"
)

// originals are hashes of what masked columns held, of the parts by which other text
// could give somebody away. They live in memory only, under a key of this process.
type originals struct {
	seed   maphash.Seed
	mu     sync.Mutex
	hashes []uint64 // sorted up to done, and unique
	done   int
	full   bool
	most   int // hashes
	// known tell testers' addresses, which are nobody's secret wherever they stand;
	// exempt are hashes of what is in them
	known  []func([]byte) bool
	exempt map[uint64]bool
}

// maxOriginals bounds the memory: eight bytes each.
const maxOriginals = 24 << 20

func newOriginals() *originals { return &originals{seed: maphash.MakeSeed(), most: maxOriginals} }

// place says what is known of a column whose originals are looked for.
type place struct {
	document bool // some of a value may pass as it is
	whole    bool // a value may be a name as a whole
	things   bool // names of towns and things, and of nobody
	people   bool // full names of people, also where these have no spaces
	phones   bool // telephone numbers, however they are written
}

// add takes the forms of an original: addresses, numbers and codes in it, and
// the whole of it if it is two or three words. Parts of a document may be kept: what
// its masked form holds too is not an original. Towns, countries and words that many
// databases hold are none either, nor is anything of a column of things.
func (o *originals) add(text []byte, of place, masked []byte) {
	var list []uint64
	if o.isKnown(text) {
		o.spare(text)
		return
	}
	recognize.Parts(text, func(kind recognize.Kind, words ...[]byte) {
		switch {
		case kind == recognize.Phrase, kind == recognize.Dotted && !of.phones:
		case kind == recognize.Email && o.isKnown(words[0]):
			o.spare(words[0])
		default:
			list = append(list, o.hash(kind, words))
		}
	})
	if len(list) > 0 && len(masked) > 0 {
		var stay []uint64 // sorted, because a large document has many
		o.candidates(masked, func(_ recognize.Kind, h uint64) { stay = append(stay, h) })
		slices.Sort(stay)
		list = slices.DeleteFunc(list, func(h uint64) bool {
			_, found := slices.BinarySearch(stay, h)
			return found
		})
	}
	if whole := recognize.Words(text, 4); (of.whole || !of.document) && !of.things && !bytes.Equal(text, masked) && (len(whole) == 2 || len(whole) == 3 || of.people && len(whole) == 1 && recognize.Unspaced(whole[0])) && len(text) >= 7 && !common(whole) {
		list = append(list, o.hash(recognize.Phrase, whole))
	}
	if len(list) == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.full {
		return
	}
	o.hashes = append(o.hashes, list...)
	if len(o.hashes)-o.done > 1<<20 && len(o.hashes) > 2*o.done {
		o.compact()
		o.full = len(o.hashes) >= o.most
	}
}

func (o *originals) compact() {
	slices.Sort(o.hashes)
	o.hashes = slices.Compact(o.hashes)
	o.done = len(o.hashes)
}

// finish must be called before has.
func (o *originals) finish() {
	o.hashes = slices.DeleteFunc(o.hashes, func(h uint64) bool { return o.exempt[h] })
	o.compact()
}

// isKnown reports whether a text is the address of a tester's account.
func (o *originals) isKnown(text []byte) bool {
	return slices.ContainsFunc(o.known, func(is func([]byte) bool) bool { return is(text) })
}

// spare takes a text, and what of it could be an original, out of what is looked for.
func (o *originals) spare(text []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.exempt == nil {
		o.exempt = map[uint64]bool{}
	}
	if len(o.exempt) < mostSpared {
		o.candidates(text, func(_ recognize.Kind, h uint64) { o.exempt[h] = true })
	}
}

// mostSpared bounds the memory; a policy has a thousand accounts at most.
const mostSpared = 1 << 18

func (o *originals) has(h uint64) bool {
	_, found := slices.BinarySearch(o.hashes, h)
	return found
}

// candidates calls each with the hash of every part of a text that could be an
// original.
func (o *originals) candidates(text []byte, each func(kind recognize.Kind, h uint64)) {
	recognize.Parts(text, func(k recognize.Kind, words ...[]byte) { each(k, o.hash(k, words)) })
}

// hash is the hash of a part.
func (o *originals) hash(kind recognize.Kind, words [][]byte) uint64 {
	var h maphash.Hash
	h.SetSeed(o.seed)
	kind = asHashed(kind)
	for _, w := range words {
		_, _ = h.Write(canonicalPart(kind, w))
		_ = h.WriteByte(' ')
	}
	_ = h.WriteByte(byte(kind))
	return h.Sum64()
}

// canonicalPart is a word of a part in lower case. Of a number only the last nine
// digits count, because the country's code may be missing, unless these are one digit
// nine times, as in many that are no telephone's: 24.7000000000, 9999999999.
func canonicalPart(kind recognize.Kind, w []byte) []byte {
	if last := w[max(0, len(w)-9):]; asHashed(kind) == recognize.Number && bytes.Count(last, last[:1]) < len(last) {
		w = last
	}
	return bytes.ToLower(w)
}

// asHashed is the kind whose parts equal those of a kind: a telephone number is the same
// however it is written.
func asHashed(kind recognize.Kind) recognize.Kind {
	if kind == recognize.Dotted {
		return recognize.Number
	}
	return kind
}

// common reports whether a phrase is nobody's: words that many databases hold, towns,
// countries.
func common(words [][]byte) bool {
	list := make([]string, len(words))
	for i, w := range words {
		list[i] = strings.ToLower(string(w))
	}
	return mask.Common(list)
}
