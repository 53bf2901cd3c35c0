package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"code.gitea.io/sdk/gitea"
)

// Organisation is the Gitea organisation that every cluster starts with.
const Organisation = "acme"

// setUpGitea waits for Gitea and makes the organisation.
func setUpGitea(ctx context.Context, c *Cluster) error {
	if err := c.waitProcesses(ctx, "gitea"); err != nil {
		return err
	}
	e := c.Gitea()
	client, err := connectGitea(ctx, e)
	if err != nil {
		return err
	}
	if _, _, err := client.GetOrg(Organisation); err == nil {
		return nil
	}
	_, response, err := client.CreateOrg(gitea.CreateOrgOption{Name: Organisation, Visibility: gitea.VisibleTypePublic})
	if err != nil && (response == nil || response.StatusCode != http.StatusUnprocessableEntity) {
		return fmt.Errorf("create Gitea's organisation %s: %w", Organisation, err)
	}
	return nil
}

// connectGitea asks until Gitea answers: that it is ready is seen inside of the node,
// and the node's published port may be slower to let the first connection through.
func connectGitea(ctx context.Context, e Endpoint) (*gitea.Client, error) {
	for {
		client, err := gitea.NewClient(e.URL, gitea.SetBasicAuth(e.User, e.Password), gitea.SetContext(ctx))
		if err == nil {
			return client, nil
		}
		if _, lost := errors.AsType[net.Error](err); !lost {
			return nil, fmt.Errorf("connect to Gitea: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("connect to Gitea: %w: %w", ctx.Err(), err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}
