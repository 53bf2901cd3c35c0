package warm

import (
	"context"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/broker"
	"github.com/seedling-dev/seedling/plugin/preview"
)

// Take implements preview.Slots. A preview that has a namespace of its own keeps
// that: the state may have been lost since.
func (p *Pool) Take(ctx context.Context, want preview.Preview) (string, error) {
	if err := p.Readable(); err != nil {
		return "", err
	}
	mine, err := p.Namespaces.SlotsOf(ctx, want.Key)
	switch {
	case err != nil:
		return "", err
	case len(mine) == 1:
		return mine[0], nil
	case len(mine) > 1:
		return "", fmt.Errorf("slots %s are all assigned to one preview: delete those that Argo CD has no Application of", strings.Join(mine, ", "))
	case p.Want[want.Seed] == 0:
		return "", nil
	}
	there, err := p.Namespaces.Exists(ctx, want.OwnName())
	if err != nil || there {
		return "", err
	}
	if p.count(want.Seed, Ready) == 0 {
		return "", nil
	}
	newest, err := p.Newest(ctx, want.Seed)
	switch {
	case errors.Is(err, snapshot.ErrNone), errors.Is(err, broker.ErrStorage):
		return "", nil // whoever restores says so better
	case err != nil:
		return "", err
	}
	for s := p.reserve(want.Seed, newest.Name); s != nil; s = p.reserve(want.Seed, newest.Name) {
		given, err := p.give(ctx, s, want)
		if err != nil {
			return "", err
		}
		if given {
			p.Log.InfoContext(ctx, "a slot was assigned", "slot", s.Namespace, "preview", want.OwnName(), "snapshot", newest.Name)
			p.Wake()
			return s.Namespace, nil
		}
	}
	return "", nil
}

// reserve keeps a ready slot with that snapshot from others, nil where there is
// none.
func (p *Pool) reserve(seed, newest string) *slot {
	for _, s := range p.free(seed) {
		p.mu.Lock()
		is := p.slots[s.Namespace]
		ok := is != nil && is.state == Ready && !is.taken && is.snapshot == newest
		if ok {
			is.taken = true
		}
		p.mu.Unlock()
		if ok {
			return s
		}
	}
	return nil
}

// give assigns a slot that answers. It may have been written where the error
// says that it was not; who asks again is told.
func (p *Pool) give(ctx context.Context, s *slot, want preview.Preview) (given bool, err error) {
	defer p.with(s, func(s *slot) { s.taken = false })
	if ready, err := p.up(ctx, s); err != nil || !ready {
		if err != nil {
			p.Log.WarnContext(ctx, "a slot that was ready is not", "slot", s.Namespace, "error", err)
			p.with(s, func(s *slot) { s.state = Making })
		}
		return false, ctx.Err()
	}
	err = p.Namespaces.Assign(ctx, s.Preview, want, p.Now())
	if err == nil {
		p.with(s, func(s *slot) { s.state = Assigned })
		return true, nil
	}
	p.with(s, func(s *slot) { s.state = Making })
	if errors.Is(err, preview.ErrNotFree) || apierrors.IsNotFound(err) {
		return false, nil
	}
	return false, err
}
