package backup_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seedling-dev/seedling/hooks/backup"
	"github.com/seedling-dev/seedling/hooks/hook"
	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
)

// markerTable is the marker as seed-import makes it.
const markerTable = `
CREATE SCHEMA IF NOT EXISTS seedling;
GRANT USAGE ON SCHEMA seedling TO seed_backup;
CREATE TABLE seedling.marker (
	import_id uuid, dump_id text, dump_digest text, policy_digest text, key_id text, masker_version text,
	volume_id uuid, kept jsonb, "collation" text, server_version text, tables bigint, rows bigint, bytes bigint,
	started_at timestamptz, finished_at timestamptz);
GRANT SELECT ON seedling.marker TO seed_backup;`

// TestPostgres goes through the states of one seed's Postgres in order.
func TestPostgres(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	volume := server.Strings(t, "postgres", "SELECT id FROM seedling.volume")[0]
	log := hook.NewLog(io.Discard)
	dial := func(t *testing.T) *backup.Postgres {
		t.Helper()
		p, err := backup.Dial(t.Context(), log, server.DSNAs("seed_backup", "ignored"), "", "app")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close(t.Context()) })
		return p
	}
	refused := func(t *testing.T, says string) {
		t.Helper()
		_, err := dial(t).Inspect(t.Context())
		if hook.ExitCode(err) != 2 || !strings.Contains(err.Error(), says) {
			t.Errorf("error %v (exit code %d) does not say %q", err, hook.ExitCode(err), says)
		}
	}

	refused(t, "nothing was imported yet")
	server.Exec(t, "postgres", "CREATE DATABASE app")
	refused(t, "not a finished import and may hold raw data")
	server.Exec(t, "app", "CREATE SCHEMA seedling; GRANT USAGE ON SCHEMA seedling TO seed_backup; CREATE TABLE seedling.marker (import_id uuid); GRANT SELECT ON seedling.marker TO seed_backup")
	refused(t, "not a finished import")
	server.Exec(t, "app", "DROP TABLE seedling.marker;"+markerTable)
	refused(t, "it has 0 rows")
	server.Exec(t, "app", fmt.Sprintf(`INSERT INTO seedling.marker VALUES ('22222222-2222-2222-2222-222222222222',
		'dump', '', '%s', '00aa', '1', '%s', '{}', 'C.UTF-8', '17', 1, 2, 3, now(), '2026-01-02T03:04:05Z')`, policyDigest, volume))
	server.Exec(t, "app", "REVOKE SELECT ON seedling.marker FROM seed_backup")
	refused(t, "permission denied")
	server.Exec(t, "app", "GRANT SELECT ON seedling.marker TO seed_backup")
	// Event triggers of the dump are for its users: this one would end the session.
	server.Exec(t, "app", `CREATE FUNCTION only_app() RETURNS event_trigger LANGUAGE plpgsql AS
		$$BEGIN IF session_user = 'seed_backup' THEN RAISE 'only the application logs in here'; END IF; END$$;
		CREATE EVENT TRIGGER only_app ON login EXECUTE FUNCTION only_app(); ALTER EVENT TRIGGER only_app ENABLE ALWAYS`)

	p := dial(t)
	want := contents
	want.VolumeID, want.Marker.VolumeID = volume, volume
	inspect := func() {
		t.Helper()
		got, err := p.Inspect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got.Marker.FinishedAt = got.Marker.FinishedAt.UTC()
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("contents differ (-want +got):\n%s", diff)
		}
	}
	inspect()
	server.Exec(t, "postgres", "CREATE DATABASE raw")
	server.Exec(t, "postgres", `CREATE DATABASE "template-like" IS_TEMPLATE true ALLOW_CONNECTIONS false`)
	want.Others = []string{"raw", "template-like"}
	inspect()
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

	server.Exec(t, "postgres", "DELETE FROM seedling.volume")
	refused(t, "carries no stamp")
	server.Exec(t, "postgres", "DROP TABLE seedling.volume")
	refused(t, "carries no stamp")
	server.Exec(t, "postgres", "ALTER ROLE seed_backup PASSWORD 'another'")
	if _, err := backup.Dial(t.Context(), log, server.DSNAs("seed_backup", "postgres"), "", "app"); hook.ExitCode(err) != 2 || !strings.Contains(err.Error(), "password authentication failed") {
		t.Errorf("a wrong password: %v", err)
	}
	if _, err := backup.Dial(t.Context(), log, server.DSNAs("seed_backup", "postgres"), "another", "app"); err != nil {
		t.Errorf("the password of the file: %v", err)
	}
}

func TestDialDoesNotQuoteItsInput(t *testing.T) {
	t.Parallel()
	_, err := backup.Dial(t.Context(), hook.NewLog(io.Discard), "password=secret garbage", "", "app")
	if hook.ExitCode(err) != 2 || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %v", err)
	}
}
