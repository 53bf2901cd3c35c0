package platform

import (
	"context"
	"errors"
	"fmt"
	"time"

	argov1alpha1 "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// newClient knows every kind that the platform is made of.
func newClient(config *rest.Config) (client.WithWatch, error) {
	scheme := runtime.NewScheme()
	err := errors.Join(
		clientscheme.AddToScheme(scheme),
		argov1alpha1.AddToScheme(scheme),
		velerov1.AddToScheme(scheme),
		snapshotv1.AddToScheme(scheme),
	)
	if err != nil {
		return nil, err
	}
	c, err := client.NewWithWatch(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("connect to the API server: %w", err)
	}
	return c, nil
}

// fieldOwner is whose fields the installer's are.
const fieldOwner = client.FieldOwner("seedling-install")

// apply applies objects on the server's side, namespaces first. An object
// whose kind or namespace is on its way is tried again for a while.
func (p *Platform) apply(ctx context.Context, all []*unstructured.Unstructured) error {
	for _, first := range []bool{true, false} {
		for _, u := range all {
			if (u.GetKind() == "Namespace") != first {
				continue
			}
			err := p.Wait(ctx, "apply "+describe(u), func(ctx context.Context) error {
				err := p.Kube.Patch(ctx, u.DeepCopy(), client.Apply, fieldOwner, client.ForceOwnership)
				if err != nil && !meta.IsNoMatchError(err) && !apierrors.IsNotFound(err) && !apierrors.IsServerTimeout(err) {
					return Final(err)
				}
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func describe(o client.Object) string {
	name := o.GetName()
	if ns := o.GetNamespace(); ns != "" {
		name = ns + "/" + name
	}
	return o.GetObjectKind().GroupVersionKind().Kind + " " + name
}

// hopeless is an error that waiting does not cure.
type hopeless struct{ error }

func (f hopeless) Unwrap() error { return f.error }

// Final marks an error as one that waiting does not cure.
func Final(err error) error { return hopeless{err} }

// DefaultWait bounds a [Platform.Wait] whose context has no deadline.
const DefaultWait = 5 * time.Minute

// Wait asks again until the answer is nil, a [Final] error, or the context
// ends; then the error says what was waited for and the last answer.
func (p *Platform) Wait(ctx context.Context, what string, ask func(context.Context) error) error {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, DefaultWait)
		defer cancel()
	}
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		if f, ok := errors.AsType[hopeless](err); ok {
			return fmt.Errorf("%s: %w", what, f.error)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w; last seen: %w", what, context.Cause(ctx), err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}
