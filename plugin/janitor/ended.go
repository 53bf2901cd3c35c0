package janitor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/preview"
)

// hookFinalizers begin the names of the finalizers that PreDelete and
// PostDelete hooks of a pull request put on its Application.
var hookFinalizers = []string{"pre-delete-finalizer.argocd.argoproj.io", "post-delete-finalizer.argocd.argoproj.io"}

// ofHooks says whether a finalizer of an Application waits for such hooks.
func ofHooks(finalizer string) bool {
	return slices.Contains(hookFinalizers, strings.TrimSuffix(finalizer, "/cleanup"))
}

var applicationKind = schema.GroupVersionKind{Group: "argoproj.io", Version: "v1alpha1", Kind: "Application"}

// end does the next thing for one ended preview, and says whether it is done.
func (j *Janitor) end(ctx context.Context, h *hand, p preview.Preview) (done bool, err error) {
	if !snapshot.IsPreview(p.Namespace) {
		return false, errors.New("its namespace has no name of a preview")
	}
	gone, err := j.applicationGone(ctx, h, p.Namespace)
	if err != nil || !gone {
		return false, err
	}
	ns, err := j.namespace(ctx, p.Namespace)
	if err != nil {
		return false, err
	}
	left := remains{name: p.Namespace, uid: p.NamespaceUID, namespace: ns}
	if ns != nil && !j.ours(ns, p) {
		j.Log.ErrorContext(ctx, "a namespace has a preview's name and not its labels, or is another plugin's: it is left alone",
			"namespace", p.Namespace, "owner", ns.Labels[snapshot.LabelOwner])
		left.namespace, left.others = nil, true
	}
	gone, err = j.remove(ctx, h, left, "its preview ended: "+p.Reason)
	if err != nil || !gone {
		return false, err
	}
	if h.dry {
		return true, nil
	}
	delete(j.began, p.Namespace)
	delete(j.hangs, p.Namespace)
	if !left.others {
		j.Removed(p)
	}
	if err := j.Previews.Forget(ctx, p.Namespace); err != nil {
		return false, fmt.Errorf("forget it: %w", err)
	}
	j.Log.InfoContext(ctx, "nothing is left of a preview", "preview", p.Namespace)
	return true, nil
}

// ours says whether a namespace is the one of this preview, and this plugin's.
func (j *Janitor) ours(ns *corev1.Namespace, p preview.Preview) bool {
	return j.marked(ns.Labels, ns.UID == p.NamespaceUID) && ns.Labels[snapshot.LabelPreview] == strconv.FormatInt(p.Number, 10) && ns.Labels[snapshot.LabelKey] == p.Hash()
}

// namespace reads one, nil where there is none.
func (j *Janitor) namespace(ctx context.Context, name string) (*corev1.Namespace, error) {
	var ns corev1.Namespace
	err := j.Client.Get(ctx, types.NamespacedName{Name: name}, &ns)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read its Namespace: %w", err)
	}
	return &ns, nil
}

// applicationGone says whether Argo CD has deleted the Application. One that
// hangs on a sync or on the pull request's PreDelete and PostDelete hooks is
// freed of those, and of nothing else.
func (j *Janitor) applicationGone(ctx context.Context, h *hand, name string) (bool, error) {
	app, err := j.application(ctx, name)
	if err != nil || app == nil {
		return err == nil, err
	}
	deleted := app.GetDeletionTimestamp()
	if deleted == nil {
		return false, nil
	}
	// Argo CD deletes nothing of an Application while a sync goes on, and one
	// that fails is tried again for many minutes.
	if _, syncing := app.Object["operation"]; syncing && j.Now().Sub(deleted.Time) >= syncHangs {
		return false, h.endSync(ctx, app, "it is being deleted, and Argo CD waits for its sync")
	}
	if toBeConfirmed(app) {
		return false, h.confirmDeletion(ctx, app, j.Now(), "what its pull request wants confirmed goes with it")
	}
	// A sync that was ended left its hooks with a finalizer, for which Argo CD waits.
	if j.Now().Sub(deleted.Time) >= hooksHang {
		if err := j.freeHooks(ctx, h, name); err != nil {
			return false, err
		}
	}
	if j.Now().Sub(deleted.Time) < applicationHangs {
		return false, nil
	}
	keep := slices.DeleteFunc(append([]string{}, app.GetFinalizers()...), ofHooks)
	if len(keep) == len(app.GetFinalizers()) {
		return false, nil
	}
	return false, h.keepFinalizers(ctx, "Application", app, keep, "its PreDelete or PostDelete hooks hang")
}

// annotationApproved is Argo CD's: since when a person agrees to the deletion of
// what asks for that (sync option Delete=confirm or Prune=confirm).
const annotationApproved = "argocd.argoproj.io/deletion-approved"

// toBeConfirmed says whether an Application that is being deleted waits until
// somebody agrees: one object of the pull request's that asks for it is enough,
// and nobody would.
func toBeConfirmed(app *unstructured.Unstructured) bool {
	approved, err := time.Parse(time.RFC3339, app.GetAnnotations()[annotationApproved])
	if err == nil && !approved.Before(app.GetDeletionTimestamp().Time) {
		return false
	}
	resources, _, _ := unstructured.NestedSlice(app.Object, "status", "resources") // of another shape: none asks
	return slices.ContainsFunc(resources, func(r any) bool {
		resource, _ := r.(map[string]any)
		asks, _ := resource["requiresDeletionConfirmation"].(bool)
		return asks
	})
}

// application reads one, nil where there is none.
func (j *Janitor) application(ctx context.Context, name string) (*unstructured.Unstructured, error) {
	var app unstructured.Unstructured
	app.SetGroupVersionKind(applicationKind)
	err := j.Client.Get(ctx, types.NamespacedName{Namespace: j.ArgoCDNamespace, Name: name}, &app)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read its Application: %w", err)
	}
	return &app, nil
}

// remove takes away everything that is left of one preview, and says whether
// nothing is left that must be waited for.
func (j *Janitor) remove(ctx context.Context, h *hand, of remains, why string) (bool, error) {
	restores, others, err := j.restores(ctx, of)
	if err != nil {
		return false, err
	}
	began := j.since(of.name)
	running, err := j.haltRestores(ctx, h, restores, why)
	if err != nil || running && j.Now().Sub(began) < restoreHangs {
		return false, err
	}
	contents := func(ctx context.Context, h *hand, namespace, why string) (bool, error) {
		return j.removeContents(ctx, h, namespace, others, why)
	}
	if of.namespace != nil {
		gone, err := j.removeNamespace(ctx, h, of.namespace, contents, began, why)
		if err != nil || !gone {
			return false, err
		}
	}
	if !of.others {
		left, err := contents(ctx, h, of.name, why)
		if err != nil || left {
			return false, err
		}
	}
	// Not waited for: the finalizer needs Velero and its storage.
	for i := range restores {
		if _, err := h.remove(ctx, "Restore", &restores[i], why); err != nil {
			return false, err
		}
	}
	return true, nil
}

// restores lists the Restores we made for a namespace, and the names of those
// that others did.
func (j *Janitor) restores(ctx context.Context, of remains) (ours []velerov1.Restore, others map[string]bool, err error) {
	var list velerov1.RestoreList
	if err := j.Client.List(ctx, &list, client.InNamespace(j.VeleroNamespace), client.MatchingLabels{snapshot.LabelNamespace: of.name}); err != nil {
		return nil, nil, fmt.Errorf("list its Restores: %w", err)
	}
	others = map[string]bool{}
	for i := range list.Items {
		if r := &list.Items[i]; j.made(r, of.uid) {
			ours = append(ours, *r)
		} else {
			others[r.Name] = true
		}
	}
	return ours, others, nil
}

// haltRestores deletes those that Velero has not begun, and says whether it is
// at work on one. Velero makes a missing namespace anew, so none may be left
// to run after the namespace is gone.
func (j *Janitor) haltRestores(ctx context.Context, h *hand, restores []velerov1.Restore, why string) (running bool, err error) {
	for i := range restores {
		r := &restores[i]
		switch r.Status.Phase {
		case "", velerov1.RestorePhaseNew:
			gone, err := h.remove(ctx, "Restore", r, why)
			if err != nil {
				return false, err
			}
			running = running || !gone
		case velerov1.RestorePhaseInProgress, velerov1.RestorePhaseWaitingForPluginOperations,
			velerov1.RestorePhaseWaitingForPluginOperationsPartiallyFailed:
			running = running || !h.dry
		}
	}
	return running, nil
}

// step removes one kind of thing of a namespace, and says whether some are left.
type step func(ctx context.Context, h *hand, namespace, why string) (left bool, err error)

// removeNamespace empties a namespace in order and deletes it. A step that
// hangs holds up the next for a while and no longer.
func (j *Janitor) removeNamespace(ctx context.Context, h *hand, ns *corev1.Namespace, contents step, began time.Time, why string) (gone bool, err error) {
	// Also while the namespace ends: nobody else is in a hurry with its pods.
	podsAndClaims := func(ctx context.Context, h *hand, namespace, why string) (bool, error) {
		return j.removePodsAndClaims(ctx, h, namespace, began, why)
	}
	if ns.DeletionTimestamp != nil {
		if _, err := podsAndClaims(ctx, h, ns.Name, why); err != nil {
			return false, err
		}
		j.sayHang(ctx, h, ns)
	} else {
		patient := j.Now().Sub(began) < stepHangs
		for _, step := range []step{podsAndClaims, j.removeSnapshots, contents} {
			left, err := step(ctx, h, ns.Name, why)
			if err != nil {
				return false, err
			}
			if left && patient {
				return false, nil
			}
		}
	}
	if ns.DeletionTimestamp != nil {
		if err := j.freeHooks(ctx, h, ns.Name); err != nil {
			return false, err
		}
	}
	return h.remove(ctx, "Namespace", ns, why)
}

// haltPostgres deletes the StatefulSet and the Service that the plugin made in a
// preview: nobody else does, and the one would make its pod anew.
func (j *Janitor) haltPostgres(ctx context.Context, h *hand, namespace, why string) error {
	for _, list := range []client.ObjectList{&appsv1.StatefulSetList{}, &corev1.ServiceList{}} {
		err := j.Client.List(ctx, list, client.InNamespace(namespace), client.MatchingLabels{
			snapshot.LabelOwner: j.Owner, snapshot.LabelPostgres: snapshot.PostgresPlatform,
		})
		if err != nil {
			return fmt.Errorf("list what the plugin made for its Postgres: %w", err)
		}
		err = meta.EachListItem(list, func(o runtime.Object) error {
			made, ok := o.(client.Object)
			if !ok || made.GetName() != snapshot.Postgres {
				return nil
			}
			_, err := h.remove(ctx, strings.TrimPrefix(fmt.Sprintf("%T", o), "*v1."), made, why)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// removePodsAndClaims deletes both at once: a claim that is being deleted
// goes when its last pod does, and takes no new one.
func (j *Janitor) removePodsAndClaims(ctx context.Context, h *hand, namespace string, began time.Time, why string) (left bool, err error) {
	if err := j.haltPostgres(ctx, h, namespace, why); err != nil {
		return false, err
	}
	var pods corev1.PodList
	if err := j.Client.List(ctx, &pods, client.InNamespace(namespace)); err != nil {
		return false, fmt.Errorf("list its Pods: %w", err)
	}
	for i := range pods.Items {
		gone, err := j.endPod(ctx, h, &pods.Items[i], began, why)
		if err != nil {
			return false, err
		}
		left = left || !gone
	}
	var claims corev1.PersistentVolumeClaimList
	if err := j.Client.List(ctx, &claims, client.InNamespace(namespace)); err != nil {
		return false, fmt.Errorf("list its PersistentVolumeClaims: %w", err)
	}
	for i := range claims.Items {
		gone, err := h.remove(ctx, "PersistentVolumeClaim", &claims.Items[i], why)
		if err != nil {
			return false, err
		}
		left = left || !gone
	}
	if len(pods.Items) > 0 {
		return left, nil
	}
	return left, j.freeClaims(ctx, h, claims.Items)
}

func (j *Janitor) removeSnapshots(ctx context.Context, h *hand, namespace, why string) (left bool, err error) {
	var list snapshotv1.VolumeSnapshotList
	if err := j.Client.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		return false, fmt.Errorf("list its VolumeSnapshots: %w", err)
	}
	for i := range list.Items {
		gone, err := h.remove(ctx, "VolumeSnapshot", &list.Items[i], why)
		if err != nil {
			return false, err
		}
		left = left || !gone
	}
	return left, nil
}

// removeContents deletes the contents of a preview's VolumeSnapshots, after
// those: the sidecar lets a content go only when its VolumeSnapshot went.
// Those that others' Restores made are not ours to remove.
func (j *Janitor) removeContents(ctx context.Context, h *hand, namespace string, others map[string]bool, why string) (left bool, err error) {
	contents, err := j.contents(ctx)
	if err != nil {
		return false, err
	}
	for i := range contents {
		if contents[i].Spec.VolumeSnapshotRef.Namespace != namespace || others[contents[i].Labels[snapshot.VeleroRestoreLabel]] ||
			snapshot.Others(contents[i].Labels, j.Owner) {
			continue
		}
		gone, err := h.remove(ctx, "VolumeSnapshotContent", &contents[i], why)
		if err != nil {
			return false, err
		}
		left = left || !gone
	}
	return left, nil
}

// contents lists the VolumeSnapshotContents that Restores made, and those of
// direct mode, which say whose they are. One
// whose policy is not Retain is none of them: deleting it would delete the
// snapshot itself.
func (j *Janitor) contents(ctx context.Context) ([]snapshotv1.VolumeSnapshotContent, error) {
	var list snapshotv1.VolumeSnapshotContentList
	if err := j.Client.List(ctx, &list, client.HasLabels{snapshot.VeleroRestoreLabel}); err != nil {
		return nil, fmt.Errorf("list VolumeSnapshotContents: %w", err)
	}
	var kept []snapshotv1.VolumeSnapshotContent
	for _, c := range list.Items {
		namespace := c.Spec.VolumeSnapshotRef.Namespace
		switch {
		case !snapshot.IsPreview(namespace),
			!snapshot.RestoredInto(c.Labels[snapshot.VeleroRestoreLabel], namespace):
		case c.Spec.DeletionPolicy != snapshotv1.VolumeSnapshotContentRetain:
			j.Log.ErrorContext(ctx, "a restored VolumeSnapshotContent would delete the shared snapshot with it: left alone",
				"name", c.Name, "deletion_policy", c.Spec.DeletionPolicy)
		default:
			kept = append(kept, c)
		}
	}
	return kept, nil
}
