package seed_test

import (
	"strings"
	"testing"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/seed"
)

// What real schemas have unique beside plain columns.
const indexed = `
CREATE TABLE trimmed (id int PRIMARY KEY, email text);
CREATE UNIQUE INDEX trimmed_email ON trimmed (lower(btrim(email)));
INSERT INTO trimmed SELECT g, 'P' || g || '@corp.test ' FROM generate_series(1, 120) g;
CREATE TABLE digest (id int PRIMARY KEY, email text NOT NULL);
CREATE UNIQUE INDEX digest_email ON digest (md5(email)) WHERE email LIKE '%@%' AND id > 0;
INSERT INTO digest SELECT g, 'p' || g || '@corp.test' FROM generate_series(1, 120) g;
CREATE TABLE token (id int PRIMARY KEY, recovery_token varchar(255) NOT NULL DEFAULT '');
CREATE UNIQUE INDEX token_recovery ON token (recovery_token) WHERE recovery_token !~ '^[0-9 ]*$';
INSERT INTO token SELECT g, CASE WHEN g % 3 = 0 THEN 'pkce_' || md5(g::text) ELSE '' END FROM generate_series(1, 120) g;
CREATE TABLE patient (patient_no char(11) PRIMARY KEY, staff_code char(3) NOT NULL, CONSTRAINT patient_staff UNIQUE (staff_code));
COMMENT ON CONSTRAINT patient_staff ON patient IS 'one each';
INSERT INTO patient SELECT lpad((g * 7919)::text, 11, '0'), lpad(g::text, 3, '0') FROM generate_series(1, 120) g;
CREATE TABLE visit (id int PRIMARY KEY, patient char(11) REFERENCES patient);
INSERT INTO visit SELECT g, lpad((g * 7919)::text, 11, '0') FROM generate_series(1, 120) g;
CREATE TABLE tok (id bytea PRIMARY KEY, doc jsonb);
CREATE UNIQUE INDEX tok_email ON tok ((doc ->> 'email'));
INSERT INTO tok SELECT sha256(g::text::bytea), jsonb_build_object('email', 'd' || g || '@corp.test') FROM generate_series(1, 120) g;
CREATE TABLE part (id int NOT NULL, pin char(4) NOT NULL) PARTITION BY RANGE (id);
CREATE UNIQUE INDEX part_pin ON part (id, pin);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (60);
CREATE TABLE part_2 PARTITION OF part DEFAULT;
CREATE UNIQUE INDEX part_2_pin ON part_2 (upper(pin || '-'));
INSERT INTO part SELECT g, lpad(g::text, 4, '0') FROM generate_series(1, 120) g;
CREATE TABLE person (id int PRIMARY KEY, ssn text NOT NULL, account_code text NOT NULL);
CREATE UNIQUE INDEX person_ssn ON person ((ssn::bigint));
CREATE UNIQUE INDEX person_account ON person (account_code) WHERE account_code::int > 0;
INSERT INTO person SELECT g, (123450000 + g * 7919)::text, (10000000 + g * 3)::text FROM generate_series(1, 120) g;
CREATE EXTENSION citext;
CREATE FUNCTION canon(t text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT lower(btrim(t)) $$;
CREATE TABLE filled (id int PRIMARY KEY, email text); CREATE UNIQUE INDEX filled_email ON filled (coalesce(email, ''));
CREATE TABLE casted (id int PRIMARY KEY, email text); CREATE UNIQUE INDEX casted_email ON casted (lower(email::varchar));
CREATE TABLE unfolded (id int PRIMARY KEY, email citext); CREATE UNIQUE INDEX unfolded_email ON unfolded ((email::text));
CREATE TABLE canonical (id int PRIMARY KEY, email text); CREATE UNIQUE INDEX canonical_email ON canonical (canon(email));
CREATE TABLE filed (id int PRIMARY KEY, email text, CONSTRAINT filed_all UNIQUE (id, email)); CREATE UNIQUE INDEX filed_first ON filed (id, left(email, 1)) WHERE email LIKE 'a%';
INSERT INTO filled SELECT g, 'f' || g || '@corp.test' FROM generate_series(1, 120) g; INSERT INTO casted SELECT * FROM filled; INSERT INTO unfolded SELECT * FROM filled; INSERT INTO canonical SELECT * FROM filled; INSERT INTO filed SELECT * FROM filled;
CREATE DOMAIN nat_no AS varchar(10) CHECK (VALUE ~ '^[12]\d{9}$');
CREATE TABLE pupil (id int PRIMARY KEY, national_no nat_no NOT NULL UNIQUE, licence char(7) NOT NULL UNIQUE CHECK (licence ~ '^[1-9]\d{6}$'));
INSERT INTO pupil SELECT g, (1000000000 + g * 7654321::bigint)::text, (1000000 + g * 7919)::text FROM generate_series(1, 59) g;
`

// A draft masks what is unique, whatever the index is made of, and what it writes
// imports and is verified.
func TestDraftOfIndexes(t *testing.T) {
	t.Parallel()
	src := pgtest.Source(t)
	file := src.Dump(t, src.Database(t, indexed), "-Fc")
	s := pgtest.Start(t)
	o := options(t, s, file, everythingKept)
	text, err := seed.Draft(t.Context(), o, true, true)
	if err != nil {
		t.Fatal(err)
	}
	draft := string(text)
	for _, want := range []string{
		"trimmed_email: try", "digest_email: try", `recovery_token: {mask: credential, value: ""}`, "patient_no: permute", "patient_staff: drop",
		"id: hash", "tok_email: drop", "part_2_pin: drop", "person_ssn: drop",
		`national_no: {mask: permute, pattern: '^[12]\d{9}$'}`, `licence: {mask: permute, pattern: '^[1-9]\d{6}$'}`,
	} {
		if !strings.Contains(draft, want) {
			t.Errorf("the draft lacks %q", want)
		}
	}
	if strings.Contains(draft, "email: keep") || strings.Contains(draft, "filed_first") {
		t.Errorf("an address is kept, or an index that the key implies is none any more:\n%s", draft)
	}
	if o.Policy, err = mask.ParsePolicy(text); err != nil {
		t.Fatalf("%v\n%s", err, draft)
	}
	if _, err := seed.Plan(t.Context(), o, true); err != nil {
		t.Fatalf("plan under the draft: %v\n%s", err, draft)
	}
	if _, err := seed.Import(t.Context(), o); err != nil {
		t.Fatalf("import under the draft: %v\n%s", err, draft)
	}
	if _, err := seed.Verify(t.Context(), o); err != nil {
		t.Errorf("verify under the draft: %v\n%s", err, draft)
	}
	nothingLeft(t, s)
}

// An index that the policy tries and the rows collide in fails the import so that
// a person can act, and does not look like a mistake in the policy.
func TestTriedIndexCollides(t *testing.T) {
	t.Parallel()
	src := pgtest.Source(t)
	file := src.Dump(t, src.Database(t, `CREATE TABLE t (id int PRIMARY KEY, a text);
		INSERT INTO t SELECT g, CASE WHEN g < 300 THEN NULL ELSE 'Name ' || g END FROM generate_series(1, 2000) g;
		CREATE UNIQUE INDEX u ON t (lower(a || 'x'));`), "-Fc")
	s := pgtest.Start(t)
	o := options(t, s, file, "version: 1\ntables: {public.t: {columns: {id: keep, a: first_name}, indexes: {u: try}}}")
	_, err := seed.Import(t.Context(), o)
	if err == nil || command.ExitCode(err) != command.ExitRetry || !strings.Contains(err.Error(), "write `drop` in its place") {
		t.Errorf("%v", err)
	}
	nothingLeft(t, s)
}
