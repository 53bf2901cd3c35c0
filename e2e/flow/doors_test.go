package flow

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seedling-dev/seedling/e2e/platform"
)

// What a pull request's manifests can make Argo CD's repo-server do, with the
// doors of manifests/argocd/hardening closed: the sentence is Argo CD's.
func TestDoors(t *testing.T) {
	ctx := begin(t, 15*time.Minute)
	const (
		folder = "deploy/preview/"
		header = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
		chart  = "apiVersion: v2\nname: web\nversion: 0.1.0\n"
	)
	kustomization := func(resource string) platform.Change {
		return platform.Change{folder + "kustomization.yaml": header + "resources: [postgres.yaml, \"" + resource + "\"]\n"}
	}
	const storage = "http://s3.s3.svc.cluster.local:7070/velero/"
	for _, c := range []struct {
		name   string
		change platform.Change
		says   []string // any of them
	}{
		{"a base at a host of the author's", kustomization("https://author.invalid/acme/base.git?ref=main"), []string{"transport 'https' not allowed"}},
		{"a base in another repository of this Git host", kustomization("http://gitea.gitea.svc.cluster.local:3000/acme/platform.git//manifests/preview?ref=main"), []string{"transport 'http' not allowed"}},
		{"a base on the repo-server's disk", kustomization("file:///tmp/_argocd-repo/x.git//a?ref=main"), []string{"transport 'file' not allowed"}},
		{"a resource by URL from elsewhere in the cluster", kustomization(storage + "secret.yaml"), []string{"connection refused", "i/o timeout", "deadline exceeded"}},
		{"a resource by URL from loopback", kustomization("http://127.0.0.1:8084/metrics"), []string{"transport 'http' not allowed", "MalformedYAMLError", "missing metadata.name"}},
		{"a plugin", platform.Change{folder + ".argocd-source.yaml": "plugin: {name: vault}\n"}, []string{`could not find cmp-server plugin with name "vault"`}},
		{"values of a chart by URL", platform.Change{
			folder + "Chart.yaml": chart, folder + "kustomization.yaml": "", folder + ".argocd-source.yaml": "helm: {valueFiles: [\"http://169.254.169.254/latest/meta-data/\"]}\n",
		}, []string{"the URL scheme 'http' is not allowed"}},
		{"a chart's dependency from elsewhere", platform.Change{
			folder + "Chart.yaml":          chart + "dependencies: [{name: a, version: 1.0.0, repository: \"" + storage + "\"}]\n",
			folder + ".argocd-source.yaml": "helm: {skipTests: true}\n",
		}, []string{"connection refused", "i/o timeout", "deadline exceeded"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			pr := labelled(ctx, t, "", c.change)
			must(t, world.Wait(ctx, "wait for what Argo CD says", func(ctx context.Context) error {
				v, ok, err := world.FindPreview(ctx, pr.Number)
				if err != nil {
					return err
				}
				if !ok {
					return errors.New("the plugin has made no namespace")
				}
				app, err := world.Application(ctx, v.Namespace)
				if err != nil {
					return err
				}
				said := ""
				for _, condition := range app.Status.Conditions {
					said += condition.Message + "; "
				}
				for _, says := range c.says {
					if strings.Contains(said, says) {
						t.Logf("Argo CD says: %s", said)
						return nil
					}
				}
				if s := app.Status.OperationState; s != nil && s.Phase.Successful() {
					return platform.Final(errors.New("the sync succeeded"))
				}
				return fmt.Errorf("Argo CD does not say any of %q; it says %q", c.says, said)
			}))
		})
	}
}

// Jsonnet is not run, and what is beside it is: one file would read the
// repo-server's environment into a kind that no preview may have, the other one
// would never end.
func TestJsonnetIsNotRun(t *testing.T) {
	ctx := begin(t, 10*time.Minute)
	const folder = "deploy/preview/"
	postgres, err := world.ShopFile(folder + "postgres.yaml")
	must(t, err)
	pr := labelled(ctx, t, "", platform.Change{
		folder + ".argocd-source.yaml": "directory: {exclude: kustomization.yaml, jsonnet: {}}\n",
		folder + "postgres.yaml":       strings.ReplaceAll(postgres, "ghcr.io/seedling-dev/seed-postgres:dev", world.Image("seed-postgres")),
		folder + "leak.jsonnet":        `{apiVersion: "v1", kind: "Namespace", metadata: {name: "leak", annotations: {environment: importstr "/proc/self/environ"}}}`,
		folder + "endless.jsonnet":     "local f(x) = f(x + 1) tailstrict; f(0)",
	})
	if _, err := world.WaitPreview(ctx, pr, ""); err != nil {
		t.Fatal(err)
	}
}
