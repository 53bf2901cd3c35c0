package janitor

import (
	"context"
	"fmt"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// tidy removes the VolumeSnapshots and contents of running previews whose
// claim is bound: the volume has its data, and they would only be in the way
// of a namespace's deletion. As long as a claim is not bound both stay.
func (j *Janitor) tidy(ctx context.Context, h *hand) error {
	const why = "its volume is bound and needs it no more"

	var snapshots snapshotv1.VolumeSnapshotList
	if err := j.Client.List(ctx, &snapshots, client.HasLabels{snapshot.VeleroRestoreLabel}); err != nil {
		return fmt.Errorf("list VolumeSnapshots: %w", err)
	}
	mine := owned{j: j, seen: map[string]bool{}}
	present := map[types.NamespacedName]bool{}
	for i := range snapshots.Items {
		vs := &snapshots.Items[i]
		present[types.NamespacedName{Namespace: vs.Namespace, Name: vs.Name}] = true
		if !snapshot.RestoredInto(vs.Labels[snapshot.VeleroRestoreLabel], vs.Namespace) {
			continue
		}
		used, err := j.used(ctx, mine, vs.Namespace, vs.Name)
		if err != nil {
			return err
		}
		if !used {
			continue
		}
		gone, err := h.remove(ctx, "VolumeSnapshot", vs, why)
		if err != nil {
			return err
		}
		if gone {
			delete(present, types.NamespacedName{Namespace: vs.Namespace, Name: vs.Name})
		}
	}
	contents, err := j.contents(ctx)
	if err != nil {
		return err
	}
	for i := range contents {
		ref := contents[i].Spec.VolumeSnapshotRef
		// A content whose VolumeSnapshot is not there may be waiting for it;
		// the bound claim says that it is not.
		if present[types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}] {
			continue
		}
		used, err := j.used(ctx, mine, ref.Namespace, ref.Name)
		if err != nil {
			return err
		}
		if !used {
			continue
		}
		if _, err := h.remove(ctx, "VolumeSnapshotContent", &contents[i], why); err != nil {
			return err
		}
	}
	return nil
}

// used says whether the claim of a preview of ours was filled from that
// VolumeSnapshot and is bound.
func (j *Janitor) used(ctx context.Context, mine owned, namespace, name string) (bool, error) {
	if !snapshot.IsPreview(namespace) {
		return false, nil
	}
	if ours, err := mine.is(ctx, namespace); err != nil || !ours {
		return false, err
	}
	var pvc corev1.PersistentVolumeClaim
	err := j.Client.Get(ctx, types.NamespacedName{Namespace: namespace, Name: snapshot.SeedPVC}, &pvc)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read PersistentVolumeClaim %s/%s: %w", namespace, snapshot.SeedPVC, err)
	}
	source := pvc.Spec.DataSource
	return pvc.Status.Phase == corev1.ClaimBound && pvc.Annotations[snapshot.AnnotationSnapshot] != "" &&
		source != nil && source.Kind == "VolumeSnapshot" && source.Name == name, nil
}
