package dump

import (
	"bufio"
	"context"
	"errors"
	"hash"
	"io"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// outer is the compression of the whole file, around its format.
func outer(magic []byte) codec {
	switch s := string(magic); {
	case strings.HasPrefix(s, "\x1f\x8b"):
		return codecGzip
	case strings.HasPrefix(s, "\x28\xb5\x2f\xfd"):
		return codecZstd
	case strings.HasPrefix(s, "\x04\x22\x4d\x18"):
		return codecLZ4
	}
	return codecNone
}

// streamed is the dump's content from its begin, decompressed.
type streamed struct {
	*dataReader
	*bufio.Reader
	window int64 // bytes of memory that its window takes
}

func (s *streamed) Read(p []byte) (int, error) { return s.Reader.Read(p) }

func (d *Dump) stream(ctx context.Context) (*streamed, error) {
	src := d.reader(ctx, d.obj, 0, d.obj.size())
	z, window, err := d.decoder(d.outer, src, false, 0)
	if err != nil {
		src.Close()
		return nil, streamError(src, err)
	}
	r := &dataReader{z: z, src: src, finish: func() error { return nil }}
	return &streamed{r, bufio.NewReaderSize(r, 1<<18), window}, nil
}

// openStream reads the table of contents of a file that is compressed as a
// whole. Its rows can then be had only in its own order.
func (d *Dump) openStream(ctx context.Context, toc hash.Hash) error {
	s, err := d.stream(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	magic, err := s.Peek(tarBlock)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch {
	case strings.HasPrefix(string(magic), "PGDMP"):
		d.Format = Custom
		p := &parser{r: s.Reader, sum: toc, left: maxTOC}
		if err := d.parse(p); err != nil {
			return truncated(err)
		}
		return nil
	case isTar(magic):
		d.Format = Tar
		head := make([]byte, tarBlock)
		for {
			if _, err := io.ReadFull(s, head); err != nil {
				return truncated(err)
			}
			h, ok, err := parseTarHeader(head)
			if err != nil {
				return err
			}
			if !ok {
				return unusable("it is a tar without toc.dat, so it is not a dump")
			}
			if path.Base(h.name) == "toc.dat" && h.file() {
				if err := d.parse(&parser{r: s.Reader, sum: toc, left: min(h.size, maxTOC)}); err != nil {
					return truncated(err)
				}
				return nil
			}
			if h.size > 1<<20 {
				// Then the entries would be known after their data.
				return unusable("its toc.dat does not stand first: unpack it and name the directory")
			}
			if _, err := s.Discard(int(padded(h.size))); err != nil {
				return truncated(err)
			}
		}
	default:
		return d.openPlain(s, toc)
	}
}

// Sequential says that the rows can only be read in the order of the dump, one
// table after the other: see Walk.
func (d *Dump) Sequential() bool { return d.outer != codecNone }

// Walk reads a sequential dump from begin to end and calls each with the data
// of every entry that has some. Large objects are given one by one, with their
// number. each need not read to the end. Stored counts on all that is read.
func (d *Dump) Walk(ctx context.Context, each func(e *Entry, object uint32, r io.Reader) error) error {
	s, err := d.stream(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	came := 0
	counted := func(e *Entry, object uint32, r io.Reader) error {
		if e.Kind == "BLOBS" {
			came++
		}
		return each(e, object, r)
	}
	switch d.Format {
	case Custom:
		err = d.walkCustom(s, counted)
	case Tar:
		err = d.walkTar(s, counted)
	default:
		err = d.walkPlain(s, each)
	}
	if err != nil {
		return truncated(err)
	}
	var lists []*Entry
	for _, e := range d.Entries {
		if e.Kind == "BLOBS" && d.Format != Plain {
			lists = append(lists, e)
		}
	}
	if len(lists) > 0 {
		if err := d.enoughObjects(came, lists...); err != nil {
			return err
		}
	}
	// To the very end: checksums of the compression stand there.
	_, err = io.Copy(io.Discard, s)
	return err
}

// counting makes a data stream of a walk tell how far the file has been read.
type counting struct {
	io.Reader
	s *streamed
}

// Stored is how many stored bytes of the whole dump have been read.
func (c *counting) Stored() int64 { return c.s.Stored() }

func (d *Dump) walkCustom(s *streamed, each func(*Entry, uint32, io.Reader) error) error {
	if _, err := io.CopyN(io.Discard, s, d.dataStart); err != nil {
		return err
	}
	c := &blocks{r: s.Reader, intSize: d.intSize, at: d.dataStart}
	seen := map[int]bool{}
	one := func(e *Entry, object uint32) error {
		c.left, c.done = 0, false
		z, _, err := d.decoder(d.codec, c, true, s.window)
		if err != nil {
			return streamError(s.src, err)
		}
		inner := &dataReader{z: z, src: s.src, finish: func() error { return nil }}
		err = each(e, object, &counting{inner, s})
		if err == nil {
			_, err = io.Copy(io.Discard, inner)
		}
		z.Close()
		if err == nil {
			_, err = io.Copy(io.Discard, c)
		}
		return err
	}
	for {
		if d.allSeen(seen) {
			// Nothing more, or the table of contents again: see appendedTOC.
			n, err := io.Copy(io.Discard, s)
			if err == nil && n != 0 && n != d.tocSize {
				err = unusable("the archive is damaged: %d bytes follow its last block", n)
			}
			return err
		}
		kind, id, err := c.header()
		if err != nil {
			return err
		}
		e := d.byID[id]
		if e == nil || seen[id] {
			return unusable("the archive is damaged: a block belongs to entry %d", id)
		}
		seen[id] = true
		switch kind {
		case blockData:
			if err := one(e, 0); err != nil {
				return err
			}
		case blockBlobs:
			for {
				oid, err := c.object()
				if err != nil {
					return err
				}
				if oid == 0 {
					break
				}
				if err := one(e, oid); err != nil {
					return err
				}
			}
		default:
			return unusable("the archive is damaged: a block is of kind %d", kind)
		}
	}
}

// complete fails when the data of an entry did not come by.
func (d *Dump) complete(seen map[int]bool) error {
	for _, e := range d.Entries {
		if e.HasData && !seen[e.ID] {
			return unusable("the data of %s is missing: the dump is truncated or damaged", e.Name())
		}
	}
	return nil
}

func (d *Dump) walkTar(s *streamed, each func(*Entry, uint32, io.Reader) error) error {
	files := map[string]*Entry{}
	for _, e := range d.Entries {
		if e.HasData {
			for _, x := range suffixes {
				files[e.file+x.name] = e
			}
		}
	}
	var objects *Entry
	for _, e := range d.Entries {
		if e.HasData && e.Kind == "BLOBS" && objects == nil {
			objects = e
		}
	}
	head := make([]byte, tarBlock)
	seen := map[int]bool{}
	for {
		if _, err := io.ReadFull(s, head); err != nil {
			return err
		}
		h, ok, err := parseTarHeader(head)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		name := path.Base(h.name)
		if !h.file() {
			name = ""
		}
		content := &io.LimitedReader{R: s, N: h.size}
		e, object := files[name], uint32(0)
		base, codec := uncompressed(name)
		if m := objectFile.FindStringSubmatch(base); m != nil && objects != nil {
			// They stand before the list that names them.
			n, err := strconv.ParseUint(m[1], 10, 32)
			if err != nil {
				return unusable("the tar holds a large object without a number")
			}
			e, object = objects, uint32(n)
		}
		switch {
		case strings.HasPrefix(name, "blobs") && path.Ext(name) == ".toc":
			for _, e := range d.Entries {
				if e.HasData && e.Kind == "BLOBS" {
					seen[e.ID] = true
				}
			}
		case e != nil:
			if seen[e.ID] && e.Kind != "BLOBS" {
				return unusable("the tar holds %s twice", name)
			}
			seen[e.ID] = true
			z, _, err := d.decoder(codec, content, false, s.window)
			if err != nil {
				return streamError(s.src, err)
			}
			inner := &dataReader{z: z, src: s.src, finish: func() error { return nil }}
			if err := each(e, object, &counting{inner, s}); err != nil {
				return err
			}
			if _, err := io.Copy(io.Discard, inner); err != nil {
				return err
			}
		}
		if _, err := io.Copy(io.Discard, content); err != nil {
			return err
		}
		if content.N > 0 {
			return io.ErrUnexpectedEOF
		}
		if _, err := s.Discard(int(padded(h.size) - h.size)); err != nil {
			return err
		}
	}
	return d.complete(seen)
}

// objectFile is what pg_dump calls the file of a large object.
var objectFile = regexp.MustCompile(`^blob_([0-9]+)\.dat$`)

// uncompressed splits the suffix of compression off a name.
func uncompressed(name string) (string, codec) {
	for _, x := range suffixes {
		if x.name != "" && strings.HasSuffix(name, x.name) {
			return strings.TrimSuffix(name, x.name), x.codec
		}
	}
	return name, codecNone
}
