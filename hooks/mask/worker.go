package mask

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"

	"github.com/seedling-dev/seedling/hooks/copytext"
)

// Layout is a table's plan with a fixed order of columns.
type Layout struct {
	table   *TablePlan
	columns []boundColumn
	masked  []int // columns to mask, in order
	last    int   // last column whose place in the row matters, -1: none
	filters []boundFilter
}

type boundColumn struct {
	name, masker string
	tf           transform // nil: keep
	bytea        bool
	clean        bool // masks need no escaping
	shaped       bool // nor do masks of values that needed none
	null         bool
	guessable    bool // equal values have equal masks
	entity       int  // column that tf also reads, -1: none
}

type boundFilter struct {
	column int
	*filter
}

// Bytea says of each column whether it is a bytea: whose values may be packed, for
// [Worker.Pieces].
func (l *Layout) Bytea() []bool {
	is := make([]bool, len(l.columns))
	for i := range l.columns {
		is[i] = l.columns[i].bytea
	}
	return is
}

// NewWorker returns a worker that masks rows of this layout.
func (l *Layout) NewWorker() *Worker {
	return &Worker{layout: l, scratch: newScratch(), ends: make([]int, l.last+1)}
}

// Worker masks rows of one table. It is not safe for concurrent use: one per
// goroutine.
type Worker struct {
	layout  *Layout
	scratch *scratch
	ends    []int // where the fields end, up to the last that matters
	plain   bool  // the row holds no backslash
	packed  []copytext.Span
	whole   []byte // a field that is packed, as it is written
	stats   Stats
}

// Stats counts what a worker did.
type Stats struct {
	// Rows read, rows dropped by the row filter, bytes read and written
	// (newlines included).
	Rows, Dropped, BytesIn, BytesOut int64
}

// Stats returns the counts so far.
func (w *Worker) Stats() Stats { return w.stats }

// RowError says why a row could not be masked. It never holds a value.
type RowError struct {
	Table  Name
	Column string // "" when the row itself is wrong
	Masker string
	// Row counts the rows that this worker was given, from 1.
	Row    int64
	Reason string
	// Needs is how many bytes of memory more than Need Pieces had to have.
	Needs int64
}

func (e *RowError) Error() string {
	if e.Column == "" {
		return fmt.Sprintf("mask row %d of %s: %s", e.Row, e.Table, e.Reason)
	}
	return fmt.Sprintf("mask row %d of %s: column %s (masker %s): %s", e.Row, e.Table, QuoteIdent(e.Column), e.Masker, e.Reason)
}

// Append masks one row, a line of COPY text without its newline, and appends
// the masked line with its newline to dst. A row that the table's filter
// drops, or whose table is loaded without rows, appends nothing. After an
// error dst is as it was. Errors are *RowError and never hold a value.
func (w *Worker) Append(dst, row []byte) ([]byte, error) {
	w.packed = nil
	if ok, err := w.admit(row); !ok {
		return dst, err
	}
	l := w.layout
	w.scratch.own = false
	start, copied := len(dst), 0
	for _, i := range l.masked {
		begin, end := 0, w.ends[i]
		if i > 0 {
			begin = w.ends[i-1] + 1
		}
		field := row[begin:end]
		if !w.plain && copytext.IsNull(field) {
			continue
		}
		c := &l.columns[i]
		dst = append(dst, row[copied:begin]...)
		copied = end
		if c.null {
			dst = append(dst, copytext.Null...)
			continue
		}
		if c.entity >= 0 {
			w.setEntity(row, c.entity)
		}
		out, err := w.mask(dst, c, field, w.plain)
		if err != nil {
			return dst[:start], w.rowError(i, err)
		}
		dst = out
	}
	dst = append(append(dst, row[copied:]...), '\n')
	w.stats.BytesOut += int64(len(dst) - start)
	if len(row) > largeRow {
		w.scratch.shrink()
	}
	return dst, nil
}

// Piece is a part of a masked row: bytes of it as they are written, or, with Hex,
// bytes that are written as two hexadecimal digits each.
type Piece struct {
	Bytes []byte
	Hex   bool
}

// Pieces is Append for rows of many megabytes, which may be packed. The masked row
// is the pieces that it appends to pieces, one after another; what stays is not
// copied but lies in row, and the rest is appended to buf, whose new length it
// returns. Pieces works inside row, which must not be read otherwise afterwards;
// forget is told of parts of it that nothing reads any more, as soon as that is so.
// A mask that takes more than room, bytes beside [Worker.Need], is an error with
// [RowError.Needs].
func (w *Worker) Pieces(pieces []Piece, buf, row []byte, packed []copytext.Span, room int64, forget func([]byte)) (list []Piece, rest []byte, err error) {
	w.packed = packed
	defer func() { w.packed, w.whole = nil, nil }()
	if ok, err := w.admit(row); !ok {
		return pieces, buf, err
	}
	l := w.layout
	s := w.scratch
	s.forget, s.room, s.surplus = forget, room, 0
	first, copied := len(pieces), 0
	for _, i := range l.masked {
		begin, end := w.bounds(i)
		if copytext.IsNull(row[begin:end]) {
			continue
		}
		c := &l.columns[i]
		pieces = w.keep(pieces, row, copied, begin)
		copied = end
		if c.null {
			pieces = append(pieces, Piece{Bytes: []byte(copytext.Null)})
			continue
		}
		if c.entity >= 0 {
			w.setEntity(row, c.entity)
		}
		s.own = !l.isEntity(c)
		raw, isBytea := w.bytea(row, begin, end)
		if tf, isBlob := c.tf.(*blob); isBytea && isBlob && s.own {
			tf.overwrite(s, raw)
			pieces = append(pieces, Piece{Bytes: row[begin : end-len(raw)]}, Piece{Bytes: raw, Hex: true})
			continue
		}
		dst := buf[len(buf):]
		if tf, draws := c.tf.(byteaMasker); isBytea && draws {
			dst = copytext.EscapeTail(tf.maskBytea(s, dst, raw), 0)
		} else if dst, err = w.mask(dst, c, w.written(row, begin, end), w.plain); err != nil {
			return pieces[:first], buf, w.rowError(i, err)
		}
		pieces = append(pieces, Piece{Bytes: dst})
		if len(dst) <= cap(buf)-len(buf) {
			buf = buf[:len(buf)+len(dst)]
		}
		if s.own {
			forget(row[begin:end])
		}
	}
	pieces = append(w.keep(pieces, row, copied, len(row)), Piece{Bytes: newline})
	for _, p := range pieces[first:] {
		w.stats.BytesOut += int64(len(p.Bytes))
		if p.Hex {
			w.stats.BytesOut += int64(len(p.Bytes))
		}
	}
	s.shrink()
	return pieces, buf, nil
}

// byteaMasker is a transform whose mask of a bytea needs only its bytes, and is
// short.
type byteaMasker interface {
	maskBytea(s *scratch, dst, raw []byte) []byte
}

// keep appends a part of the row that stays.
func (w *Worker) keep(pieces []Piece, row []byte, begin, end int) []Piece {
	for _, s := range w.packed {
		if s.Start < begin || s.End > end {
			continue
		}
		pieces = append(pieces, Piece{Bytes: row[begin:s.Start]}, Piece{Bytes: row[s.Start:s.End], Hex: true})
		begin = s.End
	}
	return append(pieces, Piece{Bytes: row[begin:end]})
}

// bytea returns the bytes of a field that is all packed.
func (w *Worker) bytea(row []byte, begin, end int) (raw []byte, ok bool) {
	for _, s := range w.packed {
		if s.Start >= begin && s.End <= end {
			return row[s.Start:s.End], s.End == end && string(row[begin:s.Start]) == `\\x`
		}
	}
	return nil, false
}

// written returns a field as it is written, until the next call.
func (w *Worker) written(row []byte, begin, end int) []byte {
	if !w.isPacked(begin, end) {
		return row[begin:end]
	}
	w.whole = copytext.Expand(slices.Grow(w.whole[:0], 2*(end-begin)), row, w.packed, begin, end)
	return w.whole
}

func (w *Worker) isPacked(begin, end int) bool {
	return slices.ContainsFunc(w.packed, func(s copytext.Span) bool { return s.Start >= begin && s.End <= end })
}

// Need is how many bytes of memory Pieces takes for a row, the row itself
// included: about, and rather too many than too few. It is 0 for a row that Pieces
// will not take.
func (w *Worker) Need(row []byte, packed []copytext.Span) int64 {
	w.packed = packed
	defer func() { w.packed = nil }()
	l := w.layout
	if !l.table.Rows || w.split(row) != nil {
		return 0
	}
	need := int64(len(row))
	for _, i := range l.masked {
		c := &l.columns[i]
		begin, end := w.bounds(i)
		size := int64(end - begin)
		if c.null || size <= largeRow {
			continue
		}
		if w.isPacked(begin, end) {
			_, isBlob := c.tf.(*blob)
			_, draws := c.tf.(byteaMasker)
			if _, ok := w.bytea(row, begin, end); ok && (draws || isBlob && !l.isEntity(c)) {
				continue
			}
			size *= 2
			need += size // as it is written
		}
		if l.isEntity(c) {
			need += 2 * size // it may not be worked in, and stays beside its mask
		}
	}
	return need
}

var newline = []byte{'\n'}

// admit counts a row, finds its fields and says whether the filters let it
// pass.
func (w *Worker) admit(row []byte) (bool, error) {
	w.stats.Rows++
	w.stats.BytesIn += int64(len(row)) + 1
	for _, s := range w.packed {
		w.stats.BytesIn += int64(s.End - s.Start)
	}
	l := w.layout
	if !l.table.Rows {
		w.stats.Dropped++
		return false, nil
	}
	if err := w.split(row); err != nil {
		return false, w.rowError(-1, err)
	}
	for i := range l.filters {
		f := &l.filters[i]
		ok, err := f.passes(w.scratch, w.field(row, f.column))
		if err != nil {
			return false, w.rowError(f.column, err)
		}
		if !ok {
			w.stats.Dropped++
			return false, nil
		}
	}
	return true, nil
}

// AppendField masks one field, as written in a COPY row, of the column at
// position column of the layout, and appends it, as written, to dst. Rules
// that read another column of the row (option by) need Append, and are an
// error here.
func (w *Worker) AppendField(dst []byte, column int, field []byte) ([]byte, error) {
	c := &w.layout.columns[column]
	switch {
	case copytext.IsNull(field) || c.tf == nil:
		return append(dst, field...), nil
	case c.null:
		return append(dst, copytext.Null...), nil
	case c.entity >= 0:
		return dst, w.rowError(column, reason("the rule reads another column of the row"))
	}
	w.scratch.own = false
	out, err := w.mask(dst, c, field, false)
	if err != nil {
		return dst, w.rowError(column, err)
	}
	return out, nil
}

// mask appends the mask of a field that is not NULL; plain says that it is
// known to hold no backslash.
func (w *Worker) mask(dst []byte, c *boundColumn, field []byte, plain bool) ([]byte, error) {
	s := w.scratch
	s.used = 0
	value, clean := field, c.clean
	switch {
	case plain || copytext.Plain(field):
		clean = clean || c.shaped
	case s.own && len(field) > largeRow:
		value = copytext.Unescape(field[:0], field) // never longer than what it reads
		s.forget(field[len(value):])
	default:
		buf := s.buf()
		*buf = copytext.Unescape(slices.Grow(*buf, len(field)), field)
		value = *buf
	}
	start := len(dst)
	if len(value) > largeRow && cap(dst)-start < len(value) { // once, not by doubling
		dst = slices.Grow(dst, len(value)+len(value)/8)
	}
	s.escaped = false
	out, err := c.tf.mask(s, dst, value)
	switch {
	case err == errNull: //nolint:errorlint // a sentinel of this package, never wrapped
		return append(dst[:start], copytext.Null...), nil
	case err != nil || clean && !s.escaped:
		return out, err
	}
	return copytext.EscapeTail(out, start), nil
}

// isEntity reports whether the rule of another column reads c.
func (l *Layout) isEntity(c *boundColumn) bool {
	return slices.ContainsFunc(l.columns, func(o boundColumn) bool { return o.entity >= 0 && &l.columns[o.entity] == c })
}

func (w *Worker) setEntity(row []byte, column int) {
	s := w.scratch
	field := w.field(row, column)
	s.entityNull = copytext.IsNull(field)
	if copytext.Plain(field) || s.entityNull {
		s.entity = field
		return
	}
	s.entityBuf = copytext.Unescape(s.entityBuf[:0], field)
	s.entity = s.entityBuf
}

// bounds are where a field begins and ends.
func (w *Worker) bounds(i int) (begin, end int) {
	if i > 0 {
		begin = w.ends[i-1] + 1
	}
	return begin, w.ends[i]
}

func (w *Worker) field(row []byte, i int) []byte {
	begin, end := w.bounds(i)
	if !w.isPacked(begin, end) {
		return row[begin:end]
	}
	return copytext.Expand(nil, row, w.packed, begin, end)
}

const (
	tooFewFields  = reason("the row has fewer fields than the COPY statement lists columns")
	tooManyFields = reason("the row has more fields than the COPY statement lists columns")
	endMark       = reason("the end-of-data mark stands where a row is expected")
)

// split finds the ends of the fields that matter and checks that the row has
// as many fields as the layout has columns.
func (w *Worker) split(row []byte) error {
	l := w.layout
	n := len(l.columns)
	if w.plain = len(w.packed) == 0 && bytes.IndexByte(row, '\\') < 0; !w.plain {
		return w.splitEscaped(row)
	}
	// Eight bytes at a time: a byte of m is 0x80 where row has a tab.
	ends, k, i := w.ends, 0, 0
	for ; i+8 <= len(row) && k < len(ends); i += 8 {
		v := binary.LittleEndian.Uint64(row[i:]) ^ 0x0909090909090909
		m := ^((v&0x7f7f7f7f7f7f7f7f + 0x7f7f7f7f7f7f7f7f) | v | 0x7f7f7f7f7f7f7f7f)
		for m != 0 && k < len(ends) {
			ends[k] = i + bits.TrailingZeros64(m)/8
			k++
			m &= m - 1
		}
	}
	for ; i < len(row) && k < len(ends); i++ {
		if row[i] == '\t' {
			ends[k] = i
			k++
		}
	}
	if k < len(ends) { // the last field found ends with the row
		if k != n-1 {
			return tooFewFields
		}
		ends[k] = len(row)
		return nil
	}
	pos := 0
	if k > 0 {
		pos = ends[k-1] + 1
	}
	switch left := n - 1 - k - bytes.Count(row[pos:], tab); {
	case left < 0 || n == 0 && len(row) > 0:
		return tooManyFields
	case left > 0:
		return tooFewFields
	}
	return nil
}

var tab = []byte{'\t'}

// splitEscaped is split for rows with backslashes, where a tab may be escaped.
func (w *Worker) splitEscaped(row []byte) error {
	if copytext.IsEnd(row) {
		return endMark
	}
	n := len(w.layout.columns)
	pos := 0
	for i := range n {
		end, err := copytext.PackedFieldEnd(row, w.packed, pos)
		if err != nil {
			return err
		}
		if i < len(w.ends) {
			w.ends[i] = end
		}
		pos = end
		if pos == len(row) {
			if i < n-1 {
				return tooFewFields
			}
			return nil
		}
		pos++
	}
	return tooManyFields
}

func (w *Worker) rowError(column int, err error) error {
	e := &RowError{Table: Name{w.layout.table.Schema, w.layout.table.Name}, Row: w.stats.Rows, Reason: err.Error()}
	if missing, ok := err.(tooLarge); ok { //nolint:errorlint // never wrapped
		e.Needs = int64(missing)
	}
	if column >= 0 {
		e.Column, e.Masker = w.layout.columns[column].name, w.layout.columns[column].masker
	}
	return e
}
