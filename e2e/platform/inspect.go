package platform

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/seedling-dev/seedling/e2e/cluster"
	"github.com/seedling-dev/seedling/e2e/shop"
)

// JobFailure is how the newest failed pod of a Job ended: its exit code and its
// last words.
func (p *Platform) JobFailure(ctx context.Context, namespace, job string) (code int32, message string, err error) {
	var pods corev1.PodList
	if err := p.Kube.List(ctx, &pods, client.InNamespace(namespace), client.MatchingLabels{"batch.kubernetes.io/job-name": job}); err != nil {
		return 0, "", fmt.Errorf("list the pods of Job %s/%s: %w", namespace, job, err)
	}
	slices.SortFunc(pods.Items, func(a, b corev1.Pod) int {
		return cmp.Compare(b.CreationTimestamp.UnixNano(), a.CreationTimestamp.UnixNano())
	})
	for _, pod := range pods.Items {
		for _, c := range pod.Status.ContainerStatuses {
			if t := c.State.Terminated; t != nil && t.ExitCode != 0 {
				return t.ExitCode, t.Message, nil
			}
		}
	}
	return 0, "", fmt.Errorf("no pod of Job %s/%s has failed", namespace, job)
}

// Password is the one in the Secret of a namespace's Postgres.
func (p *Platform) Password(ctx context.Context, namespace string) (string, error) {
	l, err := p.login(ctx, namespace)
	return l.Password, err
}

// ForwardPlugin makes a port of the plugin's pod answer on a local port, until
// stop is called.
func (p *Platform) ForwardPlugin(ctx context.Context, port int) (local uint16, stop func(), err error) {
	var pods corev1.PodList
	if err := p.Kube.List(ctx, &pods, client.InNamespace(PluginNamespace), client.MatchingLabels{"app.kubernetes.io/name": "plugin"}); err != nil {
		return 0, nil, fmt.Errorf("list the plugin's pods: %w", err)
	}
	for _, pod := range pods.Items {
		if pod.Status.Phase == corev1.PodRunning && pod.DeletionTimestamp == nil {
			local, done, err := p.forward(ctx, PluginNamespace, pod.Name, port)
			return local, func() { close(done) }, err
		}
	}
	return 0, nil, fmt.Errorf("no pod of the plugin runs in namespace %s", PluginNamespace)
}

// Root is the folder of this repository.
func Root() (string, error) { return cluster.Root() }

// BuildFolder runs kustomize on a folder on disk.
func BuildFolder(folder string) ([]*unstructured.Unstructured, error) {
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		return nil, fmt.Errorf("kustomize build %s: %w", folder, err)
	}
	manifests, err := built.AsYaml()
	if err != nil {
		return nil, fmt.Errorf("kustomize build %s: %w", folder, err)
	}
	return cluster.Objects(manifests)
}

// ReadManifests reads the objects of one YAML file.
func ReadManifests(path string) ([]*unstructured.Unstructured, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return cluster.Objects(raw)
}

// ShopFile is a file of the shop's repository, as its main branch has it.
func (p *Platform) ShopFile(path string) (string, error) {
	files, err := shop.Repository(p.images[seedPostgres])
	if err != nil {
		return "", err
	}
	content, ok := files[path]
	if !ok {
		return "", fmt.Errorf("the shop has no file %s", path)
	}
	return string(content), nil
}
