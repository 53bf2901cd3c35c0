// Package clustertest gives tests a cluster. All tests of a run share one, so
// each works in namespaces of its own; the cluster stays up afterwards.
package clustertest

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seedling-dev/seedling/e2e/cluster"
)

// Up returns the shared cluster, and starts it if need be. Its name is taken
// from SEEDLING_CLUSTER. A failing test leaves evidence of the namespaces.
func Up(t testing.TB, namespaces ...string) *cluster.Cluster {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a cluster; run without -short")
	}
	c, err := cluster.Up(t.Context(), cluster.Options{Name: os.Getenv("SEEDLING_CLUSTER"), Log: Log(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Evidence(t, c, namespaces...) })
	return c
}

// Evidence writes the cluster's evidence if the test has failed: to a folder
// of the test's name under SEEDLING_EVIDENCE, or e2e/evidence.
func Evidence(t testing.TB, c *cluster.Cluster, namespaces ...string) {
	if !t.Failed() {
		return
	}
	dir := EvidenceFolder(t.Name())
	if err := c.Evidence(context.Background(), dir, namespaces...); err != nil {
		t.Logf("some evidence is missing: %v", err)
	}
	t.Logf("evidence of the failure: %s", dir)
}

// Log returns a logger that writes to the test's output.
func Log(t testing.TB) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }

// EvidenceFolder is where the evidence of a test's failure is put.
func EvidenceFolder(test string) string {
	dir := os.Getenv("SEEDLING_EVIDENCE")
	if dir == "" {
		dir = filepath.Join(os.TempDir(), "seedling-evidence")
		if repo, err := cluster.Root(); err == nil {
			dir = filepath.Join(repo, "e2e", "evidence")
		}
	}
	return filepath.Join(dir, strings.NewReplacer("/", "_", " ", "_").Replace(test))
}
