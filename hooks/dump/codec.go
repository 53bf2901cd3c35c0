package dump

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// codec is how pg_dump compressed the data.
type codec int

const (
	codecNone codec = iota
	codecGzip
	codecLZ4
	codecZstd
)

// decoder decompresses a data stream of any codec but zstd. Custom archives hold
// zlib streams where files hold gzip ones.
func (c codec) decoder(r io.Reader, stream bool) (io.ReadCloser, error) {
	switch c {
	case codecGzip:
		if stream {
			return newZlib(r)
		}
		return gzip.NewReader(bufio.NewReaderSize(r, 1<<16))
	case codecLZ4:
		return io.NopCloser(lz4.NewReader(r)), nil
	default:
		return io.NopCloser(r), nil
	}
}

// largeWindow is the history that a zstd stream may look back on, in bytes, above
// which Options.Windows must allow it, and only one stream of a dump is read at a
// time. pg_dump goes beyond it with -Z zstd:long, whose 128 MB would otherwise be
// held for each session, and with levels of 20 and more.
const largeWindow = 8 << 20

// WindowError says that a zstd stream looks back on more than Options.Windows
// allows.
type WindowError struct {
	// Size is how far it looks back, Need what Options.Windows must be for it and
	// for a stream around it: bytes.
	Size, Need int64
}

func (e *WindowError) Error() string {
	return fmt.Sprintf("it is compressed by zstd with a window of %d MB, as by pg_dump -Z zstd:long and by levels of 20 and more, which takes more memory than is allowed", e.Size>>20)
}

// Is makes it an [ErrUnusable]: another attempt meets the same window.
func (e *WindowError) Is(target error) bool { return target == ErrUnusable }

// windowed is a stream of zstd whose header was read.
type windowed struct {
	r      *bufio.Reader
	size   int64 // of the window, in bytes; 0 if the header is damaged
	memory int64 // that a large window takes: twice its size
}

// window reads how far a stream of zstd looks back. What is wrong with its
// header is the decoder's to say. taken bytes are what the window of the stream
// around it takes.
func (d *Dump) zstdWindow(r io.Reader, taken int64) (*windowed, error) {
	w := &windowed{r: bufio.NewReaderSize(r, 1<<16)}
	head, _ := w.r.Peek(zstd.HeaderMaxSize)
	var h zstd.Header
	if h.Decode(head) == nil {
		const absurd = 1 << 40 // that headers can tell
		w.size = int64(min(h.WindowSize, absurd))
		if h.SingleSegment {
			w.size = int64(min(h.FrameContentSize, absurd))
		}
	}
	if w.size <= largeWindow {
		raise(&d.ordinary, w.size)
		return w, nil
	}
	w.memory = 2 * w.size
	if taken+w.memory > d.windows {
		return nil, &WindowError{w.size, taken + w.memory}
	}
	raise(&d.widest, taken+w.memory)
	return w, nil
}

func raise(most *atomic.Int64, to int64) {
	for {
		if old := most.Load(); to <= old || most.CompareAndSwap(old, to) {
			return
		}
	}
}

// decoder decompresses the stream. Frames behind the first may not look back on
// more than the first, or what is ordinary.
func (w *windowed) decoder() (io.ReadCloser, error) {
	most := max(w.size, largeWindow)
	// In memory of its own size a large window, once full, is moved down for every
	// megabyte more, which takes twice as long as all else.
	low := w.size <= largeWindow
	z, err := zstd.NewReader(w.r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(low), zstd.WithDecoderMaxWindow(uint64(most)))
	if err != nil {
		return nil, err
	}
	return z.IOReadCloser(), nil
}

// decoder decompresses a stream that is read while no other is, but for the one
// around it, whose window takes so many bytes. It returns how many this one takes.
func (d *Dump) decoder(c codec, r io.Reader, stream bool, taken int64) (z io.ReadCloser, window int64, err error) {
	if c != codecZstd {
		z, err = c.decoder(r, stream)
		return z, 0, err
	}
	w, err := d.zstdWindow(r, taken)
	if err != nil {
		return nil, 0, err
	}
	z, err = w.decoder()
	return z, w.memory, err
}

// Window is how many bytes of memory the windows of so many streams take that are
// read at once, as far as streams have been opened: those of ordinary size for
// each, large ones, which are part of Options.Windows, once.
func (d *Dump) Window(streams int) int64 {
	return d.widest.Load() + int64(streams)*d.ordinary.Load()
}

// entryDecoder is decoder for the data of one entry, of which several are read
// at once. It waits for a large window to be free, and fails with the context's
// error there; closing the reader frees it.
func (d *Dump) entryDecoder(ctx context.Context, c codec, r io.Reader, stream bool) (io.ReadCloser, error) {
	if c != codecZstd {
		return c.decoder(r, stream)
	}
	w, err := d.zstdWindow(r, 0)
	if err != nil {
		return nil, err
	}
	if w.size <= largeWindow {
		return w.decoder()
	}
	select {
	case d.large <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	z, err := w.decoder()
	if err != nil {
		<-d.large
		return nil, err
	}
	return &exclusive{ReadCloser: z, free: sync.OnceFunc(func() { <-d.large })}, nil
}

// exclusive is a stream with a large window: the next one waits for its end.
type exclusive struct {
	io.ReadCloser
	free func()
}

func (e *exclusive) Close() error {
	defer e.free()
	err := e.ReadCloser.Close()
	e.ReadCloser = io.NopCloser(bytes.NewReader(nil))
	return err
}

// newZlib is lenient in one place only: pg_dump may write no bytes at all for
// an empty table.
func newZlib(r io.Reader) (io.ReadCloser, error) {
	br := bufio.NewReaderSize(r, 1<<16)
	if _, err := br.Peek(1); errors.Is(err, io.EOF) {
		return io.NopCloser(bytes.NewReader(nil)), nil
	}
	return zlib.NewReader(br)
}

type suffix struct {
	name  string
	codec codec
}

// suffixes are the names pg_dump gives compressed files of a directory.
var suffixes = []suffix{{"", codecNone}, {".gz", codecGzip}, {".zst", codecZstd}, {".lz4", codecLZ4}}
