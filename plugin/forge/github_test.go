package forge

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-github/v89/github"
)

func TestGitHubAddresses(t *testing.T) {
	t.Parallel()
	for base, want := range map[string][2]string{
		"https://github.com":             {"https://api.github.com", "https://api.github.com/graphql"},
		"https://github.com/":            {"https://api.github.com", "https://api.github.com/graphql"},
		"https://acme.ghe.com":           {"https://api.acme.ghe.com", "https://api.acme.ghe.com/graphql"},
		"https://git.example.com":        {"https://git.example.com/api/v3", "https://git.example.com/api/graphql"},
		"https://git.example.com/x/":     {"https://git.example.com/x/api/v3", "https://git.example.com/x/api/graphql"},
		"https://notgithub.com":          {"https://notgithub.com/api/v3", "https://notgithub.com/api/graphql"},
		"https://github.com.example.com": {"https://github.com.example.com/api/v3", "https://github.com.example.com/api/graphql"},
	} {
		g := newGitHub(Config{Name: "github", Type: "github", URL: base, CredentialFile: "x"})
		if g.rest != want[0] || g.graphql != want[1] {
			t.Errorf("%s: %s and %s", base, g.rest, g.graphql)
		}
	}
}

func TestGitHubConfig(t *testing.T) {
	t.Parallel()
	for _, good := range []Config{
		{Name: "github", Type: "github", URL: "https://github.com", CredentialFile: "x"},
		{Name: "github", Type: "github", URL: "https://github.com", CredentialFile: "x", AppID: "Iv23liAbCd"},
		{Name: "github", Type: "github", URL: "https://git.example.com", CredentialFile: "x", AppID: "12345"},
		{Name: "github", Type: "github", URL: "https://api.example.com", CredentialFile: "x"},
		{Name: "gitlab", Type: "gitlab", URL: "https://git.example.com/gitlab", CredentialFile: "x"},
	} {
		if err := good.Validate(); err != nil {
			t.Error(err)
		}
	}
	for want, bad := range map[string]Config{
		"what people open": {Name: "github", Type: "github", URL: "https://api.github.com", CredentialFile: "x"},
		"the API's: give":  {Name: "gitlab", Type: "gitlab", URL: "https://gitlab.com/api/v4", CredentialFile: "x"},
		"url is the API's": {Name: "github", Type: "github", URL: "https://api.acme.ghe.com", CredentialFile: "x"},
		"the API's":        {Name: "github", Type: "github", URL: "https://git.example.com/api/v3", CredentialFile: "x"},
		"for type github":  {Name: "gitea", Type: "gitea", URL: "https://git.example.com", CredentialFile: "x", AppID: "1"},
		"neither":          {Name: "github", Type: "github", URL: "https://github.com", CredentialFile: "x", AppID: "a b"},
	} {
		if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
	all := Config{Name: "GH", Type: "gitlub", URL: "api.github.com", AppID: "a b"}.Validate()
	for _, want := range []string{"name", "type", "url", "appID", "credentialFile"} {
		if all == nil || !strings.Contains(all.Error(), want) {
			t.Errorf("%q is missing in: %v", want, all)
		}
	}
}

func TestAppKey(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8 := func(k any) string {
		b, err := x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: b}))
	}
	if _, err := appProof("1", pkcs8(key), time.Now()); err != nil {
		t.Error(err)
	}
	for name, text := range map[string]string{
		"none": "", "a token": "ghp_secretsecret", "another kind": pkcs8(curve),
		"half": string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: []byte("ghp_secretsecret")})),
	} {
		if _, err := appProof("1", text, time.Now()); !errors.Is(err, ErrCredential) || strings.Contains(err.Error(), "secretsecret") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// What GitHub changes without saying so is seen when all are listed again.
func TestGitHubListsAllAgain(t *testing.T) {
	t.Parallel()
	labels := `[{"name":"preview"}]`
	calls := map[string]int{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls[r.URL.Path]++
		w.Header().Set("ETag", `"same"`)
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.Header.Get("If-None-Match") != "":
			w.WriteHeader(http.StatusNotModified)
		case strings.HasSuffix(r.URL.Path, "/pulls"):
			fmt.Fprint(w, `[{"number":1,"state":"open","updated_at":"2026-11-21T10:00:00Z"}]`)
		default:
			fmt.Fprintf(w, `{"data":{"repository":{"pullRequests":{"totalCount":1,"pageInfo":{"hasNextPage":false},"nodes":[
				{"number":1,"state":"OPEN","updatedAt":"2026-11-21T10:00:00Z","headRefOid":"a","labels":{"nodes":%s}}]}}}}`, labels)
		}
	}))
	t.Cleanup(s.Close)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	g := newGitHub(Config{Name: "github", Type: "github", URL: s.URL, CredentialFile: file})
	list := func() int {
		pulls, err := whole(t, g, "acme/shop")
		if err != nil {
			t.Fatal(err)
		}
		return len(pulls[0].Labels)
	}
	list()
	labels = `[]` // somebody renamed it in the repository
	if n := list(); n != 1 || calls["/api/graphql"] != 1 {
		t.Errorf("%d labels, calls %v", n, calls)
	}
	g.wholeEvery = 0
	if n := list(); n != 0 || calls["/api/graphql"] != 2 {
		t.Errorf("after that: %d labels, calls %v", n, calls)
	}
}

// Proxies and CAs come from the environment, which is read once: by another
// process here.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	if address := os.Getenv("FORGE_TEST_ADDRESS"); address != "" {
		g := newGitHub(Config{Name: "github", Type: "github", URL: address, CredentialFile: os.Getenv("FORGE_TEST_TOKEN")})
		login, err := g.Login(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(os.Stdout, "we are "+login)
		return
	}
	dir := t.TempDir()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(map[string]string{"login": "by-" + r.Host}); err != nil {
			t.Error(err)
		}
	})
	private, proxy := httptest.NewTLSServer(handler), httptest.NewServer(handler)
	t.Cleanup(private.Close)
	t.Cleanup(proxy.Close)
	ca := filepath.Join(dir, "ca.pem")
	for file, content := range map[string][]byte{
		ca: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: private.Certificate().Raw}), filepath.Join(dir, "token"): []byte("x"),
	} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		address string
		env     []string
		want    string // empty: it fails
	}{
		"an unknown CA": {private.URL, nil, ""},
		"a CA bundle":   {private.URL, []string{"SSL_CERT_FILE=" + ca}, "by-127.0.0.1"},
		"a proxy":       {"http://git.example.com", []string{"HTTP_PROXY=" + proxy.URL}, "by-git.example.com"},
	} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestEnvironment$")
		cmd.Env = append(os.Environ(), append(test.env, "FORGE_TEST_ADDRESS="+test.address, "FORGE_TEST_TOKEN="+filepath.Join(dir, "token"))...)
		out, err := cmd.CombinedOutput()
		if (err == nil) != (test.want != "") || !strings.Contains(string(out), test.want) {
			t.Errorf("%s: error %v:\n%s", name, err, out)
		}
	}
}

// TestReadmeForm: the form for an App that README.md leads to asks for what an App
// needs, and for nothing else.
func TestReadmeForm(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, form, _ := strings.Cut(string(readme), "(https://github.com/organizations/ORGANIZATION/settings/apps/new?")
	form, _, _ = strings.Cut(form, ")")
	q, err := url.ParseQuery(form)
	if err != nil {
		t.Fatal(err)
	}
	given := map[string]string{}
	for name := range q {
		if access := q.Get(name); access == "read" || access == "write" {
			given[name] = access
		}
	}
	b, err := json.Marshal(given)
	if err != nil {
		t.Fatal(err)
	}
	var has github.InstallationPermissions
	if err := json.Unmarshal(b, &has); err != nil {
		t.Fatal(err)
	}
	needed := 0
	for _, r := range appRights(&has) {
		if r.Missing != nil {
			t.Errorf("%s: %v", r.Name, r.Missing)
		}
		if r.Unknown == "" {
			needed++
		}
	}
	if needed != len(given) || q.Get("events[]") != "pull_request" || q.Get("public") != "false" {
		t.Errorf("%d rights are needed; the form has %v", needed, q)
	}
}
