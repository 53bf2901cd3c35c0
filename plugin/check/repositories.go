package check

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/plugin/argocd"
	"github.com/seedling-dev/seedling/plugin/broker"
	"github.com/seedling-dev/seedling/plugin/forge"
	"github.com/seedling-dev/seedling/plugin/preview"
)

// listTimeout bounds the list of one repository's pull requests.
const listTimeout = 2 * time.Minute

// project looks at whether Argo CD would let an ApplicationSet's previews sync.
func (c *Cluster) project(ctx context.Context, set *argocd.ApplicationSet) {
	spec := &set.Spec.Template.Spec
	what := "project of ApplicationSet " + set.Name
	var project argocd.AppProject
	err := c.Kube.Get(ctx, client.ObjectKey{Namespace: c.ArgoCD, Name: spec.Project}, &project)
	if apierrors.IsNotFound(err) {
		c.Report.Wrong(what, "AppProject %s is not there, so none of its previews syncs: kubectl apply --server-side -k manifests/argocd", spec.Project)
		return
	}
	if !c.may(what, "read AppProjects in namespace "+c.ArgoCD, err) {
		return
	}
	var foreign, negated []string
	for _, source := range spec.AllSources() {
		if !strings.Contains(source.RepoURL, "{{") && !project.IsSourcePermitted(source.RepoURL) {
			foreign = append(foreign, safe(source.RepoURL))
		}
	}
	for _, d := range project.Spec.Destinations {
		if strings.HasPrefix(d.Namespace, "!") || strings.HasPrefix(d.Server, "!") {
			negated = append(negated, d.Namespace+d.Server)
		}
	}
	for _, repo := range project.Spec.SourceRepos {
		if strings.HasPrefix(repo, "!") || repo == "*" {
			negated = append(negated, repo)
		}
	}
	switch {
	case len(foreign) > 0:
		c.Report.Wrong(what, "AppProject %s does not permit %s, so no preview syncs: add it to spec.sourceRepos", spec.Project, strings.Join(foreign, ", "))
	case len(negated) > 0:
		c.Report.Wrong(what, "AppProject %s has the entry %s, which permits everything else: name repositories and namespaces one by one", spec.Project, strings.Join(negated, ", "))
	default:
		c.Report.Say(what, ": "+spec.Project+" permits its repositories", nil)
	}
}

// inputs are what an ApplicationSet's generators ask for, where that is valid.
func (c *Cluster) inputs(set *argocd.ApplicationSet) []preview.Input {
	var valid []preview.Input
	what := "input of ApplicationSet " + set.Name
	for _, g := range generators(set, c.ConfigMap) {
		in, err := preview.ReadInput(c.Forges, g.Input.Parameters)
		if err != nil {
			c.Report.Say(what, "", command.Misconfigured(fmt.Errorf("%w; its previews stay as they are", err)))
			continue
		}
		valid = append(valid, in)
	}
	return valid
}

// repository lists a repository's pull requests, and looks at what the credential
// may there and whether the forge calls the plugin.
func (c *Cluster) repository(ctx context.Context, in preview.Input) {
	what := "repository " + in.Repo + " of forge " + in.Forge
	f := c.Forges[in.Forge]
	if f == nil {
		c.Report.Unseen(what, "the forge could not be asked", "see the line on forge "+in.Forge)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	list := f.List(in.Repo, forge.Query{Label: in.Label})
	for {
		done, err := list.Next(ctx)
		if err != nil {
			c.Report.Say(what, "", credentialError(err))
			return
		}
		if done {
			break
		}
	}
	labelled := slices.DeleteFunc(slices.Clone(list.List().PullRequests), func(p forge.PullRequest) bool { return !p.HasLabel(in.Label) })
	c.Report.Say(what, fmt.Sprintf(": %d open pull requests have label %s", len(labelled), in.Label), nil)
	c.rights(ctx, f, in.Repo)
	c.webhooks(ctx, f, in.Repo)
}

// rights says which of those that a credential needs it has.
func (c *Cluster) rights(ctx context.Context, f forge.Forge, repository string) {
	what := "rights in " + repository
	righter, ok := f.(forge.Righter)
	if !ok {
		c.Report.Unseen(what, "this forge tells nothing of them", "see the forge's own page of the credential")
		return
	}
	rights, err := righter.Rights(ctx, repository)
	if err != nil {
		c.Report.Say(what, "", credentialError(err))
		return
	}
	for _, r := range rights {
		if r.Unknown != "" {
			c.Report.Unseen(what+", "+r.Name, r.Unknown, "see the forge's own page of the credential")
			continue
		}
		c.Report.Say(what+", "+r.Name, "", command.Misconfigured(r.Missing))
	}
}

func credentialError(err error) error {
	if errors.Is(err, forge.ErrCredential) {
		return command.Misconfigured(err)
	}
	return err
}

// snapshots looks for one that a preview would get now.
func (c *Cluster) snapshots(ctx context.Context, seed string) {
	what, handles := "snapshot of seed "+seed, ""
	if c.Direct {
		handles = c.Namespace
	}
	found, err := broker.Snapshots{Client: c.Kube, VeleroNamespace: c.Velero, MaxDataAge: c.MaxDataAge, Handles: handles, Now: c.Now}.Newest(ctx, seed)
	if apierrors.IsForbidden(err) {
		c.may(what, "read Backups, storage locations and ConfigMap seed-request", err)
		return
	}
	if err != nil {
		c.Report.Say(what, "", fmt.Errorf("%w: previews are held back until there is one; see `kubectl -n %s get application %s-data` and the logs of its Jobs in namespace %s", err, c.ArgoCD, seed, seed))
		return
	}
	c.Report.Say(what, ": "+found.Name, nil)
	c.directMode(ctx, seed, found.Name)
}
