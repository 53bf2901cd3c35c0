package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/argocd"
	"github.com/seedling-dev/seedling/plugin/internal/kubefake"
)

// clusterServer is the API server with a seed that has a snapshot.
type clusterServer struct {
	server *kubefake.Server
	url    string
	inputs map[string]map[string]any // by ApplicationSet
}

func newClusterServer(o options) (*clusterServer, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, velerov1.AddToScheme, snapshotv1.AddToScheme, argocd.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	c := &clusterServer{server: kubefake.New(scheme), inputs: map[string]map[string]any{}}
	c.server.Delay = o.kubeDelay
	objects := append(kubefake.Around(), &velerov1.BackupStorageLocation{
		ObjectMeta: metav1.ObjectMeta{Namespace: "velero", Name: "default"},
		Status:     velerov1.BackupStorageLocationStatus{Phase: velerov1.BackupStorageLocationPhaseAvailable},
	})
	for _, o := range objects {
		if err := c.server.Put(o); err != nil {
			return nil, err
		}
	}
	for n := range o.repositories {
		for _, branch := range branches {
			repository := fmt.Sprintf("acme/service-%02d", n)
			input := map[string]any{"forge": "gitea", "repo": repository, "filters": map[string]any{"targetBranch": "^" + branch + "$"}}
			c.inputs[setOf(repository, branch)] = input
			set := &unstructured.Unstructured{Object: map[string]any{
				"apiVersion": "argoproj.io/v1alpha1", "kind": "ApplicationSet",
				"metadata": map[string]any{"namespace": "argocd", "name": setOf(repository, branch)},
				"spec": map[string]any{"generators": []any{map[string]any{"plugin": map[string]any{
					"configMapRef": map[string]any{"name": "seedling-plugin"}, "input": map[string]any{"parameters": input},
				}}}, "template": map[string]any{"metadata": map[string]any{}, "spec": map[string]any{}}},
			}}
			if err := c.server.Put(set); err != nil {
				return nil, err
			}
		}
	}
	return c, nil
}

func (c *clusterServer) count() int {
	n := 0
	for _, calls := range c.server.Calls() {
		n += calls
	}
	return n
}

// apply makes or changes the Application of a preview, as Argo CD does.
func (c *clusterServer) apply(p map[string]string) error {
	resources := []any{}
	for _, name := range []string{"web", "worker", "postgres", "mail", "search", "cache"} {
		resources = append(resources, map[string]any{"group": "apps", "version": "v1", "kind": "Deployment", "namespace": p["namespace"], "name": name, "status": "Synced", "health": map[string]any{"status": "Healthy"}})
	}
	return c.server.Put(&unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
		"metadata": map[string]any{
			"namespace": "argocd", "name": p["app_name"], "finalizers": []any{"resources-finalizer.argocd.argoproj.io"},
			"labels":      map[string]any{"seedling.dev/preview": p["number"], "seedling.dev/seed": p["seed"]},
			"annotations": map[string]any{"seedling.dev/title": p["title"], "seedling.dev/author": p["author"], "link.argocd.argoproj.io/external-link": p["pr_url"]},
		},
		"spec": map[string]any{
			"project": "previews", "destination": map[string]any{"server": "https://kubernetes.default.svc", "namespace": p["namespace"]},
			"sources": []any{
				map[string]any{"repoURL": "https://git.example.com/acme/shop.git", "targetRevision": p["head_sha"], "path": "deploy/preview"},
				map[string]any{"repoURL": "https://git.example.com/acme/platform.git", "targetRevision": "main", "path": "manifests/preview"},
			},
		},
		"status": map[string]any{"resources": resources, "sync": map[string]any{"status": "Synced"}, "health": map[string]any{"status": "Healthy"}},
	}})
}

// token is what the hook of a preview presents.
func (c *clusterServer) tokens(n int) ([]string, error) {
	var tokens []string
	for _, account := range c.server.Objects("ServiceAccount") {
		if account.GetName() != snapshot.HookServiceAccount || len(tokens) == n {
			continue
		}
		claims := fmt.Sprintf(`{"aud":["seedling"],"kubernetes.io":{"namespace":%q,"serviceaccount":{"name":%q,"uid":%q}}}`,
			account.GetNamespace(), account.GetName(), account.GetUID())
		tokens = append(tokens, "e30."+base64.RawURLEncoding.EncodeToString([]byte(claims))+"."+strings.Repeat("x", 300))
	}
	if len(tokens) < n {
		return nil, fmt.Errorf("%d previews are too few for %d hooks", len(tokens), n)
	}
	return tokens, nil
}

// servers are this program's own.
type servers struct{ all []*http.Server }

func (s *servers) serve(ctx context.Context, h http.Handler) (url string, err error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	s.all = append(s.all, server)
	go func() { _ = server.Serve(l) }() // until close
	return "http://" + l.Addr().String(), nil
}

func (s *servers) close() {
	for _, server := range s.all {
		_ = server.Close() // on the way out
	}
}
