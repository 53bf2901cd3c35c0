package web

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seedling-dev/seedling/plugin/queue"
)

// metrics are the loop's figures at the moment they are asked for.
type metrics struct{ Health }

var (
	metricPreviews = prometheus.NewDesc("seedling_previews", "Previews by seed and phase.", []string{"seed", "phase"}, nil)
	metricListed   = prometheus.NewDesc("seedling_repository_listed_timestamp_seconds",
		"When the repository's last complete list was complete, as Unix time; 0 for never.", []string{"forge", "repository"}, nil)
	metricListTook = prometheus.NewDesc("seedling_repository_list_seconds", "How long the repository's last complete list took.", []string{"forge", "repository"}, nil)
	metricProblem  = prometheus.NewDesc("seedling_repository_problem",
		"1 where the repository's last list failed, or its state could not be written; /status says why.", []string{"forge", "repository"}, nil)
	metricFailing  = prometheus.NewDesc("seedling_repository_unanswered", "Questions about the repository that have no answer now.", []string{"forge", "repository"}, nil)
	metricWaiting  = prometheus.NewDesc("seedling_queue_waiting", "Tasks that wait for a place.", []string{"queue", "class"}, nil)
	metricRunning  = prometheus.NewDesc("seedling_queue_running", "Tasks that run.", []string{"queue", "class"}, nil)
	metricOldest   = prometheus.NewDesc("seedling_queue_oldest_seconds", "How long the longest waiting task has waited.", []string{"queue"}, nil)
	metricTasks    = prometheus.NewDesc("seedling_queue_tasks_total", "Tasks that have begun.", []string{"queue"}, nil)
	metricLimited  = prometheus.NewDesc("seedling_forge_limited_timestamp_seconds", "Until when the forge wants no calls, as Unix time; 0 for no limit.", []string{"queue"}, nil)
	metricWithheld = prometheus.NewDesc("seedling_guard_withheld_previews", "Previews whose end the guard keeps back until a person confirms it; /status says how.", []string{"applicationset"}, nil)
	metricEnding   = prometheus.NewDesc("seedling_oldest_ending_seconds", "For how long the longest ended preview waits to be removed, beyond the time it keeps its data.", nil, nil)
	metricBroken   = prometheus.NewDesc("seedling_broken_states", "Repositories whose state cannot be read.", nil, nil)
)

var classes = []string{"urgent", "normal", "telling"}

// Describe implements prometheus.Collector.
func (m metrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		metricPreviews, metricListed, metricListTook, metricProblem, metricFailing, metricWaiting, metricRunning,
		metricOldest, metricTasks, metricLimited, metricWithheld, metricEnding, metricBroken,
	} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (m metrics) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := map[[2]string]int{}
	for _, p := range m.Previews() {
		count[[2]string{p.Seed, string(p.Phase)}]++
	}
	for k, n := range count {
		gauge(metricPreviews, float64(n), k[0], k[1])
	}
	s := m.Status()
	for _, r := range s.Repositories {
		gauge(metricListed, unix(r.Listed), r.Forge, r.Repository)
		gauge(metricListTook, r.Took.Seconds(), r.Forge, r.Repository)
		problem := 0.0
		if r.Problem != nil {
			problem = 1
		}
		gauge(metricProblem, problem, r.Forge, r.Repository)
		gauge(metricFailing, float64(r.Failing), r.Forge, r.Repository)
	}
	collect := func(name string, q queue.Stats) {
		for i, class := range classes {
			gauge(metricWaiting, float64(q.Waiting[i]), name, class)
			gauge(metricRunning, float64(q.Running[i]), name, class)
		}
		gauge(metricOldest, q.Oldest.Seconds(), name)
		gauge(metricLimited, unix(q.LimitedUntil), name)
		out <- prometheus.MustNewConstMetric(metricTasks, prometheus.CounterValue, float64(q.Began), name)
	}
	for name, q := range s.Queues {
		collect("forge "+name, q)
	}
	collect("cluster", s.Cluster)
	for set, w := range s.Withheld {
		gauge(metricWithheld, float64(w.Previews), set)
	}
	gauge(metricEnding, s.OldestEnding.Seconds())
	gauge(metricBroken, float64(s.Broken))
}

func unix(at time.Time) float64 {
	if at.IsZero() {
		return 0
	}
	return float64(at.UnixNano()) / 1e9
}
