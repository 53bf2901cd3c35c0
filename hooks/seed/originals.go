package seed

import (
	"bytes"
	"hash/maphash"
	"slices"
	"sync"
	"unicode"
	"unicode/utf8"
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

// candidateKinds name the forms.
var candidateKinds = [...]string{"e-mail addresses", "telephone, card or account numbers", "full names or addresses", "user names or codes"}

const (
	anEmail = iota
	aNumber
	aPhrase
	aCode
)

func newOriginals() *originals { return &originals{seed: maphash.MakeSeed()} }

// add takes the forms of an original: addresses, numbers and codes in it, and
// the whole of it if it is two or three words. A document's parts may be kept:
// what stands in passed, its masked form, is not an original.
func (o *originals) add(text []byte, document bool, passed []byte) {
	var list []uint64
	o.candidates(text, func(kind int, h uint64) {
		if kind != aPhrase {
			list = append(list, h)
		}
	})
	if len(list) > 0 && len(passed) > 0 {
		var stay []uint64 // sorted: a large document has very many of both
		o.candidates(passed, func(_ int, h uint64) { stay = append(stay, h) })
		slices.Sort(stay)
		list = slices.DeleteFunc(list, func(h uint64) bool {
			_, found := slices.BinarySearch(stay, h)
			return found
		})
	}
	if whole := words(text, 4); !document && !bytes.Equal(text, passed) && (len(whole) == 2 || len(whole) == 3) && len(text) >= 7 {
		list = append(list, o.phrase(whole))
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
func (o *originals) candidates(text []byte, each func(kind int, h uint64)) {
	var buf []byte
	// Addresses: grow to both sides of every @.
	for i, c := range text {
		if c != '@' {
			continue
		}
		from, to := i, i+1
		for from > 0 && addressByte(text[from-1]) {
			from--
		}
		for to < len(text) && (addressByte(text[to]) || text[to] == '-') {
			to++
		}
		for to > i && text[to-1] == '.' {
			to--
		}
		if from < i && bytes.IndexByte(text[i:to], '.') > 0 {
			buf = append(bytes.ToLower(append(buf[:0], text[from:to]...)), anEmail)
			each(anEmail, maphash.Bytes(o.seed, buf))
		}
	}
	// Numbers: seven digits or more, whatever stands between them.
	for i := 0; i < len(text); {
		if text[i] < '0' || text[i] > '9' {
			i++
			continue
		}
		buf = buf[:0]
		gap := 0
		j := i
		for ; j < len(text); j++ {
			c := text[j]
			if c >= '0' && c <= '9' {
				buf = append(buf, c)
				gap = 0
				continue
			}
			if gap++; gap > 2 || c != ' ' && c != '-' && c != '(' && c != ')' && c != '.' && c != '/' {
				break
			}
		}
		if len(buf) >= 7 && len(buf) <= 24 {
			// The country's code may be written or not: the last nine count.
			tail := buf[max(0, len(buf)-9):]
			each(aNumber, maphash.Bytes(o.seed, append(slices.Clone(tail), aNumber)))
		}
		i = j
	}
	// Words: codes, and runs of two and three.
	list := words(text, 1<<20)
	for i, w := range list {
		if len(w) >= 8 && mixed(w) {
			each(aCode, o.one(w, aCode))
		}
		for n := 2; n <= 3 && i+n <= len(list); n++ {
			each(aPhrase, o.phrase(list[i:i+n]))
		}
	}
}

func (o *originals) one(w []byte, kind byte) uint64 {
	return maphash.Bytes(o.seed, append(bytes.ToLower(w), kind))
}

func (o *originals) phrase(list [][]byte) uint64 {
	var h maphash.Hash
	h.SetSeed(o.seed)
	for _, w := range list {
		_, _ = h.Write(bytes.ToLower(w))
		_ = h.WriteByte(' ')
	}
	_ = h.WriteByte(aPhrase)
	return h.Sum64()
}

// words splits at everything that is neither letter nor digit, into n parts at
// most.
func words(text []byte, n int) [][]byte {
	var out [][]byte
	for i := 0; i < len(text) && len(out) < n; {
		r, size := utf8.DecodeRune(text[i:])
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			i += size
			continue
		}
		j := i
		for j < len(text) {
			r, size := utf8.DecodeRune(text[j:])
			if !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' {
				break
			}
			j += size
		}
		out = append(out, text[i:j])
		i = j
	}
	return out
}

// mixed says that a word has letters and digits.
func mixed(w []byte) bool {
	letter, digit := false, false
	for _, c := range w {
		switch {
		case c >= '0' && c <= '9':
			digit = true
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			letter = true
		}
	}
	return letter && digit
}

func addressByte(c byte) bool {
	return c == '.' || c == '_' || c == '%' || c == '+' || c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}
