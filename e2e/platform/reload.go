package platform

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/e2e/cluster"
)

// Reload builds one of [Images] and puts it into an installation that runs, for
// people who change that part. The plugin is replaced at once. The others are
// named by what Argo CD reads, so their new tag is committed to acme/platform:
// seed-postgres is synced, the hooks are used from the next refresh or preview.
func Reload(ctx context.Context, c *cluster.Cluster, part string, log *slog.Logger) error {
	if !slices.Contains(Images, part) {
		return fmt.Errorf("reload: %q is no part of Seedling: name one of %s", part, strings.Join(Images, ", "))
	}
	p := &Platform{Cluster: c, log: log, images: map[string]string{}}
	var err error
	if p.Kube, err = newClient(c.REST()); err != nil {
		return err
	}
	if p.root, err = cluster.Root(); err != nil {
		return err
	}
	type step struct {
		what string
		do   func(context.Context) error
	}
	steps := []step{{"built and loaded the images", p.buildImages}, {"committed their tags to acme/platform", p.commitImages}}
	switch part {
	case "plugin":
		steps = []step{{"built and loaded the image", p.buildPlugin}, {"replaced the plugin", p.replacePlugin}}
	case seedPostgres:
		steps = append(steps, step{"seed's Postgres answers", p.waitSeedPostgres})
	}
	for _, step := range steps {
		began := time.Now()
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("reload %s: %w", part, err)
		}
		log.Info(step.what, "took", since(began))
	}
	return nil
}

func (p *Platform) buildPlugin(ctx context.Context) (err error) {
	if p.images["plugin"], err = cluster.BuildImage(ctx, "plugin"); err != nil {
		return err
	}
	return p.Cluster.Load(ctx, p.images["plugin"])
}

// replacePlugin lets the Deployment run the image that was built.
func (p *Platform) replacePlugin(ctx context.Context) error {
	d := &appsv1.Deployment{}
	if err := p.Kube.Get(ctx, client.ObjectKey{Namespace: PluginNamespace, Name: "plugin"}, d); err != nil {
		return fmt.Errorf("get the plugin's Deployment (install Seedling first: make demo): %w", err)
	}
	before := d.DeepCopy()
	for i := range d.Spec.Template.Spec.Containers {
		if container := &d.Spec.Template.Spec.Containers[i]; container.Name == "plugin" {
			container.Image = p.images["plugin"]
		}
	}
	if err := p.Kube.Patch(ctx, d, client.MergeFrom(before)); err != nil {
		return err
	}
	return p.waitPlugin(ctx)
}

// commitImages commits the tree and the overlay of the seed's data with the
// images' tags; what the seed was asked to hold stays.
func (p *Platform) commitImages(ctx context.Context) error {
	var err error
	if p.forge, err = newForge(ctx, p.Cluster.Gitea()); err != nil {
		return err
	}
	files, err := p.tree()
	if err != nil {
		return err
	}
	overlay, err := p.seedDataOverlay()
	if err != nil {
		return err
	}
	maps.Copy(files, overlay)
	_, err = p.forge.commit(ctx, p.forge.endpoint.User, PlatformRepository, "main", "Images", files)
	return err
}

// PluginConfig is the name of the ConfigMap that the plugin reads its
// configuration from: it ends in a hash.
func (p *Platform) PluginConfig(ctx context.Context) (string, error) {
	var d appsv1.Deployment
	if err := p.Kube.Get(ctx, client.ObjectKey{Namespace: PluginNamespace, Name: "plugin"}, &d); err != nil {
		return "", fmt.Errorf("get the plugin's Deployment: %w", err)
	}
	for _, v := range d.Spec.Template.Spec.Volumes {
		if v.ConfigMap != nil {
			return v.ConfigMap.Name, nil
		}
	}
	return "", errors.New("the plugin's Deployment has no ConfigMap")
}

// RestartPlugin replaces the plugin's pod, and returns when the new one is ready.
func (p *Platform) RestartPlugin(ctx context.Context) error {
	var d appsv1.Deployment
	if err := p.Kube.Get(ctx, client.ObjectKey{Namespace: PluginNamespace, Name: "plugin"}, &d); err != nil {
		return fmt.Errorf("restart the plugin: %w", err)
	}
	before := d.DeepCopy()
	if d.Spec.Template.Annotations == nil {
		d.Spec.Template.Annotations = map[string]string{}
	}
	d.Spec.Template.Annotations["kubectl.kubernetes.io/restartedAt"] = time.Now().UTC().Format(time.RFC3339Nano)
	if err := p.Kube.Patch(ctx, &d, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("restart the plugin: %w", err)
	}
	return p.waitPlugin(ctx)
}

// Configure gives the plugin another configuration and restarts it. It returns
// the one of before.
func (p *Platform) Configure(ctx context.Context, change func(string) string) (was string, err error) {
	name, err := p.PluginConfig(ctx)
	if err != nil {
		return "", err
	}
	var config corev1.ConfigMap
	if err := p.Kube.Get(ctx, client.ObjectKey{Namespace: PluginNamespace, Name: name}, &config); err != nil {
		return "", fmt.Errorf("get the plugin's configuration: %w", err)
	}
	before := config.DeepCopy()
	was = config.Data["config.yaml"]
	config.Data["config.yaml"] = change(was)
	if err := p.Kube.Patch(ctx, &config, client.MergeFrom(before)); err != nil {
		return "", fmt.Errorf("configure the plugin: %w", err)
	}
	return was, p.RestartPlugin(ctx)
}
