package load

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Result is the result of a load.
type Result struct {
	Took      time.Duration
	Latencies []time.Duration // of what succeeded, sorted
	Errors    int
	LastError error
}

// Rate is successes per second.
func (r Result) Rate() float64 { return float64(len(r.Latencies)) / r.Took.Seconds() }

// Quantile gives the latency under which the share q of all successes lies.
func (r Result) Quantile(q float64) time.Duration { return Quantile(r.Latencies, q) }

// Quantile gives the value at the share q of a sorted list, or 0 if it is empty.
func Quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// Closed runs one closed loop for each job: the next request is sent when the last one is answered.
// Requests of the warm-up are not counted.
func Closed(ctx context.Context, warm, measure time.Duration, jobs []func(context.Context) error) Result {
	begin := time.Now().Add(warm)
	end := begin.Add(measure)
	parts := make([]Result, len(jobs))
	var wg sync.WaitGroup
	for i, job := range jobs {
		parts[i].Latencies = make([]time.Duration, 0, 1<<16)
		wg.Go(func() { parts[i].loop(ctx, begin, end, job) })
	}
	wg.Wait()
	return merge(measure, parts)
}

func (r *Result) loop(ctx context.Context, begin, end time.Time, job func(context.Context) error) {
	for ctx.Err() == nil {
		start := time.Now()
		if start.After(end) {
			return
		}
		err := job(ctx)
		now := time.Now()
		switch {
		case err != nil:
			r.Errors++
			r.LastError = err
		case start.After(begin) && now.Before(end):
			r.Latencies = append(r.Latencies, now.Sub(start))
		}
	}
}

func merge(took time.Duration, parts []Result) Result {
	all := Result{Took: took}
	for _, p := range parts {
		all.Latencies = append(all.Latencies, p.Latencies...)
		all.Errors += p.Errors
		if p.LastError != nil {
			all.LastError = p.LastError
		}
	}
	slices.Sort(all.Latencies)
	return all
}

// Open starts a job once in every pause until ctx ends and does not wait for earlier ones. If limit jobs are
// under way, a start is skipped and counted.
func Open(ctx context.Context, pause time.Duration, limit int, job func(n int)) (skipped int) {
	slots := make(chan struct{}, limit)
	tick := time.NewTicker(pause)
	defer tick.Stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return skipped
		case <-tick.C:
		}
		select {
		case slots <- struct{}{}:
			wg.Go(func() { job(n); <-slots })
		default:
			skipped++
		}
	}
}
