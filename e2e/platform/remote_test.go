package platform

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	argov1alpha1 "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/seedling-dev/seedling/e2e/cluster"
)

const ours = "https://github.com/seedling-dev/seedling"

// blocks are the YAML examples of manifests/README.md, by their first line.
func blocks(t *testing.T) map[string]string {
	t.Helper()
	dir, err := cluster.Root()
	must(t, err)
	readme, err := os.ReadFile(filepath.Join(dir, "manifests/README.md"))
	must(t, err)
	found := map[string]string{}
	for _, m := range regexp.MustCompile("(?s)```yaml\n([^\n]*)\n(.*?)```").FindAllStringSubmatch(string(readme), -1) {
		found[m[1]] = m[1] + "\n" + m[2]
	}
	return found
}

// The overlay in manifests/README.md, whose bases are fetched at a tag, makes
// what an overlay of a copy makes.
func TestBasesAtATag(t *testing.T) {
	t.Parallel()
	dir, err := cluster.Root()
	must(t, err)
	published := t.TempDir()
	must(t, os.CopyFS(filepath.Join(published, "manifests"), os.DirFS(filepath.Join(dir, "manifests"))))
	for _, args := range [][]string{
		{"init", "--quiet", "--initial-branch=main"},
		{"add", "."},
		{"-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "--quiet", "--message=a"},
		{"tag", "v1.0.0"},
	} {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = published
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
	}
	text := blocks(t)["# seedling/kustomization.yaml"]
	if n := strings.Count(text, ours+"//"); n != 2 {
		t.Fatalf("the README's overlay has %d bases of ours:\n%s", n, text)
	}
	config, err := gitops.ReadFile("gitops/plugin/config.yaml")
	must(t, err)
	build := func(base, ref string) []*unstructured.Unstructured {
		overlay := filepath.Join(t.TempDir(), "seedling")
		must(t, os.Mkdir(overlay, 0o755))
		if ref == "" { // kustomize takes no absolute path
			must(t, os.CopyFS(filepath.Join(overlay, "../manifests"), os.DirFS(filepath.Join(base, "manifests"))))
			base = "../"
		}
		must(t, os.WriteFile(filepath.Join(overlay, "kustomization.yaml"), []byte(strings.ReplaceAll(strings.ReplaceAll(text, ours+"//", base), "?ref=v1.0.0", ref)), 0o600))
		must(t, os.WriteFile(filepath.Join(overlay, "config.yaml"), config, 0o600))
		built, err := BuildFolder(overlay)
		must(t, err)
		return built
	}
	want := build(published, "")
	if diff := cmp.Diff(want, build("file://"+published+"//", "?ref=v1.0.0")); diff != "" || len(want) < 40 {
		t.Errorf("%d objects of a copy; bases at a tag make others:\n%s", len(want), diff)
	}
	for _, u := range want {
		raw, err := u.MarshalJSON()
		must(t, err)
		// The configuration is the demo's.
		if u.GetKind() != "ConfigMap" && (strings.Contains(string(raw), `:dev"`) || strings.Contains(string(raw), exampleHost)) {
			t.Errorf("%s still has an example of the base", describe(u))
		}
	}
}

// What manifests/README.md gives Applications as kustomize's values fits the
// bases, and is what Argo CD knows.
func TestValuesInApplications(t *testing.T) {
	t.Parallel()
	dir, err := cluster.Root()
	must(t, err)
	var seed struct {
		Source argov1alpha1.ApplicationSource `json:"source"`
	}
	var hook []argov1alpha1.ApplicationSource
	all := blocks(t)
	must(t, yaml.UnmarshalStrict([]byte(all["# seed-postgres, in place of source: in applicationsets/seed.yaml"]), &seed))
	must(t, yaml.UnmarshalStrict([]byte(all["# the last of the sources in applicationsets/previews.yaml"]), &hook))
	if len(hook) != 1 {
		t.Fatalf("%d sources", len(hook))
	}
	for _, source := range []argov1alpha1.ApplicationSource{seed.Source, hook[0]} {
		overlay := filepath.Join(t.TempDir(), "overlay")
		must(t, os.Mkdir(overlay, 0o755))
		must(t, os.CopyFS(filepath.Join(overlay, "../manifests"), os.DirFS(filepath.Join(dir, "manifests"))))
		// As Argo CD does it: kustomize edit set image, and the patches as they are.
		kustomization := map[string]any{"resources": []string{"../" + source.Path}, "patches": source.Kustomize.Patches}
		var images []map[string]string
		for _, image := range source.Kustomize.Images {
			name, to, _ := strings.Cut(string(image), "=")
			newName, tag, tagged := strings.Cut(to, ":")
			if !tagged {
				t.Fatalf("image %s", image)
			}
			images = append(images, map[string]string{"name": name, "newName": newName, "newTag": tag})
		}
		kustomization["images"] = images
		raw, err := yaml.Marshal(kustomization)
		must(t, err)
		must(t, os.WriteFile(filepath.Join(overlay, "kustomization.yaml"), raw, 0o600))
		built, err := BuildFolder(overlay)
		must(t, err)
		var text strings.Builder
		for _, u := range built {
			raw, err := u.MarshalJSON()
			must(t, err)
			text.Write(raw)
		}
		want := []string{"registry.acme.example/"}
		if len(source.Kustomize.Patches) > 0 {
			want = append(want, `"storageClassName":"gp3-seed"`, `"storage":"50Gi"`, `"imagePullSecrets":[{"name":"pull"}]`)
		}
		for _, w := range want {
			if !strings.Contains(text.String(), w) {
				t.Errorf("%s: nothing says %s", source.Path, w)
			}
		}
		if strings.Contains(text.String(), "ghcr.io") || strings.Contains(text.String(), "csi-btrfs") {
			t.Errorf("%s still has an example of the base", source.Path)
		}
	}
}
