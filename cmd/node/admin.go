package node

import (
	"context"
	"fmt"
	"net/http"
	"net/http/pprof"

	"github.com/nearside/nearside/cmd/admin"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/read"
	"github.com/nearside/nearside/region"
	"github.com/nearside/nearside/replication/link"
	"github.com/nearside/nearside/replication/roll"
)

// adminHandler serves operators and scripts.
func (n *Node) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", n.metrics.handler())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "alive") })
	mux.HandleFunc("GET /readyz", n.readyz)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { admin.Answer(w, http.StatusOK, n.Status()) })
	mux.HandleFunc("GET /v1/tables", n.tables)
	files := &admin.FilesHandler{Node: n.cfg.Name, Files: n.files, Logger: n.log}
	files.Register(mux)
	versions := &admin.VersionHandler{Upgrade: func() *region.Upgrade { return n.parts.Load().upgrade }}
	versions.Register(mux)
	entries := &admin.LogHandler{Region: func() *region.Region { return n.parts.Load().region }}
	entries.Register(mux)
	home := &admin.HomeHandler{Region: func() *region.Region { return n.parts.Load().region }}
	home.Register(mux)
	audits := &admin.AuditHandler{Store: n.audits}
	audits.Register(mux)
	trust := &admin.PKIHandler{Dir: n.cfg.PKI, Order: n.order, Parts: func() (*region.Region, *roll.Roll, *link.Endpoint) {
		p := n.parts.Load()
		return p.region, p.roll, p.link
	}, Rotate: func(ctx context.Context) error {
		if r := n.parts.Load().renewer; r != nil {
			return r.rotate(ctx)
		}
		return core.E(core.KindUnavailable, "this node is still starting")
	}}
	trust.Register(mux)
	all := http.NewServeMux()
	all.HandleFunc("GET /v1/distance", n.getDistance)
	all.HandleFunc("PUT /v1/distance", n.putDistance) // a game of demos and drills, and nothing for the audit trail
	all.Handle("/", admin.Traced(mux, func(a core.Audit) {
		if !n.deeds.Did(a) {
			n.deedLost(a, errManyDeeds)
		}
	}))
	return all
}

// files gives what this node does with files; nil while it starts.
func (n *Node) files() *admin.Files {
	if k := n.parts.Load().keeping; k != nil {
		return &k.Files
	}
	return nil
}

// audits gives what reads the audit trail; nil while this node starts.
func (n *Node) audits() *read.Store {
	if db := n.parts.Load().db; db != nil {
		return read.New(db, nil)
	}
	return nil
}

// readyz says whether the answers of this node are right, and why not.
func (n *Node) readyz(w http.ResponseWriter, _ *http.Request) {
	state, reason := n.health(n.parts.Load())
	status := http.StatusOK
	if state != stateReady && (state != StateReadOnly || !n.cfg.Is(RoleEdge)) { // an edge still serves reads
		status = http.StatusServiceUnavailable
	}
	if reason != "" {
		state += ": " + reason
	}
	w.WriteHeader(status)
	fmt.Fprintln(w, state)
}

// getDistance lists the imitated paths as they are now.
func (n *Node) getDistance(w http.ResponseWriter, _ *http.Request) {
	admin.Answer(w, http.StatusOK, map[string]any{"paths": n.far.list()})
}

// putDistance changes the path to one peer, or to every peer with "*".
func (n *Node) putDistance(w http.ResponseWriter, r *http.Request) {
	var change Imitate
	err := admin.Decode(w, r, `{"peer":"NODE","delay_ms":40,"jitter_ms":0,"loss":0,"blackout":false}`, &change)
	if err != nil {
		admin.Fail(w, err)
		return
	}
	if err := n.far.set(change); err != nil {
		admin.Fail(w, err)
		return
	}
	n.getDistance(w, r)
}
