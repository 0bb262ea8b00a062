package node

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"github.com/nearside/nearside/core"
)

const maxAdminBody = 1 << 20

// admin serves operators and scripts on a loopback address.
func (n *Node) admin() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", n.metrics.handler())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "alive") })
	mux.HandleFunc("GET /readyz", n.readyz)
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, n.Status()) })
	mux.HandleFunc("GET /v1/tables", n.tables)
	mux.HandleFunc("GET /v1/distance", n.getDistance)
	mux.HandleFunc("PUT /v1/distance", n.putDistance)
	n.handleFiles(mux)
	n.handleCache(mux)
	return local(mux)
}

// local refuses what a browser sends for a web page: requests for names that are not this
// machine's, as of a page whose name was pointed at it, and those that say they come from a page.
func local(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if from := r.Header.Get("Sec-Fetch-Site"); from != "" && from != "none" && from != "same-origin" {
			answer(w, http.StatusForbidden, map[string]string{"error": "administration is not for web pages"})
			return
		}
		host := (&url.URL{Host: r.Host}).Hostname()
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			answer(w, http.StatusForbidden, map[string]string{"error": "administration is asked for by a loopback address"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (n *Node) readyz(w http.ResponseWriter, _ *http.Request) {
	state := n.state(n.parts.Load())
	status := http.StatusOK
	if state != "ready" {
		status = http.StatusServiceUnavailable
	}
	w.WriteHeader(status)
	fmt.Fprintln(w, state)
}

// getDistance lists the imitated paths as they are now.
func (n *Node) getDistance(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{"paths": n.far.list()})
}

// putDistance changes the path to one peer, or to every peer with "*".
func (n *Node) putDistance(w http.ResponseWriter, r *http.Request) {
	var change Imitate
	err := decode(w, r, `{"peer":"NODE","delay_ms":40,"jitter_ms":0,"loss":0,"blackout":false}`, &change)
	if err != nil {
		fail(w, err)
		return
	}
	if err := n.far.set(change); err != nil {
		fail(w, err)
		return
	}
	n.getDistance(w, r)
}

func answer(w http.ResponseWriter, status int, v any) {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		status, raw = http.StatusInternalServerError, []byte(`{"kind":0,"message":"cannot encode"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(raw, '\n')) // the asker may have gone
}

func fail(w http.ResponseWriter, err error) {
	e := core.AsError(err)
	status := http.StatusInternalServerError
	switch e.Kind {
	case core.KindInvalid:
		status = http.StatusBadRequest
	case core.KindNotFound:
		status = http.StatusNotFound
	case core.KindConflict:
		status = http.StatusConflict
	case core.KindUnavailable, core.KindTimeout:
		status = http.StatusServiceUnavailable
	default:
	}
	answer(w, status, map[string]string{"error": e.Error()})
}
