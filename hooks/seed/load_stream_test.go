package seed

import (
	"bytes"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/seedling-dev/seedling/hooks/copytext"
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

// TestStream cuts a table's data into blocks and finds all rows with their numbers
// in them. Large rows hold the token.
func TestStream(t *testing.T) {
	t.Parallel()
	large := "2\t" + strings.Repeat("a large row, ", 150_000)
	for name, rows := range map[string][]string{
		"small":             {"1\ta", "2\tb", ""},
		"large":             {large},
		"large first":       {large, "3\tc", "4\td"},
		"large last":        {"1\ta", large},
		"large between":     {"1\ta", large + "\tz", "3\tc", strings.Repeat("x", 300_000), "5"},
		"large, one by one": {large, large, large + large},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := []byte(strings.Join(rows, "\n") + "\n\\.\n\n")
			p := newPool(LeastMemory, func() int64 { return 0 })
			blocks := make(chan *block)
			done := make(chan error, 1)
			go func() {
				defer close(blocks)
				done <- stream(t.Context(), &parts{data, rand.New(rand.NewPCG(1, uint64(len(data))))}, "t", 6, p, blocks)
			}()
			at := 0
			for b := range blocks {
				if b.first != int64(at) {
					t.Errorf("a block begins with row %d, after %d", b.first+1, at)
				}
				for rest := b.data; ; at++ {
					line, tail, ok := copytext.CutLine(rest)
					if !ok {
						break
					}
					if at >= len(rows) || string(line) != rows[at] {
						t.Fatalf("row %d of %d is another, of %d bytes", at+1, len(rows), len(line))
					}
					if len(line) > 2*largeRow && (!b.large || len(p.token) != 1) {
						t.Errorf("row %d is large, and the block does not hold the token", at+1)
					}
					rest = tail
				}
				p.put(b)
			}
			if err := <-done; err != nil || at != len(rows) || len(p.token) != 0 {
				t.Errorf("%d rows of %d, %d tokens held, error %v", at, len(rows), len(p.token), err)
			}
		})
	}
}

// TestTooLarge refuses a row for which there is no memory, while it is read, and
// says with how much it fits.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	const length = 40 << 20
	for memory, want := range map[int64]string{
		LeastMemory: "row 2 takes about 240 MB of memory while it is masked, and --memory leaves 192 MB for one row: give --memory 305MB or more",
		305 << 20:   "",
	} {
		p := newPool(memory, func() int64 { return 0 })
		blocks := make(chan *block, 8)
		err := stream(t.Context(), io.MultiReader(strings.NewReader("1\n"), bytes.NewReader(bytes.Repeat([]byte("x"), length)), strings.NewReader("\n\\.\n")), "t", 6, p, blocks)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("with %d MB: %v", memory>>20, err)
		}
	}
}
