package web

import (
	"crypto/sha256"
	"sync"
	"time"

	"k8s.io/utils/lru"
)

const (
	// deliveriesKept is how many deliveries are remembered: some 150 bytes each.
	deliveriesKept = 4096
	// sameMoment is for how long two deliveries with the same content, and names
	// of their own, may be two events: forges tell times by the second.
	sameMoment = time.Minute
)

// deliveries remembers what was taken. A delivery that comes again, days later or
// by somebody who recorded it, tells of nothing that is new. Its content says
// whether it does, for that is what is signed: whoever sends it again may give it
// any name, and Gitea itself gives it a new one.
type deliveries struct {
	now func() time.Time

	mu   sync.Mutex
	kept *lru.Cache
}

type delivery struct {
	name  string
	first time.Time
}

func newDeliveries() *deliveries { return &deliveries{now: time.Now, kept: lru.New(deliveriesKept)} }

// contentOf stands for the content of a delivery at a forge.
func contentOf(forge string, body []byte) [sha256.Size]byte {
	h := sha256.New()
	h.Write([]byte(forge))
	h.Write([]byte{0})
	h.Write(body)
	return [sha256.Size]byte(h.Sum(nil))
}

// again says whether a delivery was taken before, and remembers it if not. name
// is the forge's for it.
func (d *deliveries) again(content [sha256.Size]byte, name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	if known, ok := d.kept.Get(content); ok {
		was, _ := known.(delivery)
		return name == was.name || now.Sub(was.first) > sameMoment || now.Before(was.first)
	}
	d.kept.Add(content, delivery{name: name[:min(len(name), 64)], first: now}) // a forge's has 36 characters
	return false
}
