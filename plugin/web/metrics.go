package web

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seedling-dev/seedling/plugin/forge"
	"github.com/seedling-dev/seedling/plugin/queue"
)

// Figures are those of the parts beside the loop.
type Figures struct {
	// HooksWaiting is how many requests of preview-restore are held now,
	// RestoresRefused how many were answered with an error.
	HooksWaiting    int
	RestoresRefused uint64
	// RestoresWaiting is how many Restores Velero has to do, where that is known.
	RestoresWaiting      int
	RestoresWaitingKnown bool
	// OrphansKept is how often the guard kept all that seemed to be orphaned.
	OrphansKept uint64
	// Leaked is how many objects are there that no preview knows, by kind; nil while
	// that is not known.
	Leaked map[string]int
	// OldestRestore is for how long the longest of our Restores waits for Velero.
	OldestRestore time.Duration
	// SnapshotData is when the data of each seed's newest usable snapshot was
	// imported, zero for none.
	SnapshotData map[string]time.Time
	// SyncsWaiting are the Applications that resync has to look at, by queue.
	SyncsWaiting map[string]int
	// Slots are previews made in advance, by seed and state.
	Slots    map[string]map[string]int
	Webhooks WebhookCalls
	Forges   map[string]forge.Budget
}

// metrics are the figures at the moment they are asked for.
type metrics struct{ Health }

// metric is one of them. README.md has a table of all, which a test compares.
type metric struct {
	name, kind, help string
	labels           []string
	desc             *prometheus.Desc
}

var described []*metric

func describe(kind, name, help string, labels ...string) *metric {
	m := &metric{name: name, kind: kind, help: help, labels: labels, desc: prometheus.NewDesc(name, help, labels, nil)}
	described = append(described, m)
	return m
}

const (
	gauge   = "gauge"
	counter = "counter"
)

var (
	metricPreviews = describe(gauge, "seedling_previews", "Previews by seed and phase; those that are Ending are the janitor's queue.", "seed", "phase")
	metricQueued   = describe(gauge, "seedling_previews_queued", "Previews that lack nothing but a place among as many as there may be.")
	metricListed   = describe(gauge, "seedling_repository_listed_timestamp_seconds",
		"When the repository's last complete list was complete, as Unix time; 0 for never. Alert when it is older than five minutes, or three times the next one.", "forge", "repository")
	metricListTook = describe(gauge, "seedling_repository_list_seconds", "How long the repository's last complete list took.", "forge", "repository")
	metricProblem  = describe(gauge, "seedling_repository_problem",
		"1 where the repository's last list failed, or its state could not be written; /status says why.", "forge", "repository")
	metricFailing = describe(gauge, "seedling_repository_unanswered", "Questions about the repository that have no answer now.", "forge", "repository")

	metricWaiting = describe(gauge, "seedling_queue_waiting", "Tasks that wait for a place. Queues are `forge <name>` and `cluster`, classes urgent, normal and telling.", "queue", "class")
	metricRunning = describe(gauge, "seedling_queue_running", "Tasks that run.", "queue", "class")
	metricOldest  = describe(gauge, "seedling_queue_oldest_seconds", "How long the longest waiting task has waited.", "queue")
	metricTasks   = describe(counter, "seedling_queue_tasks_total", "Tasks that have begun.", "queue")

	metricSyncs = describe(gauge, "seedling_syncs_waiting", "Applications that wait to be looked at: `outdated` for a sync of an older commit, `hooks` for one whose hook was answered.", "queue")

	metricLimited   = describe(gauge, "seedling_forge_limited_timestamp_seconds", "Until when the forge wants no calls, as Unix time; 0 for no limit.", "forge")
	metricCalls     = describe(counter, "seedling_forge_calls_total", "Calls of the forge's API.", "forge")
	metricRemaining = describe(gauge, "seedling_forge_calls_remaining", "Calls that are left until the forge's limit begins anew, as it said last; absent where it says nothing.", "forge")

	metricWithheld = describe(gauge, "seedling_guard_withheld_previews", "Previews whose end the guard keeps back until a person confirms it; /status says how.", "applicationset")
	metricRefusals = describe(counter, "seedling_guard_refusals_total", "How often a guard kept back a mass: `endings` of previews, `orphans` that seemed to be left.", "guard")
	metricLeaked   = describe(gauge, "seedling_leaked_objects", "Objects of the plugin's that no preview knows, at the last look (every ten minutes), removed or not; what is left of a preview goes a day later. Absent while a look fails.", "kind")
	metricEnding   = describe(gauge, "seedling_oldest_ending_seconds", "For how long the longest ended preview waits to be removed, beyond the time it keeps its data.")
	metricBroken   = describe(gauge, "seedling_broken_states", "Repositories whose state cannot be read.")

	metricHooks         = describe(gauge, "seedling_restore_requests_waiting", "Requests of preview-restore that the broker holds now.")
	metricRefused       = describe(counter, "seedling_restore_requests_refused_total", "Requests of preview-restore that were answered with an error.")
	metricRestores      = describe(gauge, "seedling_velero_restores_waiting", "Restores that Velero has not ended, of whomever; absent while that is not known.")
	metricOldestRestore = describe(gauge, "seedling_oldest_restore_seconds", "For how long the longest of the plugin's Restores that Velero has not ended waits.")
	metricSnapshot      = describe(gauge, "seedling_snapshot_data_timestamp_seconds",
		"When the data of the seed's newest usable snapshot was imported, as Unix time; 0 where it has none, absent while that is not known.", "seed")
	metricSlots    = describe(gauge, "seedling_warm_slots", "Slots, which are previews made in advance: `making`, `ready`, `draining`, and `assigned` to a preview. Of seeds that want some or have one.", "seed", "state")
	metricReading  = describe(gauge, "seedling_webhook_calls_waiting", "Calls of webhooks that wait for their turn to be read, or are read.")
	metricWebhooks = describe(counter, "seedling_webhook_calls_total", "Calls of webhooks: `taken`, `again` for deliveries that came before, `refused`.", "result")
)

var classes = []string{"urgent", "normal", "telling"}

// Describe implements prometheus.Collector.
func (m metrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range described {
		out <- d.desc
	}
}

// Collect implements prometheus.Collector.
func (m metrics) Collect(out chan<- prometheus.Metric) {
	send := func(d *metric, v float64, labels ...string) {
		kind := prometheus.GaugeValue
		if d.kind == counter {
			kind = prometheus.CounterValue
		}
		out <- prometheus.MustNewConstMetric(d.desc, kind, v, labels...)
	}
	count, queued := map[[2]string]int{}, 0
	for _, p := range m.Previews() {
		count[[2]string{p.Seed, string(p.Phase)}]++
		if p.Queued {
			queued++
		}
	}
	send(metricQueued, float64(queued))
	for k, n := range count {
		send(metricPreviews, float64(n), k[0], k[1])
	}
	s := m.Status()
	for _, r := range s.Repositories {
		send(metricListed, unix(r.Listed), r.Forge, r.Repository)
		send(metricListTook, r.Took.Seconds(), r.Forge, r.Repository)
		problem := 0.0
		if r.Problem != nil {
			problem = 1
		}
		send(metricProblem, problem, r.Forge, r.Repository)
		send(metricFailing, float64(r.Failing), r.Forge, r.Repository)
	}
	collect := func(name string, q queue.Stats) {
		for i, class := range classes {
			send(metricWaiting, float64(q.Waiting[i]), name, class)
			send(metricRunning, float64(q.Running[i]), name, class)
		}
		send(metricOldest, q.Oldest.Seconds(), name)
		send(metricTasks, float64(q.Began), name)
	}
	for name, q := range s.Queues {
		collect("forge "+name, q)
		send(metricLimited, unix(q.LimitedUntil), name)
	}
	collect("cluster", s.Cluster)
	for set, w := range s.Withheld {
		send(metricWithheld, float64(w.Previews), set)
	}
	send(metricRefusals, float64(s.Refusals), "endings")
	send(metricEnding, s.OldestEnding.Seconds())
	send(metricBroken, float64(s.Broken))
	if m.Figures != nil {
		m.beside(send)
	}
}

// beside sends the figures of the parts beside the loop.
func (m metrics) beside(send func(d *metric, v float64, labels ...string)) {
	f := m.Figures()
	send(metricRefusals, float64(f.OrphansKept), "orphans")
	for kind, n := range f.Leaked {
		send(metricLeaked, float64(n), kind)
	}
	send(metricHooks, float64(f.HooksWaiting))
	send(metricRefused, float64(f.RestoresRefused))
	if f.RestoresWaitingKnown {
		send(metricRestores, float64(f.RestoresWaiting))
	}
	send(metricOldestRestore, f.OldestRestore.Seconds())
	for seed, at := range f.SnapshotData {
		send(metricSnapshot, unix(at), seed)
	}
	for name, n := range f.SyncsWaiting {
		send(metricSyncs, float64(n), name)
	}
	for seed, states := range f.Slots {
		for state, n := range states {
			send(metricSlots, float64(n), seed, state)
		}
	}
	send(metricReading, float64(f.Webhooks.Waiting))
	send(metricWebhooks, float64(f.Webhooks.Taken), "taken")
	send(metricWebhooks, float64(f.Webhooks.Again), "again")
	send(metricWebhooks, float64(f.Webhooks.Refused), "refused")
	for name, b := range f.Forges {
		send(metricCalls, float64(b.Calls), name)
		if b.Known {
			send(metricRemaining, float64(b.Remaining), name)
		}
	}
}

func unix(at time.Time) float64 {
	if at.IsZero() {
		return 0
	}
	return float64(at.UnixNano()) / 1e9
}
