package web

import (
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/seedling-dev/seedling/plugin/preview"
)

// Health serves /healthz, /readyz, /metrics and /status.
type Health struct {
	// Ready is nil when Argo CD may be sent here.
	Ready func() error
	// Probed is told that a probe found it ready; it may be nil.
	Probed func()
	// Previews are all there are.
	Previews func() []preview.Preview
	// Status is how the control loop is doing.
	Status func() preview.Status
	// Figures are those of the other parts; it may be nil.
	Figures func() Figures
}

// Register adds the endpoints to an engine.
func (h Health) Register(e *gin.Engine) {
	e.GET("/healthz", func(c *gin.Context) { c.String(http.StatusOK, "ok") })
	e.GET("/readyz", func(c *gin.Context) {
		if err := h.Ready(); err != nil {
			c.String(http.StatusServiceUnavailable, err.Error())
			return
		}
		if h.Probed != nil {
			h.Probed()
		}
		c.String(http.StatusOK, "ok")
	})
	e.GET("/status", func(c *gin.Context) { c.String(http.StatusOK, statusPage(h.Status(), h.Previews())) })
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics{h}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	e.GET("/metrics", gin.WrapH(promhttp.HandlerFor(registry, promhttp.HandlerOpts{})))
}
