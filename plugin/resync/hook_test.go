package resync

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/argocd"
)

// Argo CD is asked to look when the hook has ended and not before, and only at a
// preview that is being synced.
func TestHooks(t *testing.T) {
	t.Parallel()
	const syncs, idle = "preview-shop-1-0123456789", "preview-shop-2-0123456789"
	for name, ended := range map[string]batchv1.JobConditionType{"well": batchv1.JobComplete, "badly": batchv1.JobFailed} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				job := func(preview string) *batchv1.Job {
					return &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: preview, Name: snapshot.HookJob}}
				}
				of := func(name string, change func(*argocd.Application)) *argocd.Application {
					return syncing(func(a *argocd.Application) {
						a.Name = name
						if change != nil {
							change(a)
						}
					})
				}
				s := runtime.NewScheme()
				for _, add := range []func(*runtime.Scheme) error{argocd.AddToScheme, batchv1.AddToScheme} {
					if err := add(s); err != nil {
						t.Fatal(err)
					}
				}
				var calls atomic.Int32
				kube := fake.NewClientBuilder().WithScheme(s).
					WithObjects(job(syncs), job(idle), of(syncs, nil), of(idle, func(a *argocd.Application) { a.Operation = nil })).
					WithStatusSubresource(&batchv1.Job{}).
					WithIndex(&batchv1.Job{}, "metadata.name", func(o client.Object) []string { return []string{o.GetName()} }).
					WithInterceptorFuncs(interceptor.Funcs{List: func(ctx context.Context, c client.WithWatch, l client.ObjectList, opts ...client.ListOption) error {
						if calls.Add(1) == 1 {
							return errors.New("not now")
						}
						return c.List(ctx, l, opts...)
					}}).Build()
				ctx, cancel := context.WithCancel(t.Context())
				h := NewHooks(kube, "argocd", slog.New(slog.DiscardHandler))
				done := make(chan error, 1)
				go func() { done <- h.Run(ctx) }()
				asked := func(name string) bool {
					var a argocd.Application
					if err := kube.Get(ctx, client.ObjectKey{Namespace: "argocd", Name: name}, &a); err != nil {
						t.Fatal(err)
					}
					return a.Annotations[argocd.AnnotationKeyRefresh] == "normal"
				}
				for _, name := range []string{syncs, idle, "preview-gone-1-0123456789"} {
					h.Answered(name)
				}
				time.Sleep(3 * time.Second)
				synctest.Wait()
				if asked(syncs) {
					t.Error("Argo CD was asked before the hook had ended")
				}
				for _, name := range []string{syncs, idle} {
					j := job(name)
					if err := kube.Get(ctx, client.ObjectKeyFromObject(j), j); err != nil {
						t.Fatal(err)
					}
					j.Status.Conditions = []batchv1.JobCondition{{Type: ended, Status: corev1.ConditionTrue}}
					if err := kube.Status().Update(ctx, j); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(3 * time.Second)
				synctest.Wait()
				if !asked(syncs) {
					t.Error("Argo CD was not asked to look at the sync")
				}
				if asked(idle) {
					t.Error("Argo CD was asked about a preview that is not being synced")
				}
				before := calls.Load()
				time.Sleep(time.Hour)
				synctest.Wait()
				if more := calls.Load() - before; more > looks {
					t.Errorf("%d more calls in an hour", more)
				}
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}
