package dump

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// Kinds of data blocks in a custom archive.
const (
	blockData  = 1
	blockBlobs = 3
)

// indexCustom finds where each entry's block begins and ends. Archives that
// pg_dump wrote to a pipe lack the offsets: they are read through once.
func (d *Dump) indexCustom(ctx context.Context, start int64) error {
	d.ends = map[int]int64{}
	var set []*Entry
	size := d.Size
	unknown := func() bool {
		return slices.ContainsFunc(d.Entries, func(e *Entry) bool { return e.HasData && e.offset < 0 })
	}
	if unknown() {
		found, err := d.appendedTOC(ctx)
		if err != nil {
			return err
		}
		if !found {
			return d.scanCustom(ctx, start)
		}
		size -= d.tocSize
	}
	for _, e := range d.Entries {
		switch {
		case !e.HasData:
		case e.offset < start || e.offset >= size:
			return unusable("the data of %s should begin at byte %d of %d: the dump is truncated or damaged", e.Name(), e.offset, size)
		default:
			set = append(set, e)
		}
	}
	slices.SortFunc(set, func(a, b *Entry) int { return int(min(1, max(-1, a.offset-b.offset))) })
	for i, e := range set {
		end := size
		if i+1 < len(set) {
			end = set[i+1].offset
		}
		if end == e.offset {
			return unusable("the table of contents is damaged: two tables share byte %d", e.offset)
		}
		d.ends[e.ID] = end
		e.Bytes = end - e.offset
	}
	if len(set) == 0 {
		return nil
	}
	// Each block ends with an integer zero, so the last one tells most
	// truncated files before anything is loaded.
	tail := d.reader(ctx, d.obj, size-int64(1+d.intSize), int64(1+d.intSize))
	defer tail.Close()
	b, err := io.ReadAll(tail)
	if err != nil {
		return err
	}
	for _, c := range b {
		if c != 0 {
			return unusable("the last block has no end: the dump is truncated or damaged")
		}
	}
	return nil
}

// appendedTOC looks for a second table of contents at the end of the file, with
// the offsets that the first one lacks: `pg_dump -Fc > file` leaves that when it
// goes back to fill them in and its output only appends.
func (d *Dump) appendedTOC(ctx context.Context) (bool, error) {
	at := d.Size - d.tocSize
	if at < d.dataStart {
		return false, nil
	}
	body := d.reader(ctx, d.obj, at, d.tocSize)
	defer body.Close()
	again := &Dump{intSize: d.intSize, offSize: d.offSize}
	p := &parser{r: bufio.NewReader(body), sum: sha256.New(), left: d.tocSize, intSize: d.intSize, offSize: d.offSize}
	if err := again.parseEntries(p, p.int(), d.minor, 1); err != nil || p.left != 0 || len(again.Entries) != len(d.Entries) {
		if body.failed != nil {
			return false, body.failed
		}
		return false, nil
	}
	for i, e := range again.Entries {
		o := d.Entries[i]
		if e.ID != o.ID || e.Kind != o.Kind || e.Tag != o.Tag || e.HasData && e.offset < 0 {
			return false, nil
		}
	}
	for i, e := range again.Entries {
		d.Entries[i].HasData, d.Entries[i].offset = e.HasData, e.offset
	}
	return true, nil
}

// allSeen says that every entry with data has come by.
func (d *Dump) allSeen(seen map[int]bool) bool {
	return !slices.ContainsFunc(d.Entries, func(e *Entry) bool { return e.HasData && !seen[e.ID] })
}

// scanCustom walks over all blocks to learn their places.
func (d *Dump) scanCustom(ctx context.Context, start int64) error {
	body := d.reader(ctx, d.obj, start, d.Size-start)
	defer body.Close()
	c := &blocks{r: bufio.NewReaderSize(body, 1<<18), intSize: d.intSize, at: start}
	seen := map[int]bool{}
	for c.at < d.Size {
		begin := c.at
		if d.allSeen(seen) && d.Size-c.at == d.tocSize {
			break // see appendedTOC
		}
		kind, id, err := c.header()
		if err != nil {
			return truncated(err)
		}
		e := d.byID[id]
		if e == nil || seen[id] {
			return unusable("the archive is damaged: a block at byte %d belongs to entry %d", begin, id)
		}
		seen[id] = true
		switch kind {
		case blockData:
			err = c.skip()
		case blockBlobs:
			for {
				var oid int
				if oid, err = c.int(); err != nil || oid == 0 {
					break
				}
				if err = c.skip(); err != nil {
					break
				}
			}
		default:
			return unusable("the archive is damaged: a block at byte %d is of kind %d", begin, kind)
		}
		if err != nil {
			return truncated(err)
		}
		e.offset, e.Bytes, e.HasData = begin, c.at-begin, true
		d.ends[id] = c.at
	}
	for _, e := range d.Entries {
		if e.HasData && !seen[e.ID] {
			return unusable("the data of %s is missing: the dump is truncated or damaged", e.Name())
		}
	}
	return nil
}

func truncated(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return unusable("it ends in the middle of a block: the dump is truncated or damaged")
	}
	return err
}

// blocks reads the framing of a custom archive's data part.
type blocks struct {
	r       *bufio.Reader
	intSize int
	at      int64
	left    int  // of the current chunk
	done    bool // the chunks of the current stream are at their end
}

func (c *blocks) header() (kind byte, id int, err error) {
	if kind, err = c.r.ReadByte(); err != nil {
		return 0, 0, err
	}
	c.at++
	id, err = c.int()
	return kind, id, err
}

func (c *blocks) int() (int, error) {
	var b [9]byte
	n, err := io.ReadFull(c.r, b[:1+c.intSize])
	c.at += int64(n)
	if err != nil {
		return 0, err
	}
	v := 0
	for i := c.intSize; i >= 1; i-- {
		v = v<<8 | int(b[i])
	}
	if b[0] != 0 {
		v = -v
	}
	return v, nil
}

// object reads the number of a large object, 0 after the last. pg_dump writes
// those from 2^31 on as the negative integers that have the same bits.
func (c *blocks) object() (uint32, error) {
	v, err := c.int()
	if err == nil && (v < math.MinInt32 || v > math.MaxUint32) {
		err = unusable("the archive is damaged: a large object has the number %d", v)
	}
	return uint32(v), err
}

// skip passes over all chunks of a stream.
func (c *blocks) skip() error {
	for {
		n, err := c.int()
		if err != nil {
			return err
		}
		if n == 0 {
			return nil
		}
		if n < 0 {
			return unusable("the archive is damaged: a chunk of %d bytes before byte %d", n, c.at)
		}
		m, err := c.r.Discard(n)
		c.at += int64(m)
		if err != nil {
			return err
		}
	}
}

// Read returns the bytes of a stream's chunks.
func (c *blocks) Read(p []byte) (int, error) {
	if c.done {
		return 0, io.EOF
	}
	if c.left == 0 {
		n, err := c.int()
		if err != nil {
			return 0, truncated(err)
		}
		if n == 0 {
			c.done = true
			return 0, io.EOF
		}
		if n < 0 {
			return 0, unusable("the archive is damaged: a chunk of %d bytes before byte %d", n, c.at)
		}
		c.left = n
	}
	n, err := c.r.Read(p[:min(len(p), c.left)])
	c.at += int64(n)
	c.left -= n
	if err != nil {
		return n, truncated(err)
	}
	return n, nil
}

// block opens the block of an entry and checks its header.
func (d *Dump) block(ctx context.Context, e *Entry, want byte) (*blocks, *resuming, error) {
	body := d.reader(ctx, d.obj, e.offset, d.ends[e.ID]-e.offset)
	size := 1 << 18
	if n := d.ends[e.ID] - e.offset; n < int64(size) {
		size = max(16, int(n))
	}
	c := &blocks{r: bufio.NewReaderSize(body, size), intSize: d.intSize, at: e.offset}
	kind, id, err := c.header()
	if err == nil && (kind != want || id != e.ID) {
		err = unusable("the archive is damaged: the block at byte %d is not the one the table of contents promises", e.offset)
	}
	if err != nil {
		body.Close()
		return nil, nil, truncated(err)
	}
	return c, body, nil
}

func (d *Dump) customData(ctx context.Context, e *Entry) (io.ReadCloser, error) {
	c, body, err := d.block(ctx, e, blockData)
	if err != nil {
		return nil, err
	}
	z, err := d.entryDecoder(ctx, d.codec, c, true)
	if err != nil {
		body.Close()
		return nil, streamError(body, err)
	}
	return &dataReader{z: z, src: body, finish: func() error {
		// What the decoder left: the end marker, and nothing else.
		if n, err := io.Copy(io.Discard, c); err != nil {
			return err
		} else if n > 0 && d.codec != codecGzip {
			return unusable("the archive is damaged: the compressed data ends before its block")
		}
		if c.at != d.ends[e.ID] {
			return unusable("the archive is damaged: the block ends at byte %d, the next begins at %d", c.at, d.ends[e.ID])
		}
		return nil
	}}, nil
}

// streamError is the source's own failure if there was one, and otherwise what
// the decoder said of its input.
func streamError(src *resuming, err error) error {
	if src.failed != nil {
		return src.failed
	}
	return badStream(err)
}

func badStream(err error) error {
	if err == nil || errors.Is(err, ErrUnusable) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if errors.Is(err, zstd.ErrWindowSizeExceeded) {
		return unusable("a frame of its zstd streams has a larger window than the one before: compress the dump again as one frame")
	}
	return unusable("the compressed data is damaged: %w", err)
}

// dataReader is one table's data: decompressed, and at its end checked.
type dataReader struct {
	z      io.ReadCloser
	src    *resuming
	finish func() error
	err    error
}

func (r *dataReader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.z.Read(p)
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF) && r.src.failed == nil:
		if ferr := r.finish(); ferr != nil {
			err = ferr
		}
	default:
		err = streamError(r.src, err)
	}
	r.err = err
	return n, err
}

// Stored is how many stored bytes have been read.
func (r *dataReader) Stored() int64 { return r.src.off - r.src.begin }

func (r *dataReader) Close() error {
	return errors.Join(r.z.Close(), r.src.Close())
}

// Data opens the data of a TABLE DATA entry: COPY text, decompressed.
func (d *Dump) Data(ctx context.Context, e *Entry) (io.ReadCloser, error) {
	if !e.HasData {
		return nil, fmt.Errorf("read %s of dump %s: it holds no data for it", e.Name(), d.Name)
	}
	var r io.ReadCloser
	var err error
	switch d.Format {
	case Custom:
		r, err = d.customData(ctx, e)
	case Directory:
		r, err = d.directoryData(ctx, e.file)
	case Plain:
		r, err = d.plainData(ctx, e)
	default:
		r, err = d.memberData(ctx, e.file)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s of dump %s: %w", e.Name(), d.Name, err)
	}
	return &named{r, e.Name(), d.Name}, nil
}

// named adds to an error which table of which dump it concerns.
type named struct {
	io.ReadCloser
	table, dump string
}

func (n *named) Read(p []byte) (int, error) {
	k, err := n.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("read %s of dump %s: %w", n.table, n.dump, err)
	}
	return k, err
}

// Stored is how many stored bytes have been read.
func (n *named) Stored() int64 {
	if s, ok := n.ReadCloser.(interface{ Stored() int64 }); ok {
		return s.Stored()
	}
	return 0
}

// LargeObjects calls each with the content of every large object of a BLOBS
// entry. each need not read to the end.
func (d *Dump) LargeObjects(ctx context.Context, e *Entry, each func(oid uint32, r io.Reader) error) error {
	var err error
	came := 0
	counted := func(oid uint32, r io.Reader) error {
		came++
		return each(oid, r)
	}
	switch d.Format {
	case Custom:
		err = d.customLargeObjects(ctx, e, counted)
	case Plain:
		err = errPlainObjects
	default:
		err = d.fileLargeObjects(ctx, e, counted)
	}
	if err == nil {
		err = d.enoughObjects(came, e)
	}
	if err != nil {
		return fmt.Errorf("read large objects of dump %s: %w", d.Name, err)
	}
	return nil
}

// enoughObjects compares how many large objects came by with the given entries
// and how many the table of contents makes: their list ends where its file
// does. Since PostgreSQL 17 an entry depends on the one that makes its objects;
// before, each object has an entry. A dump of data alone has neither, and
// cannot tell.
func (d *Dump) enoughObjects(came int, entries ...*Entry) error {
	want := 0
	for _, e := range entries {
		for _, id := range e.Deps {
			if m := d.byID[id]; m != nil && m.Kind == "BLOB METADATA" {
				want += len(strings.Fields(m.Create))
			}
		}
	}
	if want == 0 {
		for _, e := range d.Entries {
			if e.Kind == "BLOB" {
				want++
			}
		}
	}
	if want != 0 && want != came {
		return unusable("it holds %d large objects, %d should be there: the dump is truncated or damaged", came, want)
	}
	return nil
}

func (d *Dump) customLargeObjects(ctx context.Context, e *Entry, each func(oid uint32, r io.Reader) error) error {
	c, src, err := d.block(ctx, e, blockBlobs)
	if err != nil {
		return err
	}
	defer src.Close()
	for {
		oid, err := c.object()
		if err != nil {
			return truncated(err)
		}
		if oid == 0 {
			break
		}
		c.left, c.done = 0, false
		z, err := d.entryDecoder(ctx, d.codec, c, true)
		if err != nil {
			return streamError(src, err)
		}
		r := &dataReader{z: z, src: src, finish: func() error { return nil }}
		if err = each(oid, r); err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		z.Close()
		if err == nil {
			_, err = io.Copy(io.Discard, c)
		}
		if err != nil {
			return err
		}
	}
	if c.at != d.ends[e.ID] {
		return unusable("the archive is damaged: the block ends at byte %d, the next begins at %d", c.at, d.ends[e.ID])
	}
	return nil
}
