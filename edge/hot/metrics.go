package hot

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics counts what caches were asked.
type Metrics struct {
	reads *prometheus.CounterVec // by cache and result
}

// NewMetrics makes the metrics and registers them; with nil they are registered nowhere.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	return &Metrics{promauto.With(reg).NewCounterVec(prometheus.CounterOpts{
		Name: "nearside_api_cache_reads_total", Help: "Reads through the caches of the API, by cache and whether the value was at hand.",
	}, []string{"cache", "result"})}
}
