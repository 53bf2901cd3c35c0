package seed_test

import (
	"strings"
	"testing"

	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/seed"
)

// TestLinks: joins that no foreign key tells of are found in the samples. The draft
// links what they go over, so that the seed joins as production does; plan warns where
// a policy does not.
func TestLinks(t *testing.T) {
	t.Parallel()
	src := pgtest.Source(t)
	file := src.Dump(t, src.Database(t, `CREATE EXTENSION citext;
		CREATE TABLE users (id bigint PRIMARY KEY, name text UNIQUE, mail citext, badge char(9), token uuid);
		CREATE TABLE user_ips (user_id text, ip inet);
		CREATE TABLE invoices (number int, "billed To" varchar(80), badge text);
		CREATE TABLE vouchers (secret uuid); CREATE TABLE redeemed (voucher text);
		INSERT INTO users SELECT g, 'Kay.Reed' || g, 'Kay.Reed' || g || '@corp.test', 'QX-' || 1000 + g FROM generate_series(1, 3000) g;
		INSERT INTO user_ips SELECT 'Kay.Reed' || 1 + g * 7 % 3000, ('10.1.2.' || g % 250)::inet FROM generate_series(1, 5000) g;
		INSERT INTO invoices SELECT g, 'KAY.REED' || 2000 + g % 900 || '@corp.test', 'QX-' || 2000 + g % 900 FROM generate_series(1, 2000) g;
		INSERT INTO vouchers SELECT md5(g::text)::uuid FROM generate_series(1, 100) g; INSERT INTO redeemed SELECT upper(secret::text) FROM vouchers`), "-Fc")
	joins := map[string]string{
		"names":      "SELECT count(*) FROM users u JOIN user_ips i ON i.user_id = u.name",
		"mail":       `SELECT count(*) FROM users u JOIN invoices i ON i."billed To"::citext = u.mail`,
		"char":       "SELECT count(*) FROM users u JOIN invoices i ON i.badge = u.badge::text",
		"uuid, text": "SELECT count(*) FROM vouchers v JOIN redeemed r ON r.voucher::uuid = v.secret",
	}
	want := map[string]string{"names": "5000", "mail": "2000", "char": "2000", "uuid, text": "100"}

	s := pgtest.Start(t)
	o := options(t, s, file, "version: 1\n")
	text, err := seed.Draft(t.Context(), o, true, false)
	if err != nil {
		t.Fatal(err)
	}
	if o.Policy, err = mask.ParsePolicy(text); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	report := mustImport(t, o, seed.Imported)
	if w := strings.Join(report.Warnings, "\n"); strings.Contains(w, "joins of them") {
		t.Errorf("warnings under the draft: %s", w)
	}
	for name, query := range joins {
		if got := s.Strings(t, "app", query)[0]; got != want[name] {
			t.Errorf("%s: %s joined rows, in production %s\n%s", name, got, want[name], text)
		}
	}

	// A policy that nobody linked.
	s = pgtest.Start(t)
	unlinked, rest, _ := strings.Cut(string(text), "\nlinks:")
	_, rest, _ = strings.Cut(rest, "\ntables:")
	o = options(t, s, file, unlinked+"\ntables:"+rest)
	plan, err := seed.Plan(t.Context(), o, true)
	if err != nil {
		t.Fatal(err)
	}
	warnings := strings.Join(plan.Warnings, "\n")
	for _, want := range []string{
		"links: {users_name: [public.users.name, public.user_ips.user_id]}", `public.invoices."billed To"`, "public.users.mail", "public.vouchers.secret",
	} {
		if !strings.Contains(warnings, want) {
			t.Errorf("the warnings lack %q:\n%s", want, warnings)
		}
	}
	if strings.Contains(strings.ToLower(warnings), "kay.reed") {
		t.Errorf("a value of the dump is in the warnings:\n%s", warnings)
	}
}
