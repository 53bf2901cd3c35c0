package hostile

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/seedling-dev/seedling/e2e/platform"
	"github.com/seedling-dev/seedling/plugin/fences"
)

// previewFolder is where the shop's repository has the manifests of previews.
const previewFolder = "deploy/preview"

// attack is one of the folders of plugin/fences/attacks.
type attack struct{ fences.Attack }

// read reads an attack, and the files that its author pushes: those of its folder
// first, if it has one, and then its own.
func read(name string, v fences.Values, shopFile func(string) (string, error)) (a attack, first, pushed platform.Change, err error) {
	fail := func(err error) (attack, platform.Change, platform.Change, error) {
		return attack{}, nil, nil, fmt.Errorf("read attack %s: %w", name, err)
	}
	if a.Attack, err = fences.Read(name, v); err != nil {
		return fail(err)
	}
	if pushed, err = files(name, "", v, shopFile); err != nil {
		return fail(err)
	}
	if first, err = files(name, fences.First, v, shopFile); err != nil {
		return fail(err)
	}
	if a.Plain {
		pushed[previewFolder+"/"+fences.Kustomization] = platform.Removed
	}
	return a, first, pushed, nil
}

// files are those of an attack, or of a folder inside of it, as they are pushed
// into the preview's. Where there are none it is nil.
func files(name, inside string, v fences.Values, shopFile func(string) (string, error)) (platform.Change, error) {
	filled, err := fences.Files(name, inside, v)
	if err != nil || filled == nil {
		return nil, err
	}
	pushed := platform.Change{}
	var added []string
	for _, file := range slices.Sorted(maps.Keys(filled)) {
		pushed[previewFolder+"/"+file] = filled[file]
		if fences.IsManifest(file) {
			added = append(added, "  - "+file+"\n")
		}
	}
	if _, own := filled[fences.Kustomization]; !own {
		usual, err := shopFile(previewFolder + "/" + fences.Kustomization)
		if err != nil {
			return nil, err
		}
		pushed[previewFolder+"/"+fences.Kustomization] = strings.Replace(usual, "resources:\n", "resources:\n"+strings.Join(added, ""), 1)
	}
	return pushed, nil
}

// objects builds what is pushed, and returns what the shop does not have.
func objects(pushed platform.Change, shopFile func(string) (string, error)) ([]*unstructured.Unstructured, error) {
	plain := pushed[previewFolder+"/"+fences.Kustomization] == platform.Removed
	build := func(change platform.Change) (all []*unstructured.Unstructured, err error) {
		dir, err := os.MkdirTemp("", "seedling-hostile-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		for _, name := range []string{fences.Kustomization, "postgres.yaml"} {
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
			if plain && content != platform.Removed && fences.IsManifest(filepath.Base(file)) {
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
	names, err := fences.Names()
	if err != nil {
		t.Fatal(err)
	}
	v := fences.Values{
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
				key, _, ok := a.OutcomeOf(u)
				used[key] = true
				if !ok && a.Sync == "" {
					t.Errorf("attack.yaml does not say what becomes of %s %s/%s", u.GetKind(), u.GetNamespace(), u.GetName()+u.GetGenerateName())
				}
			}
			for key := range a.Objects {
				if !used[key] {
					t.Errorf("attack.yaml speaks of %s, which no file has", key)
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
