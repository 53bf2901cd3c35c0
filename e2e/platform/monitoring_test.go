package platform

import (
	"path/filepath"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/seedling-dev/seedling/e2e/cluster"
)

// The components of manifests/monitoring are built as its README says, wherever
// the kustomization of Argo CD puts its own ConfigMap.
func TestMonitoring(t *testing.T) {
	t.Parallel()
	dir, err := cluster.Root()
	must(t, err)
	for _, namespace := range []string{"", ", namespace: argocd"} {
		all := tree{}
		must(t, all.addDir(filepath.Join(dir, "manifests"), "manifests"))
		all["overlay/cm.yaml"] = []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: argocd-notifications-cm" + namespace + "}\ndata: {theirs: stays}\n")
		all["overlay/kustomization.yaml"] = []byte("resources: [../manifests/monitoring, cm.yaml]\n" +
			"components: [../manifests/monitoring/operator, ../manifests/monitoring/argocd-notifications]\n")
		built, err := all.build("overlay")
		must(t, err)
		found := map[string]*unstructured.Unstructured{}
		for _, u := range built {
			found[u.GetKind()+" "+u.GetName()] = u
		}
		if len(built) != 4 || found["PrometheusRule seedling"] == nil || found["ServiceMonitor seedling"] == nil || found["ConfigMap seedling-dashboard"] == nil {
			t.Errorf("it makes %v", found)
		}
		for _, key := range []string{"theirs", "trigger.seedling-preview-failed"} {
			if _, ok, err := unstructured.NestedString(found["ConfigMap argocd-notifications-cm"].Object, "data", key); !ok || err != nil {
				t.Errorf("ConfigMap argocd-notifications-cm%s has no %s: %v", namespace, key, err)
			}
		}
	}
}
