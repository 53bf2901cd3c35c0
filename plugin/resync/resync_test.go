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

// What is so when the time of an outdated sync is over counts, and what is so when
// it is ended: one that became current, or another plugin's, goes on, and one that
// changed just then is looked at again.
func TestEndLooksAgain(t *testing.T) {
	t.Parallel()
	s := runtime.NewScheme()
	if err := argocd.AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	app := syncing(nil)
	ours := true
	var meanwhile func(c client.Client)
	kube := fake.NewClientBuilder().WithScheme(s).WithObjects(app).WithInterceptorFuncs(interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			if meanwhile != nil {
				meanwhile(c)
			}
			return c.Patch(ctx, o, p, opts...)
		},
	}).Build()
	e := &Ender{Client: kube, Namespace: "argocd", Ours: func(string) bool { return ours }, Log: slog.New(slog.DiscardHandler)}
	write := func(c client.Client, change func(*argocd.Application)) {
		t.Helper()
		var is argocd.Application
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(app), &is); err != nil {
			t.Fatal(err)
		}
		change(&is)
		if err := c.Update(t.Context(), &is); err != nil {
			t.Fatal(err)
		}
	}
	goesOn := func(what string) {
		t.Helper()
		var is argocd.Application
		if err := kube.Get(t.Context(), client.ObjectKeyFromObject(app), &is); err != nil || is.Operation == nil {
			t.Errorf("%s: its sync was ended, error %v", what, err)
		}
	}
	to := func(head string) func(*argocd.Application) {
		return func(a *argocd.Application) { a.Operation.Sync.Revisions[0] = head }
	}

	write(kube, to(newHead))
	if err := e.end(t.Context(), app.Name); err != nil {
		t.Error(err)
	}
	goesOn("one of the head")
	write(kube, to(oldHead))
	ours = false
	if err := e.end(t.Context(), app.Name); err != nil {
		t.Error(err)
	}
	goesOn("another plugin's")
	ours = true
	meanwhile = func(c client.Client) { meanwhile = nil; write(c, to(newHead)) }
	if err := e.end(t.Context(), app.Name); err == nil {
		t.Error("that it changed is no error, and it would not be looked at again")
	}
	goesOn("one that was begun anew just then")
	if err := e.end(t.Context(), "preview-shop-9-0123456789"); err != nil {
		t.Errorf("one that is gone: %v", err)
	}
}

// Healthy counts for what was synced: what has not begun is called so too.
func TestHealth(t *testing.T) {
	t.Parallel()
	finished, later := time.Unix(1000, 0), time.Unix(2000, 0)
	healthy := func(change func(*argocd.Application)) *argocd.Application {
		a := ended("Succeeded", "")
		a.Status.OperationState.FinishedAt = &metav1.Time{Time: finished}
		a.Status.Health = argocd.HealthStatus{Status: "Healthy"}
		if change != nil {
			change(a)
		}
		return a
	}
	for name, c := range map[string]struct {
		app    *argocd.Application
		status string
		since  time.Time
	}{
		"synced": {healthy(nil), "Healthy", finished},
		"healthy since later": {healthy(func(a *argocd.Application) {
			a.Status.Health.LastTransitionTime = &metav1.Time{Time: later}
		}), "Healthy", later},
		"healthy since before its sync": {healthy(func(a *argocd.Application) {
			a.Status.Health.LastTransitionTime = &metav1.Time{Time: time.Unix(1, 0)}
		}), "Healthy", finished},
		"never synced":     {healthy(func(a *argocd.Application) { a.Status.OperationState = nil }), "", time.Time{}},
		"its sync goes on": {healthy(func(a *argocd.Application) { set(&a.Status.OperationState.Phase, "Running") }), "", time.Time{}},
		"its sync failed":  {healthy(func(a *argocd.Application) { set(&a.Status.OperationState.Phase, "Failed") }), "", time.Time{}},
		"of an older head": {healthy(func(a *argocd.Application) { a.Status.OperationState.SyncResult.Revisions[0] = oldHead }), "", time.Time{}},
		"no end is told":   {healthy(func(a *argocd.Application) { a.Status.OperationState.FinishedAt = nil }), "", time.Time{}},
	} {
		if status, since := health(c.app); status != c.status || !since.Equal(c.since) {
			t.Errorf("%s: %q since %s", name, status, since)
		}
	}
	var said []string
	e := &Ender{
		Ours:   func(string) bool { return true },
		Health: func(name, status string, _ time.Time) { said = append(said, name+" "+status) },
	}
	e.see(healthy(nil), false)
	e.see(syncing(nil), false)
	e.see(syncing(nil), true)
	if got, want := strings.Join(said, ", "), "preview-shop-1-0123456789 Healthy, preview-shop-1-0123456789 "; got != want {
		t.Errorf("said %q, want %q", got, want)
	}
}
