package dump

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Format is the shape of a dump.
type Format string

// The formats pg_dump writes.
const (
	Custom    Format = "custom"
	Directory Format = "directory"
	Tar       Format = "tar"
	Plain     Format = "plain"
)

// Section is the part of a restore that an entry belongs to.
type Section int

// The sections as archives number them.
const (
	SectionNone Section = 1 + iota
	PreData
	Data
	PostData
)

// Entry is one line of the table of contents.
type Entry struct {
	ID      int
	Kind    string // as pg_dump spells it: TABLE, TABLE DATA, FK CONSTRAINT ...
	Tag     string
	Schema  string
	Owner   string
	Section Section
	Create  string // the statements that make it
	Drop    string
	Copy    string // COPY statement of a TABLE DATA entry
	Deps    []int

	Tablespace   string
	AccessMethod string
	RelKind      byte
	HasData      bool
	WithOIDs     bool

	// Bytes is the stored size of the entry's data, 0 when the archive does
	// not tell.
	Bytes int64

	offset int64  // custom: of the block; tar and uncompressed plain: of the content
	file   string // directory, tar: name of the member
}

// Name is how reports and policies call the entry's object.
func (e *Entry) Name() string {
	if e.Schema == "" {
		return e.Tag
	}
	return e.Schema + "." + e.Tag
}

// Dump is an open dump.
type Dump struct {
	Name     string // its URL or path, fit for logs
	Format   Format
	Version  string // of the archive's format, "1.16"
	Server   string // version of the dumped server
	Client   string // version of pg_dump
	Database string
	Created  time.Time
	Entries  []*Entry
	Size     int64 // stored bytes; of a directory, of all its files
	// ID changes whenever the dump does: a hash of its URL and version or
	// ETag and size, of a file of its size, time and table of contents.
	ID string

	patience
	at          place
	base        string // of the object below at; "" for a directory
	obj         object // the one object, or toc.dat
	outer       codec  // of the file as a whole
	codec       codec  // of each entry's data
	minor       byte   // of the archive version
	tocSize     int64  // of the table of contents, without the header
	dataStart   int64  // custom: where the blocks begin
	intSize     int
	offSize     int
	byID        map[int]*Entry
	ends        map[int]int64 // custom: where an entry's block ends
	members     map[string]member
	directoryOf []string
	windows     int64         // Options.Windows
	large       chan struct{} // held while a large window of zstd is in use
	widest      atomic.Int64  // bytes that large windows took at most
	ordinary    atomic.Int64  // the largest of the others
}

// Open opens the dump at a path or URL and reads its table of contents.
func Open(ctx context.Context, raw string, o Options) (*Dump, error) {
	if o.patience == (patience{}) {
		o.patience = steady
	}
	d := &Dump{Name: Redact(raw), patience: o.patience, windows: o.Windows, large: make(chan struct{}, 1)}
	if err := d.open(ctx, raw, o); err != nil {
		if d.at != nil {
			d.at.close()
		}
		if errors.Is(err, errNotFound) {
			return nil, unusable("open dump %s: there is no such file or object", d.Name)
		}
		return nil, fmt.Errorf("open dump %s: %w", d.Name, err)
	}
	return d, nil
}

func (d *Dump) open(ctx context.Context, raw string, o Options) error {
	if err := d.locate(ctx, raw, o); err != nil {
		return err
	}
	if d.obj == nil {
		var err error
		d.obj, err = d.at.open(ctx, cmpOr(d.base, "toc.dat"))
		if d.base == "" && errors.Is(err, errNotFound) {
			return unusable("the directory has no toc.dat, so it is not a dump in directory format")
		}
		if err != nil {
			return err
		}
	}
	d.Size = d.obj.size()
	toc := sha256.New()
	if err := d.readHead(ctx, toc); err != nil {
		return err
	}
	id := sha256.New()
	switch {
	case d.obj.version() != "":
		fmt.Fprintf(id, "object\n%s\n%s\n%d\n", d.Name, d.obj.version(), d.Size)
	default:
		fmt.Fprintf(id, "file\n%d\n%d\n%x\n", d.Size, d.obj.modified().UnixNano(), toc.Sum(nil))
	}
	for _, extra := range d.directoryOf {
		fmt.Fprintln(id, extra)
	}
	d.ID = hex.EncodeToString(id.Sum(nil))
	return d.tryWindow(ctx)
}

// locate finds where the archive lies. Of a file behind https it opens the file too.
func (d *Dump) locate(ctx context.Context, raw string, o Options) error {
	if raw == "" {
		return unusable("no dump is named")
	}
	creds := secrets(o.Credentials)
	u, err := url.Parse(raw)
	if err != nil {
		return unusable("its URL cannot be parsed")
	}
	switch u.Scheme {
	case "", "file":
		file := raw
		if u.Scheme == "file" {
			if u.Host != "" && u.Host != "localhost" || u.Path == "" {
				return unusable("a file's URL has three slashes: file:///path")
			}
			file = u.Path
		}
		d.at, d.base, err = openFolder(file)
		return err
	case "s3", "gs", "azblob":
		if err := creds.check(); err != nil {
			return err
		}
		key := strings.TrimPrefix(u.Path, "/")
		if u.Host == "" || key == "" {
			return unusable("the URL needs a bucket and a key: %s://bucket/key", u.Scheme)
		}
		kind := stores[u.Scheme]
		b, err := kind.open(ctx, u, creds, o)
		if err != nil {
			return err
		}
		dir, base := path.Split(key)
		d.at, d.base = &bucket{b: b, store: kind, prefix: dir, patience: o.opening()}, base
		return nil
	case "https", "http":
		if err := creds.check(); err != nil {
			return err
		}
		if u.Scheme == "http" && !loopback(u.Hostname()) {
			return unusable("http would carry raw data unencrypted: use https")
		}
		s, err := newSite(u, creds, o)
		if err != nil {
			return err
		}
		d.at = s
		if !strings.HasSuffix(u.Path, "/") {
			if d.obj, err = s.open(ctx, ""); err != nil {
				return err
			}
			d.base = path.Base(u.Path)
		}
		return nil
	}
	return unusable("scheme %q is not known: use a path, s3, gs, azblob or https", u.Scheme)
}

// tryWindow opens the data of the largest table, so that windows for which there
// is no memory are known at once. pg_dump compresses all of them alike.
func (d *Dump) tryWindow(ctx context.Context) error {
	if d.Sequential() || d.Format == Plain {
		return nil
	}
	var largest *Entry
	for _, e := range d.Entries {
		if e.HasData && e.Kind == "TABLE DATA" && d.codecOf(e) == codecZstd && (largest == nil || e.Bytes > largest.Bytes) {
			largest = e
		}
	}
	if largest == nil {
		return nil
	}
	r, err := d.Data(ctx, largest)
	if err == nil {
		return r.Close()
	}
	if we, ok := errors.AsType[*WindowError](err); ok {
		return we
	}
	return nil // whoever reads the table says what is wrong with it
}

// codecOf is how the data of an entry is compressed.
func (d *Dump) codecOf(e *Entry) codec {
	m := d.members[e.file] // of a directory
	switch {
	case d.Format == Custom:
		return d.codec
	case d.Format == Tar:
		m, _ = d.member(e.file)
	}
	return m.codec
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// Close releases the dump.
func (d *Dump) Close() error {
	return errors.Join(d.obj.close(), d.at.close())
}

// Entry returns the entry with a dump id, or nil.
func (d *Dump) Entry(id int) *Entry { return d.byID[id] }

// readHead finds out the format and reads header and table of contents.
func (d *Dump) readHead(ctx context.Context, toc hash.Hash) error {
	if d.Size == 0 {
		return unusable("it is empty")
	}
	body := d.reader(ctx, d.obj, 0, d.Size)
	defer body.Close()
	br := bufio.NewReaderSize(body, 1<<18)
	magic, err := br.Peek(int(min(d.Size, 512)))
	if err != nil {
		return err
	}
	if d.outer = outer(magic); d.outer != codecNone {
		if d.base == "" {
			return unusable("its toc.dat is compressed: decompress that file")
		}
		return d.openStream(ctx, toc)
	}
	switch {
	case isTar(magic):
		d.Format = Tar
		return d.openTar(ctx, toc)
	case isPlain(magic):
		s, err := d.stream(ctx)
		if err != nil {
			return err
		}
		defer s.Close()
		return d.openPlain(s, toc)
	case string(magic[:min(5, len(magic))]) == "PGDMP":
		p := &parser{r: br, sum: toc, left: d.Size}
		if err := d.parse(p); err != nil {
			return err
		}
		if d.base == "" {
			d.Format = Directory
			return d.indexDirectory(ctx)
		}
		d.Format = Custom
		return d.indexCustom(ctx, p.read)
	default:
		return unusable("%s", describe(magic))
	}
}

// describe names what a file is that is not a dump.
func describe(magic []byte) string {
	s := string(magic)
	switch {
	case strings.HasPrefix(s, "<?xml"), strings.HasPrefix(s, "<html"), strings.HasPrefix(s, "<!DOCTYPE"):
		return "it is a web page, not a dump"
	default:
		return "it is not a pg_dump archive"
	}
}

// parser reads the primitive values of an archive's header.
type parser struct {
	r       *bufio.Reader
	sum     hash.Hash
	read    int64
	left    int64
	intSize int
	offSize int
	err     error
}

func (p *parser) fill(b []byte) {
	if p.err != nil {
		return
	}
	if int64(len(b)) > p.left {
		p.err = unusable("the table of contents ends early: the dump is truncated or damaged")
		return
	}
	n, err := io.ReadFull(p.r, b)
	p.read += int64(n)
	p.left -= int64(n)
	p.sum.Write(b[:n])
	if err != nil {
		p.err = err
	}
}

func (p *parser) byte() byte {
	var b [1]byte
	p.fill(b[:])
	return b[0]
}

// int reads a sign byte and intSize bytes, least significant first.
func (p *parser) int() int {
	var b [9]byte
	p.fill(b[:1+p.intSize])
	v := 0
	for i := p.intSize; i >= 1; i-- {
		v = v<<8 | int(b[i])
	}
	if b[0] != 0 {
		v = -v
	}
	return v
}

func (p *parser) str() string {
	s, _ := p.strOrNull()
	return s
}

// strOrNull tells an absent text from an empty one.
func (p *parser) strOrNull() (string, bool) {
	n := p.int()
	if n < 0 || p.err != nil {
		return "", false
	}
	if int64(n) > p.left || n > maxStatement {
		p.err = unusable("the table of contents is damaged: it holds a text of %d bytes", n)
		return "", false
	}
	// Room for what is there, not for what a length says.
	var b []byte
	for n > 0 && p.err == nil {
		part := min(n, 1<<20)
		b = append(b, make([]byte, part)...)
		p.fill(b[len(b)-part:])
		n -= part
	}
	return string(b), p.err == nil
}

// maxTOC bounds the table of contents where the dump is compressed as a whole
// and its size therefore says nothing.
const maxTOC = 512 << 20

// offset reads a flag and offSize bytes.
func (p *parser) offset() (flag byte, off int64) {
	flag = p.byte()
	var b [8]byte
	p.fill(b[:p.offSize])
	for i := p.offSize - 1; i >= 0; i-- {
		off = off<<8 | int64(b[i])
	}
	return flag, off
}

// Archive versions this package reads: PostgreSQL 9.0 wrote 1.12, 17 and 18
// write 1.16.
const (
	oldest = 12
	newest = 16
	// newestClient is the newest pg_dump whose dumps are tested. A newer one
	// that writes the same archive version may put things into it that nobody
	// has looked at.
	newestClient = 18
)

// States of a data offset in a custom archive.
const (
	offsetUnknown = 1
	offsetSet     = 2
	offsetNone    = 3
)

// parse reads header and entries of a custom archive or of a toc.dat.
func (d *Dump) parse(p *parser) error {
	var magic [5]byte
	p.fill(magic[:])
	major, minor, rev := p.byte(), p.byte(), p.byte()
	d.Version = fmt.Sprintf("%d.%d", major, minor)
	if p.err != nil {
		return p.err
	}
	if major != 1 || minor < oldest || minor > newest {
		return unusable("the archive has format version %d.%d-%d, this program reads 1.%d to 1.%d (pg_dump 9.0 to %d): dump with pg_dump %d or older, or use a newer seed-import", major, minor, rev, oldest, newest, newestClient, newestClient)
	}
	p.intSize, p.offSize = int(p.byte()), int(p.byte())
	if p.err != nil {
		return p.err
	}
	if p.intSize < 2 || p.intSize > 8 || p.offSize < 4 || p.offSize > 8 {
		return unusable("the header is damaged: integers of %d bytes, offsets of %d", p.intSize, p.offSize)
	}
	d.intSize, d.offSize = p.intSize, p.offSize
	format := p.byte()
	if minor >= 15 {
		switch algorithm := p.byte(); algorithm {
		case 0:
			d.codec = codecNone
		case 1:
			d.codec = codecGzip
		case 2:
			d.codec = codecLZ4
		case 3:
			d.codec = codecZstd
		default:
			return unusable("the archive names compression %d, which this program does not know", algorithm)
		}
	} else if p.int() != 0 {
		d.codec = codecGzip
	}
	sec, mnt, hour, day, mon, year := p.int(), p.int(), p.int(), p.int(), p.int(), p.int()
	p.int() // daylight saving
	d.Created = time.Date(year+1900, time.Month(mon+1), day, hour, mnt, sec, 0, time.UTC)
	d.Database, d.Server, d.Client = p.str(), p.str(), p.str()
	if p.err != nil {
		return p.err
	}
	if format != 1 && format != 3 && format != 5 {
		return unusable("the header names format %d, which is not known", format)
	}
	d.minor = minor
	begin := p.read
	if err := d.parseEntries(p, p.int(), minor, format); err != nil {
		return err
	}
	d.tocSize, d.dataStart = p.read-begin, p.read
	return nil
}

// parseEntries reads the entries of the table of contents.
func (d *Dump) parseEntries(p *parser, count int, minor, format byte) error {
	if p.err != nil {
		return p.err
	}
	if count < 0 || int64(count) > p.left/16+1 {
		return unusable("the header is damaged: %d entries", count)
	}
	d.byID = make(map[int]*Entry, min(count, 1<<16)) // the count may lie
	for range count {
		e := &Entry{}
		e.ID = p.int()
		e.HasData = p.int() != 0
		p.str() // oid of the catalog
		p.str() // oid
		e.Tag, e.Kind = p.str(), p.str()
		e.Section = Section(p.int())
		e.Create, e.Drop, e.Copy = p.str(), p.str(), p.str()
		e.Schema, e.Tablespace = p.str(), p.str()
		if minor >= 14 {
			e.AccessMethod = p.str()
		}
		if minor >= 16 {
			e.RelKind = byte(p.int())
		}
		e.Owner = p.str()
		e.WithOIDs = p.str() == "true"
		for {
			s, ok := p.strOrNull()
			if !ok {
				break
			}
			dep, err := strconv.Atoi(s)
			if err != nil {
				return unusable("the table of contents is damaged: entry %d depends on something that is not a number", e.ID)
			}
			e.Deps = append(e.Deps, dep)
		}
		if format == 1 {
			flag, off := p.offset()
			switch flag {
			case offsetSet:
				if !e.HasData && p.err == nil {
					return unusable("the table of contents is damaged: entry %d has a place for data that should not be there", e.ID)
				}
				e.offset = off
			case offsetUnknown:
				e.offset = -1
			case offsetNone:
				if e.HasData && p.err == nil {
					return unusable("the table of contents is damaged: the data of entry %d should be there and is not", e.ID)
				}
			default:
				if p.err == nil {
					return unusable("the table of contents is damaged: entry %d has offset state %d", e.ID, flag)
				}
			}
		} else {
			e.file = p.str()
			if e.HasData != (e.file != "") && p.err == nil {
				return unusable("the table of contents is damaged: entry %d names the file %q for its data", e.ID, e.file)
			}
		}
		if p.err != nil {
			return p.err
		}
		if e.ID <= 0 || d.byID[e.ID] != nil {
			return unusable("the table of contents is damaged: entry id %d", e.ID)
		}
		if e.Section < SectionNone || e.Section > PostData {
			return unusable("the table of contents is damaged: entry %d is in section %d", e.ID, e.Section)
		}
		d.byID[e.ID] = e
		d.Entries = append(d.Entries, e)
	}
	return nil
}

// Check reads the whole dump once and compares it with a declared sha256 in
// hex. done is called with the bytes read so far; it may be nil.
func (d *Dump) Check(ctx context.Context, want string, done func(int64)) error {
	if d.base == "" {
		return unusable("check dump %s: a sha256 can be declared for one file only, not for a directory", d.Name)
	}
	r := d.reader(ctx, d.obj, 0, d.obj.size())
	defer r.Close()
	sum := sha256.New()
	buf := make([]byte, 1<<18)
	var total int64
	for {
		n, err := r.Read(buf)
		sum.Write(buf[:n])
		total += int64(n)
		if done != nil && n > 0 {
			done(total)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("check dump %s: %w", d.Name, err)
		}
	}
	if got := hex.EncodeToString(sum.Sum(nil)); !strings.EqualFold(got, want) {
		return unusable("check dump %s: its sha256 is %s, declared is %s: the dump is not the one that was meant", d.Name, got, strings.ToLower(want))
	}
	return nil
}

// DataEntries returns the entries that carry data, the largest first.
func (d *Dump) DataEntries() []*Entry {
	var list []*Entry
	for _, e := range d.Entries {
		if e.HasData {
			list = append(list, e)
		}
	}
	slices.SortStableFunc(list, func(a, b *Entry) int { return int(min(1, max(-1, b.Bytes-a.Bytes))) })
	return list
}
