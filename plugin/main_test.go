package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seedling-dev/seedling/hooks/command"
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
  - {name: gitea, type: gitea, url: %s, credentialFile: %s, webhookSecretFile: %[2]s}
`

// invoke runs the command as its process would.
func invoke(t *testing.T, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	t.Helper()
	env := command.Env{Args: args, Getenv: getenv, Stdout: stdout, Stderr: stderr, Log: command.NewLog(stderr)}
	return command.Run(t.Context(), env, "plugin", run)
}

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
		{"unknown command", []string{"run"}, []string{`"run" is not a subcommand`}},
		{"unknown flag", []string{"serve", "--token", "x"}, []string{"-token"}},
		{"argument", []string{"serve", "--config", good, "x"}, []string{`"x" is not a flag`}},
		{"no configuration", []string{"serve"}, []string{"--config names no file"}},
		{"configuration missing", []string{"serve", "--config", dir + "/none"}, []string{"read the configuration", "no such file"}},
		{"configuration empty", config(""), []string{"forges: name at least one forge"}},
		{"configuration no YAML", config("a: b: c"), []string{"read the configuration"}},
		{"unknown field", config("forge: []"), []string{`unknown field "forge"`}},
		{"later field", config("retention: {days: 5}"), []string{`unknown field "days"`}},
		{"fewer snapshots than none", config("retention: {keep: -1}"), []string{"retention.keep: -1 is no number of snapshots"}},
		{"lives", config("cap: -1\nmaxDataAge: 10m\nseeds: [{name: seed, maxDataAge: 1m}]"), []string{"cap: -1 is no number of previews", "maxDataAge: 10m is not between an hour and ten years", "seeds[0]: maxDataAge 1m is not"}},
		{"an address", config("argocdURL: 'https://user:hidden@argocd'"), []string{"argocdURL: it must be http(s)://host[/path]"}},
		{"an age that is none", config("maxDataAge: a month"), []string{`"a month" is no span of time such as 36h or 30d`}},
		{"everything at once", config(`
argocdNamespace: Argo
mode: csi
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
		{"credential missing", config(fmt.Sprintf(goodConfig, "https://x", dir+"/none") + "tokenFile: " + token), []string{"forges[0] (gitea): credentialFile", "give key none of the Secret that is mounted at " + dir}},
		{"webhook secret empty", config(strings.Replace(fmt.Sprintf(goodConfig, "https://x", token), "webhookSecretFile: "+token, "webhookSecretFile: "+write(t, dir, "blank", " \n"), 1) + "tokenFile: " + token), []string{"forges[0] (gitea): webhookSecretFile", "blank is empty: give key blank of the Secret that is mounted at " + dir}},
		{"no cluster", config(fmt.Sprintf(goodConfig, "https://x", token) + "tokenFile: " + token), []string{"reach the cluster"}},
		{"render nothing", []string{"render", "--config", good}, []string{"--applicationset names no file"}},
		{"render another kind", appset("kind: Application"), []string{"Application is no ApplicationSet"}},
		{"render two", appset("kind: ApplicationSet\nmetadata: {name: a}\n---\nkind: ApplicationSet\nmetadata: {name: b}"), []string{"has 2 documents"}},
		{"render no plugin", appset("{kind: ApplicationSet, spec: {generators: [{list: {}}]}}"), []string{"no top-level plugin generator"}},
		{"render bad input", appset(`{kind: ApplicationSet, spec: {generators: [{plugin: {configMapRef: {name: seedling-plugin}, input: {parameters: {forge: gitea, ttl: 3 days, nonsense: 1}}}}]}}`), []string{"input field nonsense is unknown", "input field repo", "input field ttl must be a time"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			if code := invoke(t, test.args, func(string) string { return "" }, &stdout, &stderr); code != 2 {
				t.Errorf("exit code %d", code)
			}
			for _, s := range test.says {
				if !strings.Contains(stderr.String(), s) {
					t.Errorf("%q is missing in: %s", s, stderr.String())
				}
			}
			if s := stderr.String(); strings.Contains(s, "hidden") || stdout.Len() > 0 {
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
		"":                                standard,
		"brokerLabels: {}":                standard,
		"brokerLabels:":                   standard,
		"brokerLabels: {app: seedling}":   {"app": "seedling"},
		"guards: {quota: {pods: \"30\"}}": standard,
	} {
		path := write(t, t.TempDir(), "config.yaml", fmt.Sprintf(goodConfig, "https://git.example.com", "token")+text)
		c, err := readConfig(path, func(string) string { return "" })
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if !maps.Equal(want, c.BrokerLabels) {
			t.Errorf("%q: %v, want %v", text, c.BrokerLabels, want)
		}
	}
}

// apiServer answers what check asks of a cluster: which kinds there are, a
// storage location in a phase, and an ApplicationSet. Nothing else may be read.
// Another status is its answer to everything.
func apiServer(t *testing.T, status int, phase string) string {
	t.Helper()
	resources := map[string]string{ // group/version: plural and kind, parted by spaces
		"v1": "secrets Secret configmaps ConfigMap namespaces Namespace", "apps/v1": "deployments Deployment",
		"networking.k8s.io/v1":            "networkpolicies NetworkPolicy ingresses Ingress",
		"admissionregistration.k8s.io/v1": "validatingadmissionpolicies ValidatingAdmissionPolicy",
		"velero.io/v1":                    "backups Backup backupstoragelocations BackupStorageLocation restores Restore schedules Schedule",
		"argoproj.io/v1alpha1":            "applicationsets ApplicationSet appprojects AppProject",
	}
	var groups []any
	bodies := map[string]any{
		"/api": map[string]any{"kind": "APIVersions", "versions": []string{"v1"}},
		"/apis/velero.io/v1/namespaces/velero/backupstoragelocations": map[string]any{
			"kind": "BackupStorageLocationList", "apiVersion": "velero.io/v1",
			"items": []any{map[string]any{"metadata": map[string]any{"name": "default"}, "status": map[string]any{"phase": phase}}},
		},
		"/apis/argoproj.io/v1alpha1/namespaces/argocd/applicationsets": map[string]any{
			"kind": "ApplicationSetList", "apiVersion": "argoproj.io/v1alpha1",
			"items": []any{map[string]any{"metadata": map[string]any{"name": "previews"}, "spec": map[string]any{
				"generators": []any{map[string]any{"plugin": map[string]any{
					"configMapRef": map[string]any{"name": "seedling-plugin"},
					"input":        map[string]any{"parameters": map[string]any{"forge": "gitea", "repo": "acme/shop"}},
				}}},
				"template": map[string]any{"metadata": map[string]any{}, "spec": map[string]any{
					"project": "previews", "source": map[string]any{"repoURL": "https://git.example.com/acme/shop.git"}, "syncPolicy": map[string]any{"syncOptions": []string{"FailOnSharedResource=true"}},
					"destination": map[string]any{"server": "https://kubernetes.default.svc"},
				}},
			}}},
		},
	}
	for name, kinds := range resources {
		var list []any
		words := strings.Fields(kinds)
		for i := 0; i < len(words); i += 2 {
			list = append(list, map[string]any{"name": words[i], "kind": words[i+1], "namespaced": name != "admissionregistration.k8s.io/v1", "verbs": []string{"get", "list"}})
		}
		path := "/api/v1"
		if group, _, ok := strings.Cut(name, "/"); ok {
			path = "/apis/" + name
			v := map[string]any{"groupVersion": name, "version": strings.TrimPrefix(name, group+"/")}
			groups = append(groups, map[string]any{"name": group, "versions": []any{v}, "preferredVersion": v})
		}
		bodies[path] = map[string]any{"kind": "APIResourceList", "groupVersion": name, "resources": list}
	}
	bodies["/apis"] = map[string]any{"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code := status
		body, ok := bodies[r.URL.Path]
		if !ok && code == http.StatusOK {
			code = http.StatusForbidden
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		if code != http.StatusOK {
			body = map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": strings.ReplaceAll(http.StatusText(code), " ", "")}
		}
		_ = json.NewEncoder(w).Encode(body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// TestCheck: what a retry will not cure is exit code 2, what may pass by itself
// is 1, and each says what is wrong.
func TestCheck(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		// Contents of files; "-" for a file that is not there.
		token, credential, webhook string
		forge, cluster             int // HTTP status
		phase                      string
		code                       int
		says                       string
	}{
		{name: "all is well", says: "ok     forge gitea: we are seedling"},
		{name: "what may not be read is said", says: "unseen credentials: not looked at: this KUBECONFIG gives no right to list Secrets"},
		{name: "what is not asked is said", says: "unseen NetworkPolicies: not looked at: no object says whether the cluster enforces them; run `plugin check --probe`"},
		{name: "each repository is listed", says: "ok     repository acme/shop of forge gitea: 0 open pull requests have label preview"},
		{name: "token empty", token: " ", code: 2, says: "WRONG  generator token: the generator's token in "},
		{name: "token unresolved", token: "$plugin-token:token", code: 2, says: "begins with $"},
		{name: "token missing", token: "-", code: 2, says: "WRONG  generator token"},
		{name: "credential empty", credential: " ", code: 2, says: "credential is empty: give key credential of the Secret"},
		{name: "credential missing", credential: "-", code: 2, says: "give key credential of the Secret"},
		{name: "credential not good", forge: http.StatusUnauthorized, code: 2, says: "401 unauthorized: the forge does not accept the credential"},
		{name: "credential without the scope", forge: http.StatusForbidden, code: 2, says: "403 forbidden"},
		{name: "forge out of order", forge: http.StatusBadGateway, code: 1, says: "HTTP status 502"},
		{name: "webhook secret empty", webhook: " \n", code: 2, says: "WRONG  webhook secret of forge gitea: webhookSecretFile: "},
		{name: "webhook secret missing", webhook: "-", code: 2, says: "give key webhook of the Secret"},
		{name: "storage away", phase: "Unavailable", code: 1, says: "no BackupStorageLocation is Available"},
		{name: "cluster refuses who we are", cluster: http.StatusUnauthorized, code: 2, says: "WRONG  Velero's storage"},
		{name: "cluster refuses what we ask", cluster: http.StatusForbidden, code: 2, says: "WRONG  ApplicationSets"},
		{name: "cluster out of order", cluster: http.StatusInternalServerError, code: 1, says: "WRONG  Velero's storage"},
		{name: "one for good and one that may pass", token: " ", forge: http.StatusBadGateway, code: 2, says: "HTTP status 502"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				if strings.HasSuffix(r.URL.Path, "/acme/shop/pulls") {
					w.Header().Set("X-Total-Count", "0")
					_, _ = w.Write([]byte("[]"))
					return
				}
				if strings.HasSuffix(r.URL.Path, "/hooks") {
					w.WriteHeader(http.StatusForbidden)
					_, _ = w.Write([]byte(`{"message":"it takes an administrator"}`))
					return
				}
				w.WriteHeader(cmp.Or(test.forge, http.StatusOK))
				fmt.Fprint(w, `{"login":"seedling"}`)
			}))
			t.Cleanup(host.Close)
			dir := t.TempDir()
			file := func(name, content string) string {
				if content == "-" {
					return filepath.Join(dir, name)
				}
				return write(t, dir, name, cmp.Or(content, "good"))
			}
			config := fmt.Sprintf("tokenFile: %s\nforges:\n  - {name: gitea, type: gitea, url: %s, credentialFile: %s, webhookSecretFile: %s}\n",
				file("token", test.token), host.URL, file("credential", test.credential), file("webhook", test.webhook))
			kubeconfig := fmt.Sprintf("{clusters: [{name: c, cluster: {server: %q}}], contexts: [{name: c, context: {cluster: c}}], current-context: c}",
				apiServer(t, cmp.Or(test.cluster, http.StatusOK), cmp.Or(test.phase, "Available")))
			env := map[string]string{"KUBECONFIG": write(t, dir, "kubeconfig", kubeconfig)}
			var stdout, stderr bytes.Buffer
			code := invoke(t, []string{"check", "--config", write(t, dir, "config.yaml", config)}, func(name string) string { return env[name] }, &stdout, &stderr)
			if code != test.code || !strings.Contains(stdout.String(), test.says) {
				t.Errorf("exit code %d, want %d, saying %q: %s%s", code, test.code, test.says, stdout.String(), stderr.String())
			}
		})
	}
}

// TestCheckElsewhere: on another machine than the plugin's pod its secrets are
// not wrong, and it is said where they can be looked at.
func TestCheckElsewhere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := fmt.Sprintf(goodConfig, "https://git.example.com", "/etc/seedling/forges/none")
	kubeconfig := fmt.Sprintf("{clusters: [{name: c, cluster: {server: %q}}], contexts: [{name: c, context: {cluster: c}}], current-context: c}",
		apiServer(t, http.StatusOK, "Available"))
	env := map[string]string{"KUBECONFIG": write(t, dir, "kubeconfig", kubeconfig)}
	var stdout, stderr bytes.Buffer
	code := invoke(t, []string{"check", "--config", write(t, dir, "config.yaml", config)}, func(name string) string { return env[name] }, &stdout, &stderr)
	if code != 0 || strings.Contains(stdout.String(), "WRONG") {
		t.Errorf("exit code %d: %s%s", code, stdout.String(), stderr.String())
	}
	for _, says := range []string{
		"unseen generator token: not looked at: /etc/seedling/token/token is in the plugin's pod; run `kubectl -n seedling exec deployment/plugin",
		"unseen forge gitea: ", "unseen webhook secret of forge gitea: ", "unseen repository acme/shop of forge gitea: ", "unseen DNS for previews: ",
	} {
		if !strings.Contains(stdout.String(), says) {
			t.Errorf("%q is missing in: %s", says, stdout.String())
		}
	}
}

func TestSecretIsNamed(t *testing.T) {
	t.Parallel()
	err := checkSecret("webhookSecretFile", "/etc/seedling/forges/nothing-there")
	if err == nil || !strings.Contains(err.Error(), "give key nothing-there of Secret plugin-forges") {
		t.Errorf("error %v", err)
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--help"}, {"serve", "--help"}} {
		var stderr bytes.Buffer
		if code := invoke(t, args, func(string) string { return "" }, &stderr, &stderr); code != 0 || stderr.Len() == 0 {
			t.Errorf("%v: exit code %d", args, code)
		}
	}
}

// renderInThePod: in the pod the ApplicationSet comes by standard input; elsewhere,
// where the credential is in the pod alone, it says what to run.
func renderInThePod(t *testing.T, forge, config, file, want string) {
	t.Helper()
	set, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	args := []string{"render", "--config", config, "--applicationset", "-"}
	env := command.Env{Args: args, Getenv: func(string) string { return "" }, Stdin: bytes.NewReader(set), Stdout: &stdout, Stderr: &stderr, Log: command.NewLog(&stderr)}
	if code := command.Run(t.Context(), env, "plugin", run); code != 0 || stdout.String() != want {
		t.Errorf("from standard input: exit code %d: %s", code, stdout.String())
	}
	args[2], args[4] = write(t, t.TempDir(), "config.yaml", fmt.Sprintf(goodConfig, forge, "/etc/seedling/forges/gitea-token")), file
	stderr.Reset()
	if code := invoke(t, args, func(string) string { return "" }, &stdout, &stderr); code != 2 || !strings.Contains(stderr.String(), "exec -i deployment/plugin -- /usr/local/bin/plugin render --config=/etc/seedling/config.yaml --applicationset=-") {
		t.Errorf("without the credential: exit code %d: %s", code, stderr.String())
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
	other := pull(3, "preview")
	other["title"] = "Something else"
	mux := http.NewServeMux()
	answer := func(path string, v any) {
		mux.HandleFunc("GET /api/v1/repos/acme/shop"+path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("X-Total-Count", "3")
			if r.URL.Query().Get("page") > "1" {
				_, _ = w.Write([]byte("[]"))
				return
			}
			_ = json.NewEncoder(w).Encode(v)
		})
	}
	answer("/pulls", []any{pull(1, "preview"), pull(2, "bug"), other})
	answer("/issues/1/timeline", []any{map[string]any{"type": "label", "body": "1", "user": map[string]any{"login": "boss"}, "label": map[string]any{"name": "preview"}}})
	answer("/pulls/1/reviews", []any{})
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
        input: {parameters: {forge: gitea, repo: acme/shop, domain: previews.example.com, filters: {title: ^x$}}}
`),
	}
	var stdout, stderr bytes.Buffer
	if code := invoke(t, args, func(string) string { return "" }, &stdout, &stderr); code != 0 {
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

	for number, reason := range map[int]string{2: "it does not have label preview", 3: "its title does not match the filter"} {
		if said := fmt.Sprintf(`number=%d reason=%q`, number, reason); !strings.Contains(stderr.String(), said) {
			t.Errorf("%s is missing in: %s", said, stderr.String())
		}
	}

	renderInThePod(t, s.URL, args[2], args[len(args)-1], stdout.String())

	s.Close()
	if code := invoke(t, args, func(string) string { return "" }, &stdout, &stderr); code != 1 {
		t.Errorf("exit code %d for a forge that is down", code)
	}
}
