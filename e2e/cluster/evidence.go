package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"
)

// systemNamespaces are always part of the evidence.
var systemNamespaces = []string{"argocd", "velero", "seedling"}

// Evidence writes to a folder what one needs to understand a failure: the
// node's processes with their logs, all events, the logs of every pod and the
// objects of Argo CD's, Velero's, Seedling's and the given namespaces, and the
// cluster-wide storage objects. Secrets are left out. It writes what it can
// and returns what it could not.
func (c *Cluster) Evidence(ctx context.Context, dir string, namespaces ...string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
	defer cancel()
	for _, sub := range []string{"node", "pods", "objects"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return err
		}
	}
	wanted := slices.Concat(systemNamespaces, namespaces)
	slices.Sort(wanted)
	wanted = slices.Compact(wanted)
	errs := []error{c.nodeEvidence(ctx, filepath.Join(dir, "node"))}
	clients, err := kubernetes.NewForConfig(c.REST())
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	errs = append(errs, eventEvidence(ctx, clients, filepath.Join(dir, "events.txt")))
	for _, namespace := range wanted {
		errs = append(errs, podEvidence(ctx, clients, filepath.Join(dir, "pods"), namespace))
	}
	errs = append(errs, c.objectEvidence(ctx, clients, filepath.Join(dir, "objects"), wanted))
	return errors.Join(errs...)
}

// nodeEvidence keeps the logs of the node's container and of its processes.
func (c *Cluster) nodeEvidence(ctx context.Context, dir string) error {
	var errs []error
	keep := func(name, content string, err error) {
		errs = append(errs, err, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644))
	}
	status, err := c.Exec(ctx, "node", "status")
	keep("status.json", status, err)
	usage, err := c.Exec(ctx, "sh", "-c", "df -h /var/lib /var/lib/csi-btrfs; free -m; ps aux --sort=-%mem | head -40")
	keep("usage.txt", usage, err)
	_, err = docker(ctx, "cp", containerName(c.name)+":"+nodeLogs+"/.", dir)
	return errors.Join(append(errs, err)...)
}

// eventEvidence writes all events of the cluster, oldest first.
func eventEvidence(ctx context.Context, clients kubernetes.Interface, path string) error {
	events, err := clients.CoreV1().Events("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list events: %w", err)
	}
	at := func(e corev1.Event) time.Time {
		if !e.LastTimestamp.IsZero() {
			return e.LastTimestamp.Time
		}
		return e.EventTime.Time
	}
	slices.SortFunc(events.Items, func(a, b corev1.Event) int { return at(a).Compare(at(b)) })
	var text strings.Builder
	for _, e := range events.Items {
		fmt.Fprintf(&text, "%s %-7s %s/%s %s: %s (x%d)\n", at(e).Format(time.TimeOnly), e.Type,
			e.InvolvedObject.Namespace, strings.ToLower(e.InvolvedObject.Kind)+"/"+e.InvolvedObject.Name, e.Reason, e.Message, max(1, e.Count))
	}
	return os.WriteFile(path, []byte(text.String()), 0o644)
}

// podEvidence writes the logs of every container, the previous run's too.
func podEvidence(ctx context.Context, clients kubernetes.Interface, dir, namespace string) error {
	pods, err := clients.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list pods of %s: %w", namespace, err)
	}
	var errs []error
	for _, pod := range pods.Items {
		for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
			name := filepath.Join(dir, namespace+"_"+pod.Name+"_"+s.Name)
			for _, previous := range []bool{false, true} {
				if previous && s.RestartCount == 0 || s.State.Waiting != nil && s.RestartCount == 0 {
					continue
				}
				raw, err := clients.CoreV1().Pods(namespace).GetLogs(pod.Name, &corev1.PodLogOptions{
					Container: s.Name, Previous: previous, Timestamps: true,
				}).DoRaw(ctx)
				if err != nil {
					errs = append(errs, fmt.Errorf("logs of %s/%s: %w", namespace, pod.Name, err))
					continue
				}
				suffix := ".log"
				if previous {
					suffix = ".previous.log"
				}
				errs = append(errs, os.WriteFile(name+suffix, raw, 0o644))
			}
		}
	}
	return errors.Join(errs...)
}

// clusterWide are the kinds without a namespace that failures are about.
var clusterWide = []string{"namespaces", "nodes", "persistentvolumes", "volumesnapshotcontents", "volumesnapshotclasses", "storageclasses"}

// objectEvidence writes one file of YAML per namespace and kind.
func (c *Cluster) objectEvidence(ctx context.Context, clients kubernetes.Interface, dir string, namespaces []string) error {
	dynamics, err := dynamic.NewForConfig(c.REST())
	if err != nil {
		return err
	}
	lists, err := discovery.ServerPreferredResources(clients.Discovery())
	if err != nil && len(lists) == 0 {
		return fmt.Errorf("list the kinds: %w", err)
	}
	var errs []error
	for _, list := range lists {
		group, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return err
		}
		for _, r := range list.APIResources {
			kind := group.WithResource(r.Name)
			switch {
			case !slices.Contains(r.Verbs, "list") || r.Name == "secrets" || r.Name == "events" || group.Group == "metrics.k8s.io":
			case r.Namespaced:
				for _, namespace := range namespaces {
					errs = append(errs, writeObjects(ctx, dynamics.Resource(kind).Namespace(namespace), filepath.Join(dir, namespace+"_"+r.Name+".yaml")))
				}
			case slices.Contains(clusterWide, r.Name):
				errs = append(errs, writeObjects(ctx, dynamics.Resource(kind), filepath.Join(dir, r.Name+".yaml")))
			}
		}
	}
	return errors.Join(errs...)
}

func writeObjects(ctx context.Context, from dynamic.ResourceInterface, path string) error {
	list, err := from.List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list objects for %s: %w", filepath.Base(path), err)
	}
	if len(list.Items) == 0 {
		return nil
	}
	var text strings.Builder
	for _, item := range list.Items {
		unstructured.RemoveNestedField(item.Object, "metadata", "managedFields")
		raw, err := yaml.Marshal(item.Object)
		if err != nil {
			return err
		}
		text.WriteString("---\n")
		text.Write(raw)
	}
	return os.WriteFile(path, []byte(text.String()), 0o644)
}
