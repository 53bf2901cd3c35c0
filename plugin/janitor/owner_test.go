package janitor_test

import (
	"slices"
	"testing"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// unmarked is an object as a plugin made it before they marked what is theirs.
func unmarked[T client.Object](o T) T {
	delete(o.GetLabels(), snapshot.LabelOwner)
	return o
}

// others is an object of another plugin.
func others[T client.Object](o T) T {
	o.GetLabels()[snapshot.LabelOwner] = "seedling-b"
	return o
}

// Two plugins may have an ApplicationSet of the same name in two Argo CDs, for
// the same repository: then the names of all they make are the same, and one of
// them has it. The other one's janitor touches nothing of it, whatever its state
// says.
func TestAnotherPluginsAreLeftAlone(t *testing.T) {
	t.Parallel()
	all := func() []client.Object {
		return []client.Object{
			others(namespace()), pod(), claim(corev1.ClaimBound), volumeSnapshot(), content("content"),
			others(restore(restoreName(), velerov1.RestorePhaseNew)),
		}
	}
	gone := func() []client.Object { return all()[4:] } // the namespace is, its content and its Restore are not
	tests := []struct {
		name    string
		objects []client.Object
		ended   bool
		lingers bool
	}{
		{name: "unknown to this one", objects: all()},
		{name: "ended by this one", objects: all(), ended: true},
		{name: "kept by this one", objects: all(), ended: true, lingers: true},
		{name: "unknown, without its namespace", objects: gone()},
		{name: "ended, without its namespace", objects: gone(), ended: true},
		{name: "ended, without its namespace, in direct mode", objects: []client.Object{content("content", marked("seedling-b"))}, ended: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, test.objects...)
			if test.ended {
				w.end(ns)
			}
			if test.lingers {
				w.state.ended[0].LingersUntil = now.Add(time.Hour)
			}
			for range 20 {
				if _, err := w.j.Pass(t.Context()); err != nil {
					t.Fatal(err)
				}
				w.now = w.now.Add(11 * time.Minute)
			}
			if len(w.did) > 0 || w.state.closed > 0 {
				t.Errorf("it did %v, closed %d", w.did, w.state.closed)
			}
			if test.ended && !slices.Contains(w.state.forgotten, ns) {
				t.Error("it does not come to an end of its own")
			}
		})
	}
}

// What is from before plugins marked what is theirs is removed with its preview
// where the state remembers its UID.
func TestUnmarkedIsOursByItsUID(t *testing.T) {
	t.Parallel()
	remembered := unmarked(restore(restoreName(), velerov1.RestorePhaseCompleted))
	remembered.Annotations = map[string]string{snapshot.AnnotationNamespaceUID: "uid-ns"}
	space := unmarked(namespace())
	space.UID = "uid-ns"
	for _, test := range []struct {
		name string
		gone bool
	}{{"remembered", true}, {"of another life", false}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			mine := space.DeepCopy()
			mine.UID = "uid-ns"
			w := newWorld(t, mine, claim(corev1.ClaimBound), content("content"), remembered.DeepCopy())
			w.end(ns)
			w.state.ended[0].NamespaceUID = "uid-ns"
			if !test.gone {
				w.state.ended[0].NamespaceUID = "uid-other"
			}
			w.passes(30)
			for _, o := range []client.Object{mine, &corev1.PersistentVolumeClaim{ObjectMeta: meta(ns, snapshot.SeedPVC, nil)}, &snapshotv1.VolumeSnapshotContent{ObjectMeta: meta("", "content", nil)}, remembered} {
				if w.has(o) == test.gone {
					t.Errorf("%T %s: there %v", o, o.GetName(), !test.gone)
				}
			}
		})
	}
}
