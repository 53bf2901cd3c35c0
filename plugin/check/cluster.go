package check

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/plugin/argocd"
	"github.com/seedling-dev/seedling/plugin/forge"
	"github.com/seedling-dev/seedling/plugin/postgres"
	"github.com/seedling-dev/seedling/plugin/preview"
)

// timeout bounds what is looked at for one question.
const timeout = 15 * time.Second

// Cluster is where to look, and for what.
type Cluster struct {
	Kube client.Client
	// Namespace is the plugin's own, ArgoCD and Velero those of the two.
	Namespace, ArgoCD, Velero string
	// ConfigMap is the one that ApplicationSets name in their generator.
	ConfigMap string
	// Direct says that the configuration asks for direct mode.
	Direct bool
	// Forges are the configured ones; nil for one that cannot be asked, which was
	// said.
	Forges map[string]forge.Forge
	// Hooked are those of them whose webhooks have a secret; calls of others are
	// refused.
	Hooked map[string]bool
	// MaxDataAge is how old the data of a seed may be; nil for any age.
	MaxDataAge func(seed string) time.Duration
	// InPod says that this is the plugin's pod, with its rights.
	InPod bool
	// Visitor opens a preview's address; nil for as everybody does.
	Visitor http.RoundTripper
	Report  *Report
	Now     func() time.Time
}

// Look asks every question.
func (c *Cluster) Look(ctx context.Context) {
	sets, known := c.applicationSets(ctx)
	for _, question := range []func(context.Context){
		c.pluginRights, c.storage, c.veleroVersion, c.argoCDVersion, c.policies, c.values, c.settings, c.repoServer, c.heldUp, c.opened,
	} {
		c.bounded(ctx, question)
	}
	if !known {
		return // what is asked of each cannot be, and the list was reported
	}
	c.bounded(ctx, func(ctx context.Context) { c.credentials(ctx, sets) })
	seeds, platforms := map[string]bool{}, map[string]bool{}
	for i := range sets {
		c.bounded(ctx, func(ctx context.Context) { c.project(ctx, &sets[i]) })
		for _, in := range c.inputs(&sets[i]) {
			c.repository(ctx, in)
			seeds[in.Seed] = true
			platforms[in.Seed] = platforms[in.Seed] || in.Postgres == preview.PostgresPlatform
		}
	}
	c.bounded(ctx, func(ctx context.Context) { c.schedules(ctx, slices.Sorted(maps.Keys(seeds))) })
	for _, seed := range slices.Sorted(maps.Keys(seeds)) {
		c.bounded(ctx, func(ctx context.Context) { c.snapshots(ctx, seed) })
		if platforms[seed] {
			c.bounded(ctx, func(ctx context.Context) { c.postgres(ctx, seed) })
		}
	}
}

// postgres looks for what previews' Postgres is made from.
func (c *Cluster) postgres(ctx context.Context, seed string) {
	what := "Postgres of previews of seed " + seed
	template, err := postgres.TemplateOf(ctx, c.Kube, c.Namespace, seed)
	if err != nil {
		c.Report.Say(what, "", Refused(err))
		return
	}
	var images []string
	for _, container := range slices.Concat(template.Template.Spec.InitContainers, template.Template.Spec.Containers) {
		images = append(images, container.Image)
	}
	slices.Sort(images)
	c.Report.Say(what, fmt.Sprintf(": PodTemplate %s, %s", template.Name, strings.Join(slices.Compact(images), ", ")), nil)
}

func (*Cluster) bounded(ctx context.Context, question func(context.Context)) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	question(ctx)
}

// may says whether a thing could be read. Where rights are missing it is
// reported as not looked at, any other error as wrong.
func (c *Cluster) may(what, needs string, err error) bool {
	switch {
	case err == nil:
		return true
	case apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err):
		if c.InPod {
			c.Report.Unseen(what, "the plugin has no right to "+needs+", and needs none",
				"run `plugin check --config FILE` as an administrator, with KUBECONFIG")
		} else {
			c.Report.Unseen(what, "this KUBECONFIG gives no right to "+needs, "run it as an administrator")
		}
	default:
		c.Report.Say(what, "", err)
	}
	return false
}

// Refused marks an error by which the cluster says that we may not what the
// plugin must.
func Refused(err error) error {
	if apierrors.IsUnauthorized(err) || apierrors.IsForbidden(err) {
		return command.Misconfigured(err)
	}
	return err
}

// storage looks for a place that snapshots can be read from.
func (c *Cluster) storage(ctx context.Context) {
	const what = "Velero's storage"
	var locations velerov1.BackupStorageLocationList
	if err := c.Kube.List(ctx, &locations, client.InNamespace(c.Velero)); err != nil {
		c.Report.Say(what, "", Refused(fmt.Errorf("list BackupStorageLocations in namespace %s: %w", c.Velero, err)))
		return
	}
	for _, l := range locations.Items {
		if l.Status.Phase == velerov1.BackupStorageLocationPhaseAvailable {
			c.Report.Say(what, ": "+l.Name+" is Available", nil)
			return
		}
	}
	c.Report.Say(what, "", fmt.Errorf("no BackupStorageLocation is Available, so no snapshot is taken or restored: see `kubectl -n %s get backupstoragelocation`", c.Velero))
}

// applicationSets lists those that ask the plugin, and says how they sync.
// known is false where they could not be listed.
func (c *Cluster) applicationSets(ctx context.Context) (ours []argocd.ApplicationSet, known bool) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var all argocd.ApplicationSetList
	if err := c.Kube.List(ctx, &all, client.InNamespace(c.ArgoCD)); err != nil {
		c.Report.Say("ApplicationSets", "", Refused(fmt.Errorf("list the ApplicationSets in namespace %s: %w", c.ArgoCD, err)))
		c.deployedFromElsewhere(ctx)
		return nil, false
	}
	for _, set := range all.Items {
		if len(generators(&set, c.ConfigMap)) > 0 {
			ours = append(ours, set)
		}
	}
	if len(ours) == 0 {
		c.Report.Say("ApplicationSets", "", fmt.Errorf("none of the %d in namespace %s names ConfigMap %s at its top level, so no preview is asked for: apply one such as applicationsets/previews.yaml",
			len(all.Items), c.ArgoCD, c.ConfigMap))
		c.deployedFromElsewhere(ctx)
		return nil, true
	}
	c.Report.Say("ApplicationSets", fmt.Sprintf(": %d of %d name ConfigMap %s", len(ours), len(all.Items), c.ConfigMap), nil)
	for i := range ours {
		c.shared(&ours[i])
		c.destination(&ours[i])
	}
	return ours, true
}

// generators are those of an ApplicationSet that ask the plugin.
func generators(set *argocd.ApplicationSet, configMap string) []*argocd.PluginGenerator {
	var ours []*argocd.PluginGenerator
	for _, g := range set.Spec.Generators {
		if g.Plugin != nil && g.Plugin.ConfigMapRef.Name == configMap {
			ours = append(ours, g.Plugin)
		}
	}
	return ours
}

// shared looks for what keeps a preview from another one's objects.
func (c *Cluster) shared(set *argocd.ApplicationSet) {
	const option = "FailOnSharedResource=true"
	what := "shared objects of ApplicationSet " + set.Name
	has := func(t *argocd.ApplicationSetTemplate) bool {
		return t.Spec.SyncPolicy != nil && slices.Contains(t.Spec.SyncPolicy.SyncOptions, option)
	}
	missing := !has(&set.Spec.Template)
	for _, g := range generators(set, c.ConfigMap) {
		// What a generator's own template sets counts instead.
		if p := g.Template.Spec.SyncPolicy; p != nil && len(p.SyncOptions) > 0 && !has(&g.Template) {
			missing = true
		}
	}
	if missing {
		c.Report.Wrong(what, "a pull request that names another preview's object takes it over: add %s to spec.template.spec.syncPolicy.syncOptions", option)
		return
	}
	if patch := set.Spec.TemplatePatch; patch != nil && *patch != "" {
		c.Report.Unseen(what, "its templatePatch may change syncOptions", "see that it leaves "+option+" there")
		return
	}
	c.Report.Say(what, ": "+option, nil)
}
