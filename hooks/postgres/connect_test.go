package postgres_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/postgres"
)

func TestReadTarget(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"target": "host=db user=app password=inline\n", "garbage": "password=secret garbage", "empty": "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name, file, target, passwordFile string
		want                             string // the password
		faults                           []string
	}{
		{name: "a file", file: "target", target: "host=other", want: "inline"},
		{name: "the environment", target: " postgres://app:url@db/anything ", want: "url"},
		{name: "nothing", faults: []string{"--target-file or set SEED_TARGET"}},
		{name: "an empty file", file: "empty", faults: []string{"is empty"}},
		{name: "garbage", file: "garbage", faults: []string{"neither a postgres:// URL nor"}},
		{
			name: "everything wrong at once", file: "missing", passwordFile: "password",
			faults: []string{"read --target-file: open", "SEED_PASSWORD_FILE is set, and a seed takes no password"},
		},
		{name: "no authority", target: "host=db password=secret sslmode=verify-full sslrootcert=/none/ca.crt", faults: []string{"open /none/ca.crt: no such file", "`seed-import certificates` makes"}},
		{name: "no certificate", target: "host=db password=secret sslmode=require sslcert=/none/tls.crt sslkey=/none/tls.key", faults: []string{"open /none/tls.", "`seed-import certificates` makes"}},
		{name: "half a pair", target: "host=db password=secret sslmode=require sslcert=/none/tls.crt", faults: []string{"are no pair"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := func(name string) string {
				if name == "" {
					return ""
				}
				return filepath.Join(dir, name)
			}
			env := map[string]string{postgres.TargetVariable: test.target, "SEED_PASSWORD_FILE": path(test.passwordFile)}
			config, err := postgres.ReadTarget(path(test.file), func(name string) string { return env[name] })
			if len(test.faults) == 0 {
				if err != nil || config.Password != test.want || config.Database != postgres.Maintenance {
					t.Fatalf("error %v", err)
				}
				return
			}
			if command.ExitCode(err) != 2 {
				t.Errorf("exit code %d of %v, want 2", command.ExitCode(err), err)
			}
			for _, fault := range test.faults {
				if err != nil && strings.Count(err.Error(), fault) != 1 {
					t.Errorf("error %q does not say %q once", err, fault)
				}
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("error %q quotes what it read", err)
			}
		})
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	if postgres.ImportLock.Key() == postgres.BackupLock.Key() {
		t.Error("two locks have one key")
	}
}
