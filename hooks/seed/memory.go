package seed

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"syscall"

	"github.com/seedling-dev/seedling/hooks/hook"
)

// What bounds the memory of an import, whatever the archive's size and however
// many sessions load: rows travel in blocks of a fixed size, of which a stream
// and its sessions hold a handful; a row beyond bigRow needs the one token of
// the import, and lies with its mask outside Go's heap, where nothing is copied
// to grow, nothing is left for the collector to find, and what stays of a row is
// sent from where it was read.
const (
	// blockSize is the piece that rows travel in. A block grows to bigRow to
	// hold one row.
	blockSize = 256 << 10
	// bigRow is the size above which a row needs the token.
	bigRow = 1 << 20
	// maxRow is what the server takes as one line of a COPY.
	maxRow = 1<<30 - 1
	// hugeRow is the size from which on the collector gives back at once what
	// masking a row took.
	hugeRow = 16 << 20
)

// block is some whole rows of a table, as the dump has them.
type block struct {
	data  []byte // rows, each with its newline
	first int64  // number of the rows before it
	big   bool   // holds the token for big rows
}

// pool lends blocks, and the memory for big rows to one stream at a time.
type pool struct {
	p       sync.Pool
	token   chan struct{}
	in, out region // of the token's holder: the row, and its mask
}

func newPool() *pool {
	return &pool{p: sync.Pool{New: func() any { return &block{data: make([]byte, 0, blockSize)} }}, token: make(chan struct{}, 1)}
}

// close gives the memory for big rows back. Nothing may use blocks any more.
func (p *pool) close() {
	p.in.unmap()
	p.out.unmap()
}

func (p *pool) get() *block {
	b := p.p.Get().(*block)
	b.data, b.first, b.big = b.data[:0], 0, false
	return b
}

func (p *pool) put(b *block) {
	if b.big {
		p.in.empty()
		p.out.empty()
		if len(b.data) > hugeRow {
			debug.FreeOSMemory()
		}
		*b = block{}
		<-p.token
		return
	}
	if cap(b.data) == blockSize {
		p.p.Put(b)
	}
}

// grow makes room for a row that is longer than its block.
func (p *pool) grow(ctx context.Context, b *block, table string) error {
	switch size := cap(b.data) * 2; {
	case b.big:
		return hook.Misconfiguredf("read %s: a row is longer than %d bytes, which no COPY can hold: the dump is damaged", table, maxRow)
	case size > bigRow:
		select {
		case p.token <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		room, err := p.in.room(maxRow)
		if err != nil {
			<-p.token
			return err
		}
		b.big = true
		b.data = append(room, b.data...)
	default:
		b.data = append(make([]byte, 0, size), b.data...)
	}
	return nil
}

// masked is memory for the mask of the token holder's row.
func (p *pool) masked() ([]byte, error) { return p.out.room(maxRow + maxRow/4) }

// region is address space that takes memory where it is written, and gives it
// back when it is emptied.
type region struct{ mem []byte }

// room returns the region, empty.
func (r *region) room(size int) ([]byte, error) {
	if r.mem == nil {
		mem, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE|syscall.MAP_NORESERVE)
		if err != nil {
			return nil, fmt.Errorf("reserve %d bytes of address space for a big row: %w", size, err)
		}
		r.mem = mem
	}
	return r.mem[:0], nil
}

// empty gives the region's memory back.
func (r *region) empty() {
	if r.mem != nil {
		_ = syscall.Madvise(r.mem, syscall.MADV_DONTNEED) // does not fail for such a mapping
	}
}

func (r *region) unmap() {
	if r.mem != nil {
		_ = syscall.Munmap(r.mem)
		r.mem = nil
	}
}
