package seed

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/seedling-dev/seedling/hooks/dump"
	"github.com/seedling-dev/seedling/hooks/postgres"
)

// parallel are the kinds of post-data entries that are worth their own job:
// they read whole tables. The rest is quick and runs in the dump's order.
var parallel = map[string]bool{"INDEX": true, "INDEX ATTACH": true, "CONSTRAINT": true, "FK CONSTRAINT": true, "CHECK CONSTRAINT": true}

// indexJobs turns the parallel part of post-data into jobs that wait for the
// rows they read. Entries that depend on one of the quick ones become quick.
func (r *run) indexJobs(loads map[int]*job, size map[int]int64) []*job {
	var jobs []*job
	byID := map[int]*job{}
	var rest []step
	slow := map[int]bool{}
	for _, s := range r.schema.post {
		// A plain dump does not tell what depends on what: its order must do.
		if parallel[s.entry.Kind] && r.dump.Format != dump.Plain && !r.waits(s) {
			slow[s.entry.ID] = true
		}
	}
	for changed := true; changed; {
		changed = false
		for _, s := range r.schema.post {
			if !slow[s.entry.ID] {
				continue
			}
			for _, dep := range s.entry.Deps {
				d := r.dump.Entry(dep)
				if d != nil && d.Section == dump.PostData && !slow[dep] {
					delete(slow, s.entry.ID)
					changed = true
					break
				}
			}
		}
	}
	below := r.below()
	for _, s := range r.schema.post {
		if !slow[s.entry.ID] {
			rest = append(rest, s)
			continue
		}
		j := &job{cost: 1}
		j.run = func(ctx context.Context, conn *pgx.Conn) error {
			for attempt := 1; ; attempt++ {
				err := execStep(ctx, conn, s)
				// The locks above should keep our own statements apart; where they
				// do not, the one that the server chose to stop goes again.
				if !postgres.Is(err, postgres.DeadlockDetected) || attempt == 5 || len(s.statements) > 1 {
					return schemaError(err)
				}
			}
		}
		for _, dep := range s.entry.Deps {
			d := r.dump.Entry(dep)
			if d == nil {
				continue
			}
			if b := byID[dep]; b != nil {
				before(b, j)
				if s.entry.Kind == "INDEX ATTACH" {
					// It names indexes; what it locks are their tables.
					for _, l := range b.locks {
						j.lock(l.table, true, below)
					}
				}
			}
			if d.Kind == "TABLE" || d.Kind == "FOREIGN TABLE" || d.Kind == "MATERIALIZED VIEW" {
				j.cost += size[dep] / 2
				if s.entry.Kind == "INDEX" {
					j.lock(dep, false, nil)
				} else {
					j.lock(dep, true, below)
				}
				for _, t := range append([]int{dep}, descendants(dep, below)...) {
					if b := loads[t]; b != nil && (t == dep || s.entry.Kind != "INDEX") {
						before(b, j)
					}
				}
			}
		}
		byID[s.entry.ID] = j
		jobs = append(jobs, j)
	}
	r.schema.post = rest
	return jobs
}

// below lists, for each table, its partitions and inheritance children.
func (r *run) below() map[int][]int {
	out := map[int][]int{}
	for _, e := range r.dump.Entries {
		if e.Kind != "TABLE ATTACH" && e.Kind != "TABLE" {
			continue
		}
		child := e.ID
		if e.Kind == "TABLE ATTACH" {
			for _, dep := range e.Deps {
				if d := r.dump.Entry(dep); d != nil && d.Schema == e.Schema && d.Tag == e.Tag {
					child = dep
				}
			}
		}
		for _, dep := range e.Deps {
			if d := r.dump.Entry(dep); d != nil && dep != child && (d.Kind == "TABLE" || d.Kind == "FOREIGN TABLE") {
				out[dep] = append(out[dep], child)
			}
		}
	}
	return out
}

// descendants are all tables below one.
func descendants(table int, below map[int][]int) []int {
	var out []int
	for _, child := range below[table] {
		if !slices.Contains(out, child) {
			out = append(append(out, child), descendants(child, below)...)
		}
	}
	return out
}
