package warm

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/broker"
	"github.com/seedling-dev/seedling/plugin/preview"
)

const (
	// every is the pace of passes, soon that while a slot is being made.
	every = 10 * time.Second
	soon  = 500 * time.Millisecond
	// gather waits for the burst of events that one change makes.
	gather = 100 * time.Millisecond
	// passTimeout bounds one pass.
	passTimeout = time.Minute
	// makingFor is how long a slot may take to come up.
	makingFor = 15 * time.Minute
	// guardsEvery is how often the guards of a slot that waits are looked over.
	guardsEvery = 10 * time.Minute
	// restFirst and then twice that, up to restMost, is how long nothing is made
	// for a seed after a slot of it did not come up.
	restFirst = time.Minute
	restMost  = 30 * time.Minute
)

// State is where a slot stands.
type State string

const (
	// Making slots are not ready to be given yet, or no more.
	Making State = "making"
	// Ready slots are given to who asks.
	Ready State = "ready"
	// Draining slots are given to nobody, and are being removed.
	Draining State = "draining"
	// Assigned slots are previews.
	Assigned State = "assigned"
)

var states = []State{Making, Ready, Draining, Assigned}

// Options are a Pool's parts. All are needed but what says otherwise.
type Options struct {
	Client client.Client // uncached
	// Owner is the plugin's own namespace, which marks what is this plugin's.
	Owner string
	// Want is how many slots there should be of each seed, and Most how many that
	// are nobody's there may be in all, those that are being removed among them.
	Want map[string]int
	Most int
	// Namespaces makes, assigns and drains.
	Namespaces *preview.Namespaces
	// Restorer brings a slot to its volume and its Postgres.
	Restorer broker.Restorer
	// Newest is Snapshots.Newest.
	Newest func(ctx context.Context, seed string) (*velerov1.Backup, error)
	// Known says whether the state may have a preview of that namespace.
	Known func(namespace string) bool
	// Busy says whether previews wait for their volume now.
	Busy func() bool
	// Ready is nil when this process leads and has loaded its state.
	Ready func() error
	// Drained is told that there is something to remove, Changed that every slot
	// says again whose it is. They must not wait.
	Drained, Changed func()
	Log              *slog.Logger
	Now              func() time.Time
}

// Pool is the slots there are.
type Pool struct {
	Options
	wake chan struct{}

	mu     sync.Mutex
	looked bool
	slots  map[string]*slot // by namespace
	// unreadable says why a slot does not say whose it is.
	unreadable error
	rests      map[string]rest // by seed
}

// slot is one, as far as is known.
type slot struct {
	preview.Preview // with a zero Key
	state           State
	made            time.Time
	snapshot        string
	// taken: somebody is about to assign it.
	taken bool
	// guarded is when its guards were looked over last, zero for never.
	guarded time.Time
	// broken says why it will not come up.
	broken string
	said   string
}

// rest is a pause after slots of a seed that did not come up.
type rest struct {
	n     int
	until time.Time
}

// New makes a Pool.
func New(o Options) *Pool {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Pool{Options: o, wake: make(chan struct{}, 1), slots: map[string]*slot{}, rests: map[string]rest{}}
}

// Wake asks for a pass now: there is a new snapshot, or one less slot.
func (p *Pool) Wake() {
	select {
	case p.wake <- struct{}{}:
	default: // one is asked for
	}
}

// Run passes until ctx ends. It is for the leader only.
func (p *Pool) Run(ctx context.Context) error {
	failed := false
	for {
		next := every
		if p.Ready() == nil {
			more, err := p.bounded(ctx)
			if err != nil && ctx.Err() == nil && !failed {
				p.Log.WarnContext(ctx, "slots cannot be looked after now; previews are restored as without them", "error", err)
			}
			if failed = err != nil; more && !failed {
				next = soon
			}
		}
		pause := time.NewTimer(next)
		select {
		case <-ctx.Done():
			pause.Stop()
			return nil
		case <-p.wake:
			pause.Stop()
			time.Sleep(gather)
		case <-pause.C:
		}
	}
}

func (p *Pool) bounded(ctx context.Context) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	return p.Pass(ctx)
}

// Pass does what can be done now, and says whether a slot is being made.
func (p *Pool) Pass(ctx context.Context) (more bool, err error) {
	if err := p.Look(ctx); err != nil {
		return false, err
	}
	newest, wrong := p.choices(ctx)
	wrong = append(wrong, p.drain(ctx, newest))
	if p.Busy() {
		p.postpone()
		return false, errors.Join(wrong...)
	}
	wrong = append(wrong, p.fill(ctx, newest), p.step(ctx))
	return p.count("", Making) > 0, errors.Join(wrong...)
}

// postpone does not hold it against a slot that others go first.
func (p *Pool) postpone() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.slots {
		if s.state == Making {
			s.made = p.Now()
		}
	}
}

// Look reads which slots there are.
func (p *Pool) Look(ctx context.Context) error {
	var list corev1.NamespaceList
	if err := p.Client.List(ctx, &list, client.HasLabels{snapshot.LabelSlot}, client.MatchingLabels{snapshot.LabelOwner: p.Owner}); err != nil {
		return fmt.Errorf("list the namespaces of slots: %w", err)
	}
	was := p.Readable()
	p.mu.Lock()
	before := p.slots
	p.slots = map[string]*slot{}
	var unreadable []error
	for i := range list.Items {
		s, err := p.read(&list.Items[i], before[list.Items[i].Name])
		if err != nil {
			unreadable = append(unreadable, err)
			continue
		}
		p.slots[s.Namespace] = s
	}
	p.looked, p.unreadable = true, errors.Join(unreadable...)
	p.mu.Unlock()
	is := p.Readable()
	if is != nil && (was == nil || was.Error() != is.Error()) {
		p.Log.ErrorContext(ctx, "no preview begins until every slot says whose it is", "error", is)
	}
	if was != nil && is == nil {
		p.Changed()
	}
	return nil
}

// read makes a slot of its namespace and what was known of it. The caller holds
// mu.
func (p *Pool) read(ns *corev1.Namespace, was *slot) (*slot, error) {
	a, err := preview.AssignmentOf(ns)
	if err != nil {
		return nil, err
	}
	s := newSlot(ns.Name, ns.Labels[snapshot.LabelSeed], ns.CreationTimestamp.Time)
	s.NamespaceUID = ns.UID
	if was != nil && was.NamespaceUID == ns.UID {
		copied := *was
		s = &copied
	}
	s.snapshot = ns.Annotations[snapshot.AnnotationSnapshot]
	switch {
	case a != nil:
		s.state = Assigned
	case ns.DeletionTimestamp != nil || ns.Labels[snapshot.LabelSlot] == snapshot.SlotDraining:
		s.state = Draining
		s.Phase, s.Reason = preview.Ending, cmp.Or(s.Reason, "it is a slot that nobody is given any more")
	}
	return s, nil
}

// newSlot is one that is nobody's.
func newSlot(namespace, seed string, made time.Time) *slot {
	return &slot{made: made, state: Making, Preview: preview.Preview{
		Namespace: namespace, Seed: seed, Postgres: preview.PostgresPlatform, Phase: preview.Held,
		// Where Velero restores one after the other, who was emitted first goes first.
		EmittedAt: made.AddDate(100, 0, 0),
	}}
}

// Readable implements preview.Slots.
func (p *Pool) Readable() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.looked {
		return errors.New("the slots that there are were not read yet")
	}
	return p.unreadable
}

// choice is the snapshot that a seed's slots should have: its name, or why there
// is none. It is empty while nobody can tell.
type choice struct{ name, none string }

// choices are those of every seed that has slots or should.
func (p *Pool) choices(ctx context.Context) (newest map[string]choice, wrong []error) {
	newest = map[string]choice{}
	for seed, n := range p.Want {
		if n > 0 {
			newest[seed] = choice{}
		}
	}
	for seed := range newest {
		b, err := p.Newest(ctx, seed)
		switch {
		case err == nil:
			newest[seed] = choice{name: b.Name}
		case errors.Is(err, snapshot.ErrNone) && !errors.Is(err, broker.ErrStorage):
			newest[seed] = choice{none: "no snapshot of its seed may be used now"}
		default:
			wrong = append(wrong, fmt.Errorf("the newest snapshot of seed %s: %w", seed, err))
		}
	}
	return newest, wrong
}

// free are the slots that are nobody's and may become somebody's, those that are
// ready and then the oldest first. Those that the state has a preview of are
// none: somebody changed their labels. They are copies.
func (p *Pool) free(seed string) []*slot {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []*slot
	for _, s := range p.slots {
		if (seed == "" || s.Seed == seed) && (s.state == Ready || s.state == Making) && !s.taken && !p.Known(s.Namespace) {
			copied := *s
			out = append(out, &copied)
		}
	}
	slices.SortFunc(out, func(a, b *slot) int {
		return cmp.Or(strings.Compare(string(b.state), string(a.state)), a.made.Compare(b.made), strings.Compare(a.Namespace, b.Namespace))
	})
	return out
}

// drain takes those out of use that nobody should be given.
func (p *Pool) drain(ctx context.Context, newest map[string]choice) error {
	var wrong []error
	kept := map[string]int{}
	for _, s := range p.free("") {
		why := p.useless(s, newest[s.Seed], kept[s.Seed])
		if why == "" {
			kept[s.Seed]++
			continue
		}
		if err := p.Namespaces.Drain(ctx, s.Preview); err != nil {
			if !errors.Is(err, preview.ErrNotFree) {
				wrong = append(wrong, err)
			}
			continue
		}
		p.Log.InfoContext(ctx, "a slot is drained", "slot", s.Namespace, "seed", s.Seed, "why", why)
		p.with(s, func(s *slot) { s.state, s.Phase, s.Reason = Draining, preview.Ending, why })
		if s.broken != "" {
			p.pause(s.Seed)
		}
		p.Drained()
	}
	return errors.Join(wrong...)
}

// useless says why nobody should be given a slot, empty for no reason. before is
// how many better ones its seed has.
func (p *Pool) useless(s *slot, newest choice, before int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.Want[s.Seed] == 0:
		return "no slot of its seed is wanted"
	case newest.none != "":
		return newest.none
	case s.snapshot != "" && newest.name != "" && s.snapshot != newest.name:
		return "there is a newer snapshot, " + newest.name
	case s.broken == "" && s.state == Making && p.Now().Sub(s.made) > makingFor:
		s.broken = "it did not come up: " + cmp.Or(s.said, "nobody knows why")
		return s.broken
	case s.broken != "":
		return s.broken
	case before >= p.Want[s.Seed]:
		return fmt.Sprintf("%d slots of its seed are wanted", p.Want[s.Seed])
	}
	return ""
}

// pause makes nothing of a seed for a while.
func (p *Pool) pause(seed string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.rests[seed]
	r.until = p.Now().Add(min(restFirst<<min(r.n, 10), restMost))
	r.n++
	p.rests[seed] = r
}

// fill begins one slot, of a seed that has too few.
func (p *Pool) fill(ctx context.Context, newest map[string]choice) error {
	if readable := p.Readable() == nil; !readable || p.count("", Making) > 0 {
		return nil
	}
	if p.count("", Making)+p.count("", Ready)+p.count("", Draining) >= p.Most {
		return nil
	}
	var of []string
	for seed, c := range newest {
		if c.name != "" && p.count(seed, Ready) < p.Want[seed] && !p.resting(seed) {
			of = append(of, seed)
		}
	}
	if len(of) == 0 {
		return nil
	}
	// Who has fewest first.
	slices.SortFunc(of, func(a, b string) int {
		return cmp.Or(cmp.Compare(p.count(a, Ready), p.count(b, Ready)), strings.Compare(a, b))
	})
	s := newSlot(name(), of[0], p.Now())
	uid, err := p.Namespaces.Reserve(ctx, s.Preview)
	if uid != "" {
		s.NamespaceUID = uid
		if err == nil {
			s.guarded = p.Now()
		}
		p.mu.Lock()
		p.slots[s.Namespace] = s
		p.mu.Unlock()
		p.Log.InfoContext(ctx, "a slot is being made", "slot", s.Namespace, "seed", s.Seed)
	}
	return err
}

func (p *Pool) resting(seed string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rests[seed].until.After(p.Now())
}

// name is one that no slot has or had.
func name() string {
	b := make([]byte, 5)
	_, _ = rand.Read(b) // never fails: it ends the program instead
	return snapshot.SlotPrefix + hex.EncodeToString(b)
}

// step brings slots on, and looks whether those that are ready still are.
func (p *Pool) step(ctx context.Context) error {
	var wrong []error
	for _, s := range p.free("") {
		if now := p.Now(); s.guarded.IsZero() || now.Sub(s.guarded) >= guardsEvery || s.guarded.After(now) {
			if _, err := p.Namespaces.Reserve(ctx, s.Preview); err != nil {
				if !errors.Is(err, preview.ErrNotFree) {
					wrong = append(wrong, err)
				}
				continue
			}
			p.with(s, func(s *slot) { s.guarded = now })
		}
		if _, err := p.up(ctx, s); err != nil {
			wrong = append(wrong, err)
		}
	}
	return errors.Join(wrong...)
}

// up brings one slot on, and says whether it is ready.
func (p *Pool) up(ctx context.Context, s *slot) (bool, error) {
	progress, err := p.Restorer.Step(ctx, s.Preview)
	var final string
	var foreign *broker.ForeignError
	var said broker.StatusError
	switch {
	case errors.As(err, &foreign), errors.Is(err, broker.ErrGone),
		errors.As(err, &said) && said.Status() == http.StatusUnprocessableEntity:
		final = err.Error()
	}
	p.with(s, func(s *slot) {
		if was := s.state; progress.Done && err == nil {
			s.state, s.snapshot, s.said = Ready, progress.Snapshot, ""
			if was != Ready {
				delete(p.rests, s.Seed)
				p.Log.InfoContext(ctx, "a slot is ready", "slot", s.Namespace, "seed", s.Seed, "snapshot", s.snapshot, "after", p.Now().Sub(s.made).Round(time.Millisecond))
			}
			return
		}
		if s.state == Ready {
			s.made = p.Now() // it may come up again
		}
		s.state, s.broken, s.said = Making, final, progress.Message
		if err != nil {
			s.said = err.Error()
		}
	})
	if err != nil && final == "" {
		return false, fmt.Errorf("slot %s: %w", s.Namespace, err)
	}
	return progress.Done && err == nil, nil
}

// with changes what is known of a slot that is still free.
func (p *Pool) with(s *slot, change func(*slot)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if is := p.slots[s.Namespace]; is != nil && is.NamespaceUID == s.NamespaceUID && is.state != Assigned && is.state != Draining {
		change(is)
	}
}

// count is how many slots of a seed, or of all for "", are in a state.
func (p *Pool) count(seed string, in State) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.slots {
		if s.state == in && (seed == "" || s.Seed == seed) {
			n++
		}
	}
	return n
}

// Slots are how many there are, by seed and state, for every seed that wants or
// has one; nil while that is not known.
func (p *Pool) Slots() map[string]map[State]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.looked {
		return nil
	}
	out := map[string]map[State]int{}
	of := func(seed string) map[State]int {
		if out[seed] == nil {
			out[seed] = map[State]int{}
			for _, s := range states {
				out[seed][s] = 0
			}
		}
		return out[seed]
	}
	for seed, n := range p.Want {
		if n > 0 {
			of(seed)
		}
	}
	for _, s := range p.slots {
		of(s.Seed)[s.state]++
	}
	return out
}
