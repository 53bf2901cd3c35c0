package preview

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// gatekeeper answers who may write.
type gatekeeper struct {
	*host
	mu    sync.Mutex
	calls int
	may   bool
	err   error
	takes time.Duration
}

func (g *gatekeeper) CanWrite(context.Context, string, string) (bool, error) {
	time.Sleep(g.takes)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls++
	return g.may, g.err
}

// TestWriters: who ask about one person at once ask once, an answer counts for
// half a minute, and a failure for nobody who asks later.
func TestWriters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, w := &gatekeeper{may: true, takes: time.Second}, &writers{}
		ask := func(login string) (bool, error) { return w.may(t.Context(), g, "acme/shop", login, time.Now) }
		expect := func(step, login string, may bool, calls int) {
			t.Helper()
			if got, err := ask(login); got != may || err != nil || g.calls != calls {
				t.Errorf("%s: %v, %v after %d calls, want %v after %d", step, got, err, g.calls, may, calls)
			}
		}
		var group sync.WaitGroup
		for range 10 {
			group.Go(func() {
				if may, err := ask("ada"); !may || err != nil {
					t.Error(may, err)
				}
			})
		}
		group.Wait()
		expect("ten at once", "ada", true, 1)
		expect("another one", "bob", true, 2)
		g.may = false
		time.Sleep(writersFor - 3*time.Second)
		expect("within its time", "ada", true, 2)
		time.Sleep(3 * time.Second)
		expect("after it", "ada", false, 3)
		g.err = errDown
		if _, err := ask("eve"); !errors.Is(err, errDown) {
			t.Error(err)
		}
		g.err = nil
		expect("after a failure", "eve", false, 5)
		if len(w.asked) > 3 {
			t.Errorf("%d are remembered", len(w.asked))
		}
	})
}
