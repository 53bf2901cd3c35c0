package preview

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"time"
)

// staleAfter is how old a complete list may be and still be answered, or three
// times as long as it took if that is longer. It counts from its completion.
const staleAfter = 5 * time.Minute

var (
	// ErrNotReady is returned until the ApplicationSets are known.
	ErrNotReady = errors.New("the ApplicationSets are not known yet")
	// ErrNotAsked is returned for an input that no ApplicationSet of that name
	// has.
	ErrNotAsked = errors.New("no ApplicationSet of that name has this input")
	// ErrUnlisted is returned while a repository was never listed completely.
	ErrUnlisted = errors.New("the repository has not been listed completely yet")
	// ErrLacking is returned while it is not known of a live preview what its
	// ApplicationSet is to be told of it.
	ErrLacking = errors.New("what the input asks of paths is not known of every preview yet")
	// ErrStale is returned when the last confirmed list is too old.
	ErrStale = errors.New("the last confirmed list is too old")
)

// publish replaces the answers once there is a complete list, and makes Argo CD
// ask for those that differ.
func (r *Reconciler) publish(ctx context.Context, repo *repository, items []*item, e *errands) error {
	rec, err := r.Store.read(repo.id)
	if err != nil {
		return err
	}
	repo.mu.Lock()
	subs, listed := repo.subs, !repo.list.done.IsZero()
	repo.mu.Unlock()
	if !listed || len(subs) == 0 {
		return nil
	}
	if !r.settled(repo, items) {
		return nil
	}
	assembled, lacking, err := assembleAnswers(rec, subs, items, repo.assembled)
	if err != nil {
		return err
	}
	repo.assembled = assembled
	answers := map[string][]byte{}
	for id, a := range assembled {
		answers[id] = a.body
	}

	repo.mu.Lock()
	repo.lacking = lacking
	for _, s := range subs {
		if answers[s.id()] == nil {
			continue
		}
		if was, ok := repo.answers[s.id()]; !ok || string(was) != string(answers[s.id()]) {
			repo.unpoked[s.set] = true
		}
	}
	// Who asks may have changed since.
	for _, s := range repo.subs {
		if body, ok := answers[s.id()]; ok {
			repo.answers[s.id()] = body
		}
	}
	// One that asks no more needs no poke.
	maps.DeleteFunc(repo.unpoked, func(name string, _ bool) bool {
		return !slices.ContainsFunc(subs, func(s subscription) bool { return s.set == name })
	})
	var poke []string
	reached := e.now.Add(r.Unreached())
	for _, name := range slices.Sorted(maps.Keys(repo.unpoked)) {
		next := repo.pace["poke/"+name].next
		if reached.After(next) {
			next = reached
		}
		if next.After(e.now) {
			e.by(next)
		} else {
			poke = append(poke, name)
		}
	}
	repo.mu.Unlock()
	for _, name := range poke {
		err := r.Poke(ctx, name)
		repo.mu.Lock()
		if key := "poke/" + name; err == nil {
			delete(repo.unpoked, name)
			delete(repo.pace, key)
		} else {
			if repo.pace[key].n == 0 {
				r.Log.WarnContext(ctx, "Argo CD could not be poked; it is tried again, and asks by itself later", "applicationset", name, "error", err)
			}
			repo.later(key, e.now, retryFirst, pollEvery)
			e.by(repo.pace[key].next)
		}
		repo.mu.Unlock()
	}
	return nil
}

// answered says whether a preview is in the last answer. Whoever calls it is in a
// step.
func (repo *repository) answered(key Key) bool {
	for _, a := range repo.assembled {
		if slices.ContainsFunc(a.previews, func(p *Preview) bool { return p.Number == key.Number && p.Key == key }) {
			return true
		}
	}
	return false
}

// settled says whether nobody is missing from an answer who is only not decided
// about yet. A preview whose namespace is there, or that was in the last answer, and
// that the state does not know, outlived the state: left out, it would be deleted.
func (r *Reconciler) settled(repo *repository, items []*item) bool {
	repo.mu.Lock()
	defer repo.mu.Unlock()
	first := len(repo.answers) == 0
	seen, ok := r.inventory.current()
	if first && !ok {
		return false
	}
	for _, it := range items {
		switch {
		case first, it.is != nil && it.is.Outlived, it.undecided && it.cur == nil && repo.answered(it.key):
		default:
			continue // it was left out, or is, for what was decided
		}
		outlived := func(p *Preview) bool { return !first || p.Outlived || r.outlived(seen, p) }
		if it.undecided && it.cur == nil && outlived(&Preview{Key: it.key, Namespace: it.namespace()}) {
			return false
		}
		if it.is == nil || it.is.Phase != Held || it.unasked || !outlived(it.is) {
			continue
		}
		pending := it.facts.Consent.Unanswered || it.is.Reason == reasonSnapshots || it.is.Reason == reasonNamespace || it.is.Reason == reasonNoSpace || unanswered[it.is.Reason] ||
			it.is.Outlived && it.is.Reason == it.facts.HeadWaits
		if k := repo.knowledge(it.is.Namespace); pending && (!k.preparing || k.existed) && !it.is.Rests {
			return false
		}
	}
	return true
}

// assembled is an answer and the previews that are in it, none of which ever
// changes: the state puts another one in its place.
type assembled struct {
	previews []*Preview
	body     []byte
}

// assembleAnswers makes the answers of all who ask for a repository. A live
// preview that no input has is an error: left out, it would end. lacking says of
// an ApplicationSet why it is not answered: what its input asks of paths is not
// known of a preview. before are those of the last step: an answer with the same
// previews is the same.
func assembleAnswers(rec *record, subs []subscription, items []*item, before map[string]assembled) (answers map[string]assembled, lacking map[string]string, err error) {
	owner, waits := make(map[string]Input, len(items)), map[string]string{}
	for _, it := range items {
		if !it.unasked {
			owner[it.namespace()], waits[it.namespace()] = it.in, it.facts.HeadWaits
		}
	}
	lacking = map[string]string{}
	asked := map[string]bool{}
	for _, s := range subs {
		asked[s.set] = true
	}
	live := map[string][]*Preview{}
	for _, p := range rec.Previews {
		if p.Phase != Live || !asked[p.ApplicationSet] {
			continue
		}
		in, ok := owner[p.Namespace]
		if !ok {
			return nil, nil, fmt.Errorf("preview %s is live and was not decided about: the next step looks at it", p.Namespace)
		}
		if in.lacks(p) {
			// Another input that has it keeps it until this one's is known.
			at := slices.IndexFunc(subs, func(s subscription) bool { return s.set == p.ApplicationSet && s.in.pathsID() == p.pathsID() })
			if at >= 0 {
				in = subs[at].in
			} else if why := waits[p.Namespace]; unanswered[why] {
				lacking[p.ApplicationSet] = fmt.Sprintf("pull request %d: %s", p.Number, why)
			}
		}
		id := subscription{set: p.ApplicationSet, in: in}.id()
		live[id] = append(live[id], p)
	}
	answers = map[string]assembled{}
	for _, s := range subs {
		if lacking[s.set] != "" {
			continue
		}
		id := s.id()
		if was, ok := before[id]; ok && slices.Equal(was.previews, live[id]) {
			answers[id] = was
			continue
		}
		body, err := answer(live[id], s.in)
		if err != nil {
			return nil, nil, err
		}
		answers[id] = assembled{live[id], body}
	}
	return answers, lacking, nil
}

// Answer is the body of the answer to a generator's request: the last
// confirmed list. Errors of the input are InputErrors.
func (r *Reconciler) Answer(ctx context.Context, applicationSet string, parameters map[string]json.RawMessage) ([]byte, error) {
	in, err := ReadInput(r.Forges, parameters)
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
	attempts, steps := -1, 0
	for {
		repo.mu.Lock()
		body, ok := repo.answers[id]
		list, ended, stepErr, stepped, lacking := repo.list, repo.ended, repo.err, repo.steps, repo.lacking[applicationSet]
		repo.mu.Unlock()
		if ok {
			if age, most := r.Now().Sub(list.done), max(staleAfter, 3*list.took); age > most {
				return nil, errors.Join(fmt.Errorf("%w: %s", ErrStale, age.Round(time.Second)), list.err, stepErr)
			}
			return body, nil
		}
		if attempts < 0 {
			attempts, steps = list.attempts, stepped
			repo.wake(nil)
		}
		// Its first list is waited for, as long as the request may last; a failure
		// of it, or of writing the state, is the answer.
		if list.attempts > attempts && list.err != nil || stepped >= steps+2 && stepErr != nil {
			return nil, errors.Join(ErrUnlisted, list.err, stepErr)
		}
		select {
		case <-ctx.Done():
			if lacking != "" {
				return nil, fmt.Errorf("%w: %s", ErrLacking, lacking)
			}
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
		if len(repo.subs) > 0 && len(repo.answers) == 0 {
			missing = append(missing, repo.key.Repository)
		}
		repo.mu.Unlock()
	}
	sort.Strings(missing)
	// One repository that is gone for good must not keep the broker and the
	// webhooks of all others away: after a while its own requests are refused,
	// and no more.
	if len(missing) > 0 && r.Now().Sub(r.syncedAt) > patience {
		r.Log.Warn("repositories could not be listed; their ApplicationSets get no answer, all others do", "repositories", missing)
		missing = nil
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w: %v", ErrUnlisted, missing)
	}
	r.ready = true
	return nil
}
