package broker

import "sync"

// keylock is a mutex per key that forgets the keys nobody holds.
type keylock struct {
	mu   sync.Mutex
	held map[string]*heldKey
}

type heldKey struct {
	mu    sync.Mutex
	users int
}

// lock waits for key and returns what unlocks it.
func (l *keylock) lock(key string) (unlock func()) {
	l.mu.Lock()
	if l.held == nil {
		l.held = map[string]*heldKey{}
	}
	k := l.held[key]
	if k == nil {
		k = &heldKey{}
		l.held[key] = k
	}
	k.users++
	l.mu.Unlock()

	k.mu.Lock()
	return func() {
		k.mu.Unlock()
		l.mu.Lock()
		defer l.mu.Unlock()
		if k.users--; k.users == 0 {
			delete(l.held, key)
		}
	}
}
