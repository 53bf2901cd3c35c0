package check

import (
	"context"
	"fmt"
	"path"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/version"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// minVelero restores no more than what its filters name (velero #9957).
const minVelero = "1.18.3"

// veleroVersion asks the image of Velero's Deployment.
func (c *Cluster) veleroVersion(ctx context.Context) {
	const what = "Velero's version"
	const why = "older ones restore what their filters leave out (velero #9957)"
	var all appsv1.DeploymentList
	err := c.Kube.List(ctx, &all, client.InNamespace(c.Velero))
	if !c.may(what, "list Deployments in namespace "+c.Velero, err) {
		return
	}
	for _, d := range all.Items {
		for _, container := range d.Spec.Template.Spec.Containers {
			if d.Name != "velero" && container.Name != "velero" {
				continue
			}
			has, ok := imageVersion(container.Image)
			if !ok {
				c.Report.Unseen(what, "the tag of image "+container.Image+" is no version",
					fmt.Sprintf("`velero version -n %s` must say v%s or newer: %s", c.Velero, minVelero, why))
				return
			}
			if !has.AtLeast(version.MustParseGeneric(minVelero)) {
				c.Report.Wrong(what, "%s is older than %s, and %s: upgrade Velero", has, minVelero, why)
				return
			}
			c.Report.Say(what, ": "+has.String(), nil)
			return
		}
	}
	c.Report.Wrong(what, "there is no Deployment of Velero in namespace %s, so nothing is backed up or restored: correct veleroNamespace, or install Velero there", c.Velero)
}

// minArgoCD is the oldest that the tests have run with.
const minArgoCD = "2.14"

// argoCDVersion asks the image of the repo-server.
func (c *Cluster) argoCDVersion(ctx context.Context) {
	const what = "Argo CD's version"
	d, err := c.findRepoServer(ctx)
	if !c.may(what, "list Deployments in namespace "+c.ArgoCD, err) || d == nil {
		return // that there is none is said by the line on the repo-server
	}
	image := repoServerContainer(d).Image
	has, ok := imageVersion(image)
	switch {
	case !ok:
		c.Report.Unseen(what, "the tag of image "+image+" is no version", "`argocd version` must say v"+minArgoCD+" or newer")
	case !has.AtLeast(version.MustParseGeneric(minArgoCD)):
		c.Report.Wrong(what, "%s is older than %s, with which nothing here was tried: upgrade Argo CD", has, minArgoCD)
	default:
		c.Report.Say(what, ": "+has.String(), nil)
	}
}

// imageVersion reads the version in an image's tag.
func imageVersion(image string) (*version.Version, bool) {
	image, _, _ = strings.Cut(image, "@")
	_, tag, ok := strings.Cut(path.Base(image), ":")
	if !ok {
		return nil, false
	}
	v, err := version.ParseGeneric(tag)
	return v, err == nil
}
