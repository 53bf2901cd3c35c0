package mask

import (
	"bytes"
	"encoding/hex"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/seedling-dev/seedling/hooks/copytext"
)

// packed is a row as it is packed while it comes.
func packed(row string) ([]byte, []copytext.Span) {
	var p copytext.Packer
	var out []byte
	for len(row) > 0 {
		n := min(100_000, len(row))
		out = p.Pack(append(out, row[:n]...))
		row = row[n:]
	}
	return out, p.Spans
}

// joined is what pieces are written as.
func joined(pieces []Piece) []byte {
	var out []byte
	for _, p := range pieces {
		if p.Hex {
			out = hex.AppendEncode(out, p.Bytes)
		} else {
			out = append(out, p.Bytes...)
		}
	}
	return out
}

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
		for i, buf := range [][]byte{nil, make([]byte, 3, 16<<20), nil} {
			in, spans := []byte(row), []copytext.Span(nil)
			if i == 2 {
				if in, spans = packed(row); len(spans) == 0 && len(row) > 1<<20 {
					t.Error("nothing was packed")
				}
			}
			if need := w.Need(in, spans); need < int64(len(in)) {
				t.Errorf("a row of %d bytes needs %d", len(in), need)
			}
			pieces, rest, err := w.Pieces([]Piece{{Bytes: before}}, buf, in, spans, 1<<30, func(part []byte) { clear(part) })
			if err != nil {
				t.Fatal(err)
			}
			if got := joined(pieces); !bytes.Equal(got, append(bytes.Clone(before), want...)) {
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
				if len(p.Bytes) > 0 && end < len(rest) && &p.Bytes[0] == &rest[end] {
					end += len(p.Bytes)
				}
			}
			if end != len(rest) {
				t.Errorf("pieces take %d bytes of the buffer, and %d are said to", end, len(rest))
			}
		}
		if a, b := w.Stats().BytesOut, int64(3*len(want)); a != b {
			t.Errorf("%d bytes counted, %d written", a, b)
		}
		read = []byte(row)
		if got, err := w.Append(nil, read); err != nil || !bytes.Equal(got, want) || string(read) != row {
			t.Errorf("Append after Pieces: error %v", err)
		}
	}
	for _, row := range []string{"too few", strings.Join([]string{"a", "b", `\\x00`, "{}", "e", "f", "2024-01-01", "2024-01-02", "no date", `\\x00`}, "\t")} {
		pieces, rest, err := masks.NewWorker().Pieces([]Piece{{Bytes: before}}, make([]byte, 3, 1<<20), []byte(row), nil, 1<<30, func(part []byte) { clear(part) })
		if err == nil {
			t.Errorf("a row that cannot be read passes: %q", row)
		}
		if len(pieces) != 1 || &pieces[0].Bytes[0] != &before[0] || len(rest) < 3 {
			t.Errorf("after an error there are %d pieces and %d bytes", len(pieces), len(rest))
		}
	}
}

// largeValues are values of megabytes, with the rules that mask them.
func largeValues() map[string]struct{ column, rule, value string } {
	many := func(n int, piece string) string { return strings.Repeat(piece, n) }
	return map[string]struct{ column, rule, value string }{
		"bytea":                  {"bytea", "bytea", `\x` + many(300_000, "000a095c2e")},
		"bytea, hashed":          {"bytea", "hash", `\x` + many(300_000, "000a095c2e")},
		"bytea, chosen":          {"bytea", `{mask: choice, values: ['\x00', '\x01', '\x02']}`, `\x` + many(300_000, "000a095c2e")},
		"bytea, constant":        {"bytea", `{mask: constant, value: '\x00'}`, `\x` + many(300_000, "000a095c2e")},
		"text like bytea":        {"text", "text", `\x` + many(300_000, "000a095c2e") + " and more"},
		"text":                   {"text", "text", many(400_000, "Ann Émile\t12\\n \"x\" ")},
		"text, ASCII":            {"text", "text", many(400_000, "a plain text, ")},
		"text, hashed":           {"text", "{mask: hash, fold: true}", many(400_000, "Ann Émile\t12\\n ")},
		"citext":                 {"citext", "hash", "é" + many(400_000, "Ann ÉMILE\t12\\n ")},
		"spaces at the end":      {"bpchar", "{mask: email, fold: true}", "é" + many(400_000, "Ann ÉMILE ") + many(400_000, " ")},
		"phone":                  {"text", "phone", many(400_000, "+30 210 1234567, ")},
		"postcode":               {"text", "postcode", many(400_000, "AB1 2CD, ")},
		"words":                  {"text", "full_name", many(400_000, "Ann Émile ")},
		"domain":                 {"text", "{mask: email, domain: keep}", many(400_000, "ann@corp.test ") + "@corp.test"},
		"no address":             {"text", "{mask: ip, malformed: text}", many(400_000, "10.0.0.1 ")},
		"no number":              {"text", "{mask: number_noise, malformed: text}", many(400_000, "12345")},
		"no card":                {"text", "{mask: card, malformed: text}", many(400_000, "4111 1111 ")},
		"no MAC":                 {"text", "{mask: mac, malformed: text}", "00:11:22:33:44:55" + many(400_000, ":::")},
		"no IBAN":                {"text", "{mask: iban, malformed: text}", many(400_000, "GR16 ")},
		"no date":                {"text", "{mask: date_shift, by: a, malformed: text}", many(400_000, "2024-01-01 ")},
		"document of one string": {"jsonb", "json", `{"k": "` + many(300_000, `Zoë \"q\" \\ \n\u0001 12`) + `"}`},
		"string without escapes": {"jsonb", "json", `"` + many(300_000, `Zoë 12 plain`) + `"`},
		"hash of a string":       {"jsonb", "{mask: json, paths: {$.k: hash}}", `{"k": "` + many(300_000, `a \"q\" `) + `", "l": [1]}`},
		"document of many":       {"jsonb", "{mask: json, paths: {\"$[*].k\": keep}}", "[" + many(100_000, `{"k": "kept", "m": "a \"b\"", "n": 12.5, "o": true, "p": null}, `) + `{}]`},
		"document kept":          {"jsonb", "{mask: json, paths: {$.k: keep}}", `{"a": 1, "k": {"x": "` + many(500_000, `kept `) + `", "y": [` + many(500_000, "1, ") + `2]}, "b": "c"}`},
		"member names":           {"json", "json", "{" + many(100_000, `"ann@corp.test 12345 \n": "b", `) + `"x": 1}`},
		"a member's name":        {"json", "json", `{"` + many(300_000, `Ann \"q\" 12`) + `": "b"}`},
		"a number":               {"json", "json", `{"n": -` + many(300_000, "1234567890") + `.5e7}`},
		"literals":               {"json", "{mask: json, paths: {\"$[*]\": {mask: choice, values: [a, b]}}}", "[" + many(200_000, `"red \"1\"", `) + `"blue"]`},
		"array":                  {"text[]", "{mask: array, of: text}", "{" + many(200_000, `"a \"b\"",NULL,plain,`) + "x}"},
		"array of one":           {"text[]", "{mask: array, of: text}", `{"` + many(200_000, `a \"b\" \\ 12 `) + `",x}`},
		"array of one word":      {"text[]", "{mask: array, of: text}", "{" + many(400_000, "Word") + ",x}"},
		"array of one, hashed":   {"text[]", "{mask: array, of: hash}", `{"` + many(200_000, `a \"b\" \\ 12 `) + `",x}`},
		"array of one, NULL":     {"text[]", "{mask: array, of: {mask: ip, malformed: 'null'}}", `{"` + many(200_000, `a \"b\" \\ 12 `) + `",x}`},
		"array of bytea":         {"bytea[]", "{mask: array, of: bytea}", `{"\\x` + many(300_000, "000a095c2e") + `","\\x00"}`},
		"array of documents":     {"jsonb[]", "{mask: array, of: json}", `{"{\"k\": \"` + many(200_000, `a \\\"b\\\" `) + `\"}",` + many(100_000, `"{\"a\": 1}",`) + "NULL}"},
		"array of regex":         {"text[]", `{mask: array, of: {mask: regex, pattern: "[0-9]+x", with: text, anchored: false}}`, `{"` + many(200_000, `a \"b\" \\ 12 `) + `13x",x}`},
		"hstore":                 {"hstore", "{mask: hstore, keys: {k: keep}}", many(100_000, `"k"=>"kept", "l"=>"a \"b\"", "ann@corp.test"=>NULL, `) + `"m"=>"` + many(300_000, `long `) + `"`},
		"hstore, kept":           {"hstore", "{mask: hstore, keys: {k: keep}}", `"k"=>"` + many(300_000, `kept \"long\" `) + `", "l"=>"x"`},
		"hstore's key":           {"hstore", "hstore", `"` + many(300_000, `long \"12\" `) + `"=>"b", "l"=>"x"`},
		"composite":              {"pair", "{mask: composite, attributes: {a: keep, b: text}}", `(1,"` + many(300_000, `a ""q"" \\ `) + `")`},
		"composite, one word":    {"pair", "{mask: composite, attributes: {a: keep, b: text}}", `(1,` + many(500_000, `word`) + `)`},
		"xml":                    {"xml", "xml", "<a>" + many(100_000, `<b c="d &amp; e">Ann &lt; Bob</b><!-- gone -->`) + "<long>" + many(300_000, "a &amp; b ") + "</long></a>"},
		"xml's attribute":        {"xml", "{mask: xml, attributes: {c: keep}}", `<a c="` + many(300_000, `d &amp; e `) + `" d="` + many(300_000, `d &amp; e `) + `"/>`},
		"CDATA":                  {"xml", "xml", "<a><![CDATA[" + many(300_000, `d, e and more: no mark-up `) + "]]></a>"},
		"multirange":             {"int8range", "{mask: number_noise, percent: 10}", "{" + many(200_000, "[1,3),") + "[5,7)}"},
		"regex":                  {"text", `{mask: regex, pattern: "[0-9]+", with: text, anchored: false}`, many(10_000, many(50, `a b\n `)+"12")},
		"regex, replaced":        {"text", `{mask: regex, pattern: "\\b([0-9])[0-9]*", replace: "${1}x", anchored: false}`, many(10_000, many(50, `a b\n `)+"12")},
		"regex, all":             {"text", `{mask: regex, pattern: "(?s).+", with: text, anchored: false}`, many(400_000, "Ann Émile 12\n ")},
		"regex, looking back":    {"text", `{mask: regex, pattern: "[a-z]+|\\b[0-9]+", with: text, anchored: false}`, many(1<<19, "word") + "1234567 2"},
		"regex, anchored":        {"text", `{mask: regex, pattern: "(?s).+", with: text}`, many(400_000, "Ann Émile 12\n ")},
		"regex, or text":         {"text", `{mask: regex, pattern: "[a-z ]+", with: text, malformed: text}`, many(200_000, `not a 12 match `)},
		"regex, and no text":     {"text", `{mask: regex, pattern: "[a-z ]+", with: text, malformed: text}`, many(200_000, `all a match `)},
	}
}

// TestPiecesOfLargeValues: masks of large values are those of Append, also where
// what they have read is taken from them while they work, and there is no room.
func TestPiecesOfLargeValues(t *testing.T) {
	t.Parallel()
	for name, test := range largeValues() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			masks, row := largeRowOf(t, test.column, test.rule, test.value)
			want, err := masks.NewWorker().Append(nil, row)
			if err != nil {
				t.Fatal(err)
			}
			in, spans := packed(string(row))
			if got, _, err := masks.NewWorker().Pieces(nil, nil, in, spans, 1<<30, func(part []byte) { clear(part) }); err != nil || !bytes.Equal(joined(got), want) {
				t.Errorf("the pieces of the packed row are not what Append gives (error %v)", err)
			}
			forgotten := 0
			forget := func(part []byte) {
				clear(part)
				forgotten += len(part)
			}
			pieces, _, err := masks.NewWorker().Pieces(nil, make([]byte, 0, 2*len(row)), bytes.Clone(row), nil, 0, forget)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(joined(pieces), want) {
				t.Error("the pieces are not what Append gives")
			}
			if forgotten < len(test.value) {
				t.Errorf("%d bytes of %d were forgotten", forgotten, len(test.value))
			}
		})
	}
}

// largeRowOf is a row with a large value and others around it, and its table's plan.
func largeRowOf(t *testing.T, column, rule, value string) (*TablePlan, []byte) {
	t.Helper()
	plan, err := tryCompile(t, "tables: {public.t: {columns: {a: keep, v: "+rule+", z: keep}}}", table("t", "a text", "v "+column, "z text"))
	if err != nil {
		t.Fatal(err)
	}
	return plan.Table("public", "t"), append(copytext.Escape([]byte("a\t"), []byte(value)), "\tz"...)
}

// TestLargeValuesAreNotCopied: masking a large value takes no memory beside it and
// its mask, which lies where the caller says.
func TestLargeValuesAreNotCopied(t *testing.T) { //nolint:paralleltest // it counts what the process allocates
	for name, test := range largeValues() {
		masks, row := largeRowOf(t, test.column, test.rule, test.value)
		w := masks.NewWorker()
		buf := make([]byte, 0, 2*len(row))
		spans := []copytext.Span(nil)
		if test.column == "bytea" {
			row, spans = packed(string(row))
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _, err := w.Pieces(nil, buf, row, spans, 0, func([]byte) {})
		runtime.ReadMemStats(&after)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		const most = 1 << 20 // what single matches and small parts take
		if took := after.TotalAlloc - before.TotalAlloc; took > most {
			t.Errorf("%s: %d KB were allocated for a value of %d KB", name, took>>10, len(test.value)>>10)
		}
	}
}

// TestMasksThatGrow: a mask that takes more memory than there is, is refused before
// it takes it, with how much would do.
func TestMasksThatGrow(t *testing.T) {
	t.Parallel()
	many := func(n int, piece string) string { return strings.Repeat(piece, n) }
	for name, test := range map[string]struct{ column, rule, value string }{
		"document":      {"jsonb", "{mask: json, paths: {\"$[*]\": hash}}", "[" + many(500_000, `"ab", `) + `"a"]`},
		"array":         {"text[]", "{mask: array, of: hash}", "{" + many(1_000_000, "a,") + "b}"},
		"hstore":        {"hstore", "{mask: hstore, keys: {k: email}}", many(300_000, `"k"=>"a", `) + `"k"=>"b"`},
		"xml":           {"xml", "{mask: xml, elements: {b: email}}", "<a>" + many(300_000, "<b>a</b>") + "</a>"},
		"regex":         {"text", `{mask: regex, pattern: "[0-9]", replace: "a long text", anchored: false}`, many(1_000_000, "12 ")},
		"copies":        {"text", `{mask: regex, pattern: "(?s)(.*)", replace: "${1}$1"}`, many(1_000_000, "12345")},
		"inside":        {"text[]", `{mask: array, of: {mask: regex, pattern: "[0-9]", replace: "a long text", anchored: false}}`, "{1," + many(1_000_000, "12") + "}"},
		"maybe as text": {"text", `{mask: regex, pattern: "[0-9 ]+|y", anchored: false, with: {mask: regex, pattern: "[0-9 ]*", with: text}, malformed: text}`, many(1_000_000, "12345 ") + "y"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			masks, row := largeRowOf(t, test.column, test.rule, test.value)
			want, err := masks.NewWorker().Append(nil, row)
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = masks.NewWorker().Pieces(nil, nil, bytes.Clone(row), nil, 1<<20, func([]byte) {})
			re, ok := errors.AsType[*RowError](err)
			if !ok || re.Needs <= 1<<20 || strings.Contains(err.Error(), "12") && strings.Contains(err.Error(), "12345") {
				t.Fatalf("with a room of 1 MB: %v", err)
			}
			pieces, _, err := masks.NewWorker().Pieces(nil, nil, bytes.Clone(row), nil, re.Needs, func(part []byte) { clear(part) })
			if err != nil || !bytes.Equal(joined(pieces), want) {
				t.Errorf("with the %d KB that would do: error %v", re.Needs>>10, err)
			}
		})
	}
}

// TestTagsOfLargeValues: they are those of values that are folded at once.
func TestTagsOfLargeValues(t *testing.T) {
	t.Parallel()
	for _, eq := range []equality{{fold: true}, {fold: true, trim: true}, {fold: true, ascii: true}} {
		k := keyed{newPRF(testKey(t), "tags"), eq}
		for n := range 5 {
			value := []byte(strings.Repeat("a", n) + strings.Repeat("É\xff€", 5000) + "  ")
			var buf []byte
			if s := newScratch(); k.largeTag(s, value) != k.prf.sum(s, eq.canonical(&buf, value)) {
				t.Errorf("%+v: %d bytes have another tag", eq, len(value))
			}
		}
	}
}

// TestRegexOfLargeValues: a large value is masked match by match, as a small one.
func TestRegexOfLargeValues(t *testing.T) {
	t.Parallel()
	for _, rule := range []string{
		`{mask: regex, pattern: "[0-9]*", with: text, anchored: false}`,
		`{mask: regex, pattern: "(?m)^|\\b|x*", replace: "-", anchored: false}`,
		`{mask: regex, pattern: "(a)(b)?|é", replace: "${2}${1}$$", anchored: false}`,
		`{mask: regex, pattern: "^1|\\Bb|(?m:^x)|(?P<n>[0-9]$)", replace: "<${n}>", anchored: false}`,
		`{mask: regex, pattern: "\\A|é|(?i)AB", with: hash, anchored: false}`,
		`{mask: regex, pattern: "\\b\\Qab", replace: "c", anchored: false}`,
		`{mask: regex, pattern: "(?s).*", with: text, anchored: false}`,
		`{mask: regex, pattern: "(?s)(.).*", replace: "${1}", anchored: true}`,
	} {
		plan, err := tryCompile(t, "tables: {public.t: {columns: {v: "+rule+"}}}", table("t", "v text"))
		if err != nil {
			t.Fatal(err)
		}
		tf := plan.Table("public", "t").NewWorker().layout.columns[0].tf
		for _, value := range []string{"12a3 ab é\nxx1b", "ab", "é", "\n\n1", strings.Repeat("ab1 ", 100)} {
			want, err := tf.mask(newScratch(), []byte("before"), []byte(value))
			if err != nil {
				t.Fatal(err)
			}
			got, err := tf.(*regex).maskLarge(newScratch(), []byte("before"), []byte(value))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s of %q: %q, want %q (error %v)", rule, value, got, want, err)
			}
		}
	}
}
