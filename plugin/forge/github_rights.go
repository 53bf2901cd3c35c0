package forge

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/go-github/v89/github"
)

// The rights that the calls of github.go need, as GitHub calls them.
const (
	githubMetadata = "Metadata: read"
	githubPulls    = "Pull requests: read and write"
	githubStatuses = "Commit statuses: read and write"
	githubChecks   = "Checks: read"
	githubContents = "Contents: read"
	githubDeploys  = "Deployments: read and write"
)

// forPaths is said where Contents is not given: nothing else needs it.
const forPaths = "it is not given, and only an ApplicationSet with paths needs it"

// forDeployments is said where Deployments is not given.
const forDeployments = "it is not given, and so no deployments are shown; nothing else needs it"

// Rights implements Righter. Those of an App are told. Those of a token are not:
// it makes calls that fail for another reason where it has them.
func (g *GitHub) Rights(ctx context.Context, repository string) ([]Right, error) {
	rights, err := g.readRights(ctx, repository)
	if err != nil {
		return nil, fmt.Errorf("forge %s: ask for the rights in %s: %w", g.Name(), repository, err)
	}
	return rights, nil
}

func (g *GitHub) readRights(ctx context.Context, repository string) ([]Right, error) {
	c, owner, repo, err := g.client(ctx, repository)
	if err != nil {
		return nil, err
	}
	r, res, err := c.Repositories.Get(ctx, owner, repo)
	if err := githubOutcome(res, err); errors.Is(err, errNotFound) {
		return nil, fmt.Errorf("%w: it is not there, or the credential is not for it: add it under Repository access", ErrCredential)
	} else if err != nil {
		return nil, err
	}
	if g.app != nil {
		_, has, err := g.app.token(ctx, repository)
		if err != nil {
			return nil, err
		}
		return appRights(has), nil
	}
	login, err := g.Login(ctx)
	if err != nil {
		return nil, err
	}
	_, res, err = c.Repositories.GetPermissionLevel(ctx, owner, repo, url.PathEscape(login))
	rights := []Right{tried(githubMetadata, githubOutcome(res, err))}
	rights = append(rights, pullsRight(ctx, c, owner, repo))
	// There is no such commit.
	_, res, err = c.Repositories.CreateStatus(ctx, owner, repo, strings.Repeat("0", 40), github.RepoStatus{
		State: new("pending"), Context: new("seedling/check"),
	})
	if res != nil && res.Response != nil && res.StatusCode == http.StatusUnprocessableEntity {
		err = nil
	} else if err = githubOutcome(res, err); err == nil {
		err = errors.New("a status was set on a commit that is not there")
	}
	rights = append(rights, tried(githubStatuses, err))
	_, res, err = c.Checks.ListCheckRunsForRef(ctx, owner, repo, url.PathEscape(r.GetDefaultBranch()), &github.ListCheckRunsOptions{ListOptions: github.ListOptions{PerPage: 1}})
	checks := tried(githubChecks, githubOutcome(res, err))
	if checks.Missing != nil {
		checks = Right{Name: githubChecks, Unknown: "fine-grained tokens have none: use a GitHub App where waitForStatus names a job of GitHub Actions"}
	}
	_, res, err = c.Repositories.ListCommits(ctx, owner, repo, &github.CommitsListOptions{SHA: r.GetDefaultBranch(), ListOptions: github.ListOptions{PerPage: 1}})
	contents := tried(githubContents, githubOutcome(res, err))
	if contents.Missing != nil {
		contents = Right{Name: githubContents, Unknown: forPaths}
	}
	// There is no such deployment in it.
	_, res, err = c.Repositories.CreateDeploymentStatus(ctx, owner, repo, 1, github.DeploymentStatusRequest{State: deploymentInactive})
	deploys := Right{Name: githubDeploys}
	if err := githubOutcome(res, err); !errors.Is(err, errNotFound) {
		deploys.Unknown = forDeployments
	}
	return append(rights, checks, contents, deploys), nil
}

// pullsRight takes a label off a pull request that does not carry it.
func pullsRight(ctx context.Context, c *github.Client, owner, repo string) Right {
	pulls, res, err := c.PullRequests.List(ctx, owner, repo, &github.PullRequestListOptions{State: "all", ListOptions: github.ListOptions{PerPage: 1}})
	if err := githubOutcome(res, err); err != nil {
		return tried(githubPulls, err)
	}
	if len(pulls) == 0 {
		return Right{Name: githubPulls, Unknown: "reading is there; writing cannot be told before the repository has a pull request"}
	}
	b := make([]byte, 8)
	_, _ = rand.Read(b) // does not fail
	res, err = c.Issues.RemoveLabelForIssue(ctx, owner, repo, pulls[0].GetNumber(), "seedling-check-"+hex.EncodeToString(b))
	if err = githubOutcome(res, err); errors.Is(err, errNotFound) {
		err = nil
	}
	return tried(githubPulls, err)
}

// tried is a right that a call needed.
func tried(name string, err error) Right {
	switch {
	case err == nil:
		return Right{Name: name}
	case errors.Is(err, errForbidden), errors.Is(err, errNotFound):
		return Right{Name: name, Missing: fmt.Errorf("%w: edit the token under Settings > Developer settings > Personal access tokens > Fine-grained tokens: Repository permissions, %s", ErrCredential, name)}
	}
	return Right{Name: name, Unknown: err.Error()}
}

// appRights are those of an App.
func appRights(has *github.InstallationPermissions) []Right {
	var rights []Right
	for _, r := range []struct {
		name, has, needs string
	}{
		{githubMetadata, has.GetMetadata(), "read"},
		{githubPulls, has.GetPullRequests(), "write"},
		{githubStatuses, has.GetStatuses(), "write"},
		{githubChecks, has.GetChecks(), "read"},
	} {
		right := Right{Name: r.name}
		if r.has != "write" && r.has != r.needs {
			right.Missing = fmt.Errorf("%w: give it on the App's page under Permissions & events, and let the owner of the repository accept it", ErrCredential)
		}
		rights = append(rights, right)
	}
	contents := Right{Name: githubContents}
	if has.GetContents() == "" {
		contents.Unknown = forPaths
	}
	deploys := Right{Name: githubDeploys}
	if has.GetDeployments() != "write" {
		deploys.Unknown = forDeployments
	}
	return append(rights, contents, deploys)
}
