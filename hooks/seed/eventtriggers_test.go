package seed_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
	"github.com/seedling-dev/seedling/hooks/seed"
)

// watched has event triggers that write down whose sessions they fire in.
const watched = `
CREATE TABLE people (id int PRIMARY KEY, email text); INSERT INTO people SELECT g, 'planted' || g || '@corp.example' FROM generate_series(1, 50) g;
CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM people;
CREATE TABLE fired (at text, who text);
CREATE FUNCTION fire() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS
	$$BEGIN INSERT INTO public.fired VALUES (tg_event, current_setting('application_name')); END$$;
CREATE EVENT TRIGGER logins ON login EXECUTE FUNCTION fire();
CREATE EVENT TRIGGER always ON login EXECUTE FUNCTION fire(); ALTER EVENT TRIGGER always ENABLE ALWAYS;
CREATE EVENT TRIGGER changes ON ddl_command_end EXECUTE FUNCTION fire();
CREATE EVENT TRIGGER idle ON sql_drop EXECUTE FUNCTION fire(); ALTER EVENT TRIGGER idle DISABLE;`

const watchedPolicy = `
version: 1
tables:
  public.people: {columns: {id: keep, email: email}}
  public.fired: {rows: none}
`

// TestEventTriggers: those of the dump are in the seed, and none fires in a
// session of ours.
func TestEventTriggers(t *testing.T) {
	t.Parallel()
	src := pgtest.Source(t)
	file := src.Dump(t, src.Database(t, watched), "-Fc")
	s := pgtest.Start(t)
	o := options(t, s, file, watchedPolicy)
	check := func(after string) {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), s.DSN("app")+"&event_triggers=off")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close(t.Context()) }()
		for query, want := range map[string][]string{
			"SELECT evtname || ' ' || evtevent || ' ' || evtenabled::text FROM pg_event_trigger ORDER BY 1": {"always login A", "changes ddl_command_end O", "idle sql_drop D", "logins login O"},
			"SELECT DISTINCT at || ' in ' || who FROM fired ORDER BY 1":                                     nil,
		} {
			rows, err := conn.Query(t.Context(), query)
			if err != nil {
				t.Fatal(err)
			}
			got, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" && (len(want) > 0 || len(got) > 0) {
				t.Errorf("after %s: %s", after, diff)
			}
		}
	}
	mustImport(t, o, seed.Imported)
	check("the import")
	mustImport(t, o, seed.Unchanged)
	check("an import with nothing to do")
	if _, err := seed.Verify(t.Context(), o); err != nil {
		t.Error(err)
	}
	check("verify")
	o = options(t, s, file, strings.Replace(watchedPolicy, "email: email", "email: text", 1))
	mustImport(t, o, seed.Imported)
	check("another import")
	nothingLeft(t, s)

	// They are live for everybody else.
	s.Exec(t, "app", "CREATE TABLE made ()")
	if got := s.Strings(t, "app", "SELECT DISTINCT at FROM fired ORDER BY 1"); !cmp.Equal(got, []string{"ddl_command_end", "login"}) {
		t.Errorf("in a session of somebody else fired %v", got)
	}
}
