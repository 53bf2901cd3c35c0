package resync

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seedling-dev/seedling/plugin/argocd"
)

var (
	oldHead = strings.Repeat("a", 40)
	newHead = strings.Repeat("b", 40)
)

// syncing is a preview that asks for the new head and is synced to the old one.
func syncing(change func(*argocd.Application)) *argocd.Application {
	app := &argocd.Application{
		ObjectMeta: metav1.ObjectMeta{Namespace: "argocd", Name: "preview-shop-1-0123456789"},
		Spec: argocd.ApplicationSpec{
			Project: project,
			Sources: []argocd.ApplicationSource{{TargetRevision: newHead}, {TargetRevision: "main"}},
		},
		Operation: &argocd.Operation{Sync: &argocd.SyncOperation{Revisions: []string{oldHead, "c"}}},
	}
	if change != nil {
		change(app)
	}
	return app
}

// running is how far a sync to a head is.
func running(head string) *argocd.OperationState {
	return &argocd.OperationState{Phase: "Running", Operation: argocd.Operation{Sync: &argocd.SyncOperation{Revisions: []string{head, "c"}}}}
}

func TestOutdated(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*argocd.Application)
		want   bool
	}{
		"an older head": {nil, true},
		"an older head that runs": {func(a *argocd.Application) {
			a.Operation.Sync.Revisions[0] = newHead
			a.Status.OperationState = running(oldHead)
		}, true},
		"an older head that is tried again": {func(a *argocd.Application) {
			a.Operation.Sync.Revisions[0] = newHead
			a.Status.OperationState = running("")
			a.Status.OperationState.Operation.Sync.Revisions = nil
			a.Status.OperationState.SyncResult = &argocd.SyncOperationResult{Revisions: []string{oldHead, "c"}}
		}, true},
		"the head, while what went on is over": {func(a *argocd.Application) {
			a.Operation.Sync.Revisions[0] = newHead
			a.Status.OperationState = running(oldHead)
			a.Status.OperationState.Phase = "Failed"
		}, false},
		"the head that runs":     {func(a *argocd.Application) { a.Status.OperationState = running(newHead) }, false},
		"the head itself":        {func(a *argocd.Application) { a.Operation.Sync.Revisions[0] = newHead }, false},
		"an older platform":      {func(a *argocd.Application) { a.Operation.Sync.Revisions = []string{newHead, "d"} }, false},
		"no operation":           {func(a *argocd.Application) { a.Operation = nil }, false},
		"a sync without commits": {func(a *argocd.Application) { a.Operation.Sync.Revisions = nil }, false},
		"a branch is asked for":  {func(a *argocd.Application) { a.Spec.Sources[0].TargetRevision = "main" }, false},
		"no sources":             {func(a *argocd.Application) { a.Spec.Sources = nil }, false},
		"another project":        {func(a *argocd.Application) { a.Spec.Project = "default" }, false},
		"no preview":             {func(a *argocd.Application) { a.Name = "shop" }, false},
		"one that is going":      {func(a *argocd.Application) { a.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)} }, false},
	} {
		if got := outdated(syncing(c.change)); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// An outdated sync is ended after its time, also where the API server refuses
// at first; one that is not outdated goes on.
func TestRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := runtime.NewScheme()
		if err := argocd.AddToScheme(s); err != nil {
			t.Fatal(err)
		}
		current := syncing(func(a *argocd.Application) {
			a.Name, a.Operation.Sync.Revisions[0] = "preview-shop-2-0123456789", newHead
		})
		var refusals atomic.Int32
		kube := fake.NewClientBuilder().WithScheme(s).WithObjects(current).
			WithInterceptorFuncs(interceptor.Funcs{
				Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
					if refusals.Add(1) <= 2 {
						return errors.New("not now")
					}
					return c.Patch(ctx, o, p, opts...)
				},
			}).Build()
		ctx, cancel := context.WithCancel(t.Context())
		e := &Ender{Client: kube, Namespace: "argocd", Ours: func(string) bool { return true }, Log: slog.New(slog.DiscardHandler)}
		done := make(chan error, 1)
		go func() { done <- e.Run(ctx) }()
		synctest.Wait()

		app := syncing(nil)
		if err := kube.Create(ctx, app); err != nil {
			t.Fatal(err)
		}
		read := func(name string) *argocd.Application {
			var a argocd.Application
			if err := kube.Get(ctx, client.ObjectKey{Namespace: "argocd", Name: name}, &a); err != nil {
				t.Fatal(err)
			}
			return &a
		}
		time.Sleep(patience - time.Second)
		synctest.Wait()
		if read(app.Name).Operation == nil {
			t.Error("it was not given its time")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		ended := read(app.Name)
		if ended.Operation != nil || ended.Annotations[argocd.AnnotationKeyRefresh] != "normal" {
			t.Errorf("the outdated sync goes on: %v, annotations %v", ended.Operation, ended.Annotations)
		}
		if read(current.Name).Operation == nil {
			t.Error("a sync of the head was ended")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
