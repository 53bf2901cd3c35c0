package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	argov1alpha1 "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/e2e/platform"
	"github.com/seedling-dev/seedling/hooks/snapshot"
)

const labelWake = "preview-wake"

// What runs in a preview that nobody uses is ended and its data stays; Argo CD finds
// nothing to heal; the label and a push wake it.
func TestSleep(t *testing.T) {
	ctx := beside(t, 12*time.Minute)
	const label = "preview-sleep"
	must(t, world.MakeLabel(ctx, label, "Give it a preview that sleeps soon"))
	must(t, world.MakeLabel(ctx, labelWake, "Wake its preview"))
	set := applicationSet(ctx, t, "sleep", map[string]string{"label": label, "sleepAfter": "1m"}, nil)

	// Nothing is pushed to the branch again on a cluster that was used before.
	pr := world.Open(ctx, t, fmt.Sprintf("-%d", time.Now().Unix()), withDeployment(t))
	must(t, pr.Label(ctx, label))
	v, err := world.WaitPreview(ctx, pr, "")
	must(t, err)
	query(ctx, t, v.Namespace, writeRow)
	before := claimUID(ctx, t, v.Namespace)

	status := fmt.Sprintf("seedling/%s/%d", set, pr.Number)
	waitAsleep(ctx, t, pr, v, status)
	if got := claimUID(ctx, t, v.Namespace); got != before {
		t.Errorf("asleep its claim is %s, not %s", got, before)
	}
	healsNothing(ctx, t, v.Namespace)

	asked := time.Now()
	must(t, pr.Label(ctx, labelWake))
	if got := query(ctx, t, v.Namespace, readRow); got[0][0] != "1" {
		t.Error("a row of a developer went while it slept")
	}
	fmt.Fprintf(os.Stdout, "FIGURE wake_to_first_query %.2f s\n", time.Since(asked).Seconds())
	if _, err := world.WaitPreview(ctx, pr, ""); err != nil { // its Deployment runs again
		t.Fatal(err)
	}
	must(t, world.Wait(ctx, "wait until the wake label is taken off", func(ctx context.Context) error {
		labels, err := pr.Labels(ctx)
		if err == nil && slices.Contains(labels, labelWake) {
			err = errors.New("it is still there")
		}
		return err
	}))

	waitAsleep(ctx, t, pr, v, status)
	c, err := nextMigration(2)
	must(t, err)
	sha, err := pr.Push(ctx, "Somebody works on it again", c)
	must(t, err)
	if _, err := world.WaitPreview(ctx, pr, sha); err != nil {
		t.Fatal(err)
	}
	if got := query(ctx, t, v.Namespace, readRow); got[0][0] != "1" {
		t.Error("a push to a preview that slept lost a row")
	}
	must(t, pr.Close(ctx))
	must(t, world.WaitGone(ctx, v.Namespace))
}

// withDeployment adds something that runs to the shop's folder.
func withDeployment(t *testing.T) platform.Change {
	t.Helper()
	kustomization, err := world.ShopFile(platformFolder + "kustomization.yaml")
	must(t, err)
	return platform.Change{
		platformFolder + "kustomization.yaml": strings.Replace(kustomization, "\nresources:\n", "\nresources:\n  - web.yaml\n", 1),
		platformFolder + "web.yaml": strings.ReplaceAll(`apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - {name: web, image: IMAGE, command: [sleep, infinity], resources: {requests: {cpu: 1m}}}
`, "IMAGE", world.Image("seed-postgres")),
	}
}

// waitAsleep waits until nothing runs in a preview, and its commit status says so.
func waitAsleep(ctx context.Context, t *testing.T, pr *platform.PullRequest, v platform.Preview, status string) {
	t.Helper()
	must(t, world.Wait(ctx, "wait until "+v.Namespace+" sleeps", func(ctx context.Context) error {
		running, err := running(ctx, v.Namespace)
		if err != nil {
			return err
		}
		s, err := pr.Status(ctx, status)
		switch {
		case err != nil:
			return err
		case len(running) > 0:
			return fmt.Errorf("there still run %s", strings.Join(running, ", "))
		case s == nil || !strings.Contains(s.Description, "Asleep since"):
			return fmt.Errorf("its commit status is %+v", s)
		}
		return nil
	}))
}

// running are the pods of a namespace that are not over.
func running(ctx context.Context, namespace string) (names []string, err error) {
	var pods corev1.PodList
	if err := world.Kube.List(ctx, &pods, client.InNamespace(namespace)); err != nil {
		return nil, err
	}
	for _, pod := range pods.Items {
		if pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed {
			names = append(names, pod.Name)
		}
	}
	return names, nil
}

// healsNothing has Argo CD look at a preview that sleeps: it is Synced, nothing is
// synced again, and no pod comes.
func healsNothing(ctx context.Context, t *testing.T, namespace string) {
	t.Helper()
	app, err := world.Application(ctx, namespace)
	must(t, err)
	synced, before := app.Status.OperationState, app.DeepCopy()
	metav1.SetMetaDataAnnotation(&app.ObjectMeta, argov1alpha1.AnnotationKeyRefresh, string(argov1alpha1.RefreshTypeHard))
	must(t, world.Kube.Patch(ctx, app, client.MergeFrom(before)))
	must(t, world.Wait(ctx, "wait until Argo CD has looked at "+namespace, func(ctx context.Context) error {
		app, err = world.Application(ctx, namespace)
		if err == nil && app.Annotations[argov1alpha1.AnnotationKeyRefresh] != "" {
			err = errors.New("it has not yet")
		}
		return err
	}))
	if app.Status.Sync.Status != argov1alpha1.SyncStatusCodeSynced || app.Operation != nil ||
		!app.Status.OperationState.StartedAt.Equal(&synced.StartedAt) {
		t.Errorf("asleep its Application is %s, with operation %+v, synced at %s and before at %s", app.Status.Sync.Status, app.Operation, app.Status.OperationState.StartedAt, synced.StartedAt)
	}
	if is, err := running(ctx, namespace); err != nil || len(is) > 0 {
		t.Errorf("Argo CD brought back %v, %v", is, err)
	}
}

// claimUID is the UID of a preview's volume.
func claimUID(ctx context.Context, t *testing.T, namespace string) string {
	t.Helper()
	var claim corev1.PersistentVolumeClaim
	must(t, world.Kube.Get(ctx, client.ObjectKey{Namespace: namespace, Name: snapshot.SeedPVC}, &claim))
	return string(claim.UID)
}

// applicationSet makes an ApplicationSet until the test ends, a copy of
// previews-platform with other parameters, and returns its name.
func applicationSet(ctx context.Context, t *testing.T, name string, parameters map[string]string, change func(*argov1alpha1.ApplicationSet)) string {
	t.Helper()
	name = "previews-" + name
	var set argov1alpha1.ApplicationSet
	must(t, world.Kube.Get(ctx, client.ObjectKey{Namespace: platform.ArgoCDNamespace, Name: "previews-platform"}, &set))
	set.ObjectMeta = metav1.ObjectMeta{Namespace: platform.ArgoCDNamespace, Name: name}
	set.Status = argov1alpha1.ApplicationSetStatus{}
	in := set.Spec.Generators[0].Plugin.Input.Parameters
	for field, value := range parameters {
		raw, err := json.Marshal(value)
		must(t, err)
		in[field] = apiextensionsv1.JSON{Raw: raw}
	}
	if change != nil {
		change(&set)
	}
	must(t, client.IgnoreNotFound(world.Kube.Delete(ctx, &argov1alpha1.ApplicationSet{ObjectMeta: set.ObjectMeta})))
	must(t, world.Wait(ctx, "make ApplicationSet "+name, func(ctx context.Context) error {
		set.ResourceVersion, set.UID = "", ""
		return world.Kube.Create(ctx, &set)
	}))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := world.Kube.Delete(ctx, &set); client.IgnoreNotFound(err) != nil {
			t.Errorf("delete ApplicationSet %s: %v", name, err)
		}
	})
	return name
}
