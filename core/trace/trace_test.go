package trace

import (
	"bufio"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// span is one line of a trace file.
type span struct {
	Name        string
	SpanContext struct{ TraceID, SpanID string }
	Parent      struct{ TraceID, SpanID string }
	Links       []struct {
		SpanContext struct{ TraceID, SpanID string }
	}
}

// traced runs f with a tracer and gives the spans that it made, by name.
func traced(t *testing.T, ratio float64, f func(*Tracer)) map[string]span {
	t.Helper()
	file := filepath.Join(t.TempDir(), "spans.json")
	tr, err := New(t.Context(), Config{Node: "n", File: file, Ratio: ratio, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	f(tr)
	if err := tr.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	spans := map[string]span{}
	for lines := bufio.NewScanner(in); lines.Scan(); {
		var s span
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			t.Fatal(err)
		}
		spans[s.Name] = s
	}
	return spans
}

var proposal = [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}

const (
	proposalTrace = "0102030405060708090a0b0c0d0e0f10"
	clientTrace   = "4bf92f3577b34da6a3ce929d0e0e4736"
)

// handle is what an edge does with a request that proposes once.
func handle(tr *Tracer, r *http.Request) {
	ctx, req := tr.Request(r)
	tr.Propose(ctx, proposal)(errors.New("no leader"))
	req.End("request", "POST", "/x", 503)
}

// A request takes the trace of its proposal, and what other nodes do for it joins that trace.
func TestTrace_RequestAndReplicas_AreOne(t *testing.T) {
	spans := traced(t, 1, func(tr *Tracer) {
		handle(tr, httptest.NewRequest("POST", "/x", nil))
		tr.Did("apply", proposal, time.Now(), "index", 7)
	})
	for _, name := range []string{"request", "propose", "apply"} {
		if got := spans[name].SpanContext.TraceID; got != proposalTrace {
			t.Errorf("%s is in trace %q", name, got)
		}
	}
	if spans["propose"].Parent.SpanID != spans["request"].SpanContext.SpanID || spans["apply"].Parent.SpanID != spans["propose"].SpanContext.SpanID {
		t.Errorf("parents: %+v", spans)
	}
}

// A client's trace is kept for the request and linked with the proposal's, because a client must not
// choose the id of a proposal.
func TestTrace_ClientsTrace_IsLinked(t *testing.T) {
	spans := traced(t, 1, func(tr *Tracer) {
		r := httptest.NewRequest("POST", "/x", nil)
		r.Header.Set("traceparent", "00-"+clientTrace+"-00f067aa0ba902b7-01")
		handle(tr, r)
	})
	req, prop := spans["request"], spans["propose"]
	if req.SpanContext.TraceID != clientTrace || req.Parent.SpanID != "00f067aa0ba902b7" || prop.SpanContext.TraceID != proposalTrace {
		t.Errorf("request %+v, propose %+v", req, prop)
	}
	if len(req.Links) != 1 || req.Links[0].SpanContext.TraceID != proposalTrace || len(prop.Links) != 1 || prop.Links[0].SpanContext.TraceID != clientTrace {
		t.Errorf("links of the request %+v, of the proposal %+v", req.Links, prop.Links)
	}
}

// Traces that the client or the ratio leaves out have no spans, and an invalid header is ignored.
func TestTrace_LeftOut(t *testing.T) {
	with := func(header string) func(*Tracer) {
		return func(tr *Tracer) {
			r := httptest.NewRequest("GET", "/x", nil)
			r.Header.Set("traceparent", header)
			_, req := tr.Request(r)
			req.End("request", "GET", "/x", 200)
		}
	}
	if spans := traced(t, 1, with("00-"+clientTrace+"-00f067aa0ba902b7-00")); len(spans) != 0 {
		t.Errorf("not sampled: %+v", spans)
	}
	if spans := traced(t, 0, func(tr *Tracer) { handle(tr, httptest.NewRequest("POST", "/x", nil)) }); len(spans) != 0 {
		t.Errorf("ratio 0: %+v", spans)
	}
	if spans := traced(t, 1, with(strings.Repeat("x", 1000))); len(spans) != 1 || len(spans["request"].SpanContext.TraceID) != 32 {
		t.Errorf("nonsense: %+v", spans)
	}
}

// Without an exporter the tracer is nil, and calling it does nothing.
func TestTrace_Off(t *testing.T) {
	tr, err := New(t.Context(), Config{Logger: slog.New(slog.DiscardHandler)})
	if tr != nil || err != nil {
		t.Fatalf("%v, %v", tr, err)
	}
	handle(tr, httptest.NewRequest("POST", "/x", nil))
	tr.Did("apply", proposal, time.Now())
	if err := tr.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// A collector gets the spans; while it cannot be reached, only spans are lost.
func TestTrace_Collector(t *testing.T) {
	got := make(chan string, 10)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.URL.Path + " " + r.Header.Get("Content-Type") }))
	for range 2 { // the second time it is away
		tr, err := New(t.Context(), Config{OTLP: s.URL, Ratio: 1, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		tr.Did("apply", proposal, time.Now())
		if err := tr.Close(t.Context()); err != nil {
			t.Error(err)
		}
		s.Close()
	}
	if what := <-got; what != "/v1/traces application/x-protobuf" {
		t.Errorf("the collector got %q", what)
	}
}
