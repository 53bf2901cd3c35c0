package copytext

import (
	"bytes"
	"strings"
	"testing"
)

// packIn packs a row that comes in parts of so many bytes.
func packIn(step int, row []byte) ([]byte, *Packer) {
	p := &Packer{}
	var packed []byte
	for len(row) > 0 {
		n := min(step, len(row))
		packed = p.Pack(append(packed, row[:n]...))
		row = row[n:]
	}
	return packed, p
}

func TestPack(t *testing.T) {
	t.Parallel()
	digits := strings.Repeat("000a5c092e", 1000) // a newline, a backslash, a tab, a point
	for name, test := range map[string]struct {
		row   string
		spans int
	}{
		"alone":            {`\\x` + digits, 1},
		"between others":   {"1\t" + `\\x` + digits + "\tx", 1},
		"two":              {`\\x` + digits + "\t" + `\\x` + digits, 2},
		"odd":              {`\\x` + digits + "a\tb", 1},
		"followed by text": {`\\x` + digits + "xyz\t1", 1},
		"capitals":         {`\\x` + strings.ToUpper(digits) + strings.Repeat("ABCDEF", 100), 0},
		"no bytea":         {digits + "\t" + digits, 0},
		"in a text":        {`see \\x` + digits, 0},
		"after a raw tab":  {"a\\\t" + `\\x` + digits + "\tb", 1},
		"short":            {`\\x00` + "\t1", 0},
		"empty":            {`\\x` + "\t" + `\\x`, 0},
		"NULL":             {`\N` + "\t" + `\\x` + digits + "\t" + `\N`, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			packed, p := packIn(999, []byte(test.row))
			if len(p.Spans) != test.spans {
				t.Errorf("%d spans", len(p.Spans))
			}
			if test.spans > 0 && len(packed) > len(test.row)*2/3 {
				t.Errorf("%d bytes of %d", len(packed), len(test.row))
			}
			agree(t, []byte(test.row), packed, p)
		})
	}
}

// agree checks that a packed row is the row.
func agree(t *testing.T, row, packed []byte, p *Packer) {
	t.Helper()
	if got := Expand(nil, packed, p.Spans, 0, len(packed)); !bytes.Equal(got, row) {
		t.Fatalf("%q was %q", got, row)
	}
	fields, want := Split(nil, row)
	start := 0
	for i, field := range fields {
		end, err := PackedFieldEnd(packed, p.Spans, start)
		if err != nil {
			t.Fatal(err)
		}
		if got := Expand(nil, packed, p.Spans, start, end); !bytes.Equal(got, field) {
			t.Fatalf("field %d is %q and was %q", i, got, field)
		}
		start = end + 1
	}
	if want != nil {
		if _, err := PackedFieldEnd(packed, p.Spans, start); err == nil {
			t.Error("the lone backslash is gone")
		}
	} else if start != len(packed)+1 {
		t.Errorf("the last field ends at %d of %d", start-1, len(packed))
	}
}

func FuzzPack(f *testing.F) {
	f.Add([]byte("1\t\\\\x000a5c092e00ff\t\\N\\\\x0\t\\\\x00"), uint8(3))
	f.Add([]byte("\\\\x0a0a0a0a0a0a0a0a0ax\t\\\\x5c5c5c5c5c5c5c5c\t\\\t\\\\x0909090909\\"), uint8(7))
	f.Fuzz(func(t *testing.T, row []byte, step uint8) {
		if bytes.IndexByte(row, '\n') >= 0 {
			t.Skip("no row")
		}
		packed, p := packIn(int(step)+1, bytes.Clone(row))
		agree(t, row, packed, p)
	})
}
