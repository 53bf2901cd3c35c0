package seed_test

import (
	"strings"
	"testing"

	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
	"github.com/seedling-dev/seedling/hooks/seed"
)

// Accounts in partitions, under addresses whose case does not matter, with masked keys
// of a share, and loaded by several sessions.
func TestTestersLoginsOfOddShapes(t *testing.T) {
	t.Parallel()
	src := pgtest.Source(t)
	file := src.Dump(t, src.Database(t, `
CREATE EXTENSION citext;
CREATE TABLE accounts (region text NOT NULL, id bigint NOT NULL, "E-Mail" citext NOT NULL, secret char(70), PRIMARY KEY (region, id), UNIQUE (region, "E-Mail")) PARTITION BY LIST (region);
CREATE TABLE accounts_eu PARTITION OF accounts FOR VALUES IN ('eu'); CREATE TABLE accounts_rest PARTITION OF accounts DEFAULT;
CREATE TABLE visits (id bigint PRIMARY KEY, region text NOT NULL, account bigint NOT NULL, FOREIGN KEY (region, account) REFERENCES accounts ON DELETE CASCADE);
INSERT INTO accounts SELECT CASE WHEN g % 2 = 0 THEN 'eu' ELSE 'us' END, g, CASE g WHEN 900 THEN 'TESTER@Shop.test' WHEN 901 THEN 'tester@SHOP.test' ELSE 'planted' || g || '@corp.test' END, md5(g::text) FROM generate_series(1, 2000) g;
INSERT INTO visits SELECT g, region, id FROM accounts, generate_series(1, 1) x, LATERAL (SELECT id AS g) y;`), "-Fd")
	s := pgtest.Start(t)
	o := options(t, s, file, `
version: 1
logins: {public.accounts: {by: E-Mail, accounts: [tester@shop.test], password: secret}}
tables:
  public.accounts: {columns: {region: keep, id: key, E-Mail: email, secret: credential}, rows: {where: [{column: id, share: 2 %}]}}
  public.visits: {columns: {id: keep}}
`)
	o.Logins, o.Verify, o.Jobs = clubHashes(t, clubHash), seed.VerifyFull, 4
	report := mustImport(t, o, seed.Imported)
	query := func(sql string) string { t.Helper(); return strings.Join(s.Strings(t, "app", sql), "\n") }
	if got := query(`SELECT "E-Mail" || ' ' || rtrim(secret) FROM accounts WHERE secret IS NOT NULL ORDER BY id % 1, "E-Mail"::text COLLATE "C"`); got != "TESTER@Shop.test "+clubHash+"\ntester@SHOP.test "+clubHash {
		t.Errorf("the accounts are\n%s", got)
	}
	if got := query("SELECT count(*) FROM visits v JOIN accounts a ON a.region = v.region AND a.id = v.account WHERE secret IS NOT NULL"); got != "2" {
		t.Errorf("testers have %s visits", got)
	}
	if report.Logins[0].Accounts != 2 || report.Rows > 400 {
		t.Errorf("%d rows, %+v", report.Rows, report.Logins)
	}
	if v, err := seed.Verify(t.Context(), o); err != nil {
		t.Errorf("verify: %v, %+v", err, v.Verified)
	}
	nothingLeft(t, s)
}
