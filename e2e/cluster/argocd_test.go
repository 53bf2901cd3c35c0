package cluster_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"code.gitea.io/sdk/gitea"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/seedling-dev/seedling/e2e/cluster"
	"github.com/seedling-dev/seedling/e2e/cluster/clustertest"
)

// What is pushed to Gitea appears in the cluster: the repo-server reaches
// Gitea by its name, builds with kustomize, and the controller applies.
func TestArgoCDSyncsFromGitea(t *testing.T) {
	t.Parallel()
	name := fmt.Sprintf("argocd-%d", time.Now().UnixNano()%1e9)
	c := clustertest.Up(t, name)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	kube := connect(t, c)

	e := c.Gitea()
	git, err := gitea.NewClient(e.URL, gitea.SetBasicAuth(e.User, e.Password), gitea.SetContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := git.CreateOrgRepo(cluster.Organisation, gitea.CreateRepoOption{Name: name, AutoInit: true}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		git.SetContext(context.Background())
		if _, err := git.DeleteRepo(cluster.Organisation, name); err != nil {
			t.Error(err)
		}
	})
	for path, content := range map[string]string{
		"kustomization.yaml": "configMapGenerator: [{name: greeting, literals: [word=hello]}]\ngeneratorOptions: {disableNameSuffixHash: true}\n",
	} {
		options := gitea.CreateFileOptions{Content: base64.StdEncoding.EncodeToString([]byte(content))}
		if _, _, err := git.CreateFile(cluster.Organisation, name, path, options); err != nil {
			t.Fatal(err)
		}
	}

	create(t, kube, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	create(t, kube, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
		"metadata": map[string]any{"name": name, "namespace": "argocd"},
		"spec": map[string]any{
			"project":     "default",
			"source":      map[string]any{"repoURL": e.InCluster + "/" + cluster.Organisation + "/" + name, "path": "."},
			"destination": map[string]any{"server": "https://kubernetes.default.svc", "namespace": name},
			"syncPolicy":  map[string]any{"automated": map[string]any{}},
		},
	}})
	greeting := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "greeting", Namespace: name}}
	appears(ctx, t, kube, greeting)
	if greeting.Data["word"] != "hello" {
		t.Errorf("the ConfigMap says %q", greeting.Data)
	}
	if id := greeting.Annotations["argocd.argoproj.io/tracking-id"]; !strings.HasPrefix(id, name+":") {
		t.Errorf("the tracking annotation is %q, want one of %s", id, name)
	}
}
