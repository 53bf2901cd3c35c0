package check

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/broker"
)

// DirectPolicies are the admission policies of manifests/plugin/direct.
var DirectPolicies = []string{
	"seedling-direct-contents",
	"seedling-direct-volumes",
	"seedling-handles",
}

// installs is what a missing part of direct mode is mended with.
const installs = "add the component manifests/plugin/direct to your overlay"

// directMode says whether a seed's newest snapshot can be restored without Velero.
// In Velero mode that is only worth knowing.
func (c *Cluster) directMode(ctx context.Context, seed, newest string) {
	what := "direct mode of seed " + seed
	missing := c.missing(ctx, newest)
	switch {
	case missing == nil && c.Direct:
		c.Report.Say(what, ": the handle of snapshot "+newest+" is recorded", nil)
	case missing == nil:
		c.Report.Note("%s is possible: the handle of snapshot %s is recorded; set mode: direct in config.yaml, and its previews no longer wait for each other", what, newest)
	case c.Direct:
		c.Report.Wrong(what, "%s", missing)
	default:
		c.Report.Note("%s is not possible, and mode: velero does not need it: %s", what, missing)
	}
}

// missing is nil where a snapshot can be restored directly.
func (c *Cluster) missing(ctx context.Context, newest string) error {
	var recorded corev1.ConfigMap
	err := c.Kube.Get(ctx, client.ObjectKey{Namespace: c.Namespace, Name: snapshot.HandlesConfigMap}, &recorded)
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("ConfigMap %s/%s is not there: %s, and take the next snapshot", c.Namespace, snapshot.HandlesConfigMap, installs)
	case err != nil:
		return fmt.Errorf("read ConfigMap %s/%s: %w", c.Namespace, snapshot.HandlesConfigMap, err)
	}
	volume, err := broker.Handle(ctx, c.Kube, c.Namespace, newest)
	switch {
	case err != nil:
		return err
	case volume == nil:
		return fmt.Errorf("no handle of snapshot %s is recorded, so Velero restores it: take the next one, and see what Job seed-backup logs about the handle", newest)
	}
	var class storagev1.StorageClass
	err = c.Kube.Get(ctx, client.ObjectKey{Name: volume.StorageClass}, &class)
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("StorageClass %s, which the seed's claim had at snapshot %s, is not there: make it again, or take the next snapshot", volume.StorageClass, newest)
	case err != nil:
		return fmt.Errorf("read StorageClass %s: %w", volume.StorageClass, err)
	case class.Provisioner != volume.Driver:
		return fmt.Errorf("StorageClass %s is of %s, and snapshot %s of %s, so no volume can be made from it: take the next snapshot", class.Name, class.Provisioner, newest, volume.Driver)
	}
	return nil
}
