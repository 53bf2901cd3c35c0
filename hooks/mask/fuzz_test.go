package mask

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/seedling-dev/seedling/hooks/copytext"
)

// FuzzMaskers gives any bytes to every masker, in every kind of column, and to
// the census: neither may panic, the masker must give one field, the same each
// time, and no error may hold the value.
func FuzzMaskers(f *testing.F) {
	type place struct {
		plan *Plan
		name string
	}
	var places []place
	for name, p := range properties {
		policy, err := ParsePolicy([]byte("version: 1\ntables: {public.t: {columns: {id: keep, a: " + p.rule + "}}}\n"))
		if err != nil {
			f.Fatal(err)
		}
		key, err := NewKey([]byte("0123456789abcdef0123456789abcdef"))
		if err != nil {
			f.Fatal(err)
		}
		plan, err := Compile(policy, key, Catalog{Tables: []Table{tableOf("t", "id int8", "a "+p.column)}})
		if err != nil {
			f.Fatal(err)
		}
		places = append(places, place{plan, name})
		f.Add(copytext.Unescape(nil, []byte(p.value(3))))
	}
	f.Add([]byte(nil))
	f.Add([]byte(`{"a":[1,-2.5e+3,"\ud83d\ude00\u0000",{"b c":null}]}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		if bytes.IndexByte(value, 0) >= 0 {
			return // not in PostgreSQL's texts
		}
		row := append([]byte("5\t"), copytext.Escape(nil, value)...)
		for _, p := range places {
			layout, err := p.plan.Table("public", "t").Bind([]string{"id", "a"})
			if err != nil {
				t.Fatal(err)
			}
			p.plan.NewCensus().Add(layout, append(row, '\n')) // before the masks judge the value
			out, err := layout.NewWorker().Append(nil, row)
			if err != nil {
				if len(value) > 12 && strings.Contains(err.Error(), string(value)) {
					t.Fatalf("%s: the error holds the value: %v", p.name, err)
				}
				continue
			}
			fields, err := copytext.Split(nil, bytes.TrimSuffix(out, []byte("\n")))
			if err != nil || len(fields) != 2 || bytes.IndexByte(bytes.TrimSuffix(out, []byte("\n")), '\n') >= 0 {
				t.Fatalf("%s: %q becomes %q: %v", p.name, row, out, err)
			}
			w := layout.NewWorker()
			for range 2 {
				again, err := w.Append(nil, row)
				if err != nil || !bytes.Equal(again, out) {
					t.Fatalf("%s: %q becomes %q and then %q, %v", p.name, row, out, again, err)
				}
			}
		}
	})
}

// FuzzJSON checks that what comes out is JSON exactly when what went in is,
// with the same structure, and without the originals.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{
		`{}`, `[]`, `"x"`, `-0.5E-3`, ` [ true , null ] `, `{"a":{"b":[1,"two",{"c":"three"}]},"mail":"x@y.z"}`, `{"a":1,"a":2}`,
		`"\ud83d\ude00 \ud83d \u0001"`, `{"mail":{"deep":["x"]}}`, `01`, `[1,]`, `{"a"}`, `tru`, "\"\x01\"", `{"list":[{"v":"secret"},{"v":2}]}`,
	} {
		f.Add(s)
	}
	policy, err := ParsePolicy([]byte(`
version: 1
tables:
  public.t:
    columns:
      a:
        mask: json
        paths: {$.a: hash, "$.list[*].v": keep, "$.*.deep": null, "$.k.*": {mask: constant, value: 7}}
        keys: {mail: email, n: number_noise}
      b: json
      c: {mask: json, unlisted: stop, paths: {$: text}}
`))
	if err != nil {
		f.Fatal(err)
	}
	key, err := NewKey([]byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		f.Fatal(err)
	}
	plan, err := Compile(policy, key, Catalog{Tables: []Table{tableOf("t", "a jsonb", "b json", "c json")}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, doc string) {
		if strings.ContainsRune(doc, 0) {
			return
		}
		w := plan.Table("public", "t").NewWorker()
		for column := range 3 {
			out, err := w.AppendField(nil, column, copytext.Escape(nil, []byte(doc)))
			if valid := json.Valid([]byte(doc)); valid != (err == nil) {
				if column == 0 && valid {
					continue // number_noise may refuse a number
				}
				t.Fatalf("%q: valid %v, error %v", doc, valid, err)
			}
			if err != nil {
				continue
			}
			masked := copytext.Unescape(nil, out)
			if !json.Valid(masked) {
				t.Fatalf("%q becomes %q", doc, masked)
			}
			if column == 1 && structure(doc) != structure(string(masked)) {
				t.Fatalf("%q becomes %q", doc, masked)
			}
		}
	})
}

// structure is a document without its scalars and member names.
func structure(doc string) string {
	d := json.NewDecoder(strings.NewReader(doc))
	d.UseNumber()
	var b strings.Builder
	for {
		token, err := d.Token()
		if err != nil {
			return b.String()
		}
		switch v := token.(type) {
		case json.Delim:
			b.WriteString(v.String())
		case string:
			b.WriteByte('s')
		case json.Number:
			b.WriteByte('n')
		case bool:
			b.WriteByte('b')
		case nil:
			b.WriteByte('0')
		}
	}
}

func TestJSONPrecedence(t *testing.T) {
	t.Parallel()
	tests := []struct{ rule, in, want string }{
		{"{mask: json, paths: {$: keep, $.a: null}}", `{"a": {"b": 1}, "c": "x"}`, `{"a": null, "c": "x"}`},
		{"{mask: json, paths: {$: keep, $.a: {mask: constant, value: 5}, '$.b': {mask: constant, value: \"5\"}}}", `{"a": [1], "b": [1]}`, `{"a": 5, "b": "5"}`},
		{"{mask: json, paths: {$.a: {mask: constant, value: x}, $.a.keep: keep}}", `{"a": "y"}`, `{"a": "x"}`},
		{"{mask: json, paths: {$: {mask: constant, value: x}, $.keep: keep}}", `{"keep": "y"}`, `"x"`},
		{"{mask: json, paths: {$: keep, '$.*.secret': null, $.a.open: keep}}", `{"a": {"secret": 1, "open": 2}, "b": {"secret": 1}}`, `{"a": {"secret": null, "open": 2}, "b": {"secret": null}}`},
		{"{mask: json, paths: {$: keep, '$[*].s': null}}", `[{"s": 1, "t": "x"}, {"s": 2}, 3]`, `[{"s": null, "t": "x"}, {"s": null}, 3]`},
		{"{mask: json, paths: {$: keep}, keys: {pin: null}}", `{"a": [{"pin": 1}], "pin": "\\u0041"}`, `{"a": [{"pin": null}], "pin": null}`},
		{"{mask: json, paths: {$: keep, '$.\"odd.name\"': null}}", `{"odd.name": 1, "odd\\u002ename": 2}`, `{"odd.name": null, "odd\\u002ename": null}`},
		{"{mask: json, paths: {$.a: keep}}", `{"a": true, "b": true, "c": false, "d": null}`, `{"a": true, "b": false, "c": false, "d": null}`},
		{"{mask: json, paths: {$: keep, $.p: credential}}", `{"p": "hunter2"}`, `{"p": null}`},
		{"{mask: json, paths: {$: keep, $.s: {mask: choice, values: [1, x, true]}}}", `{"s": null}`, `{"s": null}`},
	}
	for _, tt := range tests {
		plan, err := tryCompile(t, "tables: {public.t: {columns: {a: "+tt.rule+"}}}", tableOf("t", "a json"))
		if err != nil {
			t.Errorf("%s: %v", tt.rule, err)
			continue
		}
		if got := maskRow(t, plan, "t", tt.in); got[0] != tt.want {
			t.Errorf("%s\n%s becomes\n%s, want\n%s", tt.rule, tt.in, got[0], tt.want)
		}
	}
	// Member names that may be data are masked; those of programmers stay.
	plan, err := tryCompile(t, "tables: {public.t: {columns: {a: json, b: hstore, c: {mask: json, unlisted: stop, paths: {$.ok: keep}}}}}", tableOf("t", "a json", "b hstore", "c json"))
	if err != nil {
		t.Fatal(err)
	}
	got := maskRow(t, plan, "t", `{"jane@corp.test": 1, "last_login": 2, "+49 170 1234567": {"x": 3}}`, `"jane@corp.test"=>"1", "theme"=>NULL`, `{"ok": 1}`)
	for _, s := range []string{"jane", "corp", "1234567"} {
		if strings.Contains(got[0]+got[1], s) {
			t.Errorf("%s is still in %v", s, got)
		}
	}
	if !strings.Contains(got[0], `"last_login": `) || !strings.Contains(got[1], `"theme"=>NULL`) {
		t.Errorf("names of members are masked: %v", got)
	}
	w := plan.Table("public", "t").NewWorker()
	_, err = w.AppendField(nil, 2, []byte(`{"ok": 1, "jane": "x"}`))
	if err == nil || strings.Contains(err.Error(), "jane") {
		t.Errorf("an unlisted member: %v", err)
	}
	if _, err = w.AppendField(nil, 0, []byte(strings.Repeat("[", 20000)+strings.Repeat("]", 20000))); err == nil {
		t.Error("a document without end of depth was taken")
	}
}
