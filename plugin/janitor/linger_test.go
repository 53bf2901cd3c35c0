package janitor_test

import (
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// TestLinger: of an ended preview that keeps its data everything goes but its
// namespace and the claim, and those when its time is over.
func TestLinger(t *testing.T) {
	t.Parallel()
	other := claim(corev1.ClaimBound)
	other.Name, other.UID = "cache", "uid-cache"
	platform := postgres()
	own := &appsv1.StatefulSet{ObjectMeta: meta(ns, "redis", map[string]string{snapshot.LabelOwner: "seedling", snapshot.LabelPostgres: snapshot.PostgresPlatform})}
	w := newWorld(t, append(platform, namespace(), pod(), claim(corev1.ClaimBound), other, application(), own)...)
	w.end(ns)
	w.state.ended[0].LingersUntil = now.Add(15 * time.Minute)

	w.passes(3)
	if len(w.state.rest) > 0 || w.state.closed > 0 || !w.has(pod()) {
		t.Fatal("it rests while Argo CD has its Application")
	}
	if err := w.Delete(t.Context(), application(), client.Preconditions{UID: uid(application())}); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(time.Minute)
	w.passes(20)
	if len(w.state.rest) != 1 || w.state.closed == 0 {
		t.Fatalf("rests %v, closed %d times", w.state.rest, w.state.closed)
	}
	if !w.has(namespace()) || !w.has(claim(corev1.ClaimBound)) || w.has(pod()) || w.has(other) {
		t.Errorf("namespace %v, claim %v, pod %v, other claim %v", w.has(namespace()), w.has(claim(corev1.ClaimBound)), w.has(pod()), w.has(other))
	}
	if w.has(platform[0]) || w.has(platform[1]) || !w.has(own) {
		t.Errorf("StatefulSet %v, Service %v, another StatefulSet %v", w.has(platform[0]), w.has(platform[1]), w.has(own))
	}
	closed := w.state.closed
	w.passes(5)
	if w.state.closed != closed || len(w.state.forgotten) > 0 {
		t.Error("one at rest was touched")
	}
	w.now = now.Add(15 * time.Minute)
	w.passes(20)
	if w.has(claim(corev1.ClaimBound)) || w.has(namespace()) || !slices.Equal(w.state.forgotten, []string{ns}) {
		t.Errorf("after its time: claim %v, forgotten %v", w.has(claim(corev1.ClaimBound)), w.state.forgotten)
	}
}

// TestStuck: an ended preview whose Application stays is looked at less and less.
func TestStuck(t *testing.T) {
	t.Parallel()
	w := newWorld(t, namespace(), application())
	w.end(ns)
	looks := 0
	w.fail = func(verb string, obj runtime.Object) error {
		if _, ok := obj.(*corev1.Namespace); !ok && verb == "get" {
			looks++
		}
		return nil
	}
	for range 7200 { // an hour
		if _, err := w.j.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.now = w.now.Add(500 * time.Millisecond)
	}
	if looks > 120 {
		t.Errorf("%d looks in an hour", looks)
	}
	if err := w.Delete(t.Context(), application(), client.Preconditions{UID: uid(application())}); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(time.Minute)
	w.passes(20)
	if w.has(namespace()) {
		t.Error("it is still there when it could go")
	}
}

func uid(obj client.Object) *types.UID {
	u := obj.GetUID()
	return &u
}
