package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
	"github.com/seedling-dev/seedling/hooks/seed"
)

const checkedPolicy = `
version: 1
roles: {app: app}
tables:
  public.people: {columns: {id: keep, email: email, note: text}}
  public.visits: {columns: {person: keep}}
`

// checked is a schema that checkedPolicy covers, but for what the tests add.
const checked = `
CREATE TABLE people (id bigint PRIMARY KEY, email text UNIQUE, note text);
CREATE TABLE visits (person bigint REFERENCES people);
GRANT SELECT ON people TO app;`

// TestCheck tells about a policy and a schema without a row and without a key.
func TestCheck(t *testing.T) { //nolint:tparallel // its subtests share the files they write
	t.Parallel()
	src := pgtest.Source(t)
	src.Exec(t, "postgres", "CREATE ROLE check_reader")
	target := pgtest.Start(t).DSN("postgres")
	f := newFiles(t, "")
	f.write(t, f.policy, checkedPolicy)
	check := func(t *testing.T, schema string, more ...string) outcome {
		t.Helper()
		return invoke(t, target, append([]string{"check", "--schema", schema, "--policy", f.policy, "--wait", "60s"}, more...)...)
	}
	schema := func(t *testing.T, sql string, options ...string) string {
		t.Helper()
		return src.Dump(t, src.Database(t, checked+sql), append([]string{"--schema-only"}, options...)...)
	}
	for _, format := range []string{"-Fp", "-Fc"} {
		if got := check(t, schema(t, "", format)); got.code != 0 || !strings.Contains(got.stdout, "covers all of") {
			t.Errorf("covered, %s: code %d\n%s\n%s", format, got.code, got.stdout, got.stderr)
		}
	}
	added := schema(t, "ALTER TABLE people ADD phone text; ALTER TABLE visits ADD device text, DROP person; GRANT SELECT ON visits TO check_reader")
	t.Run("text", func(t *testing.T) {
		got := check(t, added)
		if got.code != 2 {
			t.Errorf("code %d", got.code)
		}
		for _, want := range []string{
			"does not cover column public.people.phone", "does not cover column public.visits.device", "column person is not in table public.visits",
			"stands for: check_reader", "      phone: phone\n", "roles:\n  check_reader: app\n", "4 things", "not checked:",
		} {
			if !strings.Contains(got.stdout+got.stderr, want) {
				t.Errorf("it does not say %q:\n%s\n%s", want, got.stdout, got.stderr)
			}
		}
	})
	t.Run("json", func(t *testing.T) {
		got := check(t, added, "--format", "json")
		var c seed.PolicyCheck
		if err := json.Unmarshal([]byte(got.stdout), &c); err != nil {
			t.Fatalf("%v: %s", err, got.stdout)
		}
		type gap struct {
			Kind   seed.GapKind
			Object string
			Line   int
		}
		var gaps []gap
		for _, g := range c.Gaps {
			gaps = append(gaps, gap{g.Kind, g.Object, g.Line})
		}
		want := []gap{
			{seed.UnmappedRole, "check_reader", 0},
			{seed.UncoveredColumn, "public.people.phone", 5},
			{seed.UncoveredColumn, "public.visits.device", 6},
			{seed.GoneRule, "", 6},
		}
		if diff := cmp.Diff(want, gaps); diff != "" || got.code != 2 {
			t.Errorf("code %d, %s", got.code, diff)
		}
	})
	t.Run("github", func(t *testing.T) {
		got := check(t, added, "--format", "github")
		for _, want := range []string{
			"::error file=" + f.policy + ",line=5,title=seed-import check::the policy does not cover column public.people.phone%0A%0AAdd to the policy:%0A%0Atables:%0A",
		} {
			if got.code != 2 || !strings.Contains(got.stdout, want) || strings.Count(got.stdout, "\n") != 4 {
				t.Errorf("code %d, it does not say %q:\n%s", got.code, want, got.stdout)
			}
		}
		if !strings.Contains(got.stderr, "      phone: phone\n") {
			t.Errorf("the log lacks the fragment:\n%s", got.stderr)
		}
	})
	t.Run("gitlab", func(t *testing.T) {
		got := check(t, added, "--format", "gitlab")
		var issues []qualityIssue
		if err := json.Unmarshal([]byte(got.stdout), &issues); err != nil || len(issues) != 4 || got.code != 2 {
			t.Fatalf("code %d, %v: %s", got.code, err, got.stdout)
		}
		seen := map[string]bool{}
		for _, i := range issues {
			if i.Location.Path != f.policy || i.Location.Lines.Begin < 1 || i.Severity != "major" || i.Description == "" || seen[i.Fingerprint] {
				t.Errorf("%+v", i)
			}
			seen[i.Fingerprint] = true
		}
		if got := check(t, schema(t, ""), "--format", "gitlab"); got.code != 0 || strings.TrimSpace(got.stdout) != "[]" {
			t.Errorf("covered: code %d, %s", got.code, got.stdout)
		}
	})
	t.Run("literals", func(t *testing.T) {
		file := schema(t, "ALTER TABLE people ADD phone text, ADD owner text DEFAULT 'planted.person@gmail.com'")
		without, with := check(t, file), check(t, file, "--accept-literals")
		for _, got := range []outcome{without, with} {
			if got.code != 2 || !strings.Contains(got.stdout, `"default public.people.owner"   # an e-mail address`) || strings.Contains(got.stdout+got.stderr, "planted.person") {
				t.Errorf("code %d\n%s\n%s", got.code, got.stdout, got.stderr)
			}
		}
		if strings.Contains(without.stdout, "public.people.phone") || !strings.Contains(without.stdout, "--accept-literals lets them") {
			t.Errorf("without --accept-literals:\n%s", without.stdout)
		}
		if !strings.Contains(with.stdout, "      phone: phone\n") {
			t.Errorf("with --accept-literals:\n%s", with.stdout)
		}
	})
	t.Run("broken policy", func(t *testing.T) {
		broken := f.write(t, "broken.yaml", "version: 1\ntables:\n  public.people:\n    columns: {id: kep}\n")
		got := invoke(t, target, "check", "--schema", added, "--policy", broken, "--format", "github")
		if got.code != 2 || !strings.Contains(got.stdout, "broken.yaml,line=4,") {
			t.Errorf("code %d\n%s\n%s", got.code, got.stdout, got.stderr)
		}
	})
	t.Run("whole dump", func(t *testing.T) {
		file := src.Dump(t, src.Database(t, checked+"INSERT INTO people VALUES (1, 'planted@corp.example'); ALTER TABLE people ADD phone text"), "-Fc")
		got := invoke(t, target, "check", "--dump", file, "--policy", f.policy)
		if got.code != 2 || !strings.Contains(got.stdout, "      phone: phone\n") {
			t.Errorf("code %d\n%s\n%s", got.code, got.stdout, got.stderr)
		}
	})
	t.Run("what no import takes", func(t *testing.T) {
		file := schema(t, "CREATE TABLE kept (id int)")
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		odd := f.write(t, "odd.sql", strings.Replace(string(content), "CREATE TABLE public.kept", "DO 'BEGIN END';\nCREATE TABLE public.kept", 1))
		unbuilt := f.write(t, "unbuilt.sql", strings.Replace(string(content), "id integer", "id public.nowhere", 1))
		for file, sentences := range map[string][2]string{
			odd:     {"not known to be safe", "the columns: the schema could not be read"},
			unbuilt: {"restore TABLE public.kept", "the columns: the schema could not be built"},
		} {
			got := check(t, file)
			if got.code != 2 || !strings.Contains(got.stdout, sentences[0]) || !strings.Contains(got.stdout, sentences[1]) {
				t.Errorf("code %d, it does not say %q\n%s\n%s", got.code, sentences, got.stdout, got.stderr)
			}
		}
	})
	t.Run("unreachable", func(t *testing.T) {
		got := invoke(t, "postgres://postgres@127.0.0.1:1/postgres?sslmode=disable", "check", "--schema", added, "--policy", f.policy, "--wait", "1ms")
		if got.code != 1 || got.stdout != "" {
			t.Errorf("code %d\n%s\n%s", got.code, got.stdout, got.stderr)
		}
	})
	t.Run("flags", func(t *testing.T) {
		for sentence, args := range map[string][]string{
			"--schema is missing":      {"check", "--policy", f.policy},
			"use one":                  {"check", "--policy", f.policy, "--schema", added, "--dump", added},
			"none of text, json":       {"check", "--policy", f.policy, "--schema", added, "--format", "xml"},
			"no such file or object":   {"check", "--policy", f.policy, "--schema", "/nowhere"},
			"--policy is missing":      {"check", "--schema", added},
			"defined: -key-file; see ": {"check", "--policy", f.policy, "--schema", added, "--key-file", "x"},
		} {
			if got := invoke(t, target, args...); got.code != 2 || !strings.Contains(got.last(), sentence) {
				t.Errorf("code %d, %q does not say %q", got.code, got.last(), sentence)
			}
		}
	})
}

// TestCheckInCI runs the script that the documentation gives to CIs, with this
// test's binary as the image.
func TestCheckInCI(t *testing.T) {
	t.Parallel()
	src := pgtest.Source(t)
	dir := t.TempDir()
	self, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"Dockerfile":    "FROM scratch\nCOPY seed-import /seed-import\nENV " + asCommand + "=1\nUSER 65532:65532\nENTRYPOINT [\"/seed-import\"]\n",
		"seed-import":   string(self),
		".dockerignore": "*\n!seed-import\n",
		"policy.yaml":   checkedPolicy,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	image := "seed-import-check-test:" + filepath.Base(filepath.Dir(dir)) + filepath.Base(dir)
	image = strings.ToLower(image)
	if out, err := exec.CommandContext(t.Context(), "docker", "build", "--quiet", "--tag", image, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("docker", "image", "rm", image).Run() })
	for name, sql := range map[string]string{"covered": "", "added": "ALTER TABLE people ADD phone text"} {
		// No owners, as an application's CI dumps what its migrations made.
		content, err := os.ReadFile(src.Dump(t, src.Database(t, checked+sql), "--schema-only --no-owner"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name+".sql"), content, 0o644); err != nil {
			t.Fatal(err)
		}
		script, err := filepath.Abs("../../../manifests/seed-data/check-policy")
		if err != nil {
			t.Fatal(err)
		}
		c := exec.CommandContext(t.Context(), script, name+".sql", "policy.yaml", "github")
		c.Dir, c.Env = dir, append(os.Environ(), "SEED_POSTGRES="+pgtest.Image, "SEED_IMPORT="+image)
		var stdout, stderr bytes.Buffer
		c.Stdout, c.Stderr = &stdout, &stderr
		err = c.Run()
		code, want := c.ProcessState.ExitCode(), map[string]int{"covered": 0, "added": 2}[name]
		if annotated := strings.Contains(stdout.String(), "::error file=policy.yaml,line=5,"); code != want || annotated != (want == 2) {
			t.Errorf("%s: %v\n%s\n%s", name, err, &stdout, &stderr)
		}
	}
}

// TestAnnotationsAreFew: a step of GitHub's shows ten.
func TestAnnotationsAreFew(t *testing.T) {
	t.Parallel()
	c := &seed.PolicyCheck{}
	c.Warnings = []string{"nothing, really"}
	for range 12 {
		c.Gaps = append(c.Gaps, seed.Gap{Message: "one, 100%"})
	}
	var b strings.Builder
	if err := annotate(&b, "a,b:c.yaml", c); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != 11 || lines[10] != "::warning file=a%2Cb%3Ac.yaml,title=seed-import check::nothing, really" || lines[0] != "::error file=a%2Cb%3Ac.yaml,line=1,title=seed-import check::one, 100%25" || !strings.Contains(lines[9], "::3 more, which") {
		t.Errorf("%d lines:\n%s", len(lines), b.String())
	}
}
