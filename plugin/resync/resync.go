// Package resync follows the Applications of previews, by one watch.
//
// It lets a pushed fix begin. Argo CD starts no sync while another one goes on,
// and one that hangs or is tried again holds on to its commit. It ends the
// operation of a preview whose pull request has a newer head, and asks Argo CD to
// look again. It promises that nothing else ends: only operations on a commit
// that the Application no longer asks for, only of previews, and only by removing
// `operation`. An admission policy holds it to that.
//
// It lets a sync go on at once when the preview's hook has ended (hook.go), and it
// says why a sync failed (failed.go), in words that hold no value.
package resync

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/argocd"
	"github.com/seedling-dev/seedling/plugin/preview"
)

const (
	// project is the AppProject of previews.
	project = "previews"
	// patience is what an outdated sync is given to end by itself: one that is
	// nearly done is worth waiting for.
	patience = 15 * time.Second
	// again is the pause after an error, doubled up to most.
	again, most = time.Second, 30 * time.Second
)

var commit = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// Ender ends outdated syncs. Its fields are set before [Ender.Run].
type Ender struct {
	Client client.WithWatch
	// Namespace is Argo CD's. Ours says whether an Application is that of a live
	// preview of this plugin.
	Namespace string
	Ours      func(application string) bool
	// Failed is told why the sync of a preview's commit failed, and by an empty
	// text that it did not. Gone is told of an Application that is gone. Both may
	// be nil.
	Failed func(application, commit, why string)
	Gone   func(application string)
	// Health is told what Argo CD calls a preview whose head it has synced, and since
	// when; an empty status that there is no Application. It may be nil.
	Health func(application, status string, since time.Time)
	Log    *slog.Logger
	// Patience is what an outdated sync is given; 0 means 15 seconds.
	Patience time.Duration

	waiting atomic.Pointer[func() int] // while it runs
}

// Waiting is how many Applications are to be looked at now.
func (e *Ender) Waiting() int {
	if count := e.waiting.Load(); count != nil {
		return (*count)()
	}
	return 0
}

// Run follows the Applications until ctx ends. It is for the leader only.
func (e *Ender) Run(ctx context.Context) error {
	if e.Patience == 0 {
		e.Patience = patience
	}
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](again, most))
	defer context.AfterFunc(ctx, queue.ShutDown)()
	count := queue.Len
	e.waiting.Store(&count)
	go preview.Watch(ctx, e.Log.With("watch", "applications"), e.Client, &argocd.ApplicationList{},
		func(object client.Object, deleted bool) {
			if app, ok := object.(*argocd.Application); ok && snapshot.IsPreview(app.Name) && e.see(app, deleted) {
				queue.AddAfter(app.Name, e.Patience)
			}
		}, client.InNamespace(e.Namespace))
	for {
		name, shutdown := queue.Get()
		if shutdown {
			return nil
		}
		if err := e.end(ctx, name); err != nil && ctx.Err() == nil {
			e.Log.WarnContext(ctx, "an outdated sync goes on", "application", name, "error", err)
			queue.AddRateLimited(name)
		} else {
			queue.Forget(name)
		}
		queue.Done(name)
	}
}

// see says what an Application tells, and whether its sync is outdated.
func (e *Ender) see(app *argocd.Application, deleted bool) bool {
	if deleted {
		if e.Health != nil {
			e.Health(app.Name, "", time.Time{})
		}
		if e.Gone != nil {
			e.Gone(app.Name)
		}
		return false
	}
	if commit, why, known := failure(app); known && e.Failed != nil {
		e.Failed(app.Name, commit, why)
	}
	if status, since := health(app); status != "" && e.Health != nil {
		e.Health(app.Name, status, since)
	}
	return outdated(app) && e.Ours(app.Name)
}

// health is what Argo CD calls an Application whose last sync was of the commit it
// asks for, and went well, and since when; empty for any other: what has not begun
// is Healthy too.
func health(app *argocd.Application) (status string, since time.Time) {
	s := app.Status.OperationState
	if s == nil || !s.Phase.Succeeded() || s.FinishedAt == nil || len(app.Spec.Sources) == 0 || revision(s) != app.Spec.Sources[0].TargetRevision {
		return "", time.Time{}
	}
	since = s.FinishedAt.Time
	if at := app.Status.Health.LastTransitionTime; at != nil && at.After(since) {
		since = at.Time
	}
	return app.Status.Health.Status, since
}

// end removes the operation of an Application if it is outdated still.
func (e *Ender) end(ctx context.Context, name string) error {
	var app argocd.Application
	err := e.Client.Get(ctx, types.NamespacedName{Namespace: e.Namespace, Name: name}, &app)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read Application %s: %w", name, err)
	}
	if !outdated(&app) || !e.Ours(name) {
		return nil
	}
	// Argo CD compared with the new commit while the old sync went on; without
	// the annotation it would look again only at its own pace, minutes later.
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{
			"uid": app.UID, "resourceVersion": app.ResourceVersion,
			"annotations": map[string]string{argocd.AnnotationKeyRefresh: argocd.RefreshNormal},
		},
		"operation": nil,
	})
	if err != nil {
		return err
	}
	was, want := syncs(&app), app.Spec.Sources[0].TargetRevision
	err = e.Client.Patch(ctx, &app, client.RawPatch(types.MergePatchType, patch))
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("end the sync of Application %s: %w", name, err)
	}
	e.Log.InfoContext(ctx, "outdated sync ended", "application", name, "commit", was, "head", want)
	return nil
}

// outdated says whether a preview is being synced to another commit of the pull
// request than it asks for.
func outdated(app *argocd.Application) bool {
	if !snapshot.IsPreview(app.Name) || app.Spec.Project != project || app.DeletionTimestamp != nil {
		return false
	}
	is := syncs(app)
	if is == "" || len(app.Spec.Sources) == 0 {
		return false
	}
	want := app.Spec.Sources[0].TargetRevision
	return commit.MatchString(want) && is != want
}

// syncs is the commit that an Application is being synced to, empty for none. What
// runs counts before what is asked for: where an operation was taken away just when
// Argo CD wrote how far it was, the next one, of the new commit, goes on with the
// old one.
func syncs(app *argocd.Application) string {
	if app.Operation == nil || app.Operation.Sync == nil || len(app.Operation.Sync.Revisions) == 0 {
		return ""
	}
	if s := app.Status.OperationState; s != nil && s.Phase.Running() && revision(s) != "" {
		return revision(s)
	}
	return app.Operation.Sync.Revisions[0]
}
