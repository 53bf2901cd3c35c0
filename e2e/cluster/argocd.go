package cluster

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"text/template"
)

//go:embed addons/argocd
var argocdOverlay embed.FS

// applyArgoCD installs Argo CD's own core-install manifests with the few
// changes of addons/argocd.
func (s *start) applyArgoCD(ctx context.Context, a *applier) error {
	dir, err := os.MkdirTemp("", "seedling-argocd-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := copyTree(filepath.Join(s.built[argoCDs[s.ArgoCD]], "manifests"), filepath.Join(dir, "upstream")); err != nil {
		return fmt.Errorf("install Argo CD: %w", err)
	}
	argocd, redis := imageParts(s.image["argocd"]), imageParts(s.image["redis"])
	values := map[string]string{
		"ArgoCDName": argocd[0], "ArgoCDTag": argocd[1], "RedisName": redis[0], "RedisTag": redis[1],
	}
	const overlay = "addons/argocd"
	templates, err := template.New("").Option("missingkey=error").ParseFS(argocdOverlay, overlay+"/*")
	if err != nil {
		return err
	}
	for _, t := range templates.Templates() {
		var content bytes.Buffer
		if err := t.Execute(&content, values); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, path.Base(t.Name())), content.Bytes(), 0o644); err != nil {
			return err
		}
	}
	manifests, err := s.kustomize(ctx, dir)
	if err != nil {
		return fmt.Errorf("install Argo CD: %w", err)
	}
	all, err := Objects(manifests)
	if err != nil {
		return fmt.Errorf("install Argo CD: %w", err)
	}
	if err := a.apply(ctx, all); err != nil {
		return fmt.Errorf("install Argo CD: %w", err)
	}
	return nil
}

// imageParts splits a reference of ours into name and tag.
func imageParts(ref string) [2]string {
	name, tag, _ := strings.Cut(ref, ":")
	return [2]string{name, tag}
}
