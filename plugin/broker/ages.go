package broker

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"

	"github.com/seedling-dev/seedling/hooks/snapshot"
)

// agesEvery is how often Ages looks. Snapshots age in days.
const agesEvery = time.Minute

// Ages knows how old the data of each seed's newest usable snapshot is.
type Ages struct {
	// Seeds are those that are asked for now.
	Seeds func() []string
	// Newest is Snapshots.Newest.
	Newest func(ctx context.Context, seed string) (*velerov1.Backup, error)
	Log    *slog.Logger

	mu    sync.Mutex
	times map[string]time.Time
}

// Times is when the data of each seed's newest usable snapshot was imported:
// zero for a seed that has none, and nothing for one of which that could not be
// told yet.
func (a *Ages) Times() map[string]time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.times)
}

// Run looks until ctx ends.
func (a *Ages) Run(ctx context.Context) error {
	tick := time.NewTicker(agesEvery)
	defer tick.Stop()
	for {
		a.look(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look asks about every seed. What cannot be told now stays as it was: it goes
// on growing old.
func (a *Ages) look(ctx context.Context) {
	before := a.Times()
	now := map[string]time.Time{}
	for _, seed := range a.Seeds() {
		newest, err := a.Newest(ctx, seed)
		switch {
		case err == nil:
			now[seed] = snapshot.DataTime(newest)
		case errors.Is(err, snapshot.ErrNone) || errors.Is(err, ErrStorage):
			now[seed] = time.Time{}
		default:
			if ctx.Err() == nil {
				a.Log.WarnContext(ctx, "the age of a seed's newest snapshot could not be told", "seed", seed, "error", err)
			}
			if t, ok := before[seed]; ok {
				now[seed] = t
			}
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.times = now
}
