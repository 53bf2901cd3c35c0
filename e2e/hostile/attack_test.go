package hostile

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/template"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/seedling-dev/seedling/e2e/platform"
)

const (
	// previewFolder is where the shop's repository has the manifests of previews.
	previewFolder = "deploy/preview"
	outcomeFile   = "attack.yaml"
	// firstFolder holds what is pushed, and Healthy, before the attack is.
	firstFolder   = "first"
	kustomization = "kustomization.yaml"
)

// attack is one folder of attacks.
type attack struct {
	Name string `json:"-"`
	// About says in a sentence what is tried, and why that might work.
	About string `json:"about"`
	// Against is what it is after: a row of docs/threat-model.md.
	Against string `json:"against"`
	// Always is set for those that every run tries.
	Always bool `json:"always"`
	// Objects is what becomes of each object, by Kind/name, or Kind/namespace/name
	// where it names a namespace. A name may end in a star.
	Objects map[string]outcome `json:"objects"`
	// Sync is a sentence that Argo CD says of the whole, where it does not come to
	// objects.
	Sync string `json:"sync"`
	// Submodules are added to the repository: URLs by path.
	Submodules map[string]string `json:"submodules"`
	// Plain says that its files are not built by kustomize, which knows no
	// generateName, but taken as they are.
	Plain bool `json:"plain"`
	// Healthy says that the preview comes up all the same.
	Healthy bool `json:"healthy"`
}

// outcome is what becomes of an object; exactly one field is set. Sentences are
// parts of what is said; alternatives are parted by " | ".
type outcome struct {
	// Refused: it is not made, and Argo CD shows this sentence.
	Refused string `json:"refused"`
	// Unchanged: what is there from before stays, and Argo CD shows this sentence.
	Unchanged string `json:"unchanged"`
	// Some: of those with such a name, so many are made that the others are
	// refused with this sentence.
	Some string `json:"some"`
	// Pods: it is made, and what its controller would make is refused with this
	// sentence, in an event.
	Pods string `json:"pods"`
	// Made: it is made, and does no harm.
	Made bool `json:"made"`
	// AtEnd: it is made when the preview ends, and holds nothing up.
	AtEnd bool `json:"atEnd"`
	// Succeeds: it is a Job that runs to its end.
	Succeeds bool `json:"succeeds"`
}

func (o outcome) set() (n int) {
	for _, is := range []bool{o.Refused != "", o.Unchanged != "", o.Some != "", o.Pods != "", o.Made, o.AtEnd, o.Succeeds} {
		if is {
			n++
		}
	}
	return n
}

// values are what an attack's files may name, between [[ and ]].
type values struct {
	// Preview is the attack's own namespace, Bystander another preview's. Host is
	// the attack's own host.
	Preview, Bystander, Host string
	// Image has a shell, Perl and psql.
	Image string
	// Storage is the address of object storage.
	Storage string
}

// fill fills in one file.
func fill(name string, content []byte, v any) ([]byte, error) {
	parsed, err := template.New(name).Delims("[[", "]]").Option("missingkey=error").Funcs(template.FuncMap{
		"repeat": strings.Repeat,
		"upto": func(n int) (all []int) {
			for i := range n {
				all = append(all, i)
			}
			return all
		},
	}).Parse(string(content))
	if err != nil {
		return nil, err
	}
	var filled bytes.Buffer
	err = parsed.Execute(&filled, v)
	return filled.Bytes(), err
}

// folders are the names of all attacks.
func folders() ([]string, error) {
	entries, err := os.ReadDir("attacks")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	if len(names) == 0 {
		return nil, errors.New("the folder attacks is empty")
	}
	return names, nil
}

// read reads an attack, and the files that its author pushes: those of its folder
// first, if it has one, and then its own.
func read(name string, v values, shopFile func(string) (string, error)) (a attack, first, pushed platform.Change, err error) {
	dir := filepath.Join("attacks", name)
	fail := func(err error) (attack, platform.Change, platform.Change, error) {
		return attack{}, nil, nil, fmt.Errorf("read attack %s: %w", name, err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, outcomeFile))
	if err != nil {
		return fail(err)
	}
	filled, err := fill(outcomeFile, raw, v)
	if err != nil {
		return fail(err)
	}
	if err := yaml.UnmarshalStrict(filled, &a); err != nil {
		return fail(fmt.Errorf("%s: %w", outcomeFile, err))
	}
	a.Name = name
	if pushed, err = files(dir, v, shopFile); err != nil {
		return fail(err)
	}
	if _, err := os.Stat(filepath.Join(dir, firstFolder)); err == nil {
		if first, err = files(filepath.Join(dir, firstFolder), v, shopFile); err != nil {
			return fail(err)
		}
	}
	if a.Plain {
		pushed[previewFolder+"/"+kustomization] = platform.Removed
	}
	return a, first, pushed, a.check()
}

// files are those of a folder, as they are pushed into the preview's.
func files(dir string, v values, shopFile func(string) (string, error)) (platform.Change, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	pushed := platform.Change{}
	var added []string
	for _, e := range entries {
		if e.IsDir() || e.Name() == outcomeFile {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		filled, err := fill(e.Name(), raw, v)
		if err != nil {
			return nil, err
		}
		pushed[previewFolder+"/"+e.Name()] = string(filled)
		if isManifest(e.Name()) {
			added = append(added, "  - "+e.Name()+"\n")
		}
	}
	if _, own := pushed[previewFolder+"/"+kustomization]; !own {
		usual, err := shopFile(previewFolder + "/" + kustomization)
		if err != nil {
			return nil, err
		}
		pushed[previewFolder+"/"+kustomization] = strings.Replace(usual, "resources:\n", "resources:\n"+strings.Join(added, ""), 1)
	}
	return pushed, nil
}

// isManifest says whether a file holds objects: what Argo CD and Helm read for
// themselves does not.
func isManifest(name string) bool {
	return filepath.Ext(name) == ".yaml" && !strings.HasPrefix(name, ".") && name != "Chart.yaml"
}

// check says everything that is wrong with what attack.yaml says.
func (a attack) check() error {
	var wrong []error
	bad := func(format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("attack "+a.Name+": "+format, args...))
	}
	if a.About == "" {
		bad("about: say in a sentence what is tried")
	}
	if a.Against == "" {
		bad("against: name a row of docs/threat-model.md")
	}
	if len(a.Objects) == 0 && a.Sync == "" {
		bad("objects, sync: say what becomes of it")
	}
	for _, key := range slices.Sorted(maps.Keys(a.Objects)) {
		if n := strings.Count(key, "/"); n != 1 && n != 2 {
			bad("objects: %q is neither Kind/name nor Kind/namespace/name", key)
		}
		if n := a.Objects[key].set(); n != 1 {
			bad("objects: %s has %d outcomes, not one", key, n)
		}
		if a.Healthy && (a.Objects[key].Refused != "" || a.Objects[key].Unchanged != "") {
			bad("healthy: a sync that is refused %s does not succeed", key)
		}
	}
	return errors.Join(wrong...)
}

// outcomeOf is what becomes of an object, and by which key.
func (a attack) outcomeOf(u *unstructured.Unstructured) (key string, o outcome, ok bool) {
	name := u.GetName()
	if name == "" {
		name = u.GetGenerateName()
	}
	candidates := []string{u.GetKind() + "/" + u.GetNamespace() + "/" + name}
	if u.GetNamespace() == "" {
		candidates[0] = u.GetKind() + "/" + name
	}
	for _, key := range slices.Sorted(maps.Keys(a.Objects)) {
		prefix, star := strings.CutSuffix(key, "*")
		if slices.Contains(candidates, key) || star && strings.HasPrefix(candidates[0], prefix) {
			return key, a.Objects[key], true
		}
	}
	return "", outcome{}, false
}

// objects builds what is pushed, and returns what the shop does not have.
func objects(pushed platform.Change, shopFile func(string) (string, error)) ([]*unstructured.Unstructured, error) {
	plain := pushed[previewFolder+"/"+kustomization] == platform.Removed
	build := func(change platform.Change) (all []*unstructured.Unstructured, err error) {
		dir, err := os.MkdirTemp("", "seedling-hostile-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		for _, name := range []string{kustomization, "postgres.yaml"} {
			usual, err := shopFile(previewFolder + "/" + name)
			if err != nil {
				return nil, err
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(usual), 0o600); err != nil {
				return nil, err
			}
		}
		for path, content := range change {
			file := filepath.Join(dir, strings.TrimPrefix(path, previewFolder+"/"))
			if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
				return nil, err
			}
			if plain && content != platform.Removed && isManifest(filepath.Base(file)) {
				found, err := platform.ReadManifests(file)
				if err != nil {
					return nil, err
				}
				all = append(all, found...)
			}
		}
		if plain && change != nil {
			return all, nil
		}
		return platform.BuildFolder(dir)
	}
	usual, err := build(nil)
	if err != nil {
		return nil, err
	}
	all, err := build(pushed)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(u *unstructured.Unstructured) bool {
		return slices.ContainsFunc(usual, func(s *unstructured.Unstructured) bool {
			return s.GetKind() == u.GetKind() && s.GetName() == u.GetName() && s.GetNamespace() == u.GetNamespace()
		})
	}), nil
}

// match says whether a text has one of the alternatives in it.
func match(text, alternatives string) bool {
	return slices.ContainsFunc(strings.Split(alternatives, " | "), func(words string) bool { return strings.Contains(text, words) })
}

// Every folder says what becomes of each of its objects, and the threat model has
// a row for it. It needs no cluster.
func TestFolders(t *testing.T) {
	t.Parallel()
	root, err := platform.Root()
	if err != nil {
		t.Fatal(err)
	}
	model, err := os.ReadFile(filepath.Join(root, "docs", "threat-model.md"))
	if err != nil {
		t.Fatal(err)
	}
	shopFile := func(path string) (string, error) {
		raw, err := os.ReadFile(filepath.Join(root, "e2e", "shop", path))
		return string(raw), err
	}
	names, err := folders()
	if err != nil {
		t.Fatal(err)
	}
	v := values{
		Preview: "preview-shop-2-00000000aa", Bystander: "preview-shop-1-00000000aa",
		Host: "preview-shop-2-00000000aa.previews.example.com", Image: "example.com/image:1", Storage: "192.0.2.1",
	}
	always := 0
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			a, _, pushed, err := read(name, v, shopFile)
			if err != nil {
				t.Fatal(err)
			}
			if a.Always {
				always++
			}
			if !slices.ContainsFunc(strings.Split(string(model), "\n"), func(line string) bool {
				return strings.HasPrefix(line, "| "+a.Against+" |") && strings.Contains(line, "`"+name+"`")
			}) {
				t.Errorf("docs/threat-model.md has no row %q that names `%s`", a.Against, name)
			}
			if len(a.Objects) == 0 {
				return // Argo CD says something of the whole; nothing can be built of it
			}
			all, err := objects(pushed, shopFile)
			if err != nil {
				t.Fatal(err)
			}
			used := map[string]bool{}
			for _, u := range all {
				key, _, ok := a.outcomeOf(u)
				used[key] = true
				if !ok && a.Sync == "" {
					t.Errorf("%s does not say what becomes of %s %s/%s", outcomeFile, u.GetKind(), u.GetNamespace(), u.GetName()+u.GetGenerateName())
				}
			}
			for key := range a.Objects {
				if !used[key] {
					t.Errorf("%s speaks of %s, which no file has", outcomeFile, key)
				}
			}
		})
	}
	if always == 0 {
		t.Error("no attack is tried always")
	}
	for _, name := range named(string(model)) {
		if !slices.Contains(names, name) {
			t.Errorf("docs/threat-model.md names the attack `%s`, and there is no such folder", name)
		}
	}
}

// named are the folders that the threat model names: in the last column of its
// table of what manifests may do, in backquotes, and no test.
func named(model string) (names []string) {
	_, table, _ := strings.Cut(model, "| to get at |")
	table, _, _ = strings.Cut(table, "\n\n")
	for line := range strings.Lines(table) {
		columns := strings.Split(strings.TrimSuffix(strings.TrimSpace(line), "|"), "|")
		for i, part := range strings.Split(columns[len(columns)-1], "`") {
			if i%2 == 1 && !strings.HasPrefix(part, "Test") {
				names = append(names, part)
			}
		}
	}
	return names
}
