package mask

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCensus(t *testing.T) {
	t.Parallel()
	users := tableOf("users", "id int8!", "email text", "gender text", "plan text", "blood text", "born date", "kept text", "few int4", "drawn text", "empty text", "rare text")
	const columns = `{id: key, email: email, gender: text, plan: {mask: choice, values: [a, b]}, blood: {mask: constant, value: x}, born: year_only, kept: keep,
		few: {mask: number_range, min: 1, max: 5}, drawn: {mask: choice, values: [a, b], by: id}, empty: text, rare: text}`
	events := []Table{
		tableOf("events", "kind text").partitioned("range"),
		tableOf("events_1", "kind text").partition("events"), tableOf("events_2", "kind text").partition("events"),
	}
	run := func(head string, rows int) []string {
		plan, err := tryCompile(t, head+"tables: {public.users: {columns: "+columns+"}, public.events: {columns: {kind: text}}}", append([]Table{users}, events...)...)
		if err != nil {
			t.Fatal(err)
		}
		census := plan.NewCensus()
		bind := func(name string, columns ...string) *Layout {
			l, err := plan.Table("public", name).Bind(columns)
			if err != nil {
				t.Fatal(err)
			}
			return l
		}
		var b strings.Builder
		for i := range rows {
			rare := `\N`
			if i < 2 {
				rare = fmt.Sprint("rare", i)
			}
			fmt.Fprintf(&b, "%d\ta%d@b.test\t%s\tp%d\tA%d\t19%02d-01-01\tk\t%d\t%d\t\\N\t%s\n", i, i, []string{"m", "f"}[i%2], i%7, i%4, i%50, i%20, i%3, rare)
		}
		b.WriteString("a row that cannot be read\n")
		census.Add(bind("users", "id", "email", "gender", "plan", "blood", "born", "kept", "few", "drawn", "empty", "rare"), []byte(b.String()))
		census.Add(bind("events_1", "kind"), []byte("view\nbuy\nview\nbuy\n"))
		census.Add(bind("events_2", "kind"), []byte("view\nbuy\nleave\n"))
		return census.Warnings()
	}
	want := []string{
		"public.events.kind: the sample's 7 rows hold 3 distinct values, fewer than min_distinct (20): masker text gives equal values equal masks, so that their frequency tells which is which; mask it with null, constant, or choice with `by`",
		"public.users.gender: the sample's 100 rows hold 2 distinct values, fewer than min_distinct (20): masker text gives equal values equal masks, so that their frequency tells which is which; mask it with null, constant, or choice with `by`",
		"public.users.plan: the sample's 100 rows hold 7 distinct values, fewer than min_distinct (20): masker choice gives equal values equal masks, so that their frequency tells which is which; mask it with null, constant, or choice with `by`",
	}
	if diff := cmp.Diff(want, run("", 100)); diff != "" {
		t.Error(diff)
	}
	if got := run("min_distinct: 21\n", 100); len(got) != 4 || !strings.HasPrefix(got[1], "public.users.few: the sample's 100 rows hold 20 distinct values, fewer than min_distinct (21)") {
		t.Errorf("%v", got)
	}
	if got := run("min_distinct: 3\n", 100); len(got) != 1 || !strings.HasPrefix(got[0], "public.users.gender") {
		t.Errorf("%v", got)
	}
	if got := run("min_distinct: 0\n", 100); len(got) != 0 {
		t.Errorf("%v", got)
	}
	// What comes once says nothing about frequency.
	if got := run("", 2); len(got) != 1 {
		t.Errorf("%v", got)
	}
}

// TestCensusInside: what is inside values is counted place by place.
func TestCensusInside(t *testing.T) {
	t.Parallel()
	docs := tableOf("docs", "id int8!", "doc jsonb", "tags text[]", "visits pair[]", "pairs hstore", "page xml", "odd json")
	const columns = `{id: keep, odd: {mask: json, malformed: null, paths: {$: text}},
		doc: {mask: json, keys: {kind: text}, paths: {$.sex: text, $.mail: email, $.open: keep, $.gone: "null", $.year: year_only, $.stars: number_noise,
			$.drawn: {mask: choice, values: [a, b], by: id}, $.flag: {mask: choice, values: [1, 2]}, $.role: {mask: choice, values: [a, b]},
			"$.people.*.plan": text, "$.items[*].sku": text, $.home: text}},
		tags: {mask: array, of: text}, visits: {mask: array, of: {mask: composite, attributes: {a: {mask: constant, value: 1}, b: text}}}, pairs: {mask: hstore, keys: {sex: text, mail: email, open: keep}},
		page: {mask: xml, elements: {sex: text, mail: email}, attributes: {lang: text, open: keep}}}`
	rows := func(n int) string {
		var b strings.Builder
		for i := range n {
			doc := fmt.Sprintf(`{"sex": "%c", "mail": "a%d@b.test", "open": %d, "gone": %d, "year": "20%02d-01-01", "stars": %d, "drawn": %d, "flag": %t, "role": {"admin": %t},
				"people": {"p%d": {"plan": "%d", "n": %d}}, "items": [{"sku": "s%d", "x": {"kind": "k%d"}}, {"sku": "t%d"}],
				"home": {"city": "c%d", "street": "s%d"}, "theme": "t%d", "count": %d, "on": %t, "mail-%d@b.test": 1, "deep": {"lang": "l%d"}}`,
				"mf"[i%2], i, i%2, i%2, i%2, i%5, i%2, i%2 == 0, i%2 == 0, i, i%4, i, i, i%6, i%3, i%7, i, i%8, i, i%2 == 0, i, i%9)
			doc = strings.ReplaceAll(strings.ReplaceAll(doc, "\n", `\n`), "\t", `\t`)
			pairs := fmt.Sprintf(`"sex"=>"%c", "mail"=>"a%d", "open"=>"x", "none"=>NULL, "lang"=>"l%d", "a@b%d"=>"%d"`, "mf"[i%2], i, i%3, i, i)
			page := fmt.Sprintf(`<p lang="l%d" open="1"><sex>%c</sex><mail>a%d@b.test</mail> <i>%d</i></p>`, i%3, "mf"[i%2], i, i)
			odd := `"yes"`
			if i%10 == 9 {
				odd = `{"not": json`
			}
			fmt.Fprintf(&b, "%d\t%s\t{a%d,\"b\\\\\\\\\",NULL}\t{\"(%d,v%d)\"}\t%s\t%s\t%s\n", i, doc, i%2, i, i%3, pairs, page, odd)
		}
		return b.String()
	}
	run := func(head string, rows string) []string {
		plan, err := tryCompile(t, head+"tables: {public.docs: {columns: "+columns+"}}", docs)
		if err != nil {
			t.Fatal(err)
		}
		census := plan.NewCensus()
		l, err := plan.Table("public", "docs").Bind([]string{"id", "doc", "tags", "visits", "pairs", "page", "odd"})
		if err != nil {
			t.Fatal(err)
		}
		census.Add(l, []byte(rows))
		return census.Warnings()
	}
	short := func(warnings []string) (out []string) {
		for _, w := range warnings {
			w, _, _ = strings.Cut(strings.Replace(w, ", fewer than min_distinct (20)", "", 1), " gives equal")
			out = append(out, strings.TrimPrefix(w, "public.docs."))
		}
		return out
	}
	want := []string{
		"doc $..kind: the sample's 100 values hold 6 distinct values: masker text",
		"doc $.flag: the sample's 100 values hold 2 distinct values: masker choice",
		"doc $.people.*.plan: the sample's 100 values hold 4 distinct values: masker text",
		"doc $.role: the sample's 100 values hold 2 distinct values: masker choice", // an object, drawn as a whole
		"doc $.sex: the sample's 100 values hold 2 distinct values: masker text",
		"doc $.stars: the sample's 100 values hold 5 distinct values: masker number_noise",
		// theme, deep.lang and what stands under an address
		"doc at members that no path names: the sample's 100 values of one place hold 1 value, like 2 more: masker json",
		"doc below $.home: the sample's 100 values hold 7 distinct values: masker text", // the city, not the street
		"odd $: the sample's 90 values hold 1 value: masker text",
		"page <sex: the sample's 100 values hold 2 distinct values: masker text",
		"page @lang: the sample's 100 values hold 3 distinct values: masker text",
		"pairs at keys that `keys` does not list: the sample's 100 values hold 3 distinct values: masker hstore",
		"pairs sex: the sample's 100 values hold 2 distinct values: masker text",
		"tags [*]: the sample's 200 values hold 3 distinct values: masker text",
		"visits [*] attribute b: the sample's 100 values hold 3 distinct values: masker text",
	}
	if diff := cmp.Diff(want, short(run("", rows(100)))); diff != "" {
		t.Error(diff)
	}
	if got := run("min_distinct: 0\n", rows(100)); len(got) != 0 {
		t.Errorf("%v", got)
	}
	if got := run("min_distinct: 2\n", rows(100)); len(got) != 2 {
		t.Errorf("%v", got)
	}
	// Documents with members of other names each time are counted up to a bound.
	var b strings.Builder
	for i := range 100 {
		b.WriteString(`0	{"sex": "f", `)
		for j := range 10 {
			fmt.Fprintf(&b, `"m%c%c%c": 1, `, 'a'+i%26, 'a'+i/26, 'a'+j)
		}
		b.WriteString(`"sex": "m"}	\N	\N	\N	\N	\N` + "\n")
	}
	if diff := cmp.Diff([]string{"doc $.sex: the sample's 200 values hold 2 distinct values: masker text"}, short(run("", b.String()))); diff != "" {
		t.Error(diff)
	}
}

// TestCensusBounds: a census holds as many places and hashes as are enough.
func TestCensusBounds(t *testing.T) {
	t.Parallel()
	plan, err := tryCompile(t, "min_distinct: 3\ntables: {public.t: {columns: {doc: json}}}", tableOf("t", "doc json"))
	if err != nil {
		t.Fatal(err)
	}
	census := plan.NewCensus()
	l, err := plan.Table("public", "t").Bind([]string{"doc"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		census.Add(l, fmt.Appendf(nil, "{\"a\": %d, \"m%c%c%c\": 1}\n", i, 'a'+i%10, 'a'+i/10%10, 'a'+i/100))
	}
	deep := plan.NewCensus()
	deep.Add(l, []byte(strings.Repeat(strings.Repeat("[", 2*maxJSONDepth)+"1"+strings.Repeat("]", 2*maxJSONDepth)+"\n", 4)))
	if got := deep.Warnings(); len(got) != 0 {
		t.Errorf("%v", got)
	}
	if n := len(census.tallies); n != maxPlaces {
		t.Errorf("%d places are counted", n)
	}
	for p, tally := range census.tallies {
		if len(tally.distinct) > 3 {
			t.Errorf("%d hashes are held of %v", len(tally.distinct), p)
		}
	}
}
