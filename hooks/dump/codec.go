package dump

import (
	"bufio"
	"bytes"
	"errors"
	"io"

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
