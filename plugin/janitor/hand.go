package janitor

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Action is one removal.
type Action struct {
	// Verb is delete or patch.
	Verb, Kind, Namespace, Name string
	// Why is half a sentence.
	Why string
}

func (a Action) String() string {
	name := a.Name
	if a.Namespace != "" {
		name = a.Namespace + "/" + name
	}
	return fmt.Sprintf("%s %s %s: %s", a.Verb, a.Kind, name, a.Why)
}

// hand is the one place that changes anything. A dry one only notes it, and
// says that it is done, so that a list shows all the steps.
type hand struct {
	client  client.Client
	log     *slog.Logger
	dry     bool
	actions []Action
}

// remove deletes exactly the object that was read. gone says that it needs no
// waiting for.
func (h *hand) remove(ctx context.Context, kind string, obj client.Object, why string, options ...client.DeleteOption) (gone bool, err error) {
	if obj.GetDeletionTimestamp() != nil && !h.dry {
		return false, nil
	}
	return h.force(ctx, kind, obj, why, options...)
}

// force deletes it also where it is being deleted already, for a shorter grace.
func (h *hand) force(ctx context.Context, kind string, obj client.Object, why string, options ...client.DeleteOption) (gone bool, err error) {
	if h.dry {
		h.note(Action{"delete", kind, obj.GetNamespace(), obj.GetName(), why})
		return true, nil
	}
	uid := obj.GetUID()
	options = append(options, client.Preconditions{UID: &uid}, client.PropagationPolicy(metav1.DeletePropagationBackground))
	err = h.client.Delete(ctx, obj, options...)
	switch {
	case apierrors.IsNotFound(err):
		return true, nil
	case apierrors.IsConflict(err):
		// A namesake has taken its place; the next pass reads that one.
		return false, nil
	case err != nil:
		return false, fmt.Errorf("delete %s %s: %w", kind, key(obj), err)
	}
	h.log.InfoContext(ctx, "removed", "kind", kind, "namespace", obj.GetNamespace(), "name", obj.GetName(), "why", why)
	return false, nil
}

// keepFinalizers leaves an object with these finalizers and no others.
func (h *hand) keepFinalizers(ctx context.Context, kind string, obj client.Object, keep []string, why string) error {
	if h.dry {
		h.note(Action{"patch", kind, obj.GetNamespace(), obj.GetName(), why})
		return nil
	}
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid":             obj.GetUID(),
		"resourceVersion": obj.GetResourceVersion(),
		"finalizers":      keep,
	}})
	if err != nil {
		return err
	}
	err = h.client.Patch(ctx, obj, client.RawPatch(types.MergePatchType, body))
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // the next pass reads it anew
	}
	if err != nil {
		return fmt.Errorf("patch %s %s: %w", kind, key(obj), err)
	}
	h.log.WarnContext(ctx, "finalizers removed", "kind", kind, "namespace", obj.GetNamespace(), "name", obj.GetName(), "why", why)
	return nil
}

// endSync ends the operation of an Application that is being deleted.
func (h *hand) endSync(ctx context.Context, app client.Object, why string) error {
	if h.dry {
		h.note(Action{"patch", "Application", app.GetNamespace(), app.GetName(), why})
		return nil
	}
	body, err := json.Marshal(map[string]any{
		"metadata":  map[string]any{"uid": app.GetUID(), "resourceVersion": app.GetResourceVersion()},
		"operation": nil,
	})
	if err != nil {
		return err
	}
	err = h.client.Patch(ctx, app, client.RawPatch(types.MergePatchType, body))
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // the next pass reads it anew
	}
	if err != nil {
		return fmt.Errorf("patch Application %s: %w", key(app), err)
	}
	h.log.InfoContext(ctx, "sync ended", "application", app.GetName(), "why", why)
	return nil
}

// confirmDeletion agrees to the deletion of what an Application holds, from the
// time on when it was deleted: Argo CD takes no older consent.
func (h *hand) confirmDeletion(ctx context.Context, app client.Object, now time.Time, why string) error {
	if h.dry {
		h.note(Action{"patch", "Application", app.GetNamespace(), app.GetName(), why})
		return nil
	}
	if deleted := app.GetDeletionTimestamp().Time; now.Before(deleted) {
		now = deleted
	}
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": app.GetUID(), "annotations": map[string]string{annotationApproved: now.UTC().Format(time.RFC3339)},
	}})
	if err != nil {
		return err
	}
	err = h.client.Patch(ctx, app, client.RawPatch(types.MergePatchType, body))
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // the next pass reads it anew
	}
	if err != nil {
		return fmt.Errorf("patch Application %s: %w", key(app), err)
	}
	h.log.InfoContext(ctx, "deletion confirmed", "application", app.GetName(), "why", why)
	return nil
}

// note keeps an action once: steps overlap where nothing is really removed.
func (h *hand) note(a Action) {
	for _, b := range h.actions {
		if a.Verb == b.Verb && a.Kind == b.Kind && a.Namespace == b.Namespace && a.Name == b.Name {
			return
		}
	}
	h.actions = append(h.actions, a)
}

func key(obj client.Object) string {
	return strings.TrimPrefix(obj.GetNamespace()+"/"+obj.GetName(), "/")
}
