package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const goodConfig = `
argocdNamespace: argocd
veleroNamespace: velero
mode: velero
forges:
  - {name: gitea, type: gitea, url: %s, credentialFile: %s, webhookSecretFile: /nowhere}
`

// TestMisuse: bad input ends with one clear text and exit code 2.
func TestMisuse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	token := write(t, dir, "token", "good")
	good := write(t, dir, "good.yaml", fmt.Sprintf(goodConfig, "https://git.example.com", token))
	config := func(text string) []string {
		return []string{"serve", "--config", write(t, t.TempDir(), "config.yaml", text)}
	}
	appset := func(text string) []string {
		return []string{"render", "--config", good, "--applicationset", write(t, t.TempDir(), "set.yaml", text)}
	}
	tests := []struct {
		name string
		args []string
		says []string
	}{
		{"nothing", nil, []string{"say what to do"}},
		{"unknown command", []string{"run"}, []string{`"run" is no command`}},
		{"unknown flag", []string{"serve", "--token", "x"}, []string{"-token"}},
		{"argument", []string{"serve", "--config", good, "x"}, []string{`"x" is no flag`}},
		{"no configuration", []string{"serve"}, []string{"--config names no file"}},
		{"configuration missing", []string{"serve", "--config", dir + "/none"}, []string{"read the configuration", "no such file"}},
		{"configuration empty", config(""), []string{"forges: name at least one forge"}},
		{"configuration no YAML", config("a: b: c"), []string{"read the configuration"}},
		{"unknown field", config("forge: []"), []string{`unknown field "forge"`}},
		{"later field", config("retention: {keep: 5}"), []string{`unknown field "retention"`}},
		{"everything at once", config(`
argocdNamespace: Argo
mode: direct
forges:
  - {name: G, type: svn, url: "https://u:hidden@x"}
  - {name: a, type: gitea, url: "https://x", credentialFile: y}
  - {name: a, type: gitea, url: "https://X/", credentialFile: y}
seeds: [{name: shop}]
guards: {podSecurity: none, dnsAddresses: [localhost]}
listen: {broker: "8081"}
`), []string{"argocdNamespace", "mode", "forges[0]", "name a is used twice", "it has the URL of a", "seeds[0]", "guards.podSecurity", "guards.dnsAddresses", "listen.broker"}},
		{"token missing", config(fmt.Sprintf(goodConfig, "https://x", token) + "tokenFile: " + dir + "/none"), []string{"read the generator's token"}},
		{"token unresolved", config(fmt.Sprintf(goodConfig, "https://x", token) + "tokenFile: " + write(t, dir, "dollar", "$a:b")), []string{"begins with $"}},
		{"no cluster", config(fmt.Sprintf(goodConfig, "https://x", token) + "tokenFile: " + token), []string{"reach the cluster"}},
		{"render nothing", []string{"render", "--config", good}, []string{"--applicationset names no file"}},
		{"render no plugin", appset("spec: {generators: [{list: {}}]}"), []string{"no top-level plugin generator"}},
		{"render bad input", appset(`spec: {generators: [{plugin: {configMapRef: {name: seedling-plugin}, input: {parameters: {forge: gitea, ttl: 3d, nonsense: 1}}}}]}`), []string{"input field nonsense is unknown", "input field repo", "input field ttl is not supported"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			if code := run(t.Context(), test.args, func(string) string { return "" }, &stdout, &stderr); code != 2 {
				t.Errorf("exit code %d", code)
			}
			for _, s := range test.says {
				if !strings.Contains(stderr.String(), s) {
					t.Errorf("%q is missing in: %s", s, stderr.String())
				}
			}
			if s := stderr.String(); strings.Contains(s, "hidden") || strings.Contains(s, errMisconfigured.Error()) || stdout.Len() > 0 {
				t.Errorf("it says: %s%s", s, stdout.String())
			}
		})
	}
}

// TestBrokerLabels: they are taken as they are, and the default stands in for
// none.
func TestBrokerLabels(t *testing.T) {
	t.Parallel()
	standard := map[string]string{"app.kubernetes.io/name": "plugin"}
	for text, want := range map[string]map[string]string{
		"":                               standard,
		"brokerLabels: {}":               standard,
		"brokerLabels:":                  standard,
		"brokerLabels: {app: seedling}":  {"app": "seedling"},
		"guards: {quota: {pods: \"30\"}}": standard,
	} {
		path := write(t, t.TempDir(), "config.yaml", fmt.Sprintf(goodConfig, "https://git.example.com", "token")+text)
		c, err := readConfig(path, func(string) string { return "" })
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if diff := cmp.Diff(want, c.BrokerLabels); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--help"}, {"serve", "--help"}} {
		var stderr bytes.Buffer
		if code := run(t.Context(), args, func(string) string { return "" }, &stderr, &stderr); code != 0 || stderr.Len() == 0 {
			t.Errorf("%v: exit code %d", args, code)
		}
	}
}

func TestRender(t *testing.T) {
	t.Parallel()
	sha := strings.Repeat("a", 40)
	repo := map[string]any{"full_name": "acme/shop"}
	pull := func(n int, label string) map[string]any {
		return map[string]any{
			"number": n, "title": "x", "state": "open", "user": map[string]any{"login": "dev"}, "labels": []any{map[string]any{"name": label}},
			"base": map[string]any{"ref": "main", "repo": repo}, "head": map[string]any{"label": "feature", "ref": "feature", "sha": sha, "repo": repo},
		}
	}
	mux := http.NewServeMux()
	answer := func(path string, v any) {
		mux.HandleFunc("GET /api/v1/repos/acme/shop"+path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Total-Count", "2")
			if r.URL.Query().Get("page") > "1" {
				_, _ = w.Write([]byte("[]"))
				return
			}
			_ = json.NewEncoder(w).Encode(v)
		})
	}
	answer("/pulls", []any{pull(1, "preview"), pull(2, "bug")})
	answer("/issues/1/timeline", []any{map[string]any{"type": "label", "body": "1", "user": map[string]any{"login": "boss"}, "label": map[string]any{"name": "preview"}}})
	answer("/collaborators/boss/permission", map[string]any{"permission": "write"})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)

	dir := t.TempDir()
	args := []string{
		"render", "--config", write(t, dir, "config.yaml", fmt.Sprintf(goodConfig, s.URL, write(t, dir, "token", "good"))),
		"--applicationset", write(t, dir, "set.yaml", `
kind: ApplicationSet
metadata: {name: previews}
spec:
  generators:
    - plugin:
        configMapRef: {name: seedling-plugin}
        input: {parameters: {forge: gitea, repo: acme/shop, domain: previews.example.com}}
`),
	}
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), args, func(string) string { return "" }, &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	var got struct {
		Output struct {
			Parameters []map[string]string `json:"parameters"`
		} `json:"output"`
	}
	if err := json.Unmarshal(stdout.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if p := got.Output.Parameters; len(p) != 1 || p[0]["head_sha"] != sha || p[0]["preview_host"] != p[0]["namespace"]+".previews.example.com" {
		t.Errorf("rendered %s", stdout.String())
	}

	s.Close()
	if code := run(t.Context(), args, func(string) string { return "" }, &stdout, &stderr); code != 1 {
		t.Errorf("exit code %d for a forge that is down", code)
	}
}
