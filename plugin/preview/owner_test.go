package preview

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/forge"
)

// written notes what a plugin writes, by namespace.
type written struct {
	client.WithWatch
	to map[string]bool
}

func (w written) note(o client.Object) {
	name := o.GetNamespace()
	if name == "" {
		name = o.GetName()
	}
	w.to[name] = true
}

func (w written) Create(ctx context.Context, o client.Object, opts ...client.CreateOption) error {
	err := w.WithWatch.Create(ctx, o, opts...)
	if err == nil {
		w.note(o)
	}
	return err
}

func (w written) Update(ctx context.Context, o client.Object, opts ...client.UpdateOption) error {
	w.note(o)
	return w.WithWatch.Update(ctx, o, opts...)
}

func (w written) Patch(ctx context.Context, o client.Object, p client.Patch, opts ...client.PatchOption) error {
	w.note(o)
	return w.WithWatch.Patch(ctx, o, p, opts...)
}

func (w written) Delete(ctx context.Context, o client.Object, opts ...client.DeleteOption) error {
	w.note(o)
	return w.WithWatch.Delete(ctx, o, opts...)
}

// beside is another plugin in the cluster of a world: with a namespace, a state
// and an Argo CD of its own, and an ApplicationSet of the same name for the same
// repository.
func (w *world) beside(t *testing.T) (*world, map[string]bool) {
	t.Helper()
	to := map[string]bool{}
	kube := written{w.cluster, to}
	store := NewStore(kube, "seedling-b")
	if err := store.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := &world{t: t, cluster: w.cluster, host: w.host, seeds: w.seeds, said: &strings.Builder{}, pokes: make(chan string, 1000), now: w.now}
	b.Reconciler = NewReconciler(Options{
		Log: slog.New(slog.NewTextHandler(b.said, nil)), Store: store,
		Namespaces: &Namespaces{
			Client: struct{ client.Client }{kube}, Owner: "seedling-b", Guards: DefaultGuards(), BrokerNamespace: "seedling-b", BrokerPort: 8081,
		},
		Snapshots: w.seeds, Forges: map[string]forge.Forge{"gitea": w.host},
		Poke: func(_ context.Context, set string) error { b.pokes <- set; return nil },
		Now:  func() time.Time { return b.now },
	})
	b.asks(asksForShop)
	return b, to
}

// Everything that is made says whose it is.
func TestAllThatIsMadeIsMarked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newHost(pull(1)))
	w.mustRound()
	for _, list := range []client.ObjectList{
		&corev1.NamespaceList{}, &corev1.ResourceQuotaList{}, &corev1.LimitRangeList{}, &networkingv1.NetworkPolicyList{},
		&corev1.ServiceAccountList{}, &corev1.SecretList{}, &corev1.ConfigMapList{},
	} {
		if err := w.cluster.List(t.Context(), list); err != nil {
			t.Fatal(err)
		}
		items, err := meta.ExtractList(list)
		if err != nil || len(items) == 0 {
			t.Errorf("there is no %T: %v", list, err)
		}
		for _, item := range items {
			o, ok := item.(client.Object)
			if !ok || o.GetLabels()[snapshot.LabelOwner] != "seedling" {
				t.Errorf("%T %s does not say whose it is: %v", item, o.GetName(), o.GetLabels())
			}
		}
	}
}

// Two plugins whose previews have the same names: the one that came first has
// them, the other one says so and writes nothing there, whatever becomes of them.
func TestTwoPlugins(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newHost(pull(1), pull(2)))
	w.mustRound()
	b, to := w.beside(t)
	step := func(when string) {
		t.Helper()
		b.now = w.now
		w.mustRound()
		if err := b.quickRound(); err != nil {
			t.Fatal(err)
		}
		for name := range to {
			if snapshot.IsPreview(name) {
				t.Errorf("%s: the other plugin wrote into %s", when, name)
			}
		}
		if n := len(b.answered()); n != 0 {
			t.Errorf("%s: the other plugin answers with %d previews", when, n)
		}
	}
	step("at first")
	p, _ := b.preview(1)
	if p.Phase != Held || !strings.Contains(p.Reason, "another plugin, in namespace seedling: give this ApplicationSet another name") {
		t.Errorf("%s: %s", p.Phase, p.Reason)
	}
	w.host.set(pull(1, closed))
	step("one is closed")
	w.host.set(pull(2, func(p *forge.PullRequest) { p.HeadSHA = strings.Repeat("c", 40) }))
	step("one is pushed to")
	if mine, _ := w.preview(2); mine.Phase != Live || mine.HeadSHA != strings.Repeat("c", 40) {
		t.Errorf("the first plugin's preview is %s at %s", mine.Phase, mine.HeadSHA)
	}
	// A state that says otherwise gives nobody another's namespace: guards are not
	// mended, and nothing is marked.
	mine, _ := w.preview(2)
	if err := b.Namespaces.Mend(t.Context(), mine); err != nil {
		t.Fatal(err)
	}
	step("after a mend")
}

// What is from before plugins marked what is theirs is the one's that remembers
// its UID, and is marked with the next look over it; what nobody remembers is
// nobody's until a person says.
func TestUnmarkedNamespace(t *testing.T) {
	t.Parallel()
	unmark := func(w *world, namespace string) {
		t.Helper()
		var ns corev1.Namespace
		var policy networkingv1.NetworkPolicy
		for name, o := range map[types.NamespacedName]client.Object{{Name: namespace}: &ns, {Namespace: namespace, Name: GuardName}: &policy} {
			if err := w.cluster.Get(t.Context(), name, o); err != nil {
				t.Fatal(err)
			}
			delete(o.GetLabels(), snapshot.LabelOwner)
			if err := w.cluster.WithWatch.Update(t.Context(), o); err != nil {
				t.Fatal(err)
			}
		}
	}
	owner := func(w *world, namespace string) string {
		t.Helper()
		var ns corev1.Namespace
		if err := w.cluster.Get(t.Context(), types.NamespacedName{Name: namespace}, &ns); err != nil {
			t.Fatal(err)
		}
		return ns.Labels[snapshot.LabelOwner]
	}
	t.Run("remembered", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, newHost(pull(1)))
		w.mustRound()
		p, _ := w.preview(1)
		unmark(w, p.Namespace)
		w.restart()
		w.mustRound()
		if q, _ := w.preview(1); q.Phase != Live || q.NamespaceUID != p.NamespaceUID {
			t.Errorf("%s: %s", q.Phase, q.Reason)
		}
		// As at the start of the plugin: those without a mark are looked over.
		if err := w.Namespaces.refit(t.Context(), w.Log, w.Store.All()); err != nil {
			t.Fatal(err)
		}
		if got := owner(w, p.Namespace); got != "seedling" {
			t.Errorf("it is marked as %q's", got)
		}
	})
	t.Run("forgotten", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, newHost(pull(1)))
		w.mustRound()
		p, _ := w.preview(1)
		unmark(w, p.Namespace)
		w.loseState(t)
		w.restart()
		w.mustRound()
		q, _ := w.preview(1)
		if q.Phase != Held || !strings.Contains(q.Reason, "kubectl label namespace "+p.Namespace+" "+snapshot.LabelOwner+"=seedling") || owner(w, p.Namespace) != "" {
			t.Errorf("%s: %s; marked as %q's", q.Phase, q.Reason, owner(w, p.Namespace))
		}
		// A person says whose it is.
		var ns corev1.Namespace
		if err := w.cluster.Get(t.Context(), types.NamespacedName{Name: p.Namespace}, &ns); err != nil {
			t.Fatal(err)
		}
		ns.Labels[snapshot.LabelOwner] = "seedling"
		if err := w.cluster.WithWatch.Update(t.Context(), &ns); err != nil {
			t.Fatal(err)
		}
		w.mustRound()
		w.mustRound()
		if q, _ := w.preview(1); q.Phase != Live || !slices.Equal(w.answered(), []string{"1"}) {
			t.Errorf("%s: %s", q.Phase, q.Reason)
		}
	})
}

// loseState deletes the ConfigMaps of the state.
func (w *world) loseState(t *testing.T) {
	t.Helper()
	var list corev1.ConfigMapList
	if err := w.cluster.List(t.Context(), &list); err != nil {
		t.Fatal(err)
	}
	for i := range list.Items {
		if err := w.cluster.Delete(t.Context(), &list.Items[i]); err != nil {
			t.Fatal(err)
		}
	}
}
