package backup

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// handle is how the storage driver names a snapshot. It has to be read while
// Velero works: at a Backup's end Velero removes the objects that name it, and
// keeps the snapshot. It is recorded for the plugin's direct mode, beside what
// was decided about the Backup: nothing here fails one, because without it the
// snapshot is restored by Velero.
type handle struct {
	*backupRun

	backup string
	volume *snapshot.Volume
	// last is what looking failed for, so that it is said once.
	last string
}

// handle is nil where direct mode is not installed.
func (r *backupRun) handle(ctx context.Context, backup string) *handle {
	if r.HandlesNamespace == "" {
		return nil
	}
	var recorded corev1.ConfigMap
	err := r.client.Get(ctx, r.handlesKey(), &recorded)
	if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
		r.log.Info("the snapshot's handle is not recorded: direct mode is not installed", "because", command.OneLine(err.Error()))
		return nil
	}
	return &handle{backupRun: r, backup: backup} // what else is wrong is tried again
}

func (r *backupRun) handlesKey() client.ObjectKey {
	return client.ObjectKey{Namespace: r.HandlesNamespace, Name: snapshot.HandlesConfigMap}
}

// look reads the handle, if it is there to be read.
func (h *handle) look(ctx context.Context) {
	if h == nil {
		return
	}
	volume, err := h.read(ctx)
	switch {
	case err != nil && err.Error() != h.last:
		h.last = err.Error()
		h.log.Warn("the snapshot's handle could not be read", "backup", h.backup, "error", command.OneLine(h.last))
	case err == nil && volume != nil:
		h.volume = volume
	}
}

// read is nil where Velero has no snapshot yet, or no more.
func (h *handle) read(ctx context.Context) (*snapshot.Volume, error) {
	var all snapshotv1.VolumeSnapshotList
	if err := h.client.List(ctx, &all, client.InNamespace(h.Seed), client.MatchingLabels{snapshot.VeleroBackupLabel: h.backup}); err != nil {
		return nil, fmt.Errorf("list the VolumeSnapshots of namespace %s: %w", h.Seed, err)
	}
	for i := range all.Items {
		vs := &all.Items[i]
		if name := vs.Spec.Source.PersistentVolumeClaimName; name == nil || *name != snapshot.SeedPVC ||
			vs.Status == nil || vs.Status.BoundVolumeSnapshotContentName == nil {
			continue
		}
		var content snapshotv1.VolumeSnapshotContent
		err := h.client.Get(ctx, client.ObjectKey{Name: *vs.Status.BoundVolumeSnapshotContentName}, &content)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the content of VolumeSnapshot %s/%s: %w", vs.Namespace, vs.Name, err)
		}
		if content.Spec.VolumeSnapshotRef.UID != vs.UID || content.Status == nil || content.Status.SnapshotHandle == nil {
			continue
		}
		var claim corev1.PersistentVolumeClaim
		if err := h.client.Get(ctx, client.ObjectKey{Namespace: h.Seed, Name: snapshot.SeedPVC}, &claim); err != nil {
			return nil, fmt.Errorf("read claim %s/%s: %w", h.Seed, snapshot.SeedPVC, err)
		}
		return volumeOf(&content, &claim)
	}
	return nil, nil
}

// volumeOf is what a snapshot of a claim is to its driver. What a volume needs
// is what the claim asked for, or more where the driver gave or wants more.
func volumeOf(content *snapshotv1.VolumeSnapshotContent, claim *corev1.PersistentVolumeClaim) (*snapshot.Volume, error) {
	size := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	if given, ok := claim.Status.Capacity[corev1.ResourceStorage]; ok && given.Cmp(size) > 0 {
		size = given
	}
	if b := content.Status.RestoreSize; b != nil && *b > size.Value() {
		size = *resource.NewQuantity(*b, resource.BinarySI)
	}
	v := &snapshot.Volume{Driver: content.Spec.Driver, Handle: *content.Status.SnapshotHandle, Size: size}
	if claim.Spec.StorageClassName != nil {
		v.StorageClass = *claim.Spec.StorageClassName
	}
	if content.Spec.VolumeSnapshotClassName != nil {
		v.SnapshotClass = *content.Spec.VolumeSnapshotClassName
	}
	if mode := content.Spec.SourceVolumeMode; mode != nil && *mode != corev1.PersistentVolumeFilesystem {
		return nil, fmt.Errorf("it is of a %s volume", *mode)
	}
	if err := v.Check(); err != nil {
		return nil, err
	}
	return v, nil
}

// record writes the handle of an accepted snapshot down, and takes out those of
// this seed's snapshots that are gone.
func (h *handle) record(ctx context.Context) {
	switch {
	case h == nil:
		return
	case h.volume == nil:
		h.log.Warn("Velero was done before the snapshot's handle could be read: it is restored by Velero, also in direct mode", "snapshot", h.backup)
		return
	}
	err := h.until(ctx, func(ctx context.Context) (string, error) {
		var recorded corev1.ConfigMap
		var backups velerov1.BackupList
		if err := h.client.Get(ctx, h.handlesKey(), &recorded); err != nil {
			return h.pending("read ConfigMap "+h.handlesKey().String(), err)
		}
		if err := h.client.List(ctx, &backups, client.InNamespace(h.VeleroNamespace), client.MatchingLabels{snapshot.LabelSeed: h.Seed}); err != nil {
			return h.pending("list Backups in namespace "+h.VeleroNamespace, err)
		}
		there := map[string]bool{}
		for _, b := range backups.Items {
			there[b.Name] = true
		}
		data := map[string]any{h.backup: h.volume.String()}
		for name := range recorded.Data {
			if snapshot.BackupOf(name, h.Seed) && !there[name] {
				data[name] = nil
			}
		}
		patch, err := json.Marshal(map[string]any{"data": data})
		if err != nil {
			return "", err
		}
		if err := h.client.Patch(ctx, &recorded, client.RawPatch(types.MergePatchType, patch)); err != nil {
			return h.pending("patch ConfigMap "+h.handlesKey().String(), err)
		}
		return "", nil
	})
	if err != nil {
		h.log.Warn("the snapshot's handle could not be recorded: it is restored by Velero, also in direct mode",
			"snapshot", h.backup, "error", command.OneLine(strings.TrimSpace(err.Error())))
		return
	}
	h.log.Info("the snapshot's handle is recorded", "snapshot", h.backup, "driver", h.volume.Driver)
}
