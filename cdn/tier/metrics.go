package tier

import "github.com/prometheus/client_golang/prometheus"

// register exports the tier's counters as metrics. They are read when they are collected, so that
// nothing is counted in two places.
func (t *Tier) register(reg prometheus.Registerer) {
	if reg == nil {
		return
	}
	counter := func(name, help string, labels prometheus.Labels, value func(Stats) int64) {
		reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels},
			func() float64 { return float64(value(t.Stats())) }))
	}
	gauge := func(name, help string, value func(Stats) float64) {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return value(t.Stats()) }))
	}
	from := func(where string) prometheus.Labels { return prometheus.Labels{"from": where} }
	const served = "Bytes of files that this edge has served, by source."
	gauge("nearside_cache_hit_ratio", "Share of the reads of files that this edge's cache answered.", Stats.HitRatio)
	counter("nearside_cache_hits_total", "Reads that found a file in the cache.", nil, func(s Stats) int64 { return s.Hits })
	counter("nearside_cache_misses_total", "Reads that did not find a file in the cache.", nil, func(s Stats) int64 { return s.Misses })
	counter("nearside_cache_served_bytes_total", served, from("memory"), func(s Stats) int64 { return s.MemoryBytes })
	counter("nearside_cache_served_bytes_total", served, from("disk"), func(s Stats) int64 { return s.DiskBytes })
	counter("nearside_cache_served_bytes_total", served, from("origin"), func(s Stats) int64 { return s.OriginBytes })
	counter("nearside_cache_fills_total", "Files fetched into the cache.", nil, func(s Stats) int64 { return s.Fills })
	counter("nearside_cache_passes_total", "Reads sent on to the origin.", nil, func(s Stats) int64 { return s.Passes })
	counter("nearside_cache_evictions_total", "Files evicted to make room for others.", nil, func(s Stats) int64 { return s.Evictions })
	counter("nearside_cache_healed_total", "Damaged files that were dropped and fetched again.", nil, func(s Stats) int64 { return s.Healed })
	gauge("nearside_cache_bytes", "Bytes in the cache's directory.", func(s Stats) float64 { return float64(s.Bytes) })
	gauge("nearside_cache_files", "Files in the cache.", func(s Stats) float64 { return float64(s.Files) })
	gauge("nearside_cache_memory_bytes", "Bytes of the cache that are in memory.", func(s Stats) float64 { return float64(s.Hot) })
	gauge("nearside_cache_pending_copies", "Files that the origin does not have yet.", func(s Stats) float64 { return float64(s.Pending) })
}
