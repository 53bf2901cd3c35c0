package turn

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestLock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l Lock
		var group sync.WaitGroup
		inside, most := 0, 0
		for range 5 {
			group.Go(func() {
				if err := l.Take(t.Context()); err != nil {
					t.Error(err)
					return
				}
				defer l.Give()
				inside++
				most = max(most, inside)
				time.Sleep(time.Second)
				inside--
			})
		}
		time.Sleep(time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.Take(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("who waits too long gets %v", err)
		}
		group.Wait()
		if most != 1 {
			t.Errorf("%d had it at once", most)
		}
		ended, end := context.WithCancel(t.Context())
		end()
		if err := l.Take(ended); err != nil {
			t.Errorf("a free one is refused: %v", err)
		}
	})
}
