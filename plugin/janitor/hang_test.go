package janitor_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/janitor"
)

// hanging is a janitor in a cluster where deletions are counted and change
// nothing, with the graces that pods were given.
type hanging struct {
	client.Client
	j      *janitor.Janitor
	now    time.Time
	graces []int64
	said   []string
}

func newHanging(t *testing.T, objects ...client.Object) *hanging {
	t.Helper()
	w := &hanging{now: now}
	w.Client = fake.NewClientBuilder().WithScheme(scheme()).WithObjects(objects...).WithInterceptorFuncs(interceptor.Funcs{
		Delete: func(_ context.Context, _ client.WithWatch, obj client.Object, opts ...client.DeleteOption) error {
			if o := (&client.DeleteOptions{}).ApplyOptions(opts); o.GracePeriodSeconds != nil {
				w.graces = append(w.graces, *o.GracePeriodSeconds)
			}
			return nil
		},
	}).Build()
	s := &state{known: map[string]bool{}}
	(&world{state: s}).end(ns)
	w.j = janitor.New(janitor.Options{
		Client: w.Client, Owner: "seedling", Previews: s, Ready: func() error { return nil }, ArgoCDNamespace: "argocd", VeleroNamespace: "velero",
		Hangs: func(namespace, what string) { w.said = append(w.said, namespace+": "+what) },
		Log:   slog.New(slog.DiscardHandler), Now: func() time.Time { return w.now },
	})
	return w
}

func (w *hanging) pass(t *testing.T) {
	t.Helper()
	if _, err := w.j.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func slowly(grace int64) *corev1.Pod {
	p := deletedAgo(0, pod())
	p.DeletionGracePeriodSeconds = &grace
	return p
}

// A pod that gave itself ten years has a second, and then none; whether it or
// its namespace was deleted first.
func TestPodsEnd(t *testing.T) {
	t.Parallel()
	for name, ns := range map[string]*corev1.Namespace{"namespace there": namespace(), "namespace ending": deletedAgo(0, namespace())} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newHanging(t, ns, slowly(315360000))
			w.pass(t)
			w.now = w.now.Add(31 * time.Second)
			w.pass(t)
			if diff := cmp.Diff([]int64{1, 0}, w.graces); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What ends within its second is not asked again.
func TestPodsAreAskedOnce(t *testing.T) {
	t.Parallel()
	w := newHanging(t, namespace(), slowly(1))
	w.pass(t)
	if len(w.graces) != 0 {
		t.Errorf("graces %v", w.graces)
	}
}

// A claim's own finalizers hold it a while; those of the cluster stay, and no
// claim in use is touched.
func TestClaimsAreFreed(t *testing.T) {
	t.Parallel()
	hold := func() *corev1.PersistentVolumeClaim {
		c := deletedAgo(0, claim(corev1.ClaimBound))
		c.Finalizers = []string{"kubernetes.io/pvc-protection", "example.com/hold", "snapshot.storage.kubernetes.io/pvc-as-source-protection"}
		return c
	}
	all := hold().Finalizers
	tests := []struct {
		name    string
		after   time.Duration
		objects []client.Object
		want    []string
	}{
		{name: "at once", objects: []client.Object{hold()}, want: all},
		{name: "later", after: 2 * time.Minute, objects: []client.Object{hold()}, want: []string{all[0], all[2]}},
		{name: "in use", after: 2 * time.Minute, objects: []client.Object{hold(), slowly(0)}, want: all},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newHanging(t, append(test.objects, deletedAgo(0, namespace()))...)
			w.now = w.now.Add(test.after)
			w.pass(t)
			var c corev1.PersistentVolumeClaim
			if err := w.Get(t.Context(), types.NamespacedName{Namespace: ns, Name: snapshot.SeedPVC}, &c); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, c.Finalizers); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What else holds a namespace is said once, with what shows it, in the words of
// the namespace controller.
func TestHangIsSaid(t *testing.T) {
	t.Parallel()
	condition := func(kind corev1.NamespaceConditionType, message string) corev1.NamespaceCondition {
		return corev1.NamespaceCondition{Type: kind, Status: corev1.ConditionTrue, Message: message}
	}
	tests := []struct {
		name       string
		conditions []corev1.NamespaceCondition
		want       string
	}{
		{name: "nothing yet"},
		{
			name: "a finalizer",
			conditions: []corev1.NamespaceCondition{
				condition(corev1.NamespaceContentRemaining, "Some resources are remaining: configmaps. has 1 resource instances, widgets.example.com has 2 resource instances"),
				condition(corev1.NamespaceFinalizersRemaining, "Some content in the namespace has finalizers remaining: example.com/hold in 3 resource instances"),
			},
			want: ": configmaps, widgets.example.com with finalizer example.com/hold: kubectl -n " + ns + " get configmaps,widgets.example.com",
		},
		{
			name:       "an API that is away",
			conditions: []corev1.NamespaceCondition{condition(corev1.NamespaceDeletionDiscoveryFailure, "Discovery failed for some groups")},
			want:       ": an API of the cluster that does not answer: kubectl get apiservices",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			n := deletedAgo(0, namespace())
			n.Status.Conditions = test.conditions
			w := newHanging(t, n)
			w.pass(t)
			if len(w.said) != 0 {
				t.Errorf("at once: %v", w.said)
			}
			w.now = w.now.Add(2 * time.Minute)
			w.pass(t)
			w.pass(t)
			want := ""
			if test.want != "" {
				want = ns + test.want
			}
			if got := strings.Join(w.said, "\n"); got != want {
				t.Errorf("it says %q, want %q", got, want)
			}
		})
	}
}
