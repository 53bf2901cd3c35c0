package broker

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/seedling-dev/seedling/plugin/preview"
)

const (
	// aheadAtOnce is how many restores go on before their hooks ask. Each step
	// costs some calls of the API, of a budget that the hooks need too, and a
	// first start may emit thousands at once; whoever finds no room begins when
	// its hook asks.
	aheadAtOnce = 64
	// aheadFor is how long one goes on without its hook. Argo CD syncs within
	// seconds, unless it is down or somebody syncs by hand.
	aheadFor = 2 * time.Minute
)

// ahead are the restores that go on before their hooks ask.
type ahead struct {
	mu sync.Mutex
	// start is nil while nothing may be begun.
	start func(func(context.Context))
	asks  map[types.UID]chan struct{} // by namespace, closed when the hook asks
	all   sync.WaitGroup
}

// Ahead begins the restore of a preview that has just been emitted. Argo CD takes
// some seconds until the preview's hook runs, and by then the volume is often
// there. All that a request is answered by decides here too, and nobody gets
// access to anything by it: it is the same restore, only sooner. It goes on until
// the volume is there, until the hook asks, which carries it on, or until
// something fails, which is found again, and said, when the hook asks. It does
// not wait.
func (b *Broker) Ahead(p preview.Preview) {
	start, asked := b.ahead.begin(p.NamespaceUID)
	if start == nil {
		return
	}
	start(func(ctx context.Context) {
		defer b.ahead.end(p.NamespaceUID)
		for began := time.Now(); time.Since(began) < aheadFor; {
			select {
			case <-asked:
				return
			case <-ctx.Done():
				return
			default:
			}
			if progress, err := b.round(ctx, p, asked); err != nil || progress.Done {
				return
			}
		}
	})
}

// round is what a request would be: held as long, and bounded as tightly, for a
// call that hangs holds the preview's lock.
func (b *Broker) round(ctx context.Context, p preview.Preview, asked <-chan struct{}) (Progress, error) {
	ctx, cancel := context.WithTimeout(ctx, b.Hold+grace)
	defer cancel()
	progress, err := b.steps(ctx, p, asked, time.After(b.Hold))
	switch {
	case err != nil:
		b.Log.InfoContext(ctx, "the restore of a preview did not get on before its hook asked, which tries it again", "preview", p.Namespace, "error", err)
	case progress.Done:
		b.Log.InfoContext(ctx, "preview has its volume before its hook asked", "preview", p.Namespace, "snapshot", progress.Snapshot)
		b.say(p.Namespace, "", false)
	default:
		b.say(p.Namespace, progress.Message, false)
	}
	return progress, err
}

// Run lets restores be begun ahead, until ctx ends.
func (b *Broker) Run(ctx context.Context) error {
	b.ahead.open(func(do func(context.Context)) { go do(ctx) })
	<-ctx.Done()
	b.ahead.open(nil)
	b.ahead.all.Wait()
	return nil
}

func (a *ahead) open(start func(func(context.Context))) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.start = start
}

// begin returns nil where nothing is to be begun.
func (a *ahead) begin(namespace types.UID) (start func(func(context.Context)), asked <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, runs := a.asks[namespace]; runs || a.start == nil || len(a.asks) >= aheadAtOnce {
		return nil, nil
	}
	if a.asks == nil {
		a.asks = map[types.UID]chan struct{}{}
	}
	asks := make(chan struct{})
	a.asks[namespace] = asks
	a.all.Add(1)
	return a.start, asks
}

func (a *ahead) end(namespace types.UID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.asks, namespace)
	a.all.Done()
}

// asked lets the hook carry on what was begun.
func (a *ahead) asked(namespace types.UID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	asks, runs := a.asks[namespace]
	if !runs {
		return
	}
	select {
	case <-asks:
	default:
		close(asks)
	}
}
