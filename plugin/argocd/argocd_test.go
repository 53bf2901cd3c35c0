package argocd

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	argoplugin "github.com/argoproj/argo-cd/v2/applicationset/services/plugin"
	argov1alpha1 "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// TestFields: every field that is read is one of Argo CD's own, of the same
// name and the same kind of value.
func TestFields(t *testing.T) {
	t.Parallel()
	for _, pair := range []struct{ ours, theirs any }{
		{Application{}, argov1alpha1.Application{}},
		{ApplicationList{}, argov1alpha1.ApplicationList{}},
		{ApplicationSet{}, argov1alpha1.ApplicationSet{}},
		{ApplicationSetList{}, argov1alpha1.ApplicationSetList{}},
		{AppProject{}, argov1alpha1.AppProject{}},
		{AppProjectList{}, argov1alpha1.AppProjectList{}},
		{PluginRequest{}, argoplugin.ServiceRequest{}},
	} {
		ours := reflect.TypeOf(pair.ours)
		if n := compare(t, ours.Name(), ours, reflect.TypeOf(pair.theirs)); n < 2 {
			t.Errorf("%s: %d fields were compared", ours.Name(), n)
		}
	}
	if AnnotationKeyRefresh != argov1alpha1.AnnotationKeyRefresh || RefreshNormal != string(argov1alpha1.RefreshTypeNormal) ||
		ConditionComparisonError != argov1alpha1.ApplicationConditionComparisonError ||
		ConditionInvalidSpecError != argov1alpha1.ApplicationConditionInvalidSpecError ||
		SchemeGroupVersion != argov1alpha1.SchemeGroupVersion {
		t.Error("a name is not Argo CD's")
	}
	for _, phase := range []string{"", "Running", "Terminating", "Failed", "Error", "Succeeded", "Other"} {
		ours, theirs := OperationPhase(phase), argov1alpha1.OperationState{}
		if err := json.Unmarshal(fmt.Appendf(nil, `{"phase":%q}`, phase), &theirs); err != nil {
			t.Fatal(err)
		}
		if ours.Running() != theirs.Phase.Running() || ours.Succeeded() != theirs.Phase.Successful() || ours.Failed() != (theirs.Phase.Failed() || theirs.Phase == "Error") {
			t.Errorf("phase %s: succeeded %t, failed %t", phase, ours.Succeeded(), ours.Failed())
		}
	}
}

// compare returns how many fields there are.
func compare(t *testing.T, at string, ours, theirs reflect.Type) int {
	t.Helper()
	if ours == theirs {
		return 1 // metadata
	}
	raw := reflect.TypeFor[json.RawMessage]()
	if ours != raw && ours.Kind() != theirs.Kind() {
		t.Errorf("%s is a %s, Argo CD's a %s", at, ours.Kind(), theirs.Kind())
		return 0
	}
	switch ours.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		if ours == raw {
			return 1
		}
		return compare(t, at, ours.Elem(), theirs.Elem())
	case reflect.Struct:
		n := 0
		for f := range ours.Fields() {
			name := jsonName(f)
			found := false
			for g := range theirs.Fields() {
				if jsonName(g) == name {
					found = true
					n += compare(t, at+"."+f.Name, f.Type, g.Type)
				}
			}
			if !found {
				t.Errorf("Argo CD has no %s.%s", at, name)
			}
		}
		return n
	}
	return 1
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	if name == "" {
		return f.Name
	}
	return name
}

// TestSources: what a project permits is what Argo CD says.
func TestSources(t *testing.T) {
	t.Parallel()
	permitted := 0
	for _, entries := range [][]string{
		nil,
		{"*"},
		{"!*"},
		{"https://git.example.com/acme/shop.git"},
		{"https://git.example.com/acme/*"},
		{"https://git.example.com/*"},
		{"https://git.example.com/**"},
		{"!https://git.example.com/acme/**"},
		{"!https://git.example.com/acme/shop", "*"},
		{"*", "!https://git.example.com/acme/shop"},
		{"git@git.example.com:acme/*"},
		{"ssh://git@git.example.com/acme/shop"},
		{"https://git.example.com/{acme,else}/shop"},
		{"https://[z-a"},
		{"HTTPS://GIT.example.com/Acme/Shop"},
		{"!"},
		{""},
		{"!https://git.example.com/else/x"},
		{"%zz"},
	} {
		for _, repository := range []string{
			"https://git.example.com/acme/shop.git", "https://git.example.com/acme/shop", "https://git.example.com/acme/deep/shop", "https://other.example.com/acme/shop",
			"git@git.example.com:acme/shop.git", "ssh://git@git.example.com/acme/shop", " https://GIT.example.com/acme/Shop.git ", "https://user@git.example.com/acme/shop", "", "%zz",
		} {
			ours, theirs := AppProject{}, argov1alpha1.AppProject{}
			ours.Spec.SourceRepos, theirs.Spec.SourceRepos = entries, entries
			want := theirs.IsSourcePermitted(argov1alpha1.ApplicationSource{RepoURL: repository})
			if got := ours.IsSourcePermitted(repository); got != want {
				t.Errorf("%q permits %q: %t, by Argo CD %t", entries, repository, got, want)
			}
			if want {
				permitted++
			}
		}
	}
	if permitted == 0 {
		t.Error("nothing was permitted")
	}
	for name, spec := range map[string]argov1alpha1.ApplicationSpec{
		"none":     {},
		"one":      {Source: &argov1alpha1.ApplicationSource{RepoURL: "a"}},
		"some":     {Source: &argov1alpha1.ApplicationSource{RepoURL: "a"}, Sources: argov1alpha1.ApplicationSources{{RepoURL: "b"}, {RepoURL: "c"}}},
		"hydrated": {SourceHydrator: &argov1alpha1.SourceHydrator{DrySource: argov1alpha1.DrySource{RepoURL: "d"}}},
	} {
		b, err := json.Marshal(spec)
		if err != nil {
			t.Fatal(err)
		}
		var ours ApplicationSpec
		if err := json.Unmarshal(b, &ours); err != nil {
			t.Fatal(err)
		}
		var got, want []string
		for _, s := range ours.AllSources() {
			got = append(got, s.RepoURL)
		}
		for _, s := range spec.GetSources() {
			want = append(want, s.RepoURL)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: sources %v, by Argo CD %v", name, got, want)
		}
	}
}

// TestKinds: the kinds that a project permits are those that Argo CD says.
func TestKinds(t *testing.T) {
	t.Parallel()
	lists := [][]metav1.GroupKind{
		nil,
		{},
		{{Group: "*", Kind: "*"}},
		{{Group: "", Kind: "ConfigMap"}, {Group: "apps", Kind: "Deploy*"}},
		{{Group: "rbac.*", Kind: "Role"}},
		{{Group: "[", Kind: "Role"}},
		{{Group: "apps", Kind: "deployment"}},
	}
	permitted := 0
	for _, allow := range lists {
		for _, deny := range lists {
			ours, theirs := AppProject{}, argov1alpha1.AppProject{}
			ours.Spec.ClusterResourceWhitelist, theirs.Spec.ClusterResourceWhitelist = allow, allow
			ours.Spec.NamespaceResourceWhitelist, theirs.Spec.NamespaceResourceWhitelist = allow, allow
			ours.Spec.ClusterResourceBlacklist, theirs.Spec.ClusterResourceBlacklist = deny, deny
			ours.Spec.NamespaceResourceBlacklist, theirs.Spec.NamespaceResourceBlacklist = deny, deny
			for _, kind := range []schema.GroupKind{{Kind: "ConfigMap"}, {Group: "apps", Kind: "Deployment"}, {Group: "rbac.authorization.k8s.io", Kind: "Role"}, {Kind: "Pod"}} {
				for _, namespaced := range []bool{true, false} {
					want := theirs.IsGroupKindPermitted(kind, namespaced)
					if got := ours.IsGroupKindPermitted(kind, namespaced); got != want {
						t.Errorf("%v without %v permits %v (namespaced %t): %t, by Argo CD %t", allow, deny, kind, namespaced, got, want)
					}
					if want {
						permitted++
					}
				}
			}
		}
	}
	if permitted == 0 {
		t.Error("nothing was permitted")
	}
}
