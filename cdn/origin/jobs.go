package origin

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Jobs has the metrics of the background jobs for blobs.
type Jobs struct {
	runs *prometheus.CounterVec // by job and result
	took *prometheus.HistogramVec
	last *prometheus.GaugeVec // by job
}

// NewJobs makes the metrics and registers them, unless reg is nil.
func NewJobs(reg prometheus.Registerer) *Jobs {
	f := promauto.With(reg)
	return &Jobs{
		runs: f.NewCounterVec(prometheus.CounterOpts{
			Name: "nearside_job_runs_total", Help: "Runs of jobs in the background, by result.",
		}, []string{"job", "result"}),
		took: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "nearside_job_duration_seconds", Help: "Time that a run of a job took.",
			Buckets: prometheus.ExponentialBuckets(0.01, 4, 10),
		}, []string{"job"}),
		last: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "nearside_job_last_success_timestamp_seconds", Help: "When a run of a job last succeeded, in Unix time.",
		}, []string{"job"}),
	}
}

// The names of the jobs.
const (
	jobRepair = "blob_repair"
	jobSweep  = "blob_sweep"
	jobBucket = "bucket_check"
)

// done counts a run. A nil Jobs counts nothing.
func (j *Jobs) done(job string, began time.Time, err error) {
	if j == nil {
		return
	}
	result := "ok"
	if err != nil {
		result = "failed"
	} else {
		j.last.WithLabelValues(job).SetToCurrentTime()
	}
	j.runs.WithLabelValues(job, result).Inc()
	j.took.WithLabelValues(job).Observe(time.Since(began).Seconds())
}
