package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// install writes install.yaml: the plugin with its roles and admission
// policies, its image named by version and digest, and images.yaml: the part of
// a kustomization that does the same to the other bases.
func (r *release) install(ctx context.Context, digests map[string]string) error {
	work, err := os.MkdirTemp("", "release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	// The kustomize that Argo CD has in the test cluster.
	kustomize := filepath.Join(work, "kustomize")
	if _, err := output(ctx, filepath.Join(r.root, "e2e/cluster/upstream/kustomize"), []string{"GOWORK=off", "CGO_ENABLED=0", "GOFLAGS="},
		"go", "build", "-mod=readonly", "-trimpath", "-ldflags", "-s -w", "-o", kustomize, "sigs.k8s.io/kustomize/kustomize/v5"); err != nil {
		return err
	}
	var images strings.Builder
	images.WriteString("images:\n")
	for _, name := range slices.Sorted(maps.Keys(digests)) {
		// A digest takes the place of a tag in kustomize; the tag is for people.
		fmt.Fprintf(&images, "  - name: %s/%s\n    newTag: %q\n    digest: %s\n", registry, name, r.version, digests[name])
	}
	fmt.Fprintf(&images, "  - name: %s/seed-postgres\n    newTag: %q\n", registry, r.version)
	overlay := filepath.Join(work, "overlay")
	base, err := filepath.Rel(overlay, filepath.Join(r.root, "manifests/plugin"))
	if err != nil {
		return err
	}
	if err := os.Mkdir(overlay, 0o755); err != nil {
		return err
	}
	text := "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [" + base + "]\n" + images.String()
	if err := os.WriteFile(filepath.Join(overlay, "kustomization.yaml"), []byte(text), 0o644); err != nil {
		return err
	}
	built, err := output(ctx, r.root, nil, kustomize, "build", overlay)
	if err != nil {
		return err
	}
	if strings.Contains(built, ":dev") {
		return fmt.Errorf("install.yaml still names an image :dev")
	}
	head := fmt.Sprintf("# Seedling %s, commit %s: the plugin, its roles and its admission policies.\n# The ConfigMap plugin is an example: write your own into it (docs: manifests/plugin/README.md).\n", r.version, r.commit)
	if err := os.WriteFile(filepath.Join(r.dist, "install.yaml"), []byte(head+built), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.dist, "images.yaml"), []byte(images.String()), 0o644)
}

// checksums writes SHA256SUMS over everything else.
func (r *release) checksums() error {
	var sums strings.Builder
	err := filepath.WalkDir(r.dist, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "SHA256SUMS" {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		h := sha256.New()
		if _, err := io.Copy(h, f); err != nil {
			return err
		}
		rel, err := filepath.Rel(r.dist, path)
		fmt.Fprintf(&sums, "%x  %s\n", h.Sum(nil), filepath.ToSlash(rel))
		return err
	})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.dist, "SHA256SUMS"), []byte(sums.String()), 0o644)
}
