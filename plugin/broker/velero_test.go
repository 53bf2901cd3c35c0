package broker_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/broker"
	"github.com/seedling-dev/seedling/plugin/preview"
)

// Each case is one step in a world, and what it leaves. Both modes take it: where
// no handle was recorded direct mode does as Velero mode does, and where one was
// it makes a content instead of a Restore, and all the rest is the same.
func TestStep(t *testing.T) {
	t.Parallel()
	type edits = []func(map[string]client.Object)
	bound := func(p *corev1.PersistentVolumeClaim) { p.Status.Phase = corev1.ClaimBound }
	class := func(name string) func(*corev1.PersistentVolumeClaim) {
		return func(p *corev1.PersistentVolumeClaim) { p.Spec.StorageClassName = &name }
	}
	going := func(o client.Object) {
		o.SetDeletionTimestamp(&metav1.Time{Time: now})
		o.SetFinalizers([]string{"test/hold"})
	}
	failedAgo := func(d time.Duration, r *velerov1.Restore) *velerov1.Restore {
		r.CreationTimestamp = metav1.Time{Time: now.Add(-d)}
		return r
	}
	allFailed := with(restore(newest, 0, velerov1.RestorePhaseFailed), restore(newest, 1, velerov1.RestorePhaseFailed), restore(newest, 2, velerov1.RestorePhaseFailed))

	tests := []struct {
		name  string
		edits edits
		done  bool
		place int
		// message is a part of the sentence, of the error where fails is set.
		message string
		fails   bool
		foreign bool
		gone    bool
		// chosen is the snapshot on the namespace afterwards, restores the
		// attempts there are (all of the newest snapshot, unless of is set).
		chosen   string
		restores []int
		of       string
		noClaim  bool
		// made: it has to do with Restores, and where a handle was recorded a
		// content is made.
		made bool
		// instead is the snapshot that direct mode stays with.
		instead string
	}{
		// Choosing.
		{name: "a first request chooses the newest and restores it", message: "was requested", chosen: newest, restores: []int{0}},
		{name: "a recorded choice stays although a newer one came", edits: edits{chosen(older)}, message: "was requested", chosen: older, restores: []int{0}, of: older},
		{
			name:    "a recorded choice that is gone is made again",
			edits:   edits{chosen("seed-20260101000000-zzzzz")},
			message: "was requested", chosen: newest, restores: []int{0},
		},
		{
			name: "a recorded choice of a policy that was tightened since is made again",
			edits: edits{chosen(older), change("older", func(b *velerov1.Backup) {
				b.Annotations[snapshot.AnnotationPolicyDigest] = strings.Repeat("00", 32)
			})},
			message: "was requested", chosen: newest, restores: []int{0},
		},
		{
			name:  "no usable snapshot",
			edits: edits{without("newest", "older")},
			fails: true, message: "no usable snapshot of seed seed: it has no Backup yet",
		},
		{
			name:  "no seed-request yet",
			edits: edits{without("request")},
			fails: true, message: "ConfigMap seed/seed-request does not exist yet",
		},
		{
			name: "storage is not available",
			edits: edits{change("location", func(l *velerov1.BackupStorageLocation) {
				l.Status.Phase = velerov1.BackupStorageLocationPhaseUnavailable
			})},
			fails: true, message: "no storage location is Available", made: true, instead: newest,
		},
		{
			name: "storage became unavailable after the choice: the choice stays",
			edits: edits{chosen(newest), change("location", func(l *velerov1.BackupStorageLocation) {
				l.Status.Phase = velerov1.BackupStorageLocationPhaseUnavailable
			})},
			fails: true, message: "no storage location is Available", chosen: newest, made: true,
		},
		{
			name:    "a location that was never validated is none",
			edits:   edits{change("location", func(l *velerov1.BackupStorageLocation) { l.Status.Phase = "" })},
			fails:   true,
			message: "no storage location is Available", made: true, instead: newest,
		},

		// The namespace.
		{name: "the namespace is gone", edits: edits{without("namespace")}, fails: true, gone: true, message: "does not exist"},
		{name: "the namespace is going", edits: edits{change("namespace", func(n *corev1.Namespace) { going(n) })}, fails: true, gone: true, message: "is being deleted"},
		{name: "the namespace was made anew", edits: edits{change("namespace", func(n *corev1.Namespace) { n.UID = "other" })}, fails: true, gone: true, message: "was made anew"},

		// Waiting for Velero.
		{name: "adopt a Restore that waits", edits: edits{chosen(newest), with(restore(newest, 0, ""))}, message: "waits for Velero, place 1", place: 1, chosen: newest, restores: []int{0}},
		{
			name: "place in the queue",
			edits: edits{chosen(newest), with(
				restore(newest, 0, ""),
				&velerov1.Restore{ObjectMeta: metav1.ObjectMeta{Namespace: "velero", Name: "before", CreationTimestamp: metav1.Time{Time: now.Add(-2 * time.Hour)}}},
				&velerov1.Restore{ObjectMeta: metav1.ObjectMeta{Namespace: "velero", Name: "running", CreationTimestamp: metav1.Time{Time: now.Add(-3 * time.Hour)}}, Status: velerov1.RestoreStatus{Phase: velerov1.RestorePhaseInProgress}},
				&velerov1.Restore{ObjectMeta: metav1.ObjectMeta{Namespace: "velero", Name: "ended", CreationTimestamp: metav1.Time{Time: now.Add(-3 * time.Hour)}}, Status: velerov1.RestoreStatus{Phase: velerov1.RestorePhaseCompleted}},
				&velerov1.Restore{ObjectMeta: metav1.ObjectMeta{Namespace: "velero", Name: "after", CreationTimestamp: metav1.Time{Time: now}}},
			)},
			message: "place 3", place: 3, chosen: newest, restores: []int{0},
		},
		{name: "in progress", edits: edits{chosen(newest), with(restore(newest, 0, velerov1.RestorePhaseInProgress))}, message: "is InProgress", chosen: newest, restores: []int{0}},
		{name: "waiting for plugins", edits: edits{chosen(newest), with(restore(newest, 0, velerov1.RestorePhaseWaitingForPluginOperations))}, message: "is WaitingForPluginOperations", chosen: newest, restores: []int{0}},
		{name: "finalizing without a claim", edits: edits{chosen(newest), with(restore(newest, 0, velerov1.RestorePhaseFinalizing))}, message: "is Finalizing", chosen: newest, restores: []int{0}},

		// Attempts.
		{name: "Failed by a restart of Velero: another attempt", edits: edits{chosen(newest), with(restore(newest, 0, velerov1.RestorePhaseFailed))}, message: "was requested", chosen: newest, restores: []int{0, 1}},
		{name: "the next attempt rests first", edits: edits{chosen(newest), with(failedAgo(time.Second, restore(newest, 0, velerov1.RestorePhaseFailed)))}, message: "the next attempt comes shortly", made: true, chosen: newest, restores: []int{0}},
		{name: "FailedValidation", edits: edits{chosen(newest), with(restore(newest, 0, velerov1.RestorePhaseFailedValidation))}, message: "was requested", chosen: newest, restores: []int{0, 1}},
		{name: "Completed and nothing restored", edits: edits{chosen(newest), with(restore(newest, 0, velerov1.RestorePhaseCompleted))}, message: "was requested", chosen: newest, restores: []int{0, 1}},
		{name: "PartiallyFailed and nothing restored", edits: edits{chosen(newest), with(restore(newest, 0, velerov1.RestorePhasePartiallyFailed))}, message: "was requested", chosen: newest, restores: []int{0, 1}},
		{
			name: "a Restore that is being deleted does not come back",
			edits: edits{chosen(newest), with(func() client.Object {
				r := restore(newest, 0, velerov1.RestorePhaseInProgress)
				going(r)
				return r
			}())},
			message: "was requested", chosen: newest, restores: []int{0, 1},
		},
		{name: "attempts end", edits: edits{chosen(newest), allFailed}, made: true, fails: true, message: "Velero failed 3 times within an hour to restore snapshot " + newest, chosen: newest, restores: []int{0, 1, 2}},
		{
			name: "attempts end, and a newer snapshot has come",
			edits: edits{
				chosen(older), with(restore(older, 0, velerov1.RestorePhaseFailed), restore(older, 1, velerov1.RestorePhaseFailed), restore(older, 2, velerov1.RestorePhaseFailed)),
			},
			message: "was requested", chosen: newest, instead: older,
		},
		{
			name: "a Restore of our name that is not ours is passed over",
			edits: edits{chosen(newest), with(func() client.Object {
				r := restore(newest, 0, "")
				r.Spec.NamespaceMapping = map[string]string{seed: "kube-system"}
				return r
			}())},
			message: "was requested", chosen: newest, restores: []int{0, 1},
		},

		// The claim.
		{
			name:  "restored and ready, the class waits for the first consumer",
			edits: edits{chosen(newest), with(restore(newest, 0, velerov1.RestorePhaseInProgress), claim(name(newest, 0)), volumeSnapshot(name(newest, 0), true))},
			done:  true, message: "restored from snapshot " + newest, chosen: newest, restores: []int{0},
		},
		{
			name:  "the Restore ended badly and the claim is whole",
			edits: edits{chosen(newest), with(restore(newest, 0, velerov1.RestorePhaseFailed), claim(name(newest, 0)), volumeSnapshot(name(newest, 0), true))},
			done:  true, message: "restored from", chosen: newest, restores: []int{0},
		},
		{
			name:  "the Restore was deleted since",
			edits: edits{chosen(newest), with(claim(name(newest, 1)), volumeSnapshot(name(newest, 1), true))},
			done:  true, message: "restored from", chosen: newest, restores: []int{},
		},
		{
			name:  "bound: the VolumeSnapshot may be gone",
			edits: edits{chosen(newest), with(restore(newest, 0, velerov1.RestorePhaseCompleted), claim(name(newest, 0), bound))},
			done:  true, message: "restored from", chosen: newest, restores: []int{0},
		},
		{
			name:    "the VolumeSnapshot is not ready",
			edits:   edits{chosen(newest), with(restore(newest, 0, velerov1.RestorePhaseFinalizing), claim(name(newest, 0)), volumeSnapshot(name(newest, 0), false))},
			message: "to be ready", chosen: newest, restores: []int{0},
		},
		{
			name: "the VolumeSnapshot has an error",
			edits: edits{chosen(newest), with(restore(newest, 0, velerov1.RestorePhaseFinalizing), claim(name(newest, 0)), func() client.Object {
				vs, text := volumeSnapshot(name(newest, 0), false), "can not find snapshot"
				vs.Status.Error = &snapshotv1.VolumeSnapshotError{Message: &text}
				return vs
			}())},
			fails: true, message: "can not find snapshot", chosen: newest, restores: []int{0},
		},
		{
			name:    "an immediate class is waited for",
			edits:   edits{chosen(newest), with(restore(newest, 0, velerov1.RestorePhaseFinalizing), claim(name(newest, 0), class("immediate")), volumeSnapshot(name(newest, 0), true))},
			message: "to be provisioned", chosen: newest, restores: []int{0},
		},
		{
			name:    "the claim is there before its VolumeSnapshot",
			edits:   edits{chosen(newest), with(restore(newest, 0, velerov1.RestorePhaseInProgress), claim(name(newest, 0)))},
			message: "waiting for VolumeSnapshot", chosen: newest, restores: []int{0},
		},
		{
			name:    "Velero stopped between claim and VolumeSnapshot",
			edits:   edits{chosen(newest), with(restore(newest, 0, velerov1.RestorePhaseFailed), claim(name(newest, 0)))},
			message: "starts anew", chosen: newest, restores: []int{0}, noClaim: true,
		},
		{
			name: "the claim is going",
			edits: edits{chosen(newest), with(claim(name(newest, 0), func(p *corev1.PersistentVolumeClaim) {
				going(p)
			}))},
			message: "is gone", chosen: newest, restores: []int{},
		},

		// Done, for ever.
		{
			name:  "a push finds its volume and touches nothing, whatever became of the snapshot",
			edits: edits{chosen("seed-20260101000000-zzzzz"), restored("uid-claim"), with(claim("")), without("newest", "older", "request", "location")},
			done:  true, message: "the volume is there", chosen: "seed-20260101000000-zzzzz", restores: []int{},
		},
		{
			name:    "the restored volume was deleted: a reset, not another restore",
			edits:   edits{chosen(newest), restored("uid-before")},
			message: "is being reset", chosen: newest, restores: []int{},
		},

		// Foreign.
		{name: "an empty claim of a StatefulSet", edits: edits{with(claim(""))}, fails: true, foreign: true, message: "made without a restore", restores: []int{}},
		{
			name:  "a claim in the restored one's place",
			edits: edits{chosen(newest), restored("uid-before"), with(claim(name(newest, 0), bound))},
			fails: true, foreign: true, message: "took its place", chosen: newest, restores: []int{},
		},
		{name: "a claim of somebody's Restore", edits: edits{chosen(newest), with(claim("nightly"), volumeSnapshot("nightly", true))}, fails: true, foreign: true, message: "which is none for this preview", chosen: newest, restores: []int{}},
		{
			name:  "a claim of a Restore for the namespace before",
			edits: edits{chosen(newest), with(claim(snapshot.RestoreName(ns, "uid-before", newest, 0), bound))},
			fails: true, foreign: true, message: "which is none for this preview", chosen: newest, restores: []int{},
		},
		{
			name: "restored without a snapshot behind it",
			edits: edits{chosen(newest), with(restore(newest, 0, velerov1.RestorePhaseCompleted), claim(name(newest, 0), func(p *corev1.PersistentVolumeClaim) {
				p.Spec.DataSource = nil
			}))},
			fails: true, foreign: true, message: "so it is empty", chosen: newest, restores: []int{0},
		},
		{
			name:  "a VolumeSnapshot of another restore",
			edits: edits{chosen(newest), with(restore(newest, 0, velerov1.RestorePhaseCompleted), claim(name(newest, 0)), volumeSnapshot("nightly", true))},
			fails: true, foreign: true, message: "of another restore", chosen: newest, restores: []int{0},
		},
		{
			name: "a lost volume",
			edits: edits{chosen(newest), with(restore(newest, 0, velerov1.RestorePhaseCompleted), claim(name(newest, 0), func(p *corev1.PersistentVolumeClaim) {
				p.Status.Phase = corev1.ClaimLost
			}))},
			fails: true, foreign: true, message: "is lost", chosen: newest, restores: []int{0},
		},
	}
	for mode, edit := range map[string]func(map[string]client.Object){
		"velero": with(), "direct without a handle": with(), "direct": with(recorded()),
	} {
		for _, test := range tests {
			t.Run(mode+"/"+test.name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, interceptor.Funcs{}, append(test.edits, edit)...)
				if mode != "velero" {
					w.direct()
				}
				before, restores := w.claim(), w.restoreNames()
				progress, err := w.step()

				if mode == "direct" && (test.made || test.message == "was requested") {
					if test.instead != "" {
						test.chosen = test.instead
					}
					if err != nil || !strings.Contains(progress.Message, "was made") || progress.Snapshot != test.chosen {
						t.Fatalf("Step: %+v, %v", progress, err)
					}
					if got := w.namespace().Annotations[snapshot.AnnotationSnapshot]; got != test.chosen {
						t.Errorf("the namespace names snapshot %q, want %q", got, test.chosen)
					}
					if content, vs := w.pair(test.chosen); content == nil || vs == nil {
						t.Error("nothing stands for the snapshot")
					}
					if diff := cmp.Diff(restores, w.restoreNames()); diff != "" {
						t.Errorf("Restores differ (-want +got):\n%s", diff)
					}
					return
				}
				if (err != nil) != test.fails {
					t.Fatalf("Step: %v", err)
				}
				text := progress.Message
				if err != nil {
					text = err.Error()
				}
				if !strings.Contains(text, test.message) {
					t.Errorf("it says %q, want %q", text, test.message)
				}
				if progress.Done != test.done || progress.Place != test.place {
					t.Errorf("done %v, place %d; want %v, %d", progress.Done, progress.Place, test.done, test.place)
				}
				var foreign *broker.ForeignError
				if errors.As(err, &foreign) != test.foreign || errors.Is(err, broker.ErrGone) != test.gone {
					t.Errorf("wrong kind of error: %v", err)
				}
				if test.gone {
					return
				}
				if got := w.namespace().Annotations[snapshot.AnnotationSnapshot]; got != test.chosen {
					t.Errorf("the namespace names snapshot %q, want %q", got, test.chosen)
				}
				if test.restores != nil {
					want, of := map[string]bool{}, test.of
					if of == "" {
						of = newest
					}
					for _, attempt := range test.restores {
						want[name(of, attempt)] = true
					}
					got := map[string]bool{}
					for n := range w.restoreNames() {
						if strings.HasPrefix(n, ns) {
							got[n] = true
						}
					}
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("Restores differ (-want +got):\n%s", diff)
					}
				}
				after := w.claim()
				switch {
				case test.noClaim:
					if after != nil {
						t.Error("the half-made claim is still there")
					}
				case !test.done && before != nil:
					if diff := cmp.Diff(before, after); diff != "" {
						t.Errorf("a claim that is not done was changed:\n%s", diff)
					}
				}
			})
		}
	}
}

// What the one shape of Restore is, and what is written before it is made.
func TestVeleroRestoreIsRecordedBeforeItIsMade(t *testing.T) {
	t.Parallel()
	var w *world
	var made *velerov1.Restore
	w = newWorld(t, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			if r, ok := obj.(*velerov1.Restore); ok {
				made = r.DeepCopy()
				n := w.namespace()
				if n.Annotations[snapshot.AnnotationSnapshot] != newest || n.Annotations[snapshot.AnnotationSnapshotTime] != "2026-03-04T04:29:00Z" {
					t.Errorf("the namespace says %v before the Restore is made", n.Annotations)
				}
				if p, _ := w.state.Live(ns); p.Snapshot != newest {
					t.Errorf("the state says %q before the Restore is made", p.Snapshot)
				}
			}
			return c.Create(ctx, obj, opts...)
		},
	})
	if _, err := w.step(); err != nil {
		t.Fatal(err)
	}
	yes := true
	want := velerov1.RestoreSpec{
		BackupName:         newest,
		IncludedNamespaces: []string{seed},
		IncludedResources: []string{
			"persistentvolumeclaims", "volumesnapshots.snapshot.storage.k8s.io", "volumesnapshotcontents.snapshot.storage.k8s.io",
		},
		NamespaceMapping:       map[string]string{seed: ns},
		RestorePVs:             &yes,
		ExistingResourcePolicy: velerov1.PolicyTypeNone,
		ItemOperationTimeout:   metav1.Duration{Duration: 10 * time.Minute},
	}
	if diff := cmp.Diff(want, made.Spec); diff != "" {
		t.Errorf("spec differs (-want +got):\n%s", diff)
	}
	if len(made.Name) > 63 || made.Name != ns+"-"+made.Name[len(made.Name)-10:] {
		t.Errorf("its name is %q", made.Name)
	}
	wantLabels := map[string]string{
		"seedling.dev/preview": "7", "seedling.dev/key": key.Hash(), "seedling.dev/namespace": ns,
		"seedling.dev/seed": seed, "seedling.dev/snapshot": newest, "seedling.dev/owner": "seedling",
	}
	if diff := cmp.Diff(wantLabels, made.Labels); diff != "" {
		t.Errorf("labels differ (-want +got):\n%s", diff)
	}
}

// Nothing is restored when the choice could not be written down.
func TestVeleroNothingWithoutARecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t, interceptor.Funcs{})
	w.state.fail = errors.New("no ConfigMap today")
	if _, err := w.step(); err == nil || !strings.Contains(err.Error(), "no ConfigMap today") {
		t.Errorf("Step: %v", err)
	}
	if n := len(w.restores()); n != 0 {
		t.Errorf("%d Restores were made", n)
	}
	w.state.fail = nil
	if _, err := w.step(); err != nil {
		t.Fatal(err)
	}
	if n := len(w.restores()); n != 1 {
		t.Errorf("%d Restores afterwards, want 1", n)
	}
}

// A whole restore, and what is left on claim, namespace and state.
func TestVeleroFinish(t *testing.T) {
	t.Parallel()
	w := newWorld(t, interceptor.Funcs{})
	ctx := t.Context()
	var told []preview.Origin
	w.restored = func(_ preview.Preview, from preview.Origin) { told = append(told, from) }
	if _, err := w.step(); err != nil {
		t.Fatal(err)
	}
	r := w.restores()[0]
	for _, o := range []client.Object{claim(r.Name), volumeSnapshot(r.Name, true)} {
		if err := w.Create(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
	// The state fails after the volume was marked: the next step makes up.
	w.state.fail = errors.New("conflict")
	if _, err := w.step(); err == nil {
		t.Fatal("a volume that is not in the state counts as done")
	}
	w.state.fail = nil
	for range 2 {
		progress, err := w.step()
		if err != nil || !progress.Done || progress.Snapshot != newest {
			t.Fatalf("Step: %+v, %v", progress, err)
		}
	}
	pvc := w.claim()
	wantAnnotations := map[string]string{"kept": "yes", snapshot.AnnotationSnapshot: newest}
	if diff := cmp.Diff(wantAnnotations, pvc.Annotations); diff != "" {
		t.Errorf("the claim's annotations differ (-want +got):\n%s", diff)
	}
	wantLabels := map[string]string{"app": "postgres", snapshot.VeleroRestoreLabel: r.Name, snapshot.LabelOwner: "seedling", snapshot.VeleroExcludeLabel: "true"}
	if diff := cmp.Diff(wantLabels, pvc.Labels); diff != "" {
		t.Errorf("the claim's labels differ (-want +got):\n%s", diff)
	}
	if got := w.namespace().Annotations[snapshot.AnnotationPVC]; got != string(pvc.UID) {
		t.Errorf("the namespace records claim %q, want %q", got, pvc.UID)
	}
	if p, _ := w.state.Live(ns); p.PVCUID != pvc.UID || p.Snapshot != newest {
		t.Errorf("the state records %q from %q", p.PVCUID, p.Snapshot)
	}
	from := preview.Origin{Snapshot: newest, DataTime: "2026-03-04T04:29:00Z", DumpTime: "2026-03-04T03:30:00Z", Volume: pvc.UID}
	if diff := cmp.Diff([]preview.Origin{from}, told); diff != "" {
		t.Errorf("where the data is from differs (-want +got):\n%s", diff)
	}
	// A push, after a newer snapshot came, the Restore went and a developer
	// wrote: nothing is touched.
	if err := w.Delete(ctx, &r); err != nil {
		t.Fatal(err)
	}
	if err := w.Create(ctx, backup("seed-20260304052500-ccccc", now.Add(-5*time.Minute))); err != nil {
		t.Fatal(err)
	}
	before := w.claim()
	progress, err := w.step()
	if err != nil || !progress.Done || progress.Snapshot != newest {
		t.Fatalf("Step after a push: %+v, %v", progress, err)
	}
	if diff := cmp.Diff(before, w.claim()); diff != "" {
		t.Errorf("a push changed the claim:\n%s", diff)
	}
	if n := len(w.restores()); n != 0 {
		t.Errorf("a push made %d Restores", n)
	}
}

// When the source was dumped is not told of older snapshots, and never what was
// chosen before.
func TestVeleroSnapshotWithoutDumpTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, interceptor.Funcs{}, func(objects map[string]client.Object) {
		annotations := objects["newest"].GetAnnotations()
		delete(annotations, snapshot.AnnotationDumpTime)
		objects["namespace"].SetAnnotations(map[string]string{snapshot.AnnotationDumpTime: "2001-01-01T00:00:00Z"})
	})
	if _, err := w.step(); err != nil {
		t.Fatal(err)
	}
	if at, ok := w.namespace().Annotations[snapshot.AnnotationDumpTime]; ok {
		t.Errorf("the namespace says that the source was dumped at %s", at)
	}
	if w.namespace().Annotations[snapshot.AnnotationSnapshotTime] == "" {
		t.Error("the namespace does not say how old its data is")
	}
}

// A cluster that cannot be read is never one without a volume.
func TestVeleroUnreadable(t *testing.T) {
	t.Parallel()
	broken := errors.New("etcd is away")
	for what, is := range map[string]func(client.Object) bool{
		"claim":     func(o client.Object) bool { _, ok := o.(*corev1.PersistentVolumeClaim); return ok },
		"restore":   func(o client.Object) bool { _, ok := o.(*velerov1.Restore); return ok },
		"namespace": func(o client.Object) bool { _, ok := o.(*corev1.Namespace); return ok },
		"request":   func(o client.Object) bool { _, ok := o.(*corev1.ConfigMap); return ok },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			creations := 0
			w := newWorld(t, interceptor.Funcs{
				Get: func(ctx context.Context, c client.WithWatch, name client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
					if is(obj) {
						return broken
					}
					return c.Get(ctx, name, obj, opts...)
				},
				List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
					if _, ok := list.(*velerov1.RestoreList); ok && is(&velerov1.Restore{}) {
						return broken
					}
					return c.List(ctx, list, opts...)
				},
				Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
					creations++
					return c.Create(ctx, obj, opts...)
				},
			}, chosen(newest))
			if _, err := w.step(); !errors.Is(err, broken) || errors.Is(err, broker.ErrGone) {
				t.Errorf("Step: %v", err)
			}
			if creations != 0 {
				t.Errorf("%d objects were made", creations)
			}
		})
	}
}

// The newest snapshot may be out of reach while an older one is not: the older
// one is taken, and it is said wherever somebody looks.
func TestVeleroOlderSnapshotIsSaid(t *testing.T) {
	t.Parallel()
	away := change("newest", func(b *velerov1.Backup) { b.Spec.StorageLocation = "away" })
	for _, test := range []struct {
		name   string
		edits  []func(map[string]client.Object)
		chosen string
		newer  string
	}{
		{"away", []func(map[string]client.Object){away}, older, newest},
		{"away and not usable", []func(map[string]client.Object){away, change("newest", func(b *velerov1.Backup) { b.Status.Errors = 1 })}, older, ""},
		{"an older one is away", []func(map[string]client.Object){change("older", func(b *velerov1.Backup) { b.Spec.StorageLocation = "away" })}, newest, ""},
		{"chosen again", []func(map[string]client.Object){change("namespace", func(n *corev1.Namespace) {
			n.Annotations = map[string]string{snapshot.AnnotationSnapshot: "seed-20260101000000-zzzzz", snapshot.AnnotationNewer: "seed-20260102000000-zzzzz"}
		})}, newest, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			w := newWorld(t, interceptor.Funcs{}, test.edits...)
			w.velero = broker.NewVelero(broker.VeleroOptions{
				Client: w.WithWatch, Previews: w.state, VeleroNamespace: "velero",
				Log: slog.New(slog.NewTextHandler(&log, nil)), Now: func() time.Time { return w.now },
			})
			if _, err := w.step(); err != nil {
				t.Fatal(err)
			}
			want := "restored from snapshot " + test.chosen
			if test.newer != "" {
				want += "; Velero could not read the newer one, " + test.newer
			}
			n := w.namespace()
			if got := n.Annotations[snapshot.AnnotationSnapshot]; got != test.chosen {
				t.Fatalf("chosen %s", got)
			}
			if got := n.Annotations[snapshot.AnnotationNewer]; got != test.newer {
				t.Errorf("the namespace says that %q is newer", got)
			}
			said := strings.Contains(log.String(), "snapshot="+older+" newest="+newest+" location=away")
			if said != (test.newer != "") {
				t.Errorf("the log says: %s", log.String())
			}
			bound := func(p *corev1.PersistentVolumeClaim) { p.Status.Phase = corev1.ClaimBound }
			if err := w.Create(t.Context(), claim(name(test.chosen, 0), bound)); err != nil {
				t.Fatal(err)
			}
			if progress, err := w.step(); err != nil || progress.Message != want {
				t.Errorf("%q, error %v, want %q", progress.Message, err, want)
			}
		})
	}
}
