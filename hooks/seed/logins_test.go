package seed_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/seed"
)

// club has accounts of which two are testers', with orders and a team, and the same
// addresses in other places: joined by a foreign key, and not.
const club = `
CREATE TABLE teams (id int PRIMARY KEY, name text);
CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL, full_name text, notes text, password_hash varchar(80), joined timestamptz NOT NULL, team int REFERENCES teams);
CREATE UNIQUE INDEX ON users (lower(email));
CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint NOT NULL REFERENCES users, user_email text, what text);
CREATE TABLE settings (name text PRIMARY KEY, value text);
INSERT INTO teams SELECT g, 'team ' || g FROM generate_series(1, 300) g;
INSERT INTO users SELECT g, CASE g WHEN 2700 THEN 'Tester01@shop.test' WHEN 2800 THEN 'kay@qa.shop.test' ELSE 'planted' || g || '@corp.test' END,
	CASE g WHEN 2700 THEN 'Quality Tester' ELSE 'Planted Name' || g END, 'PLANTEDNOTE ' || g, '$2b$12$' || repeat(md5(g::text), 2), now() - g * interval '1 day', 1 + g % 300 FROM generate_series(1, 3000) g;
INSERT INTO orders SELECT g, 1 + g % 3000, (SELECT email FROM users WHERE id = 1 + g % 3000), 'PLANTED thing ' || g FROM generate_series(1, 6000) g;
INSERT INTO settings VALUES ('support', 'write to Tester01@shop.test, please');`

const clubLogins = "logins: {public.users: {by: email, accounts: [tester01@shop.test, gone@shop.test], domain: qa.shop.test, keep: [full_name], password: password_hash}}\n"

func clubPolicy(users, teams string) string {
	return "version: 1\n" + clubLogins + `
links: {mail: [public.users.email, public.orders.user_email]}
tables:
  public.teams: {columns: {id: keep, name: text}` + teams + `}
  public.users: {columns: {id: keep, email: email, full_name: full_name, notes: text, password_hash: credential, joined: keep}` + users + `}
  public.orders: {columns: {id: keep, user_email: email, what: text}}
  public.settings: {columns: {name: keep, value: keep}}
`
}

const clubHash = "$2b$12$abcdefghijklmnopqrstuvABCDEFGHIJKLMNOPQRSTUVWXYZ01234"

func clubHashes(t *testing.T, text string) mask.PasswordHashes {
	t.Helper()
	h, err := mask.NewPasswordHash([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return mask.PasswordHashes{mask.DefaultLoginHash: h}
}

// Testers log in to the seed as in production: their accounts keep the named address
// and get the given hash, whatever part of production is loaded, and nobody else's do.
func TestTestersLogins(t *testing.T) {
	t.Parallel()
	src := pgtest.Source(t)
	db := src.Database(t, club)
	file := src.Dump(t, db, "-Fc")
	s := pgtest.Start(t)
	query := func(sql string) string { t.Helper(); return strings.Join(s.Strings(t, "app", sql), "\n") }
	o := options(t, s, file, clubPolicy("", ""))
	o.Verify = seed.VerifyFull

	// Without a hash nothing is imported.
	_ = refused(t, o, "there is no password hash password-hash")

	o.Logins = clubHashes(t, clubHash)
	plan, err := seed.Plan(t.Context(), o, true)
	if err != nil {
		t.Fatal(err)
	}
	var page bytes.Buffer
	if err := plan.Print(&page); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"public.users: 2 accounts keep email, full_name, and have the given password hash in password_hash; 1 listed addresses are in no row",
		"no row has gone@shop.test in email", "policy; kept for testers' logins", "policy; testers' logins get the given hash",
	} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the plan lacks %q:\n%s", want, page.String())
		}
	}

	report := mustImport(t, o, seed.Imported)
	const accounts = "SELECT id || ' ' || email || ' ' || full_name || ' ' || password_hash FROM users WHERE password_hash IS NOT NULL ORDER BY id"
	if got := query(accounts); !strings.HasPrefix(got, "2700 Tester01@shop.test Quality Tester "+clubHash+"\n2800 kay@qa.shop.test Planted Name2800 "+clubHash) || strings.Count(got, "\n") != 1 {
		t.Errorf("the accounts are\n%s", got)
	}
	for sql, want := range map[string]string{
		"SELECT count(*) FROM users u JOIN orders o ON o.user_id = u.id AND o.user_email = u.email":                       "6000",
		"SELECT count(*) FROM users WHERE email LIKE '%corp.test' OR notes LIKE '%PLANTED%' OR full_name LIKE 'Planted%'": "1", // a tester
		"SELECT count(*) FROM orders WHERE user_email LIKE '%shop.test'":                                                  "4",
	} {
		if got := query(sql); got != want {
			t.Errorf("%s: %s, want %s", sql, got, want)
		}
	}
	if len(report.Logins) != 1 || report.Logins[0].Accounts != 2 || report.Logins[0].Missing != 1 {
		t.Errorf("the report says %+v", report.Logins)
	}
	record, text, err := seed.ReadRecord(t.Context(), o.Target, "app")
	if err != nil || strings.Contains(text, clubHash) {
		t.Fatalf("the record %s: %v", text, err)
	}
	page.Reset()
	if err := record.Print(&page); err != nil || !strings.Contains(page.String(), "Testers' logins (1)\n  public.users: 2 accounts keep email, full_name") {
		t.Errorf("the record's page lacks them: %v\n%s", err, page.String())
	}
	if v, err := seed.Verify(t.Context(), o); err != nil {
		t.Errorf("verify: %v, %+v", err, v.Leaks)
	}

	// The same again is nothing to do; another password is.
	mustImport(t, o, seed.Unchanged)
	const other = "$2b$12$ABCDEFGHIJKLMNOPQRSTUVabcdefghijklmnopqrstuvwxyz98765"
	o.Logins = clubHashes(t, other)
	mustImport(t, o, seed.Imported)
	if got := query("SELECT DISTINCT password_hash FROM users WHERE password_hash IS NOT NULL"); got != other {
		t.Errorf("after another password: %q", got)
	}

	// In a subset the accounts are there, with what is theirs and what they reference.
	s = pgtest.Start(t)
	for name, policy := range map[string]string{
		"share":  clubPolicy(", rows: {where: [{column: id, share: 1 %}]}", ""),
		"newest": clubPolicy(", rows: {where: [{column: joined, newest: 30d}]}", ""),
		"parent": clubPolicy("", ", rows: {where: [{column: id, share: 1 %}]}"),
	} {
		o := options(t, s, file, policy)
		o.Logins, o.Verify = clubHashes(t, clubHash), seed.VerifyFull
		report := mustImport(t, o, seed.Imported)
		if got := query(accounts); strings.Count(got, clubHash) != 2 || report.Logins[0].Accounts != 2 {
			t.Errorf("%s: the accounts are\n%s", name, got)
		}
		if got := query("SELECT count(*) FROM orders JOIN users u ON u.id = user_id WHERE password_hash IS NOT NULL"); got != "4" {
			t.Errorf("%s: testers have %s orders", name, got)
		}
		if got := query("SELECT count(*) < 300 FROM users"); got != "t" && got != "true" {
			t.Errorf("%s: %s users", name, query("SELECT count(*) FROM users"))
		}
	}
	nothingLeft(t, s)
}

// What an account keeps is looked at like all that is kept: others' originals are leaks.
// A domain of half the world is refused, and the old seed answers.
func TestTestersLoginsLeaks(t *testing.T) {
	t.Parallel()
	src := pgtest.Source(t)
	file := src.Dump(t, src.Database(t, club+"UPDATE users SET notes = 'asked for planted17@corp.test' WHERE id = 2700"), "-Fc")
	s := pgtest.Start(t)
	o := options(t, s, file, strings.Replace(clubPolicy("", ""), "keep: [full_name]", "keep: [full_name, notes]", 1))
	o.Logins, o.Verify = clubHashes(t, clubHash), seed.VerifyFull
	err := refused(t, o, "public.users.notes (e-mail addresses in 1 rows)")
	if strings.Contains(err.Error(), "planted17") || strings.Contains(err.Error(), "settings") {
		t.Errorf("%v", err)
	}
	o = options(t, s, file, strings.Replace(clubPolicy("", ""), "domain: qa.shop.test", "domain: corp.test", 1))
	o.Logins = clubHashes(t, clubHash)
	if err := refused(t, o, "the domain corp.test is not the testers' alone"); command.ExitCode(err) != command.ExitMisconfigured {
		t.Error(err)
	}
	if _, err := seed.Plan(t.Context(), o, true); err == nil || !strings.Contains(err.Error(), "over 1000 rows") {
		t.Errorf("plan: %v", err)
	}
	// A tester's name is no secret in the account's own row, and one wherever else it is.
	file = src.Dump(t, src.Database(t, club+`UPDATE users SET full_name = 'Ludmila Hrabalova' WHERE id = 2700; UPDATE orders SET what = 'Ludmila Hrabalova' WHERE id = 5;
		INSERT INTO settings VALUES ('on call', 'Ludmila Hrabalova')`), "-Fc")
	o = options(t, s, file, clubPolicy("", ""))
	o.Logins, o.Verify = clubHashes(t, clubHash), seed.VerifyFull
	if err := refused(t, o, "public.settings.value (full names or addresses in 1 rows)"); strings.Contains(err.Error(), "users") {
		t.Error(err)
	}
	// The domain's addresses count wherever they stay, and not where the accounts are alone.
	o = options(t, s, src.Dump(t, src.Database(t, club+"UPDATE orders SET user_email = 'anybody' || id || '@qa.shop.test' WHERE id > 4900"), "-Fc"), clubPolicy("", ""))
	o.Logins = clubHashes(t, clubHash)
	_ = refused(t, o, "over 1000 addresses of the domain qa.shop.test would stay as they are, in email and the columns that are joined with it")
	// A dump that is read in order.
	o = options(t, s, src.Pipe(t, "pg_dump DB | gzip", src.Database(t, club)), clubPolicy("", ""))
	o.Logins = clubHashes(t, clubHash)
	report := mustImport(t, o, seed.Imported)
	if diff := cmp.Diff([]seed.LoginReport{{Table: "public.users", By: "email", Keep: []string{"full_name"}, Password: "password_hash", Accounts: 2, Missing: 1}}, report.Logins); diff != "" {
		t.Error(diff)
	}
	nothingLeft(t, s)
}
