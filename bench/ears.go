package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nearside/nearside/bench/load"
	"github.com/nearside/nearside/core/eventually"
)

// ears are sockets that record when they got each post.
type ears struct {
	mark    string         // in front of the number in each message
	base    time.Time      // monotonic zero of the times below
	sent    []atomic.Int64 // by number: when the post left
	sockets []*load.Socket
	heard   [][]time.Duration // by socket: latency by number; owned by the reader of the socket until it has ended
	count   atomic.Int64
	readers sync.WaitGroup
}

// openSockets opens one socket for each person; total is how many posts will be made.
func openSockets(ctx context.Context, people []load.Person, channel string, total int) (*ears, error) {
	t := &ears{mark: fmt.Sprintf("ears-%s-", channel[:6]), base: time.Now(), sent: make([]atomic.Int64, total)}
	for _, p := range people {
		s, err := p.Listen(ctx)
		if err != nil {
			t.close()
			return nil, fmt.Errorf("socket of %s: %w", p.Name, err)
		}
		heard := make([]time.Duration, total)
		t.sockets, t.heard = append(t.sockets, s), append(t.heard, heard)
		t.readers.Go(func() { t.read(s, heard) })
	}
	return t, nil
}

func (t *ears) read(s *load.Socket, heard []time.Duration) {
	for {
		message, err := s.Next()
		if err != nil {
			return
		}
		if n, ok := load.PostedNumber(message, t.mark); ok && n < len(heard) {
			heard[n] = time.Since(t.base) - time.Duration(t.sent[n].Load())
			t.count.Add(1)
		}
	}
}

// post sends the post with a number.
func (t *ears) post(ctx context.Context, c *load.Conn, p load.Person, channel string, n int) error {
	t.sent[n].Store(int64(time.Since(t.base)))
	return post(ctx, c, p, channel, fmt.Sprintf("%s%d and so on", t.mark, n), fmt.Sprint("ears", n))
}

// wait waits until every socket has every post, or until the limit, and closes the sockets. It gives all
// latencies, sorted, and how many posts are missing.
func (t *ears) wait(ctx context.Context, limit time.Duration) (all []time.Duration, missing int) {
	want := int64(len(t.sockets) * len(t.sent))
	_ = eventually.Poll(ctx, limit, func() error { // what is missing is counted below
		if t.count.Load() < want {
			return context.DeadlineExceeded
		}
		return nil
	})
	t.close()
	for _, h := range t.heard {
		for _, d := range h {
			if d == 0 {
				missing++
			} else {
				all = append(all, d)
			}
		}
	}
	slices.Sort(all)
	return all, missing
}

// close ends the sockets and waits for their readers.
func (t *ears) close() {
	for _, s := range t.sockets {
		s.Close()
	}
	t.readers.Wait()
}
