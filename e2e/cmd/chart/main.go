// Command chart brings the templates in manifests/chart up to date with the
// kustomize bases (make chart).
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/seedling-dev/seedling/e2e/chart"
	"github.com/seedling-dev/seedling/e2e/cluster"
)

func main() {
	root, err := cluster.Root()
	if err == nil {
		err = chart.Write(filepath.Join(root, "manifests"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "chart:", err)
		os.Exit(1)
	}
}
