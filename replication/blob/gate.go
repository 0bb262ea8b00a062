package blob

import (
	"context"
	"sync"
	"time"

	"github.com/nearside/nearside/core"
)

// gate bounds the running transfers of a store, in total and for each peer.
type gate struct {
	all     chan struct{} // a place per transfer
	perPeer int

	mu    sync.Mutex
	peers map[string]*share // guarded by mu: of peers that are inside or waiting
}

// share is the limit of one peer.
type share struct {
	places chan struct{}
	users  int // guarded by gate.mu: inside or waiting
}

func newGate(all, perPeer int) *gate {
	return &gate{all: make(chan struct{}, all), perPeer: perPeer, peers: map[string]*share{}}
}

// enter waits for a place, for at most placeWait.
func (g *gate) enter(ctx context.Context, peer string) (leave func(), err error) {
	s := g.join(peer)
	timer := time.NewTimer(placeWait)
	defer timer.Stop()
	if err := take(ctx, s.places, timer); err != nil {
		g.part(peer, s)
		return nil, err
	}
	if err := take(ctx, g.all, timer); err != nil {
		<-s.places
		g.part(peer, s)
		return nil, err
	}
	return func() {
		<-g.all
		<-s.places
		g.part(peer, s)
	}, nil
}

func take(ctx context.Context, places chan struct{}, timer *time.Timer) error {
	select {
	case places <- struct{}{}:
		return nil
	default:
	}
	select {
	case places <- struct{}{}:
		return nil
	case <-timer.C:
		return core.E(core.KindLimit, "too many transfers are running")
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (g *gate) join(peer string) *share {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.peers[peer]
	if s == nil {
		s = &share{places: make(chan struct{}, g.perPeer)}
		g.peers[peer] = s
	}
	s.users++
	return s
}

func (g *gate) part(peer string, s *share) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s.users--; s.users == 0 {
		delete(g.peers, peer)
	}
}

// watch ends a transfer without progress. It belongs to the transfer's goroutine.
type watch struct {
	timer *time.Timer
	limit time.Duration
	bytes int // since the timer was set
}

func newWatch(limit time.Duration, still func()) *watch {
	return &watch{timer: time.AfterFunc(limit, still), limit: limit}
}

// moved counts bytes. Only bufBytes together count as progress; otherwise one byte now and then
// would be enough.
func (w *watch) moved(n int) {
	if w.bytes += n; w.bytes >= bufBytes {
		w.allow(w.limit)
	}
}

// allow gives the next step its own time limit.
func (w *watch) allow(d time.Duration) {
	w.bytes = 0
	w.timer.Reset(d)
}

func (w *watch) stop() { w.timer.Stop() }
