package region

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics counts what a home node orders.
type metrics struct {
	order     prometheus.Histogram
	elections prometheus.Counter
}

// newMetrics makes the metrics and registers them, if a registerer is configured.
func newMetrics(r *Region) *metrics {
	f := promauto.With(r.cfg.Metrics)
	gauge := func(name, help string, value func() float64) {
		f.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	gauge("nearside_order_proposals_in_flight", "Proposals that this home node is at.", func() float64 { return float64(r.inFlight.Load()) })
	gauge("nearside_order_in_flight_bytes", "Bytes of the proposals that this home node is at.", func() float64 { return float64(r.inFlightBytes.Load()) })
	gauge("nearside_order_machine_late_seconds", "How long the database has been at its present batch.", func() float64 { return r.applier.late().Seconds() })
	gauge("nearside_order_disk_free_bytes", "Free space where the log is.", func() float64 { return float64(r.disk.free.Load()) })
	return &metrics{
		order: f.NewHistogram(prometheus.HistogramOpts{
			Name: "nearside_order_duration_seconds", Help: "Time from a proposal at the leader to its receipt: stamped, logged by a majority, applied.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
		}),
		elections: f.NewCounter(prometheus.CounterOpts{Name: "nearside_order_elections_won_total", Help: "Times that this node became leader."}),
	}
}
