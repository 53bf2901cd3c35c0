package platform

import (
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// A StatefulSet whose first pod is broken takes its repair only where pods are
// not updated in order; and Argo CD runs no Job of a refresh again for the same
// commit, so that a retry would only put the next one off.
func TestBrokenThingsTakeTheirRepair(t *testing.T) {
	t.Parallel()
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	sets := 0
	for _, folder := range []string{"manifests/seed-postgres", "e2e/shop/deploy/preview"} {
		all, err := BuildFolder(filepath.Join(root, folder))
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range all {
			if u.GetKind() != "StatefulSet" {
				continue
			}
			sets++
			if policy, _, _ := unstructured.NestedString(u.Object, "spec", "podManagementPolicy"); policy != "Parallel" {
				t.Errorf("StatefulSet %s of %s has podManagementPolicy %q", u.GetName(), folder, policy)
			}
		}
	}
	if sets != 2 {
		t.Errorf("there are %d StatefulSets, not the seed's and a preview's", sets)
	}

	applications, err := ReadManifests(filepath.Join(root, "applicationsets/seed.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range applications {
		limit, there, _ := unstructured.NestedInt64(u.Object, "spec", "syncPolicy", "retry", "limit")
		if strings.HasSuffix(u.GetName(), "-data") && (!there || limit != 0) {
			t.Errorf("Application %s is retried %d times (said: %v)", u.GetName(), limit, there)
		}
	}
}
