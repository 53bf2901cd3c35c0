package mask

import (
	"fmt"
	"strings"
	"testing"
)

// partial is a unique index on column a with a predicate over some columns.
func partial(predicate string, columns ...string) Unique {
	return Unique{Name: "u", Columns: []string{"a"}, Predicate: predicate, PredicateColumns: columns}
}

// A predicate is judged by what maskers promise: which rows are in the index.
func TestPredicates(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rule, predicate string
		ok              bool
	}{
		"not empty":                   {"email", "((a)::text <> ''::text)", true},
		"empty":                       {"email", "(a = ''::text)", true},
		"not null and kept":           {"email", "((a IS NOT NULL) AND (id > 0))", true},
		"kept or null":                {"hash", "((id > 0) OR (a IS NULL))", true},
		"negated":                     {"email", "(NOT (a IS NULL))", true},
		"kept function":               {"email", "(abs(id) = ANY (ARRAY[1, 2]))", true},
		"kept between":                {"email", "((id BETWEEN 1 AND 5) AND (a IS NOT NULL))", true},
		"nested":                      {"email", "(((a)::text <> ''::text) AND ((a IS NOT NULL) OR (id = 3)))", true},
		"like":                        {"email", "(a ~~ '%@%'::text)", false},
		"other text":                  {"email", "(a <> 'x'::text)", false},
		"like or kept":                {"email", "((a ~~ '%@%'::text) OR (id > 0))", false},
		"function of it":              {"email", "(length(a) > 0)", false},
		"cast to another type":        {"email", "((a)::integer <> 0)", false},
		"two casts":                   {"email", "(((a)::character varying)::text <> ''::text)", true},
		"made null":                   {"null", "(a ~~ '%@%'::text)", true},
		"constant outside":            {`{mask: credential, value: ""}`, "((a)::text !~ '^[0-9 ]*$'::text)", true},
		"constant inside":             {`{mask: credential, value: x}`, "((a)::text !~ '^[0-9 ]*$'::text)", false},
		"constant outside, kept also": {`{mask: constant, value: ""}`, "(((a)::text <> ''::text) AND (id > 0))", true},
		"constant outside, or kept":   {`{mask: constant, value: ""}`, "(((a)::text <> ''::text) OR (id > 0))", false},
		"constant, unlike dialects":   {`{mask: constant, value: ""}`, `((a)::text ~ '(?<!x)\m'::text)`, false},
		"constant that is not like":   {`{mask: constant, value: none}`, "(a ~~ 'tok_%'::text)", true},
		"the row":                     {"email", "(t.* IS NOT NULL)", false},
		"spaces may be nothing":       {"{mask: text}", "(a <> 'x'::text)", false},
		"unreadable":                  {"email", "(a <> ''::text", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, columns := range []string{"a text", "a varchar(80)"} {
				_, err := tryCompile(t, fmt.Sprintf("tables: {public.t: {columns: {id: keep, a: %s}}}", c.rule), tableOf("t", "id int4!", columns).unique(partial(c.predicate, "a", "id")))
				if (err == nil) != c.ok {
					t.Errorf("%s: %v", columns, err)
				}
			}
		})
	}
}

// What a policy says of indexes is taken, refused where it cannot be, and known
// to whoever loads.
func TestIndexes(t *testing.T) {
	t.Parallel()
	expression := Unique{Name: "u", Expressions: []string{"md5(a)"}, ExpressionColumns: []string{"a"}}
	key := Unique{Name: "pk", Columns: []string{"a"}, Primary: true}
	for name, c := range map[string]struct {
		policy string
		tables []Table
		want   string // of the error
		kept   string // dropped and tried
	}{
		"tried":           {"columns: {a: email}, indexes: {u: try}", []Table{tableOf("t", "a text").unique(expression)}, "", "[] [{public.t u}]"},
		"dropped":         {"columns: {a: text}, indexes: {u: drop}", []Table{tableOf("t", "a text").unique(expression)}, "", "[{public.t u}] []"},
		"exclusion":       {"columns: {a: number_noise}, indexes: {x: drop}", []Table{tableOf("t", "a int4").unique(Unique{Name: "x", Columns: []string{"a"}, Exclusion: []string{"<>"}})}, "", "[{public.t x}] []"},
		"needless":        {"columns: {a: email}, indexes: {u: try}", []Table{tableOf("t", "a text").unique(Unique{Name: "u", Columns: []string{"a"}})}, "", "[] []"},
		"computed":        {"columns: {a: email}, indexes: {c: drop}", []Table{tableOf("t", "a text").computed(Unique{Name: "c", Expressions: []string{"(a)::integer"}, ExpressionColumns: []string{"a"}})}, "", "[{public.t c}] []"},
		"computed, tried": {"columns: {a: email}, indexes: {c: try}", []Table{tableOf("t", "a text").computed(Unique{Name: "c", Expressions: []string{"(a)::integer"}, ExpressionColumns: []string{"a"}})}, "index c of public.t is not unique", ""},
		"unknown":         {"columns: {a: email}, indexes: {ux: try}", []Table{tableOf("t", "a text").unique(expression)}, "has no unique index, unique constraint, exclusion constraint or index on an expression ux, did you mean u?", ""},
		"neither":         {"columns: {a: email}, indexes: {u: keep}", []Table{tableOf("t", "a text").unique(expression)}, "must be try or drop", ""},
		"referenced":      {"columns: {a: text}, indexes: {pk: drop}", []Table{tableOf("t", "a text!").unique(key), tableOf("o", "t_a text").references("t", "t_a=a")}, "cannot be dropped: foreign key o_t_fkey of public.o references it", ""},
		"key without use": {"columns: {a: text}, indexes: {pk: drop}", []Table{tableOf("t", "a text!").unique(key)}, "", "[{public.t pk}] []"},
		"of partitions": {"columns: {a: text}, indexes: {u: drop}", []Table{
			tableOf("t", "a text").partitioned("hash", "a").unique(expression),
			tableOf("t_1", "a text").partition("t").unique(Unique{Name: "u_1", Expressions: []string{"md5(a)"}, ExpressionColumns: []string{"a"}}),
		}, "", "[{public.t u} {public.t_1 u_1}] []"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := ParsePolicy([]byte("version: 1\ntables: {public.t: {" + c.policy + "}}"))
			var plan *Plan
			if err == nil {
				plan, err = Compile(p, keyOf(t), Catalog{Tables: c.tables})
			}
			switch {
			case c.want == "" && err != nil:
				t.Fatal(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Fatalf("%v, want %s", err, c.want)
			case c.want == "":
				if got := fmt.Sprint(plan.Dropped(), plan.Tried()); got != c.kept {
					t.Errorf("%s, want %s", got, c.kept)
				}
			}
		})
	}
	plain, err := ParsePolicy([]byte("version: 1\ntables: {public.t: {columns: {a: text}}}"))
	if err != nil {
		t.Fatal(err)
	}
	said, err := ParsePolicy([]byte("version: 1\ntables: {public.t: {columns: {a: text}, indexes: {u: drop}}}"))
	if err != nil {
		t.Fatal(err)
	}
	if plain.Digest() == said.Digest() {
		t.Error("the digest does not tell what is said of indexes")
	}
}

// A draft keeps nothing personal for the sake of an index.
func TestDraftMasksWhatIsUnique(t *testing.T) {
	t.Parallel()
	expression := func(e string) Unique {
		return Unique{Name: "u", Expressions: []string{e}, ExpressionColumns: []string{"v"}}
	}
	whole := Unique{Name: "u", Columns: []string{"v"}}
	where := func(predicate string) Unique {
		return Unique{Name: "u", Columns: []string{"v"}, Predicate: predicate, PredicateColumns: []string{"v"}}
	}
	email := func(i int) string { return fmt.Sprintf("p%d@corp.test", i) }
	for name, c := range map[string]struct {
		column string
		index  Unique
		value  func(i int) string
		want   string // the rule and what is said of the index
	}{
		"email not empty":   {"email text", where("(v <> ''::text)"), email, "email"},
		"email like":        {"email text", where("(v ~~ '%@%'::text)"), email, "email try"},
		"email trimmed":     {"email text", expression("lower(btrim(v))"), email, "email try"},
		"email md5":         {"email text", expression("md5(v)"), email, "email try"},
		"email coalesced":   {"email text!", expression("COALESCE(v, ''::text)"), email, "email try"},
		"email cast":        {"email varchar(90)", expression("lower((v)::text)"), email, "email"},
		"citext cast":       {"email citext", expression("(v)::text"), email, "email try"},
		"a function":        {"email text", expression("app.norm(v)"), email, "email try"},
		"document":          {"doc jsonb", expression("(v ->> 'email'::text)"), func(i int) string { return `{"email": "` + email(i) + `"}` }, "{mask: json, paths: {'$.email': email}} drop"},
		"token":             {"recovery_token varchar(255)!", where("((v)::text !~ '^[0-9 ]*$'::text)"), nil, `{mask: credential, value: ""}`},
		"nullable token":    {"reset_token text", whole, nil, "credential"},
		"number of people":  {"patient_no char(11)!", whole, func(i int) string { return fmt.Sprintf("%011d", i*7919) }, "permute"},
		"code":              {"customer_code varchar(9)!", whole, func(i int) string { return fmt.Sprintf("KD-%06d", i*31) }, "permute"},
		"short code":        {"staff_code char(3)!", whole, func(i int) string { return fmt.Sprintf("%03d", i) }, "text drop"},
		"greek code":        {"staff_code char(9)!", whole, func(i int) string { return fmt.Sprintf("ΑΦΜ%06d", i) }, "text drop"},
		"bytes":             {"id bytea!", Unique{Name: "u", Columns: []string{"v"}, Primary: true}, func(i int) string { return fmt.Sprintf(`\\x%064x`, i) }, "hash"},
		"phone, short":      {"phone varchar(14)!", whole, func(i int) string { return fmt.Sprintf("+49170%07d", i) }, "permute"},
		"excluded overlaps": {"owner text!", Unique{Name: "u", Columns: []string{"v"}, Exclusion: []string{"&&"}}, email, "email drop"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The index is on v, whatever the column is called.
			column, typ, _ := strings.Cut(c.column, " ")
			index := c.index
			for _, list := range []*[]string{&index.Columns, &index.ExpressionColumns, &index.PredicateColumns} {
				if len(*list) > 0 {
					*list = []string{column}
				}
			}
			index.Expressions = nil
			for _, e := range c.index.Expressions {
				index.Expressions = append(index.Expressions, strings.NewReplacer("(v", "("+column, "v)", column+")").Replace(e))
			}
			index.Predicate = strings.ReplaceAll(index.Predicate, "(v", "("+column)
			tab := tableOf("t", column+" "+typ).unique(index)
			s := NewSample(tab.Columns[0])
			for i := range 100 {
				if c.value != nil {
					s.Add([]byte(c.value(i)))
				}
			}
			catalog := Catalog{Tables: []Table{tab}}
			draft := string(Draft(catalog, map[ColumnName]*Sample{{"public", "t", column}: s}))
			p, err := ParsePolicy([]byte(draft))
			if err != nil {
				t.Fatalf("%v\n%s", err, draft)
			}
			if _, err := Compile(p, keyOf(t), catalog); err != nil {
				t.Fatalf("%v\n%s", err, draft)
			}
			_, rule, _ := strings.Cut(draft, "      "+column+": ")
			got, _, _ := strings.Cut(rule, "\n")
			got, _, _ = strings.Cut(got, "   #")
			if _, says, ok := strings.Cut(draft, "      u: "); ok {
				got += " " + strings.TrimSpace(says)
			}
			if got != c.want {
				t.Errorf("%s, want %s\n%s", got, c.want, draft)
			}
		})
	}
}
