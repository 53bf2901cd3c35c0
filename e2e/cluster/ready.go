package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// completeMark is a ConfigMap in kube-system that a finished [Up] leaves.
const completeMark = "seedling-cluster"

// workload is something whose pods must serve.
type workload struct {
	namespace, name string
	object          client.Object
}

func workloads() []workload {
	return []workload{
		{"argocd", "argocd-application-controller", &appsv1.StatefulSet{}},
		{"argocd", "argocd-repo-server", &appsv1.Deployment{}},
		{"argocd", "argocd-applicationset-controller", &appsv1.Deployment{}},
		{"argocd", "argocd-redis", &appsv1.Deployment{}},
		{"velero", "velero", &appsv1.Deployment{}},
	}
}

// waitComplete returns when all of the cluster answers, and marks it.
func (c *Cluster) waitComplete(ctx context.Context, a *applier) error {
	if err := c.waitProcesses(ctx); err != nil {
		return err
	}
	if err := poll(ctx, "the node to be Ready", func(ctx context.Context) error { return nodeReady(ctx, a) }); err != nil {
		return err
	}
	for _, w := range workloads() {
		err := poll(ctx, w.namespace+"/"+w.name, func(ctx context.Context) error { return served(ctx, a, w) })
		if err != nil {
			return err
		}
	}
	if err := poll(ctx, "Velero's storage location", func(ctx context.Context) error { return locationAvailable(ctx, a) }); err != nil {
		return err
	}
	mark := &unstructured.Unstructured{Object: map[string]any{"data": map[string]any{"complete": "true"}}}
	mark.SetAPIVersion("v1")
	mark.SetKind("ConfigMap")
	mark.SetNamespace(metav1.NamespaceSystem)
	mark.SetName(completeMark)
	return a.applyOne(ctx, mark)
}

// answers reports whether an earlier [Up] finished and the cluster is well
// now.
func (c *Cluster) answers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	a, err := newApplier(c.REST())
	if err != nil {
		return false
	}
	var mark corev1.ConfigMap
	if a.Get(ctx, client.ObjectKey{Namespace: metav1.NamespaceSystem, Name: completeMark}, &mark) != nil {
		return false
	}
	if nodeReady(ctx, a) != nil || locationAvailable(ctx, a) != nil {
		return false
	}
	for _, w := range workloads() {
		if served(ctx, a, w) != nil {
			return false
		}
	}
	states, err := c.Processes(ctx)
	return err == nil && !slices.ContainsFunc(states, missing)
}

func nodeReady(ctx context.Context, a *applier) error {
	var nodes corev1.NodeList
	if err := a.List(ctx, &nodes); err != nil {
		return err
	}
	for _, n := range nodes.Items {
		for _, condition := range n.Status.Conditions {
			if condition.Type == corev1.NodeReady {
				if condition.Status == corev1.ConditionTrue {
					return nil
				}
				return errors.New(condition.Message)
			}
		}
	}
	return errors.New("no node has registered")
}

func served(ctx context.Context, a *applier, w workload) error {
	if err := a.Get(ctx, client.ObjectKey{Namespace: w.namespace, Name: w.name}, w.object); err != nil {
		return err
	}
	var current bool
	var ready int32
	switch o := w.object.(type) {
	case *appsv1.Deployment:
		current, ready = o.Status.ObservedGeneration == o.Generation && o.Status.UpdatedReplicas == o.Status.Replicas, o.Status.AvailableReplicas
	case *appsv1.StatefulSet:
		current, ready = o.Status.ObservedGeneration == o.Generation && o.Status.CurrentRevision == o.Status.UpdateRevision, o.Status.AvailableReplicas
	}
	if !current || ready < 1 {
		return fmt.Errorf("%d pods serve", ready)
	}
	return nil
}

func locationAvailable(ctx context.Context, a *applier) error {
	location := &unstructured.Unstructured{}
	location.SetGroupVersionKind(schema.GroupVersionKind{Group: "velero.io", Version: "v1", Kind: "BackupStorageLocation"})
	if err := a.Get(ctx, client.ObjectKey{Namespace: "velero", Name: "default"}, location); err != nil {
		return err
	}
	phase, _, _ := unstructured.NestedString(location.Object, "status", "phase")
	if phase != "Available" {
		message, _, _ := unstructured.NestedString(location.Object, "status", "message")
		return fmt.Errorf("phase %q: %s", phase, message)
	}
	return nil
}
