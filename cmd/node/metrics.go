package node

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/nearside/nearside/cdn/origin"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/replication/link"
)

// metrics has the registry in which the parts of a node register their metrics. What no part measures is
// read from Status when the metrics are requested.
type metrics struct {
	registry *prometheus.Registry
	jobs     *origin.Jobs
}

func newMetrics(n *Node) *metrics {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	gauge := func(name, help string, value func() float64) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "nearside", Name: name, Help: help}, value))
	}
	gauge("applied_index", "Index of the last applied entry.", func() float64 { return float64(n.Status().Position.Index) })
	gauge("applied_lag_seconds", "Time since the replica had everything that home had; -1 before it first had.", func() float64 {
		if ms := n.Status().AppliedLagMS; ms >= 0 {
			return float64(ms) / 1000
		}
		return -1
	})
	gauge("home_connected", "1 while home can be reached.", func() float64 { return flag(n.Status().Connected) })
	gauge("leader", "1 on the node that orders.", func() float64 { return flag(n.Status().Leader == n.cfg.Name) })
	gauge("ready", "1 while the node serves.", func() float64 { return flag(n.Status().State == "ready") })
	gauge("certificate_end_seconds", "Unix time at which this node's certificate ends; it is renewed ten days before.", func() float64 {
		if ep := n.parts.Load().link; ep != nil {
			return float64(ep.Own().Until.Unix())
		}
		return 0
	})
	gauge("issuer_end_seconds", "Unix time at which a home node's issuer ends; 0: it has none.", func() float64 {
		if issuer, err := link.LoadIssuer(n.cfg.PKI); err == nil && n.cfg.Is(RoleHome) {
			return float64(issuer.Until().Unix())
		}
		return 0
	})
	gauge("peers_alive", "Other nodes that answer.", func() float64 {
		alive := 0
		for _, p := range n.Status().Peers {
			if p.Alive {
				alive++
			}
		}
		return float64(alive)
	})
	r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Namespace: "nearside", Name: "commands_decoded_total", Help: "Commands that were decoded, to apply them or to check them.",
	}, func() float64 { return float64(command.Decoded()) }))
	n.filesMetrics(r)
	return &metrics{registry: r, jobs: origin.NewJobs(r)}
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

func flag(on bool) float64 {
	if on {
		return 1
	}
	return 0
}
