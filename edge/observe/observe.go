// Package observe measures and traces the requests of clients and the proposals of the edge: it
// wraps an http.Handler and an edge.Proposer, and depends on neither.
//
// Everything is safe for concurrent use, and nothing runs in the background. Labels have few
// values: a client cannot add any.
package observe

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/trace"
	"github.com/nearside/nearside/edge"
)

// Observer counts and traces requests and proposals.
type Observer struct {
	requests  *prometheus.CounterVec   // by operation and code
	request   *prometheus.HistogramVec // by operation
	inFlight  prometheus.Gauge
	proposals *prometheus.CounterVec // by result
	propose   prometheus.Histogram
	tracer    *trace.Tracer

	operations sync.Map // *counters by operation; as many as the API has operations
}

// New makes the metrics and registers them, unless reg is nil. A nil tracer traces nothing.
func New(reg prometheus.Registerer, tracer *trace.Tracer) *Observer {
	f := promauto.With(reg)
	return &Observer{
		tracer: tracer,
		requests: f.NewCounterVec(prometheus.CounterOpts{
			Name: "nearside_http_requests_total", Help: "Answered requests of clients.",
		}, []string{"operation", "code"}),
		request: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "nearside_http_request_duration_seconds", Help: "Time from a request's header to the end of its answer.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 15),
		}, []string{"operation"}),
		inFlight: f.NewGauge(prometheus.GaugeOpts{
			Name: "nearside_http_requests_in_flight", Help: "Requests of clients in progress.",
		}),
		proposals: f.NewCounterVec(prometheus.CounterOpts{
			Name: "nearside_proposals_total", Help: "Proposals of this edge, by result: ordered, or the kind of failure.",
		}, []string{"result"}),
		propose: f.NewHistogram(prometheus.HistogramOpts{
			Name: "nearside_proposal_duration_seconds", Help: "Time until a proposal of this edge was ordered and applied at home.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 15),
		}),
	}
}

// Handler measures the requests that next answers.
func (m *Observer) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" { // its handler takes over the connection; sockets are counted in edge/fanout
			next.ServeHTTP(w, r)
			return
		}
		began := time.Now()
		seen := &seenWriter{ResponseWriter: w, code: http.StatusOK}
		ctx, traced := m.tracer.Request(r)
		if traced != nil {
			r = r.WithContext(ctx)
		}
		m.inFlight.Inc()
		defer func() {
			m.inFlight.Dec()
			o := m.of(seen.op)
			traced.End(o.name, r.Method, r.URL.Path, seen.code)
			o.answered(m, seen.code).Inc()
			o.took.Observe(time.Since(began).Seconds())
		}()
		next.ServeHTTP(seen, r)
	})
}

// operation names an operation of the API. The zero value stands for all other requests: for a file
// of the web client, or an unknown path.
type operation struct{ method, pattern string }

// counters has the metrics of an operation. Looking them up by their labels for every request would
// cost as much as authenticating it.
type counters struct {
	name  string
	took  prometheus.Observer
	codes sync.Map // prometheus.Counter by status
}

func (m *Observer) of(op operation) *counters {
	if c, ok := m.operations.Load(op); ok {
		return c.(*counters)
	}
	name := "other"
	if op.pattern != "" {
		name = op.method + " " + op.pattern
	}
	c, _ := m.operations.LoadOrStore(op, &counters{name: name, took: m.request.WithLabelValues(name)})
	return c.(*counters)
}

func (c *counters) answered(m *Observer, code int) prometheus.Counter {
	if n, ok := c.codes.Load(code); ok {
		return n.(prometheus.Counter)
	}
	n := m.requests.WithLabelValues(c.name, strconv.Itoa(code))
	c.codes.Store(code, n)
	return n
}

// Operation sets the operation of the request of w: its method and the pattern of its path. Without
// it the request counts as other; the path itself is no label, because a client could make up any
// number of paths.
func Operation(w http.ResponseWriter, method, pattern string) {
	if seen, ok := w.(*seenWriter); ok {
		seen.op = operation{method, pattern}
	}
}

// seenWriter records the status.
type seenWriter struct {
	http.ResponseWriter
	op    operation
	code  int
	wrote bool
}

// WriteHeader implements http.ResponseWriter.
func (w *seenWriter) WriteHeader(code int) {
	if !w.wrote {
		w.code, w.wrote = code, code >= 200 || code == http.StatusSwitchingProtocols
	}
	w.ResponseWriter.WriteHeader(code)
}

// ReadFrom implements io.ReaderFrom, because the wrapped writer may copy faster.
func (w *seenWriter) ReadFrom(r io.Reader) (int64, error) { return io.Copy(w.ResponseWriter, r) }

// Unwrap returns the wrapped writer, for http.ResponseController.
func (w *seenWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Proposer measures the proposals that next orders.
func (m *Observer) Proposer(next edge.Proposer) edge.Proposer { return &proposer{m, next} }

type proposer struct {
	m    *Observer
	next edge.Proposer
}

// Propose implements edge.Proposer.
func (p *proposer) Propose(ctx context.Context, pr core.Proposal) (core.Receipt, error) {
	began := time.Now()
	done := p.m.tracer.Propose(ctx, pr.ID)
	receipt, err := p.next.Propose(ctx, pr)
	done(err)
	result := "ordered"
	if err != nil {
		result = core.KindOf(err).String()
	}
	p.m.proposals.WithLabelValues(result).Inc()
	p.m.propose.Observe(time.Since(began).Seconds())
	return receipt, err
}
