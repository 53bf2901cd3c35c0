package mask

import (
	"bytes"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/seedling-dev/seedling/hooks/copytext"
)

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

// largeRowOf is a row with a large value and others around it, and its table's plan.
func largeRowOf(t *testing.T, column, rule, value string) (*TablePlan, []byte) {
	t.Helper()
	plan, err := tryCompile(t, "tables: {public.t: {columns: {a: keep, v: "+rule+", z: keep}}}", tableOf("t", "a text", "v "+column, "z text"))
	if err != nil {
		t.Fatal(err)
	}
	return plan.Table("public", "t"), append(copytext.Escape([]byte("a\t"), []byte(value)), "\tz"...)
}

// TestFactor: a large row takes about as much memory as its length tells. All that is
// allocated while it is masked is counted, also what the collector may have, which is
// as much again where a buffer grows step by step.
func TestFactor(t *testing.T) { //nolint:paralleltest // it counts what the process allocates
	for name, test := range largeValues() {
		masks, row := largeRowOf(t, test.column, test.rule, test.value)
		w := masks.NewWorker()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		out, err := w.Append(nil, row)
		runtime.ReadMemStats(&after)
		if err != nil || len(out) == 0 {
			t.Errorf("%s: error %v", name, err)
		}
		took := int64(after.TotalAlloc-before.TotalAlloc) + int64(len(row))
		if most := w.layout.Factor() * int64(len(row)); took > 2*most {
			t.Errorf("%s: a row of %d KB takes %d KB, much more than the %d times that are said", name, len(row)>>10, took>>10, w.layout.Factor())
		}
		for _, b := range w.workspace.bufs {
			if cap(*b) > largeRow {
				t.Errorf("%s: a buffer of %d bytes stays", name, cap(*b))
			}
		}
	}
}

// TestMasksThatGrow: a mask for which there is no memory is refused before it takes
// much more, with about how long it would be; where there is, it is that of Append.
func TestMasksThatGrow(t *testing.T) {
	t.Parallel()
	many := func(n int, piece string) string { return strings.Repeat(piece, n) }
	for name, test := range map[string]struct{ column, rule, value string }{
		"document": {"jsonb", "{mask: json, paths: {\"$[*]\": hash}}", "[" + many(500_000, `"ab", `) + `"a"]`},
		"array":    {"text[]", "{mask: array, of: hash}", "{" + many(1_000_000, "a,") + "b}"},
		"hstore":   {"hstore", "{mask: hstore, keys: {k: email}}", many(300_000, `"k"=>"a", `) + `"k"=>"b"`},
		"xml":      {"xml", "{mask: xml, elements: {b: email}}", "<a>" + many(300_000, "<b>a</b>") + "</a>"},
		"regex":    {"text", `{mask: regex, pattern: "[0-9]", replace: "a long text", anchored: false}`, many(1_000_000, "12 ")},
		"copies":   {"text", `{mask: regex, pattern: "(?s)(.*)", replace: "${1}$1"}`, many(1_000_000, "12345")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			masks, row := largeRowOf(t, test.column, test.rule, test.value)
			want, err := masks.NewWorker().Append(nil, row)
			if err != nil {
				t.Fatal(err)
			}
			before := []byte("the row before\n")
			got, err := masks.NewWorker().AppendWithin(before, row, int64(len(row)))
			re, ok := errors.AsType[*RowError](err)
			if !ok || re.Long <= int64(len(row)) || re.Long > 2*int64(len(want)) || strings.Contains(err.Error(), "123") || !bytes.Equal(got, before) {
				t.Fatalf("within the length of the row: %v", err)
			}
			got, err = masks.NewWorker().AppendWithin(nil, row, 2*int64(len(want)))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("within twice what the mask takes: error %v", err)
			}
		})
	}
}
