package web

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/seedling-dev/seedling/plugin/preview"
)

// Health serves /healthz, /readyz and /metrics.
type Health struct {
	// Ready is nil when Argo CD may be sent here.
	Ready func() error
	// Previews are all there are.
	Previews func() []preview.Preview
	// Confirmed is when each repository was last listed completely.
	Confirmed func() map[string]time.Time
}

// Register adds the endpoints to an engine.
func (h Health) Register(e *gin.Engine) {
	e.GET("/healthz", func(c *gin.Context) { c.String(http.StatusOK, "ok") })
	e.GET("/readyz", func(c *gin.Context) {
		if err := h.Ready(); err != nil {
			c.String(http.StatusServiceUnavailable, err.Error())
			return
		}
		c.String(http.StatusOK, "ok")
	})
	registry := prometheus.NewRegistry()
	registry.MustRegister(h, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	e.GET("/metrics", gin.WrapH(promhttp.HandlerFor(registry, promhttp.HandlerOpts{})))
}

var (
	metricPreviews = prometheus.NewDesc("seedling_previews", "Previews by seed and phase.", []string{"seed", "phase"}, nil)
	metricListed   = prometheus.NewDesc("seedling_repository_listed_timestamp_seconds",
		"When the repository was last listed completely, as Unix time; 0 for never.", []string{"repository"}, nil)
)

// Describe implements prometheus.Collector.
func (h Health) Describe(out chan<- *prometheus.Desc) {
	out <- metricPreviews
	out <- metricListed
}

// Collect implements prometheus.Collector.
func (h Health) Collect(out chan<- prometheus.Metric) {
	count := map[[2]string]int{}
	for _, p := range h.Previews() {
		count[[2]string{p.Seed, string(p.Phase)}]++
	}
	for k, n := range count {
		out <- prometheus.MustNewConstMetric(metricPreviews, prometheus.GaugeValue, float64(n), k[0], k[1])
	}
	for repository, at := range h.Confirmed() {
		seconds := 0.0
		if !at.IsZero() {
			seconds = float64(at.UnixNano()) / 1e9
		}
		out <- prometheus.MustNewConstMetric(metricListed, prometheus.GaugeValue, seconds, repository)
	}
}
