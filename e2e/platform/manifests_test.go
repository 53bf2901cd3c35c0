package platform

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/seedling-dev/seedling/e2e/cluster"
	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// TestTreeBuilds runs kustomize on every folder that Argo CD or the installer
// builds.
func TestTreeBuilds(t *testing.T) {
	t.Parallel()
	p := &Platform{Cluster: &cluster.Cluster{}, images: map[string]string{}}
	for _, name := range Images {
		p.images[name] = "ghcr.io/seedling-dev/" + name + ":0123"
	}
	var err error
	if p.root, err = root(); err != nil {
		t.Fatal(err)
	}
	all, err := p.tree()
	if err != nil {
		t.Fatal(err)
	}
	data, err := p.seedDataTree(snapshot.Request{Dump: "s3://dumps/a?x=1", PolicyDigest: "aa", KeyID: "bb"}, []byte("version: 1"))
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(all, data)
	for dir, kinds := range map[string][]string{
		"preview":         {"Job"},
		"plugin":          {"Deployment", "ConfigMap", "ValidatingAdmissionPolicy"},
		"argocd":          {"AppProject", "ConfigMap"},
		"applicationsets": {"ApplicationSet", "Application"},
		"seed-postgres":   {"StatefulSet", "Namespace"},
		"seed-data":       {"Job", "ConfigMap"},
	} {
		t.Run(dir, func(t *testing.T) {
			t.Parallel()
			built, err := all.build(dir)
			if err != nil {
				t.Fatal(err)
			}
			var seen []string
			for _, u := range built {
				seen = append(seen, u.GetKind())
			}
			for _, u := range built {
				text, err := u.MarshalJSON()
				if err != nil {
					t.Fatal(err)
				}
				for _, example := range []string{"git.example.com", `:dev"`} {
					if strings.Contains(string(text), example) {
						t.Errorf("%s still says %s", describe(u), example)
					}
				}
			}
			for _, kind := range kinds {
				if !slices.Contains(seen, kind) {
					t.Errorf("there is no %s among %v", kind, seen)
				}
			}
		})
	}
}
