// Package trace shows where the time of a request went, on every node that worked on it.
//
// The trace id of a proposal is the id of the proposal: both have sixteen bytes. So every replica adds
// to the same trace, and no trace context is sent, in the log or beside it. The first span of the
// trace, that of proposing, has the last eight bytes as its id, and the spans of all nodes are its
// children. A request that comes without a trace joins the trace of its first proposal. A request with
// a trace (W3C traceparent) stays in that one, and the two are linked, because a client must not choose
// the ids of proposals.
//
// A nil Tracer makes no spans and costs nothing. Everything is safe for concurrent use. The
// exporter's goroutine ends with Close.
package trace

import (
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	otel "go.opentelemetry.io/otel/trace"
)

// Config configures a Tracer.
type Config struct {
	Node, Region string
	File         string       // spans go to this file, a line of JSON each
	OTLP         string       // and to this collector, http://HOST:4318
	Ratio        float64      // share of the traces that is kept, the same at every node; required
	Logger       *slog.Logger // required
}

// Tracer makes spans.
type Tracer struct {
	base     context.Context // of spans that end after their request; never cancelled
	provider *sdk.TracerProvider
	tracer   otel.Tracer
	files    []io.Closer
}

// New opens the exporters. Without any it gives nil, a Tracer that traces nothing.
func New(ctx context.Context, cfg Config) (*Tracer, error) {
	if cfg.File == "" && cfg.OTLP == "" {
		return nil, nil
	}
	t := &Tracer{base: context.WithoutCancel(ctx)}
	opts := []sdk.TracerProviderOption{
		sdk.WithIDGenerator(ids{}), sdk.WithSampler(sampler{sdk.TraceIDRatioBased(cfg.Ratio)}),
		sdk.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "nearside"), attribute.String("service.instance.id", cfg.Node), attribute.String("nearside.region", cfg.Region),
		)),
	}
	exporters, err := t.exporters(ctx, cfg)
	if err != nil {
		return nil, err
	}
	for _, e := range exporters {
		opts = append(opts, sdk.WithBatcher(e))
	}
	t.provider = sdk.NewTracerProvider(opts...)
	t.tracer = t.provider.Tracer("nearside")
	return t, nil
}

// Request is a request of a client. Its span is made late, because its first proposal decides in which
// trace it is.
type Request struct {
	t      *Tracer
	began  time.Time
	client otel.SpanContext // the trace that the client sent, if any

	mu   sync.Mutex
	span otel.Span // guarded by mu; nil until the trace is known
}

type requestKey struct{}

// Request begins a request. End must follow.
func (t *Tracer) Request(r *http.Request) (context.Context, *Request) {
	ctx := r.Context()
	if t == nil {
		return ctx, nil
	}
	told := propagation.TraceContext{}.Extract(t.base, propagation.HeaderCarrier(r.Header))
	req := &Request{t: t, began: time.Now(), client: otel.SpanContextFromContext(told)}
	return context.WithValue(ctx, requestKey{}, req), req
}

// in gives the request's span. It begins the span in the given trace, unless it has begun already or
// the client sent a trace.
func (r *Request) in(ctx context.Context, trace otel.TraceID) otel.Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.span == nil {
		ctx = otel.ContextWithSpanContext(force(ctx, trace, otel.SpanID{}), r.client)
		_, r.span = r.t.tracer.Start(ctx, "request", otel.WithTimestamp(r.began), otel.WithSpanKind(otel.SpanKindServer))
	}
	return r.span
}

// End ends a request that was answered with a status.
func (r *Request) End(name, method, path string, status int) {
	if r == nil {
		return
	}
	span := r.in(r.t.base, otel.TraceID{})
	span.SetName(name)
	span.SetAttributes(attribute.String("http.request.method", method), attribute.String("url.path", path), attribute.Int("http.response.status_code", status))
	if status >= 500 {
		span.SetStatus(codes.Error, "")
	}
	span.End()
}

// Propose begins the span of a proposal; the function that it gives ends it.
func (t *Tracer) Propose(ctx context.Context, id [16]byte) func(error) {
	if t == nil {
		return func(error) {}
	}
	first := rootOf(id)
	ctx = force(ctx, first.TraceID(), first.SpanID())
	opts := []otel.SpanStartOption{otel.WithSpanKind(otel.SpanKindProducer)}
	if r, ok := ctx.Value(requestKey{}).(*Request); ok {
		asked := r.in(ctx, first.TraceID()).SpanContext()
		if asked.TraceID() == first.TraceID() {
			ctx = otel.ContextWithSpanContext(ctx, asked)
		} else {
			r.span.AddLink(otel.Link{SpanContext: first})
			opts = append(opts, otel.WithNewRoot(), otel.WithLinks(otel.Link{SpanContext: asked}))
		}
	}
	_, span := t.tracer.Start(ctx, "propose", opts...)
	return func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
	}
}

// Did records what a node did for a proposal, from a time until now. Pairs are names and values
// of attributes.
func (t *Tracer) Did(name string, id [16]byte, began time.Time, pairs ...any) {
	if t == nil {
		return
	}
	ctx := otel.ContextWithRemoteSpanContext(t.base, rootOf(id))
	_, span := t.tracer.Start(ctx, name, otel.WithTimestamp(began))
	if span.IsRecording() {
		for i := 0; i+1 < len(pairs); i += 2 {
			key, _ := pairs[i].(string)
			span.SetAttributes(attribute.String(key, slog.AnyValue(pairs[i+1]).String()))
		}
	}
	span.End()
}

// rootOf gives the first span of a proposal's trace.
func rootOf(id [16]byte) otel.SpanContext {
	return otel.NewSpanContext(otel.SpanContextConfig{TraceID: id, SpanID: otel.SpanID(id[8:]), TraceFlags: otel.FlagsSampled})
}

// forced has the ids that the next span must have; random ones are used for those that are zero.
type forced struct {
	trace otel.TraceID
	span  otel.SpanID
}

type forcedKey struct{}

func force(ctx context.Context, trace otel.TraceID, span otel.SpanID) context.Context {
	return context.WithValue(ctx, forcedKey{}, forced{trace, span})
}

// ids implements sdk.IDGenerator.
type ids struct{}

// NewIDs implements sdk.IDGenerator.
func (g ids) NewIDs(ctx context.Context) (otel.TraceID, otel.SpanID) {
	f, _ := ctx.Value(forcedKey{}).(forced)
	if !f.trace.IsValid() {
		binary.LittleEndian.PutUint64(f.trace[:8], rand.Uint64())
		binary.LittleEndian.PutUint64(f.trace[8:], 1+rand.Uint64N(1<<63))
	}
	return f.trace, g.NewSpanID(ctx, f.trace)
}

// NewSpanID implements sdk.IDGenerator.
func (ids) NewSpanID(ctx context.Context, _ otel.TraceID) otel.SpanID {
	f, _ := ctx.Value(forcedKey{}).(forced)
	if !f.span.IsValid() {
		binary.LittleEndian.PutUint64(f.span[:], 1+rand.Uint64N(1<<63))
	}
	return f.span
}

// sampler drops the traces that the client does not keep. For all others the trace's id decides, so
// that all nodes keep the same traces.
type sampler struct{ ratio sdk.Sampler }

// ShouldSample implements sdk.Sampler.
func (s sampler) ShouldSample(p sdk.SamplingParameters) sdk.SamplingResult {
	parent := otel.SpanContextFromContext(p.ParentContext)
	if parent.IsRemote() && parent.TraceID() == p.TraceID && p.Kind == otel.SpanKindServer && !parent.IsSampled() {
		return sdk.SamplingResult{Decision: sdk.Drop, Tracestate: parent.TraceState()}
	}
	return s.ratio.ShouldSample(p)
}

// Description implements sdk.Sampler.
func (s sampler) Description() string { return "nearside/" + s.ratio.Description() }
