package seed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/copybinary"
	"github.com/seedling-dev/seedling/hooks/copytext"
	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/postgres"
)

// errAborted is all that the server is told when a load fails on our side:
// pgx sends the text of a reader's error, and the server logs it.
var errAborted = errors.New("the import stopped")

// feed is what pgx reads a COPY from: blocks, masked on the way. Where the table's
// types allow it, rows are sent in COPY's binary format. At the first row that must be
// text, that COPY ends and another begins, which is text to its end.
type feed struct {
	// mu is held by Read: when a connection fails, pgx returns while its
	// goroutine may still read.
	mu     sync.Mutex
	ended  bool
	ctx    context.Context
	load   *tableLoad
	blocks <-chan *block
	pool   *pool
	worker *mask.Worker
	buf    []byte // masked and not yet sent
	at     int
	last   mask.Stats
	large  *block // whose masked row is not yet sent
	// binary, if set, encodes what masked holds
	binary *copybinary.Encoder
	masked []byte
	over   bool // this COPY is at its end once buf is sent
	// rest is what the next COPY begins with, as text: restLines lines, from row
	// restRow on
	rest      []byte
	restLines int64
	restRow   int64
	// lines of this COPY and the table's rows they stand for, to name the
	// row that the server refuses
	lines   []lineStart
	sent    int64
	failed  error
	counted func(rows int64)
}

// lineStart says that from a line of a COPY on, its lines are the table's rows from
// row on.
type lineStart struct{ line, row int64 }

func (f *feed) Read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return 0, errAborted
	}
	for f.at == len(f.buf) {
		f.done()
		if f.over {
			return 0, io.EOF
		}
		b, err := f.next()
		if err != nil {
			f.failed = err
			return 0, errAborted
		}
		if b == nil {
			f.over = true
			if f.binary != nil {
				f.buf, f.at = append(f.buf[:0], copybinary.Trailer...), 0
			}
			continue
		}
		if b.large {
			f.large = b
		}
		if f.failed = f.mask(b); f.failed != nil {
			return 0, errAborted
		}
		if !b.large {
			f.pool.put(b)
		}
	}
	n := copy(p, f.buf[f.at:])
	f.at += n
	return n, nil
}

// next returns the next block, nil after the last.
func (f *feed) next() (*block, error) {
	select {
	case b := <-f.blocks:
		return b, nil
	case <-f.ctx.Done():
		return nil, context.Cause(f.ctx)
	}
}

// done gives back a large row that was sent.
func (f *feed) done() {
	if f.large != nil && f.rest == nil {
		f.buf, f.at, f.masked = nil, 0, nil
		f.pool.put(f.large)
		f.large = nil
	}
}

// end makes sure that nothing reads any more, and gives back what was not sent.
func (f *feed) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended, f.rest = true, nil
	f.done()
}

// begin prepares the feed for its first COPY, and for the next, if there is
// more to send.
func (f *feed) begin(first bool) (more bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case first && f.load.types != nil:
		f.binary = copybinary.NewEncoder(f.load.types)
		f.buf = append(f.buf, copybinary.Header...)
	case first:
	case f.rest == nil:
		return false
	default:
		f.buf, f.at, f.over = f.rest, 0, false
		f.sent, f.lines = f.restLines, []lineStart{{0, f.restRow}}
		f.rest, f.masked = nil, nil
	}
	return true
}

// mask fills buf with the masked rows of a block.
func (f *feed) mask(b *block) error {
	f.buf, f.at = f.buf[:0], 0
	into := &f.buf
	if f.binary != nil {
		f.masked = f.masked[:0]
		into = &f.masked
	}
	if need := len(b.data) + len(b.data)/4; !b.large && cap(*into) < need {
		*into = make([]byte, 0, max(need, blockSize*3/2))
	}
	f.lines = append(f.lines, lineStart{f.sent, b.first})
	if f.load.bare {
		return f.count(b)
	}
	rest := b.data
	var n int64
	var err error
	for {
		line, tail, ok := copytext.CutLine(rest)
		if !ok {
			break
		}
		n++
		if copytext.IsEnd(line) {
			// The server would stop reading there, and drop the rest.
			return command.Misconfiguredf("row %d is the end mark, and rows follow it: the dump is damaged", b.first+n)
		}
		*into, err = f.maskRow(*into, line, b)
		if err != nil {
			if re, ok := errors.AsType[*mask.RowError](err); ok {
				re.Row = b.first + n
				if re.Long > 0 {
					return f.pool.fits(re.Row, sizeWith(re.Long, int64(len(line)), f.load.layout.Factor()))
				}
			}
			return err
		}
		rest = tail
	}
	if b.large {
		length := len(b.data)
		b.data = nil
		collect(length)
	}
	s := f.worker.Stats()
	dropped := s.Dropped - f.last.Dropped
	if f.binary != nil {
		f.encode(b, n, dropped)
	} else {
		f.sent += n - dropped
	}
	f.load.rows.Add(s.Rows - f.last.Rows)
	f.counted(s.Rows - f.last.Rows)
	f.load.dropped.Add(dropped)
	f.load.in.Add(s.BytesIn - f.last.BytesIn)
	f.load.out.Add(s.BytesOut - f.last.BytesOut)
	f.last = s
	return nil
}

// maskRow appends the masked form of a row in a block.
func (f *feed) maskRow(dst, row []byte, b *block) ([]byte, error) {
	if !b.large {
		return f.worker.Append(dst, row)
	}
	return f.worker.AppendWithin(dst, row, f.pool.longestMask(int64(len(row)), f.load.layout.Factor()))
}

// encode fills buf with the masked rows of a block of n, some of them dropped.
func (f *feed) encode(b *block, n, dropped int64) {
	need := len(f.masked) + len(f.masked)/2
	if b.large {
		need = len(f.masked) + blockSize // most of it is one field or a few
	}
	if cap(f.buf) < need {
		f.buf = make([]byte, 0, max(need, blockSize*2))
	}
	rest := f.masked
	var encoded int64
	for {
		line, tail, ok := copytext.CutLine(rest)
		if !ok {
			break
		}
		var err error
		if f.buf, err = f.binary.Append(f.buf, line); err != nil {
			break // there is only copybinary.ErrText
		}
		encoded++
		rest = tail
	}
	f.sent += encoded
	if len(rest) == 0 {
		return
	}
	f.rest, f.restLines, f.restRow = rest, n-dropped-encoded, b.first
	if dropped == 0 {
		f.restRow += encoded
	}
	f.endBinary()
}

// endBinary ends the COPY in binary format behind what buf holds.
func (f *feed) endBinary() {
	f.buf = append(f.buf, copybinary.Trailer...)
	f.binary, f.over = nil, true
}

// count passes the rows of a table without columns: they are empty lines.
func (f *feed) count(b *block) error {
	for i, c := range b.data {
		if c != '\n' {
			return command.Misconfiguredf("row %d has a field, and the table has no columns: the dump is damaged", b.first+int64(i)+1)
		}
	}
	f.buf = append(f.buf, b.data...)
	n := int64(len(b.data))
	f.sent += n
	f.load.rows.Add(n)
	f.load.in.Add(n)
	f.load.out.Add(n)
	f.counted(n)
	return nil
}

// row is the table's row that a line of the COPY stands for; with a row filter
// it is the block's first.
func (f *feed) row(line int64) int64 {
	for _, at := range slices.Backward(f.lines) {
		if line > at.line {
			return at.row + line - at.line
		}
	}
	return line
}

// copyIn runs one COPY of the table's rows over a session, or two: one in
// binary format, and one for the rows from the first that has to be text.
func (l *tableLoad) copyIn(ctx context.Context, conn *pgx.Conn, blocks <-chan *block, p *pool) error {
	reading, stop := context.WithCancel(ctx)
	defer stop()
	f := &feed{ctx: reading, load: l, blocks: blocks, pool: p, worker: l.layout.NewWorker(), counted: l.progress.Rows}
	if l.fresh {
		if err := execSQL(ctx, conn, "BEGIN"); err != nil {
			return err
		}
		if err := execSQL(ctx, conn, l.truncate); err != nil {
			return fmt.Errorf("load %s: %w", l.name, err)
		}
	}
	var err error
	for first := true; err == nil && f.begin(first); first = false {
		_, err = conn.PgConn().CopyFrom(ctx, f, l.copyStatement(first && l.types != nil))
	}
	stop()
	f.end()
	if f.failed != nil {
		if _, ok := errors.AsType[*mask.RowError](f.failed); ok {
			f.failed = command.Misconfigured(f.failed) // the row will be the same next time
		}
		return fmt.Errorf("load %s: %w", l.name, f.failed)
	}
	if err != nil {
		err = interrupted(ctx, postgres.Redact(err))
		var se *postgres.Error
		if errors.As(err, &se) && se.Line > 0 {
			return schemaError(fmt.Errorf("load %s, row %d: %w", l.name, f.row(se.Line), err))
		}
		return schemaError(fmt.Errorf("load %s: %w", l.name, err))
	}
	if l.fresh {
		if err := execSQL(ctx, conn, "COMMIT"); err != nil {
			return fmt.Errorf("load %s: %w", l.name, err)
		}
	}
	return nil
}

func (l *tableLoad) copyStatement(binary bool) string {
	var options []string
	if binary {
		options = append(options, "FORMAT binary")
	}
	if l.fresh {
		options = append(options, "FREEZE")
	}
	if len(options) == 0 {
		return l.copySQL
	}
	return l.copySQL + " WITH (" + strings.Join(options, ", ") + ")"
}
