package dump

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"
)

// member is one file of a directory dump, or one part of a tar.
type member struct {
	obj    object
	offset int64
	size   int64
	codec  codec
}

// indexDirectory finds the file of every entry, and adds what they weigh.
func (d *Dump) indexDirectory(ctx context.Context) error {
	var entries []*Entry
	for _, e := range d.Entries {
		if e.HasData {
			entries = append(entries, e)
		}
	}
	found := make([]member, len(entries))
	// A store answers each question in some 30 ms, and there may be thousands.
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(16)
	for i, e := range entries {
		group.Go(func() (err error) {
			found[i], err = d.find(ctx, e.file)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	d.members = make(map[string]member, len(entries))
	for i, e := range entries {
		m := found[i]
		if e.Kind != "BLOBS" { // several of them may share one list
			if _, twice := d.members[e.file]; twice {
				return unusable("the table of contents is damaged: two tables share the file %s", e.file)
			}
		}
		d.members[e.file] = m
		e.Bytes = m.size
		d.Size += m.size
		d.directoryOf = append(d.directoryOf, fmt.Sprintf("%s %s %d", e.file, m.obj.version(), m.size))
	}
	return nil
}

// find opens the file of a name in the table of contents, which leaves out the
// suffix of compression. It asks first for the one that the header tells.
func (d *Dump) find(ctx context.Context, name string) (member, error) {
	if m, ok := d.members[name]; ok {
		return m, nil
	}
	if name == "" || strings.ContainsAny(name, "/\\") || !filepath.IsLocal(name) || name == "." {
		return member{}, outside(name)
	}
	likely := codecNone // lists are not compressed
	if path.Ext(name) != ".toc" {
		likely = d.codec
	}
	order := slices.Clone(suffixes)
	slices.SortStableFunc(order, func(a, b suffix) int {
		switch {
		case a.codec == likely && b.codec != likely:
			return -1
		case b.codec == likely && a.codec != likely:
			return 1
		}
		return 0
	})
	for _, suffix := range order {
		o, err := d.at.open(ctx, name+suffix.name)
		if errors.Is(err, errNotFound) {
			continue
		}
		if err != nil {
			return member{}, fmt.Errorf("open its file %s: %w", name, err)
		}
		m := member{obj: o, size: o.size(), codec: suffix.codec}
		if strings.HasSuffix(name, ".gz") {
			m.codec = codecGzip
		}
		return m, nil
	}
	return member{}, unusable("its file %s is missing: the dump is incomplete", name)
}

func outside(name string) error {
	return unusable("the table of contents names %q, which lies outside of the dump", name)
}

func (d *Dump) directoryData(ctx context.Context, name string) (io.ReadCloser, error) {
	m, err := d.find(ctx, name)
	if err != nil {
		return nil, err
	}
	return m.open(ctx, d)
}

func (m member) open(ctx context.Context, d *Dump) (*dataReader, error) {
	src := d.reader(ctx, m.obj, m.offset, m.size)
	z, err := d.entryDecoder(ctx, m.codec, src, false)
	if err != nil {
		src.Close()
		return nil, streamError(src, err)
	}
	return &dataReader{z: z, src: src, finish: func() error {
		// pg_dump ends every table with a line that COPY never sees.
		return nil
	}}, nil
}

// fileLargeObjects reads the list of a BLOBS entry, then each object's file.
func (d *Dump) fileLargeObjects(ctx context.Context, e *Entry, each func(oid uint32, r io.Reader) error) error {
	open := d.directoryData
	if d.Format == Tar {
		open = d.memberData
	}
	list, err := open(ctx, e.file)
	if err != nil {
		return err
	}
	defer list.Close()
	return readObjectList(list, func(oid uint32, file string) error {
		r, err := open(ctx, file)
		if err != nil {
			return err
		}
		err = each(oid, r)
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		return errors.Join(err, r.Close())
	})
}

// readObjectList reads the lines "number file" of a BLOBS entry.
func readObjectList(r io.Reader, each func(oid uint32, file string) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 4096)
	for lines.Scan() {
		number, name, ok := strings.Cut(lines.Text(), " ")
		oid, err := strconv.ParseUint(number, 10, 32)
		if !ok || err != nil || oid == 0 {
			return unusable("the list of large objects is damaged")
		}
		if err := each(uint32(oid), name); err != nil {
			return err
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return unusable("the list of large objects is damaged")
	}
	return lines.Err()
}
