package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
)

var highWater = regexp.MustCompile(`VmHWM:\s+([0-9]+) kB`)

// TestMemory imports values of 50 MB, of every type that can be as long, from
// six tables at once: text, bytea (whose hexadecimal digits are 100 MB), a
// document of one string and one of many, kept and masked. The rows before them
// fill the windows of zstd: 8 MB each, and twice 128 MB with -Z zstd:long.
func TestMemory(t *testing.T) {
	t.Parallel()
	src := pgtest.Source(t)
	db := src.Database(t, `
		CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int PRIMARY KEY, v bytea, w text); CREATE TABLE c (id int PRIMARY KEY, v jsonb);
		CREATE TABLE d (id int PRIMARY KEY, v jsonb, w bytea); CREATE TABLE e (id int PRIMARY KEY, v text);
		CREATE TABLE f (v bytea, id int PRIMARY KEY, w text); ALTER TABLE f ALTER v SET STORAGE EXTERNAL;
		ALTER TABLE a ALTER v SET STORAGE EXTERNAL; ALTER TABLE b ALTER v SET STORAGE EXTERNAL; ALTER TABLE e ALTER v SET STORAGE EXTERNAL;
		INSERT INTO a SELECT -g, repeat('x', 900000) FROM generate_series(1, 90) g;
		INSERT INTO c SELECT -g, to_jsonb(repeat('x', 900000)) FROM generate_series(1, 90) g;
		INSERT INTO a SELECT g, repeat(E'a line of PLANTED text\n', 2280000) FROM generate_series(1, 1) g;
		INSERT INTO b SELECT g, decode(repeat('00ff10ab', 13000000), 'hex'), 'short' FROM generate_series(1, 1) g;
		INSERT INTO c SELECT g, jsonb_build_object('k', repeat('PLANTED "text" ', 3000000)) FROM generate_series(1, 1) g;
		INSERT INTO d SELECT g, (SELECT jsonb_agg(jsonb_build_object('mail', 'PLANTED' || n || '@corp.test', 'n', n)) FROM generate_series(1, 100000) n), decode(repeat('ab', 900000), 'hex') FROM generate_series(1, 3) g;
		INSERT INTO f SELECT decode(repeat('0a5c2e0a', 4000), 'hex'), -g, 'short' FROM generate_series(1, 4000) g;
		INSERT INTO f SELECT decode(repeat('0a5c2e0a', 13000000), 'hex'), g, E'\\.\n' FROM generate_series(1, 1) g;
		INSERT INTO e SELECT g, repeat('x', 1000 + g * 37 % 900000) FROM generate_series(1, 200) g;`)
	for _, c := range []struct {
		compression string
		memory      int // MB
	}{{"lz4", 768}, {"zstd:19", 768}, {"zstd:long", 1024}} {
		t.Run(fmt.Sprintf("%s in %d MB", c.compression, c.memory), func(t *testing.T) {
			t.Parallel()
			memory(t, src, db, c.compression, c.memory)
		})
	}
}

// memory imports a dump of the database in so many MB, and fails if it takes more.
func memory(t *testing.T, src *pgtest.Server, db, compression string, most int) {
	t.Helper()
	f := newFiles(t, src.Dump(t, db, "-Fc -Z "+compression))
	f.write(t, f.policy, `
version: 1
tables:
  public.a: {columns: {id: keep, v: text}}
  public.b: {columns: {id: keep, v: bytea, w: text}}
  public.c: {columns: {id: keep, v: json}}
  public.d: {columns: {id: keep, v: {mask: json, paths: {"$[*].mail": email, "$[*].n": keep}}, w: keep}}
  public.e: {columns: {id: keep, v: keep}}
  public.f: {columns: {id: keep, v: keep, w: keep}}
`)
	s := pgtest.Start(t)
	args := f.args("--jobs", "4", "--memory", fmt.Sprintf("%dMB", most))
	within(t, s, most, args...)
	if compression == "zstd:long" {
		if got := invoke(t, s.DSN("postgres"), append([]string{"verify"}, f.args("--jobs", "4", "--memory", "2GB")...)...); got.code != 0 {
			t.Errorf("verify: %s", got.stderr)
		}
	}
	for query, want := range map[string]string{
		"SELECT count(*) || ' ' || min(length(v)) FROM a WHERE id > 0 AND v NOT LIKE '%PLANTED%'":                     "1 52440000",
		"SELECT count(*) || ' ' || min(length(v)) FROM b WHERE v <> decode(repeat('00ff10ab', 13000000), 'hex')":      "1 52000000",
		"SELECT count(*) FROM c WHERE length(v->>'k') > 40000000 AND v::text NOT LIKE '%PLANTED%'":                    "1",
		"SELECT count(*) FROM d WHERE jsonb_array_length(v) = 100000 AND w = decode(repeat('ab', 900000), 'hex')":     "3",
		"SELECT count(*) FROM f WHERE id > 0 AND v = decode(repeat('0a5c2e0a', 13000000), 'hex') AND w = E'\\\\.\\n'": "1",
		"SELECT sum(length(v)) FROM e": src.Strings(t, db, "SELECT sum(length(v)) FROM e")[0],
	} {
		if got := s.Strings(t, "app", query); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %v, want %s", query, got, want)
		}
	}
}

// within runs the command, which must succeed and take less than so many MB.
func within(t *testing.T, s *pgtest.Server, most int, args ...string) {
	t.Helper()
	c, stderr := process(t, s.DSN("postgres"), args...)
	peak := 0
	done := make(chan error, 1)
	go func() { done <- c.Wait() }()
	for running := true; running; {
		select {
		case err := <-done:
			if err != nil {
				t.Fatalf("%v: %s", err, stderr)
			}
			running = false
		case <-time.After(5 * time.Millisecond):
			b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.Process.Pid))
			if m := highWater.FindSubmatch(b); m != nil {
				n, err := strconv.Atoi(string(m[1]))
				if err != nil {
					t.Fatal(err)
				}
				peak = max(peak, n)
			}
		}
	}
	t.Logf("peak %d MB", peak>>10)
	if peak == 0 || peak >= most<<10 {
		t.Errorf("the command took %d MB, %d or more", peak>>10, most)
	}
}

// TestTooMuch refuses what takes more memory than --memory gives: windows of zstd
// before anything happens, a row when it comes. It says how much would do, and so
// much does.
func TestTooMuch(t *testing.T) {
	t.Parallel()
	src := pgtest.Source(t)
	db := src.Database(t, "CREATE TABLE people AS SELECT 7 AS id, 'ann@corp.test' AS email, 'PLANTED' AS note")
	s := pgtest.Start(t)
	refused := func(t *testing.T, sentence string, args ...string) string {
		t.Helper()
		got := invoke(t, s.DSN("postgres"), args...)
		if got.code != 2 || !strings.Contains(got.last(), sentence) || strings.Contains(got.stderr, "PLANTED") {
			t.Fatalf("exit code %d, want 2 and %q: %s", got.code, sentence, got.stderr)
		}
		if left := s.Strings(t, "postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'seedling%'"); len(left) > 0 {
			t.Errorf("it leaves %v", left)
		}
		return got.last()
	}
	f := newFiles(t, windowed(t, src.Dump(t, db, "-Fc -Z none"), 256<<20))
	const windows = "window of 256 MB, as by pg_dump -Z zstd:long and by levels of 20 and more, which takes more memory than is allowed: give --memory 640MB or more, and the pod as much, or compress it with a smaller window"
	refused(t, windows, f.args()...)
	refused(t, windows, append([]string{"plan"}, f.args()...)...)
	refused(t, windows, "draft-policy", "--dump", f.dump)
	if got := invoke(t, s.DSN("postgres"), f.args("--memory", "640MB")...); got.code != 0 {
		t.Fatalf("with 640 MB: %s", got.stderr)
	}
	refused(t, windows, append([]string{"verify"}, f.args()...)...)
	if got := invoke(t, s.DSN("postgres"), append([]string{"verify"}, f.args("--memory", "640MB")...)...); got.code != 0 {
		t.Fatalf("verify with 640 MB: %s", got.stderr)
	}

	f = newFiles(t, src.Dump(t, src.Database(t, `CREATE TABLE people (id int, email text, note text);
		INSERT INTO people VALUES (1, 'ann@corp.test', 'short'), (2, 'bob@corp.test', repeat(E'PLANTED \n', 30000000))`), "-Fc"))
	said := refused(t, "load public.people: row 2 takes about 1430 MB of memory while it is masked, and --memory leaves 448 MB for one row: give --memory 1495MB or more, and the pod as much", f.args()...)
	if got := s.Strings(t, "app", "SELECT id::text FROM people"); len(got) != 1 || got[0] != "7" {
		t.Errorf("the old seed holds %v", got)
	}
	g := newFiles(t, src.Dump(t, src.Database(t, "CREATE TABLE lists (l text[]); INSERT INTO lists VALUES ('{a,b}'), (array_fill('PLANTED'::text, ARRAY[7000000]))"), "-Fc"))
	g.write(t, g.policy, "version: 1\ntables:\n  public.lists: {columns: {l: {mask: array, of: {mask: hash, prefix: \"of-\"}}}}\n")
	grown := refused(t, "load public.lists: row 2 takes about ", g.args()...)
	enough := func(f files, sentence string) {
		t.Helper()
		most, err := strconv.Atoi(regexp.MustCompile(`--memory ([0-9]+)MB`).FindStringSubmatch(sentence)[1])
		if err != nil {
			t.Fatal(err)
		}
		within(t, s, most, f.args("--memory", fmt.Sprintf("%dMB", most))...)
	}
	enough(g, grown)
	enough(f, said)
	if got := s.Strings(t, "app", "SELECT max(length(note))::text FROM people"); got[0] != "270000000" {
		t.Errorf("the new seed holds notes of %v", got)
	}
}

// windowed is a file compressed by zstd with a window of so many bytes.
func windowed(t *testing.T, file string, window int) string {
	t.Helper()
	in, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	z, err := zstd.NewWriter(&out, zstd.WithWindowSize(window))
	if err != nil {
		t.Fatal(err)
	}
	// In two: the size of what is written at once would be its window.
	_, first := z.Write(in[:1])
	flushed := z.Flush()
	_, second := z.Write(in[1:])
	if err := errors.Join(first, flushed, second, z.Close(), os.WriteFile(file, out.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestMemoryInside imports values of 50 MB that hold others, very many or one, or are
// masked match by match, behind full windows of zstd:long.
func TestMemoryInside(t *testing.T) {
	t.Parallel()
	src := pgtest.Source(t)
	const fill = "; INSERT INTO x SELECT NULL, repeat('x', 900000) FROM generate_series(1, 160) g; INSERT INTO x "
	for name, test := range map[string]struct{ column, value, rule string }{
		"many in JSON":     {"jsonb", "jsonb_agg(jsonb_build_object('mail', 'PLANTED' || n, 'n', n)) FROM generate_series(1, 1250000) n", "json"},
		"many in an array": {"text[]", `array_agg('PLANTED "' || n) FROM generate_series(1, 2600000) n`, "{mask: array, of: text}"},
		"one in an array":  {"text[]", `ARRAY[repeat('PLANTED "1" ', 4000000), 'c']`, "{mask: array, of: text}"},
		"one in XML":       {"xml", "('<a>' || repeat('PLANTED 1 ', 5000000) || '</a>')::xml", "xml"},
		"regex":            {"text", "repeat('PLANTED 12 ', 4540000)", `{mask: regex, pattern: "\\b[A-Z]+", with: text, anchored: false}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := src.Database(t, "CREATE TABLE x (v "+test.column+", w text)"+fill+"SELECT "+test.value)
			f := newFiles(t, src.Dump(t, db, "-Fc -Z zstd:long"))
			f.write(t, f.policy, "version: 1\ntables:\n  public.x: {columns: {w: keep, v: "+test.rule+"}}\n")
			s := pgtest.Start(t)
			within(t, s, 1024, f.args("--jobs", "4", "--memory", "1GB")...)
			if got := s.Strings(t, "app", "SELECT count(*) || ' ' || count(v) || ' ' || count(*) FILTER (WHERE v::text LIKE '%PLANTED%') FROM x"); got[0] != "161 1 0" {
				t.Errorf("rows, values, and those with what was planted: %v", got)
			}
		})
	}
}
