package dump

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
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
	d.members = map[string]member{}
	for _, e := range d.Entries {
		if !e.HasData {
			continue
		}
		m, err := d.find(ctx, e.file)
		if err != nil {
			return err
		}
		e.Bytes = m.size
		d.Size += m.size
		d.directoryOf = append(d.directoryOf, fmt.Sprintf("%s %s %d", e.file, m.obj.version(), m.size))
	}
	return nil
}

// find opens the file of a name in the table of contents, which leaves out the
// suffix of compression.
func (d *Dump) find(ctx context.Context, name string) (member, error) {
	if m, ok := d.members[name]; ok {
		return m, nil
	}
	if strings.ContainsAny(name, "/\\") {
		return member{}, unusable("the table of contents names %q, which lies outside of the dump", name)
	}
	for _, suffix := range suffixes {
		o, err := d.at.open(ctx, name+suffix.name)
		if errors.Is(err, errNotFound) {
			continue
		}
		if err != nil {
			return member{}, err
		}
		m := member{obj: o, size: o.size(), codec: suffix.codec}
		if strings.HasSuffix(name, ".gz") {
			m.codec = codecGzip
		}
		d.members[name] = m
		return m, nil
	}
	return member{}, unusable("its file %s is missing: the dump is incomplete", name)
}

func (d *Dump) directoryData(ctx context.Context, name string) (io.ReadCloser, error) {
	m, err := d.find(ctx, name)
	if err != nil {
		return nil, err
	}
	return m.open(ctx)
}

func (m member) open(ctx context.Context) (*dataReader, error) {
	src := reader(ctx, m.obj, m.offset, m.size)
	z, err := m.codec.decoder(src, false)
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
	type object struct {
		oid  uint32
		file string
	}
	var objects []object
	if err := readObjectList(list, func(oid uint32, file string) { objects = append(objects, object{oid, file}) }); err != nil {
		return err
	}
	for _, o := range objects {
		r, err := open(ctx, o.file)
		if err != nil {
			return err
		}
		err = each(o.oid, r)
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		r.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// readObjectList reads the lines "number file" of a BLOBS entry.
func readObjectList(r io.Reader, each func(oid uint32, file string)) error {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		number, name, ok := strings.Cut(lines.Text(), " ")
		oid, err := strconv.ParseUint(number, 10, 32)
		if !ok || err != nil {
			return unusable("the list of large objects is damaged")
		}
		each(uint32(oid), name)
	}
	return lines.Err()
}
