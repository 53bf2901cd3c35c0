package platform

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/seedling-dev/seedling/e2e/cluster"
)

// gitops are the overlays of an organisation that adopts Seedling: what it
// writes itself, beside copies of manifests/ and applicationsets/.
//
//go:embed all:gitops
var gitops embed.FS

// sets are overlays of gitops/applicationsets: the shop has previews of both kinds.
//
//go:embed all:sets
var sets embed.FS

// tree is a folder in memory: content by slash-separated path.
type tree map[string][]byte

// addDir copies a folder of the host to a place in the tree.
func (t tree) addDir(dir, to string) error {
	return filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(name)
		t[path.Join(to, filepath.ToSlash(rel))] = content
		return err
	})
}

// addFS copies a folder to the top of the tree.
func (t tree) addFS(from fs.FS) error {
	return fs.WalkDir(from, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		t[name], err = fs.ReadFile(from, name)
		return err
	})
}

var imageTag = regexp.MustCompile(`\{name: (ghcr\.io/seedling-dev/[a-z-]+), newTag: [^}]*\}`)

// exampleHost is the Git host in everything that is an example.
const exampleHost = "https://git.example.com"

// adapt does to the overlays what their reader does: sets the Git host and the
// images' tags.
func (t tree) adapt(host string, images map[string]string) {
	for name, content := range t {
		text := strings.ReplaceAll(string(content), exampleHost, host)
		text = imageTag.ReplaceAllStringFunc(text, func(s string) string {
			image := imageTag.FindStringSubmatch(s)[1]
			ref, ok := images[path.Base(image)]
			if !ok {
				return s
			}
			_, tag, _ := strings.Cut(ref, ":")
			return "{name: " + image + `, newTag: "` + tag + `"}`
		})
		t[name] = []byte(text)
	}
}

// without drops the lines of a file that begin so.
func (t tree) without(name, line string) {
	var kept strings.Builder
	for l := range strings.Lines(string(t[name])) {
		if !strings.HasPrefix(l, line) {
			kept.WriteString(l)
		}
	}
	t[name] = []byte(kept.String())
}

// fill fills in a template, whose delimiters are not those of ApplicationSets.
func fill(name string, raw []byte, values any) ([]byte, error) {
	parsed, err := template.New(name).Delims("[[", "]]").Option("missingkey=error").Parse(string(raw))
	if err != nil {
		return nil, err
	}
	var filled bytes.Buffer
	err = parsed.Execute(&filled, values)
	return filled.Bytes(), err
}

// build runs kustomize on a folder of the tree.
func (t tree) build(dir string) ([]*unstructured.Unstructured, error) {
	memory := filesys.MakeFsInMemory()
	for name, content := range t {
		if err := memory.WriteFile("/"+name, content); err != nil {
			return nil, err
		}
	}
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(memory, "/"+dir)
	if err != nil {
		return nil, fmt.Errorf("kustomize build %s: %w", dir, err)
	}
	manifests, err := built.AsYaml()
	if err != nil {
		return nil, fmt.Errorf("kustomize build %s: %w", dir, err)
	}
	return cluster.Objects(manifests)
}
