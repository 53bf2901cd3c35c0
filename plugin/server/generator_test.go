package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	argoplugin "github.com/argoproj/argo-cd/v2/applicationset/services/plugin"
	argov1alpha1 "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/gin-gonic/gin"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/seedling-dev/seedling/plugin/preview"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	m.Run()
}

// answers is an Answerer.
type answers func(set string, parameters map[string]json.RawMessage) ([]byte, error)

func (a answers) Answer(_ context.Context, set string, parameters map[string]json.RawMessage) ([]byte, error) {
	return a(set, parameters)
}

var quiet = slog.New(slog.DiscardHandler)

func write(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func serveGenerator(t *testing.T, a answers) (Generator, string) {
	t.Helper()
	dir := t.TempDir()
	g := Generator{
		Tokens:  Tokens{Current: write(t, filepath.Join(dir, "token"), "good\n"), Previous: filepath.Join(dir, "token-previous")},
		Answers: a, Ready: func() error { return nil }, Log: quiet,
	}
	s := httptest.NewServer(g.Handler())
	t.Cleanup(s.Close)
	return g, s.URL
}

const request = `{"applicationSetName":"previews","input":{"parameters":{"forge":"gitea","repo":"acme/shop"}}}`

func one(string, map[string]json.RawMessage) ([]byte, error) {
	return []byte(`{"output":{"parameters":[{"number":"1"}]}}`), nil
}

// TestGeneratorNeverShort: everything that is not the whole list is not a 2xx,
// because Argo CD takes a 2xx for the whole list whatever it holds.
func TestGeneratorNeverShort(t *testing.T) {
	t.Parallel()
	fails := func(err error) answers {
		return func(string, map[string]json.RawMessage) ([]byte, error) { return nil, err }
	}
	says := func(body string) answers {
		return func(string, map[string]json.RawMessage) ([]byte, error) { return []byte(body), nil }
	}
	tests := []struct {
		name    string
		answers answers
		method  string
		path    string
		token   string
		body    string
		status  int
		says    string
	}{
		{name: "good", answers: one, status: 200},
		{name: "an empty list that is meant", answers: says(`{"output":{"parameters":[]}}`), status: 200},
		{name: "a newer Argo CD", answers: one, body: `{"applicationSetName":"previews","applicationSetNamespace":"argocd","input":{"parameters":{}}}`, status: 200},

		{name: "wrong token", answers: one, token: "Bearer bad", status: 401, says: textUnauthorized},
		{name: "no token", answers: one, token: "-", status: 401, says: textUnauthorized},
		{name: "empty token", answers: one, token: "Bearer ", status: 401, says: textUnauthorized},
		{name: "unresolved token", answers: one, token: "Bearer $seedling-plugin-token:token", status: 401, says: textUnauthorized},
		{name: "another scheme", answers: one, token: "Basic good", status: 401, says: textUnauthorized},
		{name: "prefix of the token", answers: one, token: "Bearer goo", status: 401, says: textUnauthorized},

		{name: "GET", answers: one, method: http.MethodGet, status: 405},
		{name: "HEAD", answers: one, method: http.MethodHead, status: 405},
		{name: "another path", answers: one, path: "/", status: 404},
		{name: "a slash more", answers: one, path: GeneratorPath + "/", status: 404},
		{name: "no body", answers: one, body: " ", status: 400, says: textNoJSON},
		{name: "no JSON", answers: one, body: "{", status: 400, says: textNoJSON},
		{name: "two", answers: one, body: request + request, status: 400, says: textNoJSON},
		{name: "no name", answers: one, body: `{}`, status: 400, says: textNoName},
		{name: "null", answers: one, body: `null`, status: 400, says: textNoName},
		{name: "over 1 MiB", answers: one, body: `{"applicationSetName":"` + strings.Repeat("x", 1<<20) + `"}`, status: 400, says: textTooLarge},

		{name: "bad input", answers: fails(errors.Join(&preview.InputError{Field: "ttl", Problem: "must be a time"})), status: 400, says: "input field ttl must be a time"},
		{name: "nobody asks", answers: fails(preview.ErrNotAsked), status: 400, says: textNotAsked},
		{name: "not listed", answers: fails(preview.ErrUnlisted), status: 503, says: textNotReady},
		{name: "stale", answers: fails(fmt.Errorf("%w: 5m1s", preview.ErrStale)), status: 503, says: textNotReady},
		{name: "some error", answers: fails(errors.New("secret detail")), status: 503, says: textNotReady},
		{name: "panic", answers: func(string, map[string]json.RawMessage) ([]byte, error) { panic("secret detail") }, status: 500, says: textPanic},

		{name: "nothing to say", answers: says(""), status: 503, says: textNotReady},
		{name: "null answer", answers: says("null"), status: 503, says: textNotReady},
		{name: "object", answers: says("{}"), status: 503, says: textNotReady},
		{name: "no list", answers: says(`{"output":{}}`), status: 503, says: textNotReady},
		{name: "null list", answers: says(`{"output":{"parameters":null}}`), status: 503, says: textNotReady},
		{name: "wrong nesting", answers: says(`{"parameters":[{"number":"1"}]}`), status: 503, says: textNotReady},
		{name: "cut", answers: says(`{"output":{"parameters":[{"number":"1"}`), status: 503, says: textNotReady},
		{name: "numbers", answers: says(`{"output":{"parameters":[{"number":1}]}}`), status: 503, says: textNotReady},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, url := serveGenerator(t, test.answers)
			method, path, body := http.MethodPost, GeneratorPath, request
			if test.method != "" {
				method = test.method
			}
			if test.path != "" {
				path = test.path
			}
			if test.body != "" {
				body = test.body
			}
			r, err := http.NewRequestWithContext(t.Context(), method, url+path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			switch test.token {
			case "":
				r.Header.Set("Authorization", "Bearer good")
			case "-":
			default:
				r.Header.Set("Authorization", test.token)
			}
			res, err := (&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			got, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != test.status || test.says != "" && string(got) != test.says {
				t.Errorf("%d %s, want %d %s", res.StatusCode, got, test.status, test.says)
			}
			if strings.Contains(string(got), "secret") {
				t.Errorf("the answer quotes: %s", got)
			}
		})
	}
}

func TestGeneratorNotReady(t *testing.T) {
	t.Parallel()
	g, _ := serveGenerator(t, one)
	g.Ready = func() error { return errors.New("does not lead") }
	r := httptest.NewRequest(http.MethodPost, GeneratorPath, strings.NewReader(request))
	r.Header.Set("Authorization", "Bearer good")
	w := httptest.NewRecorder()
	g.Handler().ServeHTTP(w, r)
	if w.Code != http.StatusServiceUnavailable || w.Body.String() != textNotReady {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestArgoCDUnderstands asks with Argo CD's own client.
func TestArgoCDUnderstands(t *testing.T) {
	t.Parallel()
	var asked map[string]json.RawMessage
	_, url := serveGenerator(t, func(set string, p map[string]json.RawMessage) ([]byte, error) {
		asked = p
		if set != "previews" {
			return nil, preview.ErrNotAsked
		}
		return []byte(`{"output":{"parameters":[{"number":"1","head_sha":"abc"},{"number":"2","head_sha":"def"}]}}`), nil
	})
	parameters := argov1alpha1.PluginParameters{
		"forge":   apiextensionsv1.JSON{Raw: []byte(`"gitea"`)},
		"filters": apiextensionsv1.JSON{Raw: []byte(`{"drafts":false}`)},
	}
	client, err := argoplugin.NewPluginService(t.Context(), "previews", url, "good", 5)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.List(t.Context(), parameters)
	if err != nil {
		t.Fatal(err)
	}
	if got := res.Output.Parameters; len(got) != 2 || got[1]["number"] != "2" || got[1]["head_sha"] != "def" {
		t.Errorf("Argo CD read %v", got)
	}
	if !bytes.Equal(asked["filters"], []byte(`{"drafts":false}`)) {
		t.Errorf("Argo CD asked with %v", asked)
	}
	client, err = argoplugin.NewPluginService(t.Context(), "another", url, "good", 5)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.List(t.Context(), parameters); err == nil {
		t.Error("a refusal is no error to Argo CD")
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, current, previous, presented string
		allowed                            bool
	}{
		{"current", "new", "old", "new", true},
		{"previous", "new", "old", "old", true},
		{"neither", "new", "old", "other", false},
		{"no previous file", "new", "-", "new", true},
		{"empty previous", "new", "", "", false},
		{"empty current", "", "", "", false},
		{"a dollar in the file", "$x", "", "$x", false},
		{"space around", " new \n", "", "new", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			tokens := Tokens{Current: write(t, filepath.Join(dir, "a"), test.current), Previous: filepath.Join(dir, "b")}
			if test.previous != "-" {
				write(t, tokens.Previous, test.previous)
			}
			r := httptest.NewRequest(http.MethodPost, "/", nil)
			r.Header.Set("Authorization", "Bearer "+test.presented)
			if got, err := tokens.allow(r); err != nil || got != test.allowed {
				t.Errorf("%v, error %v", got, err)
			}
		})
	}
	t.Run("rotation", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		tokens := Tokens{Current: write(t, filepath.Join(dir, "a"), "old")}
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Header.Set("Authorization", "Bearer new")
		if ok, _ := tokens.allow(r); ok {
			t.Error("allowed before")
		}
		write(t, tokens.Current, "new")
		if ok, _ := tokens.allow(r); !ok {
			t.Error("not allowed after")
		}
	})
	t.Run("check", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		for content, good := range map[string]bool{"x": true, "": false, "$secret:key": false} {
			if err := (Tokens{Current: write(t, filepath.Join(dir, "a"), content)}).Check(); (err == nil) != good {
				t.Errorf("%q: %v", content, err)
			}
		}
	})
}
