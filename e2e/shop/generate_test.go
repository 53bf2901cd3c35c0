package shop

import (
	"bytes"
	"crypto/sha256"
	"io"
	"strings"
	"testing"
	"time"
)

// text is all of the data as COPY text.
func text(t testing.TB, d Data) []byte {
	t.Helper()
	var b bytes.Buffer
	var n int64
	for _, table := range shopTables {
		if _, err := io.Copy(&b, d.reader(table, &n)); err != nil {
			t.Fatal(err)
		}
	}
	if int64(b.Len()) != n {
		t.Errorf("the readers counted %d bytes of %d", n, b.Len())
	}
	return b.Bytes()
}

func TestSameDataIsTheSameBytes(t *testing.T) {
	t.Parallel()
	d := OfSize(1e6)
	if a, b := sha256.Sum256(text(t, d)), sha256.Sum256(text(t, d)); a != b {
		t.Error("two runs differ")
	}
	other := d
	other.Seed++
	if bytes.Equal(text(t, d), text(t, other)) {
		t.Error("another seed is the same data")
	}
}

func TestSizeIsAboutWhatWasAsked(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{1e6, 20e6} {
		if n := int64(len(text(t, OfSize(size)))); n < size*95/100 || n > size*105/100 {
			t.Errorf("asked for %d bytes, got %d", size, n)
		}
	}
}

func TestEveryCanaryIsPlanted(t *testing.T) {
	t.Parallel()
	for _, d := range []Data{{Users: smallest}, {Users: 1000, Seed: 3}} {
		raw := text(t, d)
		seen := map[string]bool{}
		for _, c := range Canaries() {
			if !bytes.Contains(raw, []byte(c.Value)) {
				t.Errorf("%d users: %s: %q is not in the data", d.Users, c.Where, c.Value)
			}
			if seen[c.Value] {
				t.Errorf("%q is planted twice", c.Value)
			}
			seen[c.Value] = true
		}
	}
}

func TestRowsHaveTheirColumns(t *testing.T) {
	t.Parallel()
	d := OfSize(1e6)
	for _, table := range shopTables {
		var n int64
		raw, err := io.ReadAll(d.reader(table, &n))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n")
		if len(lines) != table.rows(d.Users) {
			t.Errorf("%s: %d rows, want %d", table.name, len(lines), table.rows(d.Users))
		}
		want := strings.Count(table.columns, ",")
		for i, line := range lines {
			if got := strings.Count(line, "\t"); got != want {
				t.Fatalf("%s row %d: %d fields, want %d", table.name, i, got+1, want+1)
			}
		}
	}
}

func TestStampIsTheTime(t *testing.T) {
	t.Parallel()
	for unix := int64(-4e9); unix < 4e9; unix += 7654321 {
		want := time.Unix(unix, 0).UTC().Format("2006-01-02 15:04:05+00")
		if got := string(stamp(nil, unix)); got != want {
			t.Fatalf("%d: %s, want %s", unix, got, want)
		}
	}
}

func BenchmarkGenerate(b *testing.B) {
	for _, table := range shopTables {
		b.Run(table.name, func(b *testing.B) {
			d := OfSize(20e6)
			for b.Loop() {
				var n int64
				if _, err := io.Copy(io.Discard, d.reader(table, &n)); err != nil {
					b.Fatal(err)
				}
				b.SetBytes(n)
			}
		})
	}
}
