package forge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/google/go-github/v89/github"
)

const (
	deploymentSuccess  = "success"
	deploymentInactive = "inactive"
	// deploymentStatuses is how many of the last statuses of a deployment are read:
	// we set two.
	deploymentStatuses = 30
)

// Deploy implements Deployer. The group is the environment, because nobody but an
// administrator can remove one: previews come and go in it, as they do in the one
// that others call Preview. The name is the task, by which its own are found. They
// are transient, which shows them as destroyed at their end, and so GitHub ends none
// by itself; that it never does is asked for besides.
// https://docs.github.com/en/rest/deployments/deployments?apiVersion=2022-11-28#create-a-deployment
// https://docs.github.com/en/rest/deployments/statuses?apiVersion=2022-11-28#create-a-deployment-status
func (g *GitHub) Deploy(ctx context.Context, repository string, d Deployment) error {
	fail := func(err error) error {
		return fmt.Errorf("forge %s: show a deployment of %s#%d: %w", g.Name(), repository, d.Number, githubDeploymentsRefused(err))
	}
	c, owner, repo, err := g.client(ctx, repository)
	if err != nil {
		return fail(err)
	}
	all, err := githubDeployments(ctx, c, owner, repo, d.Group, d.Name)
	if err != nil {
		return fail(err)
	}
	// One that has ended does not begin anew: it would have two ends.
	var is *github.Deployment
	last := &github.DeploymentStatus{}
	if len(all) > 0 && all[0].GetSHA() == d.SHA {
		if last, err = githubLastStatus(ctx, c, owner, repo, all[0]); err != nil {
			return fail(err)
		}
		if last.GetState() != deploymentInactive {
			is, all = all[0], all[1:]
		}
	}
	if is == nil {
		if is, err = githubNewDeployment(ctx, c, owner, repo, d); err != nil {
			return fail(err)
		}
	}
	if last.GetState() != deploymentSuccess || last.GetEnvironmentURL() != d.URL || last.GetLogURL() != d.LogURL {
		err := githubSay(ctx, c, owner, repo, is, github.DeploymentStatusRequest{
			State: deploymentSuccess, Description: new(cut("Preview " + d.Name)), Environment: &d.Group, AutoInactive: new(false),
			EnvironmentURL: &d.URL, LogURL: &d.LogURL,
		})
		if err != nil {
			return fail(err)
		}
	}
	if err := githubEnd(ctx, c, owner, repo, all); err != nil {
		return fail(err)
	}
	return nil
}

// EndDeployments implements Deployer.
func (g *GitHub) EndDeployments(ctx context.Context, repository, group, name string) error {
	fail := func(err error) error {
		return fmt.Errorf("forge %s: end the deployments of %s in %s: %w", g.Name(), name, repository, githubDeploymentsRefused(err))
	}
	c, owner, repo, err := g.client(ctx, repository)
	if err != nil {
		return fail(err)
	}
	all, err := githubDeployments(ctx, c, owner, repo, group, name)
	if err != nil {
		return fail(err)
	}
	if err := githubEnd(ctx, c, owner, repo, all); err != nil {
		return fail(err)
	}
	return nil
}

// githubDeploymentsRefused says what to click where the right is missing.
func githubDeploymentsRefused(err error) error {
	if errors.Is(err, errForbidden) {
		return fmt.Errorf("%w: give it the repository permission %s", err, githubDeploys)
	}
	return err
}

func githubNewDeployment(ctx context.Context, c *github.Client, owner, repo string, d Deployment) (*github.Deployment, error) {
	made, res, err := c.Repositories.CreateDeployment(ctx, owner, repo, github.DeploymentRequest{
		Ref: d.SHA, Task: &d.Name, Environment: &d.Group, Description: new(cut(fmt.Sprintf("Preview of pull request %d", d.Number))),
		// Nothing is merged into it, and no status of the commit is waited for.
		AutoMerge: new(false), RequiredContexts: []string{}, TransientEnvironment: new(true), ProductionEnvironment: new(false),
	})
	if err := githubOutcome(res, err); err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusCreated || made.GetID() <= 0 {
		return nil, errors.New("the answer names no deployment")
	}
	return made, nil
}

// githubDeployments are those of one name, the newest first.
func githubDeployments(ctx context.Context, c *github.Client, owner, repo, group, name string) ([]*github.Deployment, error) {
	var all []*github.Deployment
	for page := 1; page != 0; {
		if page > maxPages {
			return nil, fmt.Errorf("more than %d pages", maxPages)
		}
		list, res, err := c.Repositories.ListDeployments(ctx, owner, repo, &github.DeploymentsListOptions{
			Task: name, Environment: group, ListOptions: github.ListOptions{Page: page, PerPage: githubPage},
		})
		if err := githubOutcome(res, err); err != nil {
			return nil, fmt.Errorf("list deployments: page %d: %w", page, err)
		}
		if list == nil {
			return nil, errors.New("list deployments: the answer is no list")
		}
		for _, d := range list {
			// What somebody else made in another place is none of ours.
			if d.GetTask() == name && d.GetID() > 0 {
				all = append(all, d)
			}
		}
		page = res.NextPage
	}
	slices.SortFunc(all, func(a, b *github.Deployment) int { return cmp.Compare(b.GetID(), a.GetID()) })
	return all, nil
}

// githubLastStatus is the last one of a deployment; an empty one where there is
// none.
func githubLastStatus(ctx context.Context, c *github.Client, owner, repo string, d *github.Deployment) (*github.DeploymentStatus, error) {
	list, res, err := c.Repositories.ListDeploymentStatuses(ctx, owner, repo, d.GetID(), &github.ListOptions{PerPage: deploymentStatuses})
	if err := githubOutcome(res, err); err != nil {
		return nil, fmt.Errorf("the statuses of deployment %d: %w", d.GetID(), err)
	}
	if list == nil {
		return nil, fmt.Errorf("the statuses of deployment %d: the answer is no list", d.GetID())
	}
	last := &github.DeploymentStatus{}
	for _, s := range list {
		if s.GetID() > last.GetID() {
			last = s
		}
	}
	return last, nil
}

// githubEnd ends deployments, of which the newest comes first.
func githubEnd(ctx context.Context, c *github.Client, owner, repo string, all []*github.Deployment) error {
	open, err := notEnded(all, func(d *github.Deployment) (bool, error) {
		last, err := githubLastStatus(ctx, c, owner, repo, d)
		return last.GetState() == deploymentInactive, err
	})
	if err != nil {
		return err
	}
	for _, d := range open {
		if err := githubSay(ctx, c, owner, repo, d, github.DeploymentStatusRequest{
			State: deploymentInactive, Description: new("The preview has ended"), AutoInactive: new(false),
		}); err != nil {
			return err
		}
	}
	return nil
}

// githubSay sets the status of a deployment.
func githubSay(ctx context.Context, c *github.Client, owner, repo string, d *github.Deployment, s github.DeploymentStatusRequest) error {
	said, res, err := c.Repositories.CreateDeploymentStatus(ctx, owner, repo, d.GetID(), s)
	if err := githubOutcome(res, err); err != nil {
		return fmt.Errorf("set the status of deployment %d: %w", d.GetID(), err)
	}
	if said.GetID() <= 0 {
		return fmt.Errorf("set the status of deployment %d: the answer names no status", d.GetID())
	}
	return nil
}
