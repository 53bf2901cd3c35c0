package seed

import (
	"bytes"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/seedling-dev/seedling/hooks/copytext"
	"github.com/seedling-dev/seedling/hooks/dump"
)

// parts is a reader that gives a few bytes, or very many, at a time.
type parts struct {
	data   []byte
	random *rand.Rand
}

func (p *parts) Read(b []byte) (int, error) {
	if len(p.data) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.data[:min(len(p.data), 1+p.random.IntN(1<<p.random.IntN(20)))])
	p.data = p.data[n:]
	return n, nil
}

// TestStream cuts a table's data into blocks, of which big rows are packed, and
// finds all rows with their numbers in them.
func TestStream(t *testing.T) {
	t.Parallel()
	// Newlines, backslashes, tabs and points when they are packed.
	digits := strings.Repeat("0a5c2e0a095c2e0d", 150_000)
	big := `2	\\x` + digits
	for name, rows := range map[string][]string{
		"small":              {"1\ta", "2\tb", ""},
		"big":                {big},
		"big first":          {big, "3\tc", "4\td"},
		"big last":           {"1\ta", big},
		"big between":        {"1\ta", big + "\tz", "3\tc", strings.Repeat("x", 300_000), "5"},
		"big, one by one":    {big, big, `\\x` + digits + "0a\t" + `\\x` + digits},
		"long text":          {strings.Repeat("no bytea ", 200_000), "2"},
		"bytea and text":     {big + "\t" + strings.Repeat("text ", 300_000), "2"},
		"text and bytea":     {strings.Repeat("text ", 300_000) + "\t" + big, "2"},
		"half a byte":        {big + "f", "2"},
		"no digits after it": {big + "xyz\\\\", "2"},
	} {
		for _, packs := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				data := []byte(strings.Join(rows, "\n") + "\n\\.\n\n")
				p := (&run{Options: Options{Memory: LeastMemory, Heap: func(int64) {}}, dump: &dump.Dump{}}).pool()
				bytea := []bool{true, true, false}
				if !packs {
					bytea = nil
				}
				defer p.close()
				blocks := make(chan *block)
				done := make(chan error, 1)
				go func() {
					defer close(blocks)
					done <- stream(t.Context(), &parts{data, rand.New(rand.NewPCG(1, uint64(len(data))))}, "t", bytea, p, blocks)
				}()
				at, packed := 0, false
				for b := range blocks {
					if b.first != int64(at) {
						t.Errorf("a block begins with row %d, after %d", b.first+1, at)
					}
					n := at
					for rest := b.data; ; n++ {
						line, tail, ok := b.cut(rest)
						if !ok {
							break
						}
						if got := copytext.Expand(nil, line, b.packed(), 0, len(line)); n >= len(rows) || !bytes.Equal(got, []byte(rows[n])) {
							t.Fatalf("row %d of %d is another, of %d bytes", n+1, len(rows), len(got))
						}
						packed = packed || len(line) < len(rows[n])*2/3
						rest = tail
					}
					if int64(n-at) != b.rows() {
						t.Errorf("a block of %d rows counts %d", n-at, b.rows())
					}
					at = n
					p.put(b)
				}
				if err := <-done; err != nil || at != len(rows) {
					t.Errorf("%d rows of %d, error %v", at, len(rows), err)
				}
				if want := packs && strings.Contains(strings.Join(rows, ""), digits); packed != want && name != "bytea and text" && name != "text and bytea" {
					t.Errorf("rows were packed: %v, want %v", packed, want)
				}
			})
		}
	}
}
