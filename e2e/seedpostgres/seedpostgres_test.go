package seedpostgres

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seedling-dev/seedling/e2e/cluster"
	"github.com/seedling-dev/seedling/hooks/postgres"
)

// image builds the image once; another one, of another major version say, is
// named by SEEDLING_SEED_POSTGRES.
var image = sync.OnceValues(func() (string, error) {
	if ref := os.Getenv("SEEDLING_SEED_POSTGRES"); ref != "" {
		return ref, nil
	}
	return cluster.BuildImage(context.Background(), "seed-postgres")
})

// major is the image's major version.
func (v volume) major() int {
	v.t.Helper()
	var n int
	if _, err := fmt.Sscanf(must(v.t, "exec", v.container, "postgres", "--version"), "postgres (PostgreSQL) %d", &n); err != nil {
		v.t.Fatal(err)
	}
	return n
}

// data is where a claim is mounted.
const data = "/var/lib/postgresql/data"

// volume is an empty volume, and the container that it is mounted in. Verbs run
// in it one after the other, as the containers of a pod do, under the limits of
// restricted Pod Security with a read-only root.
type volume struct {
	t         *testing.T
	container string
}

func newVolume(t *testing.T) volume {
	t.Helper()
	v := volume{t, start(t)}
	t.Cleanup(func() { docker("rm", "--force", v.container) })
	return v
}

func start(t *testing.T) string {
	t.Helper()
	ref, err := image()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(must(t, "run", "--detach", "--init",
		"--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
		"--tmpfs", "/tmp:uid=999,gid=999", "--tmpfs", "/run/postgresql:uid=999,gid=999,mode=0700", "--tmpfs", data+":uid=999,gid=999,mode=0770",
		"--volume", goldenVolume+":/golden:ro", "--workdir", data, "--entrypoint", "sleep", ref, "infinity"))
}

// asSeed makes it a seed: where the certificates are, to those that shell and
// run start.
var asSeed = []string{"POSTGRES_CERTIFICATE_DIR=/tmp/certificates"}

// certified gives it certificates, the clients' among them.
func (v volume) certified() volume {
	v.t.Helper()
	files, err := postgres.NewCertificates(time.Now(), time.Hour)
	if err != nil {
		v.t.Fatal(err)
	}
	v.shell("rm -rf /tmp/certificates; mkdir /tmp/certificates")
	for name, content := range files {
		cmd := exec.Command("docker", "exec", "-i", v.container, "sh", "-c", `umask 077; cat >"/tmp/certificates/$1"`, "put", name)
		cmd.Stdin = bytes.NewReader(content)
		if out, err := cmd.CombinedOutput(); err != nil {
			v.t.Fatalf("put %s: %v: %s", name, err, out)
		}
	}
	return v
}

// run runs a verb to its end and returns what it said and its exit code.
func (v volume) run(env []string, args ...string) (string, int) {
	all := []string{"exec"}
	for _, e := range env {
		all = append(all, "--env", e)
	}
	return docker(append(append(all, v.container, "seed-postgres"), args...)...)
}

// shell runs a script in the volume as its owner.
func (v volume) shell(script string) {
	v.t.Helper()
	must(v.t, "exec", v.container, "sh", "-euc", script)
}

// server is a running Postgres.
type server struct{ volume }

// serve starts Postgres on the volume and waits until it answers.
func (v volume) serve(env ...string) server {
	v.t.Helper()
	s := server{v}
	must(v.t, "exec", "--detach", v.container, "sh", "-c", "exec env "+strings.Join(env, " ")+" seed-postgres serve >/tmp/log 2>&1")
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		if _, code := docker("exec", v.container, "pg_isready", "-q", "-h", "127.0.0.1"); code == 0 {
			return s
		}
		if time.Now().After(deadline) {
			v.t.Fatalf("Postgres does not answer: %s", s.logs())
		}
	}
}

// kill ends it as a power cut would: nothing is flushed, and the lock file
// stays.
func (s server) kill() {
	s.t.Helper()
	s.shell(`pid=$(head -n 1 pgdata/postmaster.pid); kill -KILL "$pid"; while cat /proc/[0-9]*/comm 2>/dev/null | grep -qx postgres; do sleep 0.05; done`)
}

func (s server) logs() string {
	out, _ := docker("exec", s.container, "cat", "/tmp/log")
	return out
}

// sql runs statements as superuser.
func (s server) sql(database, statements string) string {
	s.t.Helper()
	return strings.TrimSpace(must(s.t, "exec", s.container, "psql", "-XAtqU", "postgres", "-d", database, "-v", "ON_ERROR_STOP=1", "-c", statements))
}

// loginWith runs a statement over the network with the certificate of seed-import
// or seed-backup.
func (s server) loginWith(certificate, user, statement string) (string, bool) {
	target := "host=localhost dbname=postgres sslmode=verify-full sslrootcert=/tmp/certificates/ca.crt user=" + user
	if certificate != "" {
		target += " sslcert=/tmp/certificates/" + certificate + ".crt sslkey=/tmp/certificates/" + certificate + ".key"
	}
	out, code := docker("exec", s.container, "psql", "-XAtqw", "-d", target, "-c", statement)
	return strings.TrimSpace(out), code == 0
}

// login runs a statement over the network, with a password.
func (s server) login(user, password, database, statement string) (string, bool) {
	out, code := docker("exec", "--env", "PGPASSWORD="+password, s.container, "psql", "-XAtqw", "-h", "127.0.0.1", "-U", user, "-d", database, "-c", statement)
	return strings.TrimSpace(out), code == 0
}

func docker(args ...string) (string, int) {
	var out bytes.Buffer
	cmd := exec.Command("docker", args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return out.String(), 0
	case errors.As(err, &exit):
		return out.String(), exit.ExitCode()
	default:
		return err.Error(), -1
	}
}

func must(t *testing.T, args ...string) string {
	t.Helper()
	out, code := docker(args...)
	if code != 0 {
		t.Fatalf("docker %s: exit code %d: %s", strings.Join(args, " "), code, out)
	}
	return out
}

// lastLine is what becomes the termination message's end.
func lastLine(out string) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return lines[len(lines)-1]
}

// goldenVolume keeps what imported copies from.
var goldenVolume = "seedling-test-golden-" + rand.Text()

// golden makes it once.
var golden sync.Once

// imported is a volume that looks as after an import: database app with a
// marker, rows, and a role with a password, as one that an earlier release made
// has; the server was killed, because a snapshot is taken of a running one.
func imported(t *testing.T) volume {
	t.Helper()
	golden.Do(func() {
		v := newVolume(t)
		if out, code := v.certified().run(asSeed, "init"); code != 0 {
			t.Fatalf("init: %s", out)
		}
		s := v.serve(asSeed...)
		s.sql("postgres", "CREATE DATABASE app OWNER app")
		s.sql("postgres", "CREATE ROLE reporting LOGIN PASSWORD 'of-the-seed'")
		s.sql("app", "CREATE SCHEMA seedling; CREATE TABLE seedling.marker (import_id uuid, volume_id uuid)")
		s.sql("app", "INSERT INTO seedling.marker VALUES (gen_random_uuid(), '"+s.sql("postgres", "SELECT id FROM seedling.volume")+"')")
		s.sql("app", "CREATE TABLE t (n int); ALTER TABLE t OWNER TO app; INSERT INTO t SELECT generate_series(1, 1000)")
		s.kill()
		ref, _ := image()
		v.shell("tar -cf /tmp/golden.tar pgdata")
		must(t, "run", "--rm", "--volume", goldenVolume+":/golden", "--user", "0", "--entrypoint", "chown", ref, "999:999", "/golden")
		copied := exec.Command("sh", "-c", `docker exec "$1" cat /tmp/golden.tar | docker run --rm -i --volume "$2:/golden" --entrypoint tar "$3" -C /golden -xf -`, "sh", v.container, goldenVolume, ref)
		if out, err := copied.CombinedOutput(); err != nil {
			t.Fatalf("keep the imported volume: %v: %s", err, out)
		}
	})
	v := newVolume(t)
	v.shell("cp -a /golden/pgdata .")
	return v
}

func TestMain(m *testing.M) {
	m.Run() // the process ends with what it returned
	docker("volume", "rm", goldenVolume)
}

func TestInit(t *testing.T) {
	t.Parallel()
	v := newVolume(t).certified()
	out, code := v.run(asSeed, "init")
	if code != 0 || !strings.Contains(lastLine(out), "made a fresh volume") {
		t.Fatalf("exit code %d: %s", code, out)
	}
	s := v.serve(asSeed...)
	id := s.sql("postgres", "SELECT id FROM seedling.volume")
	if file := strings.TrimSpace(must(t, "exec", s.container, "cat", "/var/lib/postgresql/data/pgdata/seedling-volume")); file != id || len(id) != 36 {
		t.Errorf("the file says %q and the database %q", file, id)
	}
	for what, want := range map[string]string{
		"SELECT string_agg(x, '' ORDER BY x) FROM unnest('{b,A,a,B,é,_}'::text[]) x": "AB_abé", // by code points, whatever provides it
		"SHOW data_checksums": "on", "SHOW server_encoding": "UTF8", "SHOW log_statement": "none",
		"SELECT rolname FROM pg_roles WHERE rolcanlogin AND NOT rolsuper ORDER BY 1": "app\nseed_backup",
		"SELECT count(*) FROM pg_collation WHERE collname = 'en_US.utf8'":            "1",
	} {
		if got := s.sql("postgres", what); got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	if mode := strings.TrimSpace(must(t, "exec", s.container, "stat", "-c", "%a %u:%g", "/var/lib/postgresql/data/pgdata")); mode != "700 999:999" {
		t.Errorf("PGDATA is %s", mode)
	}

	logins := []struct {
		certificate, user, statement string
		ok                           bool
	}{
		{"seed-import", "postgres", "SELECT 1", true},
		{"", "postgres", "SELECT 1", false},
		{"tls", "postgres", "SELECT 1", false},
		{"seed-backup", "postgres", "SELECT 1", false},
		{"seed-import", "app", "SELECT 1", false},
		{"", "app", "SELECT 1", false},
		{"seed-import", "seed_backup", "SELECT 1", false},
		{"seed-backup", "seed_backup", "CHECKPOINT; SELECT id FROM seedling.volume, seedling.roles_with_password()", true},
		{"seed-backup", "seed_backup", "SELECT rolpassword FROM pg_authid", false},
		{"seed-backup", "seed_backup", "DELETE FROM seedling.volume", false},
	}
	for _, l := range logins {
		if out, ok := s.loginWith(l.certificate, l.user, l.statement); ok != l.ok {
			t.Errorf("%s with the certificate of %q runs %q: %v, want %v: %s", l.user, l.certificate, l.statement, ok, l.ok, out)
		}
	}
	if out, ok := s.login("postgres", "", "postgres", "SELECT 1"); ok {
		t.Errorf("postgres gets in without TLS: %s", out)
	}
	verifiers := func() string {
		out, _ := docker("exec", s.container, "grep", "-rla", `SCRAM-SHA-256\$`, data)
		return strings.TrimSpace(out)
	}
	s.sql("postgres", "CHECKPOINT")
	if found := verifiers(); found != "" {
		t.Errorf("verifiers of passwords are in %s", found)
	}
	s.kill()

	// A second start is no second volume, and the certificates of today are what
	// holds.
	v.shell("cp -r /tmp/certificates /tmp/old")
	if out, code := v.certified().run(asSeed, "init"); code != 0 || !strings.Contains(lastLine(out), id+" is ours") {
		t.Fatalf("second init: exit code %d: %s", code, out)
	}
	s = v.serve(asSeed...)
	if out, ok := s.loginWith("seed-import", "postgres", "SELECT 1"); !ok {
		t.Errorf("the new certificate does not work: %s", out)
	}
	v.shell("cp /tmp/certificates/ca.crt /tmp/old/; rm -r /tmp/certificates/seed-*; cp /tmp/old/seed-* /tmp/certificates/")
	if out, ok := s.loginWith("seed-import", "postgres", "SELECT 1"); ok {
		t.Errorf("the certificate of before still works: %s", out)
	}

	// A password leaves its verifier even where it is taken away at once: the
	// search above finds what it looks for.
	s.sql("postgres", "ALTER ROLE app PASSWORD 'x'")
	s.sql("postgres", "ALTER ROLE app PASSWORD NULL")
	if verifiers() == "" {
		t.Error("no verifier is found after a password was set")
	}
}

func TestInitAfterAnInterruption(t *testing.T) {
	t.Parallel()
	v := newVolume(t)
	v.shell("mkdir -p pgdata.new/base lost+found; echo 17 > pgdata.new/PG_VERSION; echo half > pgdata.new/base/1")
	if out, code := v.certified().run(asSeed, "init"); code != 0 {
		t.Fatalf("exit code %d: %s", code, out)
	}
	v.serve()
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		volume  func(*testing.T) volume
		prepare string
		sql     string
		env     []string
		args    []string
		says    string
	}{
		{"init of a volume with other files", newVolume, "echo raw > dump.sql", "", asSeed, []string{"init"}, "the volume is not empty (/var/lib/postgresql/data/dump.sql)"},
		{"init of a volume with hidden files", newVolume, "echo raw > .dump", "", asSeed, []string{"init"}, "the volume is not empty (/var/lib/postgresql/data/.dump)"},
		{"init over another's data directory", newVolume, "initdb -D pgdata -A trust >/dev/null", "", asSeed, []string{"init"}, "not made by seed-postgres"},
		{"init over a folder without data", newVolume, "mkdir pgdata", "", asSeed, []string{"init"}, "PG_VERSION is missing"},
		{"init without certificates", newVolume, "", "", nil, []string{"init"}, "/etc/seedling/certificates/ca.crt is missing"},
		{"init without one of them", newVolume, "rm /tmp/certificates/tls.key", "", asSeed, []string{"init"}, "/tmp/certificates/tls.key is missing"},
		{"init with one that cannot be read", newVolume, "chmod 0 /tmp/certificates/tls.crt", "", asSeed, []string{"init"}, "/tmp/certificates/tls.crt is missing, empty or cannot be read"},
		{"init of a volume with passwords", imported, "", "", asSeed, []string{"init"}, "the volume holds verifiers of passwords (of reporting)"},
		{"serve without one of them", imported, ": > /tmp/certificates/ca.crt", "", asSeed, []string{"serve"}, "/tmp/certificates/ca.crt is missing"},
		{"standalone without a password", newVolume, "", "", nil, []string{"standalone"}, "the superuser has no password"},
		{"init with an argument", newVolume, "", "", asSeed, []string{"init", "-c", "x=y"}, "init takes no arguments"},
		{"init with a data directory from elsewhere", imported, "cat /proc/sys/kernel/random/uuid > pgdata/seedling-volume", "ALTER ROLE reporting PASSWORD NULL", asSeed, []string{"init"}, "the two do not belong together"},

		{"serve of an empty volume", newVolume, "", "", nil, []string{"serve"}, "an empty database is never made here"},
		{"serve of another's data directory", newVolume, "initdb -D pgdata -A trust >/dev/null", "", nil, []string{"serve"}, "not made by seed-postgres"},
		{"nothing to do", newVolume, "", "", nil, nil, "say what to do"},

		{"open of an empty volume", newVolume, "", "", []string{"POSTGRES_PASSWORD=p"}, []string{"open"}, "nothing was restored into this claim"},
		{"open of another's data directory", newVolume, "initdb -D pgdata -A trust >/dev/null", "", []string{"POSTGRES_PASSWORD=p"}, []string{"open"}, "not made by seed-postgres"},
		{"open without a password", imported, "", "", nil, []string{"open"}, "the preview has no password"},
		{"open of another major version", imported, "echo 16 > pgdata/PG_VERSION", "", []string{"POSTGRES_PASSWORD=p"}, []string{"open"}, "written by Postgres 16 and this image runs Postgres "},
		{"open of a stamp that is none", imported, "echo yes > pgdata/seedling-volume", "", []string{"POSTGRES_PASSWORD=p"}, []string{"open"}, "is not a UUID"},
		{"open without the database", imported, "", "", []string{"POSTGRES_PASSWORD=p", "POSTGRES_DATABASE=it's"}, []string{"open"}, "no database it's"},
		{"open for a role that is not there", imported, "", "", []string{"POSTGRES_PASSWORD=p", "POSTGRES_USERNAME=it's"}, []string{"open"}, "no role it's"},
		{"open without a marker", imported, "", "DROP TABLE seedling.marker", []string{"POSTGRES_PASSWORD=p"}, []string{"open"}, "carries no seedling.marker"},
		{"open with an empty marker", imported, "", "DELETE FROM seedling.marker", []string{"POSTGRES_PASSWORD=p"}, []string{"open"}, "carries no seedling.marker"},
		{"open with two markers", imported, "", "INSERT INTO seedling.marker SELECT * FROM seedling.marker", []string{"POSTGRES_PASSWORD=p"}, []string{"open"}, "more than one"},
		{"open with the marker of another volume", imported, "", "UPDATE seedling.marker SET volume_id = gen_random_uuid()", []string{"POSTGRES_PASSWORD=p"}, []string{"open"}, "is of another volume"},
	}
	for _, test := range tests {
		if slices.Equal(test.args, []string{"open"}) {
			again := test
			again.name, again.args = strings.Replace(test.name, "open", "preview", 1), []string{"preview"}
			tests = append(tests, again)
		}
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			v := test.volume(t).certified()
			if test.prepare != "" {
				v.shell(test.prepare)
			}
			if test.sql != "" {
				s := v.serve()
				s.sql("app", test.sql)
				s.kill()
			}
			out, code := v.run(test.env, test.args...)
			if code != 2 || !strings.Contains(lastLine(out), test.says) {
				t.Errorf("exit code %d, last line %q does not say %q", code, lastLine(out), test.says)
			}
			if t.Failed() {
				t.Log(out)
			}
		})
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	v := imported(t).certified()
	for _, password := range []string{"it's \"new\" $HOME \\x", "again"} { // at every start of the pod
		out, code := v.run([]string{"POSTGRES_PASSWORD=" + password}, "open")
		if code != 0 || !strings.Contains(lastLine(out), "database app is restored and opened for role app") {
			t.Fatalf("exit code %d: %s", code, out)
		}
		if strings.Contains(out, "ALTER") || strings.Contains(out, "new") && strings.Contains(out, "HOME") {
			t.Errorf("the password or its statement was said: %s", out)
		}
		s := v.serve()
		if got, ok := s.login("app", password, "app", "INSERT INTO t VALUES (0); SELECT count(*) >= 1000 FROM t"); !ok || got != "t" {
			t.Errorf("app logs in: %v, %s", ok, got)
		}
		if got, ok := s.login("reporting", "of-the-seed", "app", "SELECT 1"); ok {
			t.Errorf("a password of the seed's works in a preview: %s", got)
		}
		for certificate, user := range map[string]string{"seed-import": "postgres", "seed-backup": "seed_backup"} {
			if got, ok := s.loginWith(certificate, user, "SELECT 1"); ok {
				t.Errorf("the seed's certificate of %s works in a preview: %s", user, got)
			}
		}
		if got := s.sql("postgres", "SELECT count(*) FROM pg_authid WHERE rolpassword IS NOT NULL"); got != "1" {
			t.Errorf("%s roles have a password, want 1", got)
		}
		s.kill()
	}
}

// A preview's Postgres is started once. Until its roles have this preview's
// passwords, nobody gets in.
func TestPreview(t *testing.T) {
	t.Parallel()
	v := imported(t).certified()
	s := server{v}
	ready := func() bool {
		_, code := v.run(nil, "ready")
		return code == 0
	}
	wait := func(what string, done func() bool) {
		t.Helper()
		for deadline := time.Now().Add(5 * time.Minute); !done(); time.Sleep(200 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: not after five minutes: %s", what, s.logs())
			}
		}
	}
	exists := func(path string) func() bool {
		return func() bool { _, code := docker("exec", v.container, "test", "-e", path); return code == 0 }
	}
	// The script's psql waits for a word of the test.
	const script = `psql() { : >/tmp/asked; until [ -e /tmp/go ]; do sleep 0.2; done; command psql "$@"; }; set -- preview -c work_mem=5MB $LOUD; . /usr/local/bin/seed-postgres`
	// Developers may have statements logged, in each of the ways that there are.
	const loud = "-c log_statement=all -c log_duration=on -c log_min_duration_statement=0 -c log_min_duration_sample=0 -c log_statement_sample_rate=1 -c log_transaction_sample_rate=1 -c debug_print_parse=on"
	begin := func(password string) {
		must(t, "exec", "--detach", "--env", "POSTGRES_PASSWORD="+password, "--env", "LOUD="+loud, v.container,
			"sh", "-c", `sh -c "$1" >/tmp/log 2>&1; echo $? >/tmp/ended`, "start", script)
		wait("the server runs, and no password is given", exists("/tmp/asked"))
	}
	for _, password := range []string{"it's \"new\" $HOME \\x", "again"} { // at every start of the container
		begin(password)
		for _, user := range []string{"reporting", "app"} {
			for _, with := range []string{"of-the-seed", password} {
				if out, ok := s.login(user, with, "app", "SELECT 1"); ok || !strings.Contains(out, "no pg_hba.conf entry") {
					t.Errorf("%s with %q before the volume is opened: %v, %s", user, with, ok, out)
				}
			}
		}
		if ready() {
			t.Error("it is called ready before anybody gets in")
		}
		v.shell(": >/tmp/go")
		wait("it is ready", ready)
		if got, ok := s.login("app", password, "app", "INSERT INTO t VALUES (0); SELECT count(*) >= 1000 FROM t"); !ok || got != "t" {
			t.Errorf("app logs in: %v, %s", ok, got)
		}
		if got, _ := s.login("app", password, "app", "SHOW work_mem"); got != "5MB" {
			t.Errorf("work_mem is %s: the arguments are not Postgres'", got)
		}
		if got, ok := s.login("reporting", "of-the-seed", "app", "SELECT 1"); ok {
			t.Errorf("a password of the seed's works in a preview: %s", got)
		}
		if got := s.sql("postgres", "SELECT count(*) FROM pg_authid WHERE rolpassword IS NOT NULL"); got != "1" {
			t.Errorf("%s roles have a password, want 1", got)
		}
		logs := s.logs()
		if strings.Contains(logs, "ALTER") || strings.Contains(logs, "HOME") {
			t.Errorf("the password or its statement was said: %s", logs)
		}
		if strings.Contains(logs, "contains errors") {
			t.Errorf("a reload found fault with the configuration: %s", logs)
		}
		if n := strings.Count(logs, "starting PostgreSQL"); n != 1 {
			t.Errorf("Postgres was started %d times: %s", n, logs)
		}
		if found, _ := docker("exec", v.container, "sh", "-c", `tr '\0' '\n' </proc/$(head -n 1 pgdata/postmaster.pid)/environ`); strings.Contains(found, "PASSWORD") {
			t.Errorf("the server's environment holds the password: %s", found)
		}
		// What Kubernetes sends; a client that stays is not waited for.
		must(t, "exec", "--detach", "--env", "PGPASSWORD="+password, v.container, "psql", "-h", "127.0.0.1", "-U", "app", "-d", "app", "-c", "SELECT pg_sleep(600)")
		v.shell(`for p in /proc/[0-9]*; do if tr '\0' ' ' <"$p/cmdline" 2>/dev/null | grep -q '^sh -c psql()'; then kill -INT "${p#/proc/}"; fi; done`)
		wait("it ends", exists("/tmp/ended"))
		if code := strings.TrimSpace(must(t, "exec", v.container, "cat", "/tmp/ended")); code != "0" {
			t.Errorf("it ended with exit code %s: %s", code, s.logs())
		}
		v.shell("rm /tmp/ended /tmp/go /tmp/asked")
	}

	// One that was killed says nothing of the next.
	v.shell(": >/tmp/go")
	begin("third")
	wait("it is ready", ready)
	s.kill()
	wait("it ends", exists("/tmp/ended"))
	v.shell("rm /tmp/go /tmp/asked")
	begin("fourth")
	if ready() {
		t.Error("it is called ready for a start before this one")
	}
}

// What came with a dump runs in no session of the script: they are a
// superuser's.
func TestLoginTriggerDoesNotRun(t *testing.T) {
	t.Parallel()
	v := imported(t).certified()
	s := v.serve()
	s.sql("postgres", "ALTER ROLE reporting PASSWORD NULL")
	for _, database := range []string{"postgres", "app"} {
		event := "login"
		if v.major() < 17 {
			event = "ddl_command_start"
		}
		s.sql(database, "CREATE FUNCTION public.trap() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'trap'; END $$;"+
			" CREATE EVENT TRIGGER trap ON "+event+" EXECUTE FUNCTION public.trap()")
	}
	s.kill()
	for _, verb := range [][]string{{asSeed[0], "init"}, {"POSTGRES_PASSWORD=p", "open"}} { // preview opens as open does
		if out, code := v.run(verb[:1], verb[1]); code != 0 {
			t.Errorf("%s: exit code %d: %s", verb[1], code, out)
		}
	}
	// The refusal of a database that is not there asks database postgres.
	out, code := v.run([]string{"POSTGRES_PASSWORD=p", "POSTGRES_DATABASE=none"}, "open")
	if code != 2 || !strings.Contains(lastLine(out), "no database none") {
		t.Errorf("open without the database: exit code %d: %s", code, out)
	}
}

func TestRowsStayOutOfTheLog(t *testing.T) {
	t.Parallel()
	v := imported(t)
	s := v.serve()
	s.sql("app", "CREATE TABLE u (n int PRIMARY KEY, c text CHECK (c <> 'canary-check'))")
	for _, statement := range []string{
		"SELECT 'canary-cast'::int",
		"INSERT INTO u VALUES (1, 'canary-check')",
		"INSERT INTO u VALUES (1, 'canary-unique'), (1, 'canary-unique')",
		"COPY u FROM PROGRAM 'echo canary-copy'",
		"DO $$ BEGIN RAISE WARNING 'canary-warning'; RAISE EXCEPTION 'canary-exception'; END $$",
		"SELECT 'canary-syntax' FROM nowhere",
	} {
		docker("exec", s.container, "psql", "-XqU", "postgres", "-d", "app", "-c", statement)
	}
	if logs := s.logs(); strings.Contains(logs, "canary") || !strings.Contains(logs, "ready to accept connections") {
		t.Errorf("the log says:\n%s", logs)
	}
}
