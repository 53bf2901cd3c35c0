package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
	"github.com/seedling-dev/seedling/hooks/seed"
	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// asCommand makes the test binary behave as the command, for the tests that
// need a process of its own.
const asCommand = "SEED_IMPORT_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	os.Exit(pgtest.Main(m))
}

const people = `
CREATE TABLE people (id bigint PRIMARY KEY, email text UNIQUE, note text);
INSERT INTO people SELECT g, 'PLANTED' || g || '@corp.test', 'PLANTED ' || repeat(md5(g::text), 20) FROM generate_series(1, 20000) g;
CREATE INDEX ON people (note);`

const peoplePolicy = `
version: 1
tables:
  public.people: {columns: {id: keep, email: email, note: text}}
`

// files are a policy, a key and a dump in a test's directory.
type files struct{ dir, policy, key, dump string }

func newFiles(t *testing.T, dump string) files {
	t.Helper()
	dir := t.TempDir()
	f := files{dir, filepath.Join(dir, "policy.yaml"), filepath.Join(dir, "key"), dump}
	f.write(t, f.policy, peoplePolicy)
	f.write(t, f.key, strings.Repeat("0123456789abcdef", 4))
	return f
}

func (f files) write(t *testing.T, name, content string) string {
	t.Helper()
	if !filepath.IsAbs(name) {
		name = filepath.Join(f.dir, name)
	}
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func (f files) args(more ...string) []string {
	return append([]string{"--dump", f.dump, "--policy", f.policy, "--key-file", f.key, "--wait", "30s"}, more...)
}

type outcome struct {
	code           int
	stdout, stderr string
}

// last is the sentence the command ends with.
func (o outcome) last() string {
	lines := strings.Split(strings.TrimSpace(o.stderr), "\n")
	return lines[len(lines)-1]
}

// invoke runs the command within the test's process.
func invoke(t *testing.T, target string, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	env := command.Env{
		Args: args, Stdout: &stdout, Stderr: &stderr, Log: command.NewLog(&stderr),
		Getenv: func(name string) string {
			if name == "SEED_TARGET" {
				return target
			}
			return ""
		},
	}
	code := command.Report(&stderr, "seed-import", run(t.Context(), env))
	return outcome{code, stdout.String(), stderr.String()}
}

// process starts the command as a process of its own.
func process(t *testing.T, target string, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Args[0], args...)
	c.Env = append(os.Environ(), asCommand+"=1", "SEED_TARGET="+target)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return c, &stderr
}

// TestBadInput gives the command what people give by mistake: one sentence,
// the right exit code.
func TestBadInput(t *testing.T) {
	t.Parallel()
	f := newFiles(t, "/nowhere/at/all.dump")
	f.write(t, "wrong.yaml", "version: 1\ntables:\n  public.people: {columns: {id: keep, email: e-mail}}\n")
	f.write(t, "not.yaml", "\t{{{")
	f.write(t, "short", "too short")
	nowhere := "postgres://postgres:secretpassword@127.0.0.1:1/postgres?sslmode=disable&connect_timeout=1"
	for _, test := range []struct {
		name     string
		target   string
		args     []string
		code     int
		sentence string
	}{
		{"no flags", nowhere, nil, 2, "--dump is missing"},
		{"no flags names all", nowhere, nil, 2, "--policy is missing"},
		{"unknown flag", nowhere, []string{"--frobnicate"}, 2, "frobnicate"},
		{"unknown verb", nowhere, []string{"explode"}, 2, `"explode" is not a subcommand`},
		{"argument", nowhere, f.args("left", "over"), 2, `"left" is not a flag`},
		{"jobs", nowhere, f.args("--jobs", "0"), 2, "--jobs"},
		{"verify", nowhere, f.args("--verify", "some"), 2, "none of sampled, full, off"},
		{"evidence", "", []string{"evidence", "--format", "pdf"}, 2, "none of text, json"},
		{"memory", nowhere, f.args("--memory", "1 TB"), 2, "--memory is not a size"},
		{"little memory", nowhere, f.args("--memory", "128Mi"), 2, "--memory 128Mi is too little"},
		{"maintenance database", nowhere, f.args("--database", "postgres"), 2, "--database"},
		{"no target", "", f.args(), 2, "SEED_TARGET"},
		{"bad target", "postgres://%zz:secretpassword@", f.args(), 2, "read the connection string"},
		{"unreachable", nowhere, f.args("--wait", "1ms"), 1, "connect to the seed's Postgres"},
		{"no policy file", nowhere, f.args("--policy", f.dir+"/none"), 2, "no such file"},
		{"unknown masker", nowhere, f.args("--policy", f.dir+"/wrong.yaml"), 2, "e-mail"},
		{"not YAML", nowhere, f.args("--policy", f.dir+"/not.yaml"), 2, "policy"},
		{"other policy", nowhere, f.args("--policy-digest", strings.Repeat("ab", 32)), 2, "--policy-digest says abab"},
		{"short key", nowhere, f.args("--key-file", f.dir+"/short"), 2, "at least 32"},
		{"other key", nowhere, f.args("--key-id", "0011223344556677"), 2, "--key-id says"},
		{"digest", nowhere, f.args("--dump-sha256", "xyz"), 2, "--dump-sha256"},
		{"signed URL", nowhere, f.args("--dump", "https://host/dump?X-Amz-Signature=hidden"), 2, "--dump-file"},
		{"two dumps", nowhere, f.args("--dump-file", "x"), 2, "use one"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := invoke(t, test.target, test.args...)
			if got.code != test.code || !strings.Contains(got.last(), test.sentence) {
				t.Errorf("exit code %d, want %d; %q does not say %q", got.code, test.code, got.last(), test.sentence)
			}
			if !strings.HasPrefix(got.last(), "seed-import: ") || strings.Contains(got.stderr, "secretpassword") || strings.Contains(got.stderr, "hidden") {
				t.Errorf("stderr: %s", got.stderr)
			}
		})
	}
	// A Postgres that does not answer is waited for in one line, whatever it says.
	if got := invoke(t, nowhere, f.args("--wait", "3s")...); got.code != 1 || strings.Count(got.stderr, "wait for the seed's Postgres") != 1+strings.Count(got.last(), "wait for the seed's Postgres") || !strings.Contains(got.last(), "refused") {
		t.Errorf("waiting: code %d, %s", got.code, got.stderr)
	}
	for verb, flag := range map[string]string{"plan": "-sample", "check": "-schema", "draft-policy": "-output", "request": "-namespace"} {
		if got := invoke(t, "", verb, "--help"); got.code != 0 || !strings.HasPrefix(got.stdout, "seed-import "+verb+": ") || !strings.Contains(got.stdout, flag) {
			t.Errorf("%s --help: code %d, %s", verb, got.code, got.stdout)
		}
	}
	if got := invoke(t, "", "--help"); got.code != 0 || !strings.Contains(got.stdout, "seed-import check ") {
		t.Errorf("--help: code %d, %s", got.code, got.stdout)
	}
	if got := invoke(t, "", "run", "--help"); got.code != 0 || !strings.Contains(got.stdout, "-policy-digest") {
		t.Errorf("--help: code %d, %s", got.code, got.stdout)
	}
	if got := invoke(t, "", "help"); got.code != 0 || !strings.Contains(got.stdout, "draft-policy") {
		t.Errorf("help: code %d, %s", got.code, got.stdout)
	}
}

// TestRequest prints the ConfigMap that seed-backup and the plugin read.
func TestRequest(t *testing.T) {
	t.Parallel()
	f := newFiles(t, "s3://bucket/a.dump?endpoint=http://s3:7070&region=us-east-1")
	got := invoke(t, "", "request", "--dump", f.dump, "--policy", f.policy, "--key-file", f.key, "--namespace", "seed")
	if got.code != 0 {
		t.Fatal(got.stderr)
	}
	var cm struct {
		Kind     string
		Metadata struct{ Name, Namespace string }
		Data     map[string]string
	}
	if err := yaml.Unmarshal([]byte(got.stdout), &cm); err != nil {
		t.Fatal(err)
	}
	if cm.Kind != "ConfigMap" || cm.Metadata.Name != snapshot.RequestConfigMap || cm.Metadata.Namespace != "seed" || cm.Data["dump"] != f.dump || len(cm.Data["policy-digest"]) != 64 || cm.Data["key-id"] == "" {
		t.Errorf("%+v of\n%s", cm, got.stdout)
	}
	if v, ok := cm.Data["dump-sha256"]; !ok || v != "" {
		t.Errorf("dump-sha256 is %q", v)
	}
	if _, ok := cm.Data["key-id-previous"]; ok {
		t.Errorf("there is a key before in\n%s", got.stdout)
	}
	for id, says := range map[string]string{"00bb": "", "x": "--previous-key-id is no id", "0": "--previous-key-id is no id", cm.Data["key-id"]: "the id of this very key"} {
		got := invoke(t, "", "request", "--dump", f.dump, "--policy", f.policy, "--key-file", f.key, "--previous-key-id", id)
		switch {
		case says == "" && (got.code != 0 || !strings.Contains(got.stdout, "\n  key-id-previous: \"00bb\"\n")):
			t.Errorf("--previous-key-id %s: code %d, %s%s", id, got.code, got.stdout, got.stderr)
		case says != "" && (got.code != 2 || got.stdout != "" || !strings.Contains(got.last(), says)):
			t.Errorf("--previous-key-id %s: code %d, %s%s", id, got.code, got.stdout, got.stderr)
		}
	}
	// What is secret in a URL does not go into Git.
	f.write(t, "signed", "https://host/a.dump?X-Amz-Signature=hidden\n")
	signed := invoke(t, "", "request", "--dump-file", f.dir+"/signed", "--policy", f.policy, "--key-file", f.key)
	if signed.code != 2 || strings.Contains(signed.stdout+signed.stderr, "hidden") || !strings.Contains(signed.last(), "--dump-file is signed") {
		t.Errorf("signed: code %d, %s %s", signed.code, signed.stdout, signed.stderr)
	}
	// And those values pass as the import's arguments.
	again := invoke(t, "", "run", "--dump", f.dump, "--policy", f.policy, "--key-file", f.key, "--policy-digest", cm.Data["policy-digest"], "--key-id", cm.Data["key-id"])
	if !strings.Contains(again.last(), "SEED_TARGET") || strings.Contains(again.last(), "digest") {
		t.Error(again.last())
	}
}

// TestCertificates makes a Secret that seed-postgres and the Jobs can use, and
// files of the same; what is there already is not overwritten.
func TestCertificates(t *testing.T) {
	t.Parallel()
	got := invoke(t, "", "certificates", "--namespace", "seed-eu")
	if got.code != 0 {
		t.Fatal(got.stderr)
	}
	var secret struct {
		Kind     string
		Metadata struct{ Name, Namespace string }
		Data     map[string][]byte
	}
	if err := yaml.Unmarshal([]byte(got.stdout), &secret); err != nil {
		t.Fatal(err)
	}
	if secret.Kind != "Secret" || secret.Metadata.Name != "seed-postgres" || secret.Metadata.Namespace != "seed-eu" || len(secret.Data) != 7 {
		t.Errorf("%s", got.stdout)
	}
	for _, pair := range []string{"tls", "seed-import", "seed-backup"} {
		if _, err := tls.X509KeyPair(secret.Data[pair+".crt"], secret.Data[pair+".key"]); err != nil {
			t.Errorf("%s: %v", pair, err)
		}
	}
	dir := t.TempDir()
	if got := invoke(t, "", "certificates", "--directory", dir); got.code != 0 || got.stdout != "" {
		t.Fatal(got)
	}
	files, err := filepath.Glob(dir + "/*")
	if err != nil || len(files) != 7 {
		t.Errorf("files %v, error %v", files, err)
	}
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, error %v", file, info.Mode(), err)
		}
	}
	for _, bad := range [][]string{{"--directory", dir}, {"--directory", dir + "/none"}, {"--days", "0"}} {
		if got := invoke(t, "", append([]string{"certificates"}, bad...)...); got.code != 2 || got.stdout != "" {
			t.Errorf("%v: exit code %d, %s", bad, got.code, got.stdout)
		}
	}
}

// store is an object store that answers HEAD and range GETs, as S3 does.
func store(t *testing.T, file string) *httptest.Server {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(content)
	broken := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Authorization"), "Credential=reader/") {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		if r.URL.Path != "/dumps/people.dump" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:16])+`"`)
		// Every now and then a connection breaks in the middle.
		if broken++; broken%3 == 0 && r.Method == http.MethodGet {
			var from, to int
			if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); n == 2 && to-from > 10000 {
				w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, len(content)))
				w.Header().Set("Content-Length", fmt.Sprint(to-from+1))
				w.Header().Set("Last-Modified", time.Unix(1700000000, 0).UTC().Format(http.TimeFormat))
				w.WriteHeader(http.StatusPartialContent)
				_, _ = w.Write(content[from : from+5000])
				panic(http.ErrAbortHandler)
			}
		}
		http.ServeContent(w, r, "", time.Unix(1700000000, 0), bytes.NewReader(content))
	}))
	t.Cleanup(s.Close)
	return s
}

// TestFromS3 imports from an object store with credentials from files, through
// connections that break, with a declared digest, a plan before and a report
// after.
func TestFromS3(t *testing.T) {
	t.Parallel()
	src := pgtest.Source(t)
	file := src.Dump(t, src.Database(t, people), "-Fc")
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(content)
	st := store(t, file)
	s := pgtest.Start(t)
	f := newFiles(t, "s3://dumps/people.dump?region=us-east-1&use_path_style=true&endpoint="+st.URL)
	creds := filepath.Join(f.dir, "creds")
	if err := os.Mkdir(creds, 0o755); err != nil {
		t.Fatal(err)
	}
	f.write(t, "creds/AWS_ACCESS_KEY_ID", "reader\n")
	f.write(t, "creds/AWS_SECRET_ACCESS_KEY", "secretsecret\n")
	report := filepath.Join(f.dir, "report.json")
	args := f.args("--dump-credentials", creds, "--dump-sha256", hex.EncodeToString(sum[:]), "--report", report)

	plan := invoke(t, s.DSN("postgres"), append([]string{"plan"}, args...)...)
	if plan.code != 0 || !strings.Contains(plan.stdout, "email (unique)") || !strings.Contains(plan.stdout, "GiB beside the seed") {
		t.Errorf("plan: code %d\n%s\n%s", plan.code, plan.stdout, plan.stderr)
	}
	if got := s.Strings(t, "postgres", "SELECT datname FROM pg_database WHERE datname NOT IN ('postgres', 'template0', 'template1')"); len(got) > 0 {
		t.Errorf("plan made databases: %v", got)
	}
	got := invoke(t, s.DSN("postgres"), args...)
	if got.code != 0 || !strings.Contains(got.stdout, "20000 rows") {
		t.Fatalf("code %d\n%s\n%s", got.code, got.stdout, got.stderr)
	}
	if strings.Contains(got.stdout+got.stderr, "PLANTED") || strings.Contains(got.stdout+got.stderr, "secretsecret") {
		t.Error("the output holds what it must not")
	}
	b, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	var r seed.Report
	if err := json.Unmarshal(b, &r); err != nil || r.Outcome != seed.Imported || r.Rows != 20000 || r.Tables[0].Masked != 2 {
		t.Errorf("error %v, report %s", err, b)
	}
	if r.Verify == nil || r.Verify.Depth != seed.VerifySampled || !strings.Contains(got.stdout, "verified: sampled: ") {
		t.Errorf("verified %+v\n%s", r.Verify, got.stdout)
	}
	page, record := invoke(t, s.DSN("postgres"), "evidence"), invoke(t, s.DSN("postgres"), "evidence", "--format", "json")
	if page.code != 0 || !strings.Contains(page.stdout, r.ImportID) || !strings.Contains(page.stdout, "public.people (policy): id") {
		t.Errorf("evidence: code %d\n%s\n%s", page.code, page.stdout, page.stderr)
	}
	var signed seed.Record
	if err := json.Unmarshal([]byte(record.stdout), &signed); err != nil || signed.ImportID != r.ImportID || signed.DumpSHA256 != hex.EncodeToString(sum[:]) {
		t.Errorf("evidence: %v\n%s", err, record.stdout)
	}
	if strings.Contains(page.stdout+record.stdout, "PLANTED") {
		t.Error("the record holds a value")
	}
	// With its digest declared the dump is not even opened.
	st.Close()
	got = invoke(t, s.DSN("postgres"), args...)
	if got.code != 0 || !strings.Contains(got.stdout, "nothing to do") {
		t.Errorf("code %d\n%s\n%s", got.code, got.stdout, got.stderr)
	}
	st2 := store(t, file)
	bad := f.args("--dump-credentials", creds)
	bad[1] = strings.Replace(f.dump, st.URL, st2.URL, 1)
	f.write(t, "creds/AWS_ACCESS_KEY_ID", "stranger")
	if got = invoke(t, s.DSN("postgres"), bad...); got.code != 2 || !strings.Contains(got.last(), "the credentials are wrong, or may not read this object") {
		t.Errorf("wrong credentials: code %d, %s", got.code, got.last())
	}
	f.write(t, "creds/AWS_ACCESS_KEY_ID", "reader")
	bad[1] = strings.Replace(bad[1], "people.dump", "other.dump", 1)
	if got = invoke(t, s.DSN("postgres"), bad...); got.code != 2 || !strings.Contains(got.last(), "no such file or object") {
		t.Errorf("no object: code %d, %s", got.code, got.last())
	}
}

// TestStopped ends the process in the middle of a load, by SIGTERM and by
// SIGKILL: the old seed answers, and the next run succeeds and leaves nothing.
func TestStopped(t *testing.T) {
	t.Parallel()
	src := pgtest.Source(t)
	small := src.Dump(t, src.Database(t, strings.Replace(people, "20000", "10", 1)), "-Fc")
	db := src.Database(t, strings.Replace(people, "20000", "200000", 1))
	f := newFiles(t, src.Dump(t, db, "-Fc"))
	s := pgtest.Start(t)
	first := f
	first.dump = small
	if got := invoke(t, s.DSN("postgres"), first.args()...); got.code != 0 {
		t.Fatal(got.stderr)
	}
	loading := func() bool {
		return s.Strings(t, "postgres", "SELECT count(*) FROM pg_stat_progress_copy WHERE tuples_processed > 1000")[0] != "0"
	}
	stop := func(signal syscall.Signal) (code int, stderr string) {
		c, out := process(t, s.DSN("postgres"), f.args()...)
		deadline := time.Now().Add(2 * time.Minute)
		for !loading() {
			if time.Now().After(deadline) {
				_ = c.Process.Kill()
				t.Fatalf("the load does not begin: %s", out)
			}
			time.Sleep(5 * time.Millisecond)
		}
		if err := c.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		_ = c.Wait()
		if got := s.Strings(t, "app", "SELECT count(*) FROM people"); got[0] != "10" {
			t.Errorf("after %s the old seed has %s rows", signal, got[0])
		}
		return c.ProcessState.ExitCode(), out.String()
	}
	left := func() []string {
		return s.Strings(t, "postgres", "SELECT datname FROM pg_database WHERE datname ~ '^seedling_'")
	}
	code, stderr := stop(syscall.SIGTERM)
	if code != 1 || !strings.Contains(stderr, "seed-import: ") || strings.Contains(stderr, "PLANTED") {
		t.Errorf("SIGTERM: code %d, %s", code, stderr)
	}
	if got := left(); len(got) > 0 {
		t.Errorf("SIGTERM leaves %v", got)
	}
	stop(syscall.SIGKILL)
	if got := left(); len(got) != 1 {
		t.Errorf("SIGKILL leaves %v: the test killed too late or too early", got)
	}
	if got := invoke(t, s.DSN("postgres"), f.args()...); got.code != 0 {
		t.Fatal(got.stderr)
	}
	if got := left(); len(got) > 0 {
		t.Errorf("the next run leaves %v", got)
	}
	if got := s.Strings(t, "app", "SELECT count(*) FROM people"); got[0] != "200000" {
		t.Errorf("%s rows", got[0])
	}
	if _, err := s.Shell(t, "grep -rl --binary-files=text PLANTED /var/lib/postgresql"); err == nil {
		t.Error("raw rows reached the volume")
	}
}

// TestNoCores starts the command and asks the kernel about its core limit.
func TestNoCores(t *testing.T) {
	t.Parallel()
	f := newFiles(t, "/nowhere")
	c, _ := process(t, "postgres://postgres@127.0.0.1:1/postgres?sslmode=disable", f.args()...)
	defer func() { _ = c.Process.Kill(); _ = c.Wait() }()
	deadline := time.Now().Add(30 * time.Second)
	for {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", c.Process.Pid))
		if err == nil {
			for line := range strings.Lines(string(b)) {
				if f := strings.Fields(line); strings.HasPrefix(line, "Max core file size") && f[4] == "0" && f[5] == "0" {
					return
				}
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("core files are not off")
		}
		time.Sleep(10 * time.Millisecond)
	}
}
