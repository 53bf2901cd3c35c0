package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/preview"
)

// driverPatience is how long the storage driver may go on refusing a snapshot
// before a newer one is taken, where there is one.
const driverPatience = time.Minute

// directly fills a preview from the recorded snapshot without Velero, and all
// previews at once: a content and a VolumeSnapshot in the preview that stand for
// the snapshot in the storage, and when they are ready the claim. They are what
// a Restore makes, have the name that its first attempt would have, and are
// taken for such by everything that looks at them later.
//
// able is false where it cannot be done: no handle was recorded for this
// snapshot, or Velero is at work already. usable says that the snapshot was
// found usable a moment ago.
func (v *Velero) directly(ctx context.Context, p preview.Preview, ns *corev1.Namespace, chosen string, usable bool) (progress Progress, able bool, err error) {
	if !v.direct {
		return Progress{}, false, nil
	}
	made, err := v.restores.of(ctx, p.Namespace)
	if err != nil {
		return Progress{Snapshot: chosen}, true, err
	}
	for _, restore := range made {
		if v.ours(restore, p) && restore.Spec.BackupName == chosen && restore.DeletionTimestamp == nil && !ended(restore) {
			return Progress{}, false, nil
		}
	}
	from, err := Handle(ctx, v.client, v.owner, chosen)
	if err != nil {
		return Progress{Snapshot: chosen}, true, err
	}
	if from == nil {
		v.log.WarnContext(ctx, "seed-backup recorded no handle of a snapshot: it is restored by Velero", "preview", p.Namespace, "snapshot", chosen)
		return Progress{}, false, nil
	}
	progress, err = v.fill(ctx, p, ns, chosen, *from, usable)
	progress.Snapshot = cmp.Or(progress.Snapshot, chosen)
	return progress, true, err
}

// Handle is what seed-backup recorded of a snapshot in the plugin's namespace,
// nil where it recorded nothing.
func Handle(ctx context.Context, c client.Client, namespace, chosen string) (*snapshot.Volume, error) {
	var recorded corev1.ConfigMap
	err := c.Get(ctx, types.NamespacedName{Namespace: namespace, Name: snapshot.HandlesConfigMap}, &recorded)
	if client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("read ConfigMap %s/%s: %w", namespace, snapshot.HandlesConfigMap, err)
	}
	text, ok := recorded.Data[chosen]
	if !ok {
		return nil, nil
	}
	volume, err := snapshot.ParseVolume(text)
	if err != nil {
		return nil, fmt.Errorf("ConfigMap %s/%s: the handle of snapshot %s: %w; take it out, and Velero restores that snapshot", namespace, snapshot.HandlesConfigMap, chosen, err)
	}
	return &volume, nil
}

// fill does the next thing for a preview that has no claim.
func (v *Velero) fill(ctx context.Context, p preview.Preview, ns *corev1.Namespace, chosen string, from snapshot.Volume, usable bool) (Progress, error) {
	name := snapshot.RestoreName(p.Namespace, p.NamespaceUID, chosen, 0)
	content, vs, err := v.pair(ctx, p, name)
	if err != nil {
		return Progress{}, err
	}
	switch {
	case content != nil && content.DeletionTimestamp != nil || vs != nil && vs.DeletionTimestamp != nil:
		return Progress{Message: fmt.Sprintf("waiting until VolumeSnapshot %s of an earlier try is gone", name)}, nil
	case content != nil && vs == nil && content.Spec.VolumeSnapshotRef.UID != "":
		// It belongs to a VolumeSnapshot that was deleted, and binds to no other.
		if err := v.volumes.remove(ctx, content); err != nil {
			return Progress{}, fmt.Errorf("remove VolumeSnapshotContent %s, whose VolumeSnapshot is gone: %w", name, err)
		}
		return Progress{Message: fmt.Sprintf("VolumeSnapshot %s was deleted and is made anew", name)}, nil
	case content == nil || vs == nil:
		if !usable {
			if progress, instead, err := v.reconsider(ctx, p, ns, chosen); err != nil || instead {
				return progress, errors.Join(err, v.drop(ctx, instead, vs, content))
			}
		}
		return v.stand(ctx, p, name, chosen, from, content == nil, vs == nil)
	}
	if s := vs.Status; s == nil || s.ReadyToUse == nil || !*s.ReadyToUse {
		if s == nil || s.Error == nil {
			return Progress{Message: fmt.Sprintf("waiting for VolumeSnapshot %s of snapshot %s to be ready", name, chosen)}, nil
		}
		return v.refused(ctx, p, ns, chosen, content, vs)
	}
	// They may have been ready for days, while nobody asked.
	if progress, instead, err := v.reconsider(ctx, p, ns, chosen); err != nil || instead {
		return progress, errors.Join(err, v.drop(ctx, instead, vs, content))
	}
	pvc := v.claimFrom(p, name, from, vs)
	err = v.client.Create(ctx, pvc)
	if apierrors.IsAlreadyExists(err) {
		// Somebody else's, or that of a request that did not live to see it: the
		// next step reads it.
		return Progress{Message: "the claim is already there"}, nil
	}
	if err != nil {
		return Progress{}, fmt.Errorf("create PersistentVolumeClaim %s/%s: %w", p.Namespace, snapshot.SeedPVC, err)
	}
	v.log.InfoContext(ctx, "claim made from the snapshot", "preview", p.Namespace, "snapshot", chosen)
	return v.adopt(ctx, p, ns, pvc)
}

// pair reads the content and the VolumeSnapshot of a preview, nil where there is
// none. Those that have our name and are not ours are an error.
func (v *Velero) pair(ctx context.Context, p preview.Preview, name string) (*snapshotv1.VolumeSnapshotContent, *snapshotv1.VolumeSnapshot, error) {
	content, vs := &snapshotv1.VolumeSnapshotContent{}, &snapshotv1.VolumeSnapshot{}
	err := v.client.Get(ctx, types.NamespacedName{Name: name}, content)
	switch {
	case apierrors.IsNotFound(err):
		content = nil
	case err != nil:
		return nil, nil, fmt.Errorf("read VolumeSnapshotContent %s: %w", name, err)
	case content.Labels[snapshot.LabelOwner] != v.owner || content.Labels[snapshot.VeleroRestoreLabel] != name ||
		content.Spec.VolumeSnapshotRef.Namespace != p.Namespace || content.Spec.VolumeSnapshotRef.Name != name ||
		content.Spec.DeletionPolicy != snapshotv1.VolumeSnapshotContentRetain:
		return nil, nil, fmt.Errorf("VolumeSnapshotContent %s has a name of ours and is not as this plugin makes it: see what made it, and remove it (with deletionPolicy Delete the snapshot goes with it)", name)
	}
	err = v.client.Get(ctx, types.NamespacedName{Namespace: p.Namespace, Name: name}, vs)
	switch {
	case apierrors.IsNotFound(err):
		vs = nil
	case err != nil:
		return nil, nil, fmt.Errorf("read VolumeSnapshot %s/%s: %w", p.Namespace, name, err)
	case vs.Labels[snapshot.VeleroRestoreLabel] != name || vs.Spec.Source.VolumeSnapshotContentName == nil || *vs.Spec.Source.VolumeSnapshotContentName != name:
		return nil, nil, fmt.Errorf("VolumeSnapshot %s/%s has a name of ours and is not as this plugin makes it: see what made it, and remove it", p.Namespace, name)
	}
	return content, vs, nil
}

// stand makes the content and the VolumeSnapshot that are missing.
func (v *Velero) stand(ctx context.Context, p preview.Preview, name, chosen string, from snapshot.Volume, content, vs bool) (Progress, error) {
	if content {
		if err := v.make(ctx, v.contentFrom(p, name, chosen, from)); err != nil {
			return Progress{}, fmt.Errorf("create VolumeSnapshotContent %s: %w", name, err)
		}
	}
	if vs {
		if err := v.make(ctx, v.standIn(p, name, chosen)); err != nil {
			return Progress{}, fmt.Errorf("create VolumeSnapshot %s/%s: %w", p.Namespace, name, err)
		}
	}
	v.log.InfoContext(ctx, "snapshot made known to a preview", "preview", p.Namespace, "snapshot", chosen, "name", name)
	return Progress{Message: fmt.Sprintf("VolumeSnapshot %s of snapshot %s was made", name, chosen)}, nil
}

// drop removes what stands for a snapshot after another one was chosen instead.
func (v *Velero) drop(ctx context.Context, instead bool, vs *snapshotv1.VolumeSnapshot, content *snapshotv1.VolumeSnapshotContent) error {
	var failed []error
	if instead && vs != nil {
		failed = append(failed, v.volumes.remove(ctx, vs))
	}
	if instead && content != nil {
		failed = append(failed, v.volumes.remove(ctx, content))
	}
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("remove what stands for a snapshot that is used no more: %w", err)
	}
	return nil
}

// make creates an object. One that is there already was made by a request that
// did not live to see it; the next step reads it, and judges.
func (v *Velero) make(ctx context.Context, obj client.Object) error {
	err := v.client.Create(ctx, obj)
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// refused is said while the driver cannot find or read the snapshot. When that
// lasts and there is a newer snapshot, that one is taken: nothing was made from
// this one.
func (v *Velero) refused(ctx context.Context, p preview.Preview, ns *corev1.Namespace, chosen string, content *snapshotv1.VolumeSnapshotContent, vs *snapshotv1.VolumeSnapshot) (Progress, error) {
	text := "the storage driver gives no reason"
	if m := vs.Status.Error.Message; m != nil {
		text = *m
	}
	refused := fmt.Errorf("VolumeSnapshot %s/%s of snapshot %s is not ready: %s", vs.Namespace, vs.Name, chosen, text)
	if v.now().Sub(vs.CreationTimestamp.Time) < driverPatience {
		return Progress{}, refused
	}
	newest, err := v.snapshots.Newest(ctx, p.Seed)
	if err != nil || newest.Name == chosen {
		return Progress{}, refused
	}
	v.log.WarnContext(ctx, "turning to a newer snapshot", "preview", p.Namespace, "error", refused)
	if err := v.drop(ctx, true, vs, content); err != nil {
		return Progress{}, err
	}
	return v.choose(ctx, p, ns, chosen)
}

// mark is what all that is made directly has in common.
func (v *Velero) mark(p preview.Preview, name, chosen string) map[string]string {
	return map[string]string{
		snapshot.VeleroRestoreLabel: name,
		snapshot.LabelOwner:         v.owner,
		snapshot.LabelPreview:       strconv.FormatInt(p.Key.Number, 10),
		snapshot.LabelKey:           p.Key.Hash(),
		snapshot.LabelNamespace:     p.Namespace,
		snapshot.LabelSeed:          p.Seed,
		snapshot.LabelSnapshot:      chosen,
	}
}

// contentFrom is the one shape of content that the admission policy lets us
// make. Its policy is Retain: when it is deleted the snapshot stays.
func (v *Velero) contentFrom(p preview.Preview, name, chosen string, from snapshot.Volume) *snapshotv1.VolumeSnapshotContent {
	handle, files := from.Handle, corev1.PersistentVolumeFilesystem
	content := &snapshotv1.VolumeSnapshotContent{
		ObjectMeta: metav1.ObjectMeta{
			Name:        name,
			Labels:      v.mark(p, name, chosen),
			Annotations: map[string]string{snapshot.AnnotationNamespaceUID: string(p.NamespaceUID)},
		},
		Spec: snapshotv1.VolumeSnapshotContentSpec{
			DeletionPolicy:    snapshotv1.VolumeSnapshotContentRetain,
			Driver:            from.Driver,
			Source:            snapshotv1.VolumeSnapshotContentSource{SnapshotHandle: &handle},
			SourceVolumeMode:  &files,
			VolumeSnapshotRef: corev1.ObjectReference{APIVersion: snapshotv1.SchemeGroupVersion.String(), Kind: "VolumeSnapshot", Namespace: p.Namespace, Name: name},
		},
	}
	if from.SnapshotClass != "" {
		content.Spec.VolumeSnapshotClassName = &from.SnapshotClass
	}
	return content
}

// standIn is the VolumeSnapshot that a preview's claim can name.
func (v *Velero) standIn(p preview.Preview, name, chosen string) *snapshotv1.VolumeSnapshot {
	return &snapshotv1.VolumeSnapshot{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: name, Labels: v.mark(p, name, chosen)},
		Spec:       snapshotv1.VolumeSnapshotSpec{Source: snapshotv1.VolumeSnapshotSource{VolumeSnapshotContentName: &name}},
	}
}

// claimFrom is the preview's claim as a Restore would make it. What says that it
// is done comes with adoption, in both modes.
func (v *Velero) claimFrom(p preview.Preview, name string, from snapshot.Volume, vs *snapshotv1.VolumeSnapshot) *corev1.PersistentVolumeClaim {
	group, size := snapshotv1.GroupName, from.Size
	// The driver may say only now how large a volume must be.
	if needs := vs.Status.RestoreSize; needs != nil && needs.Cmp(size) > 0 {
		size = *needs
	}
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: p.Namespace, Name: snapshot.SeedPVC,
			Labels: map[string]string{snapshot.VeleroRestoreLabel: name, snapshot.LabelOwner: v.owner, snapshot.VeleroExcludeLabel: "true"},
		},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			StorageClassName: &from.StorageClass,
			Resources:        corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: size}},
			DataSource:       &corev1.TypedLocalObjectReference{APIGroup: &group, Kind: "VolumeSnapshot", Name: name},
		},
	}
}
