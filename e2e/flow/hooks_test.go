package flow

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/e2e/platform"
	"github.com/seedling-dev/seedling/e2e/platform/platformtest"
)

const kustomizationFile = "deploy/preview/kustomization.yaml"

// withHook adds a Job to the preview's manifests that is a hook of Argo CD and
// runs a command, and a ConfigMap: a hook alone is nothing to sync.
func withHook(t *testing.T, phase string, command ...string) platform.Change {
	t.Helper()
	kustomization, err := world.ShopFile(kustomizationFile)
	must(t, err)
	return platform.Change{
		"deploy/preview/hook.yaml": fmt.Sprintf(`apiVersion: batch/v1
kind: Job
metadata:
  name: hook
  annotations: {argocd.argoproj.io/hook: %s}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      automountServiceAccountToken: false
      securityContext: {runAsNonRoot: true, runAsUser: 999, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: hook
          image: %s
          imagePullPolicy: IfNotPresent
          command: ["%s"]
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
          resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {memory: 64Mi}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: beside-the-hook}
`, phase, world.Image("seed-postgres"), strings.Join(command, `", "`)),
		kustomizationFile: strings.Replace(kustomization, "resources:\n", "resources:\n  - hook.yaml\n", 1),
	}
}

// A pull request's hook on deletion that hangs or fails holds its preview for a
// while and no longer. While that goes by, other tests go on.
func TestHooksOnDeletionCannotHoldAPreview(t *testing.T) {
	leave := turns.Beside(t)
	ctx := platformtest.Begin(t, 20*time.Minute)
	hooks := []struct {
		name, phase string
		command     []string
		pr          *platform.PullRequest
		preview     platform.Preview
	}{
		{name: "PreDelete that hangs", phase: "PreDelete", command: []string{"sleep", "infinity"}},
		{name: "PreDelete that fails", phase: "PreDelete", command: []string{"false"}},
		{name: "PostDelete that hangs", phase: "PostDelete", command: []string{"sleep", "infinity"}},
	}
	if world.Cluster.ArgoCD() == "2.14" {
		hooks = hooks[2:] // before 3.3 it knows no PreDelete hooks
	}
	for i := range hooks {
		h := &hooks[i]
		h.pr = labelled(ctx, t, "-"+strings.ToLower(strings.ReplaceAll(h.name, " ", "-")), withHook(t, h.phase, h.command...))
	}
	for i := range hooks {
		h := &hooks[i]
		var err error
		h.preview, err = world.WaitPreview(ctx, h.pr, "")
		must(t, err)
		app, err := world.Application(ctx, h.preview.Namespace)
		must(t, err)
		if !strings.Contains(strings.ToLower(strings.ReplaceAll(fmt.Sprint(app.Finalizers), "-", "")), strings.ToLower(h.phase)) {
			t.Errorf("%s: Argo CD does not wait for the hook: finalizers %q", h.name, app.Finalizers)
		}
		must(t, h.pr.Unlabel(ctx, platform.LabelPreview))
	}
	leave()
	for _, h := range hooks {
		if err := world.WaitGone(ctx, h.preview.Namespace); err != nil {
			t.Errorf("%s: %v", h.name, err)
		}
	}
}

// A fix that is pushed while the old commit's sync hangs is synced, and the
// data is there.
func TestPushedFixWhileTheOldSyncHangs(t *testing.T) {
	ctx := beside(t, 10*time.Minute)
	pr, v := preview(ctx, t, "")
	query(ctx, t, v.Namespace, writeRow)
	kustomization, err := world.ShopFile(kustomizationFile)
	must(t, err)
	bad, err := pr.Push(ctx, "A hook that never ends", withHook(t, "PreSync", "sleep", "infinity"))
	must(t, err)
	must(t, world.Wait(ctx, "wait until the sync hangs", func(ctx context.Context) error {
		app, err := world.Application(ctx, v.Namespace)
		if err != nil {
			return err
		}
		s := app.Status.OperationState
		if app.Operation == nil || s == nil || s.SyncResult == nil {
			return errors.New("no sync goes on")
		}
		if len(s.SyncResult.Revisions) == 0 || s.SyncResult.Revisions[0] != bad || !strings.Contains(s.Message, "hook") {
			return fmt.Errorf("the sync of %v: %s", s.SyncResult.Revisions, s.Message)
		}
		return nil
	}))
	// With something to sync, on a cluster of an earlier run too: without the hook, what was never applied is all
	// that differs, and Argo CD calls that Synced and begins nothing.
	fixed, err := pr.Push(ctx, "Without it, and with something new", platform.Change{
		"deploy/preview/fixed.yaml": fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: fixed}\ndata: {at: %q}\n", time.Now().Format(time.RFC3339Nano)),
		kustomizationFile:           strings.Replace(kustomization, "resources:\n", "resources:\n  - fixed.yaml\n", 1),
	})
	must(t, err)
	began := time.Now()
	must(t, world.Wait(ctx, "wait for the sync of the fix", func(ctx context.Context) error {
		app, err := world.Application(ctx, v.Namespace)
		if err != nil {
			return err
		}
		if s := app.Status.OperationState; s != nil && s.Operation.Sync != nil && len(s.Operation.Sync.Revisions) > 0 && s.Operation.Sync.Revisions[0] == fixed {
			return nil
		}
		return errors.New("it has not begun")
	}))
	t.Logf("the sync of the fix began %s after the push", time.Since(began).Round(100*time.Millisecond))
	if _, err := world.WaitPreview(ctx, pr, fixed); err != nil {
		t.Fatal(err)
	}
	if got := query(ctx, t, v.Namespace, readRow); got[0][0] != "1" {
		t.Error("the fix lost the row that a developer wrote")
	}
}

// A preview whose first pod cannot start takes the repair that is pushed.
func TestBrokenFirstPodTakesItsRepair(t *testing.T) {
	ctx := beside(t, 10*time.Minute)
	right, err := world.ShopFile(kustomizationFile)
	must(t, err)
	broken := strings.Replace(right, `newTag: "`, `newTag: "missing-`, 1)
	if broken == right {
		t.Fatalf("%s sets no tag of an image: %s", kustomizationFile, right)
	}
	pr := labelled(ctx, t, "", platform.Change{kustomizationFile: broken})
	must(t, world.Wait(ctx, "wait for the first pod to be broken", func(ctx context.Context) error {
		v, ok, err := world.FindPreview(ctx, pr.Number)
		if err != nil || !ok {
			return errors.Join(err, errors.New("there is no namespace"))
		}
		var pod corev1.Pod
		if err := world.Kube.Get(ctx, client.ObjectKey{Namespace: v.Namespace, Name: platform.PostgresPod}, &pod); err != nil {
			return err
		}
		for _, s := range pod.Status.InitContainerStatuses {
			if w := s.State.Waiting; w != nil && strings.Contains(w.Reason, "ImagePull") {
				return nil
			}
		}
		return errors.New("its image is not missing")
	}))
	fixed, err := pr.Push(ctx, "An image that exists", platform.Change{kustomizationFile: right})
	must(t, err)
	if _, err := world.WaitPreview(ctx, pr, fixed); err != nil {
		t.Fatal(err)
	}
}
