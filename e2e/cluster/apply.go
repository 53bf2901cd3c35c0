package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// applier applies manifests on the server's side.
type applier struct {
	client.Client
	// images is closed when the images of pods are loaded. Pods made earlier
	// would fail to pull, and be tried again ever more slowly.
	images <-chan struct{}
}

func newApplier(config *rest.Config) (*applier, error) {
	s := runtime.NewScheme()
	if err := errors.Join(scheme.AddToScheme(s), apiextensions.AddToScheme(s)); err != nil {
		return nil, err
	}
	c, err := client.New(config, client.Options{Scheme: s})
	if err != nil {
		return nil, fmt.Errorf("connect to the API server: %w", err)
	}
	return &applier{Client: c}, nil
}

// Objects reads the documents of a YAML stream.
func Objects(manifests []byte) ([]*unstructured.Unstructured, error) {
	var all []*unstructured.Unstructured
	documents := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(manifests), 4096)
	for {
		u := &unstructured.Unstructured{}
		err := documents.Decode(u)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read manifests: %w", err)
		}
		switch {
		case len(u.Object) == 0:
		case u.IsList():
			err := u.EachListItem(func(item runtime.Object) error {
				all = append(all, item.(*unstructured.Unstructured))
				return nil
			})
			if err != nil {
				return nil, err
			}
		default:
			all = append(all, u)
		}
	}
}

// apply applies objects in an order in which they can exist: namespaces and
// definitions first, the rest once the definitions are established, workloads
// once their images are loaded.
func (a *applier) apply(ctx context.Context, all []*unstructured.Unstructured) error {
	var first, rest, definitions, workloads []*unstructured.Unstructured
	for _, u := range all {
		switch u.GetKind() {
		case "CustomResourceDefinition":
			definitions = append(definitions, u)
			first = append(first, u)
		case "Namespace":
			first = append(first, u)
		case "Deployment", "StatefulSet":
			workloads = append(workloads, u)
		default:
			rest = append(rest, u)
		}
	}
	if err := a.applyAll(ctx, first); err != nil {
		return err
	}
	for _, u := range definitions {
		if err := a.waitEstablished(ctx, u.GetName()); err != nil {
			return err
		}
	}
	if err := a.applyAll(ctx, rest); err != nil || len(workloads) == 0 {
		return err
	}
	select {
	case <-a.images:
	case <-ctx.Done():
		return fmt.Errorf("wait for the images: %w", ctx.Err())
	}
	return a.applyAll(ctx, workloads)
}

func (a *applier) applyAll(ctx context.Context, all []*unstructured.Unstructured) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for _, u := range all {
		group.Go(func() error { return a.applyOne(ctx, u) })
	}
	return group.Wait()
}

// applyOne tries for a while: a namespace may be made by another manifest that
// is on its way, and a kind may have been established this moment.
func (a *applier) applyOne(ctx context.Context, u *unstructured.Unstructured) error {
	deadline := time.Now().Add(3 * time.Minute)
	for {
		err := a.Patch(ctx, u.DeepCopy(), client.Apply, client.FieldOwner("seedling"), client.ForceOwnership)
		if err == nil {
			return nil
		}
		err = fmt.Errorf("apply %s %s: %w", u.GetKind(), client.ObjectKeyFromObject(u), err)
		if ctx.Err() != nil || time.Now().After(deadline) || (!meta.IsNoMatchError(err) && client.IgnoreNotFound(err) != nil) {
			return err
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func (a *applier) waitEstablished(ctx context.Context, name string) error {
	return poll(ctx, "definition "+name+" to be established", func(ctx context.Context) error {
		var crd apiextensions.CustomResourceDefinition
		if err := a.Get(ctx, client.ObjectKey{Name: name}, &crd); err != nil {
			return err
		}
		for _, c := range crd.Status.Conditions {
			if c.Type == apiextensions.Established && c.Status == apiextensions.ConditionTrue {
				return nil
			}
		}
		return errors.New("not established")
	})
}

// poll repeats a question until its answer is nil; when the context ends, the
// last answer is part of the error.
func poll(ctx context.Context, what string, ask func(context.Context) error) error {
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w: %w", what, ctx.Err(), err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}
