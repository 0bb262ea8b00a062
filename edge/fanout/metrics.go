package fanout

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/nearside/nearside/core/slow"
)

// What takes longer is logged.
const (
	slowWrite = 2 * time.Second        // of one event to one socket
	slowBatch = 250 * time.Millisecond // to all sockets
)

// metrics has the hub's metrics. Most of them are read from Stats when they are collected.
type metrics struct {
	batch        prometheus.Histogram
	write        prometheus.Histogram
	slow, sticky *slow.Log // of batches, of sockets
}

// newMetrics makes the metrics and registers them, if a registerer is configured.
func newMetrics(h *Hub) *metrics {
	f := promauto.With(h.cfg.Metrics)
	gauge := func(name, help string, value func(Stats) int) {
		f.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(value(h.Stats())) })
	}
	counter := func(name, help string, value func(Stats) int64) {
		f.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(value(h.Stats())) })
	}
	gauge("nearside_sockets", "Sockets of clients that are connected.", func(s Stats) int { return s.Sockets })
	gauge("nearside_sockets_parked", "Sockets that wait for their client to come back.", func(s Stats) int { return s.Parked })
	counter("nearside_socket_events_total", "Events queued for a socket.", func(s Stats) int64 { return s.Delivered })
	counter("nearside_socket_events_dropped_total", "Typing and status events dropped for slow sockets.", func(s Stats) int64 { return s.Dropped })
	counter("nearside_socket_events_encoded_total", "Events encoded, each once however many sockets it goes to.", func(s Stats) int64 { return s.Encoded })
	counter("nearside_sockets_closed_slow_total", "Sockets closed because their queue was full.", func(s Stats) int64 { return s.Slow })
	counter("nearside_sockets_resumed_total", "Sockets that went on where they were.", func(s Stats) int64 { return s.Resumed })
	return &metrics{
		batch: f.NewHistogram(prometheus.HistogramOpts{
			Name: "nearside_fanout_duration_seconds", Help: "Time to queue the events of one entry for all sockets concerned.",
			Buckets: prometheus.ExponentialBuckets(0.00001, 4, 10),
		}),
		write: f.NewHistogram(prometheus.HistogramOpts{
			Name: "nearside_socket_write_duration_seconds", Help: "Time to write one event to one socket.",
			Buckets: prometheus.ExponentialBuckets(0.00001, 4, 11),
		}),
		slow:   slow.New(slow.Config{What: "fan-out", Limit: slowBatch, Logger: h.log}),
		sticky: slow.New(slow.Config{What: "a socket", Limit: slowWrite, Logger: h.log}),
	}
}
