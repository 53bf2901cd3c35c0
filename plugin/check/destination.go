package check

import (
	"context"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/plugin/argocd"
)

const (
	// ownServer and ownName are how Argo CD calls the cluster that it runs in.
	ownServer, ownName = "https://kubernetes.default.svc", "in-cluster"
	// besideArgoCD is the way that works.
	besideArgoCD = "run an Argo CD in the cluster of the previews, beside the plugin (manifests/plugin/README.md, \"Argo CD in another cluster\")"
)

// destination looks at which cluster an ApplicationSet's previews go to: their
// namespaces, volumes and fences are made in this one alone.
func (c *Cluster) destination(set *argocd.ApplicationSet) {
	what := "destination of ApplicationSet " + set.Name
	to := set.Spec.Template.Spec.Destination
	for _, g := range generators(set, c.ConfigMap) {
		// What a generator's own template sets counts instead.
		if own := g.Template.Spec.Destination; own.Server != "" || own.Name != "" {
			to = own
		}
	}
	where := to.Server + to.Name
	switch {
	case strings.Contains(where, "{{"):
		c.Report.Wrong(what, "its cluster is a template, and the plugin serves the cluster that it runs in alone: write server: %s", ownServer)
	case to.Server == ownServer, to.Server == "" && to.Name == ownName:
		c.Report.Say(what, ": this cluster", nil)
	case where == "":
		c.Report.Wrong(what, "it names no cluster: write server: %s", ownServer)
	default:
		c.Report.Wrong(what, "its previews go to cluster %s, and the plugin makes namespaces, volumes and fences in the one that it runs in: %s, and write server: %s", safe(where), besideArgoCD, ownServer)
	}
}

// deployedFromElsewhere says whether another cluster's Argo CD deploys into this
// one, which explains why nothing here asks the plugin.
func (c *Cluster) deployedFromElsewhere(ctx context.Context) {
	if c.InPod {
		return // the plugin may not look, and an administrator will
	}
	var account corev1.ServiceAccount
	if c.Kube.Get(ctx, client.ObjectKey{Namespace: managerNamespace, Name: managerAccount}, &account) == nil {
		c.Report.Wrong("Argo CD", "ServiceAccount %s/%s is that of an Argo CD in another cluster, which deploys into this one and cannot ask this plugin: %s", managerNamespace, managerAccount, besideArgoCD)
	}
}
