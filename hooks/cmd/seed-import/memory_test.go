package main

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
)

var highWater = regexp.MustCompile(`VmHWM:\s+([0-9]+) kB`)

// TestMemory imports values of 50 MB, of every type that can be as long, from
// five tables at once: text, bytea (whose hexadecimal digits are 100 MB), a
// document of one string and one of many, kept and masked. The rows before them
// fill the window of -Z zstd:long, which looks back on 128 MB: so much more is
// granted there.
func TestMemory(t *testing.T) {
	t.Parallel()
	src := pgtest.Source(t)
	db := src.Database(t, `
		CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int PRIMARY KEY, v bytea, w text); CREATE TABLE c (id int PRIMARY KEY, v jsonb);
		CREATE TABLE d (id int PRIMARY KEY, v jsonb, w bytea); CREATE TABLE e (id int PRIMARY KEY, v text);
		ALTER TABLE a ALTER v SET STORAGE EXTERNAL; ALTER TABLE b ALTER v SET STORAGE EXTERNAL; ALTER TABLE e ALTER v SET STORAGE EXTERNAL;
		INSERT INTO a SELECT -g, repeat('x', 900000) FROM generate_series(1, 90) g;
		INSERT INTO c SELECT -g, to_jsonb(repeat('x', 900000)) FROM generate_series(1, 90) g;
		INSERT INTO a SELECT g, repeat(E'a line of PLANTED text\n', 2280000) FROM generate_series(1, 1) g;
		INSERT INTO b SELECT g, decode(repeat('00ff10ab', 13000000), 'hex'), 'short' FROM generate_series(1, 1) g;
		INSERT INTO c SELECT g, jsonb_build_object('k', repeat('PLANTED "text" ', 3000000)) FROM generate_series(1, 1) g;
		INSERT INTO d SELECT g, (SELECT jsonb_agg(jsonb_build_object('mail', 'PLANTED' || n || '@corp.test', 'n', n)) FROM generate_series(1, 100000) n), decode(repeat('ab', 900000), 'hex') FROM generate_series(1, 3) g;
		INSERT INTO e SELECT g, repeat('x', 1000 + g * 37 % 900000) FROM generate_series(1, 200) g;`)
	for _, c := range []struct {
		compression string
		most        int // MB
	}{{"lz4", 256}, {"zstd:long", 256 + 128}} {
		t.Run(c.compression, func(t *testing.T) {
			t.Parallel()
			memory(t, src, db, c.compression, c.most)
		})
	}
}

// memory imports a dump of the database, and fails if that takes so many MB.
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
`)
	s := pgtest.Start(t)
	c, stderr := process(t, s.DSN("postgres"), f.args("--jobs", "4")...)
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
	for query, want := range map[string]string{
		"SELECT count(*) || ' ' || min(length(v)) FROM a WHERE id > 0 AND v NOT LIKE '%PLANTED%'":                 "1 52440000",
		"SELECT count(*) || ' ' || min(length(v)) FROM b WHERE v <> decode(repeat('00ff10ab', 13000000), 'hex')":  "1 52000000",
		"SELECT count(*) FROM c WHERE length(v->>'k') > 40000000 AND v::text NOT LIKE '%PLANTED%'":                "1",
		"SELECT count(*) FROM d WHERE jsonb_array_length(v) = 100000 AND w = decode(repeat('ab', 900000), 'hex')": "3",
		"SELECT sum(length(v)) FROM e": src.Strings(t, db, "SELECT sum(length(v)) FROM e")[0],
	} {
		if got := s.Strings(t, "app", query); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %v, want %s", query, got, want)
		}
	}
}
