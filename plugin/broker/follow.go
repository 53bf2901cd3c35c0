package broker

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/preview"
)

// byNamespace indexes Restores by the preview's namespace they are for.
const byNamespace = "namespace"

// restores are Velero's Restores. While run is in step they come from memory,
// and may be a moment behind: names are the same each time, so that what is
// asked for twice is there once. Otherwise they are read from the API server.
type restores struct {
	client    client.WithWatch
	namespace string
	signals   *signals

	mu      sync.Mutex
	watched cache.SharedIndexInformer // nil while not in step
}

// run follows Restores, and signals also for claims and VolumeSnapshots.
func (r *restores) run(ctx context.Context, log *slog.Logger) error {
	in := cache.NewSharedIndexInformer(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			l := &velerov1.RestoreList{}
			return l, r.client.List(ctx, l, &client.ListOptions{Raw: &o}, client.InNamespace(r.namespace))
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (apiwatch.Interface, error) {
			return r.client.Watch(ctx, &velerov1.RestoreList{}, &client.ListOptions{Raw: &o}, client.InNamespace(r.namespace))
		},
	}, &velerov1.Restore{}, preview.ResyncEvery, cache.Indexers{byNamespace: func(o any) ([]string, error) {
		if m, ok := o.(metav1.Object); ok && m.GetLabels()[snapshot.LabelNamespace] != "" {
			return []string{m.GetLabels()[snapshot.LabelNamespace]}, nil
		}
		return nil, nil
	}})
	_ = in.SetTransform(func(o any) (any, error) { // only refused once it runs
		if m, ok := o.(metav1.Object); ok {
			m.SetManagedFields(nil)
		}
		return o, nil
	})
	_ = in.SetWatchErrorHandlerWithContext(func(ctx context.Context, _ *cache.Reflector, err error) { // the same
		log.DebugContext(ctx, "a watch ended and is opened again", "kind", "Restore", "error", err)
	})
	changed := func(o any) {
		if d, ok := o.(cache.DeletedFinalStateUnknown); ok {
			o = d.Obj
		}
		if m, ok := o.(metav1.Object); ok {
			r.signals.send(m.GetLabels()[snapshot.LabelNamespace])
		}
	}
	_, _ = in.AddEventHandler(cache.ResourceEventHandlerFuncs{ // the same
		AddFunc: changed, DeleteFunc: changed, UpdateFunc: func(_, o any) { changed(o) },
	})
	var group errgroup.Group
	group.Go(func() error { in.RunWithContext(ctx); return nil })
	signal := func(kind schema.GroupVersionKind, opts ...client.ListOption) {
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
		group.Go(func() error {
			preview.Watch(ctx, log.With("watch", kind.Kind), r.client, list, func(o client.Object, _ bool) { r.signals.send(o.GetNamespace()) }, opts...)
			return nil
		})
	}
	signal(corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim"),
		client.MatchingFieldsSelector{Selector: fields.OneTermEqualSelector("metadata.name", snapshot.SeedPVC)})
	signal(snapshotv1.SchemeGroupVersion.WithKind("VolumeSnapshot"), client.HasLabels{snapshot.VeleroRestoreLabel})
	if cache.WaitForCacheSync(ctx.Done(), in.HasSynced) {
		r.set(in)
	}
	err := group.Wait()
	r.set(nil)
	return err
}

func (r *restores) set(in cache.SharedIndexInformer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.watched = in
}

func (r *restores) informer() cache.SharedIndexInformer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.watched
}

// cached are all Restores as far as the watch knows. They are not to be changed.
func (r *restores) cached() (all []*velerov1.Restore, ok bool) {
	in := r.informer()
	if in == nil {
		return nil, false
	}
	return typed(in.GetStore().List()), true
}

// known are the Restores for a preview's namespace that the watch knows of.
func (r *restores) known(namespace string) []*velerov1.Restore {
	in := r.informer()
	if in == nil {
		return nil
	}
	objects, err := in.GetIndexer().ByIndex(byNamespace, namespace)
	if err != nil { // there is that index
		return nil
	}
	return typed(objects)
}

func typed(objects []any) []*velerov1.Restore {
	out := make([]*velerov1.Restore, 0, len(objects))
	for _, o := range objects {
		if restore, ok := o.(*velerov1.Restore); ok {
			out = append(out, restore)
		}
	}
	return out
}

// all are all Restores, of whomever.
func (r *restores) all(ctx context.Context) ([]*velerov1.Restore, error) {
	if all, ok := r.cached(); ok {
		return all, nil
	}
	return r.list(ctx)
}

// of are the Restores for a preview's namespace, by name.
func (r *restores) of(ctx context.Context, namespace string) (map[string]*velerov1.Restore, error) {
	found := r.known(namespace)
	if r.informer() == nil {
		var err error
		if found, err = r.list(ctx, client.MatchingLabels{snapshot.LabelNamespace: namespace}); err != nil {
			return nil, err
		}
	}
	named := map[string]*velerov1.Restore{}
	for _, restore := range found {
		named[restore.Name] = restore
	}
	return named, nil
}

func (r *restores) list(ctx context.Context, opts ...client.ListOption) ([]*velerov1.Restore, error) {
	var list velerov1.RestoreList
	if err := r.client.List(ctx, &list, append(opts, client.InNamespace(r.namespace))...); err != nil {
		return nil, fmt.Errorf("list Restores: %w", err)
	}
	out := make([]*velerov1.Restore, len(list.Items))
	for i := range list.Items {
		out[i] = &list.Items[i]
	}
	return out, nil
}

// signals wake those who wait for something in a namespace.
type signals struct {
	mu sync.Mutex
	to map[string]map[chan struct{}]bool
}

// of signals, until ctx ends, that something changed in a namespace.
func (s *signals) of(ctx context.Context, namespace string) <-chan struct{} {
	c := make(chan struct{}, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.to[namespace] == nil {
		s.to[namespace] = map[chan struct{}]bool{}
	}
	s.to[namespace][c] = true
	context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.to[namespace], c)
		if len(s.to[namespace]) == 0 {
			delete(s.to, namespace)
		}
	})
	return c
}

func (s *signals) send(namespace string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.to[namespace] {
		select {
		case c <- struct{}{}:
		default: // one is waiting to be seen
		}
	}
}
