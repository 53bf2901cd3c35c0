package flow

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/e2e/cluster/clustertest"
	"github.com/seedling-dev/seedling/e2e/platform"
)

// Without a storage location no snapshot is usable and none can be taken. A
// preview-restore that is called anyway waits for its time and makes nothing,
// seed-backup names what is missing, and both go through when it is back.
func TestNoStorageLocation(t *testing.T) {
	ctx := alone(t, 15*time.Minute)
	t.Cleanup(func() { clustertest.Evidence(t, world.Cluster, platform.Seed, platform.PluginNamespace) })
	bigger, err := upload(ctx, 10)
	must(t, err)
	backups, err := seedBackups(ctx)
	must(t, err)

	// Emitted while there was a snapshot, but not synced yet. Its restore is asked for at
	// once: Velero, which would be done before the location is gone, does not run, and
	// what asked for it is deleted by hand.
	goOn, veleroGoesOn := holdArgoCD(ctx, t), holdVelero(ctx, t)
	pr := labelled(ctx, t, "", nil)
	namespace := emitted(ctx, t, pr)
	must(t, world.Wait(ctx, "wait for the Restore of "+namespace, func(ctx context.Context) error {
		if asked, err := restoresOf(ctx, namespace); err != nil || len(asked) == 0 {
			return errors.Join(err, errors.New("there is none"))
		}
		return nil
	}))
	putBack := removeStorageLocation(ctx, t, veleroGoesOn)
	asked, err := restoresOf(ctx, namespace)
	must(t, err)
	for _, r := range asked {
		must(t, client.IgnoreNotFound(world.Kube.Delete(ctx, &r)))
	}

	code, message := restoreAnyway(ctx, t, namespace)
	if code != 1 || !strings.Contains(message, "no storage location is Available") || !strings.Contains(message, "the time is up") {
		t.Errorf("preview-restore ended with %d and says %q", code, message)
	}
	var claims corev1.PersistentVolumeClaimList
	must(t, world.Kube.List(ctx, &claims, client.InNamespace(namespace)))
	made, err := restoresOf(ctx, namespace)
	must(t, err)
	if len(claims.Items) > 0 || len(made) > 0 {
		t.Errorf("preview-restore left %d claims and %d Restores", len(claims.Items), len(made))
	}

	goOn()
	_, err = world.Refresh(ctx, bigger)
	if _, ok := errors.AsType[*platform.SyncError](err); !ok {
		t.Fatalf("a refresh without a storage location gave %v, not a failed sync", err)
	}
	code, message, err = world.JobFailure(ctx, platform.Seed, "seed-backup")
	must(t, err)
	if want := "namespace velero has no BackupStorageLocation: create one"; code != 2 || !strings.Contains(message, want) {
		t.Errorf("seed-backup ended with %d and says %q, not %q", code, message, want)
	}
	after, err := seedBackups(ctx)
	must(t, err)
	if len(after) != len(backups) {
		t.Errorf("there were %d snapshots, and are %d", len(backups), len(after))
	}

	putBack()
	if _, err := world.WaitPreview(ctx, pr, ""); err != nil {
		t.Errorf("the preview, with the storage location back: %v", err)
	}
	if _, err := world.Refresh(ctx, world.Dump); err != nil {
		t.Errorf("the refresh, with the storage location back: %v", err)
	}
}

// restoresOf lists the Restores of a preview.
func restoresOf(ctx context.Context, namespace string) (of []velerov1.Restore, err error) {
	var all velerov1.RestoreList
	if err := world.Kube.List(ctx, &all, client.InNamespace(platform.VeleroNamespace)); err != nil {
		return nil, err
	}
	for _, r := range all.Items {
		if strings.HasPrefix(r.Name, namespace) {
			of = append(of, r)
		}
	}
	return of, nil
}

// holdVelero ends Velero until goOn is called, which does not wait for it.
func holdVelero(ctx context.Context, t *testing.T) (goOn func()) {
	t.Helper()
	scale := func(ctx context.Context, to int) {
		d := &appsv1.Deployment{}
		d.Namespace, d.Name = platform.VeleroNamespace, "velero"
		must(t, world.Kube.Patch(ctx, d, client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, to))))
	}
	goOn = func() { scale(context.WithoutCancel(ctx), 1) }
	t.Cleanup(goOn)
	scale(ctx, 0)
	must(t, world.Wait(ctx, "wait until Velero has ended", func(ctx context.Context) error {
		var pods corev1.PodList
		if err := world.Kube.List(ctx, &pods, client.InNamespace(platform.VeleroNamespace), client.MatchingLabels{"deploy": "velero"}); err != nil {
			return err
		}
		if len(pods.Items) > 0 {
			return fmt.Errorf("%d pods are there", len(pods.Items))
		}
		return nil
	}))
	return goOn
}

// holdArgoCD keeps Argo CD from syncing until goOn is called.
func holdArgoCD(ctx context.Context, t *testing.T) (goOn func()) {
	t.Helper()
	scale := func(ctx context.Context, to int32) {
		t.Helper()
		var s appsv1.StatefulSet
		s.Namespace, s.Name = platform.ArgoCDNamespace, "argocd-application-controller"
		must(t, world.Kube.Patch(ctx, &s, client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, to))))
		must(t, world.Wait(ctx, fmt.Sprintf("scale Argo CD's controller to %d", to), func(ctx context.Context) error {
			if err := world.Kube.Get(ctx, client.ObjectKeyFromObject(&s), &s); err != nil {
				return err
			}
			if s.Status.ObservedGeneration != s.Generation || s.Status.Replicas != to || s.Status.ReadyReplicas != to {
				return fmt.Errorf("%d pods, %d ready", s.Status.Replicas, s.Status.ReadyReplicas)
			}
			return nil
		}))
	}
	held := true
	goOn = func() {
		if held {
			held = false
			scale(context.WithoutCancel(ctx), 1)
		}
	}
	t.Cleanup(goOn)
	scale(ctx, 0)
	return goOn
}

// removeStorageLocation removes Velero's only storage location. Calling putBack
// makes it again, lets Velero go on, and waits until that finds it available.
func removeStorageLocation(ctx context.Context, t *testing.T, veleroGoesOn func()) (putBack func()) {
	t.Helper()
	again, err := world.RemoveStorageLocation(ctx)
	must(t, err)
	away := true
	putBack = func() {
		if !away {
			return
		}
		away = false
		veleroGoesOn()
		must(t, again(context.WithoutCancel(ctx)))
	}
	t.Cleanup(putBack)
	return putBack
}

// emitted waits for the Application of a pull request, and returns its
// namespace.
func emitted(ctx context.Context, t *testing.T, pr *platform.PullRequest) (namespace string) {
	t.Helper()
	must(t, world.Wait(ctx, fmt.Sprintf("wait for the Application of pull request %d", pr.Number), func(ctx context.Context) error {
		v, ok, err := world.FindPreview(ctx, pr.Number)
		if err != nil {
			return err
		}
		if !ok {
			return errors.New("it has no namespace")
		}
		namespace = v.Namespace
		_, err = world.Application(ctx, v.Namespace)
		return err
	}))
	return namespace
}

// restoreAnyway runs a preview's hook by hand, with little patience, and
// returns how it failed.
func restoreAnyway(ctx context.Context, t *testing.T, namespace string) (code int32, message string) {
	t.Helper()
	root, err := platform.Root()
	must(t, err)
	all, err := platform.BuildFolder(filepath.Join(root, "manifests", "preview"))
	must(t, err)
	if len(all) != 1 || all[0].GetKind() != "Job" {
		t.Fatalf("manifests/preview is not one Job: %v", all)
	}
	var job batchv1.Job
	must(t, runtime.DefaultUnstructuredConverter.FromUnstructured(all[0].Object, &job))
	job.Namespace, job.Name, job.Annotations = namespace, "by-hand", nil
	job.Spec.BackoffLimit = new(int32)
	job.Spec.ManagedBy = nil // a pod of its own asks, as before Kubernetes 1.32
	container := &job.Spec.Template.Spec.Containers[0]
	container.Image = world.Image("preview-restore")
	patient := slices.Index(container.Args, "--timeout=10m")
	if patient < 0 {
		t.Fatalf("the Job has no --timeout=10m: %q", container.Args)
	}
	container.Args[patient] = "--timeout=5s"
	must(t, world.Kube.Create(ctx, &job))
	must(t, world.Wait(ctx, "wait for preview-restore to give up", func(ctx context.Context) error {
		if err := world.Kube.Get(ctx, client.ObjectKeyFromObject(&job), &job); err != nil {
			return err
		}
		switch {
		case job.Status.Succeeded > 0:
			return platform.Final(errors.New("it succeeded"))
		case job.Status.Failed == 0:
			return errors.New("it runs")
		}
		code, message, err = world.JobFailure(ctx, namespace, job.Name)
		return err
	}))
	return code, message
}
