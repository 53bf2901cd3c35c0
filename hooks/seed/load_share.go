package seed

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"
)

// sharing lets sessions without a table of their own help with one that is
// being loaded.
type sharing struct {
	mu   sync.Mutex
	open []*shared
	wake func() // tells idle sessions that there is something
}

type shared struct {
	load    *tableLoad
	blocks  chan *block
	pool    *pool
	helpers sync.WaitGroup
	mu      sync.Mutex
	err     error
}

// offer makes a load's blocks available to helpers; the function it returns
// ends that and waits for them.
func (s *sharing) offer(l *tableLoad, blocks chan *block, p *pool) func() error {
	h := &shared{load: l, blocks: blocks, pool: p}
	s.mu.Lock()
	s.open = append(s.open, h)
	s.mu.Unlock()
	if s.wake != nil {
		s.wake()
	}
	return func() error {
		s.close(h)
		h.helpers.Wait()
		return h.err
	}
}

func (s *sharing) close(h *shared) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.open, h); i >= 0 {
		s.open = slices.Delete(s.open, i, i+1)
	}
}

// find returns help for a load that is under way, or nil.
func (s *sharing) find() func(context.Context, *pgx.Conn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.open) == 0 {
		return nil
	}
	h := s.open[0]
	h.helpers.Add(1)
	// Taken in turns, so that helpers spread.
	s.open = append(s.open[1:], h)
	return func(ctx context.Context, conn *pgx.Conn) error {
		defer h.helpers.Done()
		err := h.load.copyIn(ctx, conn, h.blocks, h.pool)
		if err != nil {
			h.mu.Lock()
			h.err = errors.Join(h.err, err)
			h.mu.Unlock()
		}
		// The last block was taken: nothing is left to help with.
		s.close(h)
		return err
	}
}
