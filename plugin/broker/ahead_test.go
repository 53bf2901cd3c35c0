package broker_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/broker"
	"github.com/seedling-dev/seedling/plugin/preview"
)

// paced restores a preview in some steps, and counts them.
type paced struct {
	after int64
	fails bool
	steps atomic.Int64
	busy  sync.Map // namespaces
	both  atomic.Bool
}

func (r *paced) Step(_ context.Context, p preview.Preview) (broker.Progress, error) {
	if _, other := r.busy.LoadOrStore(p.Namespace, true); other {
		r.both.Store(true)
	}
	defer r.busy.Delete(p.Namespace)
	n := r.steps.Add(1)
	time.Sleep(100 * time.Millisecond)
	if r.fails {
		return broker.Progress{}, errors.New("storage says no")
	}
	return broker.Progress{Done: n >= r.after, Message: fmt.Sprint("step ", n)}, nil
}

func (*paced) Watch(context.Context, preview.Preview) <-chan struct{} { return nil }

func (*paced) Review(context.Context, string) (broker.Caller, error) {
	return broker.Caller{Namespace: ns, Name: snapshot.HookServiceAccount, UID: hookUID}, nil
}

// aheadOf runs a broker that leads over a restorer, in a bubble of time.
func aheadOf(t *testing.T, r *paced, test func(t *testing.T, b *broker.Broker, w *world, said func() string)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var last string
		w := newWorld(t, interceptor.Funcs{})
		b := newBroker(w, func(o *broker.Options) {
			o.Reviewer, o.Restorer, o.Hold = r, r, 4*time.Second
			o.Say = func(_, text string, failed bool) {
				mu.Lock()
				defer mu.Unlock()
				last = fmt.Sprint(text, " ", failed)
			}
		})
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- b.Run(ctx) }()
		synctest.Wait()
		test(t, b, w, func() string { mu.Lock(); defer mu.Unlock(); return last })
		cancel()
		if err := <-ran; err != nil {
			t.Error(err)
		}
		if r.both.Load() {
			t.Error("two steps of one preview ran at a time")
		}
	})
}

func TestAheadOfTheHook(t *testing.T) {
	t.Parallel()
	live := func(w *world) preview.Preview { p, _ := w.state.Live(ns); return p }

	t.Run("goes on until the volume is there", func(t *testing.T) {
		t.Parallel()
		r := &paced{after: 7}
		aheadOf(t, r, func(t *testing.T, b *broker.Broker, w *world, said func() string) {
			b.Ahead(live(w))
			time.Sleep(6 * time.Second) // over a hold
			if got := said(); got != "step 4 false" {
				t.Errorf("after a hold it said %q", got)
			}
			time.Sleep(time.Minute)
			if n := r.steps.Load(); n != 7 {
				t.Errorf("%d steps, 7 were needed", n)
			}
			if got := said(); got != " false" {
				t.Errorf("at its end it said %q", got)
			}
		})
	})
	t.Run("the hook that asks carries it on", func(t *testing.T) {
		t.Parallel()
		r := &paced{after: 1 << 40}
		aheadOf(t, r, func(t *testing.T, b *broker.Broker, w *world, _ func() string) {
			b.Ahead(live(w))
			b.Ahead(live(w)) // told twice
			time.Sleep(2 * time.Second)
			ask(t, b, "any")
			n := r.steps.Load()
			time.Sleep(time.Minute)
			if more := r.steps.Load() - n; more != 0 {
				t.Errorf("%d steps more after the hook had asked", more)
			}
		})
	})
	t.Run("a failure is left to the hook", func(t *testing.T) {
		t.Parallel()
		r := &paced{fails: true}
		aheadOf(t, r, func(t *testing.T, b *broker.Broker, w *world, said func() string) {
			b.Ahead(live(w))
			time.Sleep(time.Minute)
			if n := r.steps.Load(); n != 1 || said() != "" {
				t.Errorf("%d steps, and it said %q", n, said())
			}
		})
	})
	t.Run("it ends with the preview", func(t *testing.T) {
		t.Parallel()
		r := &paced{after: 1 << 40}
		aheadOf(t, r, func(t *testing.T, b *broker.Broker, w *world, _ func() string) {
			b.Ahead(live(w))
			time.Sleep(3 * time.Second)
			w.state.end(ns)
			time.Sleep(1500 * time.Millisecond)
			n := r.steps.Load()
			time.Sleep(time.Minute)
			if more := r.steps.Load() - n; more != 0 {
				t.Errorf("%d steps for a preview that had ended", more)
			}
		})
	})
	t.Run("not for ever", func(t *testing.T) {
		t.Parallel()
		r := &paced{after: 1 << 40}
		aheadOf(t, r, func(t *testing.T, b *broker.Broker, w *world, _ func() string) {
			b.Ahead(live(w))
			time.Sleep(3 * time.Minute)
			n := r.steps.Load()
			time.Sleep(time.Minute)
			if more := r.steps.Load() - n; more != 0 || n == 0 {
				t.Errorf("%d steps, and %d more after three minutes", n, more)
			}
		})
	})
	t.Run("not more than there is room for", func(t *testing.T) {
		t.Parallel()
		r := &paced{after: 1 << 40}
		aheadOf(t, r, func(t *testing.T, b *broker.Broker, w *world, _ func() string) {
			for i := range 100 {
				p := live(w)
				p.Namespace, p.NamespaceUID = fmt.Sprint("preview-", i), types.UID(fmt.Sprint(i))
				w.state.add(p)
				b.Ahead(p)
			}
			time.Sleep(50 * time.Millisecond)
			if n := r.steps.Load(); n != 64 {
				t.Errorf("%d restores go on ahead at once, not 64", n)
			}
		})
	})
	t.Run("nothing while another plugin leads", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			r := &paced{after: 1}
			w := newWorld(t, interceptor.Funcs{})
			b := newBroker(w, func(o *broker.Options) { o.Restorer = r })
			b.Ahead(live(w))
			time.Sleep(time.Minute)
			if n := r.steps.Load(); n != 0 {
				t.Errorf("%d steps", n)
			}
		})
	})
}
