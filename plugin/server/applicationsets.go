package server

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/argocd"
	"github.com/seedling-dev/seedling/plugin/internal/turn"
	"github.com/seedling-dev/seedling/plugin/preview"
)

const (
	// relistEvery is the net under the watch.
	relistEvery = time.Minute
	// listTimeout bounds one list. A generator's request may wait for the one
	// that runs and then for its own, within answerTimeout.
	listTimeout = 8 * time.Second
	// settle gathers the burst of events that begins a watch.
	settle = 50 * time.Millisecond
)

// ApplicationSets follows the ApplicationSets that use the plugin.
type ApplicationSets struct {
	Client    client.WithWatch
	Namespace string
	// ConfigMap is the one whose name says that a generator is ours.
	ConfigMap string
	// Set is told of all of them, whenever one changed.
	Set func(map[string]preview.Asked)
	Log *slog.Logger

	// refreshing is held while they are listed: what is told last is the newest.
	refreshing turn.Lock

	mu   sync.Mutex
	seen map[types.UID]version
}

// version is what of an ApplicationSet we follow.
type version struct {
	generation int64
	confirmed  string
}

func versionOf(o client.Object) version {
	return version{generation: o.GetGeneration(), confirmed: o.GetAnnotations()[snapshot.AnnotationEndConfirmed]}
}

// Refresh lists them once.
func (a *ApplicationSets) Refresh(ctx context.Context) error {
	if err := a.refreshing.Take(ctx); err != nil {
		return fmt.Errorf("wait for the list of ApplicationSets in namespace %s: %w", a.Namespace, err)
	}
	defer a.refreshing.Give()
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	var list argocd.ApplicationSetList
	if err := a.Client.List(ctx, &list, client.InNamespace(a.Namespace)); err != nil {
		return fmt.Errorf("list the ApplicationSets in namespace %s: %w", a.Namespace, err)
	}
	if list.Continue != "" {
		return fmt.Errorf("list the ApplicationSets in namespace %s: the list is not complete", a.Namespace)
	}
	all := map[string]preview.Asked{}
	seen := map[types.UID]version{}
	for i := range list.Items {
		set := &list.Items[i]
		seen[set.UID] = versionOf(set)
		if inputs := Inputs(set, a.ConfigMap); len(inputs) > 0 {
			all[set.Name] = preview.Asked{Inputs: inputs, Confirmed: set.Annotations[snapshot.AnnotationEndConfirmed]}
		}
	}
	a.Set(all)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen = seen
	return nil
}

// Inputs are the parameters of an ApplicationSet's generators that name our
// ConfigMap. Only top-level generators count: within matrix or merge the input
// may be a template, and Argo CD would not follow our pokes.
func Inputs(set *argocd.ApplicationSet, configMap string) []map[string]json.RawMessage {
	var inputs []map[string]json.RawMessage
	for _, g := range set.Spec.Generators {
		if g.Plugin != nil && g.Plugin.ConfigMapRef.Name == configMap {
			inputs = append(inputs, g.Plugin.Input.Parameters)
		}
	}
	return inputs
}

// Run follows them until ctx ends.
func (a *ApplicationSets) Run(ctx context.Context) error {
	changed := make(chan struct{}, 1)
	go preview.Watch(ctx, a.Log.With("watch", "applicationsets"), a.Client, &argocd.ApplicationSetList{},
		func(object client.Object, deleted bool) {
			a.mu.Lock()
			seen, ok := a.seen[object.GetUID()]
			a.mu.Unlock()
			if ok && !deleted && seen == versionOf(object) {
				return // its status, or our own poke
			}
			select {
			case changed <- struct{}{}:
			default: // it is asked for
			}
		}, client.InNamespace(a.Namespace))

	wait := time.Second
	for {
		next := relistEvery
		if err := a.Refresh(ctx); err != nil && ctx.Err() == nil {
			a.Log.WarnContext(ctx, "the ApplicationSets are not followed", "error", err, "again_in", wait)
			next, wait = wait, min(2*wait, relistEvery)
		} else {
			wait = time.Second
		}
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-changed:
			timer.Stop()
			time.Sleep(settle)
		case <-timer.C:
		}
	}
}

// Applied says whether there is an Application of that name that is not being
// deleted.
func (a *ApplicationSets) Applied(ctx context.Context, application string) (bool, error) {
	app := &metav1.PartialObjectMetadata{}
	app.SetGroupVersionKind(argocd.SchemeGroupVersion.WithKind("Application"))
	err := a.Client.Get(ctx, types.NamespacedName{Namespace: a.Namespace, Name: application}, app)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read Application %s/%s: %w", a.Namespace, application, err)
	}
	return app.DeletionTimestamp == nil, nil
}

// Poke makes Argo CD ask anew for one ApplicationSet.
func (a *ApplicationSets) Poke(ctx context.Context, name string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{
		snapshot.AnnotationPoke: time.Now().UTC().Format(time.RFC3339Nano),
	}}})
	if err != nil {
		return err
	}
	set := &argocd.ApplicationSet{}
	set.Namespace, set.Name = a.Namespace, name
	if err := a.Client.Patch(ctx, set, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return fmt.Errorf("poke ApplicationSet %s/%s: %w", a.Namespace, name, err)
	}
	return nil
}
