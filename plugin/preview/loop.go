package preview

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"golang.org/x/time/rate"

	"github.com/seedling-dev/seedling/plugin/forge"
	"github.com/seedling-dev/seedling/plugin/queue"
	"github.com/seedling-dev/seedling/plugin/sight"
)

const (
	// pollEvery is the net under webhooks.
	pollEvery = 60 * time.Second
	// retryFirst and then twice that, up to pollEvery, after a task failed, and
	// while something is waited for that no webhook tells of.
	retryFirst = 2 * time.Second
	// stepsApart keeps a storm of webhooks and results from being a storm of
	// writes; under load steps are further apart, up to stepsApartMost.
	stepsApart     = 40 * time.Millisecond
	stepsApartMost = 2 * time.Second
	// stepTimeout bounds a step: writing the state and poking Argo CD.
	stepTimeout = 30 * time.Second
	// patience is how long readiness waits for every repository.
	patience = 2 * time.Minute
	// forgeCalls and clusterCalls bound tasks side by side, per forge and for
	// the cluster.
	forgeCalls   = 8
	clusterCalls = 16
)

// Snapshots finds the newest usable snapshot of a seed. Which one a preview
// gets is decided later, by the broker; here it only matters that there is one.
type Snapshots interface {
	Newest(ctx context.Context, seed string) (*velerov1.Backup, error)
}

// Options are a Reconciler's parts. Those from Unreached on may be left out.
type Options struct {
	Log        *slog.Logger
	Store      *Store
	Namespaces *Namespaces
	Snapshots  Snapshots
	// Forges by name.
	Forges map[string]forge.Forge
	// Poke makes Argo CD ask anew for an ApplicationSet.
	Poke func(ctx context.Context, applicationSet string) error
	// Slots are previews that were made in advance; nil for none.
	Slots Slots
	// Unreached is for how long Argo CD, asked to ask, would not reach us; 0 if it
	// would.
	Unreached func() time.Duration
	// Applied says whether Argo CD has an Application of that name that is not
	// being deleted.
	Applied func(ctx context.Context, application string) (bool, error)
	// Ended is told that a preview ended, and that something of one is gone.
	Ended func()
	// Refresh reads the ApplicationSets anew and calls SetApplicationSets.
	Refresh func(context.Context) error
	// Linger is for how long an ended preview keeps its data.
	Linger time.Duration
	// Cap is how many previews there may be in all; 0 for any number.
	Cap int
	// Sleep is when previews sleep whose inputs do not say it.
	Sleep Sleep
	// MaxDataAge is how old the data of a seed may become in a preview; 0 for any
	// age.
	MaxDataAge func(seed string) time.Duration
	// Comments: pull requests get a comment beside the commit status. Owner names
	// this plugin in it, ArgoCDURL is Argo CD's address for people; empty for none.
	Comments         bool
	Owner, ArgoCDURL string
	// Deployments: the forge is told of previews that are ready, where it has a place
	// for that.
	Deployments bool
	// Moved is told what a step made of a preview: nil for one that was not there
	// before, or is no more. It must not wait, nor change them.
	Moved func(was, is *Preview)
	// Audit takes one record per event of a preview.
	Audit *slog.Logger
	Now   func() time.Time
}

// Reconciler keeps what is answered in step with forges and cluster. Each
// repository has a goroutine of its own that decides and never waits for the
// outside world; what is to be found out and what is only told are tasks in
// bounded queues, one for each forge and one for the cluster.
type Reconciler struct {
	Options
	inventory *inventory
	seeds     seedBook
	mass      massGuard
	health    healthBook
	line      line
	comments  map[string]*rate.Limiter // by forge
	deploys   map[string]*rate.Limiter // by forge

	mu sync.Mutex
	// begin starts a repository's goroutine; nil until Run.
	begin   func(*repository)
	workers sync.WaitGroup
	queues  map[string]*queue.Queue // by forge
	cluster *queue.Queue
	repos   map[string]*repository
	sets    map[string]set
	synced  bool
	// over is closed when Run ends: no step comes any more.
	over chan struct{}
	// syncedAt is when the ApplicationSets were first known.
	syncedAt time.Time
	ready    bool
}

// Asked is what one ApplicationSet asks for.
type Asked struct {
	// Inputs are the parameters of its generators that are ours.
	Inputs []map[string]json.RawMessage
	// Confirmed is the value of its annotation snapshot.AnnotationEndConfirmed.
	Confirmed string
}

// set is what one ApplicationSet asks for, read.
type set struct {
	inputs []Input
	// broken sets have an input we cannot read. They keep what they had, and
	// nothing of theirs is ended.
	broken bool
}

// subscription is one input of one ApplicationSet.
type subscription struct {
	set string
	in  Input
}

func (s subscription) id() string { return s.in.id() + " " + s.set }

// repository is what is known of one repository in memory.
type repository struct {
	key  Key // without ApplicationSet and Number
	id   string
	kick chan struct{}

	mu     sync.Mutex
	forge  forge.Forge
	subs   []subscription
	frozen map[string]bool // broken ApplicationSets

	// Observed.
	book  *sight.Book
	hints map[int64]hint
	list  listing
	// Found out, by preview.
	found   map[string]*found
	writers writers
	// changes are files by pull request, images newest commits by image.key.
	changes map[int64]*listed
	images  map[string]*latestCommit
	// grants are what signed events told, by pull request.
	grants map[int64]grantsOf
	// flights are the tasks that wait or run, tries those that failed, pace those
	// that found nothing yet.
	flights map[string]bool
	tries   map[string]try
	pace    map[string]try
	// Published.
	answers map[string][]byte // by subscription.id
	// assembled are those of the last step, which alone has them.
	assembled map[string]assembled
	// lacking says why an ApplicationSet gets no new answer, by its name.
	lacking map[string]string
	unpoked map[string]bool
	steps   int
	ended   chan struct{} // closed when a step ended, and replaced
	err     error
	// After.
	said     map[string]string
	tells    map[string]tell     // by namespace
	comments map[int64]commented // by number
	// lastWords and deployed are by namespace.
	lastWords map[string]lastWords
	deployed  map[string]deployment
	sentence  map[string]sentence
	mended    map[string]time.Time
}

// try is a task that failed, or that is asked for again.
type try struct {
	n int
	// at is when it failed, next when it is asked for again.
	at, next time.Time
}

// NewReconciler makes a Reconciler.
func NewReconciler(o Options) *Reconciler {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Unreached == nil {
		o.Unreached = func() time.Duration { return 0 }
	}
	if o.Applied == nil {
		o.Applied = func(context.Context, string) (bool, error) { return false, nil }
	}
	if o.Ended == nil {
		o.Ended = func() {}
	}
	if o.MaxDataAge == nil {
		o.MaxDataAge = func(string) time.Duration { return 0 }
	}
	if o.Moved == nil {
		o.Moved = func(_, _ *Preview) {}
	}
	if o.Refresh == nil {
		o.Refresh = func(context.Context) error { return nil }
	}
	if o.Audit == nil {
		o.Audit = slog.New(slog.DiscardHandler)
	}
	r := &Reconciler{
		Options: o, repos: map[string]*repository{}, sets: map[string]set{}, over: make(chan struct{}),
		queues: map[string]*queue.Queue{}, cluster: queue.New(clusterCalls), comments: limits(o.Forges), deploys: deployLimits(o.Forges),
	}
	for name := range o.Forges {
		r.queues[name] = queue.New(forgeCalls)
	}
	if o.Namespaces != nil {
		r.inventory = newInventory(o.Namespaces)
	}
	o.Store.mu.Lock()
	defer o.Store.mu.Unlock()
	o.Store.forgotten = func(repository string) { r.nudge(repository, nil) }
	o.Store.changed = func(repository string) { r.nudge(repository, nil) }
	return r
}

// Run reconciles until ctx ends, once. The Store is loaded.
func (r *Reconciler) Run(ctx context.Context) error {
	r.mu.Lock()
	r.begin = func(repo *repository) {
		if ctx.Err() == nil {
			r.workers.Go(func() { r.work(ctx, repo) })
		}
	}
	for _, repo := range r.repos {
		r.begin(repo)
	}
	r.mu.Unlock()
	r.workers.Go(func() {
		r.inventory.run(ctx, r.Log, func(namespace string) {
			r.TriggerNamespace(namespace)
			r.Ended() // the janitor may have waited for it
		})
	})
	<-ctx.Done()
	close(r.over)
	r.mu.Lock()
	r.begin = nil
	r.mu.Unlock()
	r.workers.Wait()
	r.cluster.Close()
	for _, q := range r.queues {
		q.Close()
	}
	return nil
}

// SetApplicationSets says which ApplicationSets there are and what they ask
// for: all of them, each time. Only a complete and certain list may come here,
// because a preview nobody asks for ends.
func (r *Reconciler) SetApplicationSets(all map[string]Asked) {
	r.mu.Lock()
	defer r.mu.Unlock()
	sets := map[string]set{}
	for name, asked := range all {
		s, err := r.parse(asked.Inputs)
		if err != nil {
			if was, ok := r.sets[name]; !ok || !was.broken {
				r.Log.Error("the input of an ApplicationSet is wrong; its previews stay as they are until it is corrected",
					"applicationset", name, "error", err)
			}
			s = set{inputs: r.sets[name].inputs, broken: true}
		}
		sets[name] = s
	}
	r.sets = sets
	if !r.synced {
		r.synced, r.syncedAt = true, r.Now()
	}
	confirmed := map[string]string{}
	for name, asked := range all {
		confirmed[name] = asked.Confirmed
	}
	woken := r.mass.confirm(confirmed)

	subs := map[string][]subscription{}
	keys := r.Store.repositories()
	forges := map[string]forge.Forge{}
	frozen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(sets)) {
		frozen[name] = sets[name].broken
		for _, in := range sets[name].inputs {
			f := r.Forges[in.Forge]
			if f == nil {
				continue
			}
			key := Key{ForgeURL: f.URL(), Repository: in.Repo}
			id := key.RepositoryHash()
			if _, ok := keys[id]; !ok {
				keys[id] = key
			}
			forges[id] = f
			subs[id] = append(subs[id], subscription{set: name, in: in})
		}
	}
	for id, key := range keys {
		repo, ok := r.repos[id]
		if !ok {
			repo = newRepository(key)
			if rec, err := r.Store.read(id); err == nil {
				for _, p := range rec.Previews {
					repo.said[p.Namespace] = p.Said
					if p.CommentID != "" {
						repo.comments[p.Number] = commented{id: p.CommentID, text: p.CommentText}
					}
					if p.Phase == Live && p.Deployed != "" {
						repo.deployed[p.Namespace] = deployment{group: p.ApplicationSet, name: p.OwnName(), text: p.Deployed}
					}
				}
				r.mass.remember(rec.Spent)
			}
			r.repos[id] = repo
		}
		same := repo.ask(forges[id], subs[id], frozen)
		switch {
		case !ok:
			if r.begin != nil {
				r.begin(repo)
			}
		case !same || woken[id]:
			repo.wake(nil)
		}
	}
}

func newRepository(key Key) *repository {
	return &repository{
		key: key, id: key.RepositoryHash(), kick: make(chan struct{}, 1), ended: make(chan struct{}),
		book: sight.NewBook(), hints: map[int64]hint{}, grants: map[int64]grantsOf{}, found: map[string]*found{},
		changes: map[int64]*listed{}, images: map[string]*latestCommit{}, lacking: map[string]string{},
		flights: map[string]bool{}, tries: map[string]try{}, pace: map[string]try{},
		answers: map[string][]byte{}, unpoked: map[string]bool{},
		said: map[string]string{}, tells: map[string]tell{}, comments: map[int64]commented{}, lastWords: map[string]lastWords{}, deployed: map[string]deployment{}, sentence: map[string]sentence{}, mended: map[string]time.Time{},
	}
}

// ask takes in who asks for the repository, and says whether that is as it was.
// An answer goes with its subscription: whoever asks anew waits for a new one.
func (repo *repository) ask(f forge.Forge, subs []subscription, frozen map[string]bool) (same bool) {
	repo.mu.Lock()
	defer repo.mu.Unlock()
	same = slices.EqualFunc(repo.subs, subs, func(a, b subscription) bool { return a.id() == b.id() }) && maps.Equal(repo.frozen, frozen)
	repo.subs, repo.frozen, repo.forge = subs, frozen, f
	asked := map[string]bool{}
	for _, s := range subs {
		asked[s.id()] = true
	}
	maps.DeleteFunc(repo.answers, func(id string, _ []byte) bool { return !asked[id] })
	return same
}

func (r *Reconciler) parse(asked []map[string]json.RawMessage) (set, error) {
	var s set
	var wrong []error
	for _, parameters := range asked {
		in, err := ReadInput(r.Forges, parameters)
		if err != nil {
			wrong = append(wrong, err)
		}
		s.inputs = append(s.inputs, in)
	}
	return s, errors.Join(wrong...)
}

// Trigger makes a pull request be looked at now. closedAt is when it was
// closed, if it was: a preview from before then ends, though the pull request
// may be open again.
func (r *Reconciler) Trigger(forgeName, repo string, number int64, closedAt time.Time) {
	if f := r.Forges[forgeName]; f != nil {
		r.nudge(Key{ForgeURL: f.URL(), Repository: repo}.RepositoryHash(), map[int64]time.Time{number: closedAt})
	}
}

// TriggerNamespace makes the repository of a preview be looked at now.
func (r *Reconciler) TriggerNamespace(namespace string) {
	if p, ok := r.Store.byNamespace(namespace); ok {
		r.nudge(p.RepositoryHash(), nil)
	}
}

// TriggerSeed makes the snapshots of a seed be looked at now, if a preview waits
// for one.
func (r *Reconciler) TriggerSeed(seed string) {
	r.seeds.forget(seed)
	waiting := map[string]bool{}
	r.Store.each(func(p *Preview) {
		if p.Phase == Held && p.Seed == seed {
			waiting[p.RepositoryHash()] = true
		}
	})
	for id := range waiting {
		r.nudge(id, nil)
	}
}

func (r *Reconciler) nudge(id string, closings map[int64]time.Time) {
	r.mu.Lock()
	repo := r.repos[id]
	r.mu.Unlock()
	if repo != nil {
		repo.hint(closings, r.Now())
		repo.wake(nil)
	}
}

// Wake makes every repository be looked at now.
func (r *Reconciler) Wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, repo := range r.repos {
		repo.wake(nil)
	}
}

func (repo *repository) wake(change func()) {
	if change != nil {
		repo.mu.Lock()
		change()
		repo.mu.Unlock()
	}
	select {
	case repo.kick <- struct{}{}:
	default: // it is awake
	}
}

// work is a repository's goroutine: step, hand out what is to be done, wait.
func (r *Reconciler) work(ctx context.Context, repo *repository) {
	log := r.Log.With("repository", repo.key.Repository)
	failed := 0
	for {
		began := time.Now()
		next, err := r.safely(ctx, repo)
		took := time.Since(began)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			next.wait = min(retryFirst<<min(failed, 5), pollEvery)
			if failed++; failed == 1 {
				log.WarnContext(ctx, "the repository could not be reconciled; the last confirmed list stands", "error", err, "again_in", next.wait)
			}
		} else if failed > 0 {
			log.InfoContext(ctx, "the repository is reconciled again", "failures", failed)
			failed = 0
		}
		r.hand(ctx, repo, next.tasks)
		timer := time.NewTimer(next.wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-repo.kick:
			timer.Stop()
		}
		if rest := min(max(stepsApart, 5*took), stepsApartMost) - time.Since(began); rest > 0 {
			time.Sleep(rest)
		}
	}
}

// safely makes a panic of a step an error: the answer stays what it was.
func (r *Reconciler) safely(ctx context.Context, repo *repository) (next plan, err error) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	err = caught(func() (err error) {
		next, err = r.step(ctx, repo)
		return err
	})()
	repo.mu.Lock()
	defer repo.mu.Unlock()
	repo.steps++
	repo.err = err
	close(repo.ended)
	repo.ended = make(chan struct{})
	return next, err
}

// caught makes a panic of f its error. Every goroutine of ours begins with it,
// because a panic in one of them would end the process.
func caught(f func() error) func() error {
	return func() (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			}
		}()
		return f()
	}
}
