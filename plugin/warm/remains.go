package warm

import (
	"context"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/broker"
	"github.com/seedling-dev/seedling/plugin/preview"
)

// Previews is what the janitor asks of the state.
type Previews interface {
	Ended() []preview.Preview
	Rest(ctx context.Context, namespace string) error
	Forget(ctx context.Context, namespace string) error
}

// Remains are what the janitor removes: what ended previews leave, and drained
// slots.
type Remains struct {
	Previews
	Pool *Pool
}

// Ended are the ended previews and the drained slots.
func (r Remains) Ended() []preview.Preview {
	return slices.Concat(r.Previews.Ended(), r.Pool.drained())
}

// Forget says that nothing is left of one.
func (r Remains) Forget(ctx context.Context, namespace string) error {
	if r.Pool.forget(namespace) {
		return nil
	}
	return r.Previews.Forget(ctx, namespace)
}

func (p *Pool) drained() (out []preview.Preview) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.slots {
		// One that the state has a preview of is that preview's to end.
		if s.state == Draining && !p.Known(s.Namespace) {
			out = append(out, s.Preview)
		}
	}
	slices.SortFunc(out, func(a, b preview.Preview) int { return strings.Compare(a.Namespace, b.Namespace) })
	return out
}

func (p *Pool) forget(namespace string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.slots[namespace]
	if s == nil || s.state != Draining {
		return false
	}
	delete(p.slots, namespace)
	p.Wake()
	return true
}

// Has says whether a namespace is a slot that is nobody's, which is looked after
// here. Before the first look every slot may be one.
func (p *Pool) Has(namespace string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.looked {
		return snapshot.IsSlot(namespace)
	}
	s := p.slots[namespace]
	return s != nil && s.state != Assigned
}

// Records keeps what is restored into a slot that is nobody's out of the state,
// which has previews alone.
type Records struct{ broker.Previews }

// Record implements broker.Previews.
func (r Records) Record(ctx context.Context, namespace, chosen string, pvc types.UID) error {
	if _, live := r.Live(namespace); !live && snapshot.IsSlot(namespace) {
		return nil
	}
	return r.Previews.Record(ctx, namespace, chosen, pvc)
}

// Nobodys says whether what the restorer or the janitor tells of is a slot that is
// nobody's.
func Nobodys(p preview.Preview) bool { return p.Key == preview.Key{} }
