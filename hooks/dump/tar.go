package dump

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"hash"
	"io"
	"path"
	"strconv"
	"strings"
)

const tarBlock = 512

// isTar reports whether a file begins like a tar.
func isTar(magic []byte) bool {
	return len(magic) >= 262 && string(magic[257:262]) == "ustar"
}

// tarHeader is what matters of a member's header.
type tarHeader struct {
	name string
	size int64
	kind byte
}

// file reports whether the member is a file; directories and what else a tar
// may hold has nothing for us.
func (h tarHeader) file() bool { return h.kind == '0' || h.kind == 0 }

// maxMember keeps sums of sizes and places far from where they would wrap.
const maxMember = 1 << 60

// parseTarHeader reads a header block; ok is false at the end mark.
func parseTarHeader(b []byte) (h tarHeader, ok bool, err error) {
	if bytes.Count(b, []byte{0}) == len(b) {
		return h, false, nil
	}
	text := func(from, to int) string { return strings.TrimRight(string(b[from:to]), "\x00 ") }
	// The sum of all bytes, its own counted as spaces.
	sum := int64(8 * ' ')
	for i, c := range b {
		if i < 148 || i >= 156 {
			sum += int64(c)
		}
	}
	if want, err := strconv.ParseInt(strings.Trim(text(148, 156), " \x00"), 8, 64); err != nil || want != sum {
		return h, false, unusable("a header of the tar is damaged: its checksum does not match")
	}
	h.name = strings.SplitN(text(0, 100), "\x00", 2)[0]
	h.kind = b[156]
	if b[124]&0x80 != 0 {
		// Larger than octal digits can say: big endian.
		for _, c := range b[128:136] {
			h.size = h.size<<8 | int64(c)
		}
	} else {
		h.size, err = strconv.ParseInt(strings.TrimSpace(text(124, 136)), 8, 64)
	}
	if err != nil || h.size < 0 || h.size > maxMember {
		return h, false, unusable("a header of the tar is damaged")
	}
	return h, true, nil
}

// padded is the room a member's content takes.
func padded(n int64) int64 { return (n + tarBlock - 1) / tarBlock * tarBlock }

// openTar lists a tar's members by hopping over their contents, and reads the
// table of contents from the one it is in.
func (d *Dump) openTar(ctx context.Context, toc hash.Hash) error {
	d.members = map[string]member{}
	var body *resuming
	var br *bufio.Reader
	var at int64 = -1
	defer func() {
		if body != nil {
			body.Close()
		}
	}()
	head := make([]byte, tarBlock)
	for pos := int64(0); pos+tarBlock <= d.Size; {
		switch {
		case body != nil && pos >= at && pos-at <= 1<<20:
			if _, err := br.Discard(int(pos - at)); err != nil {
				return truncated(err)
			}
		default:
			if body != nil {
				body.Close()
			}
			body = d.reader(ctx, d.obj, pos, d.Size-pos)
			br = bufio.NewReaderSize(body, 1<<16)
		}
		if _, err := io.ReadFull(br, head); err != nil {
			return truncated(err)
		}
		at = pos + tarBlock
		h, ok, err := parseTarHeader(head)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if h.size > d.Size-at {
			return unusable("its member %s ends after the file: the dump is truncated", h.name)
		}
		if h.file() {
			name := path.Base(h.name)
			if _, twice := d.members[name]; twice {
				return unusable("the tar holds %s twice", name)
			}
			d.members[name] = member{obj: d.obj, offset: at, size: h.size}
		}
		pos = at + padded(h.size)
	}
	m, ok := d.members["toc.dat"]
	if !ok {
		return unusable("it is a tar without toc.dat, so it is not a dump")
	}
	src := d.reader(ctx, d.obj, m.offset, m.size)
	defer src.Close()
	if err := d.parse(&parser{r: bufio.NewReader(src), sum: toc, left: m.size}); err != nil {
		return err
	}
	return d.indexMembers()
}

// indexMembers gives each entry its member, and members the compression their
// names tell (a tar may hold a dump in directory format).
func (d *Dump) indexMembers() error {
	seen := map[string]bool{}
	for _, e := range d.Entries {
		if !e.HasData {
			continue
		}
		if e.Kind == "BLOBS" && path.Ext(e.file) != ".toc" {
			// pg_dump -Ft names a file here that it does not write.
			e.file = fmt.Sprintf("blobs_%d.toc", e.ID)
			if _, ok := d.members[e.file]; !ok {
				e.file = "blobs.toc" // before PostgreSQL 17
			}
		}
		m, err := d.member(e.file)
		if err != nil {
			return err
		}
		if seen[e.file] && e.Kind != "BLOBS" {
			return unusable("the table of contents is damaged: two tables share the file %s", e.file)
		}
		seen[e.file] = true
		e.Bytes = m.size
	}
	return nil
}

func (d *Dump) member(name string) (member, error) {
	for _, s := range suffixes {
		if m, ok := d.members[name+s.name]; ok {
			m.codec = s.codec
			return m, nil
		}
	}
	return member{}, unusable("its member %s is missing: the dump is incomplete", name)
}

// memberData opens a member of a tar.
func (d *Dump) memberData(ctx context.Context, name string) (io.ReadCloser, error) {
	m, err := d.member(name)
	if err != nil {
		return nil, err
	}
	return m.open(ctx, d)
}
