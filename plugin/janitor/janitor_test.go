package janitor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/janitor"
	"github.com/seedling-dev/seedling/plugin/preview"
)

const chosen = "seed-20260304050607-bbbbb"

var (
	now = time.Date(2026, 3, 4, 5, 30, 0, 0, time.UTC)
	key = preview.Key{ForgeURL: "https://git.example.com", Repository: "acme/shop", ApplicationSet: "previews", Number: 7}
	ns  = key.Namespace()
	app = schema.GroupVersionKind{Group: "argoproj.io", Version: "v1alpha1", Kind: "Application"}
)

func scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, velerov1.AddToScheme, snapshotv1.AddToScheme} {
		utilruntime.Must(add(s))
	}
	s.AddKnownTypeWithName(app, &unstructured.Unstructured{})
	s.AddKnownTypeWithName(app.GroupVersion().WithKind("ApplicationList"), &unstructured.UnstructuredList{})
	return s
}

// world is a cluster, and a record of what the janitor did to it.
type world struct {
	t *testing.T
	client.WithWatch
	j     *janitor.Janitor
	state *state
	now   time.Time
	did   []string
	fail  func(verb string, obj runtime.Object) error
}

type state struct {
	ended     []preview.Preview
	known     map[string]bool
	forgotten []string
	rest      []string
	closed    int
}

func (s *state) Rest(_ context.Context, namespace string) error {
	s.rest = append(s.rest, namespace)
	for i := range s.ended {
		s.ended[i].Rests = true
	}
	return nil
}

func (s *state) Ended() []preview.Preview { return slices.Clone(s.ended) }

func (s *state) Forget(_ context.Context, namespace string) error {
	s.forgotten = append(s.forgotten, namespace)
	s.ended = slices.DeleteFunc(s.ended, func(p preview.Preview) bool { return p.Namespace == namespace })
	return nil
}

func newWorld(t *testing.T, objects ...client.Object) *world {
	t.Helper()
	w := &world{t: t, now: now, state: &state{known: map[string]bool{}}}
	w.fail = func(string, runtime.Object) error { return nil }
	w.WithWatch = fake.NewClientBuilder().WithScheme(scheme()).WithObjects(objects...).WithInterceptorFuncs(interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, name client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
			if err := w.fail("get", obj); err != nil {
				return err
			}
			return c.Get(ctx, name, obj, opts...)
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if err := w.fail("list", list); err != nil {
				return err
			}
			return c.List(ctx, list, opts...)
		},
		Delete: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.DeleteOption) error {
			if err := w.fail("delete", obj); err != nil {
				return err
			}
			o := (&client.DeleteOptions{}).ApplyOptions(opts)
			if o.Preconditions == nil || o.Preconditions.UID == nil || *o.Preconditions.UID != obj.GetUID() {
				t.Errorf("%T %s was deleted without its UID as a precondition", obj, obj.GetName())
			}
			w.did = append(w.did, "delete "+kind(obj)+" "+obj.GetName())
			return c.Delete(ctx, obj, opts...)
		},
		DeleteAllOf: func(context.Context, client.WithWatch, client.Object, ...client.DeleteAllOfOption) error {
			t.Error("DeleteAllOf deletes what nobody has read")
			return nil
		},
		Update: func(_ context.Context, _ client.WithWatch, obj client.Object, _ ...client.UpdateOption) error {
			t.Errorf("%T %s was updated", obj, obj.GetName())
			return nil
		},
		Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
			if _, ok := obj.(*snapshotv1.VolumeSnapshotContent); ok {
				t.Error("a VolumeSnapshotContent was patched")
			}
			w.did = append(w.did, "patch "+kind(obj)+" "+obj.GetName())
			return c.Patch(ctx, obj, patch, opts...)
		},
	}).Build()
	w.j = janitor.New(janitor.Options{
		Client: w.WithWatch, Owner: "seedling", Previews: w.state, Ready: func() error { return nil },
		Close: func(context.Context, preview.Preview) error {
			w.state.closed++
			return nil
		},
		Known:           func(namespace string) bool { return w.state.known[namespace] },
		ArgoCDNamespace: "argocd", VeleroNamespace: "velero",
		Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return w.now },
	})
	return w
}

func kind(obj client.Object) string {
	if k := obj.GetObjectKind().GroupVersionKind().Kind; k != "" {
		return k
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", obj)[strings.LastIndex(fmt.Sprintf("%T", obj), ".")+1:], "*")
}

func (w *world) end(namespaces ...string) {
	for range namespaces {
		w.state.ended = append(w.state.ended, preview.Preview{
			Key: key, Namespace: ns, Seed: "seed", NamespaceUID: "uid-ns", Phase: preview.Ending, Reason: "its label was removed", EndedAt: now,
		})
	}
}

// passes goes on until nothing more is under way, moving the clock.
func (w *world) passes(most int) (more bool) {
	w.t.Helper()
	for range most {
		var err error
		if more, err = w.j.Pass(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		if !more {
			return false
		}
		w.now = w.now.Add(time.Second)
	}
	return more
}

func (w *world) has(obj client.Object) bool {
	w.t.Helper()
	fresh, ok := obj.DeepCopyObject().(client.Object)
	if !ok {
		w.t.Fatalf("%T is no object", obj)
	}
	err := w.WithWatch.Get(w.t.Context(), client.ObjectKeyFromObject(obj), fresh)
	if client.IgnoreNotFound(err) != nil {
		w.t.Fatal(err)
	}
	return err == nil
}

func meta(namespace, name string, labels map[string]string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: namespace, Name: name, UID: types.UID("uid-" + namespace + "-" + name), Labels: labels,
		CreationTimestamp: metav1.Time{Time: now.Add(-48 * time.Hour)},
	}
}

func namespace() *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: meta("", ns, map[string]string{
		snapshot.LabelPreview: "7", snapshot.LabelKey: key.Hash(), snapshot.LabelOwner: "seedling",
	})}
}

func restoreName() string { return snapshot.RestoreName(ns, "uid-ns", chosen, 0) }

func restore(name string, phase velerov1.RestorePhase) *velerov1.Restore {
	return &velerov1.Restore{
		ObjectMeta: meta("velero", name, map[string]string{snapshot.LabelNamespace: ns, snapshot.LabelOwner: "seedling"}),
		Status:     velerov1.RestoreStatus{Phase: phase},
	}
}

// postgres is what the plugin makes where the platform has a preview's Postgres.
func postgres() []client.Object {
	made := meta(ns, snapshot.Postgres, map[string]string{snapshot.LabelOwner: "seedling", snapshot.LabelPostgres: snapshot.PostgresPlatform})
	return []client.Object{&appsv1.StatefulSet{ObjectMeta: made}, &corev1.Service{ObjectMeta: *made.DeepCopy()}}
}

func pod() *corev1.Pod { return &corev1.Pod{ObjectMeta: meta(ns, "postgres-0", nil)} }

func claim(phase corev1.PersistentVolumeClaimPhase) *corev1.PersistentVolumeClaim {
	group := snapshotv1.GroupName
	c := &corev1.PersistentVolumeClaim{ObjectMeta: meta(ns, snapshot.SeedPVC, map[string]string{snapshot.VeleroRestoreLabel: restoreName()})}
	c.Annotations = map[string]string{snapshot.AnnotationSnapshot: chosen}
	c.Spec.DataSource = &corev1.TypedLocalObjectReference{APIGroup: &group, Kind: "VolumeSnapshot", Name: "vs"}
	c.Status.Phase = phase
	return c
}

func volumeSnapshot() *snapshotv1.VolumeSnapshot {
	return &snapshotv1.VolumeSnapshot{ObjectMeta: meta(ns, "vs", map[string]string{snapshot.VeleroRestoreLabel: restoreName()})}
}

func content(name string, edits ...func(*snapshotv1.VolumeSnapshotContent)) *snapshotv1.VolumeSnapshotContent {
	c := &snapshotv1.VolumeSnapshotContent{ObjectMeta: meta("", name, map[string]string{snapshot.VeleroRestoreLabel: restoreName()})}
	c.Spec.DeletionPolicy = snapshotv1.VolumeSnapshotContentRetain
	c.Spec.VolumeSnapshotRef = corev1.ObjectReference{Namespace: ns, Name: "vs"}
	for _, edit := range edits {
		edit(c)
	}
	return c
}

// marked is what direct mode writes on a content, and Velero does not.
func marked(owner string) func(*snapshotv1.VolumeSnapshotContent) {
	return func(c *snapshotv1.VolumeSnapshotContent) {
		c.Labels[snapshot.LabelOwner], c.Labels[snapshot.LabelNamespace] = owner, ns
	}
}

func application(finalizers ...string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(app)
	u.SetNamespace("argocd")
	u.SetName(ns)
	u.SetUID("uid-app")
	u.SetFinalizers(finalizers)
	return u
}

// syncing gives an Application an operation.
func syncing(u *unstructured.Unstructured) *unstructured.Unstructured {
	u.Object["operation"] = map[string]any{"sync": map[string]any{}}
	return u
}

func deletedAgo[T client.Object](d time.Duration, obj T) T {
	obj.SetDeletionTimestamp(&metav1.Time{Time: now.Add(-d)})
	if len(obj.GetFinalizers()) == 0 {
		obj.SetFinalizers([]string{"test/hold"})
	}
	return obj
}

// Everything of an ended preview goes, in the one order that leaves nothing,
// and nothing else does.
func TestEndedPreview(t *testing.T) {
	t.Parallel()
	others := []client.Object{
		&corev1.Namespace{ObjectMeta: meta("", "preview-shop-8-0123456789", map[string]string{snapshot.LabelPreview: "8", snapshot.LabelKey: "0123456789"})},
		&corev1.PersistentVolumeClaim{ObjectMeta: meta("seed", snapshot.SeedPVC, nil)},
		&velerov1.Restore{ObjectMeta: meta("velero", "nightly", nil), Status: velerov1.RestoreStatus{Phase: velerov1.RestorePhaseCompleted}},
		content("other-preview", func(c *snapshotv1.VolumeSnapshotContent) {
			c.Labels[snapshot.VeleroRestoreLabel] = "preview-shop-8-0123456789-0123456789"
			c.Spec.VolumeSnapshotRef.Namespace = "preview-shop-8-0123456789"
		}),
		content("unlabelled", func(c *snapshotv1.VolumeSnapshotContent) { c.Labels = nil }),
		content("somebody's restore into the preview", func(c *snapshotv1.VolumeSnapshotContent) {
			c.Labels[snapshot.VeleroRestoreLabel] = "nightly"
		}),
		content("it would delete the snapshot", func(c *snapshotv1.VolumeSnapshotContent) {
			c.Spec.DeletionPolicy = snapshotv1.VolumeSnapshotContentDelete
		}),
	}
	ours := []client.Object{
		namespace(), pod(), claim(corev1.ClaimBound), volumeSnapshot(), content("content"), restore(restoreName(), velerov1.RestorePhaseCompleted),
	}
	ours = append(ours, postgres()...)
	w := newWorld(t, append(slices.Clone(others), ours...)...)
	w.state.known["preview-shop-8-0123456789"] = true
	w.end(ns)
	if w.passes(30) {
		t.Fatal("it does not come to an end")
	}
	want := []string{
		"delete StatefulSet postgres", "delete Service postgres",
		"delete Pod postgres-0", "delete PersistentVolumeClaim data-postgres-0", "delete VolumeSnapshot vs",
		"delete VolumeSnapshotContent content", "delete Namespace " + ns, "delete Restore " + restoreName(),
	}
	if diff := cmp.Diff(want, w.did); diff != "" {
		t.Errorf("actions differ (-want +got):\n%s", diff)
	}
	for _, o := range ours {
		if w.has(o) {
			t.Errorf("%T %s is left", o, o.GetName())
		}
	}
	for _, o := range others {
		if !w.has(o) {
			t.Errorf("%T %s was removed", o, o.GetName())
		}
	}
	if diff := cmp.Diff([]string{ns}, w.state.forgotten); diff != "" {
		t.Errorf("forgotten (-want +got):\n%s", diff)
	}
}

// What the first pass does in one situation.
func TestFirstPass(t *testing.T) {
	t.Parallel()
	pre := "pre-delete-finalizer.argocd.argoproj.io"
	post, cleanup := "post-delete-finalizer.argocd.argoproj.io", "post-delete-finalizer.argocd.argoproj.io/cleanup"
	foreign := namespace()
	foreign.Labels = nil
	tests := []struct {
		name    string
		objects []client.Object
		did     []string
		forgets bool
	}{
		{name: "nothing is left", forgets: true},
		{name: "the Application is there", objects: []client.Object{application(), namespace(), pod()}},
		{name: "the Application is going", objects: []client.Object{deletedAgo(time.Minute, application(post)), namespace(), pod()}},
		{
			name:    "the Application hangs on PostDelete hooks",
			objects: []client.Object{deletedAgo(4*time.Minute, application("resources-finalizer.argocd.argoproj.io", post, cleanup)), namespace(), pod()},
			did:     []string{"patch Application " + ns},
		},
		{
			name:    "the Application hangs on PreDelete hooks",
			objects: []client.Object{deletedAgo(4*time.Minute, application("resources-finalizer.argocd.argoproj.io", pre)), namespace(), pod()},
			did:     []string{"patch Application " + ns},
		},
		{
			name:    "the Application is going and syncs",
			objects: []client.Object{deletedAgo(time.Minute, syncing(application("resources-finalizer.argocd.argoproj.io"))), namespace(), pod()},
			did:     []string{"patch Application " + ns},
		},
		{
			name:    "the Application syncs and has just been deleted",
			objects: []client.Object{deletedAgo(time.Second, syncing(application("resources-finalizer.argocd.argoproj.io"))), namespace(), pod()},
		},
		{
			name:    "the Application syncs and is not being deleted",
			objects: []client.Object{syncing(application("resources-finalizer.argocd.argoproj.io")), namespace(), pod()},
		},
		{
			name:    "the Application waits for somebody to confirm its deletion",
			objects: []client.Object{deletedAgo(time.Second, asking(application("resources-finalizer.argocd.argoproj.io"))), namespace(), pod()},
			did:     []string{"patch Application " + ns},
		},
		{
			name:    "the Application would wait, and is not being deleted",
			objects: []client.Object{asking(application("resources-finalizer.argocd.argoproj.io")), namespace(), pod()},
		},
		{
			name:    "the Application hangs on something else",
			objects: []client.Object{deletedAgo(time.Hour, application("resources-finalizer.argocd.argoproj.io")), namespace(), pod()},
		},
		{
			name:    "pods are going: nothing but claims is hurried",
			objects: []client.Object{namespace(), deletedAgo(0, pod()), claim(corev1.ClaimPending), volumeSnapshot(), content("content")},
			did:     []string{"delete PersistentVolumeClaim data-postgres-0"},
		},
		{
			name:    "a claim is going: VolumeSnapshots wait",
			objects: []client.Object{namespace(), deletedAgo(0, claim(corev1.ClaimPending)), volumeSnapshot(), content("content")},
		},
		{
			name:    "a VolumeSnapshot is going: its content waits",
			objects: []client.Object{namespace(), deletedAgo(0, volumeSnapshot()), content("content")},
		},
		{
			name:    "a namespace is going: contents and Restores wait",
			objects: []client.Object{deletedAgo(0, namespace()), content("content"), restore("r", velerov1.RestorePhaseCompleted)},
		},
		{
			name:    "a Restore has not begun: it goes first of all",
			objects: []client.Object{namespace(), pod(), restore("r", "")},
			did:     []string{"delete Restore r"},
		},
		{
			name:    "a Restore is at work: Velero would make the namespace anew",
			objects: []client.Object{namespace(), pod(), restore("r", velerov1.RestorePhaseInProgress)},
		},
		{
			name:    "a Restore that hangs in its deletion blocks nothing",
			objects: []client.Object{deletedAgo(time.Hour, restore("r", velerov1.RestorePhaseCompleted))},
			forgets: true,
		},
		{
			name:    "a namespace of the name without our labels is left alone",
			objects: []client.Object{foreign, pod(), restore("r", velerov1.RestorePhaseCompleted)},
			did:     []string{"delete Restore r"}, forgets: true,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, test.objects...)
			w.end(ns)
			if _, err := w.j.Pass(t.Context()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.did, w.did); diff != "" {
				t.Errorf("actions differ (-want +got):\n%s", diff)
			}
			if got := len(w.state.forgotten) == 1; got != test.forgets {
				t.Errorf("forgotten: %v", w.state.forgotten)
			}
		})
	}
}

// asking is an Application one of whose objects wants its deletion confirmed.
func asking(app *unstructured.Unstructured) *unstructured.Unstructured {
	app.Object["status"] = map[string]any{"resources": []any{
		map[string]any{"kind": "ConfigMap", "name": "a"},
		map[string]any{"kind": "ConfigMap", "name": "b", "requiresDeletionConfirmation": true},
	}}
	return app
}

// Consent is given once, and is no older than the deletion: Argo CD takes no
// other.
func TestConfirmedDeletion(t *testing.T) {
	t.Parallel()
	old := asking(application("resources-finalizer.argocd.argoproj.io"))
	old.SetAnnotations(map[string]string{"argocd.argoproj.io/deletion-approved": "2020-01-01T00:00:00Z", "a": "b"})
	app := deletedAgo(time.Second, old)
	w := newWorld(t, app)
	w.end(ns)
	w.passes(3)
	if diff := cmp.Diff([]string{"patch Application " + ns}, w.did); diff != "" {
		t.Errorf("actions differ (-want +got):\n%s", diff)
	}
	got := application()
	if err := w.Get(t.Context(), client.ObjectKeyFromObject(got), got); err != nil {
		t.Fatal(err)
	}
	approved, err := time.Parse(time.RFC3339, got.GetAnnotations()["argocd.argoproj.io/deletion-approved"])
	if err != nil || approved.Before(app.GetDeletionTimestamp().Time) || got.GetAnnotations()["a"] != "b" {
		t.Errorf("annotations %v, deleted %s, error %v", got.GetAnnotations(), app.GetDeletionTimestamp(), err)
	}
}

// Argo CD is told nothing but that the sync is over.
func TestEndedSync(t *testing.T) {
	t.Parallel()
	app := deletedAgo(time.Minute, syncing(application("resources-finalizer.argocd.argoproj.io")))
	w := newWorld(t, app)
	w.end(ns)
	w.passes(1)
	got := application()
	if err := w.Get(t.Context(), client.ObjectKeyFromObject(got), got); err != nil {
		t.Fatal(err)
	}
	if _, ok := got.Object["operation"]; ok {
		t.Error("it still syncs")
	}
	if diff := cmp.Diff(app.GetFinalizers(), got.GetFinalizers()); diff != "" {
		t.Errorf("finalizers differ (-want +got):\n%s", diff)
	}
}

// Only the finalizers of PreDelete and PostDelete hooks are lifted.
func TestLiftedFinalizers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, deletedAgo(4*time.Minute, application(
		"resources-finalizer.argocd.argoproj.io", "pre-delete-finalizer.argocd.argoproj.io",
		"pre-delete-finalizer.argocd.argoproj.io/cleanup", "post-delete-finalizer.argocd.argoproj.io",
		"post-delete-finalizer.argocd.argoproj.io/cleanup", "post-delete-finalizer.argocd.argoproj.io.example.com")))
	w.end(ns)
	w.passes(1)
	got := application()
	if err := w.Get(t.Context(), client.ObjectKeyFromObject(got), got); err != nil {
		t.Fatal(err)
	}
	want := []string{"resources-finalizer.argocd.argoproj.io", "post-delete-finalizer.argocd.argoproj.io.example.com"}
	if diff := cmp.Diff(want, got.GetFinalizers()); diff != "" {
		t.Errorf("finalizers differ (-want +got):\n%s", diff)
	}
}

// A hook whose sync never ended holds no namespace: in one that is on its way
// out Argo CD's finalizer is taken, and no other, and from nothing that stays.
func TestHooksHoldNoNamespace(t *testing.T) {
	t.Parallel()
	job := func(name string) *batchv1.Job {
		return &batchv1.Job{ObjectMeta: metav1.ObjectMeta{
			Namespace: ns, Name: name, Finalizers: []string{"example.com/hold", "argocd.argoproj.io/hook-finalizer"},
		}}
	}
	for _, c := range []struct {
		name  string
		space *corev1.Namespace
		job   client.Object
		want  []string
	}{
		{"it hangs", namespace(), deletedAgo(time.Minute, job("hangs")), []string{"example.com/hold"}},
		{"it is not being deleted", namespace(), job("runs"), []string{"example.com/hold", "argocd.argoproj.io/hook-finalizer"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.space.Finalizers = []string{"kubernetes"}
			w := newWorld(t, deletedAgo(time.Minute, c.space), c.job)
			w.end(ns)
			w.passes(1)
			var got batchv1.Job
			if err := w.Get(t.Context(), client.ObjectKeyFromObject(c.job), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got.Finalizers); diff != "" {
				t.Errorf("finalizers differ (-want +got):\n%s", diff)
			}
		})
	}
}

// Nor does it hold an Application on its way out, for which Argo CD deletes it and
// waits: the sync it belonged to was ended.
func TestHooksHoldNoApplication(t *testing.T) {
	t.Parallel()
	hook := deletedAgo(time.Minute, &batchv1.Job{ObjectMeta: metav1.ObjectMeta{
		Namespace: ns, Name: "hangs", Finalizers: []string{"example.com/hold", "argocd.argoproj.io/hook-finalizer"},
	}})
	for since, want := range map[time.Duration][]string{
		10 * time.Second: {"example.com/hold", "argocd.argoproj.io/hook-finalizer"},
		time.Minute:      {"example.com/hold"},
	} {
		w := newWorld(t, namespace(), hook.DeepCopyObject().(client.Object), deletedAgo(since, application()))
		w.end(ns)
		w.passes(1)
		var got batchv1.Job
		if err := w.Get(t.Context(), client.ObjectKeyFromObject(hook), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got.Finalizers); diff != "" {
			t.Errorf("after %s finalizers differ (-want +got):\n%s", since, diff)
		}
	}
}

// A step that hangs holds up the namespace for a while and no longer.
func TestHangingStep(t *testing.T) {
	t.Parallel()
	w := newWorld(t, namespace(), deletedAgo(time.Hour, pod()))
	w.end(ns)
	w.passes(5)
	if !w.has(namespace()) {
		t.Fatal("the namespace went before its pods had time to")
	}
	w.now = w.now.Add(2 * time.Minute)
	w.passes(3)
	if w.has(namespace()) {
		t.Error("the namespace waits for ever")
	}
}

// A list that failed is never an empty one.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	broken := errors.New("etcd is away")
	for _, what := range []string{
		"get Unstructured", "get Namespace", "list RestoreList", "list PodList",
		"list PersistentVolumeClaimList", "list VolumeSnapshotList", "list VolumeSnapshotContentList",
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, namespace(), pod(), claim(corev1.ClaimPending), volumeSnapshot(), content("content"), restore("r", velerov1.RestorePhaseCompleted))
			w.fail = func(verb string, obj runtime.Object) error {
				if strings.HasSuffix(fmt.Sprintf("%s %T", verb, obj), what[strings.Index(what, " ")+1:]) && strings.HasPrefix(what, verb) {
					return broken
				}
				return nil
			}
			w.end(ns)
			var err error
			for range 5 {
				_, err = w.j.Pass(t.Context())
			}
			if !errors.Is(err, broken) {
				t.Errorf("Pass: %v", err)
			}
			w.fail = func(string, runtime.Object) error { return nil }
			if !w.has(namespace()) || len(w.state.forgotten) > 0 {
				t.Error("the namespace went, or the preview was forgotten")
			}
		})
	}
}

// One preview that cannot be cleaned up keeps none of the others.
func TestOneFailureKeepsNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.end(ns)
	bad := w.state.ended[0]
	bad.Namespace = "kube-system"
	w.state.ended = append([]preview.Preview{bad}, w.state.ended...)
	_, err := w.j.Pass(t.Context())
	if err == nil || !strings.Contains(err.Error(), "kube-system") {
		t.Errorf("Pass: %v", err)
	}
	if diff := cmp.Diff([]string{ns}, w.state.forgotten); diff != "" {
		t.Errorf("forgotten (-want +got):\n%s", diff)
	}
}

// VolumeSnapshot and content of a running preview go when its claim is bound,
// and not before.
func TestTidy(t *testing.T) {
	t.Parallel()
	unmarked := claim(corev1.ClaimBound)
	unmarked.Annotations = nil
	tests := []struct {
		name    string
		objects []client.Object
		did     []string
	}{
		{name: "pending", objects: []client.Object{claim(corev1.ClaimPending), volumeSnapshot(), content("content")}},
		{name: "bound", objects: []client.Object{claim(corev1.ClaimBound), volumeSnapshot(), content("content")}, did: []string{"delete VolumeSnapshot vs"}},
		{name: "bound, the VolumeSnapshot is gone", objects: []client.Object{claim(corev1.ClaimBound), content("content")}, did: []string{"delete VolumeSnapshotContent content"}},
		{name: "bound, the VolumeSnapshot is going", objects: []client.Object{claim(corev1.ClaimBound), deletedAgo(0, volumeSnapshot()), content("content")}},
		{name: "no VolumeSnapshot yet", objects: []client.Object{claim(corev1.ClaimPending), content("content")}},
		{name: "no claim yet", objects: []client.Object{volumeSnapshot(), content("content")}},
		{name: "not yet ours", objects: []client.Object{unmarked, volumeSnapshot(), content("content")}},
		{
			name: "another VolumeSnapshot than the claim's",
			objects: []client.Object{claim(corev1.ClaimBound), func() client.Object {
				vs := volumeSnapshot()
				vs.Name = "other"
				return vs
			}()},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, append(test.objects, namespace())...)
			w.state.known[ns] = true
			if _, err := w.j.Pass(t.Context()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.did, w.did); diff != "" {
				t.Errorf("actions differ (-want +got):\n%s", diff)
			}
		})
	}
}

// Orphans are what no preview has known for a while.
func TestOrphans(t *testing.T) {
	t.Parallel()
	young := namespace()
	young.CreationTimestamp = metav1.Time{Time: now.Add(-time.Hour)}
	var many []client.Object
	for i := range 4 {
		n := namespace()
		n.Name = fmt.Sprintf("preview-x-%d-0123456789", i)
		n.UID = types.UID(n.Name)
		many = append(many, n)
	}
	tests := []struct {
		name    string
		objects []client.Object
		known   bool
		after   time.Duration
		gone    []client.Object
		fails   string
		leaked  string // at first sight, "" for none
	}{
		{name: "a namespace nobody knows", leaked: "1 0 0", objects: []client.Object{namespace(), claim(corev1.ClaimPending)}, after: 2 * time.Hour, gone: []client.Object{namespace(), claim("")}},
		{name: "just seen", leaked: "1 0 0", objects: []client.Object{namespace()}, after: time.Minute},
		{name: "known", objects: []client.Object{namespace()}, known: true, after: 48 * time.Hour},
		{name: "young", leaked: "1 0 0", objects: []client.Object{young}, after: 2 * time.Hour},
		{name: "its Application is there", leaked: "1 0 0", objects: []client.Object{namespace(), application()}, after: 48 * time.Hour},
		{name: "a Restore without a namespace", leaked: "0 1 0", objects: []client.Object{restore("r", velerov1.RestorePhaseCompleted)}, after: 2 * time.Hour, gone: []client.Object{restore("r", "")}},
		{
			name: "a content without a namespace", leaked: "0 1 1", objects: []client.Object{content("c"), restore(restoreName(), velerov1.RestorePhaseCompleted)}, after: 2 * time.Hour,
			gone: []client.Object{content("c"), restore(restoreName(), "")},
		},
		{name: "a content without a namespace and a Restore, which may be another plugin's", leaked: "0 0 1", objects: []client.Object{content("c")}, after: 48 * time.Hour},
		{name: "a content of direct mode without a namespace", leaked: "0 0 1", objects: []client.Object{content("c", marked("seedling"))}, after: 2 * time.Hour, gone: []client.Object{content("c")}},
		{name: "a content of another plugin's direct mode", objects: []client.Object{content("c", marked("another"))}, after: 48 * time.Hour},
		{name: "a content of direct mode that would take the snapshot with it", objects: []client.Object{content("c", marked("seedling"), func(c *snapshotv1.VolumeSnapshotContent) {
			c.Spec.DeletionPolicy = snapshotv1.VolumeSnapshotContentDelete
		})}, after: 48 * time.Hour},
		{name: "a content of direct mode of a known preview", objects: []client.Object{content("c", marked("seedling"))}, known: true, after: 48 * time.Hour},
		{name: "a namespace that no plugin says is its own", leaked: "1 0 0", objects: []client.Object{unmarked(namespace()), claim(corev1.ClaimPending)}, after: 48 * time.Hour},
		{name: "a Restore that no plugin says is its own", leaked: "0 1 0", objects: []client.Object{unmarked(restore("r", velerov1.RestorePhaseCompleted))}, after: 48 * time.Hour},
		{name: "most of all previews unknown at once: the state is wrong", objects: many, after: 48 * time.Hour, fails: "nothing is removed"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, test.objects...)
			w.state.known[ns] = test.known
			if _, err := w.j.Pass(t.Context()); err != nil {
				t.Fatal(err)
			}
			if len(w.did) > 0 {
				t.Fatalf("removed at first sight: %v", w.did)
			}
			if test.leaked == "" {
				test.leaked = "0 0 0"
			}
			if l := w.j.Leaked(); test.fails == "" && fmt.Sprint(l["Namespace"], l["Restore"], l["VolumeSnapshotContent"]) != test.leaked {
				t.Errorf("leaked: %v, want %s", l, test.leaked)
			}
			w.now = w.now.Add(test.after)
			var err error
			for range 10 {
				if _, err = w.j.Pass(t.Context()); err != nil {
					break
				}
				w.now = w.now.Add(11 * time.Minute)
				if test.after < time.Hour {
					break
				}
			}
			if n := w.j.Refusals(); (n == 1) != (test.fails != "") || n > 1 {
				t.Errorf("refused %d times", n)
			}
			if (err != nil) != (test.fails != "") || err != nil && !strings.Contains(err.Error(), test.fails) {
				t.Errorf("Pass: %v", err)
			}
			gone := map[string]bool{}
			for _, o := range test.gone {
				gone[fmt.Sprintf("%T", o)+o.GetName()] = true
			}
			for _, o := range test.objects {
				if want := !gone[fmt.Sprintf("%T", o)+o.GetName()]; w.has(o) != want {
					t.Errorf("%T %s: there %v, want %v", o, o.GetName(), !want, want)
				}
			}
		})
	}
}

// What no plugin has marked stays, and the log names it, when it is old.
func TestUnmarkedOrphansAreNamed(t *testing.T) {
	t.Parallel()
	other := unmarked(namespace())
	other.Name = "preview-x-7-0123456789"
	w := newWorld(t, other, unmarked(restore("r", velerov1.RestorePhaseCompleted)), content("c"), others(restore("another", velerov1.RestorePhaseCompleted)))
	var log bytes.Buffer
	w.j.Log = slog.New(slog.NewTextHandler(&log, nil))
	for _, named := range []bool{false, true} {
		if _, err := w.j.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"kind=Namespace name=" + other.Name, "kind=Restore name=r", "kind=VolumeSnapshotContent name=c"} {
			if strings.Contains(log.String(), name) != named {
				t.Errorf("named %v, want %v: %s in %s", !named, named, name, log.String())
			}
		}
		w.now = w.now.Add(2 * time.Hour)
	}
	if strings.Contains(log.String(), "name=another") || len(w.did) > 0 {
		t.Errorf("it did %v, and says %s", w.did, log.String())
	}
}

// A list says all that would go, and nothing goes.
func TestList(t *testing.T) {
	t.Parallel()
	objects := []client.Object{namespace(), pod(), claim(corev1.ClaimPending), volumeSnapshot(), content("content"), restore("r", velerov1.RestorePhaseCompleted)}
	w := newWorld(t, objects...)
	w.end(ns)
	actions, err := w.j.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range actions {
		got = append(got, a.String())
	}
	why := ": its preview ended: its label was removed"
	want := []string{
		"delete Pod " + ns + "/postgres-0" + why, "delete PersistentVolumeClaim " + ns + "/data-postgres-0" + why,
		"delete VolumeSnapshot " + ns + "/vs" + why, "delete VolumeSnapshotContent content" + why,
		"delete Namespace " + ns + why, "delete Restore velero/r" + why,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the list differs (-want +got):\n%s", diff)
	}
	for _, o := range objects {
		if !w.has(o) {
			t.Errorf("%T %s was removed", o, o.GetName())
		}
	}
	if len(w.did) > 0 || len(w.state.forgotten) > 0 {
		t.Errorf("it did %v and forgot %v", w.did, w.state.forgotten)
	}
}

// So does a list of orphans, at its first look: but for the young, and what may be
// another plugin's.
func TestListOfOrphans(t *testing.T) {
	t.Parallel()
	young := namespace()
	young.Name, young.CreationTimestamp = "preview-x-8-0123456789", metav1.Time{Time: now.Add(-time.Hour)}
	w := newWorld(t, namespace(), young, content("c", marked("another")))
	actions, err := w.j.List(t.Context())
	if err != nil || len(actions) != 1 || actions[0].Kind != "Namespace" || actions[0].Name != ns {
		t.Errorf("%v, error %v", actions, err)
	}
	if len(w.did) > 0 || w.j.Leaked() != nil {
		t.Errorf("it did %v, and counts %v", w.did, w.j.Leaked())
	}
}

// The loop passes when triggered, and not when it does not lead.
func TestRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.end(ns)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.j.Run(ctx) }()
	w.j.Trigger()
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

type none struct{}

func (none) Ended() []preview.Preview             { return nil }
func (none) Rest(context.Context, string) error   { return nil }
func (none) Forget(context.Context, string) error { return nil }

// A call that hangs ends one pass and not all of them.
func TestPassIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lists := 0
		var said bytes.Buffer
		j := janitor.New(janitor.Options{
			Client: fake.NewClientBuilder().WithInterceptorFuncs(interceptor.Funcs{
				List: func(ctx context.Context, _ client.WithWatch, _ client.ObjectList, _ ...client.ListOption) error {
					lists++
					<-ctx.Done()
					return ctx.Err()
				},
			}).Build(),
			Previews: none{}, Ready: func() error { return nil }, Log: slog.New(slog.NewTextHandler(&said, nil)),
		})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- j.Run(ctx) }()
		time.Sleep(time.Hour)
		synctest.Wait()
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if lists < 2 || !strings.Contains(said.String(), "clean-up is incomplete") {
			t.Errorf("%d lists; the log says: %s", lists, said.String())
		}
	})
}
