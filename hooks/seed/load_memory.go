package seed

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"sync"

	"github.com/seedling-dev/seedling/hooks/command"
)

// What bounds the memory of an import, whatever the size of the archive and the number
// of sessions: rows travel in blocks of a fixed size, and a stream and its sessions
// hold a handful of them. Large rows are read, masked and sent one at a time. What one
// takes is estimated from its length, by mask.Layout.Factor, and a row that takes more
// than Options.Memory leaves is refused.
const (
	// DefaultMemory is Options.Memory in bytes unless it is set, LeastMemory the least
	// that it may be.
	DefaultMemory = 512 << 20
	LeastMemory   = 256 << 20
	// VerifyMemory is what a verification takes besides: the hashes of what it
	// looks for.
	VerifyMemory = 200 << 20
	// ownMemory is what the program takes beside large rows and the windows of
	// zstd: its code, blocks, decoders and connections, four sessions of them.
	ownMemory = 64 << 20
	// restMemory is for all but large windows of zstd.
	restMemory = 128 << 20
	// verifyCopies is how many times its length a large row takes in a verification,
	// beside what its mask takes.
	verifyCopies = 4
	// blockSize is the piece that rows travel in. A block grows to largeRow to
	// hold one row.
	blockSize = 256 << 10
	// largeRow is the size above which a row is large.
	largeRow = 1 << 20
	// maxRow is what the server takes as one line of a COPY.
	maxRow = 1<<30 - 1
)

// block is some whole rows of a table, as the dump has them.
type block struct {
	data  []byte // rows, each with its newline
	first int64  // number of the rows before it
	large bool   // holds the token for large rows
}

// pool lends blocks, and the token for large rows to one of them at a time.
type pool struct {
	// small says that large rows end a reading with errLargeRow.
	small  bool
	p      sync.Pool
	token  chan struct{}
	memory int64        // Options.Memory
	window func() int64 // bytes of it that the dump takes
}

// pool returns a pool for the open archive.
func (r *checked) pool() *pool {
	return newPool(r.Memory, func() int64 { return r.archive.Window(r.Jobs) })
}

func newPool(memory int64, window func() int64) *pool {
	return &pool{
		p:      sync.Pool{New: func() any { return &block{data: make([]byte, 0, blockSize)} }},
		token:  make(chan struct{}, 1),
		memory: memory, window: window,
	}
}

// errLargeRow ends the reading of a sample at a row for which it has no memory.
var errLargeRow = errors.New("a large row")

// most is how many bytes of memory there are for a large row.
func (p *pool) most() int64 { return p.memory - ownMemory - p.window() }

// fits fails for a row that takes more memory than there is.
func (p *pool) fits(row, size int64) error {
	most := p.most()
	if size <= most {
		return nil
	}
	return command.Misconfiguredf("row %d takes about %d MB of memory while it is masked, and --memory leaves %d MB for one row: give --memory %dMB or more, and the pod as much",
		row, size>>20, most>>20, (p.memory+size-most)>>20+1)
}

// longestMask is how long the mask of a large row may become, if the row takes factor
// times its length. What the mask is longer than the row counts four times: while it
// grows, there are copies of it that the collector has not freed yet.
func (p *pool) longestMask(length, factor int64) int64 {
	return length + length/8 + max(0, p.most()-factor*length)/4
}

// sizeWith is what a large row takes if its mask has mask bytes.
func sizeWith(mask, length, factor int64) int64 {
	return factor*length + 4*max(0, mask-length-length/8)
}

func (p *pool) get() *block {
	b := p.p.Get().(*block)
	b.data, b.first = b.data[:0], 0
	return b
}

func (p *pool) put(b *block) {
	switch {
	case b.large:
		length := len(b.data)
		*b = block{}
		collect(length)
		<-p.token
	case cap(b.data) == blockSize:
		p.p.Put(b)
	}
}

// grow makes room for a row that is longer than its block.
func (p *pool) grow(ctx context.Context, b *block, table string) error {
	size := 2 * cap(b.data)
	switch {
	case len(b.data) >= maxRow:
		return command.Misconfiguredf("read %s: a row is longer than %d bytes, which no COPY can hold: the dump is damaged", table, maxRow)
	case b.large:
		size = len(b.data) + len(b.data)/8
	case size > largeRow:
		select {
		case p.token <- struct{}{}:
			b.large = true
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	b.data = append(make([]byte, 0, size), b.data...)
	collect(len(b.data))
	return nil
}

// collect frees at once what a very long row leaves: several times its length might
// wait for the collector otherwise.
func collect(length int) {
	const long = 16 << 20
	if length > long {
		runtime.GC()
	}
}

// refuse reads the rest of a row that takes too much memory, to say how much.
func (p *pool) refuse(r io.Reader, b *block, row, factor int64) error {
	length := int64(len(b.data))
	for part := b.data[:blockSize]; ; {
		n, err := r.Read(part)
		end := bytes.IndexByte(part[:n], '\n')
		if end >= 0 {
			n = end
		}
		if length += int64(n); end >= 0 || err != nil {
			return p.fits(row, factor*length)
		}
	}
}
