package preview

import (
	"context"
	"errors"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/seedling-dev/seedling/plugin/forge"
	"github.com/seedling-dev/seedling/plugin/queue"
)

const (
	// deployTimeout bounds a deployment with the calls that find it.
	deployTimeout = 30 * time.Second
	// deployEvery and deploysAtOnce bound the deployments of a forge, beside its
	// comments: both together stay below what GitHub wants of anybody.
	deployEvery   = 30 * time.Second
	deploysAtOnce = 20
	// deployRefused is how long a forge is left alone that does not let us make
	// deployments in a repository, deployFailed how long at most after another
	// failure.
	deployRefused = time.Hour
	deployFailed  = 10 * time.Minute
	// deploysKey paces those of a whole repository.
	deploysKey = "deployments"
)

// deployment is what was said of a preview at the forge's deployments.
type deployment struct {
	// group and name are what the forge has it by; name is the preview's own,
	// whatever namespace it was given.
	group, name string
	// text is a digest of it; empty after its end.
	text string
	// ended: it was said that none is there any more.
	ended bool
}

// deploymentsOf plans the deployments of a repository: one for each preview that
// is ready, until its end. What is said is compared with what the forge has, so that
// nothing has to be remembered over a restart. The caller holds mu.
func (r *Reconciler) deploymentsOf(repo *repository, items []*item, e *errands) {
	f, ok := repo.forge.(forge.Deployer)
	if !ok || !r.Deployments {
		return
	}
	there := make(map[string]bool, len(items))
	for _, it := range items {
		p := it.is
		there[it.namespace()] = p != nil || it.unsure
		if p == nil || it.unsure {
			continue
		}
		was, said := repo.deployed[p.Namespace]
		switch {
		case p.Phase == Live && it.in.Deployments && !it.unasked:
			r.deploy(repo, f, it, p, e)
		case p.Phase == Live && said && !it.in.Deployments && !it.unasked,
			p.Phase == Ending && p.PVCUID != "" && (it.in.Deployments || it.unasked || said):
			if !was.ended {
				e.want(r.endDeployments(repo, f, p.Namespace, deployment{group: p.ApplicationSet, name: p.OwnName()}))
			}
		}
	}
	// One whose preview is removed before that was said.
	for namespace, was := range repo.deployed {
		if there[namespace] {
			continue
		}
		switch _, kept := r.Store.byNamespace(namespace); {
		case kept: // of a set that cannot be read
		case was.ended:
			delete(repo.deployed, namespace)
		default:
			e.want(r.endDeployments(repo, f, namespace, was))
		}
	}
}

// deploy says that a preview is there once it is ready. What fails leaves what was
// said before. The caller holds mu.
func (r *Reconciler) deploy(repo *repository, f forge.Deployer, it *item, p *Preview, e *errands) {
	said := repo.sentence[p.Namespace]
	if p.PVCUID == "" || p.Foreign || said.sync != "" && said.commit == p.HeadSHA {
		return
	}
	d := forge.Deployment{
		Group: p.ApplicationSet, Name: p.OwnName(), SHA: p.HeadSHA, Number: p.Number, Branch: p.PullRequest.Branch, Fork: p.PullRequest.Fork,
		URL: it.in.url(p.OwnName()),
	}
	if r.ArgoCDURL != "" {
		d.LogURL = strings.TrimRight(r.ArgoCDURL, "/") + "/applications/" + p.Namespace
	}
	text := digest(d.SHA, d.URL, d.LogURL)[:16]
	if repo.deployed[p.Namespace].text == text {
		return
	}
	repository, namespace := p.Repository, p.Namespace
	e.want(r.deploymentTask(repo, namespace, deployment{group: d.Group, name: d.Name, text: text}, func(ctx context.Context) error {
		return f.Deploy(ctx, repository, d)
	}))
}

// endDeployments says that a preview's are there no more.
func (r *Reconciler) endDeployments(repo *repository, f forge.Deployer, namespace string, of deployment) task {
	return r.deploymentTask(repo, namespace, deployment{group: of.group, name: of.name, ended: true}, func(ctx context.Context) error {
		return f.EndDeployments(ctx, repo.key.Repository, of.group, of.name)
	})
}

// deploymentTask says something of a preview's deployments. It decides nothing, and
// where the forge does not let us the whole repository is left alone for a while.
func (r *Reconciler) deploymentTask(repo *repository, namespace string, becomes deployment, say func(context.Context) error) task {
	key, name := "deployment/"+namespace, repo.forge.Name()
	return task{key: key, class: queue.Telling, timeout: deployTimeout, do: func(ctx context.Context) (bool, error) {
		repo.mu.Lock()
		refused := repo.pace[deploysKey]
		if now := r.Now(); refused.next.After(now) && !refused.at.After(now) {
			repo.pace[key] = try{at: now, next: refused.next}
			repo.mu.Unlock()
			return false, nil
		}
		repo.mu.Unlock()
		if !r.deploys[name].AllowN(r.Now(), 1) {
			repo.mu.Lock()
			defer repo.mu.Unlock()
			repo.pace[key] = try{at: r.Now(), next: r.Now().Add(deployEvery)}
			return false, nil
		}
		err := say(ctx)
		repo.mu.Lock()
		defer repo.mu.Unlock()
		was := repo.pace[key]
		delete(repo.pace, key)
		switch _, limited := errors.AsType[*forge.LimitedError](err); {
		case err == nil:
			delete(repo.pace, deploysKey)
			repo.deployed[namespace] = becomes
		case limited:
			return false, err
		case errors.Is(err, forge.ErrCredential):
			if repo.pace[deploysKey].n == 0 {
				r.Log.WarnContext(ctx, "the forge does not let us show deployments of this repository; previews go on without: "+
					"give the right, or set deployments: false", "repository", repo.key.Repository, "error", err)
			}
			repo.pace[deploysKey] = try{n: 1, at: r.Now(), next: r.Now().Add(deployRefused)}
			repo.pace[key] = repo.pace[deploysKey]
		default:
			if was.n == 0 {
				r.Log.WarnContext(ctx, "a preview's deployment is not shown as it is; this is tried again, and previews go on without",
					"repository", repo.key.Repository, "preview", namespace, "error", err)
			}
			repo.pace[key] = was
			repo.later(key, r.Now(), retryFirst, deployFailed)
		}
		return false, nil
	}}
}

// deployLimits are the bounds of deployments, by forge.
func deployLimits(forges map[string]forge.Forge) map[string]*rate.Limiter {
	all := map[string]*rate.Limiter{}
	for name := range forges {
		all[name] = rate.NewLimiter(rate.Every(deployEvery), deploysAtOnce)
	}
	return all
}
