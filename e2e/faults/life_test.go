package faults

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/e2e/cluster/clustertest"
	"github.com/seedling-dev/seedling/e2e/platform"
	"github.com/seedling-dev/seedling/e2e/platform/platformtest"
	"github.com/seedling-dev/seedling/hooks/snapshot"
)

const (
	counts = "select (select count(*) from public.users), (select count(*) from public.orders), (select count(*) from public.events)"
	// A session may be lost after the row was written, and is asked again.
	writeRow = "insert into public.products (id, sku, name, price_cents, tags) values (990001, 'DEV-ROW', 'a row of a developer', 1, '{}') on conflict do nothing"
	readRow  = "select count(*) from public.products where sku = 'DEV-ROW'"

	// lifeLimit is for one preview: it waits for parts that start again, a minute or two each.
	lifeLimit = 12 * time.Minute
	// restLimit is for what remains when nothing falls any more.
	restLimit = 5 * time.Minute
)

func TestLives(t *testing.T) {
	rounds := (*lives + *atOnce - 1) / *atOnce
	ctx := platformtest.Begin(t, time.Duration(rounds+1)*(lifeLimit+2*restLimit))
	t.Logf("-seed=%d", *seed)
	data := newExpected(ctx, t)
	m := &mode{now: "velero"}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), restLimit)
		defer cancel()
		m.set(ctx, t, "velero")
	})
	recovered(ctx, t)
	empty := inventory(ctx, t)

	// One lives through all of it, with a row of its developer's.
	resident, v := world.Preview(ctx, t, fmt.Sprintf("-resident-%d", time.Now().Unix()))
	world.Rows(ctx, t, v.Namespace, writeRow)
	settled := inventory(ctx, t)

	for round := range rounds {
		// The faults have numbers of their own, for they go on beside the lives.
		random := rand.New(rand.NewPCG(uint64(*seed), uint64(2*round)))
		m.set(ctx, t, []string{"velero", "direct"}[random.IntN(2)])
		stop := happen(ctx, t, rand.New(rand.NewPCG(uint64(*seed), uint64(2*round+1))))
		t.Run(fmt.Sprintf("round-%d", round), func(t *testing.T) {
			for i := range min(*atOnce, *lives-round**atOnce) {
				l := newLife(random, data)
				t.Run(fmt.Sprintf("life-%d", i), func(t *testing.T) {
					t.Parallel()
					l.live(ctx, t)
				})
			}
		})
		stop()
		recovered(ctx, t)
		nothingNew(ctx, t, settled)
		data.right(ctx, t, v)
		if rows := world.Rows(ctx, t, v.Namespace, readRow); rows[0][0] != "1" {
			t.Errorf("the preview that lives through all of it has lost its developer's row in round %d", round)
		}
		if t.Failed() {
			clustertest.Evidence(t, world.Cluster, platform.Seed, platform.PluginNamespace, v.Namespace)
			t.FailNow() // the next rounds would stumble over what is left of this one
		}
	}
	must(t, resident.Close(ctx))
	must(t, world.WaitGone(ctx, v.Namespace))
	nothingNew(ctx, t, empty)
	fmt.Fprintf(os.Stdout, "FIGURE lives_with_faults %d lives\nFIGURE leaked_objects_after_lives_with_faults 0 objects\n", *lives)
}

// mode is how the plugin restores now.
type mode struct{ now string }

func (m *mode) set(ctx context.Context, t *testing.T, to string) {
	t.Helper()
	if m.now == to {
		return
	}
	_, err := world.Platform.Configure(ctx, func(config string) string {
		return strings.Replace(config, "mode: "+m.now, "mode: "+to, 1)
	})
	must(t, err)
	m.now = to
	t.Logf("the plugin restores in mode %s", to)
}

// life is what one preview goes through.
type life struct {
	data *expected
	// label asks for it: with a Postgres of its own or the platform's.
	label string
	// wait is until it is labelled, push whether there is a second commit, closes
	// whether it ends with its pull request or with its label.
	wait         time.Duration
	push, closes bool
	// lost is what somebody deletes by hand.
	lost string
}

func newLife(random *rand.Rand, data *expected) life {
	one := func(of ...string) string { return of[random.IntN(len(of))] }
	return life{
		data:   data,
		label:  one(platform.LabelPreview, platform.LabelPlatform),
		wait:   time.Duration(random.Int64N(int64(5 * time.Second))),
		push:   random.IntN(2) == 0,
		closes: random.IntN(2) == 0,
		lost:   one("", "", "claim", "namespace"),
	}
}

func (l life) live(ctx context.Context, t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(ctx, lifeLimit, errors.New("a life takes too long"))
	defer cancel()
	t.Logf("label %s, push %t, deleted by hand: %q, ends by being closed %t", l.label, l.push, l.lost, l.closes)
	pr := world.Open(ctx, t, fmt.Sprintf("-%d", time.Now().UnixNano()), nil)
	must(t, pause(ctx, l.wait))
	must(t, pr.Label(ctx, l.label))
	v, err := world.WaitPreview(ctx, pr, "")
	must(t, err)
	l.data.right(ctx, t, v)
	world.Rows(ctx, t, v.Namespace, writeRow)
	if l.push {
		sha, err := pr.Push(ctx, "A push", platform.Change{"PUSHED.md": "pushed\n"})
		must(t, err)
		v, err = world.WaitPreview(ctx, pr, sha)
		must(t, err)
		if rows := world.Rows(ctx, t, v.Namespace, readRow); rows[0][0] != "1" {
			t.Error("a push lost the row of a developer")
		}
	}
	if l.lost != "" {
		v = l.lose(ctx, t, pr, v)
	}
	if l.closes {
		must(t, pr.Close(ctx))
	} else {
		must(t, pr.Unlabel(ctx, l.label))
	}
	must(t, world.WaitGone(ctx, v.Namespace))
}

// lose deletes the claim or the namespace of a live preview: it comes again, in a
// new namespace and with the snapshot's data.
func (l life) lose(ctx context.Context, t *testing.T, pr *platform.PullRequest, v platform.Preview) platform.Preview {
	t.Helper()
	before := namespaceUID(ctx, t, v.Namespace)
	if l.lost == "claim" {
		claim, pod := &corev1.PersistentVolumeClaim{}, &corev1.Pod{}
		claim.Namespace, claim.Name, pod.Namespace, pod.Name = v.Namespace, snapshot.SeedPVC, v.Namespace, platform.PostgresPod
		must(t, client.IgnoreNotFound(world.Kube.Delete(ctx, claim)))
		must(t, client.IgnoreNotFound(world.Kube.Delete(ctx, pod)))
	} else {
		ns := &corev1.Namespace{}
		ns.Name = v.Namespace
		must(t, client.IgnoreNotFound(world.Kube.Delete(ctx, ns)))
	}
	must(t, world.WaitAnew(ctx, v.Namespace, before))
	v, err := world.WaitPreview(ctx, pr, "")
	must(t, err)
	l.data.right(ctx, t, v)
	if rows := world.Rows(ctx, t, v.Namespace, readRow); rows[0][0] != "0" {
		t.Errorf("a preview that lost its %s has the row that was in it", l.lost)
	}
	return v
}

func namespaceUID(ctx context.Context, t *testing.T, name string) types.UID {
	t.Helper()
	var ns corev1.Namespace
	must(t, world.Wait(ctx, "read namespace "+name, func(ctx context.Context) error {
		return world.Kube.Get(ctx, client.ObjectKey{Name: name}, &ns)
	}))
	return ns.UID
}

// expected is what previews hold, by their snapshot.
type expected struct {
	mu sync.Mutex
	of map[string]string
}

// newExpected knows what the newest snapshot holds: the seed's rows. An older one
// may be taken while that is away; all its previews hold the same then.
func newExpected(ctx context.Context, t *testing.T) *expected {
	t.Helper()
	want, err := world.Request(world.Dump)
	must(t, err)
	newest, err := world.NewestSnapshot(ctx, want)
	must(t, err)
	return &expected{of: map[string]string{newest.Name: fmt.Sprint(world.Rows(ctx, t, platform.Seed, counts))}}
}

// right fails the test if a preview holds something else than its snapshot.
func (e *expected) right(ctx context.Context, t *testing.T, v platform.Preview) {
	t.Helper()
	rows := world.Rows(ctx, t, v.Namespace, counts)
	e.mu.Lock()
	defer e.mu.Unlock()
	got := fmt.Sprint(rows)
	want := cmp.Or(e.of[v.Snapshot], got)
	e.of[v.Snapshot] = want
	if got != want || rows[0][0] == "0" {
		t.Errorf("preview %s has %s users, orders and events, and snapshot %s %s", v.Namespace, got, v.Snapshot, want)
	}
}

// recovered waits until all parts are up again.
func recovered(ctx context.Context, t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, restLimit)
	defer cancel()
	must(t, world.Wait(ctx, "wait until nothing is down", func(ctx context.Context) error {
		processes, err := world.Cluster.Processes(ctx)
		if err != nil {
			return err
		}
		for _, p := range processes {
			if !p.Ready && !p.Stopped {
				return fmt.Errorf("%s: %s", p.Name, p.Error)
			}
		}
		for _, namespace := range []string{platform.PluginNamespace, platform.VeleroNamespace, platform.ArgoCDNamespace, platform.Seed} {
			var pods corev1.PodList
			if err := world.Kube.List(ctx, &pods, client.InNamespace(namespace)); err != nil {
				return err
			}
			for _, pod := range pods.Items {
				for _, c := range pod.Status.Conditions {
					if c.Type == corev1.PodReady && c.Status != corev1.ConditionTrue && pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed {
						return fmt.Errorf("pod %s/%s is not ready: %s", namespace, pod.Name, c.Message)
					}
				}
			}
		}
		return nil
	}))
}

func inventory(ctx context.Context, t *testing.T) []string {
	t.Helper()
	var all []string
	must(t, world.Wait(ctx, "take an inventory", func(ctx context.Context) (err error) {
		all, err = world.Inventory(ctx)
		return err
	}))
	return all
}

// nothingNew waits until there is nothing of previews that was not there before.
func nothingNew(ctx context.Context, t *testing.T, before []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, restLimit)
	defer cancel()
	err := world.Wait(ctx, "wait until dead previews have left nothing", func(ctx context.Context) error {
		now, err := world.Inventory(ctx)
		if err != nil {
			return err
		}
		left := slices.DeleteFunc(now, func(name string) bool { _, was := slices.BinarySearch(before, name); return was })
		if len(left) > 0 {
			return fmt.Errorf("there are %d objects more: %s", len(left), strings.Join(left, ", "))
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
