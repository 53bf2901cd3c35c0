package mask

import (
	"bytes"
	"strings"
	"testing"
)

// TestPieces: a large row in pieces is the row that Append gives.
func TestPieces(t *testing.T) {
	t.Parallel()
	// Columns b and c are large, masked, and read by the rules of others.
	plan, err := tryCompile(t, `tables: {public.t: {columns: {a: keep, b: text, c: bytea, d: {mask: json, paths: {"$.k": keep}}, e: keep, f: null,
		g: {mask: date_shift, by: e}, h: {mask: date_shift, by: b}, i: {mask: date_shift, by: c}, j: bytea}}}`,
		table("t", "a text", "b text", "c bytea", "d jsonb", "e text", "f text", "g date", "h date", "i date", "j bytea"))
	if err != nil {
		t.Fatal(err)
	}
	masks := plan.Table("public", "t")
	const dates = "2024-01-01\t2024-01-02\t2024-01-03"
	blob := `\\x` + strings.Repeat("00ff", 1<<19)
	long := strings.Repeat(`a line\\of "text" é\t`, 1<<17)
	before := []byte("a piece of the row before\n")
	for _, row := range []string{
		strings.Join([]string{`kept\n`, long, blob, `{"k": "x", "m": "` + strings.Repeat(`\\"A\\u00e9\\n`, 1<<18) + `"}`, long, "x", dates, blob}, "\t"),
		strings.Join([]string{`\N`, `\N`, `\N`, `\N`, `\N`, `\N`, `\N`, `\N`, `\N`, `\N`}, "\t"),
		strings.Join([]string{"", "short", `\\x`, `{}`, strings.Repeat("plain", 1<<18), "x", dates, blob}, "\t"),
	} {
		read := []byte(row)
		want, err := masks.NewWorker().Append(nil, read)
		if err != nil {
			t.Fatal(err)
		}
		if string(read) != row {
			t.Error("Append wrote into the row that it read")
		}
		w := masks.NewWorker()
		for _, buf := range [][]byte{nil, make([]byte, 3, 16<<20)} {
			pieces, rest, err := w.Pieces([][]byte{before}, buf, []byte(row))
			if err != nil {
				t.Fatal(err)
			}
			if got := bytes.Join(pieces, nil); !bytes.Equal(got, append(bytes.Clone(before), want...)) {
				t.Errorf("%d bytes in pieces are not the %d bytes of Append and the %d before", len(got), len(want), len(before))
			}
			if cap(buf) == 0 {
				continue
			}
			if &rest[0] != &buf[0] {
				t.Error("the buffer was large enough and moved")
			}
			// What lies in the buffer fills it, piece behind piece.
			end := len(buf)
			for _, p := range pieces {
				if len(p) > 0 && end < len(rest) && &p[0] == &rest[end] {
					end += len(p)
				}
			}
			if end != len(rest) {
				t.Errorf("pieces take %d bytes of the buffer, and %d are said to", end, len(rest))
			}
		}
		if a, b := w.Stats().BytesOut, int64(2*len(want)); a != b {
			t.Errorf("%d bytes counted, %d written", a, b)
		}
		read = []byte(row)
		if got, err := w.Append(nil, read); err != nil || !bytes.Equal(got, want) || string(read) != row {
			t.Errorf("Append after Pieces: error %v", err)
		}
	}
	for _, row := range []string{"too few", strings.Join([]string{"a", "b", `\\x00`, "{}", "e", "f", "2024-01-01", "2024-01-02", "no date", `\\x00`}, "\t")} {
		pieces, rest, err := masks.NewWorker().Pieces([][]byte{before}, make([]byte, 3, 1<<20), []byte(row))
		if err == nil {
			t.Errorf("a row that cannot be read passes: %q", row)
		}
		if len(pieces) != 1 || &pieces[0][0] != &before[0] || len(rest) < 3 {
			t.Errorf("after an error there are %d pieces and %d bytes", len(pieces), len(rest))
		}
	}
}
