package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seedling-dev/seedling/hooks/command"
)

// TestExitCodes: what the command ends with, and the one line it says then.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte("ey.secret.token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	broker := func(status int, body string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}))
		t.Cleanup(s.Close)
		return "--broker=" + s.URL
	}
	nobody := httptest.NewServer(http.NotFoundHandler())
	nobody.Close()
	with := func(args ...string) []string {
		return append([]string{"--token-file=" + token, "--timeout=50ms"}, args...)
	}
	tests := []struct {
		name string
		args []string
		code int
		says string
	}{
		{"restored", with(broker(200, `{"message":"restored","snapshot":"seed-1"}`)), 0, ""},
		{"help", []string{"--help"}, 0, ""},
		{"no usable snapshot yet", with(broker(503, `{"message":"no usable snapshot of seed seed: it has no Backup yet"}`)), 1, "it has no Backup yet; the time is up after 50ms"},
		{"restoring for too long", with(broker(202, `{"message":"Restore x waits for Velero","place":3}`)), 1, "Restore x waits for Velero (place 3); the time is up"},
		{"no broker", with("--broker=" + nobody.URL), 1, "the broker does not answer"},
		{"a foreign volume", with(broker(409, `{"message":"set the label preview-reset"}`)), 2, "a volume that is not ours: set the label preview-reset"},
		{"a refused token", with(broker(401, `{"message":"the token is not valid here"}`)), 2, "refuses this preview's token (401)"},
		{"somebody else's address", with(broker(404, "not found")), 2, "it is not the broker"},
		{"an unknown flag", with("--seed=x"), 2, "flag provided but not defined: -seed; see preview-restore --help"},
		{"an argument", with("now"), 2, `"now" is not a flag`},
		{"a timeout that is none", with("--timeout=soon"), 2, "invalid value"},
		{"a timeout of nothing", with("--timeout=0s"), 2, "--timeout is 0s"},
		{"a broker that is no URL", with("--broker=plugin:8081"), 2, "--broker must be a URL"},
		{"no token file", with("--token-file=" + filepath.Join(dir, "none")), 2, "no such file"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var stderr bytes.Buffer
			code := command.Report(&stderr, "preview-restore", run(t.Context(), command.Env{
				Args: test.args, Getenv: func(string) string { return "" },
				Stdout: io.Discard, Stderr: &stderr, Log: command.NewLog(io.Discard),
			}))
			said := stderr.String()
			if code != test.code || !strings.Contains(said, test.says) {
				t.Errorf("exit code %d, and it says %q", code, said)
			}
			if lines := strings.Count(said, "\n"); test.code == 0 && lines != 0 || test.code != 0 && lines != 1 {
				t.Errorf("it says %d lines: %s", lines, said)
			}
			if strings.Contains(said, "secret") {
				t.Errorf("it quotes the token: %s", said)
			}
		})
	}
}
