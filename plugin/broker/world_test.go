package broker_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/broker"
	"github.com/seedling-dev/seedling/plugin/preview"
)

const (
	seed         = "seed"
	newest       = "seed-20260304050607-bbbbb"
	older        = "seed-20260303050607-aaaaa"
	namespaceUID = types.UID("uid-namespace")
	hookUID      = types.UID("uid-hook")
)

var (
	now    = time.Date(2026, 3, 4, 5, 30, 0, 0, time.UTC)
	policy = strings.Repeat("ab", 32)
	key    = preview.Key{ForgeURL: "https://git.example.com", Repository: "acme/shop", ApplicationSet: "previews", Number: 7}
	ns     = key.Namespace()
)

func scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, velerov1.AddToScheme, snapshotv1.AddToScheme} {
		utilruntime.Must(add(s))
	}
	return s
}

// world is a cluster with one live preview and a seed that has two snapshots.
type world struct {
	t *testing.T
	client.WithWatch
	state  *state
	velero *broker.Velero
	now    time.Time
	// restored is told what Velero tells; nil for nobody.
	restored func(preview.Preview, preview.Origin)
}

// newWorld makes one. edits change its objects before it begins: they may
// change, add or (by returning nil) remove any.
func newWorld(t *testing.T, funcs interceptor.Funcs, edits ...func(map[string]client.Object)) *world {
	t.Helper()
	immediately, later := storagev1.VolumeBindingImmediate, storagev1.VolumeBindingWaitForFirstConsumer
	objects := map[string]client.Object{
		"namespace": &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns, UID: namespaceUID}},
		"hook":      &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: snapshot.HookServiceAccount, UID: hookUID}},
		"request": &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: seed, Name: snapshot.RequestConfigMap},
			Data:       map[string]string{"dump": "s3://b/k", "policy-digest": policy, "key-id": "00aa"},
		},
		"location": &velerov1.BackupStorageLocation{
			ObjectMeta: metav1.ObjectMeta{Namespace: "velero", Name: "default"},
			Status:     velerov1.BackupStorageLocationStatus{Phase: velerov1.BackupStorageLocationPhaseAvailable},
		},
		"newest":    backup(newest, now.Add(-time.Hour)),
		"older":     backup(older, now.Add(-25*time.Hour)),
		"class":     &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "later"}, VolumeBindingMode: &later},
		"immediate": &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "immediate"}, VolumeBindingMode: &immediately},
	}
	for _, edit := range edits {
		edit(objects)
	}
	builder := fake.NewClientBuilder().WithScheme(scheme()).WithInterceptorFuncs(funcs).WithStatusSubresource(&batchv1.Job{})
	for _, o := range objects {
		builder.WithObjects(o)
	}
	w := &world{t: t, WithWatch: builder.Build(), now: now}
	w.state = &state{live: map[string]preview.Preview{ns: {
		Key: key, Namespace: ns, Seed: seed, NamespaceUID: namespaceUID, HookUID: hookUID, Phase: preview.Live,
	}}}
	w.velero = broker.NewVelero(broker.VeleroOptions{
		Client: w.WithWatch, Previews: w.state, VeleroNamespace: "velero", Owner: "seedling",
		Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return w.now },
		Restored: func(p preview.Preview, from preview.Origin) {
			if w.restored != nil {
				w.restored(p, from)
			}
		},
	})
	return w
}

func backup(name string, started time.Time) *velerov1.Backup {
	return &velerov1.Backup{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "velero", Name: name, Labels: map[string]string{snapshot.LabelSeed: seed},
			Annotations: map[string]string{
				snapshot.AnnotationVolumes: "1", snapshot.AnnotationPolicyDigest: policy, snapshot.AnnotationKeyID: "00aa",
				snapshot.AnnotationDataTime: started.Add(-time.Minute).Format(time.RFC3339),
				snapshot.AnnotationDumpTime: started.Add(-time.Hour).Format(time.RFC3339),
			},
		},
		Spec: velerov1.BackupSpec{IncludedNamespaces: []string{seed}, StorageLocation: "default"},
		Status: velerov1.BackupStatus{
			Phase: velerov1.BackupPhaseCompleted, StartTimestamp: &metav1.Time{Time: started},
			CSIVolumeSnapshotsAttempted: 1, CSIVolumeSnapshotsCompleted: 1,
		},
	}
}

// name is our Restore's of an attempt, from 0.
func name(chosen string, attempt int) string {
	return snapshot.RestoreName(ns, namespaceUID, chosen, attempt)
}

// restore is a Restore as the broker makes it, in a phase.
func restore(chosen string, attempt int, phase velerov1.RestorePhase) *velerov1.Restore {
	return &velerov1.Restore{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "velero", Name: name(chosen, attempt), UID: types.UID(name(chosen, attempt)),
			CreationTimestamp: metav1.Time{Time: now.Add(-30 * time.Minute)},
			Labels:            map[string]string{snapshot.LabelNamespace: ns},
			Annotations:       map[string]string{snapshot.AnnotationNamespaceUID: string(namespaceUID)},
		},
		Spec: velerov1.RestoreSpec{
			BackupName: chosen, IncludedNamespaces: []string{seed}, NamespaceMapping: map[string]string{seed: ns},
		},
		Status: velerov1.RestoreStatus{Phase: phase},
	}
}

// claim is a claim as Velero restores it, with what it brings from the seed.
func claim(restoreName string, edits ...func(*corev1.PersistentVolumeClaim)) *corev1.PersistentVolumeClaim {
	group, class := snapshotv1.GroupName, "later"
	pvc := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: ns, Name: snapshot.SeedPVC, UID: "uid-claim",
			Labels: map[string]string{"app.kubernetes.io/instance": "seed-postgres", "app": "postgres"},
			Annotations: map[string]string{
				"argocd.argoproj.io/tracking-id": "seed-postgres:/PersistentVolumeClaim:seed/data-postgres-0", "kept": "yes",
				corev1.LastAppliedConfigAnnotation: "{}",
			},
		},
		Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: &class,
			Resources:        corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
		Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending},
	}
	if restoreName != "" {
		pvc.Labels[snapshot.VeleroRestoreLabel] = restoreName
		pvc.Spec.DataSource = &corev1.TypedLocalObjectReference{APIGroup: &group, Kind: "VolumeSnapshot", Name: "vs"}
	}
	for _, edit := range edits {
		edit(pvc)
	}
	return pvc
}

func volumeSnapshot(restoreName string, ready bool) *snapshotv1.VolumeSnapshot {
	return &snapshotv1.VolumeSnapshot{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "vs", Labels: map[string]string{snapshot.VeleroRestoreLabel: restoreName}},
		Status:     &snapshotv1.VolumeSnapshotStatus{ReadyToUse: &ready},
	}
}

// recorded are the handles of both snapshots, as seed-backup writes them.
func recorded() *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "seedling", Name: snapshot.HandlesConfigMap},
		Data: map[string]string{
			newest: "csi.example.com snap-newest 2Gi later btrfs",
			older:  "csi.example.com snap-older 1Gi later -",
		},
	}
}

// direct turns the world's mode to direct.
func (w *world) direct() {
	w.velero = broker.NewVelero(broker.VeleroOptions{
		Client: w.WithWatch, Previews: w.state, VeleroNamespace: "velero", Owner: "seedling", Direct: true,
		Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return w.now },
	})
}

// pair is what stands for a snapshot in the preview, nil where it is not there.
func (w *world) pair(chosen string) (*snapshotv1.VolumeSnapshotContent, *snapshotv1.VolumeSnapshot) {
	w.t.Helper()
	content, vs := &snapshotv1.VolumeSnapshotContent{}, &snapshotv1.VolumeSnapshot{}
	for _, err := range []error{
		w.Get(w.t.Context(), types.NamespacedName{Name: name(chosen, 0)}, content),
		w.Get(w.t.Context(), types.NamespacedName{Namespace: ns, Name: name(chosen, 0)}, vs),
	} {
		if client.IgnoreNotFound(err) != nil {
			w.t.Fatal(err)
		}
	}
	if content.Name == "" {
		content = nil
	}
	if vs.Name == "" {
		vs = nil
	}
	return content, vs
}

// with adds objects.
func with(objects ...client.Object) func(map[string]client.Object) {
	return func(all map[string]client.Object) {
		for _, o := range objects {
			all[fmt.Sprintf("%T/%s/%s", o, o.GetNamespace(), o.GetName())] = o
		}
	}
}

// change edits one of a new world's objects.
func change[T client.Object](key string, edit func(T)) func(map[string]client.Object) {
	return func(all map[string]client.Object) {
		if o, ok := all[key].(T); ok {
			edit(o)
		}
	}
}

func without(keys ...string) func(map[string]client.Object) {
	return func(all map[string]client.Object) {
		maps.DeleteFunc(all, func(k string, _ client.Object) bool {
			return slices.Contains(keys, k)
		})
	}
}

// chosen records a snapshot on the namespace, as a step before did.
func chosen(snapshotName string) func(map[string]client.Object) {
	return change("namespace", func(n *corev1.Namespace) {
		if n.Annotations == nil {
			n.Annotations = map[string]string{}
		}
		n.Annotations[snapshot.AnnotationSnapshot] = snapshotName
	})
}

// restored records a claim's UID on the namespace.
func restored(uid string) func(map[string]client.Object) {
	return change("namespace", func(n *corev1.Namespace) {
		if n.Annotations == nil {
			n.Annotations = map[string]string{}
		}
		n.Annotations[snapshot.AnnotationPVC] = uid
	})
}

func (w *world) step() (broker.Progress, error) {
	w.t.Helper()
	p, _ := w.state.Live(ns)
	return w.velero.Step(w.t.Context(), p)
}

func (w *world) restores() []velerov1.Restore {
	w.t.Helper()
	var list velerov1.RestoreList
	if err := w.List(w.t.Context(), &list, client.InNamespace("velero")); err != nil {
		w.t.Fatal(err)
	}
	return list.Items
}

// restoreNames are the Restores there are, by name.
func (w *world) restoreNames() map[string]bool {
	names := map[string]bool{}
	for _, r := range w.restores() {
		names[r.Name] = true
	}
	return names
}

func (w *world) namespace() *corev1.Namespace {
	w.t.Helper()
	var n corev1.Namespace
	if err := w.Get(w.t.Context(), types.NamespacedName{Name: ns}, &n); err != nil {
		w.t.Fatal(err)
	}
	return &n
}

func (w *world) claim() *corev1.PersistentVolumeClaim {
	w.t.Helper()
	var pvc corev1.PersistentVolumeClaim
	err := w.Get(w.t.Context(), types.NamespacedName{Namespace: ns, Name: snapshot.SeedPVC}, &pvc)
	if client.IgnoreNotFound(err) != nil {
		w.t.Fatal(err)
	}
	if err != nil {
		return nil
	}
	return &pvc
}

// state is a fake of the plugin's.
type state struct {
	mu       sync.Mutex
	live     map[string]preview.Preview
	recorded []string
	foreign  []string
	fail     error
}

func (s *state) Live(namespace string) (preview.Preview, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.live[namespace]
	return p, ok
}

func (s *state) Record(_ context.Context, namespace, snapshotName string, pvc types.UID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	p := s.live[namespace]
	p.Snapshot, p.PVCUID = snapshotName, pvc
	s.live[namespace] = p
	s.recorded = append(s.recorded, snapshotName+" "+string(pvc))
	return nil
}

func (s *state) RecordForeign(_ context.Context, namespace string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.foreign = append(s.foreign, namespace)
	return s.fail
}

func (s *state) add(p preview.Preview) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live[p.Namespace] = p
}

func (s *state) end(namespace string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.live, namespace)
}
