package seed

import (
	"encoding/binary"
	"errors"
	"hash/maphash"

	"github.com/seedling-dev/seedling/hooks/copytext"
	"github.com/seedling-dev/seedling/hooks/recognize"
)

// digest is of a set of rows, whatever their order.
type digest struct {
	rows    int64
	row     [2]uint64 // sums of keyed hashes of rows, sure columns only
	columns []uint64
	leaks   []map[string]int64 // by column: kind: rows
}

func (d *digest) add(o digest) {
	d.rows += o.rows
	d.row[0] += o.row[0]
	d.row[1] += o.row[1]
	if d.columns == nil {
		d.columns = make([]uint64, len(o.columns))
		d.leaks = make([]map[string]int64, len(o.columns))
	}
	for i := range o.columns {
		d.columns[i] += o.columns[i]
		for k, n := range o.leaks[i] {
			if d.leaks[i] == nil {
				d.leaks[i] = map[string]int64{}
			}
			d.leaks[i][k] += n
		}
	}
}

// digester sums hashes of rows.
type digester struct {
	v        *verification
	g        *group
	at       []int
	scan     bool
	sum      digest
	reported int64
	fields   [][]byte
	buf      []byte
	whole    []byte
	text     []byte
}

func (v *verification) digester(g *group, at []int, scan bool) *digester {
	return &digester{v: v, g: g, at: at, scan: scan, sum: digest{columns: make([]uint64, len(at)), leaks: make([]map[string]int64, len(at))}}
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
	for i, at := range d.at {
		if at >= len(d.fields) {
			return errors.New("a row has too few fields")
		}
		f := d.fields[at]
		null := copytext.IsNull(f)
		if !null {
			if d.scan && d.g.scan[i] {
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
	d.sum.row[0] += maphash.Bytes(d.v.seeds[0], d.whole)
	d.sum.row[1] += maphash.Bytes(d.v.seeds[1], d.whole)
	return nil
}

func b2u(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// look searches a kept text for originals, and counts the kinds found.
func (d *digester) look(column int, field []byte, is func(uint64) bool) {
	var kinds [recognize.Kinds]bool
	d.v.originals.candidates(d.plain(field), func(kind recognize.Kind, h uint64) {
		if !kinds[kind] && is(h) {
			kinds[kind] = true
		}
	})
	for kind, found := range kinds {
		if found {
			if d.sum.leaks[column] == nil {
				d.sum.leaks[column] = map[string]int64{}
			}
			d.sum.leaks[column][recognize.Kind(kind).String()]++
		}
	}
}
