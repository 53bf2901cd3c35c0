package hostile

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/seedling-dev/seedling/e2e/cluster"
	"github.com/seedling-dev/seedling/e2e/platform"
	"github.com/seedling-dev/seedling/e2e/platform/platformtest"
	"github.com/seedling-dev/seedling/plugin/fences"
)

// besides is what applications have beside what helm create makes.
const besides = `{{ define "job" -}}
template:
  spec:
    restartPolicy: Never
    serviceAccountName: {{ include "web.serviceAccountName" . }}
    containers:
      - name: job
        image: {{ .Values.jobs | quote }}
        imagePullPolicy: IfNotPresent
        command: ["true"]
        envFrom: [{secretRef: {name: {{ include "web.fullname" . }}}}]
{{- end -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "web.fullname" . }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels: {{- include "web.selectorLabels" . | nindent 6 }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "web.fullname" . }}
data:
  settings.yaml: "a: b"
---
apiVersion: v1
kind: Secret
metadata:
  name: {{ include "web.fullname" . }}
stringData:
  SESSION: of-this-chart
---
apiVersion: batch/v1
kind: Job
metadata:
  name: migrate
  annotations:
    helm.sh/hook: post-install,post-upgrade
    helm.sh/hook-delete-policy: before-hook-creation
spec: {{- include "job" . | nindent 2 }}
---
apiVersion: batch/v1
kind: Job
metadata:
  name: index
spec: {{- include "job" . | nindent 2 }}
---
apiVersion: batch/v1
kind: CronJob
metadata:
  name: tidy
spec:
  schedule: "0 3 * * *"
  jobTemplate:
    spec: {{- include "job" . | nindent 6 }}
`

// What helm create makes, its templates unchanged, with an Ingress, a budget, Jobs,
// a ConfigMap and a Secret beside them and the shop's database, is a preview
// without an exception in any policy.
func TestChart(t *testing.T) {
	t.Parallel()
	ctx := platformtest.Begin(t, 15*time.Minute)
	pr, v := world.Preview(ctx, t, "")
	sha, err := pr.Push(ctx, "A chart", chart(ctx, t, v.Namespace+".previews.example.com"))
	platformtest.Must(t, err)

	// No Ingress controller is there to say that it serves.
	platformtest.Must(t, world.Wait(ctx, "serve the chart's Ingress", func(ctx context.Context) error {
		app, err := world.Application(ctx, v.Namespace)
		if err != nil {
			return err
		}
		if s := app.Status.OperationState; s != nil && s.Phase.Failed() && s.SyncResult != nil && slices.Contains(s.SyncResult.Revisions, sha) {
			return platform.Final(fmt.Errorf("the sync failed: %s", saidOfAll(app)))
		}
		var ingress networkingv1.Ingress
		if err := world.Kube.Get(ctx, client.ObjectKey{Namespace: v.Namespace, Name: v.Namespace + "-web"}, &ingress); err != nil {
			return err
		}
		ingress.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{Hostname: "ingress.example.com"}}
		return world.Kube.Status().Update(ctx, &ingress)
	}))
	if _, err := world.WaitPreview(ctx, pr, sha); err != nil {
		t.Fatal(err)
	}
	if rows := world.Rows(ctx, t, v.Namespace, "select count(*) from public.users"); rows[0][0] == "0" {
		t.Error("its database has no users")
	}
	platformtest.Must(t, pr.Close(ctx))
	platformtest.Must(t, world.WaitGone(ctx, v.Namespace))
}

// chart is what helm create makes, in place of the shop's manifests.
func chart(ctx context.Context, t *testing.T, host string) platform.Change {
	t.Helper()
	helm, err := cluster.Program(ctx, "helm")
	platformtest.Must(t, err)
	dir := t.TempDir()
	create := exec.CommandContext(ctx, helm, "create", "web")
	create.Dir = dir
	create.Env = append(os.Environ(), "HOME="+dir)
	if out, err := create.CombinedOutput(); err != nil {
		t.Fatalf("helm create: %v: %s", err, out)
	}
	redis, err := cluster.BuildImage(ctx, "redis")
	platformtest.Must(t, err)
	platformtest.Must(t, world.Cluster.Load(ctx, redis))
	change := platform.Change{previewFolder + "/" + fences.Kustomization: platform.Removed, previewFolder + "/postgres.yaml": platform.Removed}
	root := filepath.Join(dir, "web")
	platformtest.Must(t, filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		change[previewFolder+"/"+filepath.ToSlash(rel)] = string(content)
		return err
	}))

	// A server that answers without arguments, its port, and the host.
	values := map[string]any{}
	platformtest.Must(t, yaml.Unmarshal([]byte(change[previewFolder+"/values.yaml"]), &values))
	name, tag, _ := strings.Cut(redis, ":")
	port := map[string]any{"tcpSocket": map[string]any{"port": "http"}}
	for key, value := range map[string]any{
		"image":   map[string]any{"repository": name, "tag": tag, "pullPolicy": "IfNotPresent"},
		"service": map[string]any{"type": "ClusterIP", "port": 6379}, "livenessProbe": port, "readinessProbe": port,
		"ingress": map[string]any{
			"enabled": true, "className": "nginx", "annotations": map[string]any{}, "tls": []any{},
			"hosts": []any{map[string]any{"host": host, "paths": []any{map[string]any{"path": "/", "pathType": "ImplementationSpecific"}}}},
		},
		"jobs": world.Image("seed-postgres"),
	} {
		if _, known := values[key]; !known && key != "jobs" {
			t.Fatalf("helm create has no value %s any more", key)
		}
		values[key] = value
	}
	raw, err := yaml.Marshal(values)
	platformtest.Must(t, err)
	change[previewFolder+"/values.yaml"] = string(raw)
	change[previewFolder+"/templates/besides.yaml"] = besides
	database, err := world.ShopFile(previewFolder + "/postgres.yaml")
	platformtest.Must(t, err)
	change[previewFolder+"/templates/postgres.yaml"] = strings.ReplaceAll(database, "ghcr.io/seedling-dev/seed-postgres:dev", world.Image("seed-postgres"))
	return change
}
