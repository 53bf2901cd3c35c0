package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/broker"
	"github.com/seedling-dev/seedling/plugin/preview"
)

// FieldManager is who the API server says has made what is made here.
const FieldManager = "seedling-postgres"

// Options are a Keeper's parts. All are needed.
type Options struct {
	// Restorer fills the volume.
	Restorer broker.Restorer
	Client   client.WithWatch // uncached
	// Owner is the plugin's own namespace: where templates are, and what marks
	// what is this plugin's.
	Owner string
	// Live returns the preview that is emitted now in that namespace.
	Live func(namespace string) (preview.Preview, bool)
	// Wake lets those step again who wait for something in a namespace.
	Wake func(namespace string)
	Log  *slog.Logger
}

// Keeper is a broker.Restorer that is done when Postgres answers too.
type Keeper struct {
	Options
	templates templates
	// repair are namespaces that somebody changed something in.
	mu     sync.Mutex
	repair map[string]bool
	wake   chan struct{}
}

// New makes a Keeper.
func New(o Options) *Keeper {
	return &Keeper{
		Options:   o,
		templates: templates{client: o.Client, namespace: o.Owner, read: map[string]readTemplate{}},
		repair:    map[string]bool{},
		wake:      make(chan struct{}, 1),
	}
}

// Watch implements broker.Restorer: what is watched here wakes the same waiters.
func (k *Keeper) Watch(ctx context.Context, p preview.Preview) <-chan struct{} {
	return k.Restorer.Watch(ctx, p)
}

// Step implements broker.Restorer.
func (k *Keeper) Step(ctx context.Context, p preview.Preview) (broker.Progress, error) {
	progress, err := k.Restorer.Step(ctx, p)
	if err != nil || !progress.Done {
		return progress, err
	}
	if p.Postgres != preview.PostgresPlatform {
		wait, err := k.yield(ctx, p)
		if err != nil || wait != "" {
			return broker.Progress{Snapshot: progress.Snapshot, Message: wait}, err
		}
		return progress, nil
	}
	set, err := k.stand(ctx, p, true)
	var wait string
	if err == nil {
		wait, err = k.answers(ctx, set)
	}
	switch {
	case err != nil:
		return broker.Progress{Snapshot: progress.Snapshot}, err
	case wait != "":
		return broker.Progress{Snapshot: progress.Snapshot, Message: "the volume is there; " + wait}, nil
	}
	progress.Message += ", and Postgres answers"
	return progress, nil
}

// yield takes away what was made in a slot that became the preview of a pull
// request with a Postgres of its own, before that one is synced. Hardly any
// could be made of ours: its selector, its name for the Service and its template
// for the claim cannot be changed. The volume stays, and has been recovered.
func (k *Keeper) yield(ctx context.Context, p preview.Preview) (wait string, err error) {
	if !snapshot.IsSlot(p.Namespace) {
		return "", nil
	}
	for _, made := range []client.Object{&corev1.Service{}, &appsv1.StatefulSet{}} {
		err := k.Client.Get(ctx, types.NamespacedName{Namespace: p.Namespace, Name: snapshot.Postgres}, made)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("look whether the Postgres of slot %s is gone: %w", p.Namespace, err)
		}
		if !k.ours(made) {
			continue
		}
		wait = "the volume is there; the Postgres that ran on it in advance makes room for the pull request's"
		if made.GetDeletionTimestamp() != nil {
			continue
		}
		uid := made.GetUID()
		// In the foreground it is there until its pod is gone.
		err = k.Client.Delete(ctx, made, client.Preconditions{UID: &uid}, client.PropagationPolicy(metav1.DeletePropagationForeground))
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return "", fmt.Errorf("delete the Postgres that ran in advance in slot %s: %w", p.Namespace, err)
		}
	}
	return wait, nil
}

// Keep puts right what is missing or was changed in a live preview that has its
// volume. Of one whose claim is not the restored one it makes nothing: that is
// a reset.
func (k *Keeper) Keep(ctx context.Context, p preview.Preview) error {
	if p.Postgres != preview.PostgresPlatform || p.PVCUID == "" {
		return nil
	}
	for name, is := range map[types.NamespacedName]struct {
		object client.Object
		uid    types.UID
	}{
		{Name: p.Namespace}: {&corev1.Namespace{}, p.NamespaceUID},
		{Namespace: p.Namespace, Name: snapshot.SeedPVC}: {&corev1.PersistentVolumeClaim{}, p.PVCUID},
	} {
		err := k.Client.Get(ctx, name, is.object)
		switch {
		case apierrors.IsNotFound(err):
			return nil
		case err != nil:
			return fmt.Errorf("look whether preview %s still has its volume: %w", p.Namespace, err)
		case is.object.GetUID() != is.uid || is.object.GetDeletionTimestamp() != nil:
			return nil
		}
	}
	// It may have ended while this waited.
	if live, ok := k.Live(p.Namespace); !ok || live.NamespaceUID != p.NamespaceUID {
		return nil
	}
	_, err := k.stand(ctx, p, false)
	return err
}

// stand brings the Service and the StatefulSet to what they should be, where
// they are not, and returns the latter. follow says that a changed template
// counts too.
func (k *Keeper) stand(ctx context.Context, p preview.Preview, follow bool) (*appsv1.StatefulSet, error) {
	template, err := k.templates.of(ctx, p.Seed)
	if err != nil {
		return nil, err
	}
	if err := k.keepService(ctx, p); err != nil {
		return nil, err
	}
	want := statefulSet(p, k.Owner, template)
	is := &appsv1.StatefulSet{}
	err = k.Client.Get(ctx, client.ObjectKeyFromObject(want), is)
	switch {
	case apierrors.IsNotFound(err):
	case err != nil:
		return nil, fmt.Errorf("read StatefulSet %s/%s: %w", p.Namespace, snapshot.Postgres, err)
	case !k.ours(is):
		return nil, foreign(p.Namespace, "StatefulSet")
	case is.DeletionTimestamp != nil || !k.drifted(is, want, follow):
		return is, nil
	default:
		// A namesake that is made meanwhile is not taken for it.
		want.UID = is.UID
	}
	made, err := k.apply(ctx, want)
	if err != nil {
		return nil, err
	}
	k.Log.InfoContext(ctx, "Postgres of a preview was made or put right", "preview", p.Namespace, "template", template.name)
	is = &appsv1.StatefulSet{}
	return is, runtime.DefaultUnstructuredConverter.FromUnstructured(made.Object, is)
}

func (k *Keeper) keepService(ctx context.Context, p preview.Preview) error {
	want, is := service(p, k.Owner), &corev1.Service{}
	err := k.Client.Get(ctx, client.ObjectKeyFromObject(want), is)
	switch {
	case apierrors.IsNotFound(err):
	case err != nil:
		return fmt.Errorf("read Service %s/%s: %w", p.Namespace, snapshot.Postgres, err)
	case !k.ours(is):
		return foreign(p.Namespace, "Service")
	case is.DeletionTimestamp != nil || !otherService(is, want):
		return nil
	default:
		want.UID = is.UID
	}
	_, err = k.apply(ctx, want)
	return err
}

// ours says whether something of our name was made here.
func (k *Keeper) ours(o client.Object) bool {
	labels := o.GetLabels()
	return labels[snapshot.LabelOwner] == k.Owner && labels[snapshot.LabelPostgres] == snapshot.PostgresPlatform
}

// drifted says whether a StatefulSet is not what it should be, of what is said of
// it here: what others add is theirs. One of another template is judged by that
// alone, and only where the change is to be followed.
func (k *Keeper) drifted(is, want *appsv1.StatefulSet, follow bool) bool {
	if is.Annotations[annotationTemplate] != want.Annotations[annotationTemplate] {
		return follow
	}
	return !equality.Semantic.DeepDerivative(want.Spec, is.Spec)
}

// otherService is drifted for a Service.
func otherService(is, want *corev1.Service) bool {
	return !equality.Semantic.DeepDerivative(want.Spec, is.Spec) || !maps.Equal(is.Spec.Selector, want.Spec.Selector)
}

// apply makes it so, whoever else has a say in a field.
func (k *Keeper) apply(ctx context.Context, want client.Object) (*unstructured.Unstructured, error) {
	kind, err := apiutil.GVKForObject(want, k.Client.Scheme())
	if err != nil {
		return nil, err
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(want)
	if err != nil {
		return nil, err
	}
	u := &unstructured.Unstructured{Object: content}
	u.SetGroupVersionKind(kind)
	unstructured.RemoveNestedField(u.Object, "status")
	unstructured.RemoveNestedField(u.Object, "metadata", "creationTimestamp")
	unstructured.RemoveNestedField(u.Object, "spec", "template", "metadata", "creationTimestamp")
	err = k.Client.Patch(ctx, u, client.Apply, client.FieldOwner(FieldManager), client.ForceOwnership)
	if err != nil {
		return nil, fmt.Errorf("apply %s %s/%s: %w", kind.Kind, want.GetNamespace(), want.GetName(), err)
	}
	return u, nil
}

// Run follows what stands in previews and puts right what is changed, until ctx
// ends. What is missed is found when a preview's guards are looked over.
func (k *Keeper) Run(ctx context.Context) error {
	var group sync.WaitGroup
	for _, list := range []client.ObjectList{&appsv1.StatefulSetList{}, &corev1.ServiceList{}} {
		group.Go(func() {
			preview.Watch(ctx, k.Log, k.Client, list, k.seen, client.MatchingLabels{
				snapshot.LabelOwner: k.Owner, snapshot.LabelPostgres: snapshot.PostgresPlatform,
			})
		})
	}
	group.Go(func() { k.repairs(ctx) })
	group.Wait()
	return nil
}

// seen takes in what the watch shows.
func (k *Keeper) seen(o client.Object, deleted bool) {
	namespace := o.GetNamespace()
	if o.GetName() != snapshot.Postgres {
		return
	}
	k.Wake(namespace)
	// Most of what is seen is a Postgres that begins or becomes ready, which
	// changes nothing that was asked for, and needs no look.
	switch is := o.(type) {
	case *appsv1.StatefulSet:
		if !deleted && is.Generation <= 1 {
			return
		}
	case *corev1.Service:
		if !deleted && !otherService(is, service(preview.Preview{Namespace: namespace}, k.Owner)) {
			return
		}
	}
	k.mu.Lock()
	k.repair[namespace] = true
	k.mu.Unlock()
	select {
	case k.wake <- struct{}{}:
	default: // it is known
	}
}

// repairEvery is the pace of repairs: who changes something again and again (an
// autoscaler that a pull request brings) must not keep us busy.
const repairEvery = 2 * time.Second

// repairs puts right what was seen.
func (k *Keeper) repairs(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.wake:
		}
		k.mu.Lock()
		due := k.repair
		k.repair = map[string]bool{}
		k.mu.Unlock()
		for namespace := range due {
			p, ok := k.Live(namespace)
			if !ok {
				continue
			}
			if err := k.Keep(ctx, p); err != nil && ctx.Err() == nil {
				k.Log.WarnContext(ctx, "Postgres of a preview could not be put right; it is looked at again with its guards", "preview", namespace, "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(repairEvery):
		}
	}
}
