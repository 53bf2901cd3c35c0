package preview

import (
	"context"
	"sync"
	"time"

	"github.com/seedling-dev/seedling/plugin/forge"
)

// writersFor is how long it counts who may write to a repository: a hundred pull
// requests that one person labelled are one question.
const writersFor = 30 * time.Second

// writers is who may write to one repository. Questions about one person are
// joined.
type writers struct {
	mu    sync.Mutex
	asked map[string]*writer
}

// writer is one question, and its answer once done is closed.
type writer struct {
	began time.Time
	done  chan struct{}
	may   bool
	err   error
}

// may says whether a person may write to a repository.
func (w *writers) may(ctx context.Context, f forge.Forge, repository, login string, now func() time.Time) (bool, error) {
	w.mu.Lock()
	q := w.asked[login]
	if at := now(); q == nil || at.Before(q.began) || at.Sub(q.began) > writersFor {
		q = &writer{began: at, done: make(chan struct{})}
		if w.asked == nil {
			w.asked = map[string]*writer{}
		}
		for other, old := range w.asked {
			if at.Sub(old.began) > writersFor {
				delete(w.asked, other)
			}
		}
		w.asked[login] = q
		w.mu.Unlock()
		return w.ask(ctx, f, repository, login, q)
	}
	w.mu.Unlock()
	select {
	case <-q.done:
		return q.may, q.err
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// ask asks the forge. An error is the answer for those who wait for it, and for
// nobody else.
func (w *writers) ask(ctx context.Context, f forge.Forge, repository, login string, q *writer) (bool, error) {
	q.err = caught(func() (err error) {
		q.may, err = f.CanWrite(ctx, repository, login)
		return err
	})()
	if q.err != nil {
		w.mu.Lock()
		if w.asked[login] == q {
			delete(w.asked, login)
		}
		w.mu.Unlock()
	}
	close(q.done)
	return q.may, q.err
}
