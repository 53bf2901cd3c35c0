package platform

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	argov1alpha1 "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/gitops-engine/pkg/health"
	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// Labels and annotations of a preview's namespace.
const (
	LabelNumber          = "seedling.dev/preview"
	AnnotationRepository = "seedling.dev/repository"
	AnnotationSnapshot   = "seedling.dev/snapshot"
)

// Preview is what a pull request got.
type Preview struct {
	// Namespace is the name of the namespace and of the Application.
	Namespace string
	// Snapshot is the Backup its data came from.
	Snapshot string
	Number   int64
}

// FindPreview finds the namespace of a pull request's preview; ok is false if
// there is none.
func (p *Platform) FindPreview(ctx context.Context, number int64) (v Preview, ok bool, err error) {
	var all corev1.NamespaceList
	if err := p.Kube.List(ctx, &all, client.MatchingLabels{LabelNumber: strconv.FormatInt(number, 10)}); err != nil {
		return Preview{}, false, fmt.Errorf("list the previews of pull request %d: %w", number, err)
	}
	for _, ns := range all.Items {
		if ns.Annotations[AnnotationRepository] == Organisation+"/"+ShopRepository && ns.DeletionTimestamp == nil {
			return Preview{Namespace: ns.Name, Snapshot: ns.Annotations[AnnotationSnapshot], Number: number}, true, nil
		}
	}
	return Preview{}, false, nil
}

// Application is the Application of a namespace's preview.
func (p *Platform) Application(ctx context.Context, name string) (*argov1alpha1.Application, error) {
	var app argov1alpha1.Application
	if err := p.Kube.Get(ctx, client.ObjectKey{Namespace: ArgoCDNamespace, Name: name}, &app); err != nil {
		return nil, err
	}
	return &app, nil
}

// WaitPreview waits until a pull request's preview is Synced at the given
// commit ("" for any) and Healthy.
func (p *Platform) WaitPreview(ctx context.Context, pr *PullRequest, sha string) (Preview, error) {
	var v Preview
	err := p.Wait(ctx, fmt.Sprintf("wait for the preview of pull request %d", pr.Number), func(ctx context.Context) error {
		found, ok, err := p.FindPreview(ctx, pr.Number)
		if err != nil {
			return err
		}
		if !ok {
			return errors.New("the plugin has made no namespace for it")
		}
		v = found
		app, err := p.Application(ctx, v.Namespace)
		if err != nil {
			return err
		}
		return previewReady(app, sha)
	})
	return v, err
}

// previewReady says what an Application lacks to be a finished preview.
func previewReady(app *argov1alpha1.Application, sha string) error {
	if app.DeletionTimestamp != nil {
		return fmt.Errorf("Application %s is being deleted", app.Name)
	}
	for _, c := range app.Status.Conditions {
		if strings.HasSuffix(c.Type, "Error") {
			return fmt.Errorf("Application %s: %s: %s", app.Name, c.Type, c.Message)
		}
	}
	if sha != "" {
		seen := false
		for _, r := range app.Status.Sync.Revisions {
			seen = seen || r == sha
		}
		if !seen {
			return fmt.Errorf("Application %s has not seen commit %.8s", app.Name, sha)
		}
	}
	s := app.Status.OperationState
	switch {
	case s == nil:
		return fmt.Errorf("Application %s has not begun to sync", app.Name)
	case !s.Phase.Completed() || !s.Phase.Successful():
		return fmt.Errorf("Application %s: sync is %s: %s", app.Name, s.Phase, s.Message)
	case app.Status.Sync.Status != argov1alpha1.SyncStatusCodeSynced:
		return fmt.Errorf("Application %s is %s", app.Name, app.Status.Sync.Status)
	case app.Status.Health.Status != health.HealthStatusHealthy:
		return fmt.Errorf("Application %s is %s: %s", app.Name, app.Status.Health.Status, app.Status.Health.Message)
	}
	return nil
}

// WaitAnew waits until a namespace of this name is another one than that with
// the UID before.
func (p *Platform) WaitAnew(ctx context.Context, namespace string, before types.UID) error {
	return p.Wait(ctx, "wait for a new namespace "+namespace, func(ctx context.Context) error {
		var ns corev1.Namespace
		if err := p.Kube.Get(ctx, client.ObjectKey{Name: namespace}, &ns); err != nil {
			return err
		}
		if ns.UID == before {
			return errors.New("the old one is still there")
		}
		return nil
	})
}

// WaitGone waits until nothing of a preview is left in the cluster.
func (p *Platform) WaitGone(ctx context.Context, namespace string) error {
	return p.Wait(ctx, "wait for the end of "+namespace, func(ctx context.Context) error {
		left, err := p.Leftovers(ctx, namespace)
		if err != nil {
			return err
		}
		if len(left) > 0 {
			return fmt.Errorf("there still are: %s", strings.Join(left, ", "))
		}
		return nil
	})
}

// Leftovers lists what there is of a preview cluster-wide, by kind and name:
// its Application, namespace, Restores, volumes, snapshots and their contents.
func (p *Platform) Leftovers(ctx context.Context, namespace string) ([]string, error) {
	var left []string
	for _, o := range []client.Object{&argov1alpha1.Application{}, &corev1.Namespace{}} {
		key := client.ObjectKey{Name: namespace}
		kind := "Namespace"
		if _, ok := o.(*argov1alpha1.Application); ok {
			key.Namespace, kind = ArgoCDNamespace, "Application"
		}
		err := p.Kube.Get(ctx, key, o)
		switch {
		case err == nil:
			left = append(left, kind+" "+namespace)
		case !apierrors.IsNotFound(err):
			return nil, err
		}
	}
	var restores velerov1.RestoreList
	var contents snapshotv1.VolumeSnapshotContentList
	var volumes corev1.PersistentVolumeList
	if err := errors.Join(
		p.Kube.List(ctx, &restores, client.InNamespace(VeleroNamespace)),
		p.Kube.List(ctx, &contents),
		p.Kube.List(ctx, &volumes),
	); err != nil {
		return nil, err
	}
	for _, r := range restores.Items {
		for _, to := range r.Spec.NamespaceMapping {
			if to == namespace {
				left = append(left, "Restore "+r.Name)
			}
		}
	}
	for _, c := range contents.Items {
		if c.Spec.VolumeSnapshotRef.Namespace == namespace || strings.HasPrefix(c.Labels[snapshot.VeleroRestoreLabel], namespace+"-") {
			left = append(left, "VolumeSnapshotContent "+c.Name)
		}
	}
	for _, v := range volumes.Items {
		if v.Spec.ClaimRef != nil && v.Spec.ClaimRef.Namespace == namespace {
			left = append(left, "PersistentVolume "+v.Name)
		}
	}
	return left, nil
}
