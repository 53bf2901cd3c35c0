package mask

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// An import was made under one policy, and another one is asked: whatever that
// does not surely permit is said.
func TestPermits(t *testing.T) {
	t.Parallel()
	schema := []Table{
		tableOf("users", "id int8!", "email text", "born date", "prefs jsonb", "note text"),
		tableOf("orders", "id int8!", "user_id int8", "total int4").references("users", "user_id=id"),
		tableOf("events", "at timestamptz", "what text").partitioned("r", "at"),
		tableOf("events_1", "at timestamptz", "what text").partition("events"),
		tableOf("log", "line text"),
	}
	before := `
types: {timestamptz: keep}
tables:
  public.users:
    columns: {id: keep, email: email, born: year_only, prefs: {mask: json, paths: {"$.theme": keep}}, note: keep}
  public.orders: {columns: {id: keep, "tot*": keep}, rows: all}
  public.events: {columns: {what: keep}}
  public.log: {rows: none}
accept: [{object: "default public.users.note", sha256: ` + zeros + `}]
`
	plan, err := tryCompile(t, before, schema...)
	if err != nil {
		t.Fatal(err)
	}
	packed, err := plan.Revealed().Pack()
	if err != nil {
		t.Fatal(err)
	}
	revealed, err := UnpackRevealed(packed)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(plan.Revealed(), revealed); diff != "" {
		t.Fatalf("packing loses (-want +got):\n%s", diff)
	}
	for name, test := range map[string]struct {
		old, new string // replaced in the policy
		says     []string
	}{
		"the same":                            {"", "", nil},
		"a column more":                       {"{id: keep, email", "{id: keep, phone: phone, email", nil},
		"a table more":                        {"tables:", "tables:\n  public.cards: {columns: {number: card}}", nil},
		"a mask instead of another":           {"email: email", "email: hash", nil},
		"a masked column is kept":             {"email: email", "email: keep", nil},
		"what lets a part through is kept":    {"born: year_only", "born: keep", nil},
		"the empty table gets rows":           {"{rows: none}", "{columns: {line: text}}", nil},
		"why it is kept":                      {"note: keep", "note: {mask: keep, because: it is public}", nil},
		"one more accepted":                   {"accept: [", "accept: [{object: \"default public.log.line\", sha256: " + zeros + "}, ", nil},
		"a kept column is masked":             {"note: keep", "note: text", []string{"it keeps public.users.note, which is not kept now"}},
		"a kept column lets the year through": {"what: keep", "what: null", []string{"public.events.what"}},
		"a kept column is dropped":            {", note: keep", "", []string{"public.users.note"}},
		"a kept column is renamed":            {"note: keep", "remark: text", []string{"public.users.note"}},
		"a part less":                         {"born: year_only", "born: null", []string{"it masks public.users.born in part, and that rule has changed"}},
		"another part":                        {"$.theme", "$.city", []string{"public.users.prefs"}},
		"a part of one that was kept":         {"id: keep, email", "id: key, email", []string{"public.users.id"}},
		"what follows is masked by itself":    {"\"tot*\": keep", "\"tot*\": keep, user_id: hash", []string{"public.orders.user_id"}},
		"a pattern is masked":                 {"\"tot*\": keep", "\"tot*\": number_noise", []string{"public.orders.total"}},
		"a pattern is masked for one":         {"\"tot*\": keep", "\"tot*\": keep, total: null", []string{"public.orders.total"}},
		"a pattern is kept for one":           {"\"tot*\": keep", "\"tot*\": null, total: keep", nil},
		"a type is masked":                    {"timestamptz: keep", "timestamptz: year_only", []string{"public.events.at"}},
		"a type is said no more":              {"timestamptz: keep", "date: keep", []string{"public.events.at"}},
		"a type is said of a column":          {"{what: keep}", "{what: keep, at: keep}", nil},
		"a type's alias":                      {"timestamptz: keep", "timestamp with time zone: keep", nil},
		"a partition is masked by itself":     {"  public.log", "  public.events_1: {columns: {what: text}}\n  public.log", []string{"public.events_1.what"}},
		"a partition is left out":             {"  public.log", "  public.events_1: {rows: none}\n  public.log", []string{"rows of public.events_1"}},
		"a table is left out":                 {"  public.events: {columns: {what: keep}}", "  public.events: {rows: none}", []string{"rows of public.events ", "public.events.what"}},
		"fewer rows":                          {"rows: all", "rows: {where: [{column: total, below: 5}]}", []string{"rows of public.orders that are left out now"}},
		"accepted no more":                    {"accept: [{object: \"default public.users.note\", sha256: " + zeros + "}]", "", []string{"default public.users.note with a text that is accepted no more"}},
		"accepted with another text":          {"sha256: 0", "sha256: 1", []string{"default public.users.note with a text that is accepted no more"}},
		"two patterns that may both be meant": {"\"tot*\": keep", "\"tot*\": keep, \"*tal\": null", []string{"public.orders.total"}},
		"a table's pattern takes its columns": {"  public.log", "  \"public.ord*\": {columns: {\"*\": null}}\n  public.log", []string{"public.orders.user_id"}},
		"a table's entry becomes a pattern":   {"public.orders:", "\"public.ord*\":", nil},
		"everything is kept":                  {"  public.log", "  \"*.*\": {columns: {\"*\": keep}}\n  public.log", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(before, test.old) {
				t.Fatal("the policy has no such text")
			}
			p, err := ParsePolicy([]byte("version: 1\n" + strings.Replace(before, test.old, test.new, 1)))
			if err != nil {
				t.Fatal(err)
			}
			wrong := p.Permits(revealed, true)
			if len(wrong) != len(test.says) {
				t.Errorf("it says %q, want %q", wrong, test.says)
			}
			for _, says := range test.says {
				if !strings.Contains(strings.Join(wrong, "\n"), says) {
					t.Errorf("it does not say %q: %q", says, wrong)
				}
			}
		})
	}
	// Doubts about the record itself.
	p, err := ParsePolicy([]byte("version: 1\n" + before))
	if err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(*Revealed){
		"no record":         func(r *Revealed) { *r = Revealed{} },
		"a later version":   func(r *Revealed) { r.Version = 3 },
		"large objects":     func(r *Revealed) { r.LargeObjects = true },
		"testers' accounts": func(r *Revealed) { r.Logins = "00aa" },
		"comments":          func(r *Revealed) { r.Comments = true },
		"rows that nobody can tell": func(r *Revealed) {
			r.Tables = append(r.Tables, RevealedTable{Schema: "public", Table: "x", Rows: unknownRows})
		},
		"a table that is in no policy": func(r *Revealed) {
			r.Tables = append(r.Tables, RevealedTable{Schema: "public", Table: "x", Columns: []RevealedColumn{{Column: "y"}}})
		},
	} {
		r := revealed
		r.Tables = append([]RevealedTable{}, revealed.Tables...)
		edit(&r)
		if len(p.Permits(r, true)) == 0 {
			t.Errorf("%s: permitted", name)
		}
	}
	for _, text := range []string{"", "x", packed[:len(packed)/2], packed + "!"} {
		if r, err := UnpackRevealed(text); err == nil {
			t.Errorf("%.10q is read as %+v", text, r)
		}
	}
}

// What a policy links can be joined in the snapshots that were made under it: whoever
// takes a link away, or one of its columns, closes the door to those.
func TestPermitsLinks(t *testing.T) {
	t.Parallel()
	schema := []Table{tableOf("users", "id int8", "email text"), tableOf("orders", "email text", "doc jsonb"), tableOf("letters", "email text"), tableOf("kept", "email text")}
	before := `
links: {mail: [public.users.email, public.orders.email], other: [public.letters.email]}
tables:
  public.users: {columns: {id: keep, email: email}}
  public.orders: {columns: {email: email, doc: {mask: json, paths: {$.who: {mask: email, link: other}}}}}
  public.letters: {columns: {email: email}}
  public.kept: {rows: none}
`
	plan, err := tryCompile(t, before, schema...)
	if err != nil {
		t.Fatal(err)
	}
	packed, err := plan.Revealed().Pack()
	if err != nil {
		t.Fatal(err)
	}
	revealed, err := UnpackRevealed(packed)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		old, new string // replaced in the policy
		says     string
	}{
		"the same":                    {"", "", ""},
		"another name":                {"mail: [", "address: [", ""},
		"a column more":               {"public.orders.email]", "public.orders.email, public.letters.email]", "public.letters.email"}, // and another is gone
		"a link taken away":           {"mail: [public.users.email, public.orders.email], ", "", "it joins public.orders.email, public.users.email, which are not linked now"},
		"a column taken out":          {", public.orders.email]", "]", "it joins public.orders.email"},
		"all of it is kept":           {"email: email", "email: keep", ""},
		"a place is linked no more":   {", link: other", "", "it joins public.letters.email, places in public.orders.doc"},
		"a place is linked otherwise": {"link: other", "link: mail", "places in public.orders.doc"},
		"a place's link is renamed":   {"other", "another", "places in public.orders.doc"},
	} {
		text := strings.ReplaceAll(before, test.old, test.new)
		if test.old == "" {
			text = before
		}
		if name == "a column more" {
			text = strings.Replace(text, ", other: [public.letters.email]", "", 1)
			text = strings.Replace(text, "link: other", "link: mail", 1)
		}
		p, err := ParsePolicy([]byte("version: 1\n" + text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		wrong := strings.Join(p.Permits(revealed, true), "; ")
		if (test.says == "") != (wrong == "") || !strings.Contains(wrong, test.says) {
			t.Errorf("%s: it says %q, want %q", name, wrong, test.says)
		}
	}
}

// What a policy accepts of an object is named by digests under the key: under
// another key they are counted.
func TestPermitsAccepted(t *testing.T) {
	t.Parallel()
	ones, twos := strings.Repeat("1", 64), strings.Repeat("2", 64)
	for name, test := range map[string]struct {
		before, now        []string
		sameKey, permitted bool
	}{
		"all of them":                      {[]string{zeros, ones}, []string{ones, zeros}, true, true},
		"one of two taken back":            {[]string{zeros, ones}, []string{zeros}, true, false},
		"one of two in place of another":   {[]string{zeros, ones}, []string{zeros, twos}, true, false},
		"all by another key":               {[]string{zeros}, []string{ones}, false, true},
		"one taken back, and another key":  {[]string{zeros, ones}, []string{twos}, false, false},
		"all taken back, and another key":  {[]string{zeros}, nil, false, false},
		"one more, and another key":        {[]string{zeros}, []string{ones, twos}, false, true},
		"the only one, by the same key":    {[]string{zeros}, []string{ones}, true, false},
		"nothing was accepted, one is now": {nil, []string{ones}, true, true},
	} {
		list := func(digests []string) (out []Accept) {
			for _, d := range digests {
				out = append(out, Accept{Object: "default public.users.note", SHA256: d})
			}
			return out
		}
		p := &Policy{Accept: list(test.now)}
		if wrong := p.Permits(Revealed{Version: RevealedVersion, Accept: list(test.before)}, test.sameKey); (len(wrong) == 0) != test.permitted {
			t.Errorf("%s: it says %q", name, wrong)
		}
	}
}

// What a partition or a child lets through that its parents do not is nothing that
// the policy of later can be asked about: such snapshots are for that policy alone.
func TestPermitsChildren(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		schema    []Table
		old, new  string
		permitted bool
	}{
		"a partition as its parent": {
			[]Table{tableOf("r", "a text").partitioned("hash", "a"), tableOf("p", "a text").partition("r")},
			"public.r: {columns: {a: keep}}", "public.r: {columns: {a: keep}}", true,
		},
		"a child with a column of its own, masked": {
			[]Table{tableOf("r", "a text"), tableOf("p", "a text", "b text").child("r")},
			"public.r: {columns: {a: keep}}\n  public.p: {columns: {b: hash}}", "public.r: {columns: {a: keep}}\n  public.p: {columns: {b: email}}", true,
		},
		"a child keeps a column of its own": {
			[]Table{tableOf("r", "a text"), tableOf("p", "a text", "b text").child("r")},
			"public.r: {columns: {a: keep}}\n  public.p: {columns: {b: keep}}", "public.r: {columns: {a: keep}}\n  public.p: {columns: {b: hash}}", false,
		},
		"a child keeps a column of its second parent, which has no rows": {
			[]Table{tableOf("r", "a text"), tableOf("s", "b text"), tableOf("p", "a text", "b text").child("r", "s")},
			"public.r: {columns: {a: keep}}\n  public.s: {rows: none}\n  public.p: {columns: {b: keep}}", "public.r: {columns: {a: keep}}\n  public.s: {rows: none}\n  public.p: {columns: {b: hash}}", false,
		},
		"a partition of a partition that is left out": {
			[]Table{tableOf("r", "a text").partitioned("hash", "a"), tableOf("m", "a text").partition("r").partitioned("hash", "a"), tableOf("p", "a text").partition("m")},
			"public.r: {columns: {a: hash}}\n  public.m: {rows: none}\n  public.p: {rows: all, columns: {a: keep}}", "public.r: {columns: {a: hash}}\n  public.m: {rows: none}\n  public.p: {rows: all, columns: {a: hash}}", false,
		},
		"a partition of a partition that is left out goes too": {
			[]Table{tableOf("r", "a text").partitioned("hash", "a"), tableOf("m", "a text").partition("r").partitioned("hash", "a"), tableOf("p", "a text").partition("m")},
			"public.r: {columns: {a: keep}}\n  public.m: {rows: none}\n  public.p: {rows: all, columns: {a: keep}}", "public.r: {columns: {a: keep}}\n  public.m: {rows: none}", false,
		},
		"a partition has all rows, of a table with fewer": {
			[]Table{tableOf("r", "a text").partitioned("hash", "a"), tableOf("p", "a text").partition("r")},
			"public.r: {rows: {where: [{column: a, in: [x]}]}, columns: {a: keep}}\n  public.p: {rows: all}", "public.r: {rows: {where: [{column: a, in: [x]}]}, columns: {a: keep}}", false,
		},
	} {
		plan, err := tryCompile(t, "tables:\n  "+test.old, test.schema...)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		p, err := ParsePolicy([]byte("version: 1\ntables:\n  " + test.new))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if wrong := p.Permits(plan.Revealed(), true); (len(wrong) == 0) != test.permitted {
			t.Errorf("%s: it says %q of %+v", name, wrong, plan.Revealed())
		}
	}
}

var zeros = strings.Repeat("0", 64)

// BenchmarkRevealed measures what a snapshot of many columns carries: all of an
// object's annotations may have 262,144 bytes.
func BenchmarkRevealed(b *testing.B) {
	var tables []Table
	for i := range 300 {
		t := tableOf(fmt.Sprintf("%s_%d", nouns[i%len(nouns)], i))
		for j := range 30 {
			t.Columns = append(t.Columns, columnOf(fmt.Sprintf("%s_%s_%d text", nouns[(i+j)%len(nouns)], nouns[j%len(nouns)], i*j%97)))
		}
		tables = append(tables, t)
	}
	p, err := ParsePolicy([]byte("version: 1\ntables: {\"*.*\": {columns: {\"*\": keep}}}"))
	if err != nil {
		b.Fatal(err)
	}
	plan, err := Compile(p, keyOf(b), Catalog{Tables: tables})
	if err != nil {
		b.Fatal(err)
	}
	size := 0
	for b.Loop() {
		packed, err := plan.Revealed().Pack()
		if err != nil {
			b.Fatal(err)
		}
		size = len(packed)
		r, err := UnpackRevealed(packed)
		if err != nil || len(p.Permits(r, true)) > 0 {
			b.Fatal(err, p.Permits(r, true))
		}
	}
	fmt.Fprintf(os.Stdout, "FIGURE revealed_9000_columns %d B\n", size)
}

var nouns = strings.Fields("customer order invoice payment address shipment product category supplier warehouse employee contract ticket message session device location campaign coupon review")
