package preview

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/forge"
	"github.com/seedling-dev/seedling/plugin/queue"
)

const (
	// freshFor is how old an answer of the forge about consent may be at the step
	// to Live, and how long ago the pull request was seen to be open.
	freshFor = 30 * time.Second
	// refusedAgain is how often one who may not is asked about again while
	// nothing changes, and after refusedTries refusedSeldom. Records may be behind
	// what a webhook tells: where there is none, it is asked for a few times within
	// the first minute, lagTries.
	refusedAgain  = time.Minute
	refusedSeldom = 15 * time.Minute
	refusedTries  = 10
	lagTries      = 5
	// snapshotFor is how long it counts that a seed has a snapshot, or none.
	snapshotFor = 10 * time.Second
	// lossAgain is how often what seems to be lost is asked for by name; lossFor
	// how long an answer counts while it still seems to be.
	lossAgain = 30 * time.Second
	lossFor   = 5 * time.Minute

	factTimeout  = 30 * time.Second
	spaceTimeout = 20 * time.Second
)

const (
	reasonAsking    = "the forge has not been asked yet who set the label"
	reasonUnseen    = "the forge has not been asked yet whether it is still open"
	reasonSnapshots = "the snapshots of its seed are being looked at"
)

// found is what was found out about one preview. It is kept from step to step.
type found struct {
	// consent, for a pull request that looked like that.
	consent   Consent
	consentOf string
	consentAt time.Time
	// refusedAt is since when nobody who may has consented, as far as was asked.
	refusedAt time.Time
	// head passed, or waits; headOf is the headKey of what was asked.
	head, headOf, headWaits string
	// space is the namespace that was prepared; spaceAt is zero for none.
	// preparing: it was asked for. existed: it was there before.
	space     Space
	spaceAt   time.Time
	preparing bool
	existed   bool
	// lost is what was confirmed at lostAt.
	lost   *Loss
	lostAt time.Time
	// applied: Argo CD has the Application of one that nobody asks for.
	applied   bool
	appliedAt time.Time
	// haltedAt is when nothing was left running in one that sleeps.
	haltedAt time.Time
}

// consentKey changes with whatever may change who set the label.
func consentKey(pr *forge.PullRequest, label string) string {
	labels := slices.Clone(pr.Labels)
	slices.Sort(labels)
	return digest(label, pr.UpdatedAt.UTC().Format(time.RFC3339Nano), strings.Join(labels, "\n"), pr.Approvals)
}

func sameLabels(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

// knowledge returns what is known of a preview. The caller holds mu.
func (repo *repository) knowledge(namespace string) *found {
	k := repo.found[namespace]
	if k == nil {
		k = &found{}
		repo.found[namespace] = k
	}
	return k
}

// know fills in what was found out for Next. The caller holds mu.
func (r *Reconciler) know(repo *repository, it *item, now time.Time) {
	if it.facts.PullRequest == nil {
		return
	}
	k := repo.knowledge(it.namespace())
	pr := it.facts.PullRequest
	if k.consentOf == consentKey(pr, it.in.Label) {
		it.facts.Consent = k.consent
	} else {
		it.facts.Consent = Consent{Missing: reasonAsking, Unanswered: true}
	}
	repo.head(it, now)
	repo.forkHead(it, now)
	it.facts.NoSnapshot = r.seeds.none(it.in.Seed)
	if !k.spaceAt.IsZero() {
		it.facts.Space = k.space
	}
	if it.cur != nil && it.cur.Phase == Live && k.lost != nil && now.Sub(k.lostAt) < lossFor {
		if seen, ok := r.inventory.current(); ok && seen.loss(it.cur) != nil {
			it.facts.Lost = k.lost
		}
	}
}

// fresh says whether something is from now and not from before.
func fresh(at, now time.Time) bool {
	age := now.Sub(at)
	return age >= 0 && age <= freshFor
}

// find asks for what the next step of a preview needs. is is what it became in
// this step; nil for nothing. The caller holds mu.
func (r *Reconciler) find(repo *repository, it *item, is *Preview, e *errands) {
	namespace := it.namespace()
	k := repo.knowledge(namespace)
	if it.undecided && repo.forge != nil {
		e.want(r.changesTask(repo, it.facts.PullRequest))
	}
	if it.unasked {
		if it.cur.Phase == Live {
			e.want(r.appliedTask(repo, namespace))
			e.by(e.now.Add(pollEvery))
		}
		return
	}
	// Whether Argo CD has its Application counts once nobody asks for it: what was so
	// the last time is not so the next.
	k.applied, k.appliedAt = false, time.Time{}
	switch {
	case is == nil || is.Phase == Ending || it.facts.PullRequest == nil:
		// Whatever comes next begins with asking anew.
		k.consentOf, k.spaceAt, k.preparing = "", time.Time{}, false
		if is != nil && is.Lingers(e.now) {
			e.by(is.LingersUntil)
		}
		return
	case is.Phase == Live:
		k.spaceAt, k.preparing = time.Time{}, false
		if it.unseen { // its time is over
			e.want(r.openTask(repo, it.key.Number, queue.Normal))
		}
		r.findHead(repo, it, e)
		r.findApproval(repo, it, e)
		if repo.asksForFork(it, e.now) {
			e.want(r.consentTask(repo, it, queue.Urgent))
		}
		if seen, ok := r.inventory.current(); ok {
			if l := seen.loss(is); l != nil && (k.lostAt.IsZero() || e.now.Sub(k.lostAt) >= lossAgain || k.lostAt.After(e.now)) {
				e.want(r.lossTask(repo, is, l))
			}
		}
		return
	}
	r.findHeld(repo, it, is, k, e)
}

// findHeld asks for what a preview needs that is not emitted yet: consent first,
// because nothing is made for strangers.
func (r *Reconciler) findHeld(repo *repository, it *item, is *Preview, k *found, e *errands) {
	pr := it.facts.PullRequest
	if pr.Fork && !it.facts.Forks && k.consentOf == consentKey(pr, it.in.Label) {
		return // it is only said to whoever asked for it
	}
	class := queue.Normal
	if h, ok := repo.hints[it.key.Number]; ok && e.now.Sub(h.at) < pollEvery {
		class = queue.Urgent
	}
	if it.stale || it.unseen {
		// All else is done: behind the first questions of a hundred others, one
		// answer would be old again when the other comes.
		class = queue.Urgent
	}
	if it.unseen && !it.stale {
		e.want(r.openTask(repo, it.key.Number, class))
	}
	key := consentKey(pr, it.in.Label)
	switch {
	case k.consentOf != key:
		delete(repo.pace, "consent/"+is.Namespace)
		e.want(r.consentTask(repo, it, class))
		return
	case k.consent.By == "":
		e.want(r.consentTask(repo, it, queue.Normal)) // later
		return
	case it.stale:
		delete(repo.pace, "consent/"+is.Namespace)
		e.want(r.consentTask(repo, it, class))
	}
	if is.Expired != nil {
		return
	}
	r.findHead(repo, it, e)
	if r.seeds.due(it.in.Seed, e.now) && e.want(r.seedTask(repo, it.in.Seed)) {
		r.seeds.asking(it.in.Seed)
	}
	if it.facts.NoSnapshot != "" {
		e.by(e.now.Add(snapshotFor))
	}
	if is.Reason == reasonNamespace || !k.spaceAt.IsZero() && k.space.Blocked != "" && is.Reason == k.space.Blocked {
		if !k.preparing {
			seen, ok := r.inventory.current()
			k.existed = !ok || r.outlived(seen, is)
		}
		k.preparing = e.want(r.spaceTask(repo, *is, class)) || k.preparing
	}
}

// consentTask asks the forge who set the label, and whether they may write; and
// before that whether it is still open, where that was seen a while ago.
func (r *Reconciler) consentTask(repo *repository, it *item, class queue.Class) task {
	namespace := it.namespace()
	key, of, in, f := it.key, consentKey(it.facts.PullRequest, it.in.Label), it.in, repo.forge
	return task{key: "consent/" + namespace, class: class, timeout: factTimeout, do: func(ctx context.Context) (bool, error) {
		if err := r.see(ctx, repo, key.Number); err != nil {
			return false, err
		}
		began := r.Now()
		c, removed, err := askConsent(ctx, f, key, in.Label, func(login string) (bool, error) {
			return repo.writers.may(ctx, f, key.Repository, login, r.Now)
		})
		repo.mu.Lock()
		defer repo.mu.Unlock()
		k := repo.knowledge(namespace)
		if removed != nil {
			repo.book.Removed(key.Number, in.Label, removed.At)
		}
		if err != nil {
			if k.consentOf != of {
				k.consentOf, k.consentAt = of, began
				k.consent = Consent{Missing: "the forge could not be asked who set the label; this is tried again", Unanswered: true}
			}
			return false, err
		}
		k.consent, k.consentOf, k.consentAt = c, of, began
		switch {
		case c.By != "":
			k.refusedAt = time.Time{}
			return false, nil
		case k.refusedAt.IsZero() || k.refusedAt.After(began):
			k.refusedAt = began
		}
		repo.seldom("consent/"+namespace, r.Now(), c.Unrecorded)
		return false, nil
	}}
}

// askConsent asks who set the label that is there now. removed says that it is not
// there any more, by the forge's record of events.
func askConsent(ctx context.Context, f forge.Forge, key Key, label string, canWrite func(login string) (bool, error)) (c Consent, removed *forge.UnlabelledError, err error) {
	l, err := f.Labelled(ctx, key.Repository, key.Number, label)
	switch {
	case errors.As(err, &removed), errors.Is(err, forge.ErrNotLabelled):
		return Consent{Missing: askingOf(f).unrecorded(label), Unrecorded: true}, removed, nil
	case err != nil:
		return Consent{}, nil, err
	}
	may, err := canWrite(l.By)
	switch {
	case err != nil:
		return Consent{}, nil, err
	case !may:
		return Consent{Missing: askingOf(f).stranger(label)}, nil, nil
	}
	return Consent{By: l.By, At: l.At}, nil, nil
}

// headTask asks whether the commit statuses are there that a head waits for.
func (r *Reconciler) headTask(repo *repository, it *item, statuses []string) task {
	namespace, repository, number, sha, f := it.namespace(), it.key.Repository, it.key.Number, it.facts.PullRequest.HeadSHA, repo.forge
	return task{key: "head/" + namespace, class: queue.Normal, timeout: factTimeout, do: func(ctx context.Context) (bool, error) {
		waits, err := missing(ctx, f, repository, number, sha, statuses)
		repo.mu.Lock()
		defer repo.mu.Unlock()
		k := repo.knowledge(namespace)
		k.headOf, k.head = headKey(sha, statuses), ""
		switch {
		case err != nil:
			k.headWaits = reasonNoStatus
			return false, err
		case waits != "":
			k.headWaits = waitsFor(waits)
			repo.later("head/"+namespace, r.Now(), retryFirst, pollEvery)
		default:
			k.head, k.headWaits = sha, ""
		}
		return false, nil
	}}
}

// spaceTask makes the namespace.
func (r *Reconciler) spaceTask(repo *repository, p Preview, class queue.Class) task {
	return task{key: "space/" + p.Namespace, cluster: true, class: class, timeout: spaceTimeout, do: func(ctx context.Context) (bool, error) {
		space, err := r.space(ctx, p)
		repo.mu.Lock()
		defer repo.mu.Unlock()
		k := repo.knowledge(p.Namespace)
		if err != nil {
			space.Blocked = reasonNoSpace
		} else if space.Blocked != "" {
			repo.later("space/"+p.Namespace, r.Now(), retryFirst, pollEvery)
		} else {
			delete(repo.pace, "space/"+p.Namespace)
		}
		k.space, k.spaceAt = space, r.Now()
		return false, err
	}}
}

// lossTask asks by name for what a look at the cluster lacked.
func (r *Reconciler) lossTask(repo *repository, p *Preview, l *Loss) task {
	return task{key: "loss/" + p.Namespace, cluster: true, class: queue.Normal, timeout: factTimeout, do: func(ctx context.Context) (bool, error) {
		lost, err := r.Namespaces.confirm(ctx, p, l)
		if err != nil {
			return false, err
		}
		repo.mu.Lock()
		defer repo.mu.Unlock()
		k := repo.knowledge(p.Namespace)
		k.lost, k.lostAt = lost, r.Now()
		return false, nil
	}}
}

// appliedTask asks whether a preview that nobody asks for stays as it is. Argo
// CD deletes the Applications of an ApplicationSet that is gone, or that has
// another generator; while one is there, it may be us who look in the wrong
// place: a wrong name in our configuration must not cost every preview its data.
func (r *Reconciler) appliedTask(repo *repository, namespace string) task {
	return task{key: "applied/" + namespace, cluster: true, class: queue.Normal, timeout: factTimeout, do: func(ctx context.Context) (bool, error) {
		there, err := r.Applied(ctx, namespace)
		if err != nil {
			return false, err
		}
		repo.mu.Lock()
		defer repo.mu.Unlock()
		k := repo.knowledge(namespace)
		if there && k.appliedAt.IsZero() {
			r.Log.WarnContext(ctx, "no ApplicationSet asks for a preview that Argo CD still has; it stays until its Application is deleted: "+
				"is generatorConfigMap right, and the plugin a top-level generator?", "preview", namespace)
		}
		k.applied, k.appliedAt = there, r.Now()
		if there {
			repo.later("applied/"+namespace, r.Now(), pollEvery, pollEvery)
		}
		return false, nil
	}}
}

// lookTask looks at the cluster, where there is no watch.
func (r *Reconciler) lookTask() task {
	return task{key: "look", cluster: true, class: queue.Normal, timeout: factTimeout, do: func(ctx context.Context) (bool, error) {
		return false, r.inventory.look(ctx, r.Now())
	}}
}

// seedBook is which seeds have a usable snapshot, for all repositories.
type seedBook struct {
	mu   sync.Mutex
	seen map[string]seedLook
}

type seedLook struct {
	why    string
	at     time.Time
	asking bool
	// name is the newest that was seen, and dataAt when its data was imported.
	name   string
	dataAt time.Time
}

func (b *seedBook) forget(seed string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s, ok := b.seen[seed]; ok {
		s.at = time.Time{}
		b.seen[seed] = s
	}
}

// none says why a seed has no usable snapshot; empty where it has one.
func (b *seedBook) none(seed string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s, ok := b.seen[seed]; ok {
		return s.why
	}
	return reasonSnapshots
}

// due says whether a seed should be asked about, which nobody does yet.
func (b *seedBook) due(seed string, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, ok := b.seen[seed]
	age := now.Sub(s.at)
	return !s.asking && (!ok || age < 0 || age >= snapshotFor)
}

// asking notes that somebody asks, until set.
func (b *seedBook) asking(seed string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, ok := b.seen[seed]
	if !ok {
		s.why = reasonSnapshots
	}
	s.asking = true
	if b.seen == nil {
		b.seen = map[string]seedLook{}
	}
	b.seen[seed] = s
}

func (b *seedBook) set(seed, why string, at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	was := b.seen[seed]
	b.seen[seed] = seedLook{why: why, at: at, name: was.name, dataAt: was.dataAt}
}

// saw notes the newest snapshot.
func (b *seedBook) saw(seed, name string, dataAt time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.seen == nil {
		b.seen = map[string]seedLook{}
	}
	s := b.seen[seed]
	s.name, s.dataAt = name, dataAt
	b.seen[seed] = s
}

// seedTask asks whether a seed has a usable snapshot, and wakes all who wait.
func (r *Reconciler) seedTask(repo *repository, seed string) task {
	return task{key: "seed/" + seed, cluster: true, class: queue.Urgent, timeout: factTimeout, do: func(ctx context.Context) (bool, error) {
		why := "the snapshots of seed " + seed + " cannot be read now; this is tried again"
		defer func() {
			before := r.seeds.none(seed)
			r.seeds.set(seed, why, r.Now())
			if before != why {
				r.wakeHeld(seed, repo)
			}
		}()
		newest, err := r.Snapshots.Newest(ctx, seed)
		switch {
		case err == nil:
			why = ""
			r.seeds.saw(seed, newest.Name, importedAt(newest.Annotations, newest.Name, seed))
		case errors.Is(err, snapshot.ErrNone):
			why = err.Error()
		default:
			return false, err
		}
		return false, nil
	}}
}

// wakeHeld wakes the repositories that wait for a seed, but one.
func (r *Reconciler) wakeHeld(seed string, but *repository) {
	waiting := map[string]bool{}
	r.Store.each(func(p *Preview) {
		if p.Phase == Held && p.Seed == seed {
			waiting[p.RepositoryHash()] = true
		}
	})
	for id := range waiting {
		if id != but.id {
			r.nudge(id, nil)
		}
	}
}
