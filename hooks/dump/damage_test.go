package dump_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seedling-dev/seedling/hooks/dump"
)

// tarred packs a dump in directory format into a tar, as `tar c` would.
func tarred(t testing.TB, dir string) []byte {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	// The table of contents first, as in a tar by pg_dump.
	slices.SortFunc(files, func(a, b os.DirEntry) int {
		return strings.Compare(strings.Replace(a.Name(), "toc.dat", "", 1), strings.Replace(b.Name(), "toc.dat", "", 1))
	})
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.WriteHeader(&tar.Header{Name: "d/" + f.Name(), Size: int64(len(b)), Mode: 0o600, Format: tar.FormatUSTAR}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func gzipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// shapes are small dumps of each format.
func shapes(t testing.TB) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for name, file := range map[string]string{
		"custom": "17/custom.dump", "custom 1.14": "13/custom.dump", "custom 1.15": "16/custom.dump",
		"custom to a pipe": "15/pipe.dump", "plain": "18/plain.sql",
	} {
		b, err := os.ReadFile(filepath.Join("testdata/versions", file))
		if err != nil {
			t.Fatal(err)
		}
		out[name] = b
	}
	out["tar"] = tarred(t, "testdata/versions/17/directory")
	for _, name := range []string{"custom", "plain", "tar"} {
		out[name+" in gzip"] = gzipped(t, out[name])
	}
	return out
}

// step is how far apart the damaged bytes are: every one of the smallest
// archive's, and some of the others', which differ in little.
func step(name string, smallest int) int {
	if name == "custom" {
		return smallest
	}
	return 53
}

// TestTruncatedAnywhere cuts small dumps of each format.
func TestTruncatedAnywhere(t *testing.T) {
	t.Parallel()
	for name, whole := range shapes(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "cut")
			end := len(whole)
			switch name {
			case "tar":
				// Nothing but the end mark and what fills the last block is
				// left then.
				end = len(bytes.TrimRight(whole, "\x00"))
			case "plain":
				end = bytes.LastIndex(whole, []byte("-- PostgreSQL database dump complete")) + len("-- PostgreSQL database dump complete")
			}
			if err := os.WriteFile(file, whole, 0o600); err != nil {
				t.Fatal(err)
			}
			for n := end - 1; n >= 0; n -= step(name, 1) {
				if err := os.Truncate(file, int64(n)); err != nil {
					t.Fatal(err)
				}
				if _, err := all(t.Context(), file, dump.Options{}); !errors.Is(err, dump.ErrUnusable) {
					t.Fatalf("cut to %d of %d bytes: error %v", n, len(whole), err)
				}
			}
		})
	}
}

// TestTruncatedDirectory cuts each file of a dump in directory format, the list
// of large objects at every byte.
func TestTruncatedDirectory(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"13", "17"} {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata/versions", version, "directory"))); err != nil {
			t.Fatal(err)
		}
		files, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			file := filepath.Join(dir, f.Name())
			whole, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			end, by := len(whole), 17
			if strings.HasSuffix(f.Name(), ".toc") {
				end-- // the last newline says nothing
				by = 1
			}
			for n := end - 1; n >= 0; n -= by {
				if err := os.Truncate(file, int64(n)); err != nil {
					t.Fatal(err)
				}
				if _, err := all(t.Context(), dir, dump.Options{}); !errors.Is(err, dump.ErrUnusable) {
					t.Fatalf("%s/%s cut to %d of %d bytes: error %v", version, f.Name(), n, len(whole), err)
				}
			}
			if err := os.WriteFile(file, whole, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestFlippedAnywhere flips bits all over compressed dumps: no row may
// change without an error. Tables may get another name, or statements another
// text, which no checksum covers: that is what a declared sha256 is for.
func TestFlippedAnywhere(t *testing.T) {
	t.Parallel()
	for name, whole := range shapes(t) {
		if name == "plain" {
			continue // has no checksums at all
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "flipped")
			if err := os.WriteFile(file, whole, 0o600); err != nil {
				t.Fatal(err)
			}
			want, err := all(t.Context(), file, dump.Options{})
			if err != nil {
				t.Fatal(err)
			}
			rows := slices.Sorted(maps.Values(want))
			f, err := os.OpenFile(file, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			for i, c := range whole {
				bit := i % 8
				switch {
				case c == 2 && strings.HasPrefix(name, "custom"):
					bit = 0 // makes "here is the data" of an entry "there is none"
				case i%step(name, 29) != 0:
					continue
				}
				if _, err := f.WriteAt([]byte{c ^ 1<<bit}, int64(i)); err != nil {
					t.Fatal(err)
				}
				got, err := all(t.Context(), file, dump.Options{})
				if err == nil && !slices.Equal(rows, slices.Sorted(maps.Values(got))) {
					t.Errorf("a flipped bit of byte %d changes rows without an error", i)
				}
				if _, err := f.WriteAt([]byte{c}, int64(i)); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestDamagedLargeObject: another attempt does not cure a large object whose
// compression is damaged from its first byte on.
func TestDamagedLargeObject(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"custom", "custom 1.14", "custom to a pipe"} {
		b := shapes(t)[name]
		// Number 7001, then the size of a chunk, then a zlib stream.
		i := bytes.Index(b, []byte{0, 0x59, 0x1b, 0, 0})
		if i < 0 || b[i+10] != 0x78 {
			t.Fatalf("%s: the large object is not where it should be", name)
		}
		b[i+10] = 0
		file := filepath.Join(t.TempDir(), "damaged")
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := all(t.Context(), file, dump.Options{})
		sentence(t, err, "the compressed data is damaged")
	}
}

// TestPlainRewritten: what is no longer as pg_dump wrote it is not read as less,
// and what is wrong with it is said without quoting it.
func TestPlainRewritten(t *testing.T) {
	t.Parallel()
	whole, err := os.ReadFile("testdata/versions/18/plain.sql")
	if err != nil {
		t.Fatal(err)
	}
	const events, copied = "\n2024-06-04\tevent 3\n", "COPY public.orders (id, user_id, total, state, amount) FROM stdin;\n"
	for name, test := range map[string]struct{ from, to, want string }{
		// The rows that follow would be a statement, which ends behind the next
		// table's COPY, and so on.
		"end mark among the rows":    {events, "\n\\." + events, "neither rows nor a statement"},
		"of rows that end in a mark": {events, "\n\\.\nplanted;" + events, "neither rows nor a statement"},
		"no COPY before the rows":    {copied, "", "neither rows nor a statement"},
		"nor before such rows":       {copied, "\\N\tplanted\t1\n", "begins with a backslash"},
		"line ends of Windows":       {"\n", "\r\n", "CR LF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !bytes.Contains(whole, []byte(test.from)) {
				t.Fatalf("the dump does not hold %q", test.from)
			}
			b := bytes.ReplaceAll(whole, []byte(test.from), []byte(test.to))
			for form, content := range map[string][]byte{"as it is": b, "in gzip": gzipped(t, b)} {
				file := filepath.Join(t.TempDir(), "dump.sql")
				if err := os.WriteFile(file, content, 0o600); err != nil {
					t.Fatal(err)
				}
				_, err := all(t.Context(), file, dump.Options{})
				if sentence(t, err, test.want); err != nil && strings.Contains(err.Error(), "planted") {
					t.Errorf("%s: the error quotes a row: %v", form, err)
				}
			}
		})
	}
}

// TestLargeObjectNumbers: pg_dump writes the numbers beyond 2^31 as negative
// ones into custom archives.
func TestLargeObjectNumbers(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"custom", "custom 1.14", "custom to a pipe"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := shapes(t)[name]
			if bytes.Count(b, []byte{0, 0x59, 0x1b, 0, 0}) != 1 {
				t.Fatal("large object 7001 is not where it should be")
			}
			b = bytes.Replace(b, []byte{0, 0x59, 0x1b, 0, 0}, []byte{1, 0x00, 0xa2, 0x2f, 0x4d}, 1)
			for form, content := range map[string][]byte{"as it is": b, "in gzip": gzipped(t, b)} {
				file := filepath.Join(t.TempDir(), "dump")
				if err := os.WriteFile(file, content, 0o600); err != nil {
					t.Fatal(err)
				}
				got, err := all(t.Context(), file, dump.Options{})
				if err != nil {
					t.Fatalf("%s: %v", form, err)
				}
				if _, ok := got["large object 3000000000"]; !ok {
					t.Errorf("%s: large object 3000000000 is not among %v", form, slices.Sorted(maps.Keys(got)))
				}
			}
		})
	}
}

// FuzzOpen reads whatever the fuzzer makes of dumps of all formats: no panic,
// no endless loop, and no more memory than what is there justifies. Directories
// are read through their tars, which hold the same files.
func FuzzOpen(f *testing.F) {
	for _, b := range shapes(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<20 {
			return
		}
		file := filepath.Join(t.TempDir(), "fuzzed")
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := dump.Open(t.Context(), file, dump.Options{})
		if err == nil {
			err = drain(t.Context(), d)
			d.Close()
		}
		if err != nil && !errors.Is(err, dump.ErrUnusable) {
			t.Errorf("the error asks for another attempt: %v", err)
		}
	})
}

// drain reads all rows and keeps none.
func drain(ctx context.Context, d *dump.Dump) error {
	const most = 64 << 20 // of what a small file may decompress to
	take := func(r io.Reader) error {
		_, err := io.Copy(io.Discard, io.LimitReader(r, most))
		return err
	}
	if d.Sequential() {
		return d.Walk(ctx, func(_ *dump.Entry, _ uint32, r io.Reader) error { return take(r) })
	}
	for _, e := range d.DataEntries() {
		if e.Kind == "BLOBS" {
			if d.Format == dump.Plain {
				continue
			}
			if err := d.LargeObjects(ctx, e, func(_ uint32, r io.Reader) error { return take(r) }); err != nil {
				return err
			}
			continue
		}
		r, err := d.Data(ctx, e)
		if err != nil {
			return err
		}
		if err := errors.Join(take(r), r.Close()); err != nil {
			return err
		}
	}
	return nil
}

// TestHostile: archives made to harm whoever reads them.
func TestHostile(t *testing.T) {
	t.Parallel()
	custom := shapes(t)["custom"]
	// The header up to the number of entries, and then what is given.
	header := func(rest ...[]byte) []byte {
		i := bytes.Index(custom, []byte("17.")) // the server's version
		i += int(custom[i-4]) + 5               // pg_dump's, after its length
		n := int(custom[i-4])
		return append(slices.Clone(custom[:i+n]), bytes.Join(rest, nil)...)
	}
	number := func(n uint32) []byte { return []byte{0, byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)} }
	huge := func(name string, size int64) []byte {
		b := make([]byte, 512)
		copy(b, name)
		b[124] = 0x80
		for i := range 8 {
			b[128+i] = byte(size >> (8 * (7 - i)))
		}
		b[156] = '0'
		copy(b[257:], "ustar")
		sum := 8 * int(' ')
		for i, c := range b {
			if i < 148 || i >= 156 {
				sum += int(c)
			}
		}
		copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
		return b
	}
	for name, test := range map[string]struct {
		content []byte
		want    string
	}{
		"two thousand million entries":             {header(number(2e9)), "2000000000 entries"},
		"two thousand million entries, compressed": {gzipped(t, header(number(30e6))), "truncated"},
		"a text of a gigabyte":                     {gzipped(t, header(number(1), number(1), number(0), number(1<<30))), "a text of 1073741824 bytes"},
		"a text of less, not there":                {gzipped(t, header(number(1), number(1), number(0), number(50<<20))), "truncated"},
		"a member of half of all bytes":            {append(huge("toc.dat", 1<<62), make([]byte, 1024)...), "a header of the tar is damaged"},
		"a member beyond the end":                  {append(huge("toc.dat", 1<<59), make([]byte, 1024)...), "ends after the file"},
		"a member beyond the end, compressed":      {gzipped(t, append(huge("other", 1<<59), make([]byte, 1024)...)), "unpack it"},
		"a bomb":                                   {gzipped(t, append([]byte("--\n-- PostgreSQL database dump\n--\n\nSELECT "), bytes.Repeat([]byte(" "), maxLine+1)...)), "longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "hostile")
			if err := os.WriteFile(file, test.content, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := all(t.Context(), file, dump.Options{})
			if !errors.Is(err, dump.ErrUnusable) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v does not say %q", err, test.want)
			}
		})
	}
}

// maxLine is above what one statement may take.
const maxLine = 65 << 20

// TestLinksOutside: a directory leads nowhere but into itself.
func TestLinksOutside(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/versions/17/directory")); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret\n\\.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "3*.dat.gz"))
	if err != nil || len(files) == 0 {
		t.Fatal(err, files)
	}
	if err := errors.Join(os.Remove(files[0]), os.Symlink(secret, files[0])); err != nil {
		t.Fatal(err)
	}
	_, err = all(t.Context(), dir, dump.Options{})
	sentence(t, err, "lies outside of the dump")

	// So does its table of contents, whatever it names.
	if err := errors.Join(os.Remove(files[0]), os.WriteFile(files[0], nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	toc, err := os.ReadFile(filepath.Join(dir, "toc.dat"))
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimSuffix(filepath.Base(files[0]), ".gz")
	for _, bad := range []string{"../x.dat", "/etc/abc", "....//x."} {
		if err := os.WriteFile(filepath.Join(dir, "toc.dat"), bytes.ReplaceAll(toc, []byte(name), []byte(bad)), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err = all(t.Context(), dir, dump.Options{})
		sentence(t, err, "lies outside of the dump")
	}

	// The link that the user names may lead anywhere.
	link := filepath.Join(t.TempDir(), "latest")
	whole, err := filepath.Abs("testdata/versions/17/custom.dump")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(whole, link); err != nil {
		t.Fatal(err)
	}
	if _, err := all(t.Context(), link, dump.Options{}); err != nil {
		t.Error(err)
	}
}
