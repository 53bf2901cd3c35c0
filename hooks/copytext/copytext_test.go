package copytext

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSplit(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		row  string
		want []string
	}{
		"one field":            {"a", []string{"a"}},
		"empty row":            {"", []string{""}},
		"empty fields":         {"\t\t", []string{"", "", ""}},
		"null":                 {`1` + "\t" + `\N` + "\tx", []string{"1", `\N`, "x"}},
		"escaped tab":          {"a\\\tb\tc", []string{"a\\\tb", "c"}},
		"escaped backslash":    {"a\\\\\tb", []string{`a\\`, "b"}},
		"three backslashes":    {"a\\\\\\\tb", []string{"a\\\\\\\tb"}},
		"tab sequence":         {`a\tb` + "\tc", []string{`a\tb`, "c"}},
		"value that reads \\.": {`\\.` + "\t1", []string{`\\.`, "1"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fields, err := Split(nil, []byte(tt.row))
			if err != nil {
				t.Fatal(err)
			}
			got := make([]string, len(fields))
			for i, f := range fields {
				got[i] = string(f)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	for _, row := range []string{`\`, "a\tb\\", `a\\\`} {
		if _, err := Split(nil, []byte(row)); err == nil {
			t.Errorf("%q: a lone backslash at the end was taken", row)
		}
	}
}

func TestUnescape(t *testing.T) {
	t.Parallel()
	for field, want := range map[string]string{
		"plain": "plain", "": "", `\b\f\n\r\t\v\\`: "\b\f\n\r\t\v\\",
		`\101\60\7x\777`: "A0\ax\xff", `\x41\x4g\xg`: "A\x04gxg", `\q\.`: "q.", "\\\t": "\t",
		`\\N`: `\N`, `\`: "", `\18`: "\x018", "ä\\nö": "ä\nö",
	} {
		if got := string(Unescape(nil, []byte(field))); got != want {
			t.Errorf("Unescape(%q) = %q, want %q", field, got, want)
		}
	}
}

func TestEscape(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"plain": "plain", "": "", "\b\f\n\r\t\v\\": `\b\f\n\r\t\v\\`, `\N`: `\\N`, `\.`: `\\.`,
		"0123456789\t0123456789\n": `0123456789\t0123456789\n`, "\x01\x0e\x7f\x80\xff": "\x01\x0e\x7f\x80\xff",
	} {
		if got := string(Escape(nil, []byte(value))); got != want {
			t.Errorf("Escape(%q) = %q, want %q", value, got, want)
		}
	}
}

func TestMarks(t *testing.T) {
	t.Parallel()
	if !IsNull([]byte(`\N`)) || IsNull([]byte(`\\N`)) || IsNull([]byte("N")) {
		t.Error("IsNull")
	}
	if !IsEnd([]byte(`\.`)) || IsEnd([]byte(`\\.`)) || IsEnd([]byte(`\.`+"\t")) {
		t.Error("IsEnd")
	}
	line, rest, ok := CutLine([]byte("a\tb\nc"))
	if string(line) != "a\tb" || string(rest) != "c" || !ok {
		t.Error("CutLine")
	}
	if _, rest, ok = CutLine(rest); ok || string(rest) != "c" {
		t.Error("CutLine of an incomplete line")
	}
}

//nolint:paralleltest // AllocsPerRun forbids it
func TestWideRowWithoutAllocation(t *testing.T) {
	row := []byte(strings.Repeat("value\\n\t", 299) + "last")
	fields := make([][]byte, 0, 300)
	buf := make([]byte, 0, 64)
	if n := testing.AllocsPerRun(100, func() {
		var err error
		if fields, err = Split(fields[:0], row); err != nil || len(fields) != 300 {
			t.Errorf("%d fields, %v", len(fields), err)
		}
		for _, f := range fields {
			buf = Escape(buf[:0], Unescape(buf[32:32], f))
		}
	}); n != 0 {
		t.Errorf("%v allocations per row", n)
	}
}

// referenceFields splits and unescapes a row byte by byte, as COPY FROM does.
func referenceFields(row []byte) (values []string, nulls []bool, ok bool) {
	var value []byte
	start := 0
	end := func(i int) {
		values = append(values, string(value))
		nulls = append(nulls, string(row[start:i]) == `\N`)
		value, start = nil, i+1
	}
	for i := 0; i < len(row); i++ {
		c := row[i]
		switch {
		case c == '\t':
			end(i)
			continue
		case c != '\\':
			value = append(value, c)
			continue
		case i+1 == len(row):
			return nil, nil, false
		}
		i++
		switch c = row[i]; {
		case c >= '0' && c <= '7':
			v := 0
			n := 0
			for ; n < 3 && i+n < len(row) && row[i+n] >= '0' && row[i+n] <= '7'; n++ {
				v = v*8 + int(row[i+n]-'0')
			}
			i += n - 1
			value = append(value, byte(v))
		case c == 'x':
			v, n := 0, 0
			for ; n < 2 && i+1+n < len(row); n++ {
				d := strings.IndexByte("0123456789abcdef", row[i+1+n]|0x20)
				if d < 0 || row[i+1+n] < '0' || d < 10 && row[i+1+n] > '9' {
					break
				}
				v = v*16 + d
			}
			if n == 0 {
				value = append(value, 'x')
			} else {
				value = append(value, byte(v))
			}
			i += n
		default:
			if at := strings.IndexByte("bfnrtv", c); at >= 0 {
				c = "\b\f\n\r\t\v"[at]
			}
			value = append(value, c)
		}
	}
	end(len(row))
	return values, nulls, true
}

func FuzzSplit(f *testing.F) {
	for _, s := range []string{"", "a\tb", `\N` + "\t\\", "\\\t\t\\x4\\777", "12345678\\\t12345678\t" + `\\` + "\t"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, row []byte) {
		want, nulls, ok := referenceFields(row)
		fields, err := Split(nil, row)
		if ok != (err == nil) {
			t.Fatalf("%q: error %v, reference says %v", row, err, ok)
		}
		if err != nil {
			return
		}
		if len(fields) != len(want) {
			t.Fatalf("%q: %d fields, want %d", row, len(fields), len(want))
		}
		for i, field := range fields {
			if IsNull(field) != nulls[i] {
				t.Fatalf("%q: field %d: null %v", row, i, IsNull(field))
			}
			if got := string(Unescape(nil, field)); !nulls[i] && got != want[i] {
				t.Fatalf("%q: field %d reads %q, want %q", row, i, got, want[i])
			}
		}
		if got := bytes.Join(fields, []byte("\t")); !bytes.Equal(got, row) {
			t.Fatalf("%q: joined again %q", row, got)
		}
	})
}

func FuzzEscape(f *testing.F) {
	for _, s := range []string{"", "a\tb\n\\", "12345678\x0b\x0c\x0d\x0e", `\N`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		field := Escape(nil, value)
		if bytes.ContainsAny(field, "\t\n\r\b\f\v") || IsNull(field) || IsEnd(field) {
			t.Fatalf("%q is not a field", field)
		}
		if got := Unescape(nil, field); !bytes.Equal(got, value) {
			t.Fatalf("%q came back as %q", value, got)
		}
		if got := EscapeTail(append([]byte("a\tb"), value...), 3); string(got) != "a\tb"+string(field) {
			t.Fatalf("in place %q becomes %q", value, got)
		}
		if fields, err := Split(nil, field); err != nil || len(fields) != 1 {
			t.Fatalf("%q is %d fields, %v", field, len(fields), err)
		}
	})
}

func BenchmarkEscape(b *testing.B) {
	value := []byte(strings.Repeat("a line of a log with nothing to escape in it, ", 20))
	dst := make([]byte, 0, 2*len(value))
	b.SetBytes(int64(len(value)))
	for b.Loop() {
		dst = Escape(dst[:0], value)
	}
}
