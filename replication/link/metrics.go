package link

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics counts an endpoint's connections.
type metrics struct {
	open  prometheus.Gauge
	dials *prometheus.CounterVec // by class and result
	taken *prometheus.CounterVec // by class
}

// newMetrics registers with reg; with nil, nowhere.
func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		open: f.NewGauge(prometheus.GaugeOpts{Name: "nearside_link_connections", Help: "Open connections to other nodes."}),
		dials: f.NewCounterVec(prometheus.CounterOpts{
			Name: "nearside_link_dials_total", Help: "Connections that this node opened, by class and result.",
		}, []string{"class", "result"}),
		taken: f.NewCounterVec(prometheus.CounterOpts{
			Name: "nearside_link_accepts_total", Help: "Connections that other nodes opened, by class.",
		}, []string{"class"}),
	}
}

func (m *metrics) dialed(c Class, err error) {
	result := "ok"
	if err != nil {
		result = "failed"
	}
	m.dials.WithLabelValues(classLabel(c), result).Inc()
}

// classLabel is the class's label in metrics: raft, log, forward, blob, gossip.
func classLabel(c Class) string {
	return strings.TrimSuffix(strings.TrimPrefix(c.String(), "nearside-"), "/1")
}
