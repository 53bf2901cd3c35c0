package mask

import (
	"bytes"
	"encoding/binary"
	"errors"
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
	login   *boundLogin // nil for none
}

type boundColumn struct {
	name, masker string
	tf           transform // nil: keep
	depth        int       // of the values inside of values that tf masks
	clean        bool      // masks need no escaping
	shaped       bool      // neither do masks of values that needed none
	null         bool
	guessable    bool // equal values have equal masks
	entity       int  // column that tf also reads, -1: none
}

type boundFilter struct {
	column int
	*filter
}

// Factor is how many times its own length a large row takes of memory, at most, while
// it is masked. Five times: the row, the row without its escapes, the mask, a copy of
// that, and what the collector has not freed yet. Two more for each level of values
// inside of values, for an original and its mask.
func (l *Layout) Factor() int64 {
	depth := 0
	for _, i := range l.masked {
		depth = max(depth, l.columns[i].depth)
	}
	return int64(5 + 2*depth)
}

// NewWorker returns a worker that masks rows of this layout.
func (l *Layout) NewWorker() *Worker {
	return &Worker{layout: l, workspace: newWorkspace(), ends: make([]int, l.last+1)}
}

// Worker masks rows of one table. It is not safe for concurrent use: one per
// goroutine.
type Worker struct {
	layout    *Layout
	workspace *workspace
	ends      []int // where the fields end, up to the last that matters
	plain     bool  // the row holds no backslash
	isAccount bool  // the row is a tester's account
	counts    Stats
}

// Stats counts what a worker did.
type Stats struct {
	// Rows read, rows dropped by the row filter, bytes read and written
	// (newlines included).
	Rows, Dropped, BytesIn, BytesOut int64
}

// Stats returns the counts so far.
func (w *Worker) Stats() Stats { return w.counts }

// RowError says why a row could not be masked. It never holds a value.
type RowError struct {
	Table  Name
	Column string // "" when the row itself is wrong
	Masker string
	// Row counts the rows that this worker was given, from 1.
	Row    int64
	Reason string
	// Long is about how many bytes the mask would have, if AppendWithin refused it
	// for its length.
	Long int64
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
func (w *Worker) Append(dst, row []byte) ([]byte, error) { return w.AppendWithin(dst, row, 0) }

// AppendWithin is Append of a row whose mask may take most bytes; 0 sets no limit.
func (w *Worker) AppendWithin(dst, row []byte, most int64) ([]byte, error) {
	if ok, err := w.admit(row); !ok {
		return dst, err
	}
	l := w.layout
	start, copied := len(dst), 0
	w.workspace.most = most
	if most > 0 {
		w.workspace.most += int64(start)
	}
	for _, i := range l.masked {
		begin, end := w.bounds(i)
		field := row[begin:end]
		if w.isAccount && (l.login.keeps[i] || i == l.login.password) {
			if i == l.login.password {
				if len(l.login.hash) == 0 {
					return dst[:start], w.rowError(i, errNoHash)
				}
				dst = append(append(dst, row[copied:begin]...), l.login.hash...)
				copied = end
			}
			continue
		}
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
	w.counts.BytesOut += int64(len(dst) - start)
	if len(row) > largeRow {
		w.workspace.shrink()
	}
	return dst, nil
}

// admit counts a row, finds its fields and says whether the filters let it
// pass.
func (w *Worker) admit(row []byte) (bool, error) {
	w.counts.Rows++
	w.counts.BytesIn += int64(len(row)) + 1
	l := w.layout
	if !l.table.Rows {
		w.counts.Dropped++
		return false, nil
	}
	if err := w.split(row); err != nil {
		return false, w.rowError(-1, err)
	}
	w.isAccount = l.login != nil && w.account(row)
	for i := range l.filters {
		f := &l.filters[i]
		if w.isAccount && f.subset() {
			continue
		}
		ok, err := f.matches(w.workspace, w.field(row, f.column))
		if err != nil {
			return false, w.rowError(f.column, err)
		}
		if !ok {
			w.counts.Dropped++
			return false, nil
		}
	}
	if w.isAccount {
		w.count(row)
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
	w.workspace.most = 0
	out, err := w.mask(dst, c, field, false)
	if err != nil {
		return dst, w.rowError(column, err)
	}
	return out, nil
}

// mask appends the mask of a field that is not NULL; plain says that it is
// known to hold no backslash.
func (w *Worker) mask(dst []byte, c *boundColumn, field []byte, plain bool) ([]byte, error) {
	ws := w.workspace
	ws.used = 0
	value, clean := field, c.clean
	switch {
	case plain || copytext.Plain(field):
		clean = clean || c.shaped
	default:
		buf := ws.buf()
		*buf = copytext.Unescape(slices.Grow(*buf, len(field)), field)
		value = *buf
	}
	start := len(dst)
	if len(value) > largeRow && cap(dst)-start < len(value) { // once, not by doubling
		dst = slices.Grow(dst, len(value)+len(value)/8)
	}
	ws.escaped = false
	out, err := c.tf.mask(ws, dst, value)
	if err == nil {
		err = ws.within(len(out), 1, 1)
	}
	switch {
	case err == errNull: //nolint:errorlint // a sentinel of this package, never wrapped
		return append(dst[:start], copytext.Null...), nil
	case err != nil || clean && !ws.escaped:
		return out, err
	}
	return copytext.EscapeTail(out, start), nil
}

func (w *Worker) setEntity(row []byte, column int) {
	ws := w.workspace
	field := w.field(row, column)
	ws.entityNull = copytext.IsNull(field)
	if copytext.Plain(field) || ws.entityNull {
		ws.entity = field
		return
	}
	ws.entityBuf = copytext.Unescape(ws.entityBuf[:0], field)
	ws.entity = ws.entityBuf
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
	return row[begin:end]
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
	if w.plain = bytes.IndexByte(row, '\\') < 0; !w.plain {
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
		length, err := copytext.FieldEnd(row[pos:])
		if err != nil {
			return err
		}
		pos += length
		if i < len(w.ends) {
			w.ends[i] = pos
		}
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
	e := &RowError{Table: Name{w.layout.table.Schema, w.layout.table.Name}, Row: w.counts.Rows, Reason: err.Error()}
	if long, ok := errors.AsType[tooLong](err); ok {
		e.Long = int64(long)
	}
	if column >= 0 {
		e.Column, e.Masker = w.layout.columns[column].name, w.layout.columns[column].masker
	}
	return e
}
