package follower

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/backoff"
	"github.com/nearside/nearside/replication/link"
	"github.com/nearside/nearside/replication/signal"
	"github.com/nearside/nearside/replication/wire"
)

const (
	dialTimeout   = 5 * time.Second
	stagger       = 500 * time.Millisecond // between the attempts at one node and at the next
	avoidFor      = 10 * time.Second
	maxSmallFrame = 4096
)

// pulse is a connection with the stream on which the hub sends its status.
type pulse struct {
	conn *link.Conn
	addr string
	st   *link.Stream
	r    *wire.Reader
	w    *wire.Writer

	heard  time.Time // time of the hub's last message
	leader string    // the leader, as last reported; empty if the hub knows none

	ctx    context.Context // ends with the pulse, as the connection does
	cancel context.CancelFunc
	wg     sync.WaitGroup // of the goroutines on the connection
}

// keep holds a connection to home until ctx ends.
func (f *Follower) keep(ctx context.Context) {
	var p *pulse
	var moved time.Time // or tried to
	for failures := 0; ctx.Err() == nil; {
		if p == nil {
			if p = f.adopt(f.connect(ctx, f.candidates(), dialTimeout, anybody)); p == nil {
				backoff.Pause(ctx, f.cfg.Backoff.After(failures))
				failures++
				continue
			}
			f.cfg.Logger.Info("following", "hub", p.conn.Peer(), "addr", p.addr)
		}
		failures = 0
		leader, err := f.hold(p, moved)
		switch {
		case err == nil:
			moved, p = time.Now(), f.move(ctx, p, "to the leader", anybody, leader)
		case errors.Is(err, errSilent):
			moved, p = time.Now(), f.move(ctx, p, "away from a silent node", anybody, f.others(p.addr)...)
		case errors.Is(err, errLeaderless):
			p = f.move(ctx, p, "away from a node that knows no leader", knowsLeader, f.others(p.addr)...)
		default:
			if ctx.Err() == nil {
				f.cfg.Logger.Warn("hub lost", "hub", p.conn.Peer(), "err", err)
			}
			f.use(nil, "")
			p.end()
			p = nil
		}
	}
	if p != nil {
		f.use(nil, "")
		p.end()
	}
}

// adopt makes a pulse's connection the live one; from now on it also carries signals.
func (f *Follower) adopt(p *pulse) *pulse {
	if p == nil {
		return nil
	}
	if f.cfg.Relay != nil {
		p.wg.Go(func() { f.cfg.Relay.Serve(p.ctx, p.conn, signal.Upstream) })
	}
	f.use(p.conn, p.addr)
	return p
}

// Conditions for accepting a hub.
func anybody(*pulse) bool       { return true }
func knowsLeader(p *pulse) bool { return p.leader != "" }

// connect returns a pulse of the first acceptable node that answers, or nil. It starts with the
// first address, and also tries the next one when an attempt fails or takes longer than a
// handshake should.
func (f *Follower) connect(ctx context.Context, addrs []string, limit time.Duration, willDo func(*pulse) bool) *pulse {
	dctx, cancel := context.WithTimeout(ctx, limit)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel() // before wg.Wait: it ends the attempts that are no longer needed
	answers := make(chan *pulse)
	tick := time.NewTicker(stagger)
	defer tick.Stop()
	for next, open, more := 0, 0, true; next < len(addrs) || open > 0; {
		if more && next < len(addrs) {
			more = false
			addr := addrs[next]
			wg.Go(func() { answers <- f.attempt(ctx, dctx, addr, willDo) })
			next, open = next+1, open+1
		}
		select {
		case p := <-answers:
			if open--; p != nil {
				wg.Go(func() { discard(answers, open) })
				return p
			}
			more = true
		case <-tick.C:
			more = true
		}
	}
	return nil
}

// discard ends the pulses that come after the first one.
func discard(answers <-chan *pulse, n int) {
	for range n {
		if p := <-answers; p != nil {
			p.end()
		}
	}
}

func (f *Follower) attempt(ctx, dctx context.Context, addr string, willDo func(*pulse) bool) *pulse {
	p, err := f.open(ctx, dctx, addr)
	switch {
	case err != nil && dctx.Err() == nil:
		f.cfg.Logger.Info("home node out of reach", "addr", addr, "err", err)
	case err == nil && !willDo(p):
		p.end()
		return nil
	}
	return p
}

// others returns the candidates without one.
func (f *Follower) others(addr string) []string {
	return slices.DeleteFunc(f.candidates(), func(a string) bool { return a == addr })
}

// candidates returns the addresses to try: without those to avoid, if others remain; and the last
// hub first while a snapshot comes from it.
func (f *Follower) candidates() []string {
	all := slices.Clone(f.cfg.Candidates())
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	good := slices.DeleteFunc(slices.Clone(all), func(a string) bool { return now.Before(f.avoid[a]) })
	if len(good) == 0 {
		good = all
	}
	if i := slices.Index(good, f.status.Addr); f.status.Restoring && i > 0 {
		good = slices.Insert(slices.Delete(good, i, i+1), 0, f.status.Addr)
	}
	return good
}

// open connects to one node within dctx and receives one status. The pulse ends with ctx.
func (f *Follower) open(ctx, dctx context.Context, addr string) (*pulse, error) {
	conn, err := f.cfg.Endpoint.Dial(dctx, addr, link.ClassLog)
	if err != nil {
		return nil, err
	}
	st, err := conn.OpenStream(dctx)
	if err == nil {
		err = wire.NewWriter(st).Write(wire.KindPulse, nil)
	}
	if err != nil {
		conn.Close(link.CodeGone, "no pulse")
		return nil, err
	}
	p := &pulse{conn: conn, addr: addr, st: st, r: wire.NewReader(st, maxSmallFrame), w: wire.NewWriter(st)}
	unblock := context.AfterFunc(dctx, st.Abort)
	err = f.listen(p, f.cfg.Silence) // a node that accepts connections but sends nothing is no hub
	if !unblock() || err != nil {
		conn.Close(link.CodeGone, "no status")
		return nil, cmp.Or(err, dctx.Err())
	}
	p.ctx, p.cancel = context.WithCancel(ctx)
	context.AfterFunc(p.ctx, func() { conn.Close(link.CodeDone, "follower left") }) // unblocks listen
	return p, nil
}

// end stops the pulse's goroutines and closes its connection.
func (p *pulse) end() {
	p.cancel()
	p.conn.Close(link.CodeDone, "follower left")
	p.wg.Wait()
}

// listen receives one status and acknowledges it. It returns errSilent if none has begun to
// arrive within limit; it may then be called again.
func (f *Follower) listen(p *pulse, limit time.Duration) error {
	_ = p.st.SetReadDeadline(time.Now().Add(limit))
	var first [1]byte
	if _, err := p.st.Peek(first[:]); errors.Is(err, os.ErrDeadlineExceeded) {
		return errSilent
	}
	_ = p.st.SetReadDeadline(time.Now().Add(f.cfg.Silence))
	body, err := p.r.Expect(wire.KindStatus)
	if err != nil {
		return err
	}
	s, err := wire.DecodeStatus(body)
	if err != nil {
		return err
	}
	p.heard, p.leader = time.Now(), s.Leader
	if s.Leads {
		p.leader = p.addr
	}
	f.heard(s.At, p.heard)
	f.mu.Lock()
	if f.status.Leader = p.leader; p.leader != "" {
		f.status.LedAt = p.heard
	}
	f.mu.Unlock()
	_ = p.st.SetWriteDeadline(time.Now().Add(f.cfg.Silence))
	return p.w.Write(wire.KindAck, wire.AppendAck(nil, f.cfg.Sink.Position()))
}

// hold receives status until one of three things happens: the hub falls silent; the leader is
// another node and the last move was long enough ago; or the hub has known no leader for longer
// than an election takes. In the last case it may be cut off from the other home nodes, and would
// never get new entries. The first move to the leader is made at once, because the other home nodes
// learn what is committed some 15 ms after it. After errSilent and errLeaderless, hold may be called
// again: the hub counts as dead only after Config.Silence, and while a snapshot comes from it we
// wait that long.
func (f *Follower) hold(p *pulse, moved time.Time) (leader string, err error) {
	led := time.Now()
	for {
		err := f.listen(p, f.cfg.Silence/3)
		s := f.Status()
		if p.leader != "" {
			led = time.Now()
		}
		switch {
		case errors.Is(err, errSilent) && time.Since(p.heard) < f.cfg.Silence:
			if !s.Restoring {
				return "", err
			}
		case err != nil:
			return "", fmt.Errorf("listening: %v", err) //nolint:errorlint // it must not be errSilent any more
		case p.leader != "" && p.leader != p.addr && !f.avoided(p.leader) && !s.Restoring && time.Since(moved) >= f.cfg.MoveEvery:
			return p.leader, nil
		case p.leader == "" && !s.Restoring && time.Since(led) >= f.cfg.Silence/2:
			return "", errLeaderless
		}
	}
}

// move connects to one of the acceptable nodes and then leaves the old one; if none can be
// reached, it stays.
func (f *Follower) move(ctx context.Context, old *pulse, why string, willDo func(*pulse) bool, addrs ...string) *pulse {
	if len(addrs) == 0 {
		return old
	}
	p := f.adopt(f.connect(ctx, addrs, f.cfg.Silence/2, willDo))
	if p == nil {
		f.cfg.Logger.Debug("could not move", "why", why, "hub", old.conn.Peer())
		return old
	}
	f.cfg.Logger.Info("moved", "why", why, "hub", p.conn.Peer(), "addr", p.addr)
	old.end()
	return p
}

var (
	errStale      = core.E(core.KindMisdirected, "the hub is behind our epoch")
	errSilent     = core.E(core.KindUnavailable, "the hub sends nothing")
	errLeaderless = core.E(core.KindUnavailable, "the hub knows no leader")
)
