package region

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkCommit measures ordering alone: the machine only chains digests. p50 and p99 are
// of one proposal in milliseconds.
func BenchmarkCommit(b *testing.B) {
	for _, voters := range []int{1, 3} {
		for _, clients := range []int{1, 16, 256} {
			b.Run(fmt.Sprintf("voters=%d/clients=%d", voters, clients), func(b *testing.B) {
				benchCommit(b, voters, clients)
			})
		}
	}
}

func benchCommit(b *testing.B, voters, clients int) {
	w := newWorld(b, voters, nil)
	for _, n := range w.nodes {
		n.machine.light = true
		n.start()
	}
	w.allVote() // a new home orders nothing before
	lead := w.leader()
	took := make([]time.Duration, b.N)
	var next atomic.Int64
	var wg sync.WaitGroup
	data := make([]byte, 300)
	b.ResetTimer()
	for range clients {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
				p := proposal(int(i))
				p.Data = data
				begin := time.Now()
				if _, err := lead.Propose(b.Context(), p); err != nil {
					b.Error(err)
					return
				}
				took[i] = time.Since(begin)
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	slices.Sort(took)
	ms := func(q float64) float64 { return took[int(q*float64(b.N-1))].Seconds() * 1000 }
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
	b.ReportMetric(ms(0.5), "p50-ms")
	b.ReportMetric(ms(0.99), "p99-ms")
}
