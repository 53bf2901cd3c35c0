package seed_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
	"github.com/seedling-dev/seedling/hooks/mask"
	"github.com/seedling-dev/seedling/hooks/seed"
)

// TestMadeRoles: row level security shows a role what it shows it in production, where
// the policy asks for the role; where another stands for it, the plan says what ends.
func TestMadeRoles(t *testing.T) {
	t.Parallel()
	src := pgtest.Source(t)
	src.Exec(t, "postgres", `CREATE ROLE notes_owner; CREATE ROLE notes_reader; CREATE ROLE "Notes-Audit"; CREATE ROLE notes_plain`)
	file := src.Dump(t, src.Database(t, `
		CREATE TABLE notes AS SELECT g AS id, g % 2 AS of FROM generate_series(1, 30) g;
		ALTER TABLE notes OWNER TO notes_owner; ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
		CREATE POLICY half ON notes FOR SELECT TO notes_reader USING (of = 1);
		CREATE POLICY whole ON notes FOR SELECT TO "Notes-Audit" USING (true);
		CREATE TABLE shown AS SELECT 1 AS id; ALTER TABLE shown OWNER TO notes_owner; ALTER TABLE shown ENABLE ROW LEVEL SECURITY; ALTER TABLE shown FORCE ROW LEVEL SECURITY;
		CREATE FUNCTION counted() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM public.notes'; ALTER FUNCTION counted() OWNER TO notes_owner;
		GRANT SELECT ON notes, shown TO notes_reader, "Notes-Audit", notes_plain`), "-Fc")
	const tables = "tables: {public.notes: {columns: {id: keep, of: keep}}, public.shown: {columns: {id: keep}}}\n"
	mapped := "version: 1\nroles: {notes_reader: app, Notes-Audit: app, notes_plain: app}\n" + tables
	made := "version: 1\nroles: {notes_owner: app, notes_reader: {make: notes_reader, members: [app]}, Notes-Audit: {make: audit, members: [app], inherit: true}, notes_plain: app}\n" + tables

	s := pgtest.Start(t)
	roles := func() []string {
		return s.Strings(t, "postgres", "SELECT rolname FROM pg_roles WHERE oid >= 16384 AND rolname NOT IN ('app', 'seed_backup') ORDER BY 1")
	}
	o := options(t, s, file, mapped)
	plan, err := seed.Plan(t.Context(), o, true)
	if err != nil {
		t.Fatal(err)
	}
	said := strings.Join(plan.Changed, "\n")
	for _, want := range []string{
		"row level security of public.notes does not hold in the seed for what were Notes-Audit, notes_reader in production: app stands for them and owns the table",
		"app stands for Notes-Audit, notes_plain, notes_reader: what grants and row level security give one of them, all have",
		"functions with SECURITY DEFINER run with the rights of app in place of those of notes_owner: public.counted()",
		"BYPASSRLS",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("the plan does not say %q:\n%s", want, said)
		}
	}
	if strings.Contains(said, "public.shown") {
		t.Errorf("row level security that is forced holds for owners:\n%s", said)
	}

	// What the draft proposes for roles of row level security is to make them.
	draft, err := seed.Draft(t.Context(), options(t, s, file, "version: 1\n"), true, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"  notes_reader: {make: notes_reader, members: [app]}", "  notes_plain: app"} {
		if !strings.Contains(string(draft), want) {
			t.Errorf("the draft lacks %q:\n%s", want, draft)
		}
	}

	o = options(t, s, file, made)
	if plan, err = seed.Plan(t.Context(), o, true); err != nil {
		t.Fatal(err)
	}
	if said := strings.Join(plan.Changed, "\n"); strings.Contains(said, "for what were") || strings.Contains(said, "stands for") || !strings.Contains(said, "row level security does not hold for app, which owns the tables and which previews log in as: public.notes.") {
		t.Errorf("the plan says %s", said)
	}
	if left := roles(); len(left) > 0 {
		t.Errorf("a plan leaves roles %q", left)
	}
	mustImport(t, o, seed.Imported)
	if got := s.Strings(t, "postgres", "SELECT rolname FROM pg_roles WHERE oid >= 16384 AND (rolcanlogin OR rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls) ORDER BY 1"); !slices.Equal(got, []string{"app", "seed_backup"}) {
		t.Errorf("roles with login or attributes: %q", got)
	}
	if diff := cmp.Diff([]string{"audit", "notes_reader"}, roles()); diff != "" {
		t.Error(diff)
	}
	for role, want := range map[string]string{"app": "30", "notes_reader": "15", "audit": "30"} {
		// app logs in, in a preview, and may become the others.
		conn := s.Connect(t, "app")
		if _, err := conn.Exec(t.Context(), "SET SESSION AUTHORIZATION app"); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(t.Context(), "SET ROLE "+role); err != nil {
			t.Fatal(err)
		}
		var got string
		if err := conn.QueryRow(t.Context(), "SELECT count(*)::text FROM public.notes").Scan(&got); err != nil || got != want {
			t.Errorf("%s sees %s rows, in production %s: %v", role, got, want, err)
		}
		_ = conn.Close(t.Context())
	}
	if s.Major(t) >= 16 {
		if got := s.Strings(t, "postgres", "SELECT roleid::regrole || ' ' || inherit_option || ' ' || set_option || ' ' || admin_option FROM pg_auth_members WHERE member = 'app'::regrole ORDER BY 1"); !slices.Equal(got, []string{"audit true true false", "notes_reader false true false"}) {
			t.Errorf("memberships %q", got)
		}
	}

	// What a plan, and an import that fails, would change stays as the old seed has it.
	memberships := func() []string {
		return s.Strings(t, "postgres", "SELECT roleid::regrole || ' to ' || member::regrole FROM pg_auth_members WHERE roleid >= 16384 ORDER BY 1")
	}
	before := memberships()
	other := options(t, s, file, strings.ReplaceAll(made, "members: [app]", "members: [seed_owner]"))
	s.Exec(t, "postgres", "CREATE ROLE seed_owner")
	if _, err := seed.Plan(t.Context(), other, true); err != nil {
		t.Fatal(err)
	}
	failing := other
	failing.DumpSHA256 = strings.Repeat("0", 64)
	if _, err := seed.Import(t.Context(), failing); err == nil {
		t.Fatal("an import of another dump than was declared passes")
	}
	if diff := cmp.Diff(before, memberships()); diff != "" {
		t.Errorf("the seed's memberships changed before the swap: %s", diff)
	}
	mustImport(t, other, seed.Imported)
	if now := memberships(); len(now) == 0 || strings.Contains(strings.Join(now, " "), "to app") {
		t.Errorf("after the swap app is still a member: %q", now)
	}

	// A role may become a member of one that was its own; that two are of each other is
	// said before rows are loaded.
	inner := strings.Replace(made, "members: [app]}", "members: [audit]}", 1)
	outer := strings.Replace(made, "members: [app], inherit", "members: [notes_reader], inherit", 1)
	mustImport(t, options(t, s, file, inner), seed.Imported)
	mustImport(t, options(t, s, file, outer), seed.Imported)
	before = memberships()
	if !slices.Contains(before, "audit to notes_reader") || slices.Contains(before, "notes_reader to audit") {
		t.Errorf("after roles changed sides: %q", before)
	}
	if _, err := seed.Plan(t.Context(), options(t, s, file, strings.Replace(inner, "members: [app], inherit", "members: [notes_reader], inherit", 1)), true); err == nil || command.ExitCode(err) != command.ExitMisconfigured || !strings.Contains(err.Error(), "the policy's members") {
		t.Errorf("a plan of roles that are members of each other says %v", err)
	}
	if diff := cmp.Diff(before, memberships()); diff != "" {
		t.Errorf("the seed's memberships changed before the swap: %s", diff)
	}
	mustImport(t, o, seed.Imported)
	s.Exec(t, "postgres", "DROP ROLE seed_owner")

	// A policy that no longer asks: the roles and memberships go with the next import.
	mustImport(t, options(t, s, file, strings.Replace(made, "Notes-Audit: {make: audit, members: [app], inherit: true}", "Notes-Audit: {make: notes_reader, members: [app]}", 1)), seed.Imported)
	if diff := cmp.Diff([]string{"notes_reader"}, roles()); diff != "" {
		t.Error(diff)
	}
	mustImport(t, options(t, s, file, mapped), seed.Imported)
	if left := roles(); len(left) > 0 {
		t.Errorf("roles %q are left", left)
	}

	// A role that nobody of us made is not touched.
	s.Exec(t, "postgres", "CREATE ROLE audit SUPERUSER")
	_ = refused(t, options(t, s, file, made), "role audit, which the seed has and no import made")
	s.Exec(t, "postgres", "DROP ROLE audit")
	_ = refused(t, options(t, s, file, strings.Replace(made, "members: [app]}", "members: [nobody]}", 1)), "role nobody, which the policy makes a member of notes_reader, is not in the seed")
	if left := roles(); len(left) > 0 {
		t.Errorf("an import that failed leaves roles %q", left)
	}
	nothingLeft(t, s)
}

// TestMadeRolesOfPolicies: what a policy may not ask for.
func TestMadeRolesOfPolicies(t *testing.T) {
	t.Parallel()
	for roles, sentence := range map[string]string{
		"{r: {make: r}}":                              "",
		"{r: {make: pg_monitor}}":                     "belongs to the server",
		"{r: {make: postgres}}":                       "belongs to the server",
		"{r: {make: r, members: [seed_backup]}}":      "belongs to the server",
		"{r: {make: r, members: [r]}}":                "member of itself",
		"{r: {members: [app]}}":                       "has no name",
		"{r: {make: r, login: true}}":                 "login",
		"{r: {make: r, inherit: maybe}}":              "true or false",
		"{r: {make: r}, s: {make: r}}":                "",
		"{r: {make: r}, s: {make: r, inherit: true}}": "twice",
	} {
		_, err := mask.ParsePolicy([]byte("version: 1\nroles: " + roles + "\n"))
		if sentence == "" && err != nil || sentence != "" && (err == nil || !strings.Contains(err.Error(), sentence)) {
			t.Errorf("%s: error %v does not say %q", roles, err, sentence)
		}
	}
}
