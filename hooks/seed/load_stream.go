package seed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/copytext"
)

// stream cuts a table's data into blocks of whole rows. A large row takes factor
// times its length of memory.
func stream(ctx context.Context, r io.Reader, table string, factor int64, p *pool, out chan<- *block) error {
	b := p.get()
	defer func() { p.put(b) }()
	var row int64
	send := func(next *block) error {
		b.first = row
		row += int64(bytes.Count(b.data, []byte{'\n'}))
		select {
		case out <- b:
			b = next
			return nil
		case <-ctx.Done():
			p.put(next)
			return context.Cause(ctx)
		}
	}
	for {
		var err error
		// In steps, also where a large row has more room: what follows the row
		// belongs into the next block.
		old := len(b.data)
		if b.large && p.small {
			return errLargeRow
		}
		if b.large && p.fits(row+1, factor*int64(old)) != nil {
			return fmt.Errorf("load %s: %w", table, p.refuse(r, b, row+1, factor))
		}
		for to := min(cap(b.data), old+blockSize); len(b.data) < to && err == nil; {
			var n int
			n, err = r.Read(b.data[len(b.data):to])
			b.data = b.data[:len(b.data)+n]
		}
		if i := endMark(b.data); i >= 0 {
			rest := b.data[i+3:]
			if err := trailing(rest, r, err, table); err != nil {
				return err
			}
			if b.data = b.data[:i]; i == 0 {
				return nil
			}
			return send(p.get())
		}
		if errors.Is(err, io.EOF) {
			return command.Misconfiguredf("read %s: its rows end without the end mark: the dump is truncated or damaged", table)
		}
		if err != nil {
			return err
		}
		// What was there before the last step has no newline.
		end := bytes.LastIndexByte(b.data[old:], '\n')
		if end < 0 {
			if len(b.data) == cap(b.data) {
				if err := p.grow(ctx, b, table); err != nil {
					return err
				}
			}
			continue
		}
		end += old + 1
		next := p.get()
		next.data = append(next.data, b.data[end:]...)
		b.data = b.data[:end]
		if err := send(next); err != nil {
			return err
		}
	}
}

// endMark returns where the line \. begins that ends a table's rows, if only
// line ends follow it in data, which begins with a line; else -1. (A value that
// reads \. is escaped.)
func endMark(data []byte) int {
	if len(data) == 0 || data[len(data)-1] != '\n' {
		return -1
	}
	lines := bytes.TrimRight(data, "\r\n")
	if i := len(lines) - 2; i >= 0 && copytext.IsEnd(lines[i:]) && (i == 0 || lines[i-1] == '\n') {
		return i
	}
	return -1
}

// trailing checks that nothing but line ends follows the end mark, and reads
// the stream to its end, which is where the dump's own checks are made.
func trailing(rest []byte, r io.Reader, err error, table string) error {
	buf := make([]byte, 512)
	for {
		for _, c := range rest {
			if c != '\n' && c != '\r' {
				return command.Misconfiguredf("read %s: bytes follow the end mark: the dump is damaged", table)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var n int
		n, err = r.Read(buf)
		rest = buf[:n]
	}
}

// metered reports how far the stored data has been read.
type metered struct {
	r    io.Reader
	done func(int64)
	last int64
}

func (m *metered) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if s, ok := m.r.(interface{ Stored() int64 }); ok && m.done != nil {
		now := s.Stored()
		m.done(now - m.last)
		m.last = now
	}
	return n, err
}
