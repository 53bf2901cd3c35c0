package preview

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/seedling-dev/seedling/plugin/forge"
)

// Start is when the steps of a preview's start were made, by our own clock; zero
// for one that was not made, or not seen. When the label was set, by the forge's,
// is Preview.ConsentAt.
type Start struct {
	// Consent is when it was found out that somebody asked who may, Namespace when
	// its namespace stood with its guards.
	Consent   time.Time `json:"consent,omitzero"`
	Namespace time.Time `json:"namespace,omitzero"`
	// Restore is when its hook first asked and a snapshot was chosen, Restored when
	// the hook was answered that the volume is there.
	Restore  time.Time `json:"restore,omitzero"`
	Restored time.Time `json:"restored,omitzero"`
	// Healthy is when Argo CD first had synced it and called it Healthy.
	Healthy time.Time `json:"healthy,omitzero"`
}

// State is how a preview is doing, in one word for people.
type State string

// The states of a Report.
const (
	StateFailed   State = "Failed"
	StateDegraded State = "Degraded" // it was Healthy before
	StateReady    State = "Ready"
	StateAsleep   State = "Asleep" // nothing of it runs, and its data stays
	StateStarting State = "Starting"
	StateWaiting  State = "Waiting"
	StateQueued   State = "Queued"
	StateExpired  State = "Expired"  // it ended by time, and comes back when somebody does something for it
	StateEnding   State = "Ending"   // it keeps its data for a while
	StateRemoving State = "Removing" // what is left of it is being removed
)

// Report is what is told of one preview. Of its fields only those of
// Preview.PullRequest hold what an author wrote.
type Report struct {
	Preview
	// Forge is the name of its forge, empty where none asks for it now.
	Forge string
	State State
	// Sentence is that of its commit status.
	Sentence string
	// Address is the preview's, empty where there is none.
	Address string
	// Health is what Argo CD calls it, empty where that is not known.
	Health string
}

// Reports are what is told of all previews, the first seen last. They are copies,
// and no repository is kept longer from its work than its own ones take.
func (r *Reconciler) Reports() []Report {
	byRepository := map[string][]*Preview{}
	r.Store.each(func(p *Preview) {
		id := p.RepositoryHash()
		byRepository[id] = append(byRepository[id], p)
	})
	r.mu.Lock()
	repos := maps.Clone(r.repos)
	r.mu.Unlock()
	now := r.Now()
	var out []Report
	for id, previews := range byRepository {
		repo := repos[id]
		if repo == nil { // it is not read yet who asks
			repo = &repository{}
		}
		repo.mu.Lock()
		for _, p := range previews {
			out = append(out, r.report(repo, p, now))
		}
		repo.mu.Unlock()
	}
	slices.SortFunc(out, func(a, b Report) int {
		return cmp.Or(b.FirstSeen.Compare(a.FirstSeen), cmp.Compare(a.Namespace, b.Namespace))
	})
	return out
}

// report is what is told of one preview. The caller holds mu.
func (r *Reconciler) report(repo *repository, p *Preview, now time.Time) Report {
	it := &item{key: p.Key, in: repo.inputOf(p), cur: p}
	if p.PullRequest.Open {
		it.facts.PullRequest = &p.PullRequest
	}
	if k := repo.found[p.Namespace]; k != nil {
		it.facts.Consent, it.facts.HeadWaits = k.consent, k.headWaits
	}
	s := commitStatus(p, it, repo.sentence[p.Namespace])
	health, healthy := r.health.of(p)
	out := Report{Preview: *p, Sentence: s.Description, Address: s.URL, Health: health}
	out.Start.Healthy = healthy
	if p.PVCUID != "" {
		out.DataAt = p.dataTime()
	}
	if repo.forge != nil {
		out.Forge = repo.forge.Name()
	}
	out.State = stateOf(p, s.State, health, healthy, now)
	return out
}

// stateOf is the one word for a preview. said is its commit status.
func stateOf(p *Preview, said forge.State, health string, healthy, now time.Time) State {
	switch {
	case p.Phase == Ending && p.Lingers(now):
		return StateEnding
	case p.Phase == Ending:
		return StateRemoving
	case p.Phase == Held && p.Expired != nil:
		return StateExpired
	case said == forge.Failure:
		return StateFailed
	case p.Phase == Held && p.Queued:
		return StateQueued
	case p.Phase == Held:
		return StateWaiting
	case p.PVCUID == "" || healthy.IsZero():
		return StateStarting
	case p.asleep():
		return StateAsleep
	case p.Halted:
		return StateStarting // again
	case health == "Degraded" || health == "Missing":
		return StateDegraded
	}
	return StateReady
}

// inputOf is the input that a preview is of, as well as that can be told without
// a question. The caller holds mu.
func (repo *repository) inputOf(p *Preview) (in Input) {
	first := true
	for _, s := range repo.subs {
		if s.set != p.ApplicationSet {
			continue
		}
		if s.in.allows(p.PullRequest) == "" {
			return s.in
		}
		if first {
			in, first = s.in, false
		}
	}
	return in
}

// healthSettles is for how long an Application has to stay Healthy: right after a
// sync it is called so while what was applied has not begun.
const healthSettles = 15 * time.Second

// healthBook remembers what Argo CD calls the Applications of previews. It only
// tells, and nothing waits for it.
type healthBook struct {
	mu   sync.Mutex
	apps map[string]appHealth
}

type appHealth struct {
	status string
	// first is when it was Healthy first.
	first time.Time
}

// Health takes in what Argo CD calls a preview's Application that it has synced,
// and since when; an empty status that there is none.
func (r *Reconciler) Health(application, status string, since time.Time) {
	b := &r.health
	b.mu.Lock()
	defer b.mu.Unlock()
	if status == "" {
		delete(b.apps, application)
		return
	}
	if b.apps == nil {
		b.apps = map[string]appHealth{}
	}
	h := b.apps[application]
	h.status = status
	switch {
	case status == "Healthy" && h.first.IsZero():
		h.first = since
	case status != "Healthy" && since.Sub(h.first) < healthSettles:
		h.first = time.Time{}
	}
	b.apps[application] = h
}

// settled is when a preview was Healthy first, once that will not be taken back.
func (b *healthBook) settled(p *Preview, now time.Time) time.Time {
	if _, healthy := b.of(p); now.Sub(healthy) >= healthSettles {
		return healthy
	}
	return p.Start.Healthy
}

// of is what Argo CD calls a preview, and when it was Healthy first with its data.
func (b *healthBook) of(p *Preview) (status string, healthy time.Time) {
	if p.Phase != Live {
		return "", p.Start.Healthy
	}
	b.mu.Lock()
	h := b.apps[p.Namespace]
	b.mu.Unlock()
	switch {
	case !p.Start.Healthy.IsZero() || p.PVCUID == "" || h.first.IsZero():
		return h.status, p.Start.Healthy
	case h.first.Before(p.Start.Restored): // clocks differ
		return h.status, p.Start.Restored
	}
	return h.status, h.first
}
