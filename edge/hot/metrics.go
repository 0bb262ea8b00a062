package hot

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics counts the reads of caches.
type Metrics struct {
	reads *prometheus.CounterVec // by cache and result
}

// NewMetrics makes the metrics and registers them, unless reg is nil.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	return &Metrics{promauto.With(reg).NewCounterVec(prometheus.CounterOpts{
		Name: "nearside_api_cache_reads_total", Help: "Reads through the caches of the API, by cache and whether it had the value.",
	}, []string{"cache", "result"})}
}
