package replica

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/pg"
	"github.com/nearside/nearside/core/slow"
	"github.com/nearside/nearside/core/trace"
)

const slowBatch = time.Second // a batch that takes longer is logged

// metrics counts what a replica does.
type metrics struct {
	entries, failures prometheus.Counter
	stuck             prometheus.Gauge
	batch             prometheus.Histogram
	trips             prometheus.Counter
	cached            prometheus.Gauge
	slow              *slow.Log
	tracer            *trace.Tracer
	snapshots         *prometheus.CounterVec // by what was done and the result
	snapshot          *prometheus.HistogramVec
}

// newMetrics makes the metrics and registers them, if a registerer is configured.
func newMetrics(cfg Config) *metrics {
	f := promauto.With(cfg.Metrics)
	return &metrics{
		tracer:   cfg.Tracer,
		slow:     slow.New(slow.Config{What: "a batch of the log", Limit: slowBatch, Logger: cfg.Logger}),
		trips:    f.NewCounter(prometheus.CounterOpts{Name: "nearside_apply_round_trips_total", Help: "Round trips to the database while applying."}),
		cached:   f.NewGauge(prometheus.GaugeOpts{Name: "nearside_apply_cached_bytes", Help: "Memory of the rows that applying keeps at hand."}),
		entries:  f.NewCounter(prometheus.CounterOpts{Name: "nearside_apply_entries_total", Help: "Entries of the log that were applied and committed."}),
		failures: f.NewCounter(prometheus.CounterOpts{Name: "nearside_apply_failures_total", Help: "Batches of entries that could not be applied; most are tried again."}),
		stuck:    f.NewGauge(prometheus.GaugeOpts{Name: "nearside_apply_stuck_index", Help: "The entry that cannot be applied, again and again; 0 if there is none."}),
		batch: f.NewHistogram(prometheus.HistogramOpts{
			Name: "nearside_apply_batch_duration_seconds", Help: "Time to apply and commit a batch of entries.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
		}),
		snapshots: f.NewCounterVec(prometheus.CounterOpts{
			Name: "nearside_snapshots_total", Help: "Snapshots that were made or restored, by result.",
		}, []string{"action", "result"}),
		snapshot: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "nearside_snapshot_duration_seconds", Help: "Time to make or restore a snapshot.",
			Buckets: prometheus.ExponentialBuckets(0.01, 4, 10),
		}, []string{"action"}),
	}
}

// The actions on snapshots.
const (
	actionMake    = "make"
	actionRestore = "restore"
)

func (m *metrics) snapshotDone(action string, began time.Time, err error) {
	result := "ok"
	if err != nil {
		result = "failed"
	}
	m.snapshots.WithLabelValues(action, result).Inc()
	m.snapshot.WithLabelValues(action).Observe(time.Since(began).Seconds())
}

// watch measures the steps of a batch that is being applied. It belongs to the holder of the turn.
type watch struct {
	m     *metrics
	store *pg.Store
	began time.Time
	last  time.Time
	trips int    // before the batch
	worst string // the longest step
	took  time.Duration
}

func (m *metrics) begin(store *pg.Store) *watch {
	now := time.Now()
	return &watch{m: m, store: store, began: now, last: now, trips: store.RoundTrips()}
}

// step ends a step of the batch.
func (w *watch) step(name string) {
	now := time.Now()
	if took := now.Sub(w.last); took > w.took {
		w.worst, w.took = name, took
	}
	w.last = now
}

// end counts the batch, and logs it if it was slow.
func (w *watch) end(part []core.Entry, applied int, err error) {
	w.step("what failed")
	took := time.Since(w.began)
	w.m.entries.Add(float64(applied))
	w.m.trips.Add(float64(w.store.RoundTrips() - w.trips))
	w.m.cached.Set(float64(w.store.CachedBytes()))
	if err != nil {
		w.m.failures.Inc()
	} else {
		w.m.batch.Observe(took.Seconds())
	}
	for _, e := range part[:applied] {
		w.m.tracer.Did("apply", e.ID, w.began, "index", e.Index, "entries", len(part), "longest", w.worst)
	}
	w.m.slow.Note(w.worst, took, "step", w.took.Round(time.Millisecond), "from", part[0].Index, "entries", len(part), "round_trips", w.store.RoundTrips()-w.trips)
}
