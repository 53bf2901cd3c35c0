package policies

import (
	"context"
	"fmt"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// furtherKinds are those of manifests/kinds, by their group. Their operators are not
// there: what counts is what the policies say.
var furtherKinds = map[string]struct{ kind, plural string }{
	"external-secrets.io":       {"ExternalSecret", "externalsecrets"},
	"gateway.networking.k8s.io": {"HTTPRoute", "httproutes"},
	"monitoring.coreos.com":     {"ServiceMonitor", "servicemonitors"},
	"cert-manager.io":           {"Certificate", "certificates"},
}

// Define makes definitions of the further kinds that take anything, where the cluster
// has none. They stay: other tests may be using them.
func Define(ctx context.Context, t *testing.T, config *rest.Config) {
	t.Helper()
	admin, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	definitions := admin.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	for group, of := range furtherKinds {
		name := of.plural + "." + group
		_, err := definitions.Create(ctx, &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
			"metadata": map[string]any{"name": name, "annotations": map[string]any{"api-approved.kubernetes.io": "unapproved, for a test"}},
			"spec": map[string]any{
				"group": group, "scope": "Namespaced", "names": map[string]any{"kind": of.kind, "plural": of.plural},
				"versions": []any{map[string]any{
					"name": "v1", "served": true, "storage": true,
					"schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
				}},
			},
		}}, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatalf("define %s: %v", of.kind, err)
		}
	}
	for group, of := range furtherKinds {
		if err := served(ctx, admin.Resource(schema.GroupVersionResource{Group: group, Version: "v1", Resource: of.plural})); err != nil {
			t.Fatalf("wait for %s: %v", of.kind, err)
		}
	}
}

// served waits until a kind can be listed.
func served(ctx context.Context, resource dynamic.ResourceInterface) error {
	var last error
	for range 150 {
		if _, last = resource.List(ctx, metav1.ListOptions{Limit: 1}); last == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return fmt.Errorf("it is not served: %w", last)
}
