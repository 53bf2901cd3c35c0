package seed

import (
	"cmp"
	"encoding/binary"
	"errors"
	"hash/maphash"
	"strings"

	"github.com/seedling-dev/seedling/hooks/copytext"
	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/recognize"
)

// digest is of a set of rows, whatever their order.
type digest struct {
	rows    int64
	row     [2]uint64 // sums of keyed hashes of rows, sure columns only
	columns []uint64
	leaks   []leaks // by column
}

// leaks is what was found in one column, and nobody accepted.
type leaks struct {
	rows   map[recognize.Kind]int64
	prints map[string]recognize.Kind // fingerprints of what was found, the first mostPrints
	first  string                    // where the first row is, as the server says it
	// dotted is how many numbers there are that are addresses of networks, too
	dotted int64
}

// mostPrints is how many things a column may hold for a person to accept them one by
// one.
const mostPrints = 20

func (l *leaks) add(o leaks) {
	if l.rows == nil {
		l.rows, l.prints = map[recognize.Kind]int64{}, map[string]recognize.Kind{}
	}
	for k, n := range o.rows {
		l.rows[k] += n
	}
	for p, k := range o.prints {
		if len(l.prints) <= mostPrints {
			l.prints[p] = k
		}
	}
	l.first = cmp.Or(l.first, o.first)
	l.dotted += o.dotted
}

// settleDotted takes what may be telephone numbers as well as addresses of networks for
// numbers where many of a column's are originals. Of many addresses a few read as some
// number of somebody.
func (l *leaks) settleDotted() {
	n := l.rows[recognize.Dotted]
	if n == 0 {
		return
	}
	delete(l.rows, recognize.Dotted)
	numbers := n*4 >= l.dotted
	if numbers {
		l.rows[recognize.Number] += n
	}
	for p, k := range l.prints {
		switch {
		case k != recognize.Dotted:
		case numbers:
			l.prints[p] = recognize.Number
		default:
			delete(l.prints, p)
		}
	}
}

func (d *digest) add(o digest) {
	d.rows += o.rows
	d.row[0] += o.row[0]
	d.row[1] += o.row[1]
	if d.columns == nil {
		d.columns = make([]uint64, len(o.columns))
		d.leaks = make([]leaks, len(o.columns))
	}
	for i := range o.columns {
		d.columns[i] += o.columns[i]
		if len(o.leaks[i].rows) > 0 || o.leaks[i].dotted > 0 {
			d.leaks[i].add(o.leaks[i])
		}
	}
}

// digester sums hashes of rows.
type digester struct {
	v        *verification
	g        *group
	at       []int
	ctid     int // the field that says where a row is, 0 where none does
	scan     bool
	sum      digest
	reported int64
	fields   [][]byte
	buf      []byte
	whole    []byte
	text     []byte
	prints   map[uint64]string // of what was found, "" where it is accepted
}

func (v *verification) digester(g *group, at []int, scan bool) *digester {
	return &digester{v: v, g: g, at: at, scan: scan, sum: digest{columns: make([]uint64, len(at)), leaks: make([]leaks, len(at))}, prints: map[uint64]string{}}
}

// plain is a field without its escapes.
func (d *digester) plain(field []byte) []byte {
	if copytext.Plain(field) {
		return field
	}
	d.text = copytext.Unescape(d.text[:0], field)
	return d.text
}

// row adds one row as COPY writes it, without its newline.
func (d *digester) row(line []byte) (err error) {
	if d.fields, err = copytext.Split(d.fields[:0], line); err != nil {
		return err
	}
	d.sum.rows++
	d.whole = d.whole[:0]
	account := d.scan && d.account(d.fields)
	for i, at := range d.at {
		if at >= len(d.fields) {
			return errors.New("a row has too few fields")
		}
		f := d.fields[at]
		null := copytext.IsNull(f)
		if !null {
			if d.scan && (d.g.scan[i] || account && d.g.logins.keeps[i]) && !(account && d.ofAccount(i, f)) {
				d.look(i, f, d.v.originals.has)
			}
			d.buf = d.g.forms[i].write(d.buf[:0], f)
			f = d.buf
		}
		d.sum.columns[i] += maphash.Bytes(d.v.seeds[0], f)
		if !d.g.forms[i].loose {
			d.whole = binary.AppendUvarint(d.whole, uint64(len(f))<<1|b2u(null))
			d.whole = append(d.whole, f...)
		}
	}
	h := maphash.Bytes(d.v.seeds[0], d.whole)
	if d.g.sample != nil && len(d.whole) <= longestSampled {
		d.g.sampleRow(h, d.scan)
	}
	d.sum.row[0] += h
	d.sum.row[1] += maphash.Bytes(d.v.seeds[1], d.whole)
	return nil
}

// account reports whether a row is a tester's account, of which what it keeps is looked
// at, too.
func (d *digester) account(fields [][]byte) bool {
	g := d.g
	if g.logins == nil || g.logins.by < 0 || d.at[g.logins.by] >= len(fields) {
		return false
	}
	f := fields[d.at[g.logins.by]]
	return !copytext.IsNull(f) && g.logins.login.Has(d.plain(f))
}

// ofAccount reports whether what a tester's account keeps in a column is its own: a few
// words, such as a name. It is no secret there, and one wherever else it stands. A text
// may hold what is others'.
func (d *digester) ofAccount(column int, field []byte) bool {
	return d.g.logins.keeps[column] && len(recognize.Words(d.plain(field), 4)) <= 3
}

// sampleRow remembers a row of the dump, or finds one in the seed.
func (g *group) sampleRow(h uint64, inSeed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case inSeed && g.sample[h] > 1:
		g.sample[h]--
	case inSeed:
		delete(g.sample, h)
	case g.wanted < g.most:
		g.sample[h]++
		g.wanted++
	}
}

func b2u(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// look searches a kept text for originals, and counts the kinds found that nobody
// accepted.
func (d *digester) look(column int, field []byte, is func(uint64) bool) {
	var kinds [recognize.Kinds]bool
	var found leaks
	recognize.Parts(d.plain(field), func(kind recognize.Kind, words ...[]byte) {
		if kind == recognize.Dotted {
			found.dotted++
		}
		h := d.v.originals.hash(kind, words)
		if !is(h) {
			return
		}
		key := h ^ uint64(column) // the digester is of one table
		mark, known := d.prints[key]
		if !known {
			mark = d.v.fingerprint(leakObject(d.g, column), kind, words)
			if len(d.prints) < 1<<16 {
				d.prints[key] = mark
			}
		}
		if mark == "" {
			return
		}
		kinds[kind] = true
		if found.prints == nil {
			found.prints = map[string]recognize.Kind{}
		}
		found.prints[mark] = kind
	})
	if len(found.prints) == 0 {
		d.sum.leaks[column].dotted += found.dotted
		return
	}
	found.rows = map[recognize.Kind]int64{}
	for kind, there := range kinds {
		if there {
			found.rows[recognize.Kind(kind)] = 1
		}
	}
	if d.ctid > 0 && len(d.fields) > d.ctid {
		found.first = string(d.fields[d.ctid])
	}
	d.sum.leaks[column].add(found)
}

// leakPrefix begins the object of a leak that the policy accepts.
const leakPrefix = "leak "

func leakObject(g *group, column int) string {
	return leakPrefix + g.name.String() + "." + mask.QuoteIdent(g.columns[column])
}

// fingerprint is what a policy accepts of a leak, "" where it does.
func (v *verification) fingerprint(object string, kind recognize.Kind, words [][]byte) string {
	var text strings.Builder
	text.WriteByte(byte(asHashed(kind)))
	for _, w := range words {
		text.WriteByte(' ')
		text.Write(canonicalPart(kind, w))
	}
	mark := v.Key.Fingerprint(object, text.String())
	if v.accepted[object][mark] {
		return ""
	}
	return mark
}
