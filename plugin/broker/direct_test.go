package broker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/preview"
)

// snapshotter plays the storage's part: the VolumeSnapshot of a snapshot gets
// ready, or an error.
func (w *world) snapshotter(chosen string, edit func(*snapshotv1.VolumeSnapshotStatus)) {
	w.t.Helper()
	content, vs := w.pair(chosen)
	if content == nil || vs == nil {
		w.t.Fatal("nothing stands for the snapshot")
	}
	content.Spec.VolumeSnapshotRef.UID = "uid-vs"
	vs.Status = &snapshotv1.VolumeSnapshotStatus{}
	edit(vs.Status)
	for _, o := range []client.Object{content, vs} {
		if err := w.Update(w.t.Context(), o); err != nil {
			w.t.Fatal(err)
		}
	}
}

func ready(s *snapshotv1.VolumeSnapshotStatus) { yes := true; s.ReadyToUse = &yes }

func refused(s *snapshotv1.VolumeSnapshotStatus) {
	text := "rpc error: no snapshot of that handle"
	s.Error = &snapshotv1.VolumeSnapshotError{Message: &text}
}

// The whole way of a preview, and the shape of all that is made on it.
func TestDirect(t *testing.T) {
	t.Parallel()
	w := newWorld(t, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			o.SetUID(types.UID("uid-" + o.GetName()))
			return c.Create(ctx, o, opts...)
		},
	}, with(recorded()))
	w.direct()
	progress, err := w.step()
	if err != nil || progress.Done || progress.Snapshot != newest {
		t.Fatalf("Step: %+v, %v", progress, err)
	}
	restoreName := name(newest, 0)
	labels := map[string]string{
		"velero.io/restore-name": restoreName, "seedling.dev/owner": "seedling", "seedling.dev/preview": "7", "seedling.dev/key": key.Hash(),
		"seedling.dev/namespace": ns, "seedling.dev/seed": seed, "seedling.dev/snapshot": newest,
	}
	handle, class, files := "snap-newest", "btrfs", corev1.PersistentVolumeFilesystem
	content, vs := w.pair(newest)
	if diff := cmp.Diff(snapshotv1.VolumeSnapshotContentSpec{
		DeletionPolicy: snapshotv1.VolumeSnapshotContentRetain, Driver: "csi.example.com", VolumeSnapshotClassName: &class,
		Source: snapshotv1.VolumeSnapshotContentSource{SnapshotHandle: &handle}, SourceVolumeMode: &files,
		VolumeSnapshotRef: corev1.ObjectReference{APIVersion: "snapshot.storage.k8s.io/v1", Kind: "VolumeSnapshot", Namespace: ns, Name: restoreName},
	}, content.Spec); diff != "" {
		t.Errorf("the content differs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(snapshotv1.VolumeSnapshotSpec{Source: snapshotv1.VolumeSnapshotSource{VolumeSnapshotContentName: &restoreName}}, vs.Spec); diff != "" {
		t.Errorf("the VolumeSnapshot differs (-want +got):\n%s", diff)
	}
	for _, o := range []client.Object{content, vs} {
		if diff := cmp.Diff(labels, o.GetLabels()); diff != "" {
			t.Errorf("labels of %T differ (-want +got):\n%s", o, diff)
		}
	}

	progress, err = w.step()
	if err != nil || progress.Done || !strings.Contains(progress.Message, "to be ready") || w.claim() != nil {
		t.Fatalf("Step before the snapshot is ready: %+v, %v", progress, err)
	}
	w.snapshotter(newest, ready)
	progress, err = w.step()
	if err != nil || !progress.Done || progress.Snapshot != newest || progress.Message != "restored from snapshot "+newest {
		t.Fatalf("Step when it is ready: %+v, %v", progress, err)
	}
	pvc := w.claim()
	group, storage := snapshotv1.GroupName, "later"
	if diff := cmp.Diff(corev1.PersistentVolumeClaimSpec{
		AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, StorageClassName: &storage,
		Resources:  corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("2Gi")}},
		DataSource: &corev1.TypedLocalObjectReference{APIGroup: &group, Kind: "VolumeSnapshot", Name: restoreName},
	}, pvc.Spec); diff != "" {
		t.Errorf("the claim differs (-want +got):\n%s", diff)
	}
	// What Velero mode leaves on a claim, and no more.
	if diff := cmp.Diff(map[string]string{snapshot.VeleroRestoreLabel: restoreName, snapshot.LabelOwner: "seedling", snapshot.VeleroExcludeLabel: "true"}, pvc.Labels); diff != "" {
		t.Errorf("the claim's labels differ (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{snapshot.AnnotationSnapshot: newest}, pvc.Annotations); diff != "" {
		t.Errorf("the claim's annotations differ (-want +got):\n%s", diff)
	}
	n := w.namespace()
	if n.Annotations[snapshot.AnnotationPVC] != string(pvc.UID) || n.Annotations[snapshot.AnnotationSnapshotTime] != "2026-03-04T04:29:00Z" {
		t.Errorf("the namespace says %v", n.Annotations)
	}
	if p, _ := w.state.Live(ns); p.PVCUID != pvc.UID || p.Snapshot != newest {
		t.Errorf("the state records %q from %q", p.PVCUID, p.Snapshot)
	}
	if n := len(w.restores()); n != 0 {
		t.Errorf("%d Restores were made", n)
	}
}

// Whatever a step was cut off after, or somebody deletes in between, the next
// steps come to one whole volume.
func TestDirectGoesOnAfterEveryCall(t *testing.T) {
	t.Parallel()
	away := errors.New("the API server is away")
	for cut := range 60 {
		t.Run(fmt.Sprint(cut), func(t *testing.T) {
			t.Parallel()
			calls, whole := 0, false
			fail := func(do func() error) error {
				calls++
				if calls == cut+1 {
					return away // not done
				}
				return do()
			}
			w := newWorld(t, interceptor.Funcs{
				Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
					calls++
					o.SetUID(types.UID(fmt.Sprint("uid-", calls)))
					err := c.Create(ctx, o, opts...)
					if calls == cut+1 && err == nil {
						return away // done, and nobody heard of it
					}
					return err
				},
				Get: func(ctx context.Context, c client.WithWatch, k client.ObjectKey, o client.Object, opts ...client.GetOption) error {
					return fail(func() error { return c.Get(ctx, k, o, opts...) })
				},
				List: func(ctx context.Context, c client.WithWatch, l client.ObjectList, opts ...client.ListOption) error {
					return fail(func() error { return c.List(ctx, l, opts...) })
				},
				Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
					return fail(func() error { return c.Patch(ctx, o, p, opts...) })
				},
			}, with(recorded()))
			for range 10 {
				w.direct() // a restart forgets all that is not written down
				progress, err := w.step()
				if err != nil && !errors.Is(err, away) {
					t.Fatal(err)
				}
				if progress.Done {
					whole = true
					break
				}
				at := calls
				calls = 1000 // the test's own calls do not fail
				if content, vs := w.pair(newest); content != nil && vs != nil && vs.Status == nil {
					w.snapshotter(newest, ready)
				}
				calls = at
			}
			calls = 1000
			if !whole || w.claim() == nil || w.claim().Annotations[snapshot.AnnotationSnapshot] != newest {
				t.Errorf("no volume came of it: %v", w.claim())
			}
			if n := len(w.restores()); n != 0 {
				t.Errorf("%d Restores were made", n)
			}
		})
	}
}

func TestDirectStep(t *testing.T) {
	t.Parallel()
	type edits = []func(map[string]client.Object)
	standing := func(chosen string, edits ...func(*snapshotv1.VolumeSnapshotContent, *snapshotv1.VolumeSnapshot)) func(map[string]client.Object) {
		w := newWorld(t, interceptor.Funcs{}, with(recorded()), func(all map[string]client.Object) {
			if chosen == older {
				delete(all, "newest")
			}
		})
		w.direct()
		if _, err := w.step(); err != nil {
			t.Fatal(err)
		}
		content, vs := w.pair(chosen)
		content.ResourceVersion, vs.ResourceVersion = "", ""
		content.UID, vs.UID = "uid-content", "uid-vs"
		vs.CreationTimestamp = metav1.Time{Time: now.Add(-10 * time.Minute)}
		vs.Status = &snapshotv1.VolumeSnapshotStatus{}
		for _, edit := range edits {
			edit(content, vs)
		}
		if content.Name == "" {
			return with(vs)
		}
		if vs.Name == "" {
			return with(content)
		}
		return with(content, vs)
	}
	status := func(edit func(*snapshotv1.VolumeSnapshotStatus)) func(*snapshotv1.VolumeSnapshotContent, *snapshotv1.VolumeSnapshot) {
		return func(_ *snapshotv1.VolumeSnapshotContent, vs *snapshotv1.VolumeSnapshot) { edit(vs.Status) }
	}
	going := func(o client.Object) {
		o.SetDeletionTimestamp(&metav1.Time{Time: now})
		o.SetFinalizers([]string{"test/hold"})
	}
	withdrawn := change("older", func(b *velerov1.Backup) { b.Annotations[snapshot.AnnotationPolicyDigest] = strings.Repeat("00", 32) })

	for _, test := range []struct {
		name    string
		edits   edits
		message string
		fails   bool
		done    bool
		// chosen afterwards; pairs are the snapshots that something stands for.
		chosen   string
		pairs    []string
		restores int
	}{
		{name: "no handle was recorded: Velero restores", edits: edits{change("recorded", func(c *corev1.ConfigMap) { delete(c.Data, newest) })}, message: "was requested", chosen: newest, restores: 1},
		{
			name: "its storage cannot be read by Velero, which is not asked", edits: edits{without("location")},
			message: "VolumeSnapshot " + snapshot.RestoreName(ns, namespaceUID, newest, 0) + " of snapshot " + newest + " was made", chosen: newest, pairs: []string{newest},
		},
		{
			name: "its storage cannot be read, and no handle of the newest was recorded: the one before", edits: edits{without("location"), change("recorded", func(c *corev1.ConfigMap) {
				c.Data[older] = c.Data[newest]
				delete(c.Data, newest)
			})},
			message: "VolumeSnapshot " + snapshot.RestoreName(ns, namespaceUID, older, 0) + " of snapshot " + older + " was made", chosen: older, pairs: []string{older},
		},
		{
			name: "its storage cannot be read, and no handle was recorded", edits: edits{without("location"), change("recorded", func(c *corev1.ConfigMap) { c.Data = nil })},
			fails: true, message: "no storage location is Available",
		},
		{name: "direct mode is not installed: Velero restores", edits: edits{without("recorded")}, message: "was requested", chosen: newest, restores: 1},
		{
			name: "a handle that cannot be read is said", edits: edits{change("recorded", func(c *corev1.ConfigMap) { c.Data[newest] = "snap-1" })},
			fails: true, message: "take it out, and Velero restores that snapshot", chosen: newest,
		},
		{
			name: "Velero is at work already", edits: edits{chosen(newest), with(restore(newest, 0, velerov1.RestorePhaseInProgress))},
			message: "is InProgress", chosen: newest, restores: 1,
		},
		{
			name: "the VolumeSnapshot is missing", edits: edits{chosen(newest), standing(newest, func(_ *snapshotv1.VolumeSnapshotContent, vs *snapshotv1.VolumeSnapshot) { vs.Name = "" })},
			message: "was made", chosen: newest, pairs: []string{newest},
		},
		{
			name: "the content is missing", edits: edits{chosen(newest), standing(newest, func(c *snapshotv1.VolumeSnapshotContent, _ *snapshotv1.VolumeSnapshot) { c.Name = "" })},
			message: "was made", chosen: newest, pairs: []string{newest},
		},
		{
			name: "the VolumeSnapshot was deleted: its content binds to no other",
			edits: edits{chosen(newest), standing(newest, func(c *snapshotv1.VolumeSnapshotContent, vs *snapshotv1.VolumeSnapshot) {
				vs.Name, c.Spec.VolumeSnapshotRef.UID = "", "uid-before"
			})},
			message: "is made anew", chosen: newest,
		},
		{
			name: "the content is going", edits: edits{chosen(newest), standing(newest, func(c *snapshotv1.VolumeSnapshotContent, _ *snapshotv1.VolumeSnapshot) { going(c) })},
			message: "of an earlier try is gone", chosen: newest, pairs: []string{newest},
		},
		{
			name: "a content of our name that would take the snapshot with it",
			edits: edits{chosen(newest), standing(newest, func(c *snapshotv1.VolumeSnapshotContent, _ *snapshotv1.VolumeSnapshot) {
				c.Spec.DeletionPolicy = snapshotv1.VolumeSnapshotContentDelete
			})},
			fails: true, message: "is not as this plugin makes it", chosen: newest, pairs: []string{newest},
		},
		{
			name: "a content of another plugin",
			edits: edits{chosen(newest), standing(newest, func(c *snapshotv1.VolumeSnapshotContent, _ *snapshotv1.VolumeSnapshot) {
				c.Labels[snapshot.LabelOwner] = "another"
			})},
			fails: true, message: "is not as this plugin makes it", chosen: newest, pairs: []string{newest},
		},
		{
			name: "a VolumeSnapshot of our name that takes a snapshot of something",
			edits: edits{chosen(newest), standing(newest, func(_ *snapshotv1.VolumeSnapshotContent, vs *snapshotv1.VolumeSnapshot) {
				vs.Spec.Source = snapshotv1.VolumeSnapshotSource{PersistentVolumeClaimName: &vs.Name}
			})},
			fails: true, message: "is not as this plugin makes it", chosen: newest, pairs: []string{newest},
		},
		{
			name: "the driver refuses, and there is no newer snapshot", edits: edits{chosen(newest), standing(newest, status(refused))},
			fails: true, message: "no snapshot of that handle", chosen: newest, pairs: []string{newest},
		},
		{
			name: "the driver refuses for long, and there is a newer snapshot", edits: edits{chosen(older), standing(older, status(refused))},
			message: "was made", chosen: newest, pairs: []string{newest},
		},
		{
			name: "the driver refuses for a moment", edits: edits{chosen(older), standing(older, status(refused), func(_ *snapshotv1.VolumeSnapshotContent, vs *snapshotv1.VolumeSnapshot) {
				vs.CreationTimestamp = metav1.Time{Time: now.Add(-time.Second)}
			})},
			fails: true, message: "no snapshot of that handle", chosen: older, pairs: []string{older},
		},
		{
			name: "ready after an error", edits: edits{chosen(newest), standing(newest, status(refused), status(ready))},
			done: true, message: "restored from", chosen: newest, pairs: []string{newest},
		},
		{
			name: "the policy was tightened while nobody asked", edits: edits{chosen(older), standing(older, status(ready)), withdrawn},
			message: "was made", chosen: newest, pairs: []string{newest},
		},
		{
			name: "the policy was tightened before there was a VolumeSnapshot", edits: edits{chosen(older), withdrawn, standing(older, func(_ *snapshotv1.VolumeSnapshotContent, vs *snapshotv1.VolumeSnapshot) { vs.Name = "" })},
			message: "was made", chosen: newest, pairs: []string{newest},
		},
		{
			name: "the policy was tightened, and nothing is usable", edits: edits{chosen(older), standing(older, status(ready)), withdrawn, without("newest")},
			fails: true, message: "no usable snapshot", chosen: older, pairs: []string{older},
		},
		{
			name: "somebody deleted the VolumeSnapshot of a claim that waits", edits: edits{chosen(newest), with(claim(name(newest, 0)))},
			message: "starts anew", chosen: newest,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, interceptor.Funcs{}, append(edits{func(all map[string]client.Object) { all["recorded"] = recorded() }}, test.edits...)...)
			w.direct()
			progress, err := w.step()
			text := progress.Message
			if err != nil {
				text = err.Error()
			}
			if (err != nil) != test.fails || progress.Done != test.done || !strings.Contains(text, test.message) {
				t.Errorf("Step: %+v, %v", progress, err)
			}
			if got := w.namespace().Annotations[snapshot.AnnotationSnapshot]; got != test.chosen {
				t.Errorf("chosen is %s, want %s", got, test.chosen)
			}
			for _, of := range []string{newest, older} {
				content, vs := w.pair(of)
				if want := slices.Contains(test.pairs, of); (content != nil) != want || (vs != nil) != want {
					t.Errorf("of %s there are content %v, VolumeSnapshot %v; want %v", of, content != nil, vs != nil, want)
				}
			}
			if n := len(w.restores()); n != test.restores {
				t.Errorf("%d Restores, want %d", n, test.restores)
			}
			if (w.claim() != nil) != test.done {
				t.Errorf("there is a claim: %v", w.claim())
			}
		})
	}
}

// Previews do not wait for each other: each comes to its volume in as many steps
// as one alone.
func TestDirectIsParallel(t *testing.T) {
	t.Parallel()
	const many = 50
	w := newWorld(t, interceptor.Funcs{}, with(recorded()))
	w.direct()
	var previews []preview.Preview
	for i := range many {
		k := key
		k.Number = int64(100 + i)
		p := preview.Preview{Key: k, Namespace: k.Namespace(), Seed: seed, NamespaceUID: namespaceUID, Phase: preview.Live}
		if err := w.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: p.Namespace, UID: namespaceUID}}); err != nil {
			t.Fatal(err)
		}
		previews = append(previews, p)
	}
	steps := func(done bool) {
		for _, p := range previews {
			progress, err := w.velero.Step(t.Context(), p)
			if err != nil || progress.Done != done || progress.Place != 0 {
				t.Fatalf("%s: %+v, %v", p.Namespace, progress, err)
			}
		}
	}
	steps(false)
	var all snapshotv1.VolumeSnapshotList
	if err := w.List(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	if len(all.Items) != many {
		t.Fatalf("%d VolumeSnapshots after one step of each", len(all.Items))
	}
	for i := range all.Items {
		all.Items[i].Status = &snapshotv1.VolumeSnapshotStatus{}
		ready(all.Items[i].Status)
		if err := w.Update(t.Context(), &all.Items[i]); err != nil {
			t.Fatal(err)
		}
	}
	steps(true)
}
