package preview

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// inventoryEvery is how old a look at the cluster may be while there is no watch.
const inventoryEvery = 30 * time.Second

// ResyncEvery is of every informer. Nothing needs it: without one it waits on a
// channel that all of the process share, and no model could have a time of its
// own.
const ResyncEvery = 24 * time.Hour

// inventory is what exists of previews in the cluster: one watch for all
// repositories. It may be behind; what seems to be lost is confirmed by name.
type inventory struct {
	namespaces *Namespaces

	mu      sync.Mutex
	watched []cache.SharedIndexInformer // nil without a watch
	seen    view
	at      time.Time // when seen was taken; zero for never
	looking bool
}

func newInventory(n *Namespaces) *inventory { return &inventory{namespaces: n} }

// run watches until ctx ends, if the client can. gone is told the namespace of
// what is going or gone.
func (i *inventory) run(ctx context.Context, log *slog.Logger, gone func(namespace string)) {
	watcher, ok := i.namespaces.Client.(client.WithWatch)
	if !ok {
		return
	}
	informer := func(kind schema.GroupVersionKind, label string, name func(metav1.Object) string) cache.SharedIndexInformer {
		list := func() *metav1.PartialObjectMetadataList {
			l := &metav1.PartialObjectMetadataList{}
			l.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
			return l
		}
		in := cache.NewSharedIndexInformer(&cache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
				l := list()
				return l, watcher.List(ctx, l, &client.ListOptions{Raw: &o}, client.HasLabels{label})
			},
			WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (apiwatch.Interface, error) {
				return watcher.Watch(ctx, list(), &client.ListOptions{Raw: &o}, client.HasLabels{label})
			},
		}, &metav1.PartialObjectMetadata{}, ResyncEvery, cache.Indexers{bySlot: func(o any) ([]string, error) {
			if m, ok := o.(metav1.Object); ok && m.GetLabels()[snapshot.LabelSlot] == snapshot.SlotAssigned {
				return []string{slotIndex(m.GetLabels()[snapshot.LabelKey], m.GetLabels()[snapshot.LabelPreview])}, nil
			}
			return nil, nil
		}})
		// Names, UIDs and what is deleted are all that counts.
		_ = in.SetTransform(func(o any) (any, error) { // only refused once it runs
			if m, ok := o.(*metav1.PartialObjectMetadata); ok {
				m.Labels, m.Annotations, m.ManagedFields, m.OwnerReferences, m.Finalizers = nil, nil, nil, nil, nil
			}
			return o, nil
		})
		_ = in.SetWatchErrorHandlerWithContext(func(ctx context.Context, _ *cache.Reflector, err error) { // the same
			log.DebugContext(ctx, "a watch ended and is opened again", "kind", kind.Kind, "error", err)
		})
		changed := func(o any) {
			if d, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = d.Obj
			}
			if m, ok := o.(metav1.Object); ok {
				gone(name(m))
			}
		}
		_, _ = in.AddEventHandler(cache.ResourceEventHandlerFuncs{ // the same
			UpdateFunc: func(_, o any) {
				if m, ok := o.(metav1.Object); ok && m.GetDeletionTimestamp() != nil {
					changed(o)
				}
			},
			DeleteFunc: changed,
		})
		return in
	}
	informers := []cache.SharedIndexInformer{
		informer(corev1.SchemeGroupVersion.WithKind("Namespace"), snapshot.LabelPreview, metav1.Object.GetName),
		informer(corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim"), snapshot.VeleroRestoreLabel, metav1.Object.GetNamespace),
	}
	var running sync.WaitGroup
	for _, in := range informers {
		running.Go(func() { in.RunWithContext(ctx) })
	}
	if cache.WaitForCacheSync(ctx.Done(), informers[0].HasSynced, informers[1].HasSynced) {
		i.mu.Lock()
		i.watched = informers
		i.mu.Unlock()
	}
	running.Wait()
	i.mu.Lock()
	i.watched = nil
	i.mu.Unlock()
}

// current is what exists, as far as known, and whether anything is known.
func (i *inventory) current() (view, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.watched == nil {
		return i.seen, !i.at.IsZero()
	}
	return view{
		namespace: func(name string) types.UID { return uidOf(i.watched[0], name) },
		volume:    func(namespace string) types.UID { return uidOf(i.watched[1], namespace+"/"+snapshot.SeedPVC) },
		slot: func(k Key) string {
			names, err := i.watched[0].GetIndexer().IndexKeys(bySlot, slotIndex(k.Hash(), strconv.FormatInt(k.Number, 10)))
			if err != nil || len(names) == 0 { // there is that index
				return ""
			}
			return names[0]
		},
	}, true
}

// bySlot indexes assigned slots by whose they are.
const bySlot = "slot"

func slotIndex(hash, number string) string { return hash + "/" + number }

func uidOf(in cache.SharedIndexInformer, key string) types.UID {
	o, there, err := in.GetStore().GetByKey(key)
	if m, ok := o.(metav1.Object); ok && there && err == nil && m.GetDeletionTimestamp() == nil {
		return m.GetUID()
	}
	return ""
}

// due says whether somebody should look, because there is no watch.
func (i *inventory) due(now time.Time) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.watched != nil || i.looking || !i.at.IsZero() && now.Sub(i.at) < inventoryEvery && !i.at.After(now) {
		return false
	}
	return true
}

// turn notes that somebody looks, until look.
func (i *inventory) turn() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.looking = true
}

// look lists once.
func (i *inventory) look(ctx context.Context, now time.Time) error {
	v, err := i.namespaces.readAll(ctx)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.looking = false
	if err != nil {
		return err
	}
	i.seen, i.at = v, now
	return nil
}
