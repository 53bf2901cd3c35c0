package preview

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/seedling-dev/seedling/plugin/sight"
)

// item is one pull request for one ApplicationSet within a step.
type item struct {
	key   Key
	in    Input
	cur   *Preview
	facts Facts
	look  sight.Look
	// is is what it becomes; nil for no preview.
	is *Preview
	// name is namespace's.
	name string
	// unsure: nothing is known of the pull request, and it stays as it is.
	unsure bool
	// undecided: which files it changes is not known, and a filter asks for it.
	undecided bool
	// unasked: no ApplicationSet asks for it.
	unasked bool
	// stale, unseen: its next step lacks nothing but an answer about consent, or a
	// sighting, that is from now.
	stale, unseen bool
}

// namespace is the preview's, which is a hash: a step asks for it many times.
func (it *item) namespace() string {
	switch {
	case it.name != "":
	case it.cur != nil:
		it.name = it.cur.Namespace
	default:
		it.name = it.key.Namespace()
	}
	return it.name
}

// ownName is the one that its key gives, which people know it by.
func (it *item) ownName() string {
	if it.cur != nil {
		return it.cur.OwnName()
	}
	return it.namespace()
}

// step decides about a repository once: what was observed and found out, the
// state, the guard, the state again, the answers. It asks nobody but the API
// server to keep the state, and leaves a plan of what is to be found out.
func (r *Reconciler) step(ctx context.Context, repo *repository) (plan, error) {
	now := r.Now()
	e := &errands{repo: repo, now: now, plan: plan{wait: pollEvery}}
	rec, err := r.Store.read(repo.id)
	if err != nil {
		repo.mu.Lock()
		defer repo.mu.Unlock()
		e.want(task{key: "state", cluster: true, timeout: factTimeout, do: func(ctx context.Context) (bool, error) {
			return false, r.Store.Reload(ctx, repo.id)
		}})
		return e.plan, err
	}

	repo.mu.Lock()
	if len(repo.subs) == 0 && len(rec.Previews) == 0 {
		repo.mu.Unlock()
		return e.plan, nil
	}
	r.need(repo, rec)
	items := r.items(repo, rec, now)
	for _, it := range items {
		r.decide(repo, it, now)
		r.rename(repo, it)
	}
	spent := r.guard(ctx, repo, items, e)
	repo.mu.Unlock()

	events, err := r.keep(ctx, repo, items, spent)
	if err != nil {
		return e.plan, err
	}
	r.tellOf(ctx, repo, events)
	if slices.ContainsFunc(events, transition.left) {
		e.by(now.Add(stepsApart)) // somebody may wait for the place
	}
	if err := r.publish(ctx, repo, items, e); err != nil {
		return e.plan, err
	}

	repo.mu.Lock()
	defer repo.mu.Unlock()
	r.observe(repo, e)
	if r.inventory.due(now) && e.want(r.lookTask()) {
		r.inventory.turn()
	}
	for _, it := range items {
		if !it.unsure {
			r.find(repo, it, it.is, e)
		}
	}
	r.after(repo, items, events, e)
	r.commentsOf(repo, items, e)
	r.deploymentsOf(repo, items, e)
	repo.forget(items, now)
	return e.plan, nil
}

// need tells the book which pull requests and labels matter. The caller holds
// mu.
func (r *Reconciler) need(repo *repository, rec *record) {
	needed := map[int64]bool{}
	for _, p := range rec.Previews {
		if p.Phase != Ending || !p.LingersUntil.IsZero() {
			needed[p.Number] = true
			repo.book.Remember(p.PullRequest)
		}
	}
	// One that is in the answer and that the state has no more: somebody edited it.
	for _, a := range repo.assembled {
		for _, p := range a.previews {
			if !needed[p.Number] && rec.find(p.ApplicationSet, p.Number) == nil {
				needed[p.Number] = true
				repo.book.Remember(p.PullRequest)
			}
		}
	}
	repo.book.Need(needed, repo.watched())
}

// forget drops what is remembered of previews that are no more. The caller holds
// mu.
func (repo *repository) forget(items []*item, now time.Time) {
	there := map[string]bool{}
	for _, it := range items {
		there[it.namespace()] = true
	}
	maps.DeleteFunc(repo.found, func(namespace string, _ *found) bool { return !there[namespace] })
	repo.forgetPaths(now)
	maps.DeleteFunc(repo.said, func(namespace string, _ string) bool { return !there[namespace] })
	maps.DeleteFunc(repo.tells, func(namespace string, _ tell) bool { return !there[namespace] && !repo.flights["tell/"+namespace] })
	maps.DeleteFunc(repo.lastWords, func(namespace string, _ lastWords) bool { return !there[namespace] })
	maps.DeleteFunc(repo.sentence, func(namespace string, _ sentence) bool { return !there[namespace] })
	maps.DeleteFunc(repo.mended, func(namespace string, _ time.Time) bool { return !there[namespace] })
	maps.DeleteFunc(repo.hints, func(_ int64, h hint) bool {
		return h.settled && (now.Sub(h.at) > oldNews || h.at.After(now))
	})
	maps.DeleteFunc(repo.grants, func(_ int64, gs grantsOf) bool {
		last := gs[len(gs)-1].seen
		return now.Sub(last) > grantFor || last.After(now)
	})
	maps.DeleteFunc(repo.pace, func(_ string, t try) bool { return now.Sub(t.next) > time.Hour })
	maps.DeleteFunc(repo.tries, func(_ string, t try) bool { return now.Sub(t.next) > time.Hour })
}

// items are the pull requests there is something to decide about. The caller
// holds mu.
func (r *Reconciler) items(repo *repository, rec *record, now time.Time) []*item {
	bySet := map[string][]Input{}
	for _, s := range repo.subs {
		bySet[s.set] = append(bySet[s.set], s.in)
	}
	current := make(map[inRepository]*Preview, len(rec.Previews))
	for _, p := range rec.Previews {
		current[idOf(p)] = p
	}
	seen := repo.book.Numbers()
	var items []*item
	for _, name := range slices.Sorted(maps.Keys(bySet)) {
		numbers := map[int64]bool{}
		for _, n := range seen {
			numbers[n] = true
		}
		for _, p := range rec.Previews {
			if p.ApplicationSet == name {
				numbers[p.Number] = true
			}
		}
		for _, n := range slices.Sorted(maps.Keys(numbers)) {
			key := Key{ForgeURL: repo.key.ForgeURL, Repository: repo.key.Repository, ApplicationSet: name, Number: n}
			if it := r.item(repo, key, current[inRepository{name, n}], bySet[name], now); it != nil {
				items = append(items, it)
			}
		}
	}
	for _, p := range rec.Previews {
		if _, asked := bySet[p.ApplicationSet]; asked || repo.frozen[p.ApplicationSet] {
			continue
		}
		pr := p.PullRequest
		items = append(items, &item{key: p.Key, cur: p, unasked: true, facts: Facts{PullRequest: &pr, Refused: reasonUnasked, Seed: p.Seed, Postgres: p.Postgres, Host: p.Host, Team: p.Team, Reset: p.ResetSpent}})
	}
	return items
}

// item is one of items, nil where there is nothing to decide.
func (r *Reconciler) item(repo *repository, key Key, cur *Preview, inputs []Input, now time.Time) *item {
	it := &item{key: key, cur: cur, look: repo.book.Look(key.Number)}
	pr := it.look.PullRequest
	open := it.look.State == sight.Open
	if !open && cur == nil {
		return nil
	}
	if it.look.State == sight.Unknown {
		it.unsure, pr = true, cur.PullRequest
	}
	it.in, it.facts.Refused, it.undecided = repo.choose(inputs, cur, &pr, now)
	it.undecided = it.undecided && open
	if cur == nil && it.facts.Refused != "" {
		return nil
	}
	it.facts.Refused = cmp.Or(it.facts.Refused, repo.withdrawn(it))
	if open {
		it.facts.PullRequest = &pr
		it.facts.Reset = pr.HasLabel(it.in.ResetLabel)
	}
	it.facts.Gone, it.facts.asking = it.look.State == sight.Gone, it.in.asking
	it.facts.Forks = it.in.Filters.Forks
	it.facts.Seed, it.facts.Host, it.facts.Linger = it.in.Seed, it.in.host(it.ownName()), r.Linger
	it.facts.Postgres, it.facts.Team = it.in.Postgres, it.in.Team
	it.facts.Life = Life{
		TTL: it.in.TTL, Kept: pr.HasLabel(it.in.KeepLabel), KeepFor: it.in.KeepFor, Warning: it.in.TTLWarning,
		MaxDataAge: r.MaxDataAge(it.in.Seed), Deaf: repo.deaf(now),
	}
	it.facts.Sleep = &sleepFacts{Sleep: it.in.sleep(r.Sleep), Label: pr.HasLabel(it.in.wakeLabel())}
	if it.cur != nil {
		_, it.facts.Sleep.Healthy = r.health.of(it.cur)
	}
	it.facts.ClosedAt = repo.closing(key.Number, it.look, now)
	return it
}

// decide finds out what an item becomes, before the guard. The caller holds mu.
func (r *Reconciler) decide(repo *repository, it *item, now time.Time) {
	switch {
	case it.unsure, it.undecided && (it.cur == nil || it.cur.Phase == Ending):
		it.is = it.cur
		return
	case it.unasked:
		// Nobody asks; whether Argo CD has deleted it is what counts.
		if k := repo.knowledge(it.namespace()); it.cur.Phase == Live && (k.appliedAt.IsZero() || k.applied) {
			it.facts.Refused = ""
		}
		it.is = Next(it.cur, it.key, it.facts, now)
		return
	}
	r.know(repo, it, now)
	it.facts.Outlived = r.outlives(repo, it)
	r.line.admit(r, it, now)
	it.is = Next(it.cur, it.key, it.facts, now)
	if it.cur != nil && it.cur.Phase == Live && it.is != nil && it.is.Phase == Ending && expiring[it.is.Reason] && !fresh(it.look.SeenAt, now) {
		// Since it was seen somebody may have pushed, or set the label that keeps it.
		it.unseen, it.facts.Life.Deaf = true, true
		it.is = Next(it.cur, it.key, it.facts, now)
	}
	if it.is == nil || it.is.Phase != Live || it.cur != nil && it.cur.Phase == Live {
		return
	}
	// While the forge could not be asked it may have been closed, and whoever
	// asked for it may have changed their mind.
	it.stale = !fresh(repo.knowledge(it.namespace()).consentAt, now)
	it.unseen = !fresh(it.look.SeenAt, now)
	switch {
	case it.unseen:
		it.facts.Consent = Consent{Missing: reasonUnseen, Unanswered: true}
	case it.stale:
		it.facts.Consent = Consent{Missing: reasonAsking, Unanswered: true}
	default:
		return
	}
	it.is = Next(it.cur, it.key, it.facts, now)
}

// outlives says whether a preview was there before the state knew of it, that is of
// no step of ours. The caller holds mu.
func (r *Reconciler) outlives(repo *repository, it *item) bool {
	switch {
	case it.cur != nil && (it.cur.Phase != Held || it.cur.NamespaceUID != "" || it.cur.Outlived):
		return false
	case repo.answered(it.key):
		return true
	}
	seen, ok := r.inventory.current()
	return len(repo.answers) == 0 && ok && (seen.namespace(it.namespace()) != "" || seen.slot(it.key) != "")
}

// guarded says why an ending needs the guard's leave; empty for one that
// somebody told of: the pull request's own record, the forge's record of
// events, a person by a label, Argo CD.
func guarded(it *item) (reason string, settles bool) {
	if it.cur == nil || it.cur.Phase != Live || it.is == nil || it.is.Phase != Ending || it.unasked {
		return "", false
	}
	switch it.is.Reason {
	case reasonClosed, reasonReopened, reasonReset, reasonExpired, reasonDataAge:
		return "", false
	case reasonGone, reasonLostNamespace, reasonLostVolume:
		return it.is.Reason, false
	}
	if !it.facts.PullRequest.HasLabel(it.in.Label) && slices.Contains(it.look.Removed, it.in.Label) {
		return "", false
	}
	return it.is.Reason, true
}

// guard keeps back what comes in masses. What it keeps back stays as it is,
// with pushes. It returns the token that was used. The caller holds mu.
func (r *Reconciler) guard(ctx context.Context, repo *repository, items []*item, e *errands) (spent []string) {
	wants := map[string]map[string]want{}
	for _, s := range repo.subs {
		wants[s.set] = map[string]want{} // none is to be said too
	}
	lost, known := false, map[string]int{}
	for _, it := range items {
		if !it.unsure && !it.undecided && (it.cur != nil && it.cur.Phase == Live || it.is != nil && it.is.Phase == Live) {
			known[it.key.ApplicationSet]++
		}
		if reason, settles := guarded(it); reason != "" {
			wants[it.key.ApplicationSet][lifeOf(it.cur)] = want{reason: reason, settles: settles}
			lost = lost || it.facts.Lost != nil
		}
	}
	everything := lost && r.lossIsMassive()
	for _, set := range slices.Sorted(maps.Keys(wants)) {
		among := crowd{everything: everything}
		live := map[string]int{}
		if len(wants[set]) > 0 {
			r.Store.each(func(p *Preview) {
				if p.ApplicationSet == set && p.Phase == Live {
					live[p.RepositoryHash()]++
					among.live++
				}
			})
		}
		among.unknown = r.mass.unknown(set, repo.id, known[set], live)
		v := r.mass.judge(set, repo.id, wants[set], among, e.now)
		if v.say != "" {
			r.Log.ErrorContext(ctx, v.say, "applicationset", set)
		}
		if v.spend != "" {
			r.Log.WarnContext(ctx, "a person confirmed that previews end", "applicationset", set, "token", v.spend)
			spent = append(spent, v.spend)
		}
		for _, id := range v.wake {
			go r.nudge(id, nil)
		}
		if !v.by.IsZero() {
			e.by(v.by)
		}
		for _, it := range items {
			if it.key.ApplicationSet != set {
				continue
			}
			if reason, _ := guarded(it); reason != "" && !v.may[lifeOf(it.cur)] {
				r.withhold(it, e.now)
			}
		}
	}
	return spent
}

// withhold makes an item go on as if nothing was to end it.
func (r *Reconciler) withhold(it *item, now time.Time) {
	if it.facts.PullRequest == nil {
		it.is = it.cur
		return
	}
	it.facts.Refused, it.facts.Lost = "", nil
	it.is = Next(it.cur, it.key, it.facts, now)
}

// lossIsMassive says whether a large part of all previews there are lost their
// namespace or volume: then it is the cluster that was lost, or restored.
func (r *Reconciler) lossIsMassive() bool {
	seen, ok := r.inventory.current()
	if !ok {
		return false
	}
	lost, live := 0, 0
	r.Store.each(func(p *Preview) {
		if p.Phase != Live {
			return
		}
		live++
		if seen.loss(p) != nil {
			lost++
		}
	})
	return Massive(lost, live)
}

// transition is what became of a preview in a step.
type transition struct {
	was, is *Preview
	in      Input
}

// keep writes what was decided, and says what changed. What others recorded
// since the step began is not written over.
func (r *Reconciler) keep(ctx context.Context, repo *repository, items []*item, spent []string) ([]transition, error) {
	var changed []*item
	for _, it := range items {
		if differs(it.cur, it.is) {
			changed = append(changed, it)
		}
	}
	if len(changed) == 0 && len(spent) == 0 {
		return nil, nil
	}
	repo.mu.Lock()
	said, comments, deployed := maps.Clone(repo.said), maps.Clone(repo.comments), maps.Clone(repo.deployed)
	repo.mu.Unlock()
	now := r.Now()
	var events []transition
	err := r.Store.update(ctx, repo.key, func(next *record) error {
		events = events[:0]
		next.Spent = append(next.Spent, spent...)
		for _, it := range changed {
			was := next.find(it.key.ApplicationSet, it.key.Number)
			if (was == nil) != (it.cur == nil) {
				continue // somebody made or forgot it since; the next step is asked for
			}
			is := it.is
			if was != nil && !same(was, it.cur) {
				is = Next(was, it.key, it.facts, now)
				if is != nil && is.Phase == Ending && was.Phase == Live && (it.is == nil || it.is.Phase != Ending) {
					continue // not without the guard
				}
			}
			if is != nil {
				is.Said = said[is.Namespace]
				is.Start.Healthy = r.health.settled(is, now)
				is.CommentID, is.CommentText = comments[is.Number].id, comments[is.Number].text
				is.Deployed = deployed[is.Namespace].text
			}
			next.put(it.key.ApplicationSet, it.key.Number, is)
			it.is = is
			if t := (transition{was: was, is: is, in: it.in}); t.moved() {
				events = append(events, t)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(events, transition.left) {
		r.wakeQueued(repo)
	}
	return events, nil
}

// left says whether it has its place no more.
func (t transition) left() bool {
	return t.was != nil && t.was.Phase == Live && (t.is == nil || t.is.Phase != Live)
}

// wakeQueued wakes the repositories whose previews wait for a place, but one.
func (r *Reconciler) wakeQueued(but *repository) {
	waiting := map[string]bool{}
	r.Store.each(func(p *Preview) {
		if p.Queued {
			waiting[p.RepositoryHash()] = true
		}
	})
	delete(waiting, but.id)
	for id := range waiting {
		r.nudge(id, nil)
	}
}

func differs(a, b *Preview) bool {
	if a == nil || b == nil {
		return a != b
	}
	return !same(a, b) || !a.EmittedAsOf.Equal(b.EmittedAsOf)
}

func (t transition) moved() bool {
	return t.was == nil || t.is == nil || t.was.Phase != t.is.Phase || t.was.Reason != t.is.Reason || t.was.HeadSHA != t.is.HeadSHA || t.slept()
}

// slept says whether it fell asleep, or is awake again.
func (t transition) slept() bool { return t.was.asleep() != t.is.asleep() }
