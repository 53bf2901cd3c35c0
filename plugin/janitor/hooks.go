package janitor

import (
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// hookFinalizer is what Argo CD 3.0 and newer put on every hook of a sync, and
// take off when the sync ends. Where the sync never did, nobody else takes it.
const hookFinalizer = "argocd.argoproj.io/hook-finalizer"

// hookKinds are those that project previews permits and that a sync may wait
// for. Secrets and ConfigMaps, for which it does not, are not ours to read.
var hookKinds = []schema.GroupVersionKind{
	{Group: "batch", Version: "v1", Kind: "Job"},
	{Group: "batch", Version: "v1", Kind: "CronJob"},
	{Group: "apps", Version: "v1", Kind: "Deployment"},
	{Group: "apps", Version: "v1", Kind: "StatefulSet"},
	{Version: "v1", Kind: "Service"},
	{Version: "v1", Kind: "PersistentVolumeClaim"},
	{Group: "networking.k8s.io", Version: "v1", Kind: "Ingress"},
	{Group: "autoscaling", Version: "v2", Kind: "HorizontalPodAutoscaler"},
	{Group: "policy", Version: "v1", Kind: "PodDisruptionBudget"},
}

// freeHooks takes Argo CD's finalizer off hooks that are being deleted in a
// namespace whose preview ends. Their sync was ended, or their Application is
// gone, and with it whoever would do so. Both would wait for them.
func (j *Janitor) freeHooks(ctx context.Context, h *hand, namespace string) error {
	for _, kind := range hookKinds {
		var list metav1.PartialObjectMetadataList
		list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
		if err := j.Client.List(ctx, &list, client.InNamespace(namespace)); err != nil {
			return fmt.Errorf("list its hooks of kind %s: %w", kind.Kind, err)
		}
		for i := range list.Items {
			o := &list.Items[i]
			if o.DeletionTimestamp == nil || !slices.Contains(o.Finalizers, hookFinalizer) {
				continue
			}
			o.SetGroupVersionKind(kind)
			keep := slices.DeleteFunc(append([]string{}, o.Finalizers...), func(f string) bool { return f == hookFinalizer })
			if err := h.keepFinalizers(ctx, kind.Kind, o, keep, "it is a hook of a sync that never ended"); err != nil {
				return err
			}
		}
	}
	return nil
}
