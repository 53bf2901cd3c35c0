package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
)

// planted are values as they stand in a table's files, by the column that
// holds them: one for each way in which a server stores what can be masked.
func planted() map[string][]byte {
	number := func(v uint64) []byte { return binary.LittleEndian.AppendUint64(nil, v) }
	at := time.Date(1987, 6, 5, 4, 3, 2, 123457000, time.UTC).Sub(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).Microseconds()
	return map[string][]byte{
		"letters": []byte("PLANTED"), // of all text columns
		"b":       {0xfe, 0xed, 0xfa, 0xce, 0xca, 0xfe, 0xbe, 0xef},
		"u":       {0xf0, 0x0d, 0xfe, 0xed, 0x12, 0x34, 0x4a, 0xbc, 0x9d, 0xef, 0x00, 0xc0, 0xff, 0xee, 0x00, 0x01},
		"k":       number(8671309577123456),
		"at":      number(uint64(at)), // the bits are wanted, not the number
		"ip":      {0x20, 203, 0, 113, 77},
		"mac":     {0xac, 0xde, 0x48, 0x13, 0x57, 0x9b},
		"n":       {0x5b, 0x1e, 0x2d, 0x09, 0x3d, 0x22, 0xe1, 0x10}, // 7771 2349 8765 . 4321
		"lat":     number(math.Float64bits(37.98381234567)),
	}
}

// everyPlace plants them: in rows short and long (TOAST), in partitions, in an
// index and a materialized view, in a table that comes empty, in large objects.
const everyPlace = `
CREATE EXTENSION citext; CREATE EXTENSION hstore;
CREATE TABLE people (id int PRIMARY KEY, t text, v varchar(60), c char(30), ci citext UNIQUE, a text[], h hstore, j json, jb jsonb, b bytea, u uuid, k bigint, at timestamptz, ip inet, mac macaddr,
	n numeric(17,4), lat double precision, long text, doc text, kept text NOT NULL, CHECK (id < 7000 OR t ~ '^[A-Z]{7} '));
INSERT INTO people SELECT g, 'PLANTED ' || g, 'PLANTED, Ms ' || g, 'PLANTED' || g, 'Planted.PLANTED' || g || '@corp.test', ARRAY['PLANTED', 'x'], hstore('mail', 'PLANTED'), '{"who": "PLANTED"}', '{"who": {"name": "PLANTED"}}',
	'\xfeedfacecafebeef', 'f00dfeed-1234-4abc-9def-00c0ffee0001', 8671309577123456, '1987-06-05 04:03:02.123457+00', '203.0.113.77', 'ac:de:48:13:57:9b', 777123498765.4321 + 7e12, 37.98381234567,
	CASE WHEN g % 500 = 0 THEN (SELECT string_agg('PLANTED' || md5((g * 1000 + i)::text), ' ') FROM generate_series(1, 2000) i) END, CASE WHEN g < 7000 THEN '2024-01-01' ELSE 'PLANTED at noon' END, 'KEPT word ' || g FROM generate_series(1, {N}) g;
CREATE INDEX ON people (v); CREATE INDEX ON people (n);
CREATE TABLE visits (id int, at date, note text) PARTITION BY RANGE (at);
CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM ('2024-01-01') TO ('2024-07-01'); CREATE TABLE visits_2 PARTITION OF visits FOR VALUES FROM ('2024-07-01') TO ('2025-01-01');
INSERT INTO visits SELECT g, date '2024-01-01' + g % 300, 'PLANTED visit ' || g FROM generate_series(1, {N}) g;
CREATE TABLE secrets (token text); INSERT INTO secrets SELECT 'PLANTED token ' || g FROM generate_series(1, 100) g;
CREATE MATERIALIZED VIEW names AS SELECT v, count(*) FROM people GROUP BY v;
SELECT lo_from_bytea(1 + g, 'PLANTED object') FROM generate_series(1, 5) g; ANALYZE;`

const everyPlacePolicy = `
version: 1
large_objects: none
tables:
  public.people: {columns: {id: keep, t: text, v: full_name, c: hash, ci: email, a: {mask: array, of: text}, h: hstore, j: json, jb: json, b: bytea, u: uuid, k: key, at: year_only, ip: ip, mac: mac,
    n: {mask: number_noise, percent: 10}, lat: {mask: latlong, decimals: 1}, long: text, doc: hash, kept: keep}}
  public.visits: {columns: {id: keep, at: keep, note: text}}
  public.secrets: {rows: none}
`

// TestProof looks for planted values in every file of the server, its log
// among them, and in all that the command writes: while it runs, when it was
// killed, when masks and constraints refuse, when it is done, and when the
// database is gone. The server's own settings log whatever they can.
func TestProof(t *testing.T) {
	t.Parallel()
	src := pgtest.Source(t)
	var all []string
	patterns := map[string]string{}
	for column, bytes := range planted() {
		var b strings.Builder
		for _, c := range bytes {
			fmt.Fprintf(&b, `\x%02x`, c)
		}
		patterns[column] = b.String()
		all = append(all, b.String())
	}
	find := func(s *pgtest.Server, pattern, where string) string {
		out, _ := s.Shell(t, "LC_ALL=C grep -rlaP '"+pattern+"' "+where+" 2>/dev/null") // files come and go
		return out
	}
	db := src.Database(t, strings.ReplaceAll(everyPlace, "{N}", "8000"))
	// The patterns are right: they find the values where nothing masked them.
	src.Exec(t, db, "CHECKPOINT")
	raw := src.Strings(t, db, "SELECT current_setting('data_directory') || '/base/' || oid FROM pg_database WHERE datname = current_database()")[0]
	for column, pattern := range patterns {
		if find(src, pattern, raw) == "" {
			t.Errorf("the pattern of %s does not find it", column)
		}
	}
	f := newFiles(t, src.Dump(t, db, "-Fc"))
	s := pgtest.Start(t, "-c", "logging_collector=on", "-c", "log_directory="+pgtest.DataDir+"/log", "-c", "log_statement=all", "-c", "log_min_messages=debug1", "-c", "log_error_verbosity=verbose",
		"-c", "log_min_error_statement=debug1", "-c", "log_min_duration_statement=0", "-c", "log_temp_files=0")
	report := filepath.Join(f.dir, "report.json")
	temp := t.TempDir()
	start := func(policy string) *running {
		f.write(t, f.policy, policy)
		return launch(t, s.DSN("postgres"), temp, f.args("--report", report, "--jobs", "3")...)
	}
	clean := func(when string) {
		t.Helper()
		s.Exec(t, "postgres", "CHECKPOINT")
		if got := find(s, strings.Join(all, "|"), "/var/lib/postgresql /tmp /run"); got != "" {
			t.Errorf("%s: raw values stand in %s", when, got)
		}
		if got := find(s, `SCRAM-SHA-256\$`, "/var/lib/postgresql"); got != "" {
			t.Errorf("%s: verifiers of passwords stand in %s", when, got)
		}
		if got := find(s, "KEPT", pgtest.DataDir+"/log"); got != "" {
			t.Errorf("%s: rows stand in the server's log %s", when, got)
		}
	}
	// Neither may it say what is kept: a message goes to other people than a
	// database does.
	silent := func(when string, got outcome) {
		t.Helper()
		b, err := os.ReadFile(report)
		if err != nil && got.code >= 0 {
			t.Errorf("%s: %v", when, err)
		}
		for _, word := range []string{"PLANTED", "feedface", "8671309577", "203.0.113", "ac:de:48", "12349876", "37.98", "KEPT"} {
			if strings.Contains(got.stdout+got.stderr+string(b)+s.Logs(t), word) {
				t.Errorf("%s: %q stands in what the command wrote:\n%s\n%s\n%s", when, word, got.stdout, got.stderr, b)
			}
		}
		if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
			t.Errorf("%s: temporary files %v, error %v", when, left, err)
		}
	}
	loading := func() bool { return s.Strings(t, "postgres", "SELECT count(*) FROM pg_stat_progress_copy")[0] != "0" }

	c := start(everyPlacePolicy)
	for !loading() {
		select {
		case <-c.done:
			t.Fatalf("the load was not seen: %s", c.outcome(t).stderr)
		default:
		}
	}
	_ = c.Process.Kill()
	got := c.outcome(t)
	clean("killed")
	silent("killed", got)

	for _, refusal := range []struct{ name, from, to, sentence string }{
		{"malformed for its mask", "doc: hash", `doc: {mask: regex, pattern: "[0-9-]*", anchored: true, replace: x}`, "row 7000 of public.people: column doc"},
		{"a mask that a check refuses", "t: text, v", "t: {mask: constant, value: x}, v", "people_check"},
		{"a mask that is no longer unique", "ci: email", "ci: {mask: constant, value: x}", "unique"},
	} {
		got := start(strings.Replace(everyPlacePolicy, refusal.from, refusal.to, 1)).outcome(t)
		if got.code != 2 || !strings.Contains(got.stderr, refusal.sentence) {
			t.Errorf("%s: exit code %d, %q does not say %q", refusal.name, got.code, got.last(), refusal.sentence)
		}
		clean(refusal.name)
		silent(refusal.name, got)
	}

	c = start(everyPlacePolicy)
	looked := 0
	for running := true; running; looked++ {
		select {
		case <-c.done:
			running = false
		default:
			clean("while it runs")
		}
	}
	got = c.outcome(t)
	if got.code != 0 || looked < 2 {
		t.Fatalf("exit code %d, looked %d times: %s", got.code, looked, got.stderr)
	}
	clean("done")
	silent("done", got)
	if n := s.Strings(t, "app", "SELECT (SELECT count(*) FROM people) + (SELECT count(*) FROM visits) + (SELECT count(*) FROM secrets)")[0]; n != "16000" {
		t.Errorf("%s rows", n)
	}
	if stats := s.Strings(t, "app", "SELECT count(*) FROM pg_stats WHERE most_common_vals::text || histogram_bounds::text LIKE '%PLAN' || 'TED%'")[0]; stats != "0" {
		t.Errorf("%s statistics hold raw values", stats)
	}
	s.Exec(t, "postgres", "DROP DATABASE app WITH (FORCE)")
	clean("dropped")
}
