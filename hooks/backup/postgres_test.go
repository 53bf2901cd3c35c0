package backup_test

import (
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	"github.com/seedling-dev/seedling/hooks/backup"
	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
	"github.com/seedling-dev/seedling/hooks/postgres"
)

// TestPostgres goes through the states of one seed's Postgres in order.
func TestPostgres(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	volume := server.Strings(t, "postgres", "SELECT id FROM seedling.volume")[0]
	log := command.NewLog(io.Discard)
	target := func() *pgx.ConnConfig {
		t.Helper()
		c, err := postgres.ParseTarget(server.DSNAs("seed_backup", "ignored"))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	dial := func(t *testing.T) *backup.Postgres {
		t.Helper()
		p, err := backup.Dial(t.Context(), log, target(), "app")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close(t.Context()) })
		return p
	}
	refused := func(t *testing.T, says string) {
		t.Helper()
		_, err := dial(t).Inspect(t.Context())
		if command.ExitCode(err) != 2 || !strings.Contains(err.Error(), says) {
			t.Errorf("error %v (exit code %d) does not say %q", err, command.ExitCode(err), says)
		}
	}

	refused(t, "nothing was imported yet")
	server.Exec(t, "postgres", "CREATE DATABASE app")
	refused(t, "not a finished import and may hold raw data")
	server.Exec(t, "app", "CREATE SCHEMA seedling; GRANT USAGE ON SCHEMA seedling TO seed_backup; CREATE TABLE seedling.marker (import_id uuid); GRANT SELECT ON seedling.marker TO seed_backup")
	refused(t, "not a finished import")
	server.Exec(t, "app", "DROP SCHEMA seedling CASCADE")
	app := server.Connect(t, "app")
	if err := postgres.CreateMarker(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	refused(t, "there is no marker")
	want := contents
	want.VolumeID, want.Marker.VolumeID = volume, volume
	want.Marker.Revealed = "H4sIAAAA"
	if err := postgres.WriteMarker(t.Context(), app, want.Marker); err != nil {
		t.Fatal(err)
	}
	if err := app.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	server.Exec(t, "app", "REVOKE SELECT ON seedling.marker FROM seed_backup")
	refused(t, "permission denied")
	server.Exec(t, "app", "GRANT SELECT ON seedling.marker TO seed_backup")
	// Event triggers of the dump are for its users: this one would end the session.
	server.Exec(t, "app", `CREATE FUNCTION only_app() RETURNS event_trigger LANGUAGE plpgsql AS
		$$BEGIN IF session_user = 'seed_backup' THEN RAISE 'only the application logs in here'; END IF; END$$;
		CREATE EVENT TRIGGER only_app ON login EXECUTE FUNCTION only_app(); ALTER EVENT TRIGGER only_app ENABLE ALWAYS`)

	p := dial(t)
	inspect := func() {
		t.Helper()
		got, err := p.Inspect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		// What the server says of itself.
		got.Marker.Collation, got.Marker.FinishedAt = want.Marker.Collation, want.Marker.FinishedAt
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("contents differ (-want +got):\n%s", diff)
		}
	}
	inspect()
	server.Exec(t, "postgres", "CREATE DATABASE raw")
	server.Exec(t, "postgres", `CREATE DATABASE "template-like" IS_TEMPLATE true ALLOW_CONNECTIONS false`)
	want.Others = []string{"raw", "template-like"}
	inspect()
	server.Exec(t, "postgres", "CREATE ROLE reporting LOGIN PASSWORD 'x'")
	want.Passwords = []string{"reporting"}
	inspect()
	server.Exec(t, "postgres", "DROP ROLE reporting")
	if err := p.Checkpoint(t.Context()); err != nil {
		t.Errorf("Checkpoint: %v", err)
	}

	// Locks: an import and another seed-backup keep this one away, and it them.
	busy := func(p *backup.Postgres, says string) {
		t.Helper()
		sentence, err := p.Lock(t.Context())
		if err != nil || !strings.Contains(sentence, says) || (says == "") != (sentence == "") {
			t.Errorf("Lock says %q, error %v, want %q", sentence, err, says)
		}
	}
	// The first 8 bytes of sha256("seedling import").
	const try = "SELECT pg_try_advisory_lock(('x' || substr(encode(sha256('seedling import'), 'hex'), 1, 16))::bit(64)::bigint)::text"
	importer := server.Connect(t, "postgres")
	var got string
	if err := importer.QueryRow(t.Context(), try).Scan(&got); err != nil || got != "true" {
		t.Fatalf("the import's lock: %s, %v", got, err)
	}
	busy(p, "an import into this seed")
	if err := importer.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for ended := false; !ended; { // the lock goes with the session's process
		sentence, err := p.Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ended = sentence == ""
	}
	busy(dial(t), "another seed-backup")
	if got := server.Strings(t, "postgres", try)[0]; got != "false" {
		t.Error("an import may start while seed-backup works")
	}
	p.Close(t.Context())

	server.Exec(t, "postgres", "DROP FUNCTION seedling.roles_with_password()")
	refused(t, "an older seed-postgres started it")
	server.Exec(t, "postgres", "DELETE FROM seedling.volume")
	refused(t, "carries no stamp")
	server.Exec(t, "postgres", "DROP TABLE seedling.volume")
	refused(t, "carries no stamp")
	other := target()
	other.User = "postgres"
	if _, err := backup.Dial(t.Context(), log, other, "app"); command.ExitCode(err) != 2 || !strings.Contains(err.Error(), "certificate authentication failed") {
		t.Errorf("another role's certificate: %v", err)
	}
}
