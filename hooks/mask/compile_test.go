package mask

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var typeModifier = regexp.MustCompile(`^(\w+)\((\d+)(?:,(\d+))?\)$`)

// columnOf makes a column from "name type", with "!" after the type for NOT
// NULL: "email varchar(40)!", "tags text[]".
func columnOf(spec string) Column {
	name, typ, _ := strings.Cut(spec, " ")
	c := Column{Name: name, Type: typ}
	typ, c.NotNull = strings.CutSuffix(typ, "!")
	typ, c.Array = strings.CutSuffix(typ, "[]")
	if m := typeModifier.FindStringSubmatch(typ); m != nil {
		typ = m[1]
		n, _ := strconv.Atoi(m[2])
		if typ == "numeric" {
			c.Precision = n
			c.Scale, _ = strconv.Atoi(m[3])
		} else {
			c.Length = n
		}
	}
	c.Type = strings.TrimSuffix(c.Type, "!")
	c.BaseType = typ
	switch typ {
	case "pair":
		c.Composite, c.Attributes = true, []Column{columnOf("a int4"), columnOf("b varchar(12)")}
	case "int4range", "int8range":
		c.Composite, c.Range = true, strings.TrimSuffix(typ, "range")
	case "numrange":
		c.Composite, c.Range = true, "numeric"
	case "daterange":
		c.Composite, c.Range = true, "date"
	case "tstzrange":
		c.Composite, c.Range = true, "timestamptz"
	}
	if typ == "mood" {
		c.Enum = []string{"happy", "sad"}
	}
	return c
}

// tableOf makes a table named public.name.
func tableOf(name string, columns ...string) Table {
	t := Table{Schema: "public", Name: name}
	for _, c := range columns {
		t.Columns = append(t.Columns, columnOf(c))
	}
	return t
}

func (t Table) unique(u Unique) Table {
	if u.Name == "" {
		u.Name = t.Name + "_key"
	}
	t.Uniques = append(t.Uniques, u)
	return t
}

func (t Table) computed(u Unique) Table {
	t.Computed = append(t.Computed, u)
	return t
}

func (t Table) references(to string, pairs ...string) Table {
	fk := ForeignKey{Name: t.Name + "_" + to + "_fkey", References: Name{"public", to}}
	for _, p := range pairs {
		a, b, _ := strings.Cut(p, "=")
		fk.Columns, fk.ReferencedColumns = append(fk.Columns, a), append(fk.ReferencedColumns, b)
	}
	t.ForeignKeys = append(t.ForeignKeys, fk)
	return t
}

func (t Table) partition(parent string) Table {
	t.Parents, t.PartitionOf = []Name{{"public", parent}}, true
	return t
}

// child makes the table an inheritance child.
func (t Table) child(parents ...string) Table {
	for _, p := range parents {
		t.Parents = append(t.Parents, Name{"public", p})
	}
	return t
}

func (t Table) partitioned(strategy string, key ...string) Table {
	t.Partitioned, t.PartitionStrategy, t.PartitionKey = true, strategy, key
	return t
}

// tryCompile compiles a policy given as the lines under "version: 1".
func tryCompile(t *testing.T, policy string, tables ...Table) (*Plan, error) {
	t.Helper()
	p, err := ParsePolicy([]byte("version: 1\n" + policy))
	if err != nil {
		t.Fatal(err)
	}
	return Compile(p, keyOf(t), Catalog{Tables: tables})
}

func TestUncovered(t *testing.T) {
	t.Parallel()
	tables := []Table{
		tableOf("users", "id int8!", "email text", "firstName text", "is_admin bool", "data jsonb", "odd.thing text"),
		tableOf("orders", "id int8", "user_id int8").references("users", "user_id=id"),
		tableOf("events", "id int8", "at timestamptz", "note text").partitioned("range", "at"),
		tableOf("events_1", "id int8", "at timestamptz", "note text").partition("events"),
		tableOf("logs", "line text"),
		tableOf("notices", "line text", "level int4", "Email text").child("logs_kept"), tableOf("logs_kept", "line text"),
	}
	p, err := ParsePolicy([]byte("version: 1\ntables: {public.logs: {rows: none}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	c := Catalog{Tables: tables, LargeObjects: true}
	_, err = Compile(p, keyOf(t), c)
	var uncovered *UncoveredError
	if !errors.As(err, &uncovered) {
		t.Fatalf("error %v", err)
	}
	want := `large_objects: none   # decide: or keep; they cannot be masked
tables:
  public.users:
    columns:
      id: keep
      email: email
      firstName: first_name
      is_admin: keep
      data: json
      '"odd.thing"': text
  public.orders:
    columns:
      id: keep
  public.events:
    columns:
      id: keep
      at: keep
      note: text
  public.notices:
    columns:
      level: keep
      Email: email
  public.logs_kept:
    columns:
      line: text
`
	if diff := cmp.Diff(want, uncovered.Fragment()); diff != "" {
		t.Error(diff)
	}
	if got := uncovered.Error(); got != `the policy does not cover 13 columns: public.users.id, public.users.email, public.users."firstName", public.users.is_admin, public.users.data, public.users."odd.thing", public.orders.id, public.events.id, public.events.at, public.events.note, public.notices.level, public.notices."Email", public.logs_kept.line; nor the dump's large objects. Add a rule for each; nothing was loaded` {
		t.Error(got)
	}
	// The fragment, pasted, covers everything.
	p, err = ParsePolicy([]byte("version: 1\n" + want + "  public.logs: {rows: none}\n"))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := Compile(p, keyOf(t), c)
	if err != nil {
		t.Fatal(err)
	}
	if plan.Table("public", "logs").Rows || plan.LargeObjects() || plan.Table("public", "nope") != nil {
		t.Error("logs carries rows, or large objects are kept")
	}
	wantKept := []string{"public.events.at", "public.events.id", "public.notices.level", "public.orders.id", "public.orders.user_id", "public.users.id", "public.users.is_admin"}
	if diff := cmp.Diff(wantKept, plan.Kept()); diff != "" {
		t.Error(diff)
	}
}

// What a rule inside another keeps is kept by the column.
func TestKept(t *testing.T) {
	t.Parallel()
	for rule, want := range map[string][]string{
		"{mask: regex, pattern: '[^ ]+', with: {mask: email, domain: keep}}": {"public.t.a each match's domain"},
		"{mask: regex, pattern: '[0-9.]+', anchored: false, with: ip}":       {"public.t.a each match's leading bits", "public.t.a what regex leaves"},
		"{mask: regex, pattern: a, anchored: false, with: keep}":             {"public.t.a what regex leaves", "public.t.a what regex matches"},
		"{mask: regex, pattern: '(a)b', replace: '${1}c'}":                   {"public.t.a what regex leaves"},
		"{mask: regex, pattern: ab, replace: c}":                             {},
	} {
		plan, err := tryCompile(t, "tables: {public.t: {columns: {a: "+rule+"}}}", tableOf("t", "a varchar(90)"))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, append([]string{}, plan.Kept()...)); diff != "" {
			t.Errorf("%s: %s", rule, diff)
		}
	}
}

// TestChildrenOfForeignTables: a parent without rows gives its children no rule,
// and speaks for none of their columns.
func TestChildrenOfForeignTables(t *testing.T) {
	t.Parallel()
	far := tableOf("far", "id int8", "email text")
	far.Foreign = true
	tables := []Table{far, tableOf("near", "id int8", "email text").child("far")}
	_, err := tryCompile(t, "tables: {}\n", tables...)
	var uncovered *UncoveredError
	if !errors.As(err, &uncovered) {
		t.Fatalf("error %v", err)
	}
	plan, err := tryCompile(t, uncovered.Fragment(), tables...)
	if err != nil {
		t.Fatalf("%v\n%s", err, uncovered.Fragment())
	}
	if diff := cmp.Diff([]string{"public.near.id"}, plan.Kept()); diff != "" {
		t.Error(diff)
	}
	if got := plan.Table("public", "near").Columns[1].Masker; got != "email" {
		t.Errorf("near.email has %q", got)
	}
}

// TestChildrenAddColumns: what an inheritance child adds is judged as its own.
func TestChildrenAddColumns(t *testing.T) {
	t.Parallel()
	tables := []Table{tableOf("far", "id int8"), tableOf("near", "id int8", "extra text").child("far")}
	_, err := tryCompile(t, "tables: {public.far: {columns: {id: keep}}, 'public.*': {columns: {extra: text}}, '*.near': {columns: {extra: hash}}}\n", tables...)
	if err == nil || !strings.Contains(err.Error(), "both match and neither is more specific") {
		t.Errorf("two rules for near.extra: %v", err)
	}
}

// TestHostileNames: whoever may create tables in production writes no rules
// into the fragment that is pasted.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"x\n  public.users: {columns: {email: keep}}\n#", "x'\r\n", "x: {", "x # y", "\u2028x", "null", "ключ\x7f", `"`} {
		hostile := tableOf(name, "id int8!", "email text")
		hostile.Columns = append(hostile.Columns, Column{Name: name, Type: "public.\"" + name + "\"", BaseType: "text"})
		c := Catalog{Tables: []Table{hostile, tableOf("users", "email text"), tableOf("other", "id int8", "up int8").references(name, "up=id")}}
		_, err := Compile(&Policy{}, keyOf(t), c)
		var uncovered *UncoveredError
		if !errors.As(err, &uncovered) {
			t.Fatalf("error %v", err)
		}
		for _, text := range []string{uncovered.Fragment(), strings.Replace(string(Draft(c, nil)), "version: 1\n", "", 1)} {
			p, err := ParsePolicy([]byte("version: 1\n" + text))
			if err != nil {
				t.Errorf("%v\n%s", err, text)
				continue
			}
			plan, err := Compile(p, keyOf(t), c)
			if err != nil {
				t.Errorf("%v\n%s", err, text)
				continue
			}
			if got := plan.Table("public", "users").Columns[0].Masker; got != "email" {
				t.Errorf("users.email has %s:\n%s", got, text)
			}
		}
	}
}

func TestUncoveredCycles(t *testing.T) {
	t.Parallel()
	tables := []Table{
		tableOf("a", "id int4").references("b", "id=id"), tableOf("b", "id int4").references("c", "id=id"), tableOf("c", "id int4").references("a", "id=id"),
		tableOf("d", "id int4", "up int4").references("a", "up=id").references("d", "id=up"),
	}
	_, err := tryCompile(t, "tables: {}", tables...)
	var uncovered *UncoveredError
	if !errors.As(err, &uncovered) {
		t.Fatalf("error %v", err)
	}
	if diff := cmp.Diff([]ColumnName{{"public", "a", "id"}}, uncovered.Columns); diff != "" {
		t.Error(diff)
	}
	for _, first := range []string{"a", "b", "c"} {
		plan, err := tryCompile(t, "tables: {public."+first+": {columns: {id: key}}}", tables...)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"a", "b", "c", "d"} {
			if got := plan.Table("public", name).Columns[0].Masker; got != "key" {
				t.Errorf("the rule for %s leaves %s with %q", first, name, got)
			}
		}
	}
}

func TestCompileErrors(t *testing.T) {
	t.Parallel()
	users := tableOf("users", "id int8!", "email text!", "phone varchar(20)", "born date").unique(Unique{Columns: []string{"id"}, Primary: true})
	tests := map[string]struct {
		policy string
		tables []Table
		want   string // "" compiles; otherwise the error, which may go on
	}{
		"table gone":  {"tables: {public.user: {rows: none}, public.users: {columns: {'*': keep}}}", []Table{users}, "policy line 2: table public.user is not in the dump, did you mean public.users?"},
		"column gone": {"tables: {public.users: {columns: {'*': keep, mail: keep}}}", []Table{users}, "policy line 2: column mail is not in table public.users, did you mean email?"},
		"link gone":   {"links: {l: [public.users.mail]}\ntables: {public.users: {columns: {'*': keep}}}", []Table{users}, "policy line 2: link l names public.users.mail, which is not in the dump"},
		"filter gone": {"tables: {public.users: {columns: {'*': keep}, rows: {where: [{column: state, in: [a]}]}}}", []Table{users}, "policy line 2: the row filter of public.users names column state, which is not there"},
		"wrong type":  {"tables: {public.users: {columns: {'*': keep, id: email}}}", []Table{users}, "public.users.id: masker email does not take int8, it takes text, varchar, char, citext, name"},
		"not null":    {"tables: {public.users: {columns: {'*': keep, email: null}}}", []Table{users}, "public.users.email: masker null: the column is NOT NULL: use constant, or credential"},
		"too short":   {"tables: {public.users: {columns: {'*': keep, phone: email}}}", []Table{users}, "public.users.phone: masker email: email needs 32 characters and the column takes 20: use hash or text, or widen the column"},
		"no entity":   {"tables: {public.users: {columns: {'*': keep, born: {mask: date_shift, by: user}}}}", []Table{users}, "public.users.born: masker date_shift: by names column user, which is not in public.users"},
		"ambiguous": {
			"tables: {'public.*': {columns: {email: email}}, public.users: {columns: {'*': keep, 'e*': text}}}",
			[]Table{users},
			"public.users.email: the rules in line 2 (email of public.*) and line 2 (e* of public.users) both match and neither is more specific: write a rule for the column itself",
		},
		"ambiguous but equal": {"tables: {'public.*': {columns: {email: email}}, public.users: {columns: {'*': keep, 'e*': email}}}", []Table{users}, ""},
		"specific wins":       {"tables: {'*.*': {columns: {'*': keep}}, 'public.*': {columns: {'*': keep, 'em*': text}}, public.users: {columns: {email: email}}}", []Table{users}, ""},
		"constant out of range": {
			"tables: {public.t: {columns: {a: {mask: constant, value: 40000}, b: {mask: constant, value: angry}, c: {mask: constant, value: maybe}, d: {mask: constant, value: abcd}}}}",
			[]Table{tableOf("t", "a int2", "b mood", "c bool", "d varchar(3)")},
			`public.t.a: masker constant: the value "40000" is not a whole number in the range of int2
public.t.b: masker constant: the value "angry" is not one of the enum's labels: happy, sad
public.t.c: masker constant: the value "maybe" is not true or false
public.t.d: masker constant: the value "abcd" is longer than the column's 3 characters`,
		},
		"foreign key conflict": {
			"tables: {public.users: {columns: {'*': keep, id: key}}, public.orders: {columns: {user_id: keep}}}",
			[]Table{users, tableOf("orders", "user_id int8").references("users", "user_id=id")},
			"policy line 2: the rule of public.orders.user_id (keep) differs from the rule it must follow, references public.users.id (key): remove it",
		},
		"foreign key over a wildcard": {
			"tables: {public.users: {columns: {'*': keep, id: key}}, public.orders: {columns: {'*': keep}}}",
			[]Table{users, tableOf("orders", "user_id int8").references("users", "user_id=id")},
			"",
		},
		"foreign key to a table without rows": {
			"tables: {public.users: {rows: none}, public.orders: {columns: {'*': keep}}}",
			[]Table{users, tableOf("orders", "user_id int8!").references("users", "user_id=id")},
			"public.orders: foreign key orders_users_fkey references public.users, which is loaded without rows: give public.orders `rows: none` too, or load both",
		},
		"foreign key half null": {
			"tables: {public.p: {columns: {a: keep, b: null}}, public.c: {columns: {}}}",
			[]Table{tableOf("p", "a int4", "b int4").unique(Unique{Columns: []string{"a", "b"}}), func() Table {
				c := tableOf("c", "a int4", "b int4").references("p", "a=a", "b=b")
				c.ForeignKeys[0].MatchFull = true
				return c
			}()},
			"public.c: foreign key c_p_fkey is MATCH FULL, which takes no key of which b is NULL and the rest is not: mask all of its columns with null, or none",
		},
		"foreign key all null": {
			"tables: {public.p: {columns: {a: null, b: null}}, public.c: {columns: {}}}",
			[]Table{tableOf("p", "a int4", "b int4").unique(Unique{Columns: []string{"a", "b"}}), func() Table {
				c := tableOf("c", "a int4", "b int4").references("p", "a=a", "b=b")
				c.ForeignKeys[0].MatchFull = true
				return c
			}()},
			"",
		},
		"partition with a rule of its own": {
			"tables: {public.e: {columns: {'*': text}}, public.e1: {columns: {a: keep}}}",
			[]Table{tableOf("e", "a text", "d date").partitioned("range", "d"), tableOf("e1", "a text", "d date").partition("e")},
			"policy line 2: the rule of public.e1.a (keep) differs from the rule it must follow, partition of public.e (text): remove it",
		},
		"partition key masked": {
			"tables: {public.e: {columns: {a: keep, d: year_only}}}",
			[]Table{tableOf("e", "a text", "d date").partitioned("range", "d"), tableOf("e1", "a text", "d date").partition("e")},
			"public.e is partitioned by range of d (year_only), which is masked: a masked row might find no partition. Keep the column, or give the table a default partition",
		},
		"two links meet": {
			"links: {a: [public.users.id], b: [public.orders.user_id]}\ntables: {public.users: {columns: {'*': keep}}}",
			[]Table{users, tableOf("orders", "user_id int8").references("users", "user_id=id")},
			"links a and b meet in one set of columns joined by foreign keys: make them one link",
		},
		"link with two rules": {
			"links: {a: [public.t.x, public.t.y]}\ntables: {public.t: {columns: {x: email, y: {mask: email, unique: false}}}}",
			[]Table{tableOf("t", "x text", "y text")},
			`link a: public.t.x has the rule email and public.t.y has {"mask":"email","unique":false}: linked columns need the same rule`,
		},
		"linked path with another rule": {
			"links: {a: [public.t.x]}\ntables: {public.t: {columns: {x: email, y: {mask: json, paths: {$.e: {mask: hash, link: a}}}}}}",
			[]Table{tableOf("t", "x text", "y jsonb")},
			"public.t.y: masker json: at $.e: link a: the columns have the rule email and this place hash: they need the same",
		},
		"masker that JSON cannot hold": {
			"tables: {public.t: {columns: {y: {mask: json, paths: {$.e: bytea}}}}}",
			[]Table{tableOf("t", "y jsonb")},
			"public.t.y: masker json: at $.e: masker bytea does not work inside JSON",
		},
		"rule for a generated column": {
			"tables: {public.t: {columns: {a: text, g: text}}}",
			[]Table{func() Table { x := tableOf("t", "a text", "g text"); x.Columns[1].Generated = true; return x }()},
			"policy line 2: column public.t.g is generated: it is computed from masked columns and needs no rule",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := tryCompile(t, tt.policy, tt.tables...)
			switch {
			case err == nil && tt.want != "":
				t.Fatalf("compiled, want %s", tt.want)
			case err != nil && tt.want == "":
				t.Fatal(err)
			case err != nil && !strings.HasPrefix(err.Error(), tt.want):
				t.Error(cmp.Diff(tt.want, err.Error()))
			}
		})
	}
}

func TestUniqueness(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		rules string
		table Table
		want  string
	}{
		"email":                    {"a: email", tableOf("t", "a text").unique(Unique{Columns: []string{"a"}}), ""},
		"email citext":             {"a: email", tableOf("t", "a citext").unique(Unique{Columns: []string{"a"}}), ""},
		"email char(n)":            {"a: email", tableOf("t", "a bpchar(40)").unique(Unique{Columns: []string{"a"}}), ""},
		"email lower":              {"a: email", tableOf("t", "a text").unique(Unique{Expressions: []string{"lower(a)"}, ExpressionColumns: []string{"a"}}), ""},
		"email lower cast":         {"a: {mask: email, fold: true}", tableOf("t", "a varchar(80)").unique(Unique{Expressions: []string{"lower((a)::text)"}, ExpressionColumns: []string{"a"}}), ""},
		"email quoted lower":       {"aB: email", tableOf("t", "aB text").unique(Unique{Expressions: []string{`lower("aB")`}, ExpressionColumns: []string{"aB"}}), ""},
		"email not unique":         {"a: {mask: email, unique: false}", tableOf("t", "a text").unique(Unique{Columns: []string{"a"}}), "public.t: unique index t_key needs distinct values in a: masker email may give two values the same mask: leave email its `unique: true`"},
		"folded but not the index": {"a: {mask: email, fold: true}", tableOf("t", "a text").unique(Unique{Columns: []string{"a"}}), "public.t: unique index t_key needs distinct values in a: upper and lower case get the same mask (fold, or a citext column it is joined with), but the index tells them apart"},
		"expression":               {"a: email", tableOf("t", "a text").unique(Unique{Expressions: []string{`"substring"(a, 3)`}, ExpressionColumns: []string{"a"}}), "public.t: unique index t_key is on an expression over a, whose masker email cannot promise distinct results: keep the column, or write `indexes: {t_key: try}` (or drop) under public.t"},
		"expression over kept":     {"a: keep", tableOf("t", "a text").unique(Unique{Expressions: []string{`"substring"(a, 3)`}, ExpressionColumns: []string{"a"}}), ""},
		"names":                    {"a: first_name", tableOf("t", "a text").unique(Unique{Columns: []string{"a"}}), "public.t: unique index t_key needs distinct values in a: masker first_name may give two values the same mask"},
		"null":                     {"a: null", tableOf("t", "a text").unique(Unique{Columns: []string{"a"}}), ""},
		"null not distinct":        {"a: null", tableOf("t", "a text").unique(Unique{Columns: []string{"a"}, NullsNotDistinct: true}), "public.t: unique index t_key needs distinct values in a: masker null writes NULL everywhere, and the index takes one NULL only"},
		"hash":                     {"a: hash", tableOf("t", "a text").unique(Unique{Columns: []string{"a"}}), ""},
		"short hash":               {"a: hash", tableOf("t", "a varchar(24)").unique(Unique{Columns: []string{"a"}}), "public.t: unique index t_key needs distinct values in a: masker hash may give two values the same mask: give hash at least 25 digits"},
		"key":                      {"a: key", tableOf("t", "a int4!").unique(Unique{Columns: []string{"a"}, Primary: true}), ""},
		"uuid":                     {"a: uuid", tableOf("t", "a uuid!").unique(Unique{Columns: []string{"a"}, Primary: true}), ""},
		"inet":                     {"a: ip", tableOf("t", "a inet").unique(Unique{Columns: []string{"a"}}), ""},
		"ip in text":               {"a: ip", tableOf("t", "a text").unique(Unique{Columns: []string{"a"}}), "public.t: unique index t_key needs distinct values in a: masker ip may give two values the same mask: give the column type inet"},
		"nondeterministic": {"a: email", func() Table {
			x := tableOf("t", "a text").unique(Unique{Columns: []string{"a"}})
			x.Columns[0].Nondeterministic = true
			return x
		}(), "public.t: unique index t_key needs distinct values in a: its collation is not deterministic"},
		"one of two lossy":                          {"a: keep, b: text", tableOf("t", "a int4", "b text").unique(Unique{Columns: []string{"a", "b"}}), "public.t: unique index t_key needs distinct values in b: masker text may give two values the same mask: use hash"},
		"implied by the key":                        {"a: keep, b: text", tableOf("t", "a int4!", "b text").unique(Unique{Columns: []string{"a"}, Primary: true}).unique(Unique{Columns: []string{"a", "b"}}), ""},
		"implied, and on an expression":             {"a: keep, b: text", tableOf("t", "a int4!", "b text").unique(Unique{Columns: []string{"a"}, Primary: true}).unique(Unique{Columns: []string{"a"}, Expressions: []string{"md5(b)"}, ExpressionColumns: []string{"b"}, Predicate: "(b ~~ '%@%'::text)", PredicateColumns: []string{"b"}}), ""},
		"expression and a key that is not distinct": {"a: text, b: text", tableOf("t", "a text!", "b text").unique(Unique{Name: "u", Columns: []string{"a"}, Expressions: []string{"md5(b)"}, ExpressionColumns: []string{"b"}}), "public.t: unique index u is on an expression over b, whose masker text cannot promise distinct results"},
		"dates of one entity":                       {"a: key, d: {mask: date_shift, by: a}", tableOf("t", "a int4", "d date").unique(Unique{Columns: []string{"a", "d"}}), ""},
		"dates of all":                              {"a: key, d: {mask: date_shift, by: a}", tableOf("t", "a int4", "d date").unique(Unique{Columns: []string{"d"}}), "public.t: unique index t_key needs distinct values in d: masker date_shift keeps values distinct only within one a: add the column a to the index, or keep the column"},
		"predicate null test":                       {"a: email, d: {mask: date_shift, by: a}", tableOf("t", "a text", "d date").unique(Unique{Columns: []string{"a"}, Predicate: "(d IS NULL)", PredicateColumns: []string{"d"}}), ""},
		"predicate on values":                       {"a: email, b: text", tableOf("t", "a text", "b text").unique(Unique{Columns: []string{"a"}, Predicate: "(b = 'x'::text)", PredicateColumns: []string{"b"}}), "public.t: unique index t_key holds for some rows only, depending on b, whose masker text may change which: keep the column"},
		"predicate made null":                       {"a: email, d: null", tableOf("t", "a text", "d date").unique(Unique{Columns: []string{"a"}, Predicate: "(d IS NULL)", PredicateColumns: []string{"d"}}), "public.t: unique index t_key holds for some rows only, depending on d"},
		"predicate rebuilt":                         {"a: email, d: {mask: rebuild, as: 'NULL'}", tableOf("t", "a text", "d date").unique(Unique{Columns: []string{"a"}, Predicate: "(d IS NULL)", PredicateColumns: []string{"d"}}), "public.t: unique index t_key holds for some rows only, depending on d"},
		"predicate on a row":                        {"a: email, d: {mask: composite, attributes: {a: null, b: credential}}", tableOf("t", "a text", "d pair").unique(Unique{Columns: []string{"a"}, Predicate: "(d IS NULL)", PredicateColumns: []string{"d"}}), "public.t: unique index t_key holds for some rows only, depending on d"},
		"predicate, key kept":                       {"a: keep, b: text", tableOf("t", "a text", "b text").unique(Unique{Columns: []string{"a"}, Predicate: "(b = 'x'::text)", PredicateColumns: []string{"b"}}), "public.t: unique index t_key holds for some rows only"},
		"exclusion equality":                        {"a: key, b: keep", tableOf("t", "a int4", "b tsrange").unique(Unique{Columns: []string{"a", "b"}, Exclusion: []string{"=", "&&"}}), ""},
		"exclusion overlap":                         {"a: number_noise, b: keep", tableOf("t", "a int4", "b tsrange").unique(Unique{Columns: []string{"a", "b"}, Exclusion: []string{"<>", "&&"}}), "public.t: exclusion constraint t_key compares a, whose masker number_noise may make rows collide: keep the column, or mask it with null"},
		"generated from kept": {"a: keep", func() Table {
			x := tableOf("t", "a text", "g text").unique(Unique{Columns: []string{"g"}})
			x.Columns[1].Generated = true
			return x
		}(), ""},
		"generated from masks": {"a: email", func() Table {
			x := tableOf("t", "a text", "g text").unique(Unique{Columns: []string{"g"}})
			x.Columns[1].Generated = true
			return x
		}(), "public.t: unique index t_key needs distinct values in g: it is generated from columns that are masked, and nothing promises distinct results"},
		"phone": {"a: {mask: phone, unique: true}", tableOf("t", "a text").unique(Unique{Columns: []string{"a"}}), ""},
		"mac":   {"a: {mask: mac, unique: true}", tableOf("t", "a macaddr").unique(Unique{Columns: []string{"a"}}), ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := tryCompile(t, fmt.Sprintf("tables: {public.t: {columns: {%s}}}", tt.rules), tt.table)
			switch {
			case err == nil && tt.want != "":
				t.Fatalf("compiled, want %s", tt.want)
			case err != nil && (tt.want == "" || !strings.HasPrefix(err.Error(), tt.want)):
				t.Fatal(err)
			}
		})
	}
}

// What a partition's index repeats is judged at the parent, and only then left
// out at the partition.
func TestUniquenessOfPartitions(t *testing.T) {
	t.Parallel()
	key := func(columns ...string) Unique { return Unique{Columns: columns} }
	own := key("id", "n")
	own.NullsNotDistinct = true
	tests := map[string]struct {
		policy string
		tables []Table
		want   string
	}{
		"judged once": {
			"public.p: {columns: {id: keep, n: text}}",
			[]Table{tableOf("p", "id int4", "n text").partitioned("range", "id").unique(key("id", "n")), tableOf("p1", "id int4", "n text").partition("p").unique(key("id", "n"))},
			"public.p: unique index p_key needs distinct values in n",
		},
		"parent without rows": {
			"public.p: {rows: none}, public.p1: {rows: all, columns: {id: keep, n: text}}",
			[]Table{tableOf("p", "id int4", "n text").partitioned("range", "id").unique(key("id", "n")), tableOf("p1", "id int4", "n text").partition("p").unique(key("id", "n"))},
			"public.p1: unique index p1_key needs distinct values in n",
		},
		"nulls not distinct": {
			"public.p: {columns: {id: keep, n: null}}",
			[]Table{tableOf("p", "id int4", "n text").partitioned("range", "id").unique(key("id", "n")), tableOf("p1", "id int4", "n text").partition("p").unique(own)},
			"public.p1: unique index p1_key needs distinct values in n: masker null writes NULL everywhere",
		},
		"rows that move": {
			"public.p: {columns: {id: key, n: keep}}",
			[]Table{tableOf("p", "id int4", "n text").partitioned("hash", "id"), tableOf("p1", "id int4", "n text").partition("p").unique(key("n"))},
			"public.p1: unique index p1_key holds for this partition only, and rows of others may move here because the partition key of public.p is masked: keep its columns, or drop the index in the dump",
		},
		"rows that move under one index": {
			"public.p: {columns: {id: key, n: keep}}",
			[]Table{tableOf("p", "id int4", "n text").partitioned("hash", "id").unique(key("id", "n")), tableOf("p1", "id int4", "n text").partition("p").unique(key("id", "n"))},
			"",
		},
		"rows that stay": {
			"public.p: {columns: {id: keep, n: hash}}",
			[]Table{tableOf("p", "id int4", "n text").partitioned("hash", "id"), tableOf("p1", "id int4", "n text").partition("p").unique(key("n"))},
			"",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := tryCompile(t, "tables: {"+tt.policy+"}", tt.tables...)
			switch {
			case err == nil && tt.want != "":
				t.Fatalf("compiled, want %s", tt.want)
			case err != nil && (tt.want == "" || !strings.HasPrefix(err.Error(), tt.want) || strings.Count(err.Error(), "\n") > 0):
				t.Fatal(err)
			}
		})
	}
}

// mask masks one row given as fields, and returns the fields.
func maskRow(t *testing.T, plan *Plan, table string, fields ...string) []string {
	t.Helper()
	out, err := plan.Table("public", table).NewWorker().Append(nil, []byte(strings.Join(fields, "\t")))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\t")
}

func TestColumnsThatJoinAgree(t *testing.T) {
	t.Parallel()
	_, err := tryCompile(t, `
links: {person_email: [public.users.email, public.contacts.mail]}
types: {bigint: keep}
tables:
  public.users: {columns: {id: key, email: email, other: email, born: {mask: date_shift, by: id}, boss: keep, short: hash}}
  public.contacts: {columns: {mail: email, info: {mask: json, paths: {$.mail: {mask: email, link: person_email}}}, mails: {mask: array, of: {mask: email, link: person_email}}}}
  public.orders: {columns: {at: {mask: date_shift, by: user_id}}}
  public.e: {columns: {who: text}}
`,
		tableOf("users", "id int8!", "boss int8", "email text", "other text", "born date", "short text").references("users", "boss=id"),
		tableOf("contacts", "mail varchar(80)", "info jsonb", "mails text[]"),
		tableOf("orders", "user_id int4", "at timestamptz", "ref varchar(30)").references("users", "user_id=id", "ref=short"),
		tableOf("e", "who text", "n int8").partitioned("hash", "who"),
		tableOf("e1", "n int8", "who text").partition("e"),
	)
	if err == nil || !strings.Contains(err.Error(), "the rule of public.users.boss (keep) differs") {
		t.Fatal(err)
	}
	policy := `
links: {person_email: [public.users.email, public.contacts.mail]}
types: {int8: keep}
tables:
  public.users: {columns: {id: key, email: email, other: email, born: {mask: date_shift, by: id}, short: hash}}
  public.contacts: {columns: {mail: email, info: {mask: json, paths: {$.mail: {mask: email, link: person_email}}}, mails: {mask: array, of: {mask: email, link: person_email}}}}
  public.orders: {columns: {at: {mask: date_shift, by: user_id}}}
  public.e: {columns: {who: text}}
`
	plan, err := tryCompile(t, policy,
		tableOf("users", "id int8!", "boss int8", "email text", "other text", "born date", "short text").references("users", "boss=id"),
		tableOf("contacts", "mail varchar(80)", "info jsonb", "mails text[]"),
		tableOf("orders", "user_id int4", "at timestamptz", "ref varchar(30)").references("users", "user_id=id", "ref=short"),
		tableOf("e", "who text", "n int8").partitioned("hash", "who"),
		tableOf("e1", "n int8", "who text").partition("e"),
	)
	if err != nil {
		t.Fatal(err)
	}
	user := maskRow(t, plan, "users", "7", "7", "a@b.c", "a@b.c", "2000-01-01", "x")
	contact := maskRow(t, plan, "contacts", "a@b.c", `{"mail": "a@b.c"}`, `{a@b.c,NULL}`)
	order := maskRow(t, plan, "orders", "7", "2000-01-01 10:00:00+00", "x")
	if user[0] != user[1] || user[0] != order[0] {
		t.Errorf("keys differ: %v %v", user, order)
	}
	if user[2] == user[3] {
		t.Error("two columns have one sub-key")
	}
	if user[2] != contact[0] || contact[1] != `{"mail": "`+user[2]+`"}` || contact[2] != "{"+user[2]+",NULL}" {
		t.Errorf("linked places differ: %v %v", user, contact)
	}
	if user[4]+" 10:00:00+00" != order[1] {
		t.Errorf("dates of one entity move apart: %v %v", user, order)
	}
	if user[5] != order[2] || len(user[5]) != 30 {
		t.Errorf("columns of two lengths differ: %v %v", user, order)
	}
	whole, part := maskRow(t, plan, "e", "Ann", "1"), maskRow(t, plan, "e1", "1", "Ann")
	if whole[0] != part[1] {
		t.Errorf("a partition differs from its table: %v %v", whole, part)
	}
	if into := plan.Table("public", "e1").LoadInto; into != (Name{"public", "e"}) {
		t.Errorf("e1 loads into %v", into)
	}
	if into := plan.Table("public", "orders").LoadInto; into != (Name{"public", "orders"}) {
		t.Errorf("orders loads into %v", into)
	}
	if why := plan.Table("public", "orders").Columns[0].Why; why != "references public.users.id" {
		t.Errorf("why %q", why)
	}
}

// Patterns that match nothing are said, for they may be misspelt and something
// else keeps what they should mask.
func TestPatternsThatMatchNothing(t *testing.T) {
	t.Parallel()
	plan, err := tryCompile(t, `
types: {boolaen: keep, money: keep, mood: keep, "mood[]": keep, "varchar(9)": keep, "date[]": keep}
tables:
  '*.*': {columns: {'*': keep, emial: email}}
  public.*: {columns: {email: email, 'e*_hash': hash}}
  pubilc.*: {columns: {'*': email}}
  public.usr*: {rows: none}
  public.t: {columns: {'x*': text}}
`, tableOf("t", "email text", "m mood", "l varchar(9)"), tableOf("u", "email text", "m mood[]", "l varchar(9)"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"policy line 3: no column has the type boolaen",
		"policy line 5: the column emial of *.* is in no table that the entry matches, did you mean email?",
		"policy line 6: the column e*_hash of public.* is in no table that the entry matches",
		"policy line 7: the entry pubilc.* matches no table",
		"policy line 8: the entry public.usr* matches no table",
		"policy line 9: the pattern x* matches no column of public.t",
	}
	if diff := cmp.Diff(want, plan.Warnings); diff != "" {
		t.Error(diff)
	}
}

// Keys inside values join with the columns that they are of.
func TestKeysInsideValuesAgree(t *testing.T) {
	t.Parallel()
	plan, err := tryCompile(t, `
links: {person: [public.users.id]}
tables:
  public.users: {columns: {id: key}}
  public.events:
    columns:
      data: {mask: json, paths: {$.user: {mask: key, link: person}}}
      seen: {mask: array, of: {mask: key, link: person}}
      large: {mask: array, of: {mask: key, link: person}}
`, tableOf("users", "id int4!"), tableOf("events", "data jsonb", "seen int4[]", "large numeric[]"))
	if err != nil {
		t.Fatal(err)
	}
	user, event := maskRow(t, plan, "users", "4711"), maskRow(t, plan, "events", `{"user": 4711}`, "{4711}", "{4711}")
	if event[0] != `{"user": `+user[0]+`}` || event[1] != "{"+user[0]+"}" || event[2] != event[1] {
		t.Errorf("%v %v", user, event)
	}
	_, err = tryCompile(t, "links: {l: [public.t.a]}\ntables: {public.t: {columns: {a: text, b: {mask: array, of: {mask: text, link: l}}, c: {mask: json, paths: {$.a: {mask: number_noise, link: l}}}}}}", tableOf("t", "a text", "b text[]", "c jsonb"))
	if err == nil || !strings.Contains(err.Error(), "they need the same") {
		t.Error(err)
	}
}

func TestSequencesFollow(t *testing.T) {
	t.Parallel()
	users := tableOf("users", "id int8!", "n int4")
	users.Columns[0].Sequence = "public.users_id_seq"
	users.Columns[1].Sequence = "public.n_seq"
	plan, err := tryCompile(t, "tables: {public.users: {columns: {id: key, n: keep}}}", users)
	if err != nil {
		t.Fatal(err)
	}
	want := []MaskedSequence{{"public.users_id_seq", ColumnName{"public", "users", "id"}}}
	if diff := cmp.Diff(want, plan.Sequences()); diff != "" {
		t.Error(diff)
	}
}

func TestRowFilters(t *testing.T) {
	t.Parallel()
	tests := []struct {
		where string
		row   string // n, at, state, flag
		want  bool
	}{
		{"{column: n, from: 5}", "5\t\\N\t\\N\t\\N", true},
		{"{column: n, from: 5}", "4.99\t\\N\t\\N\t\\N", false},
		{"{column: n, from: -5, below: 10}", "-5.0\t\\N\t\\N\t\\N", true},
		{"{column: n, from: -5, below: 10}", "10.00\t\\N\t\\N\t\\N", false},
		{"{column: n, from: -5, below: 10}", "009\t\\N\t\\N\t\\N", true},
		{"{column: n, from: 5}", "\\N\t\\N\t\\N\t\\N", false},
		{"{column: at, from: 2024-01-01}", "1\t2024-01-01 00:00:00+00\t\\N\t\\N", true},
		{"{column: at, from: 2024-01-01}", "1\t2024-01-01 01:59:59.999999+02\t\\N\t\\N", false},
		{"{column: at, from: 2024-01-01}", "1\t2023-12-31 18:30:00-05:30\t\\N\t\\N", true},
		{"{column: at, below: '2024-01-01 12:00:00.5+00'}", "1\t2024-01-01 12:00:00.5+00\t\\N\t\\N", false},
		{"{column: at, from: 2024-01-01}", "1\tinfinity\t\\N\t\\N", true},
		{"{column: at, from: 2024-01-01}", "1\t0044-03-15 00:00:00+00 BC\t\\N\t\\N", false},
		{"{column: state, in: [open, \"a\\tb\"]}", "1\t\\N\ta\\tb\t\\N", true},
		{"{column: state, in: [open]}", "1\t\\N\tclosed\t\\N", false},
		{"{column: state, not_in: [open]}", "1\t\\N\tclosed\t\\N", true},
		{"{column: state, not_in: [open]}", "1\t\\N\t\\N\t\\N", false},
		{"{column: state, is: null}", "1\t\\N\t\\N\t\\N", true},
		{"{column: state, is: not null}", "1\t\\N\t\\N\t\\N", false},
		{"{column: flag, in: [true]}", "1\t\\N\t\\N\tt", true},
		{"{column: flag, in: [true]}, {column: n, below: 1}", "1\t\\N\t\\N\tt", false},
		// Equal is what the column's type takes for equal.
		{"{column: n, in: [5, 7]}", "5.00\t\\N\t\\N\t\\N", true},
		{"{column: n, not_in: [-0.5]}", "-0.50\t\\N\t\\N\t\\N", false},
		{"{column: n, in: [NaN]}", "NaN\t\\N\t\\N\t\\N", true},
		{"{column: n, not_in: [5]}", "NaN\t\\N\t\\N\t\\N", true},
		{"{column: at, in: [2024-01-01]}", "1\t2024-01-01 02:00:00+02\t\\N\t\\N", true},
		{"{column: at, not_in: [2024-01-01, infinity]}", "1\tinfinity\t\\N\t\\N", false},
		{"{column: at, in: [2024-01-01]}", "1\tinfinity\t\\N\t\\N", false},
		{"{column: flag, in: [yes]}", "1\t\\N\t\\N\tt", true},
		{"{column: flag, not_in: [off]}", "1\t\\N\t\\N\tf", false},
		{"{column: padded, in: [vip]}", "1\t\\N\t\\N\tf\tvip     ", true},
		{"{column: padded, not_in: [vip]}", "1\t\\N\t\\N\tf\tvip     ", false},
		{"{column: folded, not_in: [Vip]}", "1\t\\N\t\\N\tf\tx\tvIP", false},
		{"{column: state, not_in: [Vip]}", "1\t\\N\tvip\tf", true},
		{"{column: u, in: [A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11]}", "1\t\\N\t\\N\tf\tx\ty\ta0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", true},
		{"{column: r, in: [0.50]}", "1\t\\N\t\\N\tf\tx\ty\t\\N\t0.5", true},
		{"{column: m, not_in: [sad]}", "1\t\\N\t\\N\tf\tx\ty\t\\N\t1\tsad", false},
	}
	for _, tt := range tests {
		plan, err := tryCompile(t, "tables: {public.t: {rows: {where: ["+tt.where+"]}, columns: {'*': keep, state: text}}}",
			tableOf("t", "n numeric", "at timestamptz", "state text", "flag bool", "padded bpchar(8)", "folded citext", "u uuid", "r float8", "m mood"))
		if err != nil {
			t.Fatalf("%s: %v", tt.where, err)
		}
		w := plan.Table("public", "t").NewWorker()
		row := tt.row + strings.Repeat("\t\\N", 8-strings.Count(tt.row, "\t"))
		out, err := w.Append(nil, []byte(row))
		if err != nil {
			t.Fatalf("%s: %v", tt.where, err)
		}
		if got := len(out) > 0; got != tt.want || got == (w.Stats().Dropped == 1) {
			t.Errorf("%s on %q: %v, %+v", tt.where, tt.row, got, w.Stats())
		}
	}
}

// What no value of the column's type equals is a mistake, not a filter that
// nothing passes.
func TestRowFiltersOfOtherTypes(t *testing.T) {
	t.Parallel()
	for where, column := range map[string]string{
		"in: [open, clsoed]": "a int4", "not_in: [1e3]": "a numeric", "in: [maybe]": "a bool", "in: [angry]": "a mood", "in: [2024-1-1]": "a date",
		"not_in: [tomorrow]": "a timestamptz", "in: [x]": "a float4", "in: [1234]": "a uuid",
	} {
		_, err := tryCompile(t, "tables: {public.t: {rows: {where: [{column: a, "+where+"}]}, columns: {a: keep}}}", tableOf("t", column))
		if err == nil || !strings.Contains(err.Error(), "is not a value of its type") {
			t.Errorf("%s on %s: %v", where, column, err)
		}
	}
}

func TestBindAndRowErrors(t *testing.T) {
	t.Parallel()
	plan, err := tryCompile(t, "tables: {public.t: {columns: {id: keep, a: text, d: {mask: date_shift, by: id}}}}", tableOf("t", "id int4", "a text", "d date"))
	if err != nil {
		t.Fatal(err)
	}
	tp := plan.Table("public", "t")
	for _, columns := range [][]string{{"id", "a"}, {"a", "d"}, {"id", "a", "d", "x"}, {"id", "a", "d", "a"}} {
		if _, err := tp.Bind(columns); err == nil {
			t.Errorf("bound to %v", columns)
		}
	}
	layout, err := tp.Bind([]string{"d", "a", "id"})
	if err != nil {
		t.Fatal(err)
	}
	w := layout.NewWorker()
	for _, row := range []string{"", "2024-01-01\ta", "2024-01-01\ta\t1\t2", `\.`, "2024-01-01\ta\t1\\", "secret-date\ta\t1", "2024-01-01\\ta\t1"} {
		dst := []byte("before")
		out, err := w.Append(dst, []byte(row))
		var re *RowError
		if !errors.As(err, &re) || string(out) != "before" {
			t.Errorf("%q: %q, %v", row, out, err)
			continue
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error holds the value: %v", err)
		}
	}
	if err := func() error { _, err := w.Append(nil, []byte("secret-date\ta\t1")); return err }(); err.Error() != "mask row 8 of public.t: column d (masker date_shift): the value is not an ISO date such as 2024-01-31" {
		t.Error(err)
	}
	out, err := w.Append(nil, []byte("2024-01-01\t\\N\t1"))
	if err != nil || !strings.HasSuffix(string(out), "\t\\N\t1\n") {
		t.Errorf("%q %v", out, err)
	}
	if _, err := w.AppendField(nil, 0, []byte("2024-01-01")); err == nil {
		t.Error("a rule with by was applied to a lone field")
	}
	field, err := w.AppendField(nil, 1, []byte(`Hello\tWorld`))
	if err != nil || len(field) != len(`Hello\tWorld`) || field[5] != '\\' {
		t.Errorf("%q %v", field, err)
	}
}

func TestWideTable(t *testing.T) {
	t.Parallel()
	var columns, fields []string
	for i := range 300 {
		columns = append(columns, fmt.Sprintf("c%03d text", i))
		fields = append(fields, fmt.Sprintf("value %d", i))
	}
	plan, err := tryCompile(t, "tables: {public.t: {columns: {'*': keep, 'c1*': hash, c299: text}}}", tableOf("t", columns...))
	if err != nil {
		t.Fatal(err)
	}
	got := maskRow(t, plan, "t", fields...)
	if len(got) != 300 {
		t.Fatalf("%d fields", len(got))
	}
	for i, f := range got {
		if masked := i >= 100 && i < 200 || i == 299; masked == (f == fields[i]) {
			t.Errorf("field %d: %q from %q", i, f, fields[i])
		}
	}
}
