package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template"
	"time"

	argov1alpha1 "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"sigs.k8s.io/yaml"

	"github.com/seedling-dev/seedling/plugin/argocd"
	"github.com/seedling-dev/seedling/plugin/forge"
	"github.com/seedling-dev/seedling/plugin/forge/forgetest"
	"github.com/seedling-dev/seedling/plugin/preview"
	"github.com/seedling-dev/seedling/plugin/server"
)

// example is an ApplicationSet of the folder of examples.
type example struct {
	name    string
	set     argocd.ApplicationSet
	content map[string]any
	inputs  []map[string]json.RawMessage
}

// examples are all that there are, and the ApplicationSet to copy.
func examples(t *testing.T) []example {
	t.Helper()
	names, err := filepath.Glob("../applicationsets/examples/*.yaml")
	if err != nil || len(names) < len(forge.Types()) {
		t.Fatalf("examples %v, error %v", names, err)
	}
	var all []example
	for _, name := range append(names, "../applicationsets/previews.yaml") {
		e := example{name: strings.TrimSuffix(filepath.Base(name), ".yaml")}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(yaml.UnmarshalStrict(text, &argov1alpha1.ApplicationSet{}), yaml.Unmarshal(text, &e.set)); err != nil {
			t.Fatalf("%s: %v", e.name, err)
		}
		if err := yaml.Unmarshal(text, &e.content); err != nil {
			t.Fatalf("%s: %v", e.name, err)
		}
		if e.inputs = server.Inputs(&e.set, "seedling-plugin"); len(e.inputs) == 0 {
			t.Fatalf("%s has no input", e.name)
		}
		all = append(all, e)
	}
	return all
}

// answers are what the plugin gives for an example, of a forge that has a pull
// request for each of its inputs.
func (e example) answers(t *testing.T) []map[string]string {
	t.Helper()
	kind := forgetest.Gitea()
	w := &forgetest.World{PageSize: 50, Users: map[string]string{"maintainer": "write"}}
	w.Pulls = map[int64]*forgetest.Pull{}
	for i, target := range []string{"main", "release/1"}[:len(e.inputs)] {
		w.Pulls[int64(i+1)] = &forgetest.Pull{
			Number: int64(i + 1), Title: "Change", TargetBranch: target, HeadRepository: forgetest.Repository, Updated: forgetest.Start,
			Labels: []string{"preview", forge.Approved}, Files: []forgetest.File{{Path: "services/api/main.go"}},
			Events: []forgetest.Event{{Label: "preview", By: "maintainer", Added: true, At: forgetest.Start}, {Label: forge.Approved, By: "maintainer", Added: true, At: forgetest.Start}},
		}
	}
	w.Commits = []forgetest.Commit{
		{SHA: strings.Repeat("c", 40), At: forgetest.Start.Add(-time.Hour), Files: []string{"services/web/page.ts"}},
		{SHA: strings.Repeat("d", 40), At: forgetest.Start.Add(-2 * time.Hour), Files: []string{"services/jobs/main.go", "libs/x.go"}},
	}
	forges := map[string]forge.Forge{}
	for _, parameters := range e.inputs {
		in, err := preview.ParseInput(parameters)
		if err != nil {
			t.Fatalf("%s: %v", e.name, err)
		}
		w.Statuses = append(w.Statuses, forgetest.Status{Context: in.WaitForStatus, State: "success"})
		for _, p := range in.Paths {
			w.Statuses = append(w.Statuses, forgetest.Status{Context: p.WaitForStatus, State: "success"})
		}
		w.Repository, forges[in.Forge] = in.Repo, nil
	}
	for _, p := range w.Pulls {
		p.HeadRepository, p.Repository = w.Repository, w.Repository
	}
	s := httptest.NewServer(w.Handler(kind))
	t.Cleanup(s.Close)
	token := write(t, t.TempDir(), "token", "good")
	for name := range forges {
		f, err := forge.New(forge.Config{Name: name, Type: kind.Type, URL: s.URL, CredentialFile: token})
		if err != nil {
			t.Fatal(err)
		}
		forges[name] = f
	}
	renderings, err := preview.Render(t.Context(), forges, e.set.Name, e.inputs)
	if err != nil {
		t.Fatalf("%s: %v", e.name, err)
	}
	var all []map[string]string
	for _, r := range renderings {
		var body struct {
			Output struct {
				Parameters []map[string]string `json:"parameters"`
			} `json:"output"`
		}
		if err := json.Unmarshal(r.Body, &body); err != nil {
			t.Fatal(err)
		}
		if len(body.Output.Parameters) == 0 {
			t.Errorf("%s: an input has no pull request: %v", e.name, r.Left)
		}
		all = append(all, body.Output.Parameters...)
	}
	return all
}

// fill fills in the templates of a value, as Argo CD does with goTemplate and
// missingkey=error, and says which keys each path of it uses.
func fill(t *testing.T, at string, value any, values map[string]string, uses map[string][]string) any {
	t.Helper()
	switch v := value.(type) {
	case map[string]any:
		filled := map[string]any{}
		for key, inner := range v {
			filled[key] = fill(t, at+"."+key, inner, values, uses)
		}
		return filled
	case []any:
		var filled []any
		for _, inner := range v {
			filled = append(filled, fill(t, at, inner, values, uses))
		}
		return filled
	case string:
		tmpl, err := template.New(at).Option("missingkey=error").Parse(v)
		if err != nil {
			t.Fatalf("%s: %v", at, err)
		}
		var b strings.Builder
		if err := tmpl.Execute(&b, values); err != nil {
			t.Errorf("the plugin does not give what is used: %v", err)
		}
		for _, use := range regexp.MustCompile(`\.(\w+)`).FindAllStringSubmatch(strings.Join(regexp.MustCompile(`\{\{[^}]*\}\}`).FindAllString(v, -1), " "), -1) {
			uses[at] = append(uses[at], use[1])
		}
		return b.String()
	}
	return value
}

// mayStandInSource says whether a value is the same for as long as its preview
// has one head: another would sync every preview whenever it changes.
func mayStandInSource(key string) bool {
	return slices.Contains([]string{"head_sha", "head_short_sha", "namespace", "app_name", "number", "seed", "preview_host", "preview_url"}, key) ||
		strings.HasPrefix(key, "changed_") || strings.HasPrefix(key, "image_tag_")
}

// TestExamples: each kind of forge has an example, and the plugin takes the
// inputs of all. Their templates are filled in with what it really answers, and
// have nothing in a source that changes by itself.
func TestExamples(t *testing.T) {
	t.Parallel()
	kinds := map[string]bool{}
	for _, e := range examples(t) {
		for _, parameters := range e.inputs {
			in, err := preview.ParseInput(parameters)
			if err != nil {
				t.Errorf("%s: %v", e.name, err)
			}
			if strings.HasPrefix(e.name, in.Forge) {
				kinds[in.Forge] = true
			}
		}
		spec, _ := e.content["spec"].(map[string]any)
		previews := e.answers(t)
		if len(previews) == 0 {
			t.Errorf("%s has no preview", e.name)
		}
		for _, values := range previews {
			uses := map[string][]string{}
			filled, err := json.Marshal(fill(t, e.name, spec["template"], values, uses))
			if err != nil {
				t.Fatal(err)
			}
			var app argov1alpha1.ApplicationSetTemplate
			if err := yaml.UnmarshalStrict(filled, &app); err != nil {
				t.Errorf("%s: %v", e.name, err)
			}
			if app.Name != values["app_name"] || app.Spec.Destination.Namespace != values["namespace"] || len(app.Spec.Sources) != 2 || app.Spec.Sources[0].TargetRevision != values["head_sha"] {
				t.Errorf("%s: %s", e.name, filled)
			}
			for at, keys := range uses {
				for _, key := range keys {
					if strings.Contains(at, ".spec.") && !mayStandInSource(key) {
						t.Errorf("%s uses %s, which changes by itself", at, key)
					}
				}
			}
		}
	}
	for _, kind := range forge.Types() {
		if !kinds[kind] {
			t.Errorf("forge %s has no example", kind)
		}
	}
}

// mark is before an input that an example names and does not ask for.
var mark = regexp.MustCompile(`(?m)^( {12,14})# ([a-zA-Z]+)(: .*)$`)

// everything is what a forge's example asks for with all that it names.
func (e example) everything(t *testing.T, inputs []string) map[string]json.RawMessage {
	t.Helper()
	text, err := os.ReadFile("../applicationsets/examples/" + e.name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	text = mark.ReplaceAllFunc(text, func(line []byte) []byte {
		m := mark.FindSubmatch(line)
		if name := string(m[2]); !slices.Contains(inputs, name) && !slices.Contains(inputs, "filters."+name) {
			return line
		}
		return []byte(string(m[1]) + string(m[2]) + string(m[3]))
	})
	var set argocd.ApplicationSet
	if err := yaml.UnmarshalStrict(text, &argov1alpha1.ApplicationSet{}); err != nil {
		t.Fatalf("%s: %v", e.name, err)
	}
	if err := yaml.Unmarshal(text, &set); err != nil {
		t.Fatal(err)
	}
	return server.Inputs(&set, "seedling-plugin")[0]
}

// configured is a forge of a kind, as its example needs it.
func configured(t *testing.T, kind string) forge.Forge {
	t.Helper()
	dir := t.TempDir()
	c := forge.Config{Name: kind, Type: kind, URL: "https://git.example.com", CredentialFile: write(t, dir, "token", "good"), WebhookSecretFile: write(t, dir, "webhook", "whsec_Z29vZA==")}
	switch kind {
	case "bitbucket":
		c.User = "seedling@example.com"
	case "azure-devops":
		c.WritersGroup = `[shop]\Contributors`
	}
	f, err := forge.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestExamplesAreComplete: the example of each forge names every input that is
// possible there and no other, and the forge takes all of them at once.
func TestExamplesAreComplete(t *testing.T) {
	t.Parallel()
	inputs := inputNames()
	for _, e := range examples(t) {
		if !slices.Contains(forge.Types(), e.name) {
			continue
		}
		f := configured(t, e.name)
		parameters := e.everything(t, inputs)
		if _, err := preview.ReadInput(map[string]forge.Forge{e.name: f}, parameters); err != nil {
			t.Errorf("%s: %v", e.name, err)
		}
		has := func(name string) bool {
			parent, key, ok := strings.Cut(name, ".")
			raw, there := parameters[parent]
			if !ok || !there {
				return there
			}
			var inner map[string]json.RawMessage
			return json.Unmarshal(raw, &inner) == nil && inner[key] != nil
		}
		for _, name := range inputs {
			possible := true
			switch name {
			case "resetLabel", "keepLabel", "keepFor", "wakeLabel":
				possible = forge.HasLabels(f)
			case "filters.forks":
				possible = forge.CheckForks(f) == ""
			case "deployments":
				possible = forge.CheckDeployments(f) == ""
			}
			if has(name) != possible {
				t.Errorf("%s has input %s: %v; it is possible there: %v", e.name, name, has(name), possible)
			}
		}
	}
}

// inputNames are those of all inputs that the plugin takes.
func inputNames() []string {
	var names []string
	add := func(prefix string, of reflect.Type) {
		for field := range of.Fields() {
			if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "" && name != "filters" {
				names = append(names, prefix+name)
			}
		}
	}
	add("", reflect.TypeFor[preview.Input]())
	add("filters.", reflect.TypeFor[preview.Filters]())
	return names
}

// TestMonorepo: a pull request that touches one of three services has its own
// image of that one, and the target branch's of the others.
func TestMonorepo(t *testing.T) {
	t.Parallel()
	for _, e := range examples(t) {
		if e.name != "monorepo" {
			continue
		}
		got := map[string]string{}
		for key, value := range e.answers(t)[0] {
			if strings.HasPrefix(key, "changed_") || strings.HasPrefix(key, "image_tag_") {
				got[key] = value
			}
		}
		want := map[string]string{
			"changed_api": "true", "image_tag_api": forgetest.SHA[:8], "changed_web": "false", "image_tag_web": "cccccccc",
			"changed_jobs": "false", "image_tag_jobs": "dddddddd",
		}
		if !maps.Equal(got, want) {
			t.Errorf("%v", got)
		}
		return
	}
	t.Error("there is no such example")
}

// TestValuesAreDocumented: the README names the values that the plugin gives, and
// no other, and the inputs that it takes, and no other.
func TestValuesAreDocumented(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := string(b)
	_, values, _ := strings.Cut(readme, "Values, all strings: `")
	values, rest, _ := strings.Cut(values, "`")
	named := strings.Fields(values)
	if !strings.Contains(rest[:200], "`changed_<name> image_tag_<name>`") {
		t.Error("it does not name the values of paths")
	}
	_, table, _ := strings.Cut(readme, "| parameter | default | meaning |\n|---|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	var inputs []string
	for row := range strings.Lines(table) {
		cell := strings.Split(row, "|")[1]
		parent := ""
		for _, m := range regexp.MustCompile("`([a-zA-Z.]+)`").FindAllStringSubmatch(cell, -1) {
			name := m[1]
			if strings.HasPrefix(name, ".") {
				name = parent + name
			}
			parent, _, _ = strings.Cut(name, ".")
			inputs = append(inputs, name)
		}
	}
	for _, e := range examples(t) {
		for _, got := range e.answers(t) {
			var given []string
			for key := range got {
				if !strings.HasPrefix(key, "changed_") && !strings.HasPrefix(key, "image_tag_") {
					given = append(given, key)
				}
			}
			slices.Sort(given)
			slices.Sort(named)
			if !slices.Equal(given, named) {
				t.Fatalf("the README names %v, and given is %v", named, given)
			}
		}
		for _, parameters := range e.inputs {
			for name, raw := range parameters {
				var inner map[string]json.RawMessage
				if name == "filters" && json.Unmarshal(raw, &inner) == nil {
					for key := range inner {
						if !slices.Contains(inputs, "filters."+key) {
							t.Errorf("%s has input filters.%s, and the README has not", e.name, key)
						}
					}
				} else if !slices.Contains(inputs, name) {
					t.Errorf("%s has input %s, and the README has not", e.name, name)
				}
			}
		}
	}
	for _, name := range inputNames() {
		if !slices.Contains(inputs, name) {
			t.Errorf("the plugin takes input %s, and the README has it not", name)
		}
	}
	for _, name := range inputs {
		parameters := map[string]json.RawMessage{}
		if parent, key, ok := strings.Cut(name, "."); ok {
			parameters[parent] = json.RawMessage(fmt.Sprintf(`{%q: []}`, key))
		} else {
			parameters[name] = json.RawMessage(`[]`)
		}
		if _, err := preview.ParseInput(parameters); err == nil || strings.Contains(err.Error(), "field "+name+" is unknown") {
			t.Errorf("the README has input %s: %v", name, err)
		}
	}
}

// TestConfigurationForGitHub: what the first README has of config.yaml is what the
// plugin reads, with the files that step 3 makes.
func TestConfigurationForGitHub(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(readme), "```yaml\n# plugin/config.yaml ends with\n")
	block, _, _ = strings.Cut(block, "```")
	var cfg Config
	if err := yaml.UnmarshalStrict([]byte(block), &cfg); err != nil || len(cfg.Forges) != 1 {
		t.Fatalf("%v: %s", err, block)
	}
	f := cfg.Forges[0]
	for _, file := range []string{f.CredentialFile, f.WebhookSecretFile} {
		if _, ok := mounted[filepath.Dir(file)]; !ok {
			t.Errorf("manifests/plugin mounts nothing at %s", file)
		}
	}
	for _, file := range []string{"plugin-forges/github-app.pem", "plugin-forges/$forge-webhook"} {
		if !strings.Contains(string(readme), file) {
			t.Errorf("step 3 makes no %s", file)
		}
	}
	f.CredentialFile = write(t, t.TempDir(), "github-app.pem", "not looked at yet")
	if _, err := forge.New(f); err != nil || f.Name != "github" || filepath.Base(f.WebhookSecretFile) != "github-webhook" {
		t.Errorf("%+v: %v", f, err)
	}
}
