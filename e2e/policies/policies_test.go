package policies_test

import (
	"os"
	"testing"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/seedling-dev/seedling/e2e/policies"
)

// TestPolicies runs on any cluster that has the policies; the cluster's own
// test (package e2e) runs the same cases.
func TestPolicies(t *testing.T) {
	t.Parallel()
	path := os.Getenv("SEEDLING_KUBECONFIG")
	if path == "" {
		t.Skip("SEEDLING_KUBECONFIG names no cluster")
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	policies.Run(t, config)
}
