package sqltext_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seedling-dev/seedling/hooks/sqltext"
)

func TestSplit(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		sql  string
		want []string
	}{
		{"", nil},
		{"SELECT 1; SELECT 2", []string{"SELECT 1", "SELECT 2"}},
		{"-- nothing; here\n/* nor; /* nested */ here; */ SELECT ';', \";\", $$;$$, $a$;$$;$a$;", []string{"SELECT ';', \";\", $$;$$, $a$;$$;$a$"}},
		{`SELECT E'it\'s; one', 'it''s; one', U&'\0061;'`, []string{`SELECT E'it\'s; one', 'it''s; one', U&'\0061;'`}},
		{"SELECT 1 -- one\r, 2; SELECT 3", []string{"SELECT 1 -- one\r, 2", "SELECT 3"}},
		{`SELECT 'back\'; SELECT 2`, []string{`SELECT 'back\'`, "SELECT 2"}},
		{"CREATE FUNCTION f() BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 1 END; END; SELECT 2", []string{"CREATE FUNCTION f() BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 1 END; END", "SELECT 2"}},
		{"CREATE RULE r AS ON INSERT TO t DO ALSO (INSERT INTO a VALUES (1); INSERT INTO b VALUES (2)); SELECT 2", []string{"CREATE RULE r AS ON INSERT TO t DO ALSO (INSERT INTO a VALUES (1); INSERT INTO b VALUES (2))", "SELECT 2"}},
	} {
		list, err := sqltext.Split(test.sql)
		if err != nil {
			t.Errorf("%s: %v", test.sql, err)
		}
		var got []string
		for _, s := range list {
			got = append(got, s.Text)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", test.sql, diff)
		}
	}
	for _, sql := range []string{"SELECT 'open", "SELECT $$open", `SELECT "open`, "/* open", "SELECT E'one'\n'\\'; DROP TABLE t; --'", `SELECT U&"\0061"`} {
		if _, err := sqltext.Split(sql); err == nil {
			t.Errorf("%s: no error", sql)
		}
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		sql, name, value string
	}{
		{"Users", "users", ""},
		{`"Us""ers"`, `Us"ers`, ""},
		{"'it''s'", "", "it's"},
		{`E'it\'s\n'`, "", "it's\n"},
		{`'back\n'`, "", `back\n`},
		{"$tag$it's$tag$", "", "it's"},
		{"1.5e3", "", "1.5e3"},
		{"$1", "", ""},
		{"+", "", ""},
	} {
		list, err := sqltext.Split(test.sql)
		if err != nil || len(list) != 1 || len(list[0].Tokens) != 1 {
			t.Fatalf("%s: %v, error %v; want one token", test.sql, list, err)
		}
		token := list[0].Tokens[0]
		if name, ok := token.Name(); name != test.name || ok != (test.name != "") {
			t.Errorf("%s: name %q, %t", test.sql, name, ok)
		}
		if value, ok := token.Value(); value != test.value || ok != (test.value != "") {
			t.Errorf("%s: value %q, %t", test.sql, value, ok)
		}
	}
}

// TestWritten: what is quoted here reads back as it was.
func TestWritten(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"a", "it's", `"`, `back\slash'`, "two\nlines; --", "$$"} {
		list, err := sqltext.Split(sqltext.Identifier("public", s) + " = " + sqltext.Literal(s) + "; SELECT 1")
		if err != nil || len(list) != 2 || len(list[0].Tokens) != 5 {
			t.Fatalf("%q: %v, error %v; want two statements", s, list, err)
		}
		if name, _ := list[0].Tokens[2].Name(); name != s {
			t.Errorf("%q: the name reads %q", s, name)
		}
		if value, _ := list[0].Tokens[4].Value(); value != s {
			t.Errorf("%q: the literal reads %q", s, value)
		}
	}
}

func TestApply(t *testing.T) {
	t.Parallel()
	list, err := sqltext.Split("CREATE UNLOGGED TABLE t (a int);")
	if err != nil {
		t.Fatal(err)
	}
	st := list[0]
	got := sqltext.Apply(st.Text, []sqltext.Edit{st.Tokens[1].Replace("TEMPORARY"), {Start: len(st.Text), End: len(st.Text), Text: " ON COMMIT DROP"}})
	if want := "CREATE TEMPORARY TABLE t (a int) ON COMMIT DROP"; got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if got := sqltext.Apply(st.Text, nil); got != st.Text {
		t.Errorf("no edits made %q", got)
	}
}
