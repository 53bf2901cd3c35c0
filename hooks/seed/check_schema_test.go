package seed

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/dump"
	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/postgres"
)

// TestOneStatement: whatever the lexer makes of a dump's statement, the server
// runs one of it or none.
func TestOneStatement(t *testing.T) {
	t.Parallel()
	src := pgtest.Source(t)
	conn := src.Connect(t, src.Database(t, "CREATE TABLE t (a int)"))
	if err := execSQL(t.Context(), conn, "ALTER TABLE t ADD b int; DROP TABLE t"); postgres.Code(err) != "42601" {
		t.Errorf("two statements: %v", err)
	}
	if err := execSQL(t.Context(), conn, "ALTER TABLE t ADD b int"); err != nil {
		t.Error(err)
	}
}

func TestSchema(t *testing.T) {
	t.Parallel()
	policy := &mask.Policy{Comments: true, Roles: map[string]string{"reporting": "app", "Odd \"Role": "seed role"}}
	for _, test := range []struct {
		name  string
		entry dump.Entry
		want  []string
		fault string
	}{
		{"unknown kind", dump.Entry{Kind: "NEW THING", Tag: "x"}, nil, "not known to be safe"},
		{"unknown statement", dump.Entry{Kind: "TABLE", Schema: "public", Tag: "t", Create: "CREATE TABLE t (a int); DROP TABLE u"}, nil, `"DROP"`},
		{"statement of another kind", dump.Entry{Kind: "VIEW", Schema: "public", Tag: "t", Create: "CREATE TABLE t AS SELECT 1"}, nil, `"CREATE TABLE"`},
		{"marker's schema", dump.Entry{Kind: "TABLE", Schema: "seedling", Tag: "marker", Create: "CREATE TABLE seedling.marker ()"}, nil, "dump of a seed"},
		{
			"owner",
			dump.Entry{Kind: "TABLE", Schema: "public", Tag: "T", Owner: "prod", Create: "CREATE TABLE t (a int);", Drop: "DROP TABLE t;"},
			[]string{"CREATE TABLE t (a int)", `ALTER TABLE "public"."T" OWNER TO "app"`},
			"",
		},
		{
			"owner by its drop",
			dump.Entry{Kind: "FUNCTION", Schema: "public", Tag: "f(integer)", Owner: "reporting", Create: "CREATE FUNCTION f(integer) RETURNS int LANGUAGE sql AS 'select 1';", Drop: "DROP FUNCTION public.f(integer);\n"},
			[]string{"CREATE FUNCTION f(integer) RETURNS int LANGUAGE sql AS 'select 1'", `ALTER FUNCTION public.f(integer) OWNER TO "app"`},
			"",
		},
		{"unlogged", dump.Entry{Kind: "TABLE", Schema: "public", Tag: "t", Create: "CREATE UNLOGGED TABLE t (a text DEFAULT 'UNLOGGED');"}, []string{"CREATE  TABLE t (a text DEFAULT 'UNLOGGED')"}, ""},
		{
			"foreign",
			dump.Entry{Kind: "FOREIGN TABLE", Schema: "public", Tag: "t", Create: "CREATE FOREIGN TABLE public.t (\n a int OPTIONS (x 'y')\n)\nSERVER far\nOPTIONS (\n table_name 'z'\n);\nALTER FOREIGN TABLE ONLY public.t ALTER COLUMN a OPTIONS (q 'r');"},
			nil, "",
		},
		{
			"foreign, named like a key word",
			dump.Entry{Kind: "FOREIGN TABLE", Schema: "server", Tag: "server", Create: "CREATE FOREIGN TABLE server.server (\n a int\n)\nINHERITS (public.options)\nSERVER server\nOPTIONS (\n x 'y'\n);\nALTER FOREIGN TABLE server.server OWNER TO prod;"},
			[]string{"CREATE  TABLE server.server (\n a int\n)\nINHERITS (public.options)\n", `ALTER  TABLE server.server OWNER TO "app"`},
			"",
		},
		{"foreign default", dump.Entry{Kind: "DEFAULT", Tag: "t id", Create: "ALTER FOREIGN TABLE ONLY public.t ALTER COLUMN id SET DEFAULT 1;"}, []string{"ALTER  TABLE ONLY public.t ALTER COLUMN id SET DEFAULT 1"}, ""},
		{"foreign check", dump.Entry{Kind: "CHECK CONSTRAINT", Tag: "t c", Create: "ALTER FOREIGN TABLE public.t ADD CONSTRAINT c CHECK (a > 0) NOT VALID;"}, []string{"ALTER  TABLE public.t ADD CONSTRAINT c CHECK (a > 0) NOT VALID"}, ""},
		{"foreign not null", dump.Entry{Kind: "CONSTRAINT", Tag: "t c", Create: "ALTER FOREIGN TABLE public.t ADD CONSTRAINT c NOT NULL a NOT VALID;"}, []string{"ALTER  TABLE public.t ADD CONSTRAINT c NOT NULL a NOT VALID"}, ""},
		{"foreign trigger", dump.Entry{Kind: "TRIGGER", Tag: "t r", Create: "CREATE TRIGGER r BEFORE INSERT ON public.t EXECUTE FUNCTION f();\n\nALTER FOREIGN TABLE public.t DISABLE TRIGGER r;"}, []string{"CREATE TRIGGER r BEFORE INSERT ON public.t EXECUTE FUNCTION f()", "ALTER  TABLE public.t DISABLE TRIGGER r"}, ""},
		{"foreign comment", dump.Entry{Kind: "COMMENT", Tag: "FOREIGN TABLE t", Create: "COMMENT ON FOREIGN TABLE public.t IS 'FOREIGN TABLE';"}, []string{"COMMENT ON  TABLE public.t IS 'FOREIGN TABLE'"}, ""},
		{
			"grant",
			dump.Entry{Kind: "ACL", Tag: "TABLE t", Create: `GRANT SELECT("to",b) ON TABLE public."from" TO reporting WITH GRANT OPTION; SET SESSION AUTHORIZATION "Odd ""Role"; REVOKE ALL ON FUNCTION f(reporting) FROM PUBLIC, app; RESET SESSION AUTHORIZATION;`},
			[]string{`GRANT SELECT("to",b) ON TABLE public."from" TO "app" WITH GRANT OPTION`, `SET SESSION AUTHORIZATION "seed role"`, `REVOKE ALL ON FUNCTION f(reporting) FROM PUBLIC, app`, `RESET SESSION AUTHORIZATION`},
			"",
		},
		{"unmapped grant", dump.Entry{Kind: "ACL", Tag: "TABLE t", Create: `GRANT SELECT ON TABLE t TO nobody;`}, nil, "nobody (ACL TABLE t)"},
		{
			"event trigger",
			dump.Entry{Kind: "EVENT TRIGGER", Tag: "e", Owner: "prod", Create: "CREATE EVENT TRIGGER e ON ddl_command_end\n   EXECUTE FUNCTION f();\n\n\nALTER EVENT TRIGGER e OWNER TO prod;"},
			[]string{"CREATE EVENT TRIGGER e ON ddl_command_end\n   EXECUTE FUNCTION f()"},
			"",
		},
		{
			"default grants",
			dump.Entry{Kind: "DEFAULT ACL", Tag: "x", Create: `ALTER DEFAULT PRIVILEGES FOR ROLE reporting IN SCHEMA s GRANT SELECT ON TABLES TO reporting;`},
			[]string{`ALTER DEFAULT PRIVILEGES FOR ROLE "app" IN SCHEMA s GRANT SELECT ON TABLES TO "app"`},
			"",
		},
		{"policy", dump.Entry{Kind: "POLICY", Tag: "t p", Create: `CREATE POLICY p ON t FOR SELECT TO reporting, PUBLIC USING ((a TO b));`}, []string{`CREATE POLICY p ON t FOR SELECT TO "app", PUBLIC USING ((a TO b))`}, ""},
		{"server", dump.Entry{Kind: "SERVER", Tag: "far", Create: "CREATE SERVER far FOREIGN DATA WRAPPER x OPTIONS (host 'prod')"}, nil, ""},
		{"statistics", dump.Entry{Kind: "STATISTICS DATA", Schema: "public", Tag: "t", Create: "SELECT * FROM pg_catalog.pg_restore_attribute_stats('most_common_vals', '{raw}')"}, nil, ""},
		{"security label", dump.Entry{Kind: "SECURITY LABEL", Schema: "public", Tag: "TABLE t", Create: "SECURITY LABEL FOR dummy ON TABLE public.t IS 'secret'"}, nil, ""},
		{"latin", dump.Entry{Kind: "ENCODING", Tag: "ENCODING", Create: "SET client_encoding = 'LATIN1';\n"}, nil, "UTF-8"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := test.entry
			e.ID, e.Section = 1, dump.PreData
			s, err := readSchema(&dump.Dump{Entries: []*dump.Entry{&e}}, policy, "app")
			if test.fault != "" {
				if err == nil || !strings.Contains(err.Error(), test.fault) {
					t.Fatalf("error %v does not say %q", err, test.fault)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, list := range [][]step{s.pre, s.post, s.grants, s.last} {
				for _, st := range list {
					got = append(got, st.statements...)
				}
			}
			if test.name == "foreign" {
				if len(got) != 1 || strings.Contains(got[0], "SERVER") || !strings.HasPrefix(got[0], "CREATE  TABLE public.t") || strings.Contains(got[0], "OPTIONS") {
					t.Errorf("got %q", got)
				}
				return
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestPlainSchema: what plain dumps say in another way than archives.
func TestPlainSchema(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		entry dump.Entry
		want  int // statements
		fault string
	}{
		{"owner", dump.Entry{Kind: "VIEW", Schema: "public", Tag: "v", Owner: "prod", Create: "CREATE VIEW public.v AS SELECT 1;\n\n\nALTER VIEW public.v OWNER TO prod;"}, 2, ""},
		{"no owner", dump.Entry{Kind: "VIEW", Schema: "public", Tag: "v", Create: "CREATE VIEW public.v AS SELECT 1;"}, 1, ""},
		{"what has none", dump.Entry{Kind: "EXTENSION", Tag: "hstore", Create: "CREATE EXTENSION IF NOT EXISTS hstore WITH SCHEMA public;"}, 1, ""},
		{"grant on a large object", dump.Entry{Kind: "ACL", Tag: "LARGE OBJECT 1", Owner: "prod", Create: "GRANT SELECT ON LARGE OBJECT 1 TO PUBLIC;"}, 0, ""},
		{"grants on several", dump.Entry{Kind: "ACL", Tag: "LARGE OBJECTS 1..2", Owner: "prod", Create: "GRANT SELECT ON LARGE OBJECT 1 TO PUBLIC;\n\nGRANT SELECT ON LARGE OBJECT 2 TO PUBLIC;"}, 0, ""},
	} {
		e := test.entry
		e.ID, e.Section = 1, dump.PreData
		s, err := readSchema(&dump.Dump{Format: dump.Plain, Entries: []*dump.Entry{&e}}, &mask.Policy{}, "app")
		switch {
		case test.fault != "":
			if err == nil || !strings.Contains(err.Error(), test.fault) {
				t.Errorf("%s: error %v does not say %q", test.name, err, test.fault)
			}
		case err != nil:
			t.Errorf("%s: %v", test.name, err)
		default:
			n := 0
			for _, st := range slices.Concat(s.pre, s.grants) {
				n += len(st.statements)
			}
			if n != test.want {
				t.Errorf("%s: %d statements, want %d", test.name, n, test.want)
			}
		}
	}
}

// TestInserts: rows as INSERT statements are how a dump was made, and are refused
// with one sentence, however many tables there are.
func TestInserts(t *testing.T) {
	t.Parallel()
	d := &dump.Dump{Entries: []*dump.Entry{
		{ID: 1, Kind: "TABLE", Schema: "public", Tag: "a", Create: "CREATE TABLE public.a ();"},
		{ID: 2, Kind: "TABLE DATA", Schema: "public", Tag: "a", Section: dump.Data, HasData: true, Copy: "COPY public.a FROM stdin;"},
		{ID: 3, Kind: "TABLE DATA", Schema: "public", Tag: "b", Section: dump.Data, HasData: true},
		{ID: 4, Kind: "TABLE DATA", Schema: "public", Tag: "c", Section: dump.Data, HasData: true},
	}}
	_, err := readSchema(d, &mask.Policy{}, "app")
	if err == nil || strings.Count(err.Error(), "INSERT statements") != 1 || command.ExitCode(err) != command.ExitMisconfigured {
		t.Errorf("%v", err)
	}
}

// TestCommentsLast: comments, which belong to no section of an archive, come
// when what they are about is there.
func TestCommentsLast(t *testing.T) {
	t.Parallel()
	var entries []*dump.Entry
	for i, e := range []dump.Entry{
		{Kind: "TABLE", Schema: "public", Tag: "t", Section: dump.PreData, Create: "CREATE TABLE public.t ();"},
		{Kind: "COMMENT", Schema: "public", Tag: "TABLE t", Section: dump.SectionNone, Create: "COMMENT ON TABLE public.t IS 'x';"},
		{Kind: "TABLE DATA", Schema: "public", Tag: "t", Section: dump.Data, Copy: "COPY public.t FROM stdin;"},
		{Kind: "INDEX", Schema: "public", Tag: "i", Section: dump.PostData, Create: "CREATE INDEX i ON public.t;"},
		{Kind: "COMMENT", Schema: "public", Tag: "INDEX i", Section: dump.SectionNone, Create: "COMMENT ON INDEX public.i IS 'x';"},
		{Kind: "EVENT TRIGGER", Tag: "e", Section: dump.PostData, Create: "CREATE EVENT TRIGGER e ON sql_drop EXECUTE FUNCTION f();"},
		{Kind: "COMMENT", Tag: "EVENT TRIGGER e", Section: dump.SectionNone, Create: "COMMENT ON EVENT TRIGGER e IS 'x';"},
		{Kind: "MATERIALIZED VIEW DATA", Schema: "public", Tag: "m", Section: dump.PostData, Create: "REFRESH MATERIALIZED VIEW public.m;"},
	} {
		e.ID = i + 1
		entries = append(entries, &e)
	}
	s, err := readSchema(&dump.Dump{Entries: entries}, &mask.Policy{Comments: true}, "app")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, st := range slices.Concat(s.pre, s.post, s.grants, s.last) {
		got = append(got, st.entry.Tag)
	}
	if diff := cmp.Diff([]string{"t", "i", "TABLE t", "INDEX i", "m", "e", "EVENT TRIGGER e"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestLiterals(t *testing.T) {
	t.Parallel()
	table := dump.Entry{ID: 1, Kind: "TABLE", Schema: "public", Tag: "users", Create: `CREATE TABLE public.users (
		id bigint NOT NULL, country text DEFAULT 'call +30 210 5550000'::text, n numeric(10,2) DEFAULT 0,
		CONSTRAINT staff CHECK ((email <> 'boss@corp-holding.com'::text)), ok text DEFAULT 'user@example.com', pattern text CHECK (x ~ '^[^@]+@[^@]+$'))`}
	view := dump.Entry{ID: 2, Kind: "VIEW", Schema: "public", Tag: "v", Create: `CREATE VIEW public.v AS SELECT 'AKIAABCDEFGHIJKLMNOP' AS k`}
	function := dump.Entry{ID: 3, Kind: "FUNCTION", Schema: "public", Tag: "f()", Create: "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM dblink('host=prod password=hunter22'); END $$"}
	scopes := dump.Entry{ID: 4, Kind: "TYPE", Schema: "public", Tag: "scope", Create: "CREATE TYPE scope AS ENUM ('api_key:create', 'token:*')"}
	label := dump.Entry{ID: 5, Kind: "TYPE", Schema: "public", Tag: "label", Create: "CREATE TYPE label AS ENUM ('password=hunter22')"}
	d := &dump.Dump{Entries: []*dump.Entry{&table, &view, &function, &scopes, &label}}
	key, err := mask.NewKey([]byte("a key of the tests, long enough for a key"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = checkLiterals(d, &mask.Policy{}, &key)
	var found *LiteralsError
	if !errors.As(err, &found) {
		t.Fatal(err)
	}
	var objects []string
	accept := &mask.Policy{}
	for _, f := range found.Findings {
		objects = append(objects, f.Object+": "+f.Reason)
		accept.Accept = append(accept.Accept, mask.Accept{Object: f.Object, SHA256: f.SHA256})
	}
	want := []string{
		"default public.users.country: a telephone number", "check public.users.staff: an e-mail address",
		"view public.v: a secret key or token", "function public.f(): a password or token", "type public.label: a password or token",
	}
	if diff := cmp.Diff(want, objects); diff != "" {
		t.Error(diff)
	}
	for _, secret := range []string{"boss", "AKIA", "5550000", "hunter"} {
		if strings.Contains(err.Error()+found.Fragment(), secret) {
			t.Errorf("the error quotes %s", secret)
		}
	}
	// Whoever has no key cannot test guesses, and does not compare.
	other, err := mask.NewKey([]byte("another key of the tests, long enough"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found.Findings {
		if sum := sha256.Sum256([]byte(view.Create)); f.SHA256 == hex.EncodeToString(sum[:]) || len(f.SHA256) != 64 {
			t.Errorf("%s: the digest %s needs no key", f.Object, f.SHA256)
		}
	}
	if _, err := checkLiterals(d, accept, &other); err == nil {
		t.Error("accepted under one key, and under another")
	}
	bare := &LiteralsError{}
	if _, err := checkLiterals(d, &mask.Policy{}, nil); !errors.As(err, &bare) || bare.Findings[0].SHA256 != "" || !strings.HasPrefix(bare.Fragment(), "# accept: ") {
		t.Errorf("without a key: %v", err)
	}
	if _, err := checkLiterals(d, accept, nil); err != nil {
		t.Errorf("accepted, and refused without a key: %v", err)
	}
	if warnings, err := checkLiterals(d, accept, &key); err != nil || len(warnings) > 0 {
		t.Errorf("accepted: error %v, warnings %v", err, warnings)
	}
	// What was accepted is accepted as it was.
	view.Create += ", 2"
	if _, err := checkLiterals(d, accept, &key); err == nil {
		t.Error("a changed definition stays accepted")
	}
}

// What a CHECK constraint wants a column's texts to match.
func TestPatterns(t *testing.T) {
	t.Parallel()
	for definition, want := range map[string]string{
		`CHECK (((VALUE)::text ~ '^[12]\d{9}$'::text))`:                          `^[12]\d{9}$`,
		`CHECK ((code ~ '^[A-Z]{2}''x$'::text))`:                                 `^[A-Z]{2}'x$`,
		`CHECK ((code ~* '^ab\d+$'::text))`:                                      `(?i)^ab\d+$`,
		`CHECK (((length(a) = 5) AND (a ~ '^\d+$'::text) AND (a ~ '^0'::text)))`: `^\d+$ ^0`,
		`CHECK ((a !~ '^\d+$'::text))`:                                           "",
		`CHECK ((a !~* '^\d+$'::text))`:                                          "",
		`CHECK ((a ~~ 'x%'::text))`:                                              "",
		`CHECK ((a ~ '(?<!x)\m'::text))`:                                         "",
		`CHECK ((a = ANY (ARRAY['x'::text, 'y'::text])))`:                        "",
	} {
		if got := strings.Join(patterns(definition), " "); got != want {
			t.Errorf("%s: %q, want %q", definition, got, want)
		}
	}
}
