package warm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/broker"
	"github.com/seedling-dev/seedling/plugin/preview"
)

// world is a Pool over a cluster in memory, with a restorer that a test tells
// what to say.
type world struct {
	*Pool
	t *testing.T
	client.WithWatch
	mu     sync.Mutex
	now    time.Time
	newest string
	none   error
	// waits says what a slot waits for; ready where it is empty.
	waits map[string]string
	wrong map[string]error
	busy  bool
	known map[string]bool
	// fail is asked before each call of the API.
	fail func(verb string, o any) error
	// lost: a patch is done, and not answered.
	lost    bool
	uids    int
	drained int
}

func newWorld(t *testing.T, want map[string]int) *world {
	t.Helper()
	w := &world{t: t, now: time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC), newest: "seed-1", waits: map[string]string{}, wrong: map[string]error{}, known: map[string]bool{}}
	w.WithWatch = fake.NewClientBuilder().WithScheme(clientgoscheme.Scheme).WithInterceptorFuncs(interceptor.Funcs{
		Create: func(ctx context.Context, under client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			if err := w.failing("create", o); err != nil {
				return err
			}
			w.mu.Lock()
			w.uids++
			o.SetUID(types.UID(fmt.Sprintf("uid-%d", w.uids)))
			o.SetCreationTimestamp(metav1.NewTime(w.now))
			w.mu.Unlock()
			return under.Create(ctx, o, opts...)
		},
		List: func(ctx context.Context, under client.WithWatch, l client.ObjectList, opts ...client.ListOption) error {
			if err := w.failing("list", l); err != nil {
				return err
			}
			return under.List(ctx, l, opts...)
		},
		Get: func(ctx context.Context, under client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if err := w.failing("get", o); err != nil {
				return err
			}
			return under.Get(ctx, key, o, opts...)
		},
		Patch: func(ctx context.Context, under client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			if err := w.failing("patch", o); err != nil {
				return err
			}
			err := under.Patch(ctx, o, p, opts...)
			if w.lost && err == nil {
				return errors.New("the answer was lost")
			}
			return err
		},
	}).Build()
	w.restart(want)
	return w
}

func (w *world) failing(verb string, o any) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail == nil {
		return nil
	}
	return w.fail(verb, o)
}

// restart begins anew with nothing but what the cluster holds.
func (w *world) restart(want map[string]int) {
	w.Pool = New(Options{
		Client: w, Owner: "seedling", Want: want, Most: 10, Restorer: w, Log: slog.New(slog.DiscardHandler),
		Namespaces: &preview.Namespaces{Client: w, Owner: "seedling", Guards: preview.DefaultGuards(), BrokerNamespace: "seedling", BrokerPort: 8081},
		Newest: func(_ context.Context, seed string) (*velerov1.Backup, error) {
			if w.none != nil {
				return nil, w.none
			}
			b := &velerov1.Backup{}
			b.Name = w.newest
			return b, nil
		},
		Known: func(namespace string) bool { return w.known[namespace] }, Busy: func() bool { return w.busy },
		Ready: func() error { return nil }, Drained: func() { w.drained++ }, Changed: func() {}, Now: func() time.Time { return w.now },
	})
}

// Watch implements broker.Restorer.
func (w *world) Watch(context.Context, preview.Preview) <-chan struct{} { return nil }

// Step implements broker.Restorer: it chooses the newest snapshot, as the real one
// does, and is done unless the test has it wait.
func (w *world) Step(ctx context.Context, p preview.Preview) (broker.Progress, error) {
	if !Nobodys(p) || p.NamespaceUID == "" {
		w.t.Errorf("the restorer is asked for %+v", p)
	}
	var ns corev1.Namespace
	if err := w.Get(ctx, types.NamespacedName{Name: p.Namespace}, &ns); err != nil {
		return broker.Progress{}, fmt.Errorf("%w: %w", broker.ErrGone, err)
	}
	chosen := ns.Annotations[snapshot.AnnotationSnapshot]
	if chosen == "" {
		chosen = w.newest
		before := ns.DeepCopy()
		metav1.SetMetaDataAnnotation(&ns.ObjectMeta, snapshot.AnnotationSnapshot, chosen)
		if err := w.WithWatch.Patch(ctx, &ns, client.MergeFrom(before)); err != nil {
			return broker.Progress{}, err
		}
	}
	if err := w.wrong[p.Namespace]; err != nil {
		return broker.Progress{Snapshot: chosen}, err
	}
	if wait := cmp.Or(w.waits[p.Namespace], w.waits["all"]); wait != "" {
		return broker.Progress{Snapshot: chosen, Message: wait}, nil
	}
	return broker.Progress{Done: true, Snapshot: chosen}, nil
}

func (w *world) pass(n int) {
	w.t.Helper()
	for range n {
		w.now = w.now.Add(every)
		if _, err := w.Pass(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
	}
}

// remove does what the janitor does with drained slots.
func (w *world) remove() {
	for _, p := range (Remains{Previews: nobody{}, Pool: w.Pool}).Ended() {
		_ = w.Delete(w.t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: p.Namespace}})
		_ = (Remains{Previews: nobody{}, Pool: w.Pool}).Forget(w.t.Context(), p.Namespace)
	}
}

type nobody struct{}

func (nobody) Ended() []preview.Preview           { return nil }
func (nobody) Rest(context.Context, string) error { return nil }
func (nobody) Forget(context.Context, string) error {
	return errors.New("the state has no such preview")
}

func (w *world) counts(seed string) string {
	of := w.Slots()[seed]
	return fmt.Sprintf("%d %d %d %d", of[Making], of[Ready], of[Draining], of[Assigned])
}

func (w *world) want(counts string) {
	w.t.Helper()
	if got := w.counts("seed"); got != counts {
		w.t.Errorf("making, ready, draining, assigned are %s, want %s", got, counts)
	}
}

func asks(n int64) preview.Preview {
	p := preview.Preview{Key: preview.Key{ForgeURL: "https://git.example.com", Repository: "acme/shop", ApplicationSet: "previews", Number: n}, Seed: "seed", Postgres: preview.PostgresPlatform}
	p.Namespace = p.Key.Namespace()
	return p
}

func (w *world) take(n int64) string {
	w.t.Helper()
	name, err := w.Take(w.t.Context(), asks(n))
	if err != nil {
		w.t.Fatal(err)
	}
	return name
}

// TestPoolFills: as many as are wanted, one at a time, not while previews wait,
// and again after one was given.
func TestPoolFills(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]int{"seed": 2})
	w.busy = true
	w.pass(3)
	w.want("0 0 0 0")
	w.busy = false
	w.waits["all"] = "its Postgres is being made"
	w.pass(3)
	w.want("1 0 0 0")
	if name := w.take(1); name != "" {
		t.Errorf("%s was given before it was ready", name)
	}
	delete(w.waits, "all")
	w.pass(3)
	w.want("0 2 0 0")
	first := w.take(1)
	if !snapshot.IsSlot(first) || w.take(1) != first {
		t.Errorf("first %q, and then %q", first, w.take(1))
	}
	w.pass(2)
	w.want("0 2 0 1")
	second := w.take(2)
	if second == first || !snapshot.IsSlot(second) {
		t.Errorf("%q and %q", first, second)
	}
	// A restart changes nothing.
	w.restart(w.Want)
	if _, err := w.Take(t.Context(), asks(1)); err == nil {
		t.Error("somebody was told before the slots were read")
	}
	w.pass(3)
	w.want("0 2 0 2")
	if got := w.take(1); got != first {
		t.Errorf("after a restart it is %q and was %q", got, first)
	}
}

// TestNoSlotForThem: who gets none.
func TestNoSlotForThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]int{"seed": 1})
	w.pass(2)
	other := asks(2)
	other.Seed = "seed-other"
	there := asks(3)
	if err := w.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: there.Namespace}}); err != nil {
		t.Fatal(err)
	}
	for what, p := range map[string]preview.Preview{"another seed": other, "it has a namespace": there} {
		if name, err := w.Take(t.Context(), p); name != "" || err != nil {
			t.Errorf("%s: %q, error %v", what, name, err)
		}
	}
	for what, newest := range map[string]error{"none": snapshot.ErrNone, "no storage": broker.ErrStorage} {
		w.none = newest
		if name, err := w.Take(t.Context(), asks(1)); name != "" || err != nil {
			t.Errorf("%s: %q, error %v", what, name, err)
		}
	}
	w.none = errors.New("nobody can tell")
	if _, err := w.Take(t.Context(), asks(1)); err == nil {
		t.Error("nobody can tell which snapshot is the newest, and one was given")
	}
	w.none, w.newest = nil, "seed-2"
	if name := w.take(1); name != "" {
		t.Errorf("%s has old data and was given", name)
	}
	w.newest = "seed-1"
	if name := w.take(1); name == "" {
		t.Error("none is given to one that is well")
	}
}

// TestOwnGetsOne: who brings a Postgres of its own is given the volume, and the
// namespace says so: the policies let it bring one.
func TestOwnGetsOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]int{"seed": 1})
	w.pass(2)
	own := asks(1)
	own.Postgres = ""
	name, err := w.Take(t.Context(), own)
	if err != nil || name == "" {
		t.Fatalf("%q, error %v", name, err)
	}
	var ns corev1.Namespace
	if err := w.Get(t.Context(), types.NamespacedName{Name: name}, &ns); err != nil || ns.Labels[snapshot.LabelPostgres] != "" {
		t.Errorf("%v, error %v", ns.Labels, err)
	}
}

// TestDrained: what is given to nobody any more, and goes.
func TestDrained(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		do  func(*world, string)
		why string
		// stays: none is made in its place for now.
		stays bool
	}{
		"a newer snapshot": {func(w *world, _ string) { w.newest = "seed-2" }, "newer snapshot, seed-2", false},
		"no snapshot":      {func(w *world, _ string) { w.none = snapshot.ErrNone }, "no snapshot", true},
		"not wanted":       {func(w *world, _ string) { w.restart(map[string]int{"seed": 0}) }, "no slot of its seed", true},
		"fewer wanted":     {func(w *world, _ string) { w.Want["seed"] = 1 }, "1 slots of its seed", false},
		"foreign":          {func(w *world, n string) { w.wrong[n] = &broker.ForeignError{Namespace: n, PVC: "p", Reason: "so"} }, "not the restored one", true},
		"does not come up": {func(w *world, n string) {
			w.waits[n] = "Postgres is starting"
			w.pass(1)
			w.now = w.now.Add(makingFor)
		}, "did not come up: Postgres is starting", true},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, map[string]int{"seed": 2})
			w.pass(4)
			w.want("0 2 0 0")
			slots := w.free("seed")
			c.do(w, slots[1].Namespace)
			for range 3 {
				w.now = w.now.Add(every)
				_, _ = w.Pass(t.Context())
			}
			var gone []preview.Preview
			for _, p := range w.Pool.drained() {
				if strings.Contains(p.Reason, c.why) && p.Phase == preview.Ending && Nobodys(p) {
					gone = append(gone, p)
				}
			}
			if len(gone) == 0 || w.Pool.drainedCount() == 0 {
				t.Fatalf("drained: %+v", w.Pool.drained())
			}
			var ns corev1.Namespace
			if err := w.Get(t.Context(), types.NamespacedName{Name: gone[0].Namespace}, &ns); err != nil || ns.Labels[snapshot.LabelSlot] != snapshot.SlotDraining {
				t.Errorf("%v, error %v", ns.Labels, err)
			}
			// By the labels alone it stays so.
			w.restart(w.Want)
			_, _ = w.Pass(t.Context())
			if got := w.Pool.drained(); len(got) == 0 {
				t.Error("after a restart it is in use again")
			}
			w.remove()
			if got := w.Pool.drained(); len(got) != 0 {
				t.Errorf("%+v", got)
			}
		})
	}
}

func (p *Pool) drainedCount() int { return p.count("", Draining) }

// TestFailuresRest: a seed whose slots do not come up is left alone for longer
// and longer.
func TestFailuresRest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]int{"seed": 1})
	w.waits["all"] = "it is being made"
	made := 0
	for range 360 { // an hour
		w.now = w.now.Add(every)
		before := w.uids
		_, _ = w.Pass(t.Context())
		if w.uids > before {
			made++
		}
		for _, s := range w.free("") {
			w.wrong[s.Namespace] = &broker.ForeignError{Namespace: s.Namespace, PVC: "p", Reason: "so"}
		}
		w.remove()
	}
	if made < 3 || made > 8 {
		t.Errorf("%d were made within an hour", made)
	}
}

// TestMost: no more than the cap, those that are being removed among them.
func TestMost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]int{"seed": 3, "seed-b": 3})
	w.Most = 4
	w.pass(12)
	if n := w.count("", Ready); n != 4 {
		t.Errorf("%d are ready", n)
	}
	w.newest = "seed-2"
	w.pass(5)
	if n := w.count("", Ready) + w.count("", Making); n != 0 {
		t.Errorf("%d were made while four are being removed", n)
	}
	w.remove()
	w.pass(12)
	if n := w.count("", Ready); n != 4 {
		t.Errorf("%d are ready", n)
	}
}

// TestUnreadable: while a slot does not say whose it is, nobody is given one or
// told that there is none.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]int{"seed": 2})
	w.pass(4)
	first := w.take(1)
	var ns corev1.Namespace
	if err := w.Get(t.Context(), types.NamespacedName{Name: first}, &ns); err != nil {
		t.Fatal(err)
	}
	whole := ns.Annotations[snapshot.AnnotationAssignment]
	set := func(text string) {
		before := ns.DeepCopy()
		ns.Annotations[snapshot.AnnotationAssignment] = text
		if err := w.WithWatch.Patch(t.Context(), &ns, client.MergeFrom(before)); err != nil {
			t.Fatal(err)
		}
	}
	set("{")
	w.pass(1)
	for n := range int64(3) {
		if name, err := w.Take(t.Context(), asks(n+1)); err == nil || !strings.Contains(err.Error(), first) {
			t.Errorf("%d is told %q, error %v", n+1, name, err)
		}
	}
	set(whole)
	w.pass(1)
	if w.take(1) != first {
		t.Error("it has another one")
	}
	// One that the state has a preview of is nobody else's, whatever it says.
	known := w.free("seed")[0].Namespace
	w.known[known] = true
	w.pass(1)
	for n := range int64(4) {
		if name := w.take(n + 2); name == known {
			t.Errorf("%s is a preview's and was given", name)
		}
	}
}

// TestLostAnswer: an assignment that was written and not answered is found.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]int{"seed": 2})
	w.pass(4)
	w.lost = true
	if name, err := w.Take(t.Context(), asks(1)); err == nil {
		t.Fatalf("%q, and no error", name)
	}
	w.lost = false
	first := w.take(1)
	if first == "" || w.take(1) != first {
		t.Errorf("%q", first)
	}
	var all corev1.NamespaceList
	if err := w.WithWatch.List(t.Context(), &all, client.MatchingLabels{snapshot.LabelSlot: snapshot.SlotAssigned}); err != nil || len(all.Items) != 1 {
		t.Errorf("%d are assigned, error %v", len(all.Items), err)
	}
}

// TestPoolModel is random lives: previews come and go, two plugins lead for a
// while, calls fail or are not answered, snapshots come. No slot is ever two
// previews', none is given again, and who asks again is told the same.
func TestPoolModel(t *testing.T) {
	t.Parallel()
	for life := range uint64(40) {
		t.Run(fmt.Sprint(life), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(life, 2))
			w := newWorld(t, map[string]int{"seed": 1 + rng.IntN(3)})
			w.Most = 3 + rng.IntN(4)
			other := w.Pool // the one that led before
			owner, of := map[string]int64{}, map[int64]string{}
			ended := map[string]bool{}
			for range 300 {
				w.now = w.now.Add(time.Duration(rng.IntN(30)) * time.Second)
				n := int64(1 + rng.IntN(6))
				switch rng.IntN(12) {
				case 0:
					w.newest = fmt.Sprintf("seed-%d", rng.IntN(50))
				case 1:
					other = w.Pool
					most := w.Most
					w.restart(w.Want)
					w.Most = most
				case 2:
					w.fail = func(string, any) error {
						if rng.IntN(3) == 0 {
							return errors.New("down")
						}
						return nil
					}
				case 3:
					w.fail = nil
				case 4:
					w.lost = !w.lost
				case 5:
					w.remove()
				case 6: // it ends, with its namespace
					if name := of[n]; name != "" {
						delete(of, n)
						ended[name] = true
						w.fail = nil
						_ = w.Delete(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
					}
				case 7, 8, 9:
					pool := w.Pool
					if rng.IntN(4) == 0 {
						pool = other
					}
					name, err := pool.Take(t.Context(), asks(n))
					if err != nil || name == "" {
						if of[n] != "" && err == nil {
							t.Fatalf("%d had %s and is told that it has none", n, of[n])
						}
						continue
					}
					switch {
					case ended[name]:
						t.Fatalf("%s is given again", name)
					case owner[name] != 0 && owner[name] != n:
						t.Fatalf("%s is that of %d and of %d", name, owner[name], n)
					case of[n] != "" && of[n] != name:
						t.Fatalf("%d had %s and is told %s", n, of[n], name)
					}
					owner[name], of[n] = n, name
				default:
					_, _ = w.Pass(t.Context())
				}
			}
			w.fail, w.lost, w.none = nil, false, nil
			for range 20 {
				w.now = w.now.Add(time.Minute)
				_, _ = w.Pass(t.Context())
				w.remove()
			}
			if got := w.count("seed", Ready); got != min(w.Want["seed"], w.Most) {
				t.Errorf("%d are ready in the end, %s; previews %v", got, w.counts("seed"), slices.Sorted(maps.Values(of)))
			}
		})
	}
}
