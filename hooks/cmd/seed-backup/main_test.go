package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seedling-dev/seedling/hooks/command"
)

func TestBadInput(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	digest := strings.Repeat("ab", 32)
	good := []string{"--seed=seed", "--policy-digest=" + digest, "--key-id=00aa"}
	kubeconfig := file("kubeconfig", "apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\ncontexts: [{name: c, context: {cluster: c}}]\ncurrent-context: c\n")
	tests := []struct {
		name   string
		args   []string
		env    map[string]string
		faults []string
	}{
		{"nothing", nil, nil, []string{`--seed: "" must be`, `--policy-digest is ""`, `--key-id is ""`}},
		{"an unknown flag", append(good, "--dump=x"), nil, []string{"flag provided but not defined: -dump; see seed-backup --help"}},
		{"an argument", append(good, "now"), nil, []string{`"now" is not a flag`}},
		{"a namespace that is no seed", append(good, "--seed=prod"), nil, []string{`--seed: "prod" must be`}},
		{"a seed whose name is too long", append(good, "--seed=seed-"+strings.Repeat("x", 40)), nil, []string{"at most 40 characters"}},
		{"a digest cut short", append(good, "--policy-digest="+digest[:32]), nil, []string{"it must be 64 hex digits"}},
		{"a timeout of nothing", append(good, "--timeout=0s"), nil, []string{"--timeout is 0s"}},
		{"no target", good, nil, []string{"pass --target-file or set SEED_TARGET"}},
		{"no target file", append(good, "--target-file="+filepath.Join(dir, "none")), nil, []string{"read --target-file", "no such file"}},
		{"an empty target file", append(good, "--target-file="+file("empty", "\n")), nil, []string{"is empty"}},
		{"no certificate", good, map[string]string{"SEED_TARGET": "host=x sslmode=verify-full sslrootcert=" + filepath.Join(dir, "none")}, []string{"read the certificates", "no such file", "seed-import certificates"}},
		{"a password's file", good, map[string]string{"SEED_TARGET": "host=x", "SEED_PASSWORD_FILE": file("password", "x")}, []string{"a seed takes no password"}},
		{"a target that is none", good, map[string]string{"SEED_TARGET": "password=secret nonsense", "KUBECONFIG": kubeconfig}, []string{"neither a postgres:// URL nor"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := run(t.Context(), command.Env{
				Args: test.args, Getenv: func(name string) string { return test.env[name] },
				Stdout: io.Discard, Stderr: io.Discard, Log: command.NewLog(io.Discard),
			})
			if code := command.ExitCode(err); code != 2 {
				t.Fatalf("exit code %d: %v", code, err)
			}
			for _, fault := range test.faults {
				if !strings.Contains(err.Error(), fault) {
					t.Errorf("error %v does not say %q", err, fault)
				}
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("error %v quotes a password", err)
			}
		})
	}
}
