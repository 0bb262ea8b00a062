package node

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nearside/nearside/cmd/admin"
)

// filesMetrics adds the metrics of the origin. Parts that this node does not have give zero.
func (n *Node) filesMetrics(r *prometheus.Registry) {
	kept := func(value func(admin.FilesStatus) int64) func() float64 {
		return func() float64 {
			if f := n.files(); f != nil {
				return float64(value(f.Counts()))
			}
			return float64(value(admin.FilesStatus{}))
		}
	}
	counter := func(name, help string, value func(admin.FilesStatus) int64) {
		r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "nearside", Name: name, Help: help}, kept(value)))
	}
	gauge := func(name, help string, value func(admin.FilesStatus) int64) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "nearside", Name: name, Help: help}, kept(value)))
	}
	counter("files_origin_errors_total", "Requests to the origin of files that failed for the origin's sake.", func(s admin.FilesStatus) int64 { return s.OriginErrors })
	counter("files_repaired_total", "Blobs that this home node got back from another.", func(s admin.FilesStatus) int64 { return s.Repaired })
	counter("files_swept_total", "Blobs removed because nothing needs them any more.", func(s admin.FilesStatus) int64 { return s.Swept })
	gauge("files_pending_copies", "Copies that wait for other home nodes.", func(s admin.FilesStatus) int64 { return s.Pending })
	gauge("files_missing", "Blobs that this home node should have and cannot get.", func(s admin.FilesStatus) int64 { return s.Missing })
	gauge("files_origin_up", "1 unless the origin of files is known to be unusable.", func(s admin.FilesStatus) int64 { return int64(1 - min(len(s.Trouble), 1)) })
}
