package janitor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seedling-dev/seedling/plugin/preview"
)

const (
	// every is the pace of passes without work, busy that with some under way,
	// again that after an error.
	every = 30 * time.Second
	busy  = 500 * time.Millisecond
	again = 5 * time.Second
	// passTimeout bounds one pass: a call that hangs must not end all clean-up.
	passTimeout = 5 * time.Minute
	// tidyEvery is the pace of the search for used snapshots while previews are
	// being removed.
	tidyEvery = 5 * time.Second
	// hurryEvery bounds how often events make all be looked at.
	hurryEvery = 2 * time.Second
	// waitsMost is how seldom an ended preview is looked at that does not get on;
	// saidAfter when that is said.
	waitsMost = time.Minute
	saidAfter = 10 * time.Minute
	// orphansEvery is the pace of the search for orphans.
	orphansEvery = 10 * time.Minute

	// syncHangs is how long an Application on its way out may go on syncing.
	syncHangs = 3 * time.Second
	// hooksHang is how long hooks that are being deleted may hold up an
	// Application on its way out.
	hooksHang = 30 * time.Second
	// applicationHangs is how long an Application may be on its way out
	// before its PreDelete and PostDelete hooks are given up. They come from the pull
	// request, and need its commit, which may be gone.
	applicationHangs = 3 * time.Minute
	// stepHangs is how long one step may hold up the next. After it the
	// namespace goes as it is, which removes all but the contents.
	stepHangs = time.Minute
	// restoreHangs is how long a running Restore may hold up everything. It
	// must not outlive the namespace: Velero would make that anew.
	restoreHangs = 3 * time.Minute
)

// Previews is what the janitor asks of the state.
type Previews interface {
	// Ended are the previews that the plugin ended and the janitor has not
	// yet forgotten.
	Ended() []preview.Preview
	// Rest says that of one that keeps its data nothing else is left.
	Rest(ctx context.Context, namespace string) error
	// Forget says that nothing is left of one.
	Forget(ctx context.Context, namespace string) error
}

// Options are a Janitor's parts. Known, Removed, Hangs and Now may be nil.
type Options struct {
	Client client.Client // uncached
	// Owner is the plugin's own namespace, which marks what is this plugin's:
	// nothing of another one's is touched.
	Owner    string
	Previews Previews
	// Close closes the namespace of one that keeps its data.
	Close func(ctx context.Context, p preview.Preview) error
	// Known says whether the state has a preview of that namespace, in
	// whatever phase. Without it nobody looks for orphans.
	Known func(namespace string) bool
	// Removed is told that nothing is left of an ended preview: the API server
	// answered that its namespace is not there. It may be told twice.
	Removed func(p preview.Preview)
	// Hangs is told what the removal of a preview waits for, for its pull request.
	Hangs func(namespace, what string)
	// Ready is nil when this process leads and has loaded its state.
	Ready                            func() error
	ArgoCDNamespace, VeleroNamespace string
	Log                              *slog.Logger
	Now                              func() time.Time
}

// Janitor removes what previews leave.
type Janitor struct {
	Options
	trigger chan struct{}

	hangs   map[string]Hang      // what was said of a namespace that does not end
	began   map[string]time.Time // when a namespace's removal began
	orphan  map[string]time.Time // when something was first seen to be one
	orphans time.Time            // when we looked last
	waits   map[string]waiting   // by the namespace of an ended preview
	tidied  time.Time
	hurried time.Time
	// refuses: the guard keeps all that seems to be orphaned now.
	refuses bool
	refused atomic.Uint64
	// found are the orphans of the sweep that goes on, leaked those of the last
	// whole one.
	found  map[string]int
	leaked atomic.Pointer[map[string]int]
}

// Leaked is how many objects of this plugin's are there, by kind, that no preview
// knows: what the sweep has found and not removed yet, because it is young, or may
// not be removed. It is nil while that is not known.
func (j *Janitor) Leaked() map[string]int {
	if l := j.leaked.Load(); l != nil {
		return *l
	}
	return nil
}

// Refusals is how often the guard began to keep all that seemed to be orphaned.
func (j *Janitor) Refusals() uint64 { return j.refused.Load() }

// waiting is an ended preview that does not get on: whoever does not is looked
// at less and less often.
type waiting struct {
	since, next time.Time
	said        bool
}

// New makes a Janitor. Its methods but Trigger are for one goroutine.
func New(o Options) *Janitor {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Removed == nil {
		o.Removed = func(preview.Preview) {}
	}
	if o.Hangs == nil {
		o.Hangs = func(string, string) {}
	}
	return &Janitor{
		hangs:   map[string]Hang{},
		Options: o,
		trigger: make(chan struct{}, 1),
		began:   map[string]time.Time{},
		orphan:  map[string]time.Time{},
		waits:   map[string]waiting{},
	}
}

// soonest is when the next ended preview is to be looked at.
func (j *Janitor) soonest() time.Duration {
	soon, now := every, j.Now()
	for _, w := range j.waits {
		soon = min(soon, max(w.next.Sub(now), 0))
	}
	return soon
}

// hurry makes the next pass look at all ended previews: something is gone that
// one of them may have waited for. Many events in a row do that once.
func (j *Janitor) hurry() {
	now := j.Now()
	if since := now.Sub(j.hurried); since >= 0 && since < hurryEvery {
		return
	}
	j.hurried = now
	for namespace, w := range j.waits {
		w.next = time.Time{}
		j.waits[namespace] = w
	}
}

// Trigger asks for a pass now.
func (j *Janitor) Trigger() {
	select {
	case j.trigger <- struct{}{}:
	default: // one is asked for
	}
}

// Run passes until ctx ends. It is for the leader only.
func (j *Janitor) Run(ctx context.Context) error {
	for {
		next := every
		if err := j.Ready(); err == nil {
			more, err := j.bounded(ctx)
			if err != nil && ctx.Err() == nil {
				j.Log.ErrorContext(ctx, "clean-up is incomplete and will be tried again", "error", err)
				next = again
			}
			if more {
				next = busy
			}
			if len(j.waits) > 0 {
				next = max(busy, min(next, every), j.soonest())
			}
		}
		pause := time.NewTimer(next)
		select {
		case <-ctx.Done():
			pause.Stop()
			return nil
		case <-j.trigger:
			pause.Stop()
			j.hurry()
		case <-pause.C:
		}
	}
}

func (j *Janitor) bounded(ctx context.Context) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	return j.Pass(ctx)
}

// Pass does what can be done now, and says whether more is under way. An error
// about one preview does not keep the others.
func (j *Janitor) Pass(ctx context.Context) (more bool, err error) {
	h := &hand{client: j.Client, log: j.Log}
	return j.clean(ctx, h)
}

// List says what would be removed now if nothing else happened, and removes
// nothing.
func (j *Janitor) List(ctx context.Context) ([]Action, error) {
	h := &hand{client: j.Client, log: j.Log, dry: true}
	_, err := j.clean(ctx, h)
	return h.actions, err
}

func (j *Janitor) clean(ctx context.Context, h *hand) (bool, error) {
	var wrong []error
	more := false
	ended := j.Previews.Ended()
	ending := make(map[string]bool, len(ended))
	for _, p := range ended {
		ending[p.Namespace] = true
		now := j.Now()
		if j.waits[p.Namespace].next.After(now) && !h.dry {
			more = true
			continue
		}
		do := j.end
		if p.Lingers(now) {
			do = j.rest
		}
		done, err := do(ctx, h, p)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("clean up preview %s: %w", p.Namespace, err))
		}
		if done && err == nil {
			delete(j.waits, p.Namespace)
			continue
		}
		j.wait(ctx, p, now)
		more = more || err == nil
	}
	for namespace := range j.waits {
		if !ending[namespace] {
			delete(j.waits, namespace)
		}
	}
	if h.dry || !more || j.Now().Sub(j.tidied) >= tidyEvery || j.Now().Before(j.tidied) {
		if err := j.tidy(ctx, h); err != nil {
			wrong = append(wrong, fmt.Errorf("remove used volume snapshots: %w", err))
		}
		j.tidied = j.Now()
	}
	if j.Known != nil && (h.dry || j.Now().Sub(j.orphans) >= orphansEvery) {
		sweeping, err := j.sweep(ctx, h, ending)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("remove orphans: %w", err))
		}
		if !h.dry && !sweeping {
			j.orphans = j.Now()
		}
		more = more || sweeping
	}
	return more, errors.Join(wrong...)
}

// wait puts off the next look at an ended preview: by an eighth of the time that
// it has waited.
func (j *Janitor) wait(ctx context.Context, p preview.Preview, now time.Time) {
	w, ok := j.waits[p.Namespace]
	if !ok || w.since.After(now) {
		w = waiting{since: now}
	}
	age := now.Sub(w.since)
	w.next = now.Add(min(age/8, waitsMost))
	if age >= saidAfter && !w.said {
		w.said = true
		j.Log.ErrorContext(ctx, "an ended preview cannot be removed: something keeps its Application or its namespace; "+
			"see the finalizers of both, and whether a policy lets Argo CD delete", "preview", p.Namespace, "ended", p.EndedAt)
	}
	j.waits[p.Namespace] = w
}

// since remembers when a namespace's removal began.
func (j *Janitor) since(namespace string) time.Time {
	began, ok := j.began[namespace]
	if !ok {
		began = j.Now()
		j.began[namespace] = began
	}
	return began
}
