package dump_test

import (
	"bytes"
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

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/seedling-dev/seedling/hooks/dump"
	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// sample has a bit of everything that an archive stores in its own way: an
// empty table, values that need escapes, a large object, a partition.
const sample = `
CREATE TABLE users (id bigint PRIMARY KEY, email text, note text);
INSERT INTO users SELECT g, 'user' || g || '@corp.example', CASE WHEN g % 3 = 0 THEN NULL ELSE E'tab\there\nline \\ back' END FROM generate_series(1, 20000) g;
CREATE TABLE empty (id int);
CREATE TABLE events (at timestamptz NOT NULL, body jsonb) PARTITION BY RANGE (at);
CREATE TABLE events_2024 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
INSERT INTO events SELECT '2024-06-01'::timestamptz + g * interval '1 minute', jsonb_build_object('n', g) FROM generate_series(1, 5000) g;
CREATE TABLE dot (v text); INSERT INTO dot VALUES (E'\\.'), (''), (E'\\N');
SELECT lo_from_bytea(700001, 'the first large object'), lo_from_bytea(700002, convert_to(repeat('second ', 5000), 'UTF8')), lo_from_bytea(3000000000, 'beyond 2^31');
CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1; SELECT 2 $$;`

// contents reads everything a dump holds, by table.
func contents(ctx context.Context, d *dump.Dump) (map[string]string, error) {
	out := map[string]string{}
	if d.Sequential() {
		err := d.Walk(ctx, func(e *dump.Entry, object uint32, r io.Reader) error {
			b, err := io.ReadAll(r)
			if e.Kind == "BLOBS" {
				out[fmt.Sprint("large object ", object)] = string(b)
				return err
			}
			rows, ok := strings.CutSuffix(strings.TrimRight(string(b), "\r\n"), "\\.")
			if err == nil && !ok {
				err = fmt.Errorf("%s has no end mark", e.Name())
			}
			out[e.Name()] = rows
			return err
		})
		return out, err
	}
	for _, e := range d.Entries {
		switch {
		case !e.HasData, d.Format == dump.Plain && e.Kind == "BLOBS":
		case e.Kind == "BLOBS":
			err := d.LargeObjects(ctx, e, func(oid uint32, r io.Reader) error {
				b, err := io.ReadAll(r)
				out[fmt.Sprint("large object ", oid)] = string(b)
				return err
			})
			if err != nil {
				return nil, err
			}
		default:
			r, err := d.Data(ctx, e)
			if err != nil {
				return nil, err
			}
			b, err := io.ReadAll(r)
			r.Close()
			if err != nil {
				return nil, err
			}
			rows, ok := strings.CutSuffix(strings.TrimRight(string(b), "\n"), "\\.")
			if !ok {
				return nil, fmt.Errorf("%s has no end mark", e.Name())
			}
			out[e.Name()] = rows
		}
	}
	return out, nil
}

// TestFormats reads one database through every format and compression that
// pg_dump writes.
func TestFormats(t *testing.T) {
	t.Parallel()
	s := pgtest.Source(t)
	db := s.Database(t, sample)
	want := map[string]string{
		"large object 700001":     "the first large object",
		"large object 700002":     strings.Repeat("second ", 5000),
		"large object 3000000000": "beyond 2^31",
	}
	for _, table := range []string{"users", "empty", "events_2024", "dot"} {
		want["public."+table] = s.MustShell(t, fmt.Sprintf(`psql -X -h /run/postgresql -U postgres -d %s -c 'COPY %s TO STDOUT'`, db, table))
	}
	for _, args := range []string{
		"-Fc", "-Fc -Z none", "-Fc -Z gzip:1", "-Fc -Z lz4", "-Fc -Z zstd",
		"-Fd", "-Fd -Z none", "-Fd -Z lz4", "-Fd -Z zstd -j 2",
		"-Ft",
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			file := s.Dump(t, db, args)
			d, err := dump.Open(t.Context(), file, dump.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			got, err := contents(t.Context(), d)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			again, err := dump.Open(t.Context(), file, dump.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer again.Close()
			if d.ID != again.ID {
				t.Errorf("the same dump has the identities %s and %s", d.ID, again.ID)
			}
			if d.Database != db || !strings.HasPrefix(d.Server, "17.") {
				t.Errorf("database %q of server %q", d.Database, d.Server)
			}
		})
	}
	plain := maps.Clone(want)
	maps.DeleteFunc(plain, func(name, _ string) bool { return strings.HasPrefix(name, "large object") })
	for name, test := range map[string]struct {
		command string
		want    map[string]string
	}{
		// pg_dump cannot go back to write the offsets.
		"custom written to a pipe": {"pg_dump -Fc DB | cat", want},
		"custom with > file":       {"pg_dump -Fc DB", want}, // where it can, but appends
		"custom in gzip":           {"pg_dump -Fc -Z 0 DB | gzip", want},
		"custom in itself":         {"pg_dump -Fc DB | gzip -1", want},
		"tar in gzip":              {"pg_dump -Ft DB | gzip -1", want},
		"tar of a directory":       {"rm -rf d && pg_dump -Fd -f d DB && tar c d && rm -r d", want},
		"gzip of that":             {"rm -rf e && pg_dump -Fd -f e DB && tar cz e && rm -r e", want},
		"plain":                    {"pg_dump DB", plain},
		"plain in gzip":            {"pg_dump DB | gzip -1", plain},
		"plain by -Z lz4":          {"pg_dump -Z lz4 DB", plain},
		"plain by -Z zstd":         {"pg_dump -Z zstd DB", plain},
		"plain with --create":      {"pg_dump --create DB", plain},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := s.Pipe(t, test.command, db)
			d, err := dump.Open(t.Context(), file, dump.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			got, err := contents(t.Context(), d)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			whole, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			// Cut anywhere, it is no dump.
			for _, n := range []int{len(whole) / 3, len(whole) * 9 / 10, len(whole) - 600, len(whole) - 100} {
				if strings.HasPrefix(name, "tar of") && n > len(whole)-1200 {
					continue // only the end mark of the tar is cut off
				}
				if err := os.WriteFile(file, whole[:n], 0o600); err != nil {
					t.Fatal(err)
				}
				d, err := dump.Open(t.Context(), file, dump.Options{})
				if err == nil {
					_, err = contents(t.Context(), d)
					d.Close()
				}
				if !errors.Is(err, dump.ErrUnusable) {
					t.Errorf("cut to %d of %d bytes: error %v", n, len(whole), err)
				}
			}
		})
	}
}

// TestStatementsAgreeWithPgRestore compares what the entries say with what
// pg_restore prints of the same archive.
func TestStatementsAgreeWithPgRestore(t *testing.T) {
	t.Parallel()
	s := pgtest.Source(t)
	db := s.Database(t, sample)
	file := s.Dump(t, db, "-Fc")
	d, err := dump.Open(t.Context(), file, dump.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	s.Put(t, file, "/tmp/"+db+".oracle")
	script := s.MustShell(t, "pg_restore --schema-only -f - /tmp/"+db+".oracle")
	list := s.MustShell(t, "pg_restore -l /tmp/"+db+".oracle")
	for _, e := range d.Entries {
		if e.Create != "" && e.Section != dump.Data && e.Kind != "DATABASE" && e.Kind != "BLOB METADATA" && e.Kind != "ENCODING" && e.Kind != "STDSTRINGS" && !strings.Contains(script, strings.TrimSpace(e.Create)) {
			t.Errorf("pg_restore does not print the definition of %s %s", e.Kind, e.Name())
		}
		if e.Kind == "ENCODING" || e.Kind == "STDSTRINGS" || e.Kind == "SEARCHPATH" || e.Kind == "DATABASE" {
			continue
		}
		if !strings.Contains(list, fmt.Sprintf("%d; ", e.ID)) {
			t.Errorf("pg_restore does not list entry %d", e.ID)
		}
	}
}

// TestDamaged cuts and flips a dump: reading it must fail, or give every row.
func TestDamaged(t *testing.T) {
	t.Parallel()
	s := pgtest.Source(t)
	db := s.Database(t, sample)
	whole, err := os.ReadFile(s.Dump(t, db, "-Fc"))
	if err != nil {
		t.Fatal(err)
	}
	open := func(t *testing.T, b []byte) (map[string]string, error) {
		file := filepath.Join(t.TempDir(), "damaged.dump")
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := dump.Open(t.Context(), file, dump.Options{})
		if err != nil {
			return nil, err
		}
		defer d.Close()
		return contents(t.Context(), d)
	}
	want, err := open(t, whole)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("truncated", func(t *testing.T) {
		t.Parallel()
		for _, n := range []int{0, 1, 4, 5, 8, 40, 200, 2000, len(whole) / 2, len(whole) - 10, len(whole) - 1} {
			if _, err := open(t, whole[:n]); !errors.Is(err, dump.ErrUnusable) {
				t.Errorf("cut to %d of %d bytes: error %v", n, len(whole), err)
			}
		}
	})
	t.Run("flipped", func(t *testing.T) {
		t.Parallel()
		for i := 0; i < len(whole); i += len(whole) / 200 {
			b := bytes.Clone(whole)
			b[i] ^= 0x10
			got, err := open(t, b)
			if err == nil && !maps.Equal(got, want) && slices.Equal(slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want))) {
				t.Errorf("a flipped bit at byte %d changes rows and is no error", i)
			}
		}
	})
}

func TestRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	if err := os.Mkdir(filepath.Join(dir, "no-toc"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ dump, fault string }{
		{"", "no dump is named"},
		{filepath.Join(dir, "absent"), "no such file"},
		{write("web", "<!DOCTYPE html><p>sign in"), "a web page"},
		{write("text", "hello, world, this is no dump at all"), "not a pg_dump archive"},
		{write("empty", ""), "it is empty"},
		{write("new", "PGDMP\x01\x63\x00\x04\x08\x01\x00\x00"), "format version 1.99"},
		{filepath.Join(dir, "no-toc"), "no toc.dat"},
		{"ftp://host/dump", `scheme "ftp" is not known`},
		{"http://example.com/dump", "unencrypted"},
		{"s3://bucket", "needs a bucket and a key"},
	} {
		_, err := dump.Open(t.Context(), test.dump, dump.Options{})
		if !errors.Is(err, dump.ErrUnusable) || !strings.Contains(err.Error(), test.fault) {
			t.Errorf("%s: error %v does not say %q", test.dump, err, test.fault)
		}
	}
	for _, url := range []string{"https://user:pass@host/dump", "https://host/dump?X-Amz-Signature=abc", "s3://b/k?aws_secret=x"} {
		err := dump.CheckURL(url)
		if !errors.Is(err, dump.ErrUnusable) || strings.Contains(err.Error(), "abc") || strings.Contains(err.Error(), "pass@") {
			t.Errorf("%s: error %v", url, err)
		}
	}
	if err := dump.CheckURL("s3://b/k?endpoint=http://s3:7070&region=us-east-1&use_path_style=true"); err != nil {
		t.Error(err)
	}
}

// TestWindows refuses streams of zstd that look back on more than is allowed, and
// reads them where it is.
func TestWindows(t *testing.T) {
	t.Parallel()
	s := pgtest.Source(t)
	db := s.Database(t, "CREATE TABLE a AS SELECT g, md5(g::text) FROM generate_series(1, 1000) g")
	for name, test := range map[string]struct {
		command string
		outer   int   // MB, of the window in which the file is compressed again
		need    int64 // MB
	}{
		"custom":                {"pg_dump -Fc -Z zstd:long DB", 0, 256},
		"custom, ordinary":      {"pg_dump -Fc -Z zstd DB", 0, 0},
		"custom, level 19":      {"pg_dump -Fc -Z zstd:19 DB", 0, 0},
		"custom, level 20":      {"pg_dump -Fc -Z zstd:20 DB", 0, 64},
		"tar of a directory":    {"pg_dump -Fd -Z zstd:long -f d DB && tar c d && rm -r d", 0, 256},
		"that in gzip":          {"pg_dump -Fd -Z zstd:long -f e DB && tar cz e && rm -r e", 0, 256},
		"plain":                 {"pg_dump -Z zstd:long DB", 0, 256},
		"as a whole":            {"pg_dump -Fc -Z none DB", 128, 256},
		"as a whole, even more": {"pg_dump -Fc -Z none DB", 256, 512},
		"both":                  {"pg_dump -Fc -Z zstd:long DB", 64, 384},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := s.Pipe(t, test.command, db)
			if test.outer > 0 {
				inner, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				var b bytes.Buffer
				z, err := zstd.NewWriter(&b, zstd.WithWindowSize(test.outer<<20))
				if err != nil {
					t.Fatal(err)
				}
				// In two: the size of what is written at once would be its window.
				_, err = z.Write(inner[:1])
				err = errors.Join(err, z.Flush())
				_, werr := z.Write(inner[1:])
				if err := errors.Join(err, werr, z.Close(), os.WriteFile(file, b.Bytes(), 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			read := func(windows int64) error {
				d, err := dump.Open(t.Context(), file, dump.Options{Windows: windows})
				if err != nil {
					return err
				}
				defer d.Close()
				got, err := contents(t.Context(), d)
				if err == nil && (len(got) != 1 || d.Window(0) < test.need<<20 || d.Window(0) > windows) {
					t.Errorf("with %d bytes: %d tables, windows took %d bytes", windows, len(got), d.Window(0))
				}
				return err
			}
			need := test.need << 20
			if err := read(need); err != nil {
				t.Errorf("with what it needs: %v", err)
			}
			if need == 0 {
				return
			}
			var we *dump.WindowError
			if err := read(need - 1); !errors.As(err, &we) || we.Need != need || !errors.Is(err, dump.ErrUnusable) {
				t.Errorf("with a byte less: %v", err)
			}
		})
	}
	t.Run("absurd", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join(t.TempDir(), "dump")
		if err := os.WriteFile(file, []byte("\x28\xb5\x2f\xfd\xe0\xff\xff\xff\xff\xff\xff\xff\xff and more"), 0o600); err != nil {
			t.Fatal(err)
		}
		var we *dump.WindowError
		if _, err := dump.Open(t.Context(), file, dump.Options{Windows: 1 << 30}); !errors.As(err, &we) {
			t.Errorf("a window of more bytes than there are: %v", err)
		}
	})
	t.Run("directory", func(t *testing.T) {
		t.Parallel()
		file := s.Dump(t, db, "-Fd -Z zstd:long")
		var we *dump.WindowError
		if _, err := dump.Open(t.Context(), file, dump.Options{}); !errors.As(err, &we) || we.Size != 128<<20 || we.Need != 256<<20 {
			t.Errorf("without memory: %v", err)
		}
	})
}

// TestLongWindows reads two tables of an archive whose streams look back on 128
// MB each: the second waits for the first to be closed, or its context to end.
func TestLongWindows(t *testing.T) {
	t.Parallel()
	s := pgtest.Source(t)
	db := s.Database(t, "CREATE TABLE a AS SELECT g, md5(g::text) FROM generate_series(1, 1000) g; CREATE TABLE b AS TABLE a")
	d, err := dump.Open(t.Context(), s.Dump(t, db, "-Fc -Z zstd:long"), dump.Options{Windows: 256 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var tables []*dump.Entry
	for _, e := range d.Entries {
		if e.HasData {
			tables = append(tables, e)
		}
	}
	if len(tables) != 2 {
		t.Fatalf("%d tables", len(tables))
	}
	first, err := d.Data(t.Context(), tables[0])
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Data(ctx, tables[1]); !errors.Is(err, context.Canceled) {
		t.Errorf("a second window was opened: %v", err)
	}
	opened := make(chan error, 1)
	go func() {
		second, err := d.Data(t.Context(), tables[1])
		if err == nil {
			var n int64
			if n, err = io.Copy(io.Discard, second); err == nil && n < 30000 {
				err = fmt.Errorf("only %d bytes", n)
			}
			err = errors.Join(err, second.Close())
		}
		opened <- err
	}()
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	if err := <-opened; err != nil {
		t.Error(err)
	}
}
