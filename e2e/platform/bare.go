package platform

import (
	"context"
	"fmt"

	"github.com/seedling-dev/seedling/e2e/cluster"
	"github.com/seedling-dev/seedling/e2e/shop"
)

// Bare gives the Git host what an organisation has before it adopts Seedling: its
// people, the shop, an empty acme/platform, and Argo CD's credentials for both.
// Nothing of Seedling is on the cluster; what developers do works as soon as
// somebody has installed it.
func Bare(ctx context.Context, c *cluster.Cluster) (*Platform, error) {
	fail := func(err error) (*Platform, error) { return nil, fmt.Errorf("prepare the Git host: %w", err) }
	p := &Platform{Cluster: c, images: map[string]string{}}
	var err error
	if p.Kube, err = newClient(c.REST()); err != nil {
		return fail(err)
	}
	if p.forge, err = newForge(ctx, c.Gitea()); err != nil {
		return fail(err)
	}
	// The shop's own image.
	if p.images[seedPostgres], err = cluster.BuildImage(ctx, seedPostgres); err != nil {
		return fail(err)
	}
	if err := c.Load(ctx, p.images[seedPostgres]); err != nil {
		return fail(err)
	}
	if err := p.fillPeople(); err != nil {
		return fail(err)
	}
	files, err := shop.Repository(p.images[seedPostgres])
	if err != nil {
		return fail(err)
	}
	if _, err := p.forge.commit(ctx, p.forge.endpoint.User, ShopRepository, "main", "The shop", files); err != nil {
		return fail(err)
	}
	if err := p.repositorySecrets(ctx); err != nil {
		return fail(err)
	}
	return p, nil
}

// PluginToken is a token of the plugin's user, as the README has it made.
func (p *Platform) PluginToken(ctx context.Context) (string, error) {
	return p.forge.token(ctx, pluginUser, "", scopeWriteRepository, scopeWriteIssue, scopeReadUser)
}

// CallPlugin makes the shop's webhook, with the given secret.
func (p *Platform) CallPlugin(secret string) error {
	return p.forge.webhook(ShopRepository, webhookURL, secret)
}
