package dump_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/seedling-dev/seedling/hooks/dump"
	"github.com/seedling-dev/seedling/hooks/internal/fakecloud"
)

// TestNoCopyOnDisk reads dumps of each format from each kind of place in a
// process that may not write a single byte to a file: there is no spool, so
// none has to be encrypted, bounded or removed.
func TestNoCopyOnDisk(t *testing.T) { //nolint:paralleltest // the child limits its whole process
	const child = "SEEDLING_READ_WITHOUT_DISK"
	if os.Getenv(child) == "" {
		t.Parallel()
		// What the child needs on disk is there before.
		dir := t.TempDir()
		for name, b := range shapes(t) {
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, kind := range kinds {
			for name, value := range kind.credentials {
				if err := os.MkdirAll(filepath.Join(dir, "credentials", kind.name), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, "credentials", kind.name, name), []byte(value), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNoCopyOnDisk$", "-test.v")
		cmd.Env = append(os.Environ(), child+"="+dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	dir := os.Getenv(child)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "probe"), []byte("x"), 0o600); err == nil {
		t.Fatal("this process can write to files")
	}
	c := fakecloud.Start(t)
	key, err := os.ReadFile(filepath.Join(dir, "credentials/gs/GOOGLE_APPLICATION_CREDENTIALS"))
	if err != nil {
		t.Fatal(err)
	}
	c.Trust(string(key))
	for name := range shapes(t) {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := all(t.Context(), filepath.Join(dir, name), dump.Options{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		c.Put("x.dump", b)
		for _, kind := range kinds {
			o := dump.Through(dump.Options{Credentials: filepath.Join(dir, "credentials", kind.name)}, c.Transport, attempts)
			if _, err := all(t.Context(), kind.url("x.dump"), o); err != nil {
				t.Errorf("%s from %s: %v", name, kind.name, err)
			}
		}
	}
}
