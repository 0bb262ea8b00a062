package node

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nearside/nearside/cdn/tier"
	"github.com/nearside/nearside/cmd/admin"
)

// filesMetrics adds what there is to know of files. Parts that this node has not give zeroes.
func (n *Node) filesMetrics(r *prometheus.Registry) {
	add := func(value func() float64, name, help string, labels prometheus.Labels, total bool) {
		if total {
			r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "nearside", Name: name, Help: help, ConstLabels: labels}, value))
			return
		}
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "nearside", Name: name, Help: help, ConstLabels: labels}, value))
	}
	cache := func(value func(tier.Stats) float64) func() float64 {
		return func() float64 {
			if k := n.parts.Load().keeping; k != nil && k.Tier != nil {
				return value(k.Tier.Stats())
			}
			return 0
		}
	}
	kept := func(value func(admin.FilesStatus) int64) func() float64 {
		return func() float64 {
			if f := n.files(); f != nil {
				return float64(value(f.Counts()))
			}
			return float64(value(admin.FilesStatus{}))
		}
	}
	from := func(where string) prometheus.Labels { return prometheus.Labels{"from": where} }
	const served = "Bytes of files that this edge has served, by where they came from."
	add(cache(tier.Stats.HitRatio), "cache_hit_ratio", "Part of the reads of files that found them in this edge's cache.", nil, false)
	add(cache(func(s tier.Stats) float64 { return float64(s.Hits) }), "cache_hits_total", "Reads that found a file in the cache.", nil, true)
	add(cache(func(s tier.Stats) float64 { return float64(s.Misses) }), "cache_misses_total", "Reads that did not.", nil, true)
	add(cache(func(s tier.Stats) float64 { return float64(s.MemoryBytes) }), "cache_served_bytes_total", served, from("memory"), true)
	add(cache(func(s tier.Stats) float64 { return float64(s.DiskBytes) }), "cache_served_bytes_total", served, from("disk"), true)
	add(cache(func(s tier.Stats) float64 { return float64(s.OriginBytes) }), "cache_served_bytes_total", served, from("origin"), true)
	add(cache(func(s tier.Stats) float64 { return float64(s.Fills) }), "cache_fills_total", "Files brought into the cache.", nil, true)
	add(cache(func(s tier.Stats) float64 { return float64(s.Passes) }), "cache_passes_total", "Reads sent on to the origin.", nil, true)
	add(cache(func(s tier.Stats) float64 { return float64(s.Evictions) }), "cache_evictions_total", "Files that made room for others.", nil, true)
	add(cache(func(s tier.Stats) float64 { return float64(s.Healed) }), "cache_healed_total", "Damaged files that were dropped and fetched again.", nil, true)
	add(cache(func(s tier.Stats) float64 { return float64(s.Bytes) }), "cache_bytes", "Bytes in the cache's directory.", nil, false)
	add(cache(func(s tier.Stats) float64 { return float64(s.Files) }), "cache_files", "Files in it.", nil, false)
	add(cache(func(s tier.Stats) float64 { return float64(s.Hot) }), "cache_memory_bytes", "Bytes of them in memory.", nil, false)
	add(cache(func(s tier.Stats) float64 { return float64(s.Pending) }), "cache_pending_copies", "Files that the origin does not have yet.", nil, false)
	add(kept(func(s admin.FilesStatus) int64 { return s.OriginErrors }), "files_origin_errors_total", "Requests to the origin of files that failed for the origin's sake.", nil, true)
	add(kept(func(s admin.FilesStatus) int64 { return s.Pending }), "files_pending_copies", "Copies that wait for other home nodes.", nil, false)
	add(kept(func(s admin.FilesStatus) int64 { return s.Missing }), "files_missing", "Blobs that this home node should have and cannot get.", nil, false)
	add(kept(func(s admin.FilesStatus) int64 { return s.Repaired }), "files_repaired_total", "Blobs that this home node got back from another.", nil, true)
	add(kept(func(s admin.FilesStatus) int64 { return s.Swept }), "files_swept_total", "Blobs removed because nothing needs them any more.", nil, true)
	add(kept(func(s admin.FilesStatus) int64 { return int64(1 - min(len(s.Trouble), 1)) }), "files_origin_up", "1 unless the origin of files is known to be unusable.", nil, false)
}
