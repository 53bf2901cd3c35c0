package mask

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const testHash = "$2b$12$abcdefghijklmnopqrstuvABCDEFGHIJKLMNOPQRSTUVWXYZ01234"

func loginTables() []Table {
	users := tableOf("users", "id int8", "email text!", "name text", "code varchar(4)", "password varchar(100)", "team int8")
	users.Uniques = []Unique{{Name: "users_pkey", Columns: []string{"id"}, Primary: true}, {Name: "users_email_key", Columns: []string{"email"}}, {Name: "users_code_key", Columns: []string{"code"}}}
	orders := tableOf("orders", "id int8", "user_email text", "note text", "doc jsonb")
	orders.ForeignKeys = []ForeignKey{{Name: "fk", Columns: []string{"user_email"}, References: Name{"public", "users"}, ReferencedColumns: []string{"email"}, Equals: []string{"="}}}
	return []Table{users, orders}
}

const loginColumns = `
links: {mail: [public.users.email]}
tables:
  public.users: {columns: {id: keep, email: email, name: full_name, code: permute, password: credential, team: keep}}
  public.orders: {columns: {id: keep, note: email, doc: {mask: json, paths: {$.who: {mask: email, link: mail}}}}}
`

func compileLogins(t *testing.T, logins string, tables []Table) (*Plan, error) {
	t.Helper()
	p, err := ParsePolicy([]byte("version: 1\n" + logins + loginColumns))
	if err != nil {
		return nil, err
	}
	return Compile(p, keyOf(t), Catalog{Tables: tables, Logins: testHashes(t)})
}

func testHashes(t *testing.T) PasswordHashes {
	t.Helper()
	h, err := NewPasswordHash([]byte(testHash + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return PasswordHashes{DefaultLoginHash: h}
}

// Testers' accounts keep what the policy names, by the row or, of the address, wherever
// it is joined; everybody else keeps nothing.
func TestLogins(t *testing.T) {
	t.Parallel()
	plan, err := compileLogins(t, `logins: {public.users: {by: email, accounts: [Tester@shop.test], domain: qa.shop.test, keep: [name], password: password}}`, loginTables())
	if err != nil {
		t.Fatal(err)
	}
	users := plan.Table("public", "users").NewWorker()
	row := func(fields ...string) []string {
		t.Helper()
		out, err := users.Append(nil, []byte(strings.Join(fields, "\t")))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSuffix(string(out), "\n"), "\t")
	}
	for _, address := range []string{"tester@shop.test", "TESTER@Shop.test", "some.body@qa.shop.test"} {
		for _, old := range []string{"$old", `\N`} {
			got := row("1", address, "Kay Reed", "AB12", old, `\N`)
			if got[3] == "AB12" || len(got[3]) != 4 {
				t.Errorf("the code of an account becomes %q", got[3])
			}
			got[3] = ""
			if diff := cmp.Diff([]string{"1", address, "Kay Reed", "", testHash, `\N`}, got); diff != "" {
				t.Error(diff)
			}
		}
	}
	for _, address := range []string{
		"tester@shop.test.example", "atester@shop.test", "x@other.qa.shop.test", "qa.shop.test", "@qa.shop.test", " tester@shop.test", `a\tb@shop.test`,
		"Kay Reed +49 170 1234567 x@qa.shop.test", "Kay_Reed<x@qa.shop.test", "kay@home.test,x@qa.shop.test", "kay@home.test;x@qa.shop.test", "kay@home.test/x@qa.shop.test", "Kay\u00a0Reed@qa.shop.test", `kay\nreed@qa.shop.test`, strings.Repeat("a", 65) + "@qa.shop.test",
	} {
		got := row("1", address, "Kay Reed", "AB12", "$old", "7")
		if got[1] == address || got[2] == "Kay Reed" || got[4] != `\N` || got[5] != "7" {
			t.Errorf("%q is taken for a tester's: %q", address, got)
		}
	}
	if got := row("1", `"odd\\\\one"@qa.shop.test`, "a\\tb", "AB12", "$old", "7"); got[1] != `"odd\\\\one"@qa.shop.test` || got[2] != "a\\tb" {
		t.Errorf("escapes become %q", got)
	}

	// The same address elsewhere: kept where columns or places are joined, masked where not.
	orders := plan.Table("public", "orders").NewWorker()
	out, err := orders.Append(nil, []byte("1\tTester@shop.test\ttester@shop.test\t"+`{"who": "tester@shop.test", "other": "tester@shop.test"}`))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Split(strings.TrimSuffix(string(out), "\n"), "\t")
	if f[1] != "Tester@shop.test" || f[2] == "tester@shop.test" || !strings.Contains(f[3], `"who": "tester@shop.test"`) || strings.Count(f[3], "tester@shop.test") != 1 {
		t.Errorf("elsewhere: %q", f)
	}

	// Counts say who is there, and who is not.
	found := map[string]bool{}
	var c LoginCount
	l, err := plan.Table("public", "users").Bind([]string{"id", "email", "name", "code", "password", "team"})
	if err != nil {
		t.Fatal(err)
	}
	w := l.NewWorker()
	for _, a := range []string{"a@qa.shop.test", "b@qa.shop.test", "c@shop.test"} {
		if err := w.Find([]byte("1\t" + a + "\tx\ty\tz\t1")); err != nil {
			t.Fatal(err)
		}
	}
	if c.Add(l, found); c.Rows != 2 || len(found) != 0 {
		t.Errorf("%d rows, %v", c.Rows, found)
	}
}

// TestLoginsAllocateNothing: ordinary rows of a table of accounts cost no memory.
func TestLoginsAllocateNothing(t *testing.T) { //nolint:paralleltest // counts allocations
	plan, err := compileLogins(t, `logins: {public.users: {by: email, accounts: [Tester@shop.test], domain: qa.shop.test, keep: [name], password: password}}`, loginTables())
	if err != nil {
		t.Fatal(err)
	}
	w := plan.Table("public", "users").NewWorker()
	buf := make([]byte, 0, 4096)
	for _, line := range []string{"1\tsomebody@shop.test\tKay Reed\tAB12\t$old\t7", "1\ttester@shop.test\tKay Reed\tAB12\t$old\t7"} {
		row := []byte(line)
		if n := testing.AllocsPerRun(1000, func() { buf, _ = w.Append(buf[:0], row) }); n > 0 {
			t.Errorf("%v allocations per row", n)
		}
	}
}

// A mask is never an address of a tester's, and distinct values have distinct masks all
// the same: of all codes of two letters, those that are kept are nobody else's.
func TestLoginsDoNotCollide(t *testing.T) {
	t.Parallel()
	users := tableOf("users", "code varchar(4)!", "password text")
	users.Uniques = []Unique{{Name: "users_code_key", Columns: []string{"code"}}}
	p, err := ParsePolicy([]byte(`
version: 1
logins: {public.users: {by: code, accounts: [ab12, cd34, ef56, zz99, aa00, qq11], password: password}}
tables: {public.users: {columns: {code: permute, password: credential}}}
`))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := Compile(p, keyOf(t), Catalog{Tables: []Table{users}, Logins: testHashes(t)})
	if err != nil {
		t.Fatal(err)
	}
	w := plan.Table("public", "users").NewWorker()
	seen := map[string]string{}
	for i := range 26 * 26 * 100 {
		code := fmt.Sprintf("%c%c%02d", 'a'+i/2600, 'a'+i/100%26, i%100)
		out, err := w.Append(nil, []byte(code+"\t$old"))
		if err != nil {
			t.Fatal(err)
		}
		mask, password, _ := strings.Cut(strings.TrimSuffix(string(out), "\n"), "\t")
		if other, twice := seen[mask]; twice {
			t.Fatalf("%s and %s are both masked as %s", other, code, mask)
		}
		seen[mask] = code
		if kept := password == testHash; kept != (mask == code && strings.Contains("ab12 cd34 ef56 zz99 aa00 qq11", code)) {
			t.Fatalf("%s becomes %s, with password %s", code, mask, password)
		}
	}
}

// What a policy may not say of logins.
func TestLoginsRefused(t *testing.T) {
	t.Parallel()
	for logins, sentence := range map[string]string{
		"{public.users: {by: email, accounts: [a@b.test]}}":                                       "",
		"{public.users: {by: email, accounts: [a@b.test], password: password, hash: users.hash}}": "no password hash users.hash",
		"{public.users: {by: email, accounts: [a@b.test], password: password, hash: '$2b$12$x'}}": "and never the hash",

		"{public.users: {by: email}}":                                                        "name no account",
		"{public.users: {accounts: [a@b.test]}}":                                             "no by",
		"{public.users: {by: email, accounts: []}}":                                          "must be a list",
		"{public.users: {by: email, accounts: [A@b.test, a@b.test]}}":                        "twice",
		"{public.users: {by: email, domain: shop}}":                                          "must be the name of a domain",
		"{public.users: {by: email, domain: example.com}}":                                   "masks of public.users.email have the domain example.com too",
		"{public.users: {by: email, accounts: [a@b.test], hash: x}}":                         "no password",
		"{'public.*': {by: email, accounts: [a@b.test]}}":                                    "without *",
		"{public.nobody: {by: email, accounts: [a@b.test]}}":                                 "not in the dump",
		"{public.users: {by: mail, accounts: [a@b.test]}}":                                   "column mail is not in table public.users",
		"{public.users: {by: id, accounts: [7]}}":                                            "must be a column of text",
		"{public.users: {by: email, accounts: [a@b.test], password: team}}":                  "the password hash is text",
		"{public.users: {by: email, accounts: [a@b.test], password: email}}":                 "is the address",
		"{public.users: {by: email, accounts: [a@b.test], password: name, keep: [name]}}":    "cannot be kept",
		"{public.users: {by: email, accounts: [a@b.test], password: code}}":                  "takes 4 characters",
		"{public.users: {by: name, accounts: [a@b.test], keep: [email]}}":                    "public.users.email is joined with public.orders.user_email",
		"{public.users: {by: email, accounts: [a@b.test], keep: [code]}}":                    "may give another row what accounts keep",
		"{public.users: {by: email, accounts: [a@b.test], password: password, sql: 'drop'}}": "sql",

		"{public.users: {by: email, accounts: [a@b.test]}, public.orders: {by: user_email, domain: b.test}}": "another table's logins",
	} {
		_, err := compileLogins(t, "logins: "+logins, loginTables())
		if sentence == "" && err != nil || sentence != "" && (err == nil || !strings.Contains(err.Error(), sentence)) {
			t.Errorf("%s: error %v does not say %q", logins, err, sentence)
		}
	}
	tables := loginTables()
	tables[0].Uniques = append(tables[0].Uniques, Unique{Name: "hashes", Columns: []string{"password"}})
	if _, err := compileLogins(t, "logins: {public.users: {by: email, accounts: [a@b.test], password: password}}", tables); err == nil || !strings.Contains(err.Error(), "takes no value twice") {
		t.Errorf("a unique hash: %v", err)
	}
}

// What holds for a table of accounts holds for its partitions, also for those that have
// rows by an entry of their own, below one that has none.
func TestLoginsOfPartitions(t *testing.T) {
	t.Parallel()
	columns := []string{"email text", "name text", "password text"}
	tables := []Table{
		tableOf("users", columns...).partitioned("hash", "email"), tableOf("users_1", columns...).partition("users").partitioned("hash", "email"),
		tableOf("users_1_1", columns...).partition("users_1"), tableOf("users_2", columns...).partition("users"),
	}
	for _, c := range []struct{ middle, own, sentence string }{
		{"all", "{}", ""},
		{"none", "{email: email, name: full_name, password: keep}", "public.users_1_1 has a rule of its own for password (keep)"},
		{"none", "{email: username, name: full_name, password: credential}", "public.users_1_1 has a rule of its own for email (username)"},
		{"none", "{email: email, name: text, password: credential}", "public.users_1_1 has a rule of its own for name (text)"},
	} {
		p, err := ParsePolicy([]byte(`
version: 1
logins: {public.users: {by: email, accounts: [a@b.test], keep: [name], password: password}}
tables:
  public.users: {columns: {email: email, name: full_name, password: credential}}
  public.users_1: {rows: ` + c.middle + `}
  public.users_1_1: {rows: all, columns: ` + c.own + `}
`))
		if err != nil {
			t.Fatal(err)
		}
		_, err = Compile(p, keyOf(t), Catalog{Tables: tables, Logins: testHashes(t)})
		if c.sentence == "" && err != nil || c.sentence != "" && (err == nil || !strings.Contains(err.Error(), c.sentence)) {
			t.Errorf("%s: error %v does not say %q", c.own, err, c.sentence)
		}
	}
}

// What is no hash is refused, and is in no message.
func TestPasswordHashes(t *testing.T) {
	t.Parallel()
	for _, good := range []string{
		testHash, "{bcrypt}" + testHash, "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHRzb21lc2FsdA$RdescudvJCsgt3ub+b1dWgRdescudvJCsgt3ub",
		"pbkdf2_sha256$600000$abcdefghijkl$2Xo3mYQ6kqzQ0m3vWqW2nH0b4y6b0Gv4f3m4nQ1m2sE=", "$6$rounds=5000$saltsalt$" + strings.Repeat("aB3./", 17) + "a",
		"{SSHA}" + strings.Repeat("aB3/", 9), "pbkdf2:sha256:600000$saltsalt$" + strings.Repeat("0a", 32), "scrypt:32768:8:1$saltsalt$" + strings.Repeat("0a", 64),
		strings.Repeat("5f", 16), strings.Repeat("5f", 32), strings.Repeat("0a", 16) + ":" + strings.Repeat("5f", 64), "$P$B" + strings.Repeat("aB3", 10),
		"AQAAAAEAACcQAAAAE" + strings.Repeat("aB3/", 16) + "aB3", "SCRAM-SHA-256$4096:c2FsdHNhbHQ=$" + strings.Repeat("aB3/", 11) + ":" + strings.Repeat("aB3/", 11),
	} {
		if _, err := NewPasswordHash([]byte(good + "\n")); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "hunter2hunter2", "correct horse battery staple", "S3cr3t-P4ssw0rd-of-testers!", "{noop}hunter2hunter2hunter2", "{plain}hunter2hunter2hunter2", "$2b$12$short",
		"wq8ZtY2mKp4xVb7nRc3dLf6gHj9sQa1e", "$ecret$", "password", strings.Repeat("5f", 10), testHash + "\n" + testHash, "pässword" + strings.Repeat("a", 40),
	} {
		h, err := NewPasswordHash([]byte(bad))
		if err == nil {
			t.Errorf("%q is taken for a hash", bad)
			continue
		}
		if bad != "" && bad != "password" && strings.Contains(fmt.Sprintf("%v %+v %#v", err, h, h), bad) {
			t.Errorf("%q is in %v", bad, err)
		}
	}
	if s := fmt.Sprintf("%v %+v %#v %s", testHashes(t), testHashes(t), testHashes(t), testHashes(t)); strings.Contains(s, "2b$12") {
		t.Errorf("a hash is printed: %s", s)
	}
	other := PasswordHashes{DefaultLoginHash: {strings.Repeat("5f", 16)}}
	if k := keyOf(t); testHashes(t).Fingerprint(k) == other.Fingerprint(k) || (PasswordHashes{}).Fingerprint(k) != "" {
		t.Error("fingerprints do not tell hashes apart")
	}
}

// The draft asks once, and what it proposes compiles when the signs are taken off.
func TestDraftAsksForLogins(t *testing.T) {
	t.Parallel()
	admins := tableOf("Admins", "Email text", "encrypted_password text", "reset_password_token text")
	c := Catalog{Tables: append(loginTables(), admins, tableOf("letters", "email text", "password_changed_at timestamptz"))}
	text := string(Draft(c, nil))
	if n := strings.Count(text, "testers' logins"); n != 1 {
		t.Errorf("asked %d times:\n%s", n, text)
	}
	var on []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "# logins:") || strings.HasPrefix(line, "#   ") && strings.Contains(line, "accounts:") {
			line = strings.TrimPrefix(line, "# ")
		}
		on = append(on, line)
	}
	for name, policy := range map[string]string{"as it stands": text, "with its signs taken off": strings.Join(on, "")} {
		p, err := ParsePolicy([]byte(policy))
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, policy)
		}
		if _, err := Compile(p, keyOf(t), Catalog{Tables: c.Tables, Logins: testHashes(t)}); err != nil {
			t.Errorf("%s: %v\n%s", name, err, policy)
		}
		want := 0
		if name != "as it stands" {
			want = 2
		}
		if got := len(p.LoginTables()); got != want {
			t.Errorf("%s: logins of %d tables\n%s", name, got, policy)
		}
	}
}
