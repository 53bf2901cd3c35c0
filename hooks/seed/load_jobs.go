package seed

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/seedling-dev/seedling/hooks/dump"
	"github.com/seedling-dev/seedling/hooks/postgres"
)

// wholeTable are the kinds of post-data entries that are worth their own job: they
// read whole tables. The rest is quick and runs in the dump's order.
var wholeTable = map[string]bool{"INDEX": true, "INDEX ATTACH": true, "CONSTRAINT": true, "FK CONSTRAINT": true, "CHECK CONSTRAINT": true}

// splitPost splits what comes after the rows into steps that read whole tables, for
// indexJobs, and the rest. A step that depends on one of the rest belongs to the
// rest.
func (r *planned) splitPost() (whole, rest []step) {
	apart := map[int]bool{}
	for _, s := range r.schema.post {
		// A plain dump does not tell what depends on what: its order must do.
		if wholeTable[s.entry.Kind] && r.archive.Format != dump.Plain && !r.waits(s) {
			apart[s.entry.ID] = true
		}
	}
	for changed := true; changed; {
		changed = false
		for _, s := range r.schema.post {
			if apart[s.entry.ID] && slices.ContainsFunc(s.entry.Deps, func(dep int) bool {
				d := r.archive.Entry(dep)
				return d != nil && d.Section == dump.PostData && !apart[dep]
			}) {
				delete(apart, s.entry.ID)
				changed = true
			}
		}
	}
	for _, s := range r.schema.post {
		if apart[s.entry.ID] {
			whole = append(whole, s)
		} else {
			rest = append(rest, s)
		}
	}
	return whole, rest
}

// indexJobs makes a job of each step that reads whole tables: it waits for the rows
// that it reads.
func (r *planned) indexJobs(steps []step, loads *tableLoads) []*job {
	var jobs []*job
	byID := map[int]*job{}
	below := r.below()
	for _, s := range steps {
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
			d := r.archive.Entry(dep)
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
				j.cost += loads.size[dep] / 2
				if s.entry.Kind == "INDEX" {
					j.lock(dep, false, nil)
				} else {
					j.lock(dep, true, below)
				}
				for _, t := range append([]int{dep}, descendants(dep, below)...) {
					if b := loads.byTable[t]; b != nil && (t == dep || s.entry.Kind != "INDEX") {
						before(b, j)
					}
				}
			}
		}
		byID[s.entry.ID] = j
		jobs = append(jobs, j)
	}
	return jobs
}

// below lists, for each table, its partitions and inheritance children.
func (r *checked) below() map[int][]int {
	out := map[int][]int{}
	for _, e := range r.archive.Entries {
		if e.Kind != "TABLE ATTACH" && e.Kind != "TABLE" {
			continue
		}
		child := e.ID
		if e.Kind == "TABLE ATTACH" {
			for _, dep := range e.Deps {
				if d := r.archive.Entry(dep); d != nil && d.Schema == e.Schema && d.Tag == e.Tag {
					child = dep
				}
			}
		}
		for _, dep := range e.Deps {
			if d := r.archive.Entry(dep); d != nil && dep != child && (d.Kind == "TABLE" || d.Kind == "FOREIGN TABLE") {
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
