package platform

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	argov1alpha1 "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// storageFolder is where the node keeps volumes and snapshots.
const storageFolder = "/var/lib/csi-btrfs"

// Inventory lists everything that previews are made of, of all previews and by
// kind and name: Applications, namespaces, Restores, VolumeSnapshots and their
// contents, volumes, and what the storage itself holds. Two of them tell what a
// preview left behind, wherever it is.
func (p *Platform) Inventory(ctx context.Context) ([]string, error) {
	var (
		apps       argov1alpha1.ApplicationList
		namespaces corev1.NamespaceList
		restores   velerov1.RestoreList
		shots      snapshotv1.VolumeSnapshotList
		contents   snapshotv1.VolumeSnapshotContentList
		volumes    corev1.PersistentVolumeList
		all        []string
	)
	for kind, list := range map[string]client.ObjectList{
		"Application": &apps, "Namespace": &namespaces, "Restore": &restores, "VolumeSnapshot": &shots,
		"VolumeSnapshotContent": &contents, "PersistentVolume": &volumes,
	} {
		if err := p.Kube.List(ctx, list); err != nil {
			return nil, fmt.Errorf("take an inventory: list every %s: %w", kind, err)
		}
	}
	for _, a := range apps.Items {
		if snapshot.IsPreview(a.Name) {
			all = append(all, "Application "+a.Name)
		}
	}
	for _, n := range namespaces.Items {
		if snapshot.IsPreview(n.Name) {
			all = append(all, "Namespace "+n.Name)
		}
	}
	for _, r := range restores.Items {
		all = append(all, "Restore "+r.Name)
	}
	for _, s := range shots.Items {
		all = append(all, "VolumeSnapshot "+s.Namespace+"/"+s.Name)
	}
	for _, c := range contents.Items {
		all = append(all, "VolumeSnapshotContent "+c.Name)
	}
	for _, v := range volumes.Items {
		all = append(all, "PersistentVolume "+v.Name)
	}
	for _, folder := range []string{"volumes", "snapshots"} {
		out, err := p.Cluster.Exec(ctx, "ls", storageFolder+"/"+folder)
		if err != nil {
			return nil, fmt.Errorf("take an inventory of the node's storage: %w", err)
		}
		for name := range strings.FieldsSeq(out) {
			all = append(all, "the storage's "+folder+"/"+name)
		}
	}
	slices.Sort(all)
	return all, nil
}

// RemoveStorageLocation removes Velero's only storage location. Calling putBack
// makes it again, and waits until Velero finds it available.
func (p *Platform) RemoveStorageLocation(ctx context.Context) (putBack func(context.Context) error, err error) {
	var location velerov1.BackupStorageLocation
	err = errors.Join(
		p.Kube.Get(ctx, client.ObjectKey{Namespace: VeleroNamespace, Name: "default"}, &location),
		p.Kube.Delete(ctx, &velerov1.BackupStorageLocation{ObjectMeta: metav1.ObjectMeta{Namespace: VeleroNamespace, Name: "default"}}),
	)
	if err != nil {
		return nil, fmt.Errorf("remove Velero's storage location: %w", err)
	}
	location.ResourceVersion, location.UID, location.Status = "", "", velerov1.BackupStorageLocationStatus{}
	return func(ctx context.Context) error {
		if err := p.Kube.Create(ctx, &location); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("put Velero's storage location back: %w", err)
		}
		return p.Wait(ctx, "wait for the storage location", func(ctx context.Context) error {
			if err := p.Kube.Get(ctx, client.ObjectKeyFromObject(&location), &location); err != nil {
				return err
			}
			if location.Status.Phase != velerov1.BackupStorageLocationPhaseAvailable {
				return fmt.Errorf("it is %q: %s", location.Status.Phase, location.Status.Message)
			}
			return nil
		})
	}, nil
}
