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
	"sort"
	"sync"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"golang.org/x/sync/errgroup"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/forge"
)

const (
	// pollEvery is the net under webhooks; restlessFirst, and then twice that,
	// the pace while something is waited for that no webhook tells of.
	pollEvery     = 60 * time.Second
	restlessFirst = 2 * time.Second
	// retryFirst and then twice that, up to pollEvery, after a failed round.
	retryFirst = 2 * time.Second
	// roundsApart keeps a storm of webhooks from being a storm of lists.
	roundsApart = 150 * time.Millisecond
	// roundTimeout bounds one round. Argo CD waits 30 s for an answer.
	roundTimeout = 50 * time.Second
	// staleAfter is how old a confirmed list may be and still be answered.
	staleAfter = 5 * time.Minute
	// mendEvery is how often the guards of a live preview are looked over.
	mendEvery = 10 * time.Minute
	// patience is how long readiness waits for every repository.
	patience = 2 * time.Minute
	// maxHints is how many pull requests are asked for one by one; for more the
	// list is quicker.
	maxHints = 20
	// atOnce bounds calls side by side within a round.
	atOnce = 8
)

var (
	// ErrNotReady is returned until the ApplicationSets are known.
	ErrNotReady = errors.New("the ApplicationSets are not known yet")
	// ErrNotAsked is returned for an input that no ApplicationSet of that name
	// has.
	ErrNotAsked = errors.New("no ApplicationSet of that name has this input")
	// ErrUnlisted is returned while a repository was never listed completely.
	ErrUnlisted = errors.New("the repository has not been listed completely yet")
	// ErrStale is returned when the last confirmed list is too old.
	ErrStale = errors.New("the last confirmed list is too old")
)

// Snapshots finds the newest usable snapshot of a seed. Which one a preview
// gets is decided later, by the broker; here it only matters that there is one.
type Snapshots interface {
	Newest(ctx context.Context, seed string) (*velerov1.Backup, error)
}

// Options are a Reconciler's parts. Applied, Ended, Refresh and Now may be nil.
type Options struct {
	Log        *slog.Logger
	Store      *Store
	Namespaces *Namespaces
	Snapshots  Snapshots
	// Forges by name.
	Forges map[string]forge.Forge
	// Poke makes Argo CD ask anew for an ApplicationSet.
	Poke func(ctx context.Context, applicationSet string) error
	// Applied says whether Argo CD has an Application of that name that is not
	// being deleted.
	Applied func(ctx context.Context, application string) (bool, error)
	// Ended is told that a preview ended.
	Ended func()
	// Refresh reads the ApplicationSets anew and calls SetApplicationSets.
	Refresh func(context.Context) error
	Now     func() time.Time
}

// Reconciler keeps what is answered in step with forges and cluster. Each
// repository has its own goroutine, and one round at a time.
type Reconciler struct {
	Options

	mu sync.Mutex
	// begin starts a repository's goroutine; nil until Run.
	begin   func(*repository)
	workers sync.WaitGroup
	repos   map[string]*repository
	sets    map[string]set
	synced  bool
	// over is closed when Run ends: no round comes any more.
	over chan struct{}
	// syncedAt is when the ApplicationSets were first known.
	syncedAt time.Time
	ready    bool
}

// set is what one ApplicationSet asks for.
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

func (s subscription) id() string { return digest(s.set, s.in.id()) }

// repository is what is known of one repository in memory.
type repository struct {
	key  Key // without ApplicationSet and Number
	kick chan struct{}

	mu sync.Mutex
	// hints are pull requests to ask for, one by one, in the next round, and
	// when we were told that they were closed, if we were.
	hints  map[int64]time.Time
	forge  forge.Forge
	subs   []subscription
	frozen map[string]bool // broken ApplicationSets
	// What the last complete rounds found.
	pulls     map[int64]forge.PullRequest
	confirmed time.Time
	answers   map[string][]byte // by subscription.id
	rounds    int
	ended     chan struct{} // closed when a round ended, and replaced
	err       error

	// Of the worker alone.
	mended   map[string]time.Time
	unpoked  map[string]bool
	said     map[string]string
	restless bool
}

// NewReconciler makes a Reconciler.
func NewReconciler(o Options) *Reconciler {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Applied == nil {
		o.Applied = func(context.Context, string) (bool, error) { return false, nil }
	}
	if o.Ended == nil {
		o.Ended = func() {}
	}
	if o.Refresh == nil {
		o.Refresh = func(context.Context) error { return nil }
	}
	r := &Reconciler{Options: o, repos: map[string]*repository{}, sets: map[string]set{}, over: make(chan struct{})}
	o.Store.mu.Lock()
	defer o.Store.mu.Unlock()
	kick := func(repository string) { r.kick(repository, nil) }
	o.Store.forgotten, o.Store.changed = kick, kick
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
	<-ctx.Done()
	close(r.over)
	r.mu.Lock()
	r.begin = nil
	r.mu.Unlock()
	r.workers.Wait()
	return nil
}

// SetApplicationSets says which ApplicationSets there are and what they ask
// for: all of them, each time. Only a complete and certain list may come here,
// because a preview nobody asks for ends.
func (r *Reconciler) SetApplicationSets(all map[string][]map[string]json.RawMessage) {
	r.mu.Lock()
	defer r.mu.Unlock()
	sets := map[string]set{}
	for name, asked := range all {
		s, err := r.parse(asked)
		if err != nil {
			r.Log.Error("the input of an ApplicationSet is wrong; its previews stay as they are until it is corrected",
				"applicationset", name, "error", err)
			s = set{inputs: r.sets[name].inputs, broken: true}
		}
		sets[name] = s
	}
	r.sets = sets
	if !r.synced {
		r.synced, r.syncedAt = true, r.Now()
	}

	subs := map[string][]subscription{}
	keys := r.Store.repositories()
	forges := map[string]forge.Forge{}
	frozen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(sets)) {
		frozen[name] = sets[name].broken
		for _, in := range sets[name].inputs {
			f := r.Forges[in.Forge]
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
			repo = &repository{
				key: key, kick: make(chan struct{}, 1), ended: make(chan struct{}), hints: map[int64]time.Time{},
				pulls: map[int64]forge.PullRequest{}, answers: map[string][]byte{},
				mended: map[string]time.Time{}, unpoked: map[string]bool{}, said: map[string]string{},
			}
			rec := r.Store.read(id)
			for _, p := range rec.Previews {
				repo.said[p.Namespace] = p.Said
			}
			r.repos[id] = repo
		}
		repo.mu.Lock()
		same := ok && slices.EqualFunc(repo.subs, subs[id], func(a, b subscription) bool { return a.id() == b.id() }) &&
			maps.Equal(repo.frozen, frozen)
		repo.subs, repo.frozen, repo.forge = subs[id], frozen, forges[id]
		repo.mu.Unlock()
		switch {
		case !ok:
			if r.begin != nil {
				r.begin(repo)
			}
		case !same:
			repo.wake(nil)
		}
	}
}

func (r *Reconciler) parse(asked []map[string]json.RawMessage) (set, error) {
	var s set
	var wrong []error
	for _, parameters := range asked {
		in, err := r.input(parameters)
		if err != nil {
			wrong = append(wrong, err)
		}
		s.inputs = append(s.inputs, in)
	}
	return s, errors.Join(wrong...)
}

func (r *Reconciler) input(parameters map[string]json.RawMessage) (Input, error) {
	in, err := ParseInput(parameters)
	if err == nil && r.Forges[in.Forge] == nil {
		err = &InputError{"forge", "names a forge that is not in the plugin's configuration"}
	}
	return in, err
}

// Trigger makes a pull request be looked at now. closedAt is when it was
// closed, if it was: a preview from before then ends, and begins anew if the
// pull request is open again.
func (r *Reconciler) Trigger(forgeName, repo string, number int64, closedAt time.Time) {
	if f := r.Forges[forgeName]; f != nil {
		r.kick(Key{ForgeURL: f.URL(), Repository: repo}.RepositoryHash(), map[int64]time.Time{number: closedAt})
	}
}

// TriggerNamespace makes the repository of a preview be looked at now.
func (r *Reconciler) TriggerNamespace(namespace string) {
	if p, ok := r.Store.byNamespace(namespace); ok {
		r.kick(p.RepositoryHash(), nil)
	}
}

// TriggerSeed makes every repository be looked at now that has a preview held
// back and asks for that seed.
func (r *Reconciler) TriggerSeed(seed string) {
	for _, p := range r.Store.All() {
		if p.Phase == Held && p.Seed == seed {
			r.kick(p.RepositoryHash(), nil)
		}
	}
}

func (r *Reconciler) kick(id string, hints map[int64]time.Time) {
	r.mu.Lock()
	repo := r.repos[id]
	r.mu.Unlock()
	if repo != nil {
		repo.wake(hints)
	}
}

func (repo *repository) wake(hints map[int64]time.Time) {
	repo.mu.Lock()
	repo.hint(hints)
	repo.mu.Unlock()
	select {
	case repo.kick <- struct{}{}:
	default: // it is awake
	}
}

// hint notes what to ask for; of two closings the later counts. The caller
// holds mu.
func (repo *repository) hint(hints map[int64]time.Time) {
	for n, closedAt := range hints {
		if was, ok := repo.hints[n]; !ok || closedAt.After(was) {
			repo.hints[n] = closedAt
		}
	}
}

// Knows says whether the last list already has this pull request as it is,
// so that hearing of it again is no news.
func (r *Reconciler) Knows(forgeName, repository string, p forge.PullRequest) bool {
	f := r.Forges[forgeName]
	if f == nil {
		return false
	}
	r.mu.Lock()
	repo := r.repos[Key{ForgeURL: f.URL(), Repository: repository}.RepositoryHash()]
	r.mu.Unlock()
	if repo == nil {
		return true // nobody asks for the repository
	}
	repo.mu.Lock()
	defer repo.mu.Unlock()
	was, ok := repo.pulls[p.Number]
	if !ok {
		return !p.Open && !repo.confirmed.IsZero()
	}
	a, b := slices.Clone(was.Labels), slices.Clone(p.Labels)
	sort.Strings(a)
	sort.Strings(b)
	return was.Open == p.Open && was.HeadSHA == p.HeadSHA && was.Title == p.Title &&
		was.TargetBranch == p.TargetBranch && slices.Equal(a, b)
}

// Ready says whether each repository that was known first has been listed
// once, or tried for long enough. It stays true: a repository seen later is
// listed within its first request.
func (r *Reconciler) Ready() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ready {
		return nil
	}
	if !r.synced {
		return ErrNotReady
	}
	var missing []string
	for _, repo := range r.repos {
		repo.mu.Lock()
		if len(repo.subs) > 0 && repo.confirmed.IsZero() {
			missing = append(missing, repo.key.Repository)
		}
		repo.mu.Unlock()
	}
	// One repository that is gone for good must not keep the broker and the
	// webhooks of all others away: after a while its own requests are refused,
	// and no more.
	if len(missing) > 0 && r.Now().Sub(r.syncedAt) > patience {
		r.Log.Warn("repositories could not be listed; their ApplicationSets get no answer, all others do", "repositories", missing)
		missing = nil
	}
	if len(missing) > 0 {
		sort.Strings(missing)
		return fmt.Errorf("%w: %v", ErrUnlisted, missing)
	}
	r.ready = true
	return nil
}

// Answer is the body of the answer to a generator's request: the last
// confirmed list. Errors of the input are InputErrors.
func (r *Reconciler) Answer(ctx context.Context, applicationSet string, parameters map[string]json.RawMessage) ([]byte, error) {
	in, err := r.input(parameters)
	if err != nil {
		return nil, err
	}
	sub := subscription{set: applicationSet, in: in}
	repo, err := r.asked(sub)
	if errors.Is(err, ErrNotAsked) {
		// Our watch may be behind Argo CD's.
		if err := r.Refresh(ctx); err != nil {
			return nil, err
		}
		repo, err = r.asked(sub)
	}
	if err != nil {
		return nil, err
	}

	id := sub.id()
	first := -1
	for {
		repo.mu.Lock()
		body, ok := repo.answers[id]
		confirmed, rounds, ended, roundErr := repo.confirmed, repo.rounds, repo.ended, repo.err
		repo.mu.Unlock()
		if ok {
			if age := r.Now().Sub(confirmed); age > staleAfter {
				return nil, fmt.Errorf("%w: %s", ErrStale, age.Round(time.Second))
			}
			return body, nil
		}
		if first < 0 {
			first = rounds
			repo.wake(nil)
		}
		// The round that runs may have begun before this was asked for.
		if rounds >= first+2 || rounds == first+1 && roundErr != nil {
			return nil, errors.Join(ErrUnlisted, roundErr)
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ErrUnlisted, ctx.Err())
		case <-r.over:
			return nil, ErrUnlisted
		case <-ended:
		}
	}
}

func (r *Reconciler) asked(sub subscription) (*repository, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.synced {
		return nil, ErrNotReady
	}
	for _, in := range r.sets[sub.set].inputs {
		if in.id() == sub.in.id() {
			key := Key{ForgeURL: r.Forges[in.Forge].URL(), Repository: in.Repo}
			return r.repos[key.RepositoryHash()], nil
		}
	}
	return nil, ErrNotAsked
}

// work is a repository's goroutine.
func (r *Reconciler) work(ctx context.Context, repo *repository) {
	log := r.Log.With("repository", repo.key.Repository)
	retry, restless := retryFirst, restlessFirst
	for {
		began := time.Now()
		err := r.safely(ctx, repo)
		repo.mu.Lock()
		repo.rounds++
		repo.err = err
		close(repo.ended)
		repo.ended = make(chan struct{})
		repo.mu.Unlock()

		var wait time.Duration
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			log.WarnContext(ctx, "the repository could not be reconciled; the last confirmed list stands", "error", err, "again_in", retry)
			wait = retry
			retry = min(2*retry, pollEvery)
		default:
			retry = retryFirst
			wait = repo.untilPoll(r.Now())
			if !repo.restless {
				restless = restlessFirst
				break
			}
			wait = min(wait, restless)
			restless = min(2*restless, pollEvery)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-repo.kick:
			timer.Stop()
			restless = restlessFirst
			if rest := roundsApart - time.Since(began); rest > 0 {
				time.Sleep(rest)
			}
		}
	}
}

// untilPoll is how long the last list is good enough to go on with. Webhooks
// do not put the next one off.
func (repo *repository) untilPoll(now time.Time) time.Duration {
	repo.mu.Lock()
	defer repo.mu.Unlock()
	if len(repo.subs) == 0 {
		return pollEvery
	}
	return min(max(repo.confirmed.Add(pollEvery).Sub(now), 0), pollEvery)
}

// safely makes a panic of a round an error: the answer stays what it was.
func (r *Reconciler) safely(ctx context.Context, repo *repository) error {
	ctx, cancel := context.WithTimeout(ctx, roundTimeout)
	defer cancel()
	return caught(func() error { return r.round(ctx, repo) })()
}

// caught makes a panic of f its error. Every goroutine of a round begins with
// it, because a panic in one of them would end the process.
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

// item is one pull request for one ApplicationSet within a round.
type item struct {
	key   Key
	in    Input
	cur   *Preview
	facts Facts
}

// round looks at a repository once: list, guard, facts, state, answer, poke.
func (r *Reconciler) round(ctx context.Context, repo *repository) (err error) {
	began := r.Now()
	repo.mu.Lock()
	subs, frozen, f := repo.subs, repo.frozen, repo.forge
	last := guarded{pulls: maps.Clone(repo.pulls), at: repo.confirmed}
	hints := repo.hints
	repo.hints = map[int64]time.Time{}
	repo.mu.Unlock()
	defer func() {
		if err != nil {
			repo.mu.Lock()
			repo.hint(hints)
			repo.mu.Unlock()
		}
	}()
	id := repo.key.RepositoryHash()

	// The state is read before the cluster is: what a preview lost is judged
	// by what was recorded before.
	rec := r.Store.read(id)
	if len(subs) == 0 && len(rec.Previews) == 0 {
		return nil
	}
	last.open = rec.Open
	if len(subs) == 0 {
		f = nil // nobody may ask the forge
	}
	g, seen, err := r.observe(ctx, repo.key, f, rec, last, hints)
	if err != nil {
		return err
	}
	items := r.items(repo.key, subs, frozen, rec, g)
	for _, it := range items {
		it.facts.ClosedAt = hints[it.key.Number]
	}
	if err := r.find(ctx, f, items, seen); err != nil {
		return err
	}

	now := r.Now()
	var events []transition
	err = r.Store.update(ctx, repo.key, func(next *record) error {
		events = events[:0]
		if len(subs) > 0 {
			next.Open = g.open
		}
		for _, it := range items {
			was := next.find(it.key.ApplicationSet, it.key.Number)
			if was == nil && it.cur != nil {
				continue // the janitor forgot it since; the next round is asked for
			}
			is := Next(was, it.key, it.facts, now)
			if is != nil {
				is.Said = repo.said[is.Namespace]
			}
			next.put(it.key.ApplicationSet, it.key.Number, is)
			if t := (transition{was: was, is: is, in: it.in}); t.moved() {
				events = append(events, t)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	ended := r.log(repo, events)
	found := r.Now()
	if len(subs) > 0 {
		if err := r.publish(ctx, repo, subs, items, g); err != nil {
			return err
		}
	}
	if ended {
		r.Ended()
	}
	if f != nil {
		r.tell(ctx, repo, f, items, events)
	}
	r.mend(ctx, repo)
	r.Log.DebugContext(ctx, "round", "repository", repo.key.Repository, "hints", len(hints), "listed", g.at.After(last.at),
		"decided", found.Sub(began), "in_all", r.Now().Sub(began))
	return nil
}

// observe asks the forge and looks at the cluster, side by side. Without a
// forge the cluster alone is looked at.
func (r *Reconciler) observe(ctx context.Context, key Key, f forge.Forge, rec *record, last guarded, hints map[int64]time.Time) (g guarded, seen *view, err error) {
	var group errgroup.Group
	group.Go(caught(func() (err error) {
		switch {
		case f == nil:
			g = last
		case r.Now().Sub(last.at) < pollEvery && len(hints) <= maxHints:
			g, err = update(ctx, key, f, last, hints)
			if err == nil {
				return nil
			}
			r.Log.WarnContext(ctx, "pull requests could not be asked for; the repository is listed", "repository", key.Repository, "error", err)
			fallthrough
		default:
			g, err = r.list(ctx, key, f, rec, last)
		}
		return err
	}))
	group.Go(caught(func() error {
		v, err := r.Namespaces.look(ctx)
		if err != nil {
			// Nobody lost anything as far as we know.
			r.Log.WarnContext(ctx, "the cluster could not be looked at", "error", err)
			return nil
		}
		seen = &v
		return nil
	}))
	err = group.Wait()
	return g, seen, err
}

// update brings the last list to date where somebody said that it changed,
// which is much quicker than a list.
func update(ctx context.Context, key Key, f forge.Forge, last guarded, hints map[int64]time.Time) (guarded, error) {
	g := guarded{pulls: maps.Clone(last.pulls), open: slices.Clone(last.open), at: last.at}
	for n := range hints {
		p, err := f.Get(ctx, key.Repository, n)
		if err != nil && !errors.Is(err, forge.ErrGone) {
			return g, err
		}
		delete(g.pulls, n)
		g.open = slices.DeleteFunc(g.open, func(o int64) bool { return o == n })
		if err == nil && p.Open {
			g.pulls[n] = p
			g.open = append(g.open, n)
		}
	}
	slices.Sort(g.open)
	return g, nil
}

// list asks for the whole list and guards it.
func (r *Reconciler) list(ctx context.Context, key Key, f forge.Forge, rec *record, last guarded) (guarded, error) {
	began := r.Now()
	listed, err := f.List(ctx, key.Repository)
	if err != nil {
		return guarded{}, err
	}
	was := known{open: last.open, pulls: last.pulls, needed: map[int64]bool{}}
	for _, p := range rec.Previews {
		if p.Phase != Ending {
			was.needed[p.Number] = true
			if _, ok := was.pulls[p.Number]; !ok {
				was.pulls[p.Number] = p.PullRequest
			}
		}
	}
	g := guard(ctx, was, listed, func(ctx context.Context, n int64) (forge.PullRequest, error) {
		return f.Get(ctx, key.Repository, n)
	})
	g.at = began
	if len(g.unconfirmed) > 0 {
		r.Log.WarnContext(ctx, "pull requests left the list and could not be confirmed closed; they stay",
			"repository", key.Repository, "numbers", g.unconfirmed)
	}
	return g, nil
}

// items are the pull requests there is something to decide about.
func (r *Reconciler) items(repo Key, subs []subscription, frozen map[string]bool, rec *record, g guarded) []*item {
	bySet := map[string][]Input{}
	for _, s := range subs {
		bySet[s.set] = append(bySet[s.set], s.in)
	}
	unknown := map[int64]bool{} // open, and nothing more is known
	for _, n := range g.open {
		if _, ok := g.pulls[n]; !ok {
			unknown[n] = true
		}
	}
	var items []*item
	for _, name := range slices.Sorted(maps.Keys(bySet)) {
		numbers := map[int64]bool{}
		for n := range g.pulls {
			numbers[n] = true
		}
		for _, p := range rec.Previews {
			if p.ApplicationSet == name && !unknown[p.Number] {
				numbers[p.Number] = true
			}
		}
		for _, n := range slices.Sorted(maps.Keys(numbers)) {
			cur := rec.find(name, n)
			it := &item{key: Key{ForgeURL: repo.ForgeURL, Repository: repo.Repository, ApplicationSet: name, Number: n}, cur: cur}
			pr, open := g.pulls[n]
			// The first input that wants it has it.
			for i, in := range bySet[name] {
				refused := ""
				if open {
					refused = in.allows(pr)
				}
				if i == 0 || refused == "" {
					it.in, it.facts.Refused = in, refused
				}
				if refused == "" {
					break
				}
			}
			if cur == nil && (!open || it.facts.Refused != "") {
				continue
			}
			if open {
				it.facts.PullRequest = &pr
				it.facts.Reset = pr.HasLabel(it.in.ResetLabel)
			}
			it.facts.Seed = it.in.Seed
			items = append(items, it)
		}
	}
	for _, p := range rec.Previews {
		if _, asked := bySet[p.ApplicationSet]; asked || frozen[p.ApplicationSet] {
			continue
		}
		pr := p.PullRequest
		items = append(items, &item{key: p.Key, cur: p, facts: Facts{PullRequest: &pr, Refused: reasonUnasked, Seed: p.Seed}})
	}
	return items
}

// find finds out what Next needs to know, and makes namespaces. What cannot
// be found out holds one preview back and is no error.
func (r *Reconciler) find(ctx context.Context, f forge.Forge, items []*item, seen *view) error {
	none := r.withoutSnapshot(ctx)
	var group errgroup.Group
	group.SetLimit(atOnce)
	for _, it := range items {
		group.Go(caught(func() error {
			r.findOne(ctx, f, it, seen, none)
			return nil
		}))
	}
	return group.Wait()
}

// withoutSnapshot returns a function that says why a seed has no usable
// snapshot, empty where it has one, and asks once per seed.
func (r *Reconciler) withoutSnapshot(ctx context.Context) func(seed string) string {
	var mu sync.Mutex
	known := map[string]string{}
	return func(seed string) string {
		mu.Lock()
		defer mu.Unlock()
		why, ok := known[seed]
		if ok {
			return why
		}
		_, err := r.Snapshots.Newest(ctx, seed)
		switch {
		case errors.Is(err, snapshot.ErrNone):
			why = err.Error()
		case err != nil:
			r.Log.WarnContext(ctx, "the snapshots of a seed could not be looked at", "seed", seed, "error", err)
			why = "the snapshots of seed " + seed + " cannot be read now; this is tried again"
		}
		known[seed] = why
		return why
	}
}

func (r *Reconciler) findOne(ctx context.Context, f forge.Forge, it *item, seen *view, none func(seed string) string) {
	log := r.Log.With("preview", it.key.Namespace())
	fresh := it.cur == nil || it.cur.Phase == Held
	if it.facts.Refused == reasonUnasked && it.cur.Phase == Live && r.applied(ctx, log, it.cur.Namespace) {
		it.facts.Refused, it.facts.Reset = "", it.cur.ResetSpent
		return
	}
	switch {
	case it.facts.PullRequest == nil || it.facts.Refused != "" || it.cur != nil && it.cur.Phase == Ending:
		return // nothing to find out
	case it.cur != nil && it.cur.Phase == Live:
		if seen != nil {
			lost, err := r.Namespaces.confirm(ctx, it.cur, seen.loss(it.cur))
			if err != nil {
				log.WarnContext(ctx, "a loss could not be confirmed", "error", err)
			}
			it.facts.Lost = lost
		}
	}
	pr := *it.facts.PullRequest
	if fresh && !pr.Fork && (it.cur == nil || it.cur.ConsentBy == "") {
		it.facts.Consent = r.consent(ctx, log, f, it)
		if it.facts.Consent.By == "" {
			return
		}
	}
	it.facts.HeadSHA, it.facts.HeadWaits = r.head(ctx, log, f, it)
	if !fresh {
		return
	}
	it.facts.NoSnapshot = none(it.in.Seed)
	// A preview that lacks nothing but its namespace gets it now.
	draft := Next(it.cur, it.key, it.facts, r.Now())
	if draft == nil || draft.Phase != Held || draft.Reason != reasonNamespace {
		return
	}
	space, err := r.Namespaces.Prepare(ctx, *draft)
	if err != nil {
		log.WarnContext(ctx, "the namespace could not be prepared", "error", err)
		space.Blocked = "its namespace could not be prepared; this is tried again"
	}
	it.facts.Space = space
}

// applied says whether a preview that nobody asks for stays as it is. Argo CD
// deletes the Applications of an ApplicationSet that is gone, or that has
// another generator; while one is there, it may be us who look in the wrong
// place: a wrong name in our configuration must not cost every preview its data.
func (r *Reconciler) applied(ctx context.Context, log *slog.Logger, application string) bool {
	there, err := r.Applied(ctx, application)
	switch {
	case err != nil:
		log.WarnContext(ctx, "no ApplicationSet asks for a preview, and whether Argo CD still has it cannot be told; it stays", "error", err)
		return true
	case there:
		log.WarnContext(ctx, "no ApplicationSet asks for a preview that Argo CD still has; it stays until its Application is deleted: "+
			"is generatorConfigMap right, and the plugin a top-level generator?")
	}
	return there
}

// consent asks the forge who set the label, and whether they may write.
func (r *Reconciler) consent(ctx context.Context, log *slog.Logger, f forge.Forge, it *item) Consent {
	unanswered := func(err error) Consent {
		log.WarnContext(ctx, "the forge could not be asked for consent", "error", err)
		return Consent{Missing: "the forge could not be asked who set the label; this is tried again", Unanswered: true}
	}
	l, err := f.Labelled(ctx, it.key.Repository, it.key.Number, it.in.Label)
	if errors.Is(err, forge.ErrNotLabelled) {
		return Consent{Missing: fmt.Sprintf("the forge has no record of who set label %s: take it off and set it again", it.in.Label)}
	}
	if err != nil {
		return unanswered(err)
	}
	may, err := f.CanWrite(ctx, it.key.Repository, l.By)
	if err != nil {
		return unanswered(err)
	}
	if !may {
		return Consent{Missing: fmt.Sprintf("label %s was set by somebody without write access", it.in.Label)}
	}
	return Consent{By: l.By, At: l.At}
}

// head says which commit may be emitted.
func (r *Reconciler) head(ctx context.Context, log *slog.Logger, f forge.Forge, it *item) (sha, waits string) {
	sha = it.facts.PullRequest.HeadSHA
	if it.in.WaitForStatus == "" || it.cur != nil && it.cur.HeadSHA == sha {
		return sha, ""
	}
	passed, err := f.Passed(ctx, it.key.Repository, sha, it.in.WaitForStatus)
	switch {
	case err != nil:
		log.WarnContext(ctx, "the forge could not be asked for a commit status", "error", err)
		return "", "the forge could not be asked for the commit status it waits for; this is tried again"
	case !passed:
		return "", fmt.Sprintf("it waits for commit status %s to succeed", it.in.WaitForStatus)
	}
	return sha, ""
}

// publish replaces the answers, and makes Argo CD ask for those that differ.
func (r *Reconciler) publish(ctx context.Context, repo *repository, subs []subscription, items []*item, g guarded) error {
	rec := r.Store.read(repo.key.RepositoryHash())
	owner := map[Key]string{}
	restless := false
	for _, it := range items {
		owner[it.key] = it.in.id()
		restless = restless || it.facts.Consent.Unanswered
	}
	live := map[string][]*Preview{}
	for _, p := range rec.Previews {
		switch p.Phase {
		case Live:
			key := Key{ForgeURL: repo.key.ForgeURL, Repository: repo.key.Repository, ApplicationSet: p.ApplicationSet, Number: p.Number}
			s := digest(p.ApplicationSet, owner[key])
			live[s] = append(live[s], p)
			if p.HeadSHA != p.PullRequest.HeadSHA {
				restless = true
			}
		case Held:
			restless = restless || p.ConsentBy != ""
		}
	}
	repo.restless = restless
	answers := map[string][]byte{}
	for _, s := range subs {
		body, err := answer(live[s.id()], s.in)
		if err != nil {
			return err
		}
		answers[s.id()] = body
	}
	repo.mu.Lock()
	for _, s := range subs {
		if was, ok := repo.answers[s.id()]; !ok || string(was) != string(answers[s.id()]) {
			repo.unpoked[s.set] = true
		}
	}
	repo.answers, repo.pulls, repo.confirmed = answers, g.pulls, g.at
	repo.mu.Unlock()

	// One that asks no more needs no poke.
	maps.DeleteFunc(repo.unpoked, func(name string, _ bool) bool {
		return !slices.ContainsFunc(subs, func(s subscription) bool { return s.set == name })
	})
	for _, name := range slices.Sorted(maps.Keys(repo.unpoked)) {
		if err := r.Poke(ctx, name); err != nil {
			r.Log.WarnContext(ctx, "Argo CD could not be poked; it asks by itself later", "applicationset", name, "error", err)
			continue
		}
		delete(repo.unpoked, name)
	}
	return nil
}

// transition is what became of a preview in a round.
type transition struct {
	was, is *Preview
	in      Input
}

func (t transition) moved() bool {
	return t.was == nil || t.is == nil || t.was.Phase != t.is.Phase || t.was.Reason != t.is.Reason || t.was.HeadSHA != t.is.HeadSHA
}

func (r *Reconciler) log(repo *repository, events []transition) (ended bool) {
	for _, t := range events {
		p, phase := t.is, "gone"
		switch {
		case p != nil:
			phase = string(p.Phase)
		case t.was != nil:
			p = t.was
		default:
			continue
		}
		r.Log.Info("preview", "preview", p.Namespace, "repository", repo.key.Repository, "number", p.Number,
			"phase", phase, "reason", p.Reason, "head", p.HeadSHA)
		ended = ended || phase == string(Ending)
	}
	return ended
}

// mend looks over the guards of live previews now and then.
func (r *Reconciler) mend(ctx context.Context, repo *repository) {
	rec := r.Store.read(repo.key.RepositoryHash())
	now := r.Now()
	for namespace := range repo.mended {
		if !r.Store.Known(namespace) {
			delete(repo.mended, namespace)
		}
	}
	for _, p := range rec.Previews {
		if p.Phase != Live {
			continue
		}
		last, ok := repo.mended[p.Namespace]
		if ok && now.Sub(last) < mendEvery || !ok && now.Sub(p.EmittedAt) < mendEvery {
			continue
		}
		repo.mended[p.Namespace] = now
		// Never making the namespace anew: a lost one is a reset.
		if _, err := r.Namespaces.guard(ctx, *p); err != nil {
			r.Log.WarnContext(ctx, "the guards of a preview could not be looked over", "preview", p.Namespace, "error", err)
		}
	}
}

// Confirmed is when each repository that is asked for was last listed
// completely; of two forges' repositories of one path, the earlier time.
func (r *Reconciler) Confirmed() map[string]time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]time.Time{}
	for _, repo := range r.repos {
		repo.mu.Lock()
		if was, ok := out[repo.key.Repository]; len(repo.subs) > 0 && (!ok || repo.confirmed.Before(was)) {
			out[repo.key.Repository] = repo.confirmed
		}
		repo.mu.Unlock()
	}
	return out
}
