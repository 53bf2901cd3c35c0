// Package turn lets one at a time make calls that may take long.
//
// Its promise: whoever waits for a turn gives up when their context ends, which
// a mutex that is held over a call does not let them. A test in a time of its
// own (testing/synctest) goes on while one waits, too.
package turn

import (
	"context"
	"sync"
)

// Lock is held by one at a time. Its zero value is free.
type Lock struct {
	once sync.Once
	free chan struct{}
}

// Take waits for the lock until ctx ends, whose error it then returns.
func (l *Lock) Take(ctx context.Context) error {
	l.once.Do(func() { l.free = make(chan struct{}, 1) })
	select {
	case l.free <- struct{}{}:
		return nil
	default:
	}
	select {
	case l.free <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Give gives the lock back.
func (l *Lock) Give() { <-l.free }
