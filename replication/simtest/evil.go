package simtest

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/nearside/nearside/replication/link"
)

// Evil starts a hostile node in the place of a stopped home node: it answers every stream of
// class log with serve. It returns the counter that it passes to serve; Stop of the home node
// ends it.
func (w *World) Evil(h *Node, serve func(context.Context, *link.Stream, *atomic.Int64)) *atomic.Int64 {
	w.t.Helper()
	var streams atomic.Int64
	h.start(func() []func(context.Context) error {
		h.Link.Handle(link.ClassLog, func(ctx context.Context, conn *link.Conn) {
			var wg sync.WaitGroup
			defer wg.Wait()
			for {
				st, err := conn.AcceptStream(ctx)
				if err != nil {
					return
				}
				wg.Go(func() { serve(ctx, st, &streams) })
			}
		})
		return nil
	})
	return &streams
}
