package broker

import (
	"context"
	"encoding/json"
	"fmt"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// What the seed's claim carried and the preview's must not: Argo CD would take
// it for the seed's, and the next apply would compare with the seed's manifest.
var inherited = struct{ annotations, labels []string }{
	annotations: []string{snapshot.ArgoTrackingAnnotation, corev1.LastAppliedConfigAnnotation},
	labels:      []string{"app.kubernetes.io/instance"},
}

// volumes reads and finishes restored claims. Both restore modes share it: the
// same labels, annotations and checks, whoever made the objects.
type volumes struct {
	client client.Client
	owner  string
}

// namespace reads the preview's namespace, and makes sure that it is the one
// the state speaks of and that it stays: Velero would make a missing one anew,
// with the seed's labels, and wait minutes for one that is going.
func (v volumes) namespace(ctx context.Context, name string, uid types.UID) (*corev1.Namespace, error) {
	var ns corev1.Namespace
	err := v.client.Get(ctx, types.NamespacedName{Name: name}, &ns)
	switch {
	case apierrors.IsNotFound(err):
		return nil, fmt.Errorf("%w: %s does not exist", ErrGone, name)
	case err != nil:
		return nil, fmt.Errorf("read Namespace %s: %w", name, err)
	case ns.UID != uid || uid == "":
		return nil, fmt.Errorf("%w: %s was made anew", ErrGone, name)
	case snapshot.Others(ns.Labels, v.owner):
		return nil, fmt.Errorf("%w: %s is that of another plugin, in namespace %s", ErrGone, name, ns.Labels[snapshot.LabelOwner])
	case ns.DeletionTimestamp != nil || ns.Status.Phase == corev1.NamespaceTerminating:
		return nil, fmt.Errorf("%w: %s is being deleted", ErrGone, name)
	}
	return &ns, nil
}

// claim reads the preview's claim, nil where there is none.
func (v volumes) claim(ctx context.Context, namespace string) (*corev1.PersistentVolumeClaim, error) {
	var pvc corev1.PersistentVolumeClaim
	err := v.client.Get(ctx, types.NamespacedName{Namespace: namespace, Name: snapshot.SeedPVC}, &pvc)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read PersistentVolumeClaim %s/%s: %w", namespace, snapshot.SeedPVC, err)
	}
	return &pvc, nil
}

// source names the VolumeSnapshot that a claim is filled from, "" for none.
func source(pvc *corev1.PersistentVolumeClaim) string {
	s := pvc.Spec.DataSource
	if s == nil || s.APIGroup == nil || *s.APIGroup != snapshotv1.GroupName || s.Kind != "VolumeSnapshot" {
		return ""
	}
	return s.Name
}

// ready says whether a restored claim needs nothing more from us, and what it
// waits for otherwise. restore is the value of its restore label.
//
// A bound claim has its data. An unbound one needs its snapshot to be ready,
// or the provisioner gives up on it for longer and longer; whether it must
// also be bound is the storage class's matter, because where that waits for
// the first consumer it will not be bound before Postgres is scheduled.
func (v volumes) ready(ctx context.Context, pvc *corev1.PersistentVolumeClaim, restore string) (wait string, err error) {
	if pvc.Status.Phase == corev1.ClaimBound {
		return "", nil
	}
	if pvc.Status.Phase == corev1.ClaimLost {
		return "", &ForeignError{Namespace: pvc.Namespace, PVC: pvc.Name, Reason: "its PersistentVolume is lost"}
	}
	var vs snapshotv1.VolumeSnapshot
	err = v.client.Get(ctx, types.NamespacedName{Namespace: pvc.Namespace, Name: source(pvc)}, &vs)
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Sprintf("waiting for VolumeSnapshot %s", source(pvc)), errNoSource
	case err != nil:
		return "", fmt.Errorf("read VolumeSnapshot %s/%s: %w", pvc.Namespace, source(pvc), err)
	case vs.Labels[snapshot.VeleroRestoreLabel] != restore:
		return "", &ForeignError{Namespace: pvc.Namespace, PVC: pvc.Name, Reason: "its VolumeSnapshot is of another restore"}
	case vs.Status == nil || vs.Status.ReadyToUse == nil || !*vs.Status.ReadyToUse:
		if vs.Status != nil && vs.Status.Error != nil && vs.Status.Error.Message != nil {
			return "", fmt.Errorf("VolumeSnapshot %s/%s is not ready: %s", vs.Namespace, vs.Name, *vs.Status.Error.Message)
		}
		return "waiting for the volume snapshot to be ready", nil
	}
	immediate, err := v.bindsAtOnce(ctx, pvc)
	if err != nil {
		return "", err
	}
	if immediate {
		return "waiting for the volume to be provisioned", nil
	}
	return "", nil
}

// bindsAtOnce says whether the claim's class provisions without a consumer.
func (v volumes) bindsAtOnce(ctx context.Context, pvc *corev1.PersistentVolumeClaim) (bool, error) {
	if pvc.Spec.StorageClassName == nil || *pvc.Spec.StorageClassName == "" {
		return true, nil
	}
	var class storagev1.StorageClass
	err := v.client.Get(ctx, types.NamespacedName{Name: *pvc.Spec.StorageClassName}, &class)
	if err != nil {
		return false, fmt.Errorf("read StorageClass %s: %w", *pvc.Spec.StorageClassName, err)
	}
	return class.VolumeBindingMode == nil || *class.VolumeBindingMode == storagev1.VolumeBindingImmediate, nil
}

// finish marks a claim as ours and takes off what it brought from the seed.
// Done again, it changes nothing.
func (v volumes) finish(ctx context.Context, pvc *corev1.PersistentVolumeClaim, chosen string) error {
	annotations := map[string]any{}
	if pvc.Annotations[snapshot.AnnotationSnapshot] != chosen {
		annotations[snapshot.AnnotationSnapshot] = chosen
	}
	for _, name := range inherited.annotations {
		if _, ok := pvc.Annotations[name]; ok {
			annotations[name] = nil
		}
	}
	labels := map[string]any{}
	for name, value := range map[string]string{snapshot.LabelOwner: v.owner, snapshot.VeleroExcludeLabel: "true"} {
		if pvc.Labels[name] != value {
			labels[name] = value
		}
	}
	for _, name := range inherited.labels {
		if _, ok := pvc.Labels[name]; ok {
			labels[name] = nil
		}
	}
	if len(annotations) == 0 && len(labels) == 0 {
		return nil
	}
	if err := v.patch(ctx, pvc, annotations, labels); err != nil {
		return fmt.Errorf("mark PersistentVolumeClaim %s/%s as restored: %w", pvc.Namespace, pvc.Name, err)
	}
	return nil
}

// annotate writes annotations on the preview's namespace.
func (v volumes) annotate(ctx context.Context, ns *corev1.Namespace, annotations map[string]any) error {
	if err := v.patch(ctx, ns, annotations, nil); err != nil {
		return fmt.Errorf("annotate Namespace %s: %w", ns.Name, err)
	}
	return nil
}

// patch merges metadata into exactly this object, not a namesake made since:
// the API server refuses a patch whose UID is not the object's.
func (v volumes) patch(ctx context.Context, obj client.Object, annotations, labels map[string]any) error {
	metadata := map[string]any{"uid": obj.GetUID()}
	if len(annotations) > 0 {
		metadata["annotations"] = annotations
	}
	if len(labels) > 0 {
		metadata["labels"] = labels
	}
	body, err := json.Marshal(map[string]any{"metadata": metadata})
	if err != nil {
		return err
	}
	return v.client.Patch(ctx, obj, client.RawPatch(types.MergePatchType, body))
}

// remove deletes exactly this object.
func (v volumes) remove(ctx context.Context, obj client.Object) error {
	uid := obj.GetUID()
	err := v.client.Delete(ctx, obj, client.Preconditions{UID: &uid}, client.PropagationPolicy(metav1.DeletePropagationBackground))
	return client.IgnoreNotFound(err)
}
