package flow

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/seedling-dev/seedling/e2e/platform"
	"github.com/seedling-dev/seedling/e2e/policies"
)

// The admission policies, case by case, on the installed cluster.
func TestPolicies(t *testing.T) {
	begin(t, 10*time.Minute)
	policies.Run(t, world.Cluster.REST())
}

// What a pull request's author adds to the preview's manifests is refused
// where it reaches beyond the preview.
func TestManifestsBeyondThePreviewAreRefused(t *testing.T) {
	ctx := begin(t, 20*time.Minute)
	_, neighbour := preview(ctx, t, "-neighbour")
	config := func(namespace string) string {
		return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: intruder, namespace: %s}\ndata: {a: b}\n", namespace)
	}
	for _, c := range []struct{ name, manifest string }{
		{"into another preview", config(neighbour.Namespace)},
		{"into the seed", config(platform.Seed)},
		{"into the plugin's namespace", config(platform.PluginNamespace)},
		{"a namespace", "apiVersion: v1\nkind: Namespace\nmetadata: {name: preview-intruder}\n"},
		{"a network policy", "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: intruder}\nspec: {podSelector: {}, ingress: [{}], egress: [{}]}\n"},
		{"a role binding", "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: intruder}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}\nsubjects: [{kind: ServiceAccount, name: default}]\n"},
		{"a restore", "apiVersion: velero.io/v1\nkind: Restore\nmetadata: {name: intruder, namespace: velero}\nspec: {backupName: " + world.First.Name + "}\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			intrude(ctx, t, c.manifest)
		})
	}
}

// intrude opens a labelled pull request with the manifest in its preview, and
// waits until Argo CD says that it was refused.
func intrude(ctx context.Context, t *testing.T, manifest string) {
	t.Helper()
	kustomization, err := world.ShopFile("deploy/preview/kustomization.yaml")
	must(t, err)
	pr := labelled(ctx, t, "", platform.Change{
		"deploy/preview/intruder.yaml":      manifest,
		"deploy/preview/kustomization.yaml": strings.Replace(kustomization, "resources:\n", "resources:\n  - intruder.yaml\n", 1),
	})
	var namespace string
	err = world.Wait(ctx, "wait for the refusal", func(ctx context.Context) error {
		v, ok, err := world.FindPreview(ctx, pr.Number)
		if err != nil {
			return err
		}
		if !ok {
			return errors.New("the plugin has made no namespace")
		}
		namespace = v.Namespace
		app, err := world.Application(ctx, v.Namespace)
		if err != nil {
			return err
		}
		s := app.Status.OperationState
		if s == nil {
			return errors.New("the Application has not begun to sync")
		}
		if s.Phase.Successful() {
			return platform.Final(errors.New("the sync succeeded"))
		}
		said := s.Message
		if s.SyncResult != nil {
			for _, r := range s.SyncResult.Resources {
				if r.Name == "intruder" || r.Name == "preview-intruder" {
					said += "; " + r.Message
				}
			}
		}
		for _, word := range []string{"not permitted", "denied request", "forbidden"} {
			if strings.Contains(said, word) {
				t.Logf("refused: %s", said)
				return nil
			}
		}
		return fmt.Errorf("the sync is %s: %s", s.Phase, said)
	})
	must(t, err)

	u := &unstructured.Unstructured{}
	must(t, yaml.Unmarshal([]byte(manifest), u))
	if u.GetNamespace() == "" && u.GetKind() != "Namespace" {
		u.SetNamespace(namespace)
	}
	switch err := world.Kube.Get(ctx, client.ObjectKeyFromObject(u), u); {
	case err == nil:
		t.Errorf("%s %s/%s was made", u.GetKind(), u.GetNamespace(), u.GetName())
	case !apierrors.IsNotFound(err):
		t.Error(err)
	}
	var ns corev1.Namespace
	must(t, world.Kube.Get(ctx, client.ObjectKey{Name: namespace}, &ns))
}
