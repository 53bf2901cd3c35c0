package cluster

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"os/exec"
	"path/filepath"
	"text/template"
)

//go:embed addons/services.yaml
var servicesManifest string

// applyServices names the node's processes inside the cluster.
func (s *start) applyServices(ctx context.Context, a *applier, nodeIP string) error {
	var manifest bytes.Buffer
	t, err := template.New("services.yaml").Parse(servicesManifest)
	if err != nil {
		return err
	}
	if err := t.Execute(&manifest, map[string]string{"NodeIP": nodeIP}); err != nil {
		return err
	}
	all, err := Objects(manifest.Bytes())
	if err != nil {
		return err
	}
	return a.apply(ctx, all)
}

// applyStorage installs the storage classes.
func (s *start) applyStorage(ctx context.Context, a *applier) error {
	dir := filepath.Join(s.repo, "manifests", "storage")
	manifests, err := s.kustomize(ctx, dir)
	if err != nil {
		return err
	}
	all, err := Objects(manifests)
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	return a.apply(ctx, all)
}

// kustomize builds a folder with the kustomize that Argo CD uses here.
func (s *start) kustomize(ctx context.Context, dir string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(s.built["kustomize"], "kustomize"), "build", dir)
	out, err := output(cmd)
	return []byte(out), err
}
