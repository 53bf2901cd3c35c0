package fences

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"text/template"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// Beginning with a dot are files that Argo CD reads.
//
//go:embed all:attacks
var attacks embed.FS

const (
	folder      = "attacks"
	outcomeFile = "attack.yaml"
	// Kustomization is the file by which a folder says for itself what is built.
	Kustomization = "kustomization.yaml"
	// First is a folder inside of an attack: what is pushed, and comes up, before it.
	First = "first"
)

// Attack is what attack.yaml of a folder says.
type Attack struct {
	Name string `json:"-"`
	// About says in a sentence what is tried, and why that might work.
	About string `json:"about"`
	// Against is what it is after: a row of docs/threat-model.md.
	Against string `json:"against"`
	// Always is set for those that every run of the tests tries.
	Always bool `json:"always"`
	// Objects is what becomes of each object, by Kind/name, or Kind/namespace/name
	// where it names a namespace. A name may end in a star.
	Objects map[string]Outcome `json:"objects"`
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

// Outcome is what becomes of an object; exactly one field is set. Sentences are
// parts of what is said; alternatives are parted by " | ".
type Outcome struct {
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

func (o Outcome) set() (n int) {
	for _, is := range []bool{o.Refused != "", o.Unchanged != "", o.Some != "", o.Pods != "", o.Made, o.AtEnd, o.Succeeds} {
		if is {
			n++
		}
	}
	return n
}

// Values are what an attack's files may name, between [[ and ]].
type Values struct {
	// Preview is the attack's own namespace, Bystander another preview's. Host is
	// the attack's own host.
	Preview, Bystander, Host string
	// Image has a shell, Perl and psql.
	Image string
	// Storage is the address of object storage.
	Storage string
}

// Fill fills in one file, whose templates stand between [[ and ]].
func Fill(name string, content []byte, v any) ([]byte, error) {
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

// Names are those of all attacks.
func Names() ([]string, error) {
	entries, err := attacks.ReadDir(folder)
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

// Read reads what an attack's folder says of it.
func Read(name string, v Values) (Attack, error) {
	raw, err := attacks.ReadFile(path.Join(folder, name, outcomeFile))
	if err != nil {
		return Attack{}, err
	}
	filled, err := Fill(outcomeFile, raw, v)
	if err != nil {
		return Attack{}, err
	}
	var a Attack
	if err := yaml.UnmarshalStrict(filled, &a); err != nil {
		return Attack{}, fmt.Errorf("%s: %w", outcomeFile, err)
	}
	a.Name = name
	return a, a.check()
}

// Files are those that an attack's author pushes, filled in, by name; or those of a
// folder inside of it, which there may not be.
func Files(name, inside string, v Values) (map[string]string, error) {
	dir := path.Join(folder, name, inside)
	entries, err := attacks.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) && inside != "" {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	for _, e := range entries {
		if e.IsDir() || e.Name() == outcomeFile {
			continue
		}
		raw, err := attacks.ReadFile(path.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		filled, err := Fill(e.Name(), raw, v)
		if err != nil {
			return nil, err
		}
		files[e.Name()] = string(filled)
	}
	return files, nil
}

// IsManifest says whether a file holds objects: what Argo CD and Helm read for
// themselves does not.
func IsManifest(name string) bool {
	return path.Ext(name) == ".yaml" && !strings.HasPrefix(name, ".") && name != "Chart.yaml"
}

// check says everything that is wrong with what attack.yaml says.
func (a Attack) check() error {
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

// OutcomeOf is what becomes of an object, and by which key.
func (a Attack) OutcomeOf(u *unstructured.Unstructured) (key string, o Outcome, ok bool) {
	is := nameOf(u)
	for _, key := range slices.Sorted(maps.Keys(a.Objects)) {
		prefix, star := strings.CutSuffix(key, "*")
		if key == is || star && strings.HasPrefix(is, prefix) {
			return key, a.Objects[key], true
		}
	}
	return "", Outcome{}, false
}

// nameOf is Kind/name, or Kind/namespace/name where an object names a namespace.
func nameOf(u *unstructured.Unstructured) string {
	name := u.GetName()
	if name == "" {
		name = u.GetGenerateName()
	}
	if u.GetNamespace() == "" {
		return u.GetKind() + "/" + name
	}
	return u.GetKind() + "/" + u.GetNamespace() + "/" + name
}

// Match says whether a text has one of the alternatives in it.
func Match(text, alternatives string) bool {
	return slices.ContainsFunc(strings.Split(alternatives, " | "), func(words string) bool { return strings.Contains(text, words) })
}

// objectsOf are those of an attack's manifests, in order of their files. One with a
// kustomization of its own has none: what comes of it is the repo-server's to build.
func objectsOf(name string, v Values) ([]*unstructured.Unstructured, error) {
	files, err := Files(name, "", v)
	if err != nil {
		return nil, err
	}
	if _, own := files[Kustomization]; own {
		return nil, nil
	}
	var all []*unstructured.Unstructured
	for _, file := range slices.Sorted(maps.Keys(files)) {
		if !IsManifest(file) {
			continue
		}
		found, err := decode(files[file])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, found...)
	}
	return all, nil
}

func decode(manifests string) (all []*unstructured.Unstructured, err error) {
	documents := utilyaml.NewYAMLOrJSONDecoder(strings.NewReader(manifests), 4096)
	for {
		u := &unstructured.Unstructured{}
		err := documents.Decode(u)
		switch {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, err
		case len(u.Object) == 0:
		case u.IsList():
			if err := u.EachListItem(func(item runtime.Object) error {
				all = append(all, item.(*unstructured.Unstructured))
				return nil
			}); err != nil {
				return nil, err
			}
		default:
			all = append(all, u)
		}
	}
}
