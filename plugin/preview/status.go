package preview

import (
	"maps"
	"slices"
	"time"

	"github.com/seedling-dev/seedling/plugin/queue"
)

// RepositoryStatus is how one repository is doing.
type RepositoryStatus struct {
	Forge, Repository string
	// Listed is when the last complete list was complete, zero for never; Took
	// how long it took.
	Listed time.Time
	Took   time.Duration
	// Problem is why the last list, or the last step, failed; nil for nothing.
	Problem error
	// Failing is how many questions have no answer now.
	Failing int
}

// Status is how the loop is doing.
type Status struct {
	Repositories []RepositoryStatus
	// Seeds are those that ApplicationSets and previews name, in order.
	Seeds []string
	// Queues by the forge's name; the cluster's is Cluster.
	Queues  map[string]queue.Stats
	Cluster queue.Stats
	// Withheld is what the guard keeps back, by ApplicationSet.
	Withheld map[string]Withheld
	// Refusals is how often the guard began to keep back a mass.
	Refusals uint64
	// OldestEnding is for how long the longest ended preview that keeps no data
	// waits to be removed.
	OldestEnding time.Duration
	// Broken is how many repositories have state that cannot be read.
	Broken int
}

// Status says how the loop is doing.
func (r *Reconciler) Status() Status {
	s := Status{Queues: map[string]queue.Stats{}, Cluster: r.cluster.Stats(), Withheld: r.mass.Withheld(), Refusals: r.mass.Refusals(), Broken: len(r.Store.Broken())}
	for name, q := range r.queues {
		s.Queues[name] = q.Stats()
	}
	now := r.Now()
	seeds := map[string]bool{}
	r.Store.each(func(p *Preview) {
		seeds[p.Seed] = true
		if p.Phase != Ending {
			return
		}
		since := p.EndedAt
		if p.LingersUntil.After(since) {
			since = p.LingersUntil
		}
		s.OldestEnding = max(s.OldestEnding, now.Sub(since))
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, repo := range r.repos {
		repo.mu.Lock()
		for _, sub := range repo.subs {
			seeds[sub.in.Seed] = true
		}
		if len(repo.subs) > 0 {
			st := RepositoryStatus{Repository: repo.key.Repository, Listed: repo.list.done, Took: repo.list.took, Problem: repo.list.err, Failing: len(repo.tries)}
			if repo.forge != nil {
				st.Forge = repo.forge.Name()
			}
			if repo.err != nil {
				st.Problem = repo.err
			}
			s.Repositories = append(s.Repositories, st)
		}
		repo.mu.Unlock()
	}
	s.Seeds = slices.Sorted(maps.Keys(seeds))
	return s
}
