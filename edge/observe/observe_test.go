package observe

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/nearside/nearside/core"
)

// Requests are counted by operation and status; others are counted together, whatever their path.
func TestHandler_CountsByOperation(t *testing.T) {
	reg := prometheus.NewRegistry()
	h := New(reg, nil).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/users/me" {
			Operation(w, "GET", "/users/{user_id}")
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusForbidden)
			w.WriteHeader(http.StatusOK) // too late: the status has been written
			return
		}
		_, _ = w.Write([]byte("x"))
	}))
	for _, path := range []string{"/users/me", "/users/me", "/anything", "/else"} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
	}
	want := `# HELP nearside_http_requests_total Answered requests of clients.
# TYPE nearside_http_requests_total counter
nearside_http_requests_total{code="200",operation="other"} 2
nearside_http_requests_total{code="403",operation="GET /users/{user_id}"} 2
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "nearside_http_requests_total"); err != nil {
		t.Error(err)
	}
}

type proposing func() error

func (f proposing) Propose(context.Context, core.Proposal) (core.Receipt, error) {
	return core.Receipt{}, f()
}

// Proposals are counted by their result.
func TestProposer_CountsByResult(t *testing.T) {
	reg := prometheus.NewRegistry()
	var err error
	p := New(reg, nil).Proposer(proposing(func() error { return err }))
	_, _ = p.Propose(t.Context(), core.Proposal{})
	err = core.E(core.KindUnavailable, "no leader")
	_, _ = p.Propose(t.Context(), core.Proposal{})
	want := `# HELP nearside_proposals_total Proposals of this edge, by result: ordered, or the kind of failure.
# TYPE nearside_proposals_total counter
nearside_proposals_total{result="ordered"} 1
nearside_proposals_total{result="unavailable"} 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "nearside_proposals_total"); err != nil {
		t.Error(err)
	}
}
