package platform

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/seedling-dev/seedling/e2e/cluster"
)

// UseChart puts what the Helm chart makes in the place of what the bases made, with
// the values that say what the overlays say. It returns when the plugin answers.
// The next Install is by the bases again.
func (p *Platform) UseChart(ctx context.Context) error {
	values, err := p.chartValues()
	if err != nil {
		return fmt.Errorf("write the chart's values: %w", err)
	}
	helm, err := cluster.Program(ctx, "helm")
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "seedling-chart-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "values.yaml")
	if err := os.WriteFile(file, values, 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, helm, "template", "seedling", filepath.Join(p.root, "manifests", "chart"), "--namespace", PluginNamespace, "--values", file)
	cmd.Env = append(os.Environ(), "HOME="+dir)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	made, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("helm template: %w: %s", err, stderr.String())
	}
	objects, err := cluster.Objects(made)
	if err != nil {
		return fmt.Errorf("read what helm template made: %w", err)
	}
	if err := p.apply(ctx, objects); err != nil {
		return fmt.Errorf("apply what the chart makes: %w", err)
	}
	return p.waitPlugin(ctx)
}

// chartValues are those of the overlays plugin and argocd.
func (p *Platform) chartValues() ([]byte, error) {
	t, err := p.tree()
	if err != nil {
		return nil, err
	}
	config := map[string]any{}
	if err := yaml.UnmarshalStrict(t["plugin/config.yaml"], &config); err != nil {
		return nil, err
	}
	// The chart takes them from values of their own.
	delete(config, "argocdNamespace")
	delete(config, "veleroNamespace")
	registry, tag, _ := strings.Cut(p.images["plugin"], "/plugin:")
	_, postgres, _ := strings.Cut(p.images[seedPostgres], ":")
	host := p.Cluster.Gitea().InCluster + "/" + Organisation + "/"
	shop, platform := host+ShopRepository+".git", host+PlatformRepository+".git"
	return yaml.Marshal(map[string]any{
		"registry": registry, "image": map[string]any{"tag": tag}, "postgresImage": map[string]any{"tag": postgres},
		"repositories": map[string]any{"previews": []string{shop}, "platform": []string{platform}},
		"config":       config, "direct": map[string]any{"enabled": true},
		"credentials": map[string]any{"enabled": true}, "access": map[string]any{"groups": []string{"developers"}},
		"kinds": []string{"external-secret", "http-route", "service-monitor", "certificate"},
		"policies": map[string]any{
			"gateways": []string{"gateways/previews"}, "issuers": []string{"letsencrypt-previews"},
			"secretStores": []string{"previews"}, "secretPrefix": "previews/",
		},
	})
}
