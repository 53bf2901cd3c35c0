package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
)

// TestNewestDump refreshes a seed from a folder into which exports write: what is not
// whole, or not what its digest says, leaves the old seed answering.
func TestNewestDump(t *testing.T) {
	t.Parallel()
	src := pgtest.Source(t)
	night := func(rows int) []byte {
		t.Helper()
		sql := fmt.Sprintf("CREATE TABLE people (id bigint PRIMARY KEY, email text UNIQUE, note text); INSERT INTO people SELECT g, 'PLANTED' || g || '@corp.test', 'x' FROM generate_series(1, %d) g", rows)
		content, err := os.ReadFile(src.Dump(t, src.Database(t, sql), "-Fc"))
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	first, second := night(10), night(20)
	s := pgtest.Start(t)
	f := newFiles(t, "")
	f.dump = filepath.Join(f.dir, "out", "*.dump")
	if err := os.Mkdir(filepath.Join(f.dir, "out"), 0o755); err != nil {
		t.Fatal(err)
	}
	put := func(name string, content []byte, age time.Duration) {
		t.Helper()
		file := f.write(t, "out/"+name, string(content))
		if at := time.Now().Add(-age); os.Chtimes(file, at, at) != nil {
			t.Fatal("set the time of a file")
		}
	}
	digest := func(content []byte) []byte { return fmt.Appendf(nil, "%x  some.dump\n", sha256.Sum256(content)) }
	refresh := func(code int, says string, rows int, more ...string) {
		t.Helper()
		got := invoke(t, s.DSN("postgres"), f.args(append([]string{"--dump-sha256", "beside"}, more...)...)...)
		if got.code != code || !strings.Contains(got.stdout+got.stderr, says) {
			t.Errorf("code %d, not %d, and says %q: %s%s", got.code, code, says, got.stdout, got.stderr)
		}
		if rows == 0 {
			return
		}
		if is := s.Strings(t, "app", "SELECT count(*)::text FROM people"); len(is) != 1 || is[0] != fmt.Sprint(rows) {
			t.Errorf("the seed has %q rows, not %d", is, rows)
		}
	}
	alone := func(content []byte) []byte { return digest(content)[:64] }

	refresh(1, "nothing matches it", 0)
	put("1.dump", first, 3*time.Hour)
	refresh(1, "has no 1.dump.sha256 beside it", 0)
	put("1.dump.sha256", alone(first), 2*time.Hour)
	refresh(0, "10 rows", 10)
	refresh(0, "nothing to do", 10)

	put("2.dump", second, time.Minute)
	put("2.dump.sha256", alone(second), time.Minute)
	refresh(0, "may still be written", 10)
	put("2.dump", second[:len(second)/2], time.Hour)
	put("2.dump.sha256", digest(second), time.Hour)
	refresh(0, "of another file", 10)
	put("2.dump.sha256", digest(second[1:])[:64], time.Hour)
	put("2.dump", second, time.Hour)
	refresh(2, "sha256", 10) // a wrong checksum
	put("2.dump.sha256", alone(second), time.Hour)
	refresh(0, "20 rows", 20)
	record := invoke(t, s.DSN("postgres"), "evidence")
	if !strings.Contains(record.stdout, "2.dump") || !strings.Contains(record.stdout, string(alone(second))) {
		t.Errorf("the record does not say which dump it was: %s", record.stdout)
	}

	request := invoke(t, "", "request", "--dump", "s3://dumps/shop/*.dump?region=us-east-1", "--dump-sha256", "beside", "--policy", f.policy, "--key-file", f.key)
	var cm struct{ Data map[string]string }
	if err := yaml.Unmarshal([]byte(request.stdout), &cm); err != nil || cm.Data["dump"] != "s3://dumps/shop/*.dump?region=us-east-1" || cm.Data["dump-sha256"] != "beside" {
		t.Errorf("request: %v: %s%s", err, request.stdout, request.stderr)
	}
	for _, args := range [][]string{{"--dump-sha256", strings.Repeat("ab", 32)}, {"--dump-min-age", "-1s"}} {
		if got := invoke(t, s.DSN("postgres"), f.args(args...)...); got.code != 2 {
			t.Errorf("%q: code %d, %s", args, got.code, got.last())
		}
	}
}
