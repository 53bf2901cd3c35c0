package seed

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"syscall"
	"unsafe"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/copytext"
)

// What bounds the memory of an import, whatever the archive's size and however
// many sessions load: rows travel in blocks of a fixed size, of which a stream
// and its sessions hold a handful; a row beyond bigRow needs the one token of
// the import, and lies with its mask outside Go's heap, where nothing is copied
// to grow, nothing is left for the collector to find, and what stays of a row is
// sent from where it was read. A row that takes more than is left of
// Options.Memory is refused.
const (
	// LeastMemory is the least that Options.Memory may be, and its default, in
	// bytes: it does for values of 50 MB in a dump made with -Z zstd:long.
	LeastMemory = 256 << 20
	// ownMemory is what the program takes beside big rows and the windows of
	// zstd: its code, blocks, decoders and connections, four sessions of them.
	ownMemory = 64 << 20
	// restMemory is for all but large windows of zstd.
	restMemory = 128 << 20
	// verifyMemory is what a verification takes besides, for hashes of what it
	// looks for. It holds rows as they are written, and more than once.
	verifyMemory = 200 << 20
	// blockSize is the piece that rows travel in. A block grows to bigRow to
	// hold one row.
	blockSize = 256 << 10
	// bigRow is the size above which a row needs the token.
	bigRow = 1 << 20
	// maxRow is what the server takes as one line of a COPY.
	maxRow = 1<<30 - 1
	// hugeRow is the size from which on the collector makes room for a row, and
	// gives back at once what masking it took.
	hugeRow = 16 << 20
	// codeMemory is what of ownMemory does not count as Go's heap, liveMemory what
	// of the heap is in use.
	codeMemory, liveMemory = 40 << 20, 24 << 20
)

// block is some whole rows of a table, as the dump has them.
type block struct {
	data  []byte // rows, each with its newline
	first int64  // number of the rows before it
	big   bool   // holds the token for big rows
	// packer, if set, has packed the one row that the block holds then
	packer *copytext.Packer
}

// pool lends blocks, and the memory for big rows to one stream at a time.
type pool struct {
	p       sync.Pool
	token   chan struct{}
	in, out region // of the token's holder: the row, and its mask
	asked   int64  // bytes, of Options.Memory
	memory  int64  // bytes that the program may take
	heap    func(most int64)
	window  func() int64 // bytes of it that the dump takes
}

// pool returns a pool for the open dump.
func (r *run) pool() *pool {
	p := &pool{
		p:     sync.Pool{New: func() any { return &block{data: make([]byte, 0, blockSize)} }},
		token: make(chan struct{}, 1),
		asked: r.Memory, memory: r.Memory, heap: r.Heap, window: func() int64 { return r.dump.Window(r.Jobs) },
	}
	p.beside(0)
	return p
}

// beside makes the collector leave room for a row, and what is made of it, of so
// many bytes outside of the heap. Rows that are not huge always have it.
func (p *pool) beside(row int64) {
	least := liveMemory + p.window() // less would keep the collector busy
	p.heap(max(p.memory-codeMemory-max(row, 2*hugeRow), least))
	if row > 0 {
		debug.FreeOSMemory()
	}
}

// pack packs the bytes of a big row that have come, of the columns named.
func (b *block) pack(columns []bool) {
	if b.packer == nil {
		b.packer = &copytext.Packer{Columns: columns}
	}
	b.data = b.packer.Pack(b.data)
}

// packed are the spans of the block's row.
func (b *block) packed() []copytext.Span {
	if b.packer == nil {
		return nil
	}
	return b.packer.Spans
}

// rows is how many rows the block holds.
func (b *block) rows() int64 {
	if len(b.packed()) > 0 {
		return 1
	}
	return int64(bytes.Count(b.data, []byte{'\n'}))
}

// cut is copytext.CutLine of what is left of the block.
func (b *block) cut(rest []byte) (line, tail []byte, ok bool) {
	if len(b.packed()) > 0 && len(rest) > 0 { // bytes that are packed may be newlines
		return rest[:len(rest)-1], nil, true
	}
	return copytext.CutLine(rest)
}

// most is how many bytes of memory there are for a big row and its mask.
func (p *pool) most() int64 { return p.memory - ownMemory - p.window() }

// fits fails for a row that takes more memory than there is.
func (p *pool) fits(row, size int64) error {
	most := p.most()
	if size <= most {
		return nil
	}
	return command.Misconfiguredf("row %d and its mask take %d MB of memory or more, and --memory leaves %d MB for one row: give --memory %dMB or more, and the pod as much",
		row, size>>20, most>>20, (p.asked+size-most)>>20+1)
}

// close gives the memory for big rows back. Nothing may use blocks any more.
func (p *pool) close() {
	p.in.unmap()
	p.out.unmap()
}

func (p *pool) get() *block {
	b := p.p.Get().(*block)
	b.data, b.first, b.big, b.packer = b.data[:0], 0, false, nil
	return b
}

func (p *pool) put(b *block) {
	if b.big {
		p.in.empty()
		p.out.empty()
		if len(b.data) > hugeRow {
			p.beside(0)
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
		return command.Misconfiguredf("read %s: a row is longer than %d bytes, which no COPY can hold: the dump is damaged", table, maxRow)
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
func (r *region) empty() { r.forget(r.mem) }

// forget gives back the memory of a part of the region: its whole pages, which
// read as zeros from then on. What lies elsewhere is left alone.
func (r *region) forget(part []byte) {
	if len(r.mem) == 0 || len(part) == 0 {
		return
	}
	address := func(b []byte) int { return int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) } //nolint:gosec // a number to compare; nothing is read through it
	begin := address(part) - address(r.mem)
	if begin < 0 || begin+len(part) > len(r.mem) {
		return
	}
	page := os.Getpagesize()
	from, to := (begin+page-1)/page*page, (begin+len(part))/page*page
	if from < to {
		_ = syscall.Madvise(r.mem[from:to], syscall.MADV_DONTNEED) // does not fail for such a mapping
	}
}

func (r *region) unmap() {
	if r.mem != nil {
		_ = syscall.Munmap(r.mem)
		r.mem = nil
	}
}
