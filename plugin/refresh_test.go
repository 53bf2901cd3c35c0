package main

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seedling-dev/seedling/hooks/command"
	"github.com/seedling-dev/seedling/plugin/argocd"
)

// A sync is asked for once, and not beside another operation.
func TestRefresh(t *testing.T) {
	t.Parallel()
	state := func(phase argocd.OperationPhase) func(*argocd.Application) {
		return func(a *argocd.Application) { a.Status.OperationState = &argocd.OperationState{Phase: phase} }
	}
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "applications"}, "seed-data", nil)
	conflict := apierrors.NewConflict(schema.GroupResource{Resource: "applications"}, "seed-data", nil)
	for _, c := range []struct {
		name      string
		change    func(*argocd.Application)
		missing   bool
		patchErrs []error
		asked     bool
		says      string
		exit      int
	}{
		{name: "nothing ever synced", asked: true, says: "asked for a sync"},
		{name: "the last one succeeded", change: state("Succeeded"), asked: true, says: "asked for a sync"},
		{name: "the last one failed", change: state("Failed"), asked: true, says: "asked for a sync"},
		{name: "one runs", change: state("Running"), says: "skipped: an operation is under way since"},
		{name: "one is being ended", change: state("Terminating"), says: "skipped: an operation is under way"},
		{name: "one is asked for", change: func(a *argocd.Application) { a.Operation = &argocd.Operation{} }, says: "skipped: an operation is asked for"},
		{name: "it changed meanwhile", patchErrs: []error{conflict, conflict}, asked: true, says: "asked for a sync"},
		{name: "it changes all the time", patchErrs: []error{conflict, conflict, conflict, conflict, conflict}, says: "changed 5 times", exit: 1},
		{name: "not allowed", patchErrs: []error{forbidden}, says: "forbidden", exit: 2},
		{name: "not there", missing: true, says: "has no Application seed-data", exit: 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			app := &argocd.Application{ObjectMeta: metav1.ObjectMeta{Namespace: "argocd", Name: "seed-data"}}
			if c.change != nil {
				c.change(app)
			}
			objects := []client.Object{app}
			if c.missing {
				objects = nil
			}
			errs := c.patchErrs
			kube := fake.NewClientBuilder().WithScheme(scheme()).WithObjects(objects...).WithInterceptorFuncs(interceptor.Funcs{
				Patch: func(ctx context.Context, w client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
					if len(errs) > 0 {
						err := errs[0]
						errs = errs[1:]
						return err
					}
					content, err := p.Data(o)
					if strings.Contains(string(content), "retry") {
						t.Errorf("a failed import is tried again: %s", content)
					}
					if err != nil || !strings.Contains(string(content), `"resourceVersion":"`+o.GetResourceVersion()+`"`) {
						t.Errorf("the patch is not bound to the version that was read: %s (%v)", content, err)
					}
					return w.Patch(ctx, o, p, opts...)
				},
			}).Build()
			var said bytes.Buffer
			err := refresh(t.Context(), kube, slog.New(slog.NewTextHandler(&said, nil)), client.ObjectKey{Namespace: "argocd", Name: "seed-data"})
			if command.ExitCode(err) != c.exit {
				t.Errorf("exit code %d, not %d: %v", command.ExitCode(err), c.exit, err)
			}
			if err != nil {
				said.WriteString(err.Error())
			}
			if !strings.Contains(said.String(), c.says) {
				t.Errorf("it does not say %q: %s", c.says, said.String())
			}
			var now argocd.Application
			if err := kube.Get(t.Context(), client.ObjectKeyFromObject(app), &now); client.IgnoreNotFound(err) != nil {
				t.Fatal(err)
			}
			if asked := now.Operation != nil && now.Operation.Sync != nil; asked != c.asked {
				t.Errorf("a sync is asked for: %t, not %t", asked, c.asked)
			}
		})
	}
}
