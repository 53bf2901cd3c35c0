package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/postgres"
)

// volumeLives is how many random lives with volumes a test run has.
const volumeLives = 4

// TestModelOfVolumes is random lives as TestModel has them, with what a cluster
// does for a preview: Argo CD syncs one commit after the other and makes hooks,
// Velero restores one preview after the other, volumes and pods are made. All of that
// ends and begins anew too, at any step, and people delete claims and Backups. In
// every second life previews are made in advance, and in every second they sleep: no
// two previews have one slot, none has a second one while a slot does not say whose
// it is, and what sleeps keeps its data. When everything is well again, every preview
// has a volume of its snapshot, its commit is synced, it has pods unless it sleeps
// and has them again when it is woken, and of all others nothing is left.
// PLUGIN_MODEL=17 runs life 17 alone.
func TestModelOfVolumes(t *testing.T) {
	t.Parallel()
	eachLife(t, volumeLives, liveWithVolumes)
}

func liveWithVolumes(t *testing.T, n uint64) {
	t.Helper()
	dir := secrets(t)
	synctest.Test(t, func(t *testing.T) {
		l := newLife(t, dir, n, features{slots: n%2 == 0, sleeps: n%4 < 2})
		defer l.end()
		m := newMachinery(l, n)
		defer m.end()
		l.people(modelPulls)
		l.start()
		for range modelSteps {
			l.people(l.rng.IntN(3))
			if l.rng.IntN(3) == 0 {
				l.platform()
			}
			if l.rng.IntN(2) == 0 {
				m.fault()
			}
			l.faults()
			l.pass(time.Duration(1+l.rng.IntN(90)) * time.Second)
			m.sleepers()
		}
		m.heal()
		l.heal()
		m.nothingIsLeft()
		m.wake()
	})
}

// machinery is what works in a cluster beside the plugin. Each part is away until
// its time, and begins again from what the API server has.
type machinery struct {
	life   *life
	kube   client.Client // without the faults of the plugin's
	ctx    context.Context
	cancel context.CancelFunc
	ended  chan struct{}

	mu   sync.Mutex
	away map[string]time.Time
	// volumes are what the storage has: for which claim, and of which snapshot.
	volumes map[types.UID]string
	// step is what Velero has done of the Restore that it is at.
	step map[string]int
	// whole are the slots that do not say whose they are, as they were.
	whole map[string]*corev1.Namespace
	// orphans are the namespaces that there were when the state was lost: what nothing
	// knows any more stays for a day, and a mass of it until a person looked.
	orphans map[string]bool
	// slips are when Argo CD goes on with an old commit, as it seldom does.
	slips *rand.Rand
}

// modelHandle is what the storage calls the seed's snapshot.
const modelHandle = "snap-1"

var modelParts = []string{"Argo CD", "Velero", "snapshot-controller", "csi-provisioner", "controller-manager"}

func newMachinery(l *life, seed uint64) *machinery {
	l.t.Helper()
	const address = "cluster.test:80"
	l.kube.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		return r.Host != "cluster.test" && l.api.fault(w, r)
	}
	l.kube.Unanswered = func(r *http.Request) bool { return r.Host != "cluster.test" && l.api.silent(r) }
	s := &http.Server{Handler: l.kube, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	open := l.wire.listen(address)
	go s.Serve(open) //nolint:errcheck // until Close
	l.close = append(l.close, s.Close)
	kube, err := client.New(&rest.Config{Host: "http://cluster.test", Dial: l.wire.dial, QPS: -1}, client.Options{Scheme: scheme()})
	if err != nil {
		l.t.Fatal(err)
	}
	l.put(&corev1.PodTemplate{
		ObjectMeta: metav1.ObjectMeta{Namespace: "seedling", Name: postgres.TemplateName},
		Template:   corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "postgres", Image: "postgres"}}}},
	})
	wait := storagev1.VolumeBindingWaitForFirstConsumer
	l.put(&storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "btrfs"}, VolumeBindingMode: &wait})
	ctx, cancel := context.WithCancel(context.Background())
	m := &machinery{
		life: l, kube: kube, ctx: ctx, cancel: cancel, ended: make(chan struct{}),
		away: map[string]time.Time{}, volumes: map[types.UID]string{}, step: map[string]int{},
		whole: map[string]*corev1.Namespace{}, orphans: map[string]bool{}, slips: rand.New(rand.NewPCG(seed, 4)),
	}
	go m.run()
	return m
}

func (m *machinery) end() {
	m.cancel()
	<-m.ended
}

func (m *machinery) run() {
	defer close(m.ended)
	for m.ctx.Err() == nil {
		for part, do := range map[string]func() error{
			"Argo CD": m.argo, "Velero": m.velero, "snapshot-controller": m.snapshots, "csi-provisioner": m.provision,
			"controller-manager": m.controllers,
		} {
			m.mu.Lock()
			away := time.Now().Before(m.away[part])
			m.mu.Unlock()
			if away {
				continue
			}
			// Whoever meets a conflict, or something that is gone, looks again.
			if err := do(); err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) && !apierrors.IsAlreadyExists(err) && m.ctx.Err() == nil {
				m.life.note("%s: %v", part, err)
			}
		}
		select {
		case <-m.ctx.Done():
		case <-time.After(2 * time.Second):
		}
	}
}

// fault lets a part end for a while, or somebody delete something.
func (m *machinery) fault() {
	l := m.life
	switch k := l.rng.IntN(9); {
	case k < len(modelParts):
		l.note("  %s ends", modelParts[k])
		m.mu.Lock()
		m.away[modelParts[k]] = time.Now().Add(time.Duration(1+l.rng.IntN(60)) * time.Second)
		m.mu.Unlock()
		if modelParts[k] == "Velero" {
			m.restarted()
		}
	case k == 6 && l.has.slots:
		m.garble()
	case k == 7 && l.rng.IntN(3) == 0:
		m.loseState()
	case k == 8 && l.has.sleeps:
		m.wakeOne()
	case k == 5:
		s := l.set()
		if len(s.apps) == 0 {
			return
		}
		n := slices.Sorted(maps.Keys(s.apps))[l.rng.IntN(len(s.apps))]
		l.note("the claim of %d in %s is deleted", n, s.name)
		s.may(n, causeVolume)
		l.kube.Remove("PersistentVolumeClaim", s.apps[n], snapshot.SeedPVC)
	default:
		all := l.kube.Objects("Backup")
		if len(all) == 0 {
			return
		}
		l.note("the Backup is deleted, and found again a minute later")
		l.kube.Remove("Backup", "velero", all[0].GetName())
		var backup velerov1.Backup
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(all[0].Object, &backup); err != nil {
			l.t.Fatal(err)
		}
		backup.ResourceVersion, backup.UID = "", ""
		time.AfterFunc(time.Minute, func() { l.put(&backup) })
	}
}

// restarted is what Velero does first: what it was at has failed.
func (m *machinery) restarted() {
	var all velerov1.RestoreList
	if err := m.kube.List(m.ctx, &all); err != nil {
		return
	}
	for i := range all.Items {
		if r := &all.Items[i]; r.Status.Phase == velerov1.RestorePhaseInProgress {
			r.Status.Phase, r.Status.FailureReason = velerov1.RestorePhaseFailed, "found a restore with status InProgress during the server starting"
			_ = m.kube.Update(m.ctx, r) // it has ended meanwhile
		}
	}
}

func (m *machinery) heal() {
	m.mu.Lock()
	clear(m.away)
	m.mu.Unlock()
	m.repair()
}

// hookEnd is how a Job ended, "" if it has not.
func hookEnd(job *batchv1.Job) batchv1.JobConditionType {
	for _, c := range job.Status.Conditions {
		if c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed {
			return c.Type
		}
	}
	return ""
}

// velero does one step of the oldest Restore that has not ended.
func (m *machinery) velero() error {
	var all velerov1.RestoreList
	if err := m.kube.List(m.ctx, &all); err != nil {
		return err
	}
	slices.SortFunc(all.Items, func(a, b velerov1.Restore) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
	})
	const finalizer = "restores.velero.io/external-resources-finalizer"
	var next *velerov1.Restore
	for i := range all.Items {
		r := &all.Items[i]
		switch {
		case r.DeletionTimestamp != nil && r.Status.Phase != velerov1.RestorePhaseInProgress:
			r.Finalizers = nil
			if err := m.kube.Update(m.ctx, r); client.IgnoreNotFound(err) != nil {
				return err
			}
		case next == nil && (r.Status.Phase == "" || r.Status.Phase == velerov1.RestorePhaseInProgress):
			next = r
		}
	}
	if next == nil {
		return nil
	}
	if next.Status.Phase == "" {
		next.Finalizers, next.Status.Phase = []string{finalizer}, velerov1.RestorePhaseInProgress
		m.step[next.Name] = 0
		return m.kube.Update(m.ctx, next)
	}
	m.step[next.Name]++
	if done, err := m.restore(next, m.step[next.Name]); done || err != nil {
		next.Status.Phase = velerov1.RestorePhaseCompleted
		if err != nil {
			next.Status.Phase, next.Status.Errors = velerov1.RestorePhasePartiallyFailed, 1
		}
		return m.kube.Update(m.ctx, next)
	}
	return nil
}

// restore makes one object of a Restore after the other.
func (m *machinery) restore(r *velerov1.Restore, step int) (done bool, err error) {
	namespace := r.Spec.NamespaceMapping["seed"]
	name := strings.Repeat("0", 64-len(r.UID)) + string(r.UID)
	group, class := snapshotv1.GroupName, "btrfs"
	labels := map[string]string{snapshot.VeleroRestoreLabel: r.Name}
	switch step {
	case 1:
		// A missing namespace is made as the seed's is.
		err = m.kube.Create(m.ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace, Labels: map[string]string{snapshot.VeleroRestoreLabel: r.Name}}})
	case 2:
		shot := modelHandle
		err = m.kube.Create(m.ctx, &snapshotv1.VolumeSnapshotContent{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
			Spec: snapshotv1.VolumeSnapshotContentSpec{
				DeletionPolicy: snapshotv1.VolumeSnapshotContentRetain, Source: snapshotv1.VolumeSnapshotContentSource{SnapshotHandle: &shot},
				VolumeSnapshotRef: corev1.ObjectReference{Namespace: namespace, Name: name},
			},
		})
	case 3:
		err = m.kube.Create(m.ctx, &snapshotv1.VolumeSnapshot{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels},
			Spec:       snapshotv1.VolumeSnapshotSpec{Source: snapshotv1.VolumeSnapshotSource{VolumeSnapshotContentName: &name}},
		})
	case 4:
		err = m.kube.Create(m.ctx, &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: snapshot.SeedPVC, Labels: labels},
			Spec: corev1.PersistentVolumeClaimSpec{
				StorageClassName: &class, DataSource: &corev1.TypedLocalObjectReference{APIGroup: &group, Kind: "VolumeSnapshot", Name: name},
			},
			Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending},
		})
	default:
		return true, nil
	}
	if apierrors.IsAlreadyExists(err) {
		err = nil
	}
	return false, err
}

// snapshots makes VolumeSnapshots ready whose contents are there.
func (m *machinery) snapshots() error {
	var all snapshotv1.VolumeSnapshotList
	if err := m.kube.List(m.ctx, &all); err != nil {
		return err
	}
	for i := range all.Items {
		vs := &all.Items[i]
		var content snapshotv1.VolumeSnapshotContent
		if vs.Status != nil || m.kube.Get(m.ctx, types.NamespacedName{Name: *vs.Spec.Source.VolumeSnapshotContentName}, &content) != nil {
			continue
		}
		ready := true
		vs.Status = &snapshotv1.VolumeSnapshotStatus{ReadyToUse: &ready}
		if err := m.kube.Update(m.ctx, vs); err != nil {
			return err
		}
	}
	return nil
}

// provision makes the volumes of claims, whose pods come after the hook, and
// removes those whose claims are gone.
func (m *machinery) provision() error {
	claims, volumes := &corev1.PersistentVolumeClaimList{}, &corev1.PersistentVolumeList{}
	if err := m.kube.List(m.ctx, claims); err != nil {
		return err
	}
	if err := m.kube.List(m.ctx, volumes); err != nil {
		return err
	}
	there := map[types.UID]bool{}
	for i := range claims.Items {
		c := &claims.Items[i]
		there[c.UID] = true
		if c.Status.Phase == corev1.ClaimBound {
			continue
		}
		var job batchv1.Job
		hooked := m.kube.Get(m.ctx, types.NamespacedName{Namespace: c.Namespace, Name: snapshot.HookJob}, &job) == nil && hookEnd(&job) == batchv1.JobComplete
		set := m.kube.Get(m.ctx, types.NamespacedName{Namespace: c.Namespace, Name: snapshot.Postgres}, &appsv1.StatefulSet{}) == nil
		if !hooked && !set {
			continue
		}
		var vs snapshotv1.VolumeSnapshot
		var content snapshotv1.VolumeSnapshotContent
		if m.kube.Get(m.ctx, types.NamespacedName{Namespace: c.Namespace, Name: c.Spec.DataSource.Name}, &vs) != nil ||
			m.kube.Get(m.ctx, types.NamespacedName{Name: vs.Name}, &content) != nil {
			continue
		}
		m.has(c.UID, *content.Spec.Source.SnapshotHandle)
		v := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pvc-" + string(c.UID)}}
		v.Spec.ClaimRef = &corev1.ObjectReference{Namespace: c.Namespace, Name: c.Name, UID: c.UID}
		if err := m.kube.Create(m.ctx, v); err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
		c.Spec.VolumeName, c.Status.Phase = v.Name, corev1.ClaimBound
		if err := m.kube.Update(m.ctx, c); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	for i := range volumes.Items {
		if v := &volumes.Items[i]; !there[v.Spec.ClaimRef.UID] {
			m.has(v.Spec.ClaimRef.UID, "")
			if err := m.kube.Delete(m.ctx, v); err != nil {
				return err
			}
		}
	}
	return nil
}

// has notes of which snapshot the volume for a claim is, "" that it is deleted.
func (m *machinery) has(claim types.UID, of string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.volumes[claim] = of; of == "" {
		delete(m.volumes, claim)
	}
}

// nothingIsLeft waits until previews have their data and there is nothing else.
func (m *machinery) nothingIsLeft() {
	l := m.life
	var wrong []string
	for range 120 {
		if wrong = m.wrong(); len(wrong) == 0 {
			return
		}
		l.pass(time.Minute)
		l.confirm()
	}
	l.fatal("when all is well: %s", strings.Join(wrong, "; "))
}

// wrong is what previews lack, and what there is beside them.
func (m *machinery) wrong() (wrong []string) {
	l := m.life
	m.mu.Lock()
	volumes := maps.Clone(m.volumes)
	m.mu.Unlock()
	live, free := map[string]bool{}, map[string]bool{}
	for _, s := range l.sets {
		for n, name := range s.apps {
			live[name] = true
			wrong = append(wrong, m.lacks(name, n, volumes)...)
		}
	}
	for _, ns := range l.kube.Objects("Namespace") {
		if state := ns.GetLabels()[snapshot.LabelSlot]; l.has.slots && state == snapshot.SlotFree {
			free[ns.GetName()] = true
		}
	}
	of := func(kind string, namespace func(*unstructured.Unstructured) string) {
		for _, o := range l.kube.Objects(kind) {
			if in := namespace(o); snapshot.IsPreview(in) && !live[in] && !free[in] && !m.orphans[in] {
				wrong = append(wrong, fmt.Sprintf("there is %s %s of %s", kind, o.GetName(), in))
			}
		}
	}
	field := func(path ...string) func(*unstructured.Unstructured) string {
		return func(o *unstructured.Unstructured) string {
			text, _, _ := unstructured.NestedString(o.Object, path...) // absent is none
			return text
		}
	}
	of("Namespace", (*unstructured.Unstructured).GetName)
	of("Restore", func(o *unstructured.Unstructured) string { return o.GetLabels()[snapshot.LabelNamespace] })
	of("VolumeSnapshot", (*unstructured.Unstructured).GetNamespace)
	of("VolumeSnapshotContent", field("spec", "volumeSnapshotRef", "namespace"))
	of("PersistentVolume", field("spec", "claimRef", "namespace"))
	if len(volumes) > len(live)+len(free)+len(m.orphans) {
		wrong = append(wrong, fmt.Sprintf("the storage has %d volumes of %d previews and %d slots", len(volumes), len(live), len(free)))
	}
	if len(free) > 2 {
		wrong = append(wrong, fmt.Sprintf("there are %d slots", len(free)))
	}
	return wrong
}

// lacks is what a preview lacks that is in the answer.
func (m *machinery) lacks(namespace string, number int64, volumes map[types.UID]string) (lacks []string) {
	var job batchv1.Job
	var claim corev1.PersistentVolumeClaim
	key := types.NamespacedName{Namespace: namespace, Name: snapshot.HookJob}
	if err := m.kube.Get(m.ctx, key, &job); err != nil || hookEnd(&job) != batchv1.JobComplete {
		return []string{fmt.Sprintf("the hook of %s is not complete (%v)", namespace, job.Status.Conditions)}
	}
	key.Name = snapshot.SeedPVC
	if err := m.kube.Get(m.ctx, key, &claim); err != nil || claim.Annotations[snapshot.AnnotationSnapshot] == "" || claim.Status.Phase != corev1.ClaimBound {
		lacks = append(lacks, fmt.Sprintf("the claim of %s is not restored (%v)", namespace, err))
	} else if of := volumes[claim.UID]; of != modelHandle {
		lacks = append(lacks, fmt.Sprintf("the volume of %s is of snapshot %q", namespace, of))
	}
	if why := m.unsynced(namespace, number); why != "" {
		lacks = append(lacks, why)
	}
	asleep, known := m.asleep(namespace)
	if pods := m.pods(namespace); known && m.life.has.slots && (pods == 0) != asleep {
		lacks = append(lacks, fmt.Sprintf("%s has %d pods; it sleeps: %v", namespace, pods, asleep))
	}
	return lacks
}
