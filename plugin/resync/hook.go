package resync

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/argocd"
)

const (
	// pause is between two looks at a Job, looks how many there are: the Job ends
	// about a second after its answer, and a crowded node takes longer.
	pause, looks = 500 * time.Millisecond, 60
)

// Hooks lets a sync go on at once when the preview's hook has ended. Argo CD 3
// gathers what happens to the objects of an Application for five seconds before it
// looks at a sync that goes on; a change of the Application itself makes it look at
// once. So a refresh is asked for then. Nothing depends on it: a
// sync that nobody asks about goes on five seconds later.
type Hooks struct {
	client client.Client
	argoCD string // Argo CD's namespace
	log    *slog.Logger
	queue  workqueue.TypedDelayingInterface[look]
}

// look is one look at the hook of a preview; after it has ended there is another
// one, because Argo CD may hear of its end later than we do.
type look struct {
	preview string
	n       int
	ended   bool
}

// NewHooks makes Hooks for the Argo CD in a namespace.
func NewHooks(c client.Client, argoCD string, log *slog.Logger) *Hooks {
	return &Hooks{client: c, argoCD: argoCD, log: log, queue: workqueue.NewTypedDelayingQueue[look]()}
}

// Answered says that a preview's hook was answered, so that it ends soon.
func (h *Hooks) Answered(preview string) { h.queue.AddAfter(look{preview: preview}, pause) }

// Ended says that a preview's hook has ended.
func (h *Hooks) Ended(preview string) { h.queue.Add(look{preview: preview}) }

// Waiting is how many looks are due now.
func (h *Hooks) Waiting() int { return h.queue.Len() }

// Close ends what NewHooks began, also where Run never was.
func (h *Hooks) Close() { h.queue.ShutDown() }

// Run looks after hooks until ctx ends.
func (h *Hooks) Run(ctx context.Context) error {
	defer context.AfterFunc(ctx, h.queue.ShutDown)()
	for {
		l, shutdown := h.queue.Get()
		if shutdown {
			return nil
		}
		next, err := h.look(ctx, l)
		if err != nil && ctx.Err() == nil {
			h.log.DebugContext(ctx, "Argo CD could not be asked to look at a sync", "preview", l.preview, "error", err)
		}
		h.queue.Done(l)
		if next != nil && next.n < looks {
			h.queue.AddAfter(*next, pause)
		}
	}
}

// look returns what is to be looked at next, nil for nothing.
func (h *Hooks) look(ctx context.Context, l look) (*look, error) {
	next := &look{preview: l.preview, n: l.n + 1, ended: l.ended}
	if !l.ended {
		ended, err := h.isOver(ctx, l.preview)
		if err != nil || !ended {
			return next, err
		}
		next.ended = true
	}
	syncing, err := h.refresh(ctx, l.preview)
	if err != nil || !syncing || l.ended {
		return nil, err
	}
	return next, nil
}

// isOver says whether the preview's hook has ended, well or not.
func (h *Hooks) isOver(ctx context.Context, preview string) (bool, error) {
	var jobs batchv1.JobList
	if err := h.client.List(ctx, &jobs, client.InNamespace(preview), client.MatchingFields{"metadata.name": snapshot.HookJob}); err != nil {
		return false, fmt.Errorf("look at Job %s of %s: %w", snapshot.HookJob, preview, err)
	}
	for _, job := range jobs.Items {
		for _, c := range job.Status.Conditions {
			if (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == "True" {
				return true, nil
			}
		}
	}
	return false, nil
}

// refresh asks Argo CD to look at an Application, if it is being synced.
func (h *Hooks) refresh(ctx context.Context, name string) (syncing bool, err error) {
	var app argocd.Application
	err = h.client.Get(ctx, types.NamespacedName{Namespace: h.argoCD, Name: name}, &app)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read Application %s: %w", name, err)
	}
	if app.Operation == nil || app.DeletionTimestamp != nil || app.Spec.Project != project {
		return false, nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": app.UID, "annotations": map[string]string{argocd.AnnotationKeyRefresh: argocd.RefreshNormal},
	}})
	if err != nil {
		return false, err
	}
	if err := h.client.Patch(ctx, &app, client.RawPatch(types.MergePatchType, patch)); client.IgnoreNotFound(err) != nil {
		return false, fmt.Errorf("ask Argo CD to look at Application %s: %w", name, err)
	}
	return true, nil
}
