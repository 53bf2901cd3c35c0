package flow

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/e2e/platform"
)

// Every manifest that we ship passes a dry run on a real API server, which
// knows every kind and has every policy.
func TestManifestsPassADryRun(t *testing.T) {
	ctx := beside(t, 5*time.Minute)
	root, err := platform.Root()
	must(t, err)
	build := map[string]func(string) ([]*unstructured.Unstructured, error){}
	err = filepath.WalkDir(filepath.Join(root, "manifests"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.Name() != "kustomization.yaml" {
			return err
		}
		content, err := os.ReadFile(path)
		// A component is built as part of what includes it, never alone.
		if err == nil && !strings.Contains(string(content), "kind: Component") {
			build[filepath.Dir(path)] = platform.BuildFolder
		}
		return err
	})
	must(t, err)
	err = filepath.WalkDir(filepath.Join(root, "applicationsets"), func(path string, _ os.DirEntry, err error) error {
		// kustomize's own files are no manifests.
		if err == nil && filepath.Ext(path) == ".yaml" && filepath.Base(path) != "kustomization.yaml" {
			build[path] = platform.ReadManifests
		}
		return err
	})
	must(t, err)
	if len(build) < 8 {
		t.Fatalf("found only %v", slices.Collect(maps.Keys(build)))
	}
	for path, read := range build {
		name, err := filepath.Rel(root, path)
		must(t, err)
		t.Run(name, func(t *testing.T) {
			all, err := read(path)
			must(t, err)
			if len(all) == 0 {
				t.Fatal("it makes nothing")
			}
			for _, u := range all {
				if u.GetNamespace() == "" && name == "manifests/preview" {
					u.SetNamespace(platform.Seed)
				}
				// A dry run makes no namespace for the next one.
				if u.GetNamespace() != "" && apierrors.IsNotFound(world.Kube.Get(ctx, client.ObjectKey{Name: u.GetNamespace()}, &corev1.Namespace{})) {
					u.SetNamespace(metav1.NamespaceDefault)
				}
				// The installation's own may not be changed, only made.
				if kind := u.GetKind(); kind == "Job" || kind == "StatefulSet" {
					u.SetName(u.GetName() + "-dry-run")
				}
				err := world.Kube.Patch(ctx, u, client.Apply, client.FieldOwner("dry-run"), client.ForceOwnership, client.DryRunAll)
				if err != nil {
					t.Errorf("%s %s: %v", u.GetKind(), u.GetName(), err)
				}
			}
		})
	}
}
