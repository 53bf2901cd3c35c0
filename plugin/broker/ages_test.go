package broker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/broker"
)

// A seed is as old as the data of its newest usable snapshot; without one it has
// no time, and what cannot be told stays what it was.
func TestAges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		newer := backup(newest, now)
		untold := backup(newest, now)
		delete(untold.Annotations, snapshot.AnnotationDataTime)
		down := errors.New("no answer")
		rounds := []struct {
			answers map[string]any // a Backup, or an error
			want    map[string]time.Time
		}{
			{map[string]any{"seed": newer, "seed-b": down}, map[string]time.Time{"seed": now.Add(-time.Minute)}},
			{map[string]any{"seed": down, "seed-b": fmt.Errorf("%w: none yet", snapshot.ErrNone)}, map[string]time.Time{"seed": now.Add(-time.Minute), "seed-b": {}}},
			{map[string]any{"seed": fmt.Errorf("%w: bucket", broker.ErrStorage), "seed-b": untold}, map[string]time.Time{"seed": {}, "seed-b": now}},
			{map[string]any{"seed-b": down}, map[string]time.Time{"seed-b": now}}, // nobody asks for seed any more
		}
		var round atomic.Int64 // that is being looked at
		ages := &broker.Ages{
			Seeds: func() (seeds []string) {
				for s := range rounds[round.Load()].answers {
					seeds = append(seeds, s)
				}
				return seeds
			},
			Newest: func(_ context.Context, seed string) (*velerov1.Backup, error) {
				switch a := rounds[round.Load()].answers[seed].(type) {
				case *velerov1.Backup:
					return a, nil
				case error:
					return nil, a
				}
				return nil, fmt.Errorf("nobody asked for %s", seed)
			},
			Log: slog.New(slog.DiscardHandler),
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- ages.Run(ctx) }()
		for i, r := range rounds {
			if i > 0 {
				round.Store(int64(i))
				time.Sleep(time.Minute)
			}
			synctest.Wait()
			if diff := cmp.Diff(r.want, ages.Times()); diff != "" {
				t.Errorf("round %d (-want +got):\n%s", i, diff)
			}
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
