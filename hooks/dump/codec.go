package dump

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"runtime/debug"
	"sync"

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

// decoder decompresses a data stream. Custom archives hold zlib streams where
// files hold gzip ones.
func (c codec) decoder(r io.Reader, stream bool) (io.ReadCloser, error) {
	switch c {
	case codecGzip:
		if stream {
			return newZlib(r)
		}
		return gzip.NewReader(bufio.NewReaderSize(r, 1<<16))
	case codecLZ4:
		return io.NopCloser(lz4.NewReader(r)), nil
	case codecZstd:
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(1<<27))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	default:
		return io.NopCloser(r), nil
	}
}

// largeWindow is the history that a zstd stream may look back on, in bytes, above
// which only one stream of a dump is read at a time. pg_dump goes beyond it with
// -Z zstd:long only, whose 128 MB would otherwise be held for each session.
const largeWindow = 8 << 20

// entryDecoder is decoder for the data of one entry, of which several are read
// at once. It waits for a large window to be free, and fails only with the
// context's error there; closing the reader frees it.
func (d *Dump) entryDecoder(ctx context.Context, c codec, r io.Reader, stream bool) (io.ReadCloser, error) {
	if c != codecZstd {
		return c.decoder(r, stream)
	}
	br := bufio.NewReaderSize(r, 1<<16)
	head, _ := br.Peek(zstd.HeaderMaxSize) // what is wrong with it is the decoder's to say
	var h zstd.Header
	if h.Decode(head) != nil || h.WindowSize <= largeWindow {
		return c.decoder(br, stream)
	}
	select {
	case d.window <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	z, err := c.decoder(br, stream)
	if err != nil {
		<-d.window
		return nil, err
	}
	return &windowed{ReadCloser: z, free: sync.OnceFunc(func() { <-d.window })}, nil
}

type windowed struct {
	io.ReadCloser
	free func()
}

func (w *windowed) Close() error {
	defer w.free()
	err := w.ReadCloser.Close()
	w.ReadCloser = io.NopCloser(bytes.NewReader(nil))
	debug.FreeOSMemory() // the next one takes as much
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
