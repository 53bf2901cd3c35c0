package mask

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParsePolicyErrors(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		policy string
		want   []string // each a line of the error
	}{
		"empty":         {"", []string{"the policy is empty: write at least `version: 1` and `tables:`"}},
		"comments only": {"# nothing\n", []string{"the policy is empty: write at least `version: 1` and `tables:`"}},
		"two documents": {"version: 1\n---\nversion: 1\n", []string{"the policy holds more than one YAML document"}},
		"a list":        {"- a\n", []string{"policy line 1: the policy must be a mapping, it is a list"}},
		"no version":    {"tables: {}\n", []string{"policy line 1: version is missing: write `version: 1`"}},
		"everything at once": {
			`version: 3
tabels: {}
roles: [a]
links:
  l: [public.users, "public.*.id", a.b.c, a.b.c]
tables:
  users: {rows: none}
  public.users:
    row: none
    columns:
      a: emial
      b: {mask: email, uniq: false}
      c: {mask: "null", x: 1}
      d: {mask: date_shift}
      e: {mask: regex, pattern: "(", replace: x}
      f: {mask: json, paths: {contact: email}}
      g: {unique: true}
      h: {mask: email, link: l}
      a: keep
  public."users":
    rows: none
  public.old:
    rows: none
    columns: {a: keep}
large_objects: maybe
accept: [{object: x}]
types: {boolean: kep}
`, []string{
				`policy line 1: version must be 1, this program knows no other`,
				`policy line 2: unknown field "tabels", did you mean "tables"?`,
				`policy line 3: roles must be a mapping, it is a list`,
				`policy line 5: link l: "public.users": it must read schema.table.column (quote names that hold dots)`,
				`policy line 5: link l: "public.*.id": a link names columns one by one, without *`,
				`policy line 5: link l: a.b.c is in link l already`,
				`policy line 7: table "users": it must read schema.table (quote names that hold dots)`,
				`policy line 9: unknown field of table public.users "row", did you mean "rows"?`,
				`policy line 11: unknown masker for public.users.a "emial", did you mean "email"?`,
				`policy line 12: unknown option of masker email for public.users.b "uniq", did you mean "unique"?`,
				`policy line 13: public.users.c: masker null has no option "x"; it takes none`,
				`policy line 14: public.users.d: masker date_shift needs the option by (the column that names the entity, such as user_id; columns joined by a foreign key or a link name the same entities)`,
				"policy line 15: public.users.e: masker regex: pattern is not a regular expression in RE2 syntax: error parsing regexp: missing closing ): `(`",
				`policy line 16: public.users.f: masker json: path "contact": a path starts with $, as in $.contact.email`,
				`policy line 17: the rule for public.users.g has no mask`,
				`policy line 18: public.users.h: columns are linked in the policy's links; link stands in rules inside a value only`,
				`policy line 19: columns of public.users: "a" stands here twice (first in line 11)`,
				`policy line 20: table public.users stands here twice (first in line 8)`,
				"policy line 22: table public.old has `rows: none`, so its columns need no rules: remove one of the two",
				`policy line 25: large_objects must be keep or none (they cannot be masked)`,
				`policy line 26: an entry of accept needs object and sha256 (64 lower-case hex digits), as the import prints them`,
				`policy line 27: unknown masker for type boolean "kep", did you mean "keep"?`,
			},
		},
		"regex": {
			`version: 1
tables:
  a.b:
    columns:
      a: {mask: regex, pattern: '\Qab', replace: x}
      b: {mask: regex, pattern: '\Qab', replace: x, anchored: false}
      c: {mask: regex, pattern: 'a)|(b', replace: x}
      d: {mask: regex, pattern: '(a)(?P<n>b)', replace: '${1}${2}$n$$3$0$'}
      e: {mask: regex, pattern: '(a)', replace: '$1st'}
      f: {mask: regex, pattern: '(a)', replace: 'US$50'}
      g: {mask: regex, pattern: '(a)', replace: '${2}'}
`,
			[]string{
				"policy line 5: a.b.a: masker regex: pattern is not a regular expression in RE2 syntax: error parsing regexp: missing closing ): `\\A(?:\\Qab)\\z`",
				"policy line 7: a.b.c: masker regex: pattern is not a regular expression in RE2 syntax: error parsing regexp: unexpected ): `a)|(b`",
				"policy line 9: a.b.e: masker regex: replace names the group 1st, which the pattern does not have: write ${1} for a group, and $$ for a dollar",
				"policy line 10: a.b.f: masker regex: replace names the group 50, which the pattern does not have: write ${1} for a group, and $$ for a dollar",
				"policy line 11: a.b.g: masker regex: replace names the group 2, which the pattern does not have: write ${1} for a group, and $$ for a dollar",
			},
		},
		"numbers": { // YAML 1.1 and 1.2 do not agree on 010
			"version: 1\nmin_distinct: 010\ntables:\n  a.b:\n    columns:\n      c: {mask: hash, digits: 0x10}\n      d: {mask: hash, digits: 010}\n      e: {mask: email, unique: 1}\n",
			[]string{
				"policy line 2: min_distinct must be a whole number from 0 to 200",
				"policy line 6: option digits of a.b.c must be a whole number from 4 to 32",
				"policy line 7: option digits of a.b.d must be a whole number from 4 to 32",
				"policy line 8: option unique of a.b.e must be true or false",
			},
		},
		"one type under two names": {
			"version: 1\ntypes:\n  integer: keep\n  int4: key\n  int[]: keep\n  integer[]: keep\n  char: keep\n  '\"char\"': keep\n  decimal: keep\n  numeric(5,2): keep\n  numeric: keep\n",
			[]string{
				"policy line 4: types: int4 and integer are one type",
				"policy line 6: types: integer[] and int[] are one type",
				"policy line 11: types: numeric and decimal are one type",
			},
		},
		"unknown link in a path": {
			"version: 1\ntables:\n  a.b:\n    columns:\n      c: {mask: json, paths: {$.x: {mask: email, link: people}}}\n",
			[]string{`policy line 5: option paths of a.b.c at $.x: there is no link named people under links`},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParsePolicy([]byte(tt.policy))
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(strings.Join(tt.want, "\n"), err.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDigest(t *testing.T) {
	t.Parallel()
	parse := func(s string) string {
		t.Helper()
		p, err := ParsePolicy([]byte(s))
		if err != nil {
			t.Fatal(err)
		}
		return p.Digest()
	}
	base := parse(`
version: 1
roles: {dump_owner: app}
links: {person_email: [public.users.email, crm."Contact".mail]}
tables:
  public.users:
    columns:
      id: keep
      email: email
      prefs: {mask: json, paths: {"$.contact.email": email, "$.theme": keep}}
      gone: null
      born: {mask: date_shift, by: id}
  public.audit_log: {rows: none}
  public.orders:
    rows: {where: [{column: state, in: [open, paid]}, {column: at, from: "2024-01-01"}]}
    columns: {"*": keep}
accept: [{object: "default public.users.country", sha256: 0000000000000000000000000000000000000000000000000000000000000000}]
`)
	if len(base) != 64 {
		t.Fatalf("digest %q", base)
	}
	same := parse(`# another layout of the same
accept:
- sha256: "0000000000000000000000000000000000000000000000000000000000000000"
  object: default public.users.country
tables:
  public.orders:
    columns: {"*": {mask: keep}}
    rows: {where: [{from: 2024-01-01, column: at}, {in: [paid, "open"], column: state}]}
  public.audit_log:
    rows: none
  "public.users":
    columns:
      born: {days: 180, by: id, mask: date_shift}
      gone: {mask: null}
      "email": {mask: email, unique: true}
      prefs:
        unlisted: mask
        paths:
          $.theme: {mask: keep}
          $.contact.email: {mask: email, fold: false}
        mask: json
      id: keep
links:
  person_email:
  - crm.Contact.mail
  - public.users.email
roles:
  dump_owner: app
version: 1
`)
	if base != same {
		t.Error("the layout changes the digest")
	}
	if a, b := parse("version: 1\ntables: {a.b: {columns: {c: {mask: constant, value: True}}}}"), parse("version: 1\ntables: {a.b: {columns: {c: {mask: constant, value: true}}}}"); a != b {
		t.Error("two ways to write true have two digests")
	}
	const small = "version: 1\ntables: {a.b: {columns: {c: %}}}\n"
	seen := map[string]string{}
	for _, r := range []string{
		"keep", "text", "email", "{mask: email, unique: false}", "{mask: constant, value: 1}", `{mask: constant, value: "1"}`,
		"{mask: choice, values: [a, b]}", "{mask: choice, values: [b, a]}", "{mask: json, paths: {$.a: keep}}", "{mask: json, keys: {a: keep}}",
		"{mask: json, paths: {$.b: keep}}", "{mask: array, of: email}", "{mask: array, of: {mask: email, unique: false}}",
	} {
		d := parse(strings.Replace(small, "%", r, 1))
		if other, dup := seen[d]; dup {
			t.Errorf("%s and %s have one digest", r, other)
		}
		seen[d] = r
	}
}

func TestKey(t *testing.T) {
	t.Parallel()
	if _, err := NewKey([]byte("  short \n")); err == nil {
		t.Error("a short key was taken")
	}
	if _, err := NewKey([]byte(strings.Repeat("a", 64))); err == nil {
		t.Error("a key of one repeated byte was taken")
	}
	a, err := NewKey([]byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewKey([]byte("\n0123456789abcdef0123456789abcdef \n"))
	if err != nil || a.ID() != b.ID() || len(a.ID()) != 16 {
		t.Errorf("white space around a key matters: %v %v %v", a, b, err)
	}
	if s := a.String(); strings.Contains(s, "0123456789abcdef0123456789abcdef") {
		t.Error("the key prints its secret")
	}
	c, err := NewKey([]byte("0123456789abcdef0123456789abcdeg"))
	if err != nil || a.ID() == c.ID() {
		t.Error("two keys have one id")
	}
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pattern, name string
		want          bool
	}{
		{"a", "a", true},
		{"a", "b", false},
		{"*", "", true},
		{"a*", "abc", true},
		{"*c", "abc", true},
		{"a*c", "abc", true},
		{"a*c", "acb", false},
		{"*b*", "abc", true},
		{"a*b*c", "aXbYc", true},
		{"a*a", "a", false},
		{"*_id", "user_id", true},
		{"*_id", "id", false},
	} {
		p := pattern{tt.pattern, strings.Contains(tt.pattern, "*")}
		if p.match(tt.name) != tt.want {
			t.Errorf("%s matches %s: %v", tt.pattern, tt.name, !tt.want)
		}
	}
	parts, err := parseDotted(`a."b.c""*".d`, 3)
	if err != nil || parts[0].text != "a" || parts[1].text != `b.c"*` || parts[1].wild || parts[2].text != "d" {
		t.Errorf("%v %v", parts, err)
	}
	for _, bad := range []string{"", "a", "a.b.c", "a..b", `a."b`, `a.b"c`, `"a"b.c`, `a.""`} {
		if _, err := parseDotted(bad, 2); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func FuzzParsePolicy(f *testing.F) {
	f.Add(benchPolicy)
	f.Add("version: 1\ntables: &a {b.c: {columns: {d: *a}}}")
	f.Add("version: 1\ntables:\n  a.b: {rows: {where: [{column: a, is: ~}]}}")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePolicy([]byte(s))
		if (p == nil) == (err == nil) {
			t.Fatal("neither a policy nor an error, or both")
		}
		if p != nil && len(p.Digest()) != 64 {
			t.Fatal("no digest")
		}
	})
}
