package seed

import (
	"bytes"
	"hash/maphash"
	"slices"
	"sync"

	"github.com/seedling-dev/seedling/hooks/recognize"
)

// originals are hashes of what masked columns held, in the forms in which it
// gives people away where it turns up in other text. They live in memory only,
// under a key of this process.
type originals struct {
	seed   maphash.Seed
	mu     sync.Mutex
	hashes []uint64 // sorted up to done, and unique
	done   int
	full   bool
}

// maxOriginals bounds the memory: eight bytes each.
const maxOriginals = 24 << 20

func newOriginals() *originals { return &originals{seed: maphash.MakeSeed()} }

// add takes the forms of an original: addresses, numbers and codes in it, and
// the whole of it if it is two or three words. A document's parts may be kept:
// what stands in passed, its masked form, is not an original.
func (o *originals) add(text []byte, document bool, passed []byte) {
	var list []uint64
	o.candidates(text, func(kind recognize.Kind, h uint64) {
		if kind != recognize.Phrase {
			list = append(list, h)
		}
	})
	if len(list) > 0 && len(passed) > 0 {
		var stay []uint64 // sorted: a large document has very many of both
		o.candidates(passed, func(_ recognize.Kind, h uint64) { stay = append(stay, h) })
		slices.Sort(stay)
		list = slices.DeleteFunc(list, func(h uint64) bool {
			_, found := slices.BinarySearch(stay, h)
			return found
		})
	}
	if whole := recognize.Words(text, 4); !document && !bytes.Equal(text, passed) && (len(whole) == 2 || len(whole) == 3) && len(text) >= 7 {
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
		o.full = len(o.hashes) >= maxOriginals
	}
}

func (o *originals) compact() {
	slices.Sort(o.hashes)
	o.hashes = slices.Compact(o.hashes)
	o.done = len(o.hashes)
}

// finish makes has usable.
func (o *originals) finish() { o.compact() }

func (o *originals) has(h uint64) bool {
	_, found := slices.BinarySearch(o.hashes, h)
	return found
}

// candidates calls each with the hash of every part of a text that could be an
// original.
func (o *originals) candidates(text []byte, each func(kind recognize.Kind, h uint64)) {
	recognize.Parts(text, func(k recognize.Kind, words ...[]byte) { each(k, o.hash(k, words)) })
}

// hash is that of a part, whatever its case. The country's code of a number may
// be written or not: its last nine digits count.
func (o *originals) hash(kind recognize.Kind, words [][]byte) uint64 {
	var h maphash.Hash
	h.SetSeed(o.seed)
	for _, w := range words {
		if kind == recognize.Number {
			w = w[max(0, len(w)-9):]
		}
		_, _ = h.Write(bytes.ToLower(w))
		_ = h.WriteByte(' ')
	}
	_ = h.WriteByte(byte(kind))
	return h.Sum64()
}
