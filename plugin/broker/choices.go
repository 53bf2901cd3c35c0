package broker

import (
	"context"
	"fmt"

	"golang.org/x/sync/semaphore"
)

// Choices keeps the choice of a snapshot and the removal of snapshots apart: many
// may choose at once, and while somebody removes nobody chooses. From a choice on
// the preview's namespace names the snapshot, which is how it is known to be in
// use.
type Choices struct{ turns *semaphore.Weighted }

const everybody = 1 << 20

// NewChoices makes one, for all that choose and all that remove.
func NewChoices() *Choices { return &Choices{turns: semaphore.NewWeighted(everybody)} }

// Choose waits until nobody removes.
func (c *Choices) Choose(ctx context.Context) (release func(), err error) { return c.take(ctx, 1) }

// Exclude waits until nobody chooses.
func (c *Choices) Exclude(ctx context.Context) (release func(), err error) {
	return c.take(ctx, everybody)
}

func (c *Choices) take(ctx context.Context, n int64) (func(), error) {
	if err := c.turns.Acquire(ctx, n); err != nil {
		return nil, fmt.Errorf("wait for the choice or the removal of a snapshot: %w", err)
	}
	return func() { c.turns.Release(n) }, nil
}
