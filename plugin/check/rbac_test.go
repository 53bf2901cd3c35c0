package check

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// TestRightsAreThoseOfTheManifests: every right that the manifests give is asked
// for, and no other.
func TestRightsAreThoseOfTheManifests(t *testing.T) {
	t.Parallel()
	given := rules(t, "../../manifests/plugin/rbac.yaml")
	asked := map[string][]string{}
	for at, namespace := range map[place]string{everyNamespace: "", pluginsOwn: "seedling", argoCDs: "argocd", veleros: "velero"} {
		for _, a := range accesses[at] {
			for verb := range strings.SplitSeq(a.verbs, ",") {
				asked[namespace] = append(asked[namespace], describe("", a, verb))
			}
		}
	}
	// The line on DNS tells of these, and of the API server's endpoints.
	delete(given, "kube-system")
	delete(given, "default")
	compare(t, given, asked)

	given = rules(t, "../../manifests/plugin/direct/rbac.yaml")
	asked = map[string][]string{}
	for _, a := range directAccesses {
		asked[""] = append(asked[""], describe("", a, a.verbs))
	}
	compare(t, given, asked)
}

func compare(t *testing.T, given, asked map[string][]string) {
	t.Helper()
	for namespace := range asked {
		slices.Sort(given[namespace])
		slices.Sort(asked[namespace])
	}
	if fmt.Sprint(given) != fmt.Sprint(asked) {
		t.Errorf("the manifests give\n%v, asked for is\n%v", given, asked)
	}
}

// rules are the plugin's, by namespace.
func rules(t *testing.T, file string) map[string][]string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	for document := range bytes.SplitSeq(b, []byte("\n---\n")) {
		var role rbacv1.Role
		if err := yaml.Unmarshal(document, &role); err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(role.Kind, "Role") || strings.Contains(role.Name, "seed-backup") {
			continue
		}
		for _, r := range role.Rules {
			for _, group := range r.APIGroups {
				for _, resource := range r.Resources {
					for _, verb := range r.Verbs {
						for _, name := range append([]string{""}, r.ResourceNames...) {
							if name != "" || len(r.ResourceNames) == 0 {
								found[role.Namespace] = append(found[role.Namespace], describe("", access{group: group, resource: resource, name: name}, verb))
							}
						}
					}
				}
			}
		}
	}
	return found
}
