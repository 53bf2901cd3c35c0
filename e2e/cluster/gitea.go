package cluster

import (
	"context"
	"fmt"
	"net/http"

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
	client, err := gitea.NewClient(e.URL, gitea.SetBasicAuth(e.User, e.Password), gitea.SetContext(ctx))
	if err != nil {
		return fmt.Errorf("connect to Gitea: %w", err)
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
