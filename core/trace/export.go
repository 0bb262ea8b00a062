package trace

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

const (
	maxFileBytes = 256 << 20    // written in one run of the process; the rest is dropped
	tracesPath   = "/v1/traces" // of every collector
)

func (t *Tracer) exporters(ctx context.Context, cfg Config) (list []sdk.SpanExporter, err error) {
	if cfg.File != "" {
		f, err := os.OpenFile(cfg.File, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return nil, fmt.Errorf("open trace file: %w", err)
		}
		t.files = append(t.files, f)
		e, err := stdouttrace.New(stdouttrace.WithWriter(&bounded{file: f}))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("trace file: %w", err), f.Close())
		}
		list = append(list, &quiet{SpanExporter: e, log: cfg.Logger, to: cfg.File})
	}
	if cfg.OTLP != "" {
		e, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(strings.TrimSuffix(cfg.OTLP, "/")+tracesPath))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("trace collector: %w", err), t.closeFiles())
		}
		list = append(list, &quiet{SpanExporter: e, log: cfg.Logger, to: cfg.OTLP})
	}
	return list, nil
}

// Close sends what is left, until ctx ends, and ends the exporters.
func (t *Tracer) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return errors.Join(t.provider.Shutdown(ctx), t.closeFiles())
}

func (t *Tracer) closeFiles() (err error) {
	for _, f := range t.files {
		err = errors.Join(err, f.Close())
	}
	return err
}

// bounded writes to a file until the file is too large.
type bounded struct {
	file    *os.File
	written int64 // the exporter writes one after another
}

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	if b.written += int64(len(p)); b.written > maxFileBytes {
		return 0, errors.New("the trace file is full")
	}
	return b.file.Write(p)
}

// quiet logs once that spans cannot be exported, and once that they can again. Without it the library
// would write each failure to standard error.
type quiet struct {
	sdk.SpanExporter
	log     *slog.Logger
	to      string
	failing atomic.Bool
}

// ExportSpans implements sdk.SpanExporter.
func (q *quiet) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := q.SpanExporter.ExportSpans(ctx, spans)
	switch before := q.failing.Swap(err != nil); {
	case err != nil && !before:
		q.log.Warn("traces are lost", "to", q.to, "error", err)
	case err == nil && before:
		q.log.Info("traces arrive again", "to", q.to)
	}
	return nil
}
