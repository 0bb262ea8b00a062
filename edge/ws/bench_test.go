package ws

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/event"
	"github.com/nearside/nearside/edge/fanout"
)

// BenchmarkPosted200 measures the time from publishing an event to its arrival at each of 200
// real sockets, whose clients run on the same machine.
func BenchmarkPosted200(b *testing.B) {
	s, stop := benchSite(b)
	defer stop()
	const sockets = 200
	var arrived sync.WaitGroup
	var mu sync.Mutex
	var start time.Time
	var took []time.Duration
	for range sockets {
		c := s.dial("", bearer(alice))
		c.event("hello")
		go func() {
			for {
				_, text, err := c.ReadMessage()
				if err != nil {
					return
				}
				if string(text[:17]) == `{"event":"posted"` {
					mu.Lock()
					took = append(took, time.Since(start))
					mu.Unlock()
					arrived.Done()
				}
			}
		}()
	}
	post := core.Post{UserID: alice, ChannelID: town, Message: "Good morning, is anybody here already?"}
	for b.Loop() {
		arrived.Add(sockets)
		start = time.Now()
		s.publish(event.Posted{Channel: core.Channel{ID: town}, Post: post})
		arrived.Wait()
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

func benchSite(b *testing.B) (*site, func()) {
	b.Helper()
	s := startSite(b, func(_ *Config, f *fanout.Config) { f.Presence = nil })
	return s, s.stop
}
