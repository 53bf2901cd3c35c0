package mask

import (
	"bytes"
	"strings"
	"testing"
)

// TestPieces: a large row in pieces is the row that Append gives.
func TestPieces(t *testing.T) {
	t.Parallel()
	plan, err := tryCompile(t, `tables: {public.t: {columns: {a: keep, b: text, c: bytea, d: {mask: json, paths: {"$.k": keep}}, e: keep, f: null, g: {mask: date_shift, by: e}}}}`,
		table("t", "a text", "b text", "c bytea", "d jsonb", "e text", "f text", "g date"))
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat(`a line\\of "text" é\t`, 1<<17)
	for _, row := range []string{
		strings.Join([]string{`kept\n`, long, `\\x` + strings.Repeat("00ff", 1<<19), `{"k": "x", "m": "` + strings.Repeat(`\\"A\\u00e9\\n`, 1<<18) + `"}`, long, "x", "2024-01-01"}, "\t"),
		strings.Join([]string{`\N`, `\N`, `\N`, `\N`, `\N`, `\N`, `\N`}, "\t"),
		strings.Join([]string{"", "short", `\\x`, `{}`, strings.Repeat("plain", 1<<18), "x", "2024-01-01"}, "\t"),
	} {
		want, err := plan.Table("public", "t").NewWorker().Append(nil, []byte(row))
		if err != nil {
			t.Fatal(err)
		}
		w := plan.Table("public", "t").NewWorker()
		for _, buf := range [][]byte{nil, make([]byte, 0, 16<<20)} {
			pieces, rest, err := w.Pieces(nil, buf, []byte(row))
			if err != nil {
				t.Fatal(err)
			}
			if got := bytes.Join(pieces, nil); !bytes.Equal(got, want) {
				t.Errorf("%d bytes in pieces are not the %d bytes of Append", len(got), len(want))
			}
			if cap(buf) > 0 && &rest[:1][0] != &buf[:1][0] {
				t.Error("the buffer was large enough and moved")
			}
		}
		if a, b := w.Stats().BytesOut, int64(2*len(want)); a != b {
			t.Errorf("%d bytes counted, %d written", a, b)
		}
	}
	if _, _, err := plan.Table("public", "t").NewWorker().Pieces(nil, nil, []byte("too few")); err == nil {
		t.Error("a row with too few fields passes")
	}
}
