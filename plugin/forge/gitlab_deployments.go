package forge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

// gitlabEnvironment is what is read of an environment.
type gitlabEnvironment struct {
	ID    int64  `json:"id"`
	Name  string `json:"name"`
	State string `json:"state"`
	URL   string `json:"external_url"`
}

// Deploy implements Deployer. Each preview is an environment, in a folder for those
// of its group: the group and the name. A merge request shows the environments that
// its commits are deployed to.
// https://docs.gitlab.com/api/environments/
// https://docs.gitlab.com/api/deployments/#create-a-deployment
func (g *GitLab) Deploy(ctx context.Context, repository string, d Deployment) error {
	fail := func(err error) error {
		return fmt.Errorf("forge %s: show a deployment of %s!%d: %w", g.Name(), repository, d.Number, err)
	}
	project, err := gitlabProject(repository)
	if err != nil {
		return fail(err)
	}
	name := d.Group + "/" + d.Name
	env, err := g.environment(ctx, project, name)
	switch {
	case err != nil:
		return fail(err)
	case env.ID == 0:
		if err := g.write(ctx, http.MethodPost, project+"/environments", map[string]any{"name": name, "external_url": d.URL, "tier": "development"}); err != nil {
			return fail(fmt.Errorf("make its environment: %w", err))
		}
	case env.URL != d.URL:
		if err := g.write(ctx, http.MethodPut, fmt.Sprintf("%s/environments/%d", project, env.ID), map[string]any{"external_url": d.URL}); err != nil {
			return fail(fmt.Errorf("the address of its environment: %w", err))
		}
	}
	if env.State == "available" {
		last, err := g.lastDeployed(ctx, project, name)
		if err != nil {
			return fail(err)
		}
		if last == d.SHA {
			return nil
		}
	}
	// One that was stopped is available again by a deployment. The head of a fork's
	// merge request is no branch of the project.
	ref := d.Branch
	if d.Fork {
		ref = fmt.Sprintf("refs/merge-requests/%d/head", d.Number)
	}
	if err := g.write(ctx, http.MethodPost, project+"/deployments", map[string]any{
		"environment": name, "sha": d.SHA, "ref": ref, "tag": false, "status": "success",
	}); err != nil {
		return fail(err)
	}
	return nil
}

// EndDeployments implements Deployer: the environment is stopped, and no job of a
// pipeline that somebody may have named after it is run for that.
// https://docs.gitlab.com/api/environments/#stop-an-environment
func (g *GitLab) EndDeployments(ctx context.Context, repository, group, name string) error {
	fail := func(err error) error {
		return fmt.Errorf("forge %s: end the deployments of %s in %s: %w", g.Name(), name, repository, err)
	}
	project, err := gitlabProject(repository)
	if err != nil {
		return fail(err)
	}
	env, err := g.environment(ctx, project, group+"/"+name)
	if err != nil {
		return fail(err)
	}
	if env.ID == 0 || env.State == "stopped" || env.State == "stopping" {
		return nil
	}
	if err := g.write(ctx, http.MethodPost, fmt.Sprintf("%s/environments/%d/stop", project, env.ID), map[string]any{"force": true}); err != nil {
		return fail(err)
	}
	return nil
}

// environment finds one by its name; one without an ID where there is none.
func (g *GitLab) environment(ctx context.Context, project, name string) (gitlabEnvironment, error) {
	fail := func(err error) (gitlabEnvironment, error) {
		return gitlabEnvironment{}, fmt.Errorf("look for its environment: %w", err)
	}
	var list []gitlabEnvironment
	if err := g.read(ctx, project+"/environments?"+url.Values{"name": {name}}.Encode(), &list); err != nil {
		return fail(err)
	}
	if list == nil {
		return fail(errors.New("the answer is no list"))
	}
	for _, env := range list {
		switch {
		case env.Name != name:
		case env.ID <= 0 || env.State == "":
			return fail(errors.New("it has no number, or no state"))
		default:
			return env, nil
		}
	}
	return gitlabEnvironment{}, nil
}

// lastDeployed is the commit that was deployed last to an environment, and well;
// empty for none.
func (g *GitLab) lastDeployed(ctx context.Context, project, name string) (string, error) {
	var list []struct {
		SHA    string `json:"sha"`
		Status string `json:"status"`
	}
	query := url.Values{"environment": {name}, "order_by": {"id"}, "sort": {"desc"}, "per_page": {"1"}}
	if err := g.read(ctx, project+"/deployments?"+query.Encode(), &list); err != nil {
		return "", fmt.Errorf("what was deployed last: %w", err)
	}
	if list == nil {
		return "", errors.New("what was deployed last: the answer is no list")
	}
	if len(list) == 0 || list[0].Status != "success" {
		return "", nil
	}
	return list[0].SHA, nil
}

// write makes a call whose answer says nothing that is needed, but must be one.
func (g *GitLab) write(ctx context.Context, method, path string, body any) error {
	res, err := g.ask(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var said struct {
		ID int64 `json:"id"`
	}
	if err := json.NewDecoder(res.Body).Decode(&said); err != nil || said.ID <= 0 {
		return errors.New("the answer is not as the API says")
	}
	return nil
}
