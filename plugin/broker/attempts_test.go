package broker_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// Three attempts within an hour and no more; but what broke them may be mended
// days later, and then there are others. However long it goes on, the Restores
// that are left are few, and a volume from any of them is known.
func TestAttemptsAreBoundedPerHour(t *testing.T) {
	t.Parallel()
	made := 0
	var w *world
	w = newWorld(t, interceptor.Funcs{
		// Velero fails at once.
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			if r, ok := o.(*velerov1.Restore); ok {
				made++
				r.Status.Phase, r.CreationTimestamp = velerov1.RestorePhaseFailed, metav1.Time{Time: w.now}
			}
			return c.Create(ctx, o, opts...)
		},
	})
	names := map[string]bool{}
	for hour := range 6 { // more are more Restores at once than may be made
		before := made
		for range 10 {
			_, err := w.step()
			for name := range w.restoreNames() {
				names[name] = true
			}
			if err != nil && !strings.Contains(err.Error(), "within an hour") {
				t.Fatal(err)
			}
			w.now = w.now.Add(time.Minute)
		}
		if n := made - before; n != 3 {
			t.Fatalf("%d attempts in hour %d", n, hour)
		}
		if n := len(w.restores()); n > 6 {
			t.Fatalf("%d Restores are left in hour %d", n, hour)
		}
		w.now = w.now.Add(50 * time.Minute)
	}
	for name := range names {
		if name == "" || !snapshot.RestoredInto(name, ns) {
			t.Errorf("a Restore is called %q", name)
		}
		volume := newWorld(t, interceptor.Funcs{}, chosen(newest), with(claim(name), volumeSnapshot(name, true)))
		if progress, err := volume.step(); err != nil || !progress.Done {
			t.Errorf("a volume of %s is not known: %+v, %v", name, progress, err)
		}
	}
}

// Many hooks wait while Velero does one Restore after the other. One watch tells
// all of them, and who waits costs the API server nothing.
func TestWaitingCostsNoCalls(t *testing.T) {
	t.Parallel()
	var calls, watches atomic.Int64
	var queue []client.Object
	for i := range 50 {
		queue = append(queue, &velerov1.Restore{ObjectMeta: metav1.ObjectMeta{
			Namespace: "velero", Name: fmt.Sprint("before-", i), CreationTimestamp: metav1.Time{Time: now.Add(-2 * time.Hour)},
		}})
	}
	waiting := restore(newest, 0, "")
	w := newWorld(t, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			calls.Add(1)
			return c.Get(ctx, key, o, opts...)
		},
		List: func(ctx context.Context, c client.WithWatch, l client.ObjectList, opts ...client.ListOption) error {
			calls.Add(1)
			return c.List(ctx, l, opts...)
		},
		Watch: func(ctx context.Context, c client.WithWatch, l client.ObjectList, opts ...client.ListOption) (watch.Interface, error) {
			defer watches.Add(1)
			return c.Watch(ctx, l, opts...)
		},
	}, chosen(newest), with(queue...), with(waiting))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.velero.Run(ctx) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	until(t, func() bool { _, known := w.velero.Waiting(); return known && watches.Load() == 3 })
	if n, _ := w.velero.Waiting(); n != 51 {
		t.Errorf("%d Restores wait", n)
	}
	// Those before it are somebody else's.
	if got, want := w.velero.OldestWaiting(), now.Sub(waiting.CreationTimestamp.Time); got != want {
		t.Errorf("our oldest waits for %s, not %s", got, want)
	}
	before := calls.Load()
	for range 100 {
		progress, err := w.step()
		if err != nil || progress.Place != 51 {
			t.Fatalf("%+v, %v", progress, err)
		}
	}
	if n := calls.Load() - before; n != 0 {
		t.Errorf("100 steps of one that waits cost %d calls", n)
	}

	// Its turn comes: whoever waits is told.
	p, _ := w.state.Live(ns)
	changed := w.velero.Watch(t.Context(), p)
	var r velerov1.Restore
	if err := w.Get(t.Context(), client.ObjectKeyFromObject(waiting), &r); err != nil {
		t.Fatal(err)
	}
	r.Status.Phase = velerov1.RestorePhaseInProgress
	if err := w.Update(t.Context(), &r); err != nil {
		t.Fatal(err)
	}
	<-changed
	until(t, func() bool {
		progress, err := w.step()
		return err == nil && strings.Contains(progress.Message, "is InProgress")
	})
	// So it is for a claim and its VolumeSnapshot.
	for _, o := range []client.Object{claim(name(newest, 0)), volumeSnapshot(name(newest, 0), true)} {
		changed := w.velero.Watch(t.Context(), p)
		if err := w.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		<-changed
	}
	if progress, err := w.step(); err != nil || !progress.Done {
		t.Errorf("%+v, %v", progress, err)
	}
}

// until waits for what another goroutine does.
func until(t *testing.T, what func() bool) {
	t.Helper()
	for !what() {
		select {
		case <-t.Context().Done():
			t.Fatal("it did not come")
		case <-time.After(time.Millisecond):
		}
	}
}

// What another plugin of the cluster made is not this one's, though the names
// are equal.
func TestAnotherPluginsNamespaceAndRestore(t *testing.T) {
	t.Parallel()
	other := restore(newest, 0, velerov1.RestorePhaseInProgress)
	other.Labels[snapshot.LabelOwner] = "seedling-b"
	w := newWorld(t, interceptor.Funcs{}, chosen(newest), with(other))
	if _, err := w.step(); err != nil || !w.restoreNames()[name(newest, 1)] {
		t.Errorf("another plugin's Restore was taken for ours: %v, %v", err, w.restoreNames())
	}
	for _, r := range w.restores() {
		if r.Name == name(newest, 1) && r.Labels[snapshot.LabelOwner] != "seedling" {
			t.Errorf("a Restore does not say whose it is: %v", r.Labels)
		}
	}
	w = newWorld(t, interceptor.Funcs{}, change("namespace", func(n client.Object) {
		n.SetLabels(map[string]string{snapshot.LabelOwner: "seedling-b"})
	}))
	if _, err := w.step(); err == nil || !strings.Contains(err.Error(), "another plugin, in namespace seedling-b") || len(w.restoreNames()) > 0 {
		t.Errorf("it restored into another plugin's namespace: %v, %v", err, w.restoreNames())
	}
}
