package follower

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/replication/link"
	"github.com/nearside/nearside/replication/signal"
	"github.com/nearside/nearside/replication/wire"
)

const (
	dialTimeout   = 5 * time.Second
	avoidFor      = 10 * time.Second
	maxSmallFrame = 4096
)

// pulse is a connection whose hub is heard on a stream of its own.
type pulse struct {
	conn *link.Conn
	addr string
	st   *link.Stream
	r    *wire.Reader
	w    *wire.Writer
	end  func() // stops what the pulse has started and closes the connection
}

// keep holds a connection to home until ctx ends.
func (f *Follower) keep(ctx context.Context) {
	var p *pulse
	failures := 0
	for ctx.Err() == nil {
		if p == nil {
			if p = f.connect(ctx); p == nil {
				pause(ctx, f.cfg.Backoff.wait(failures))
				failures++
				continue
			}
		}
		failures = 0
		leader, err := f.hold(p)
		if err == nil {
			p = f.move(ctx, p, leader)
			continue
		}
		if ctx.Err() == nil {
			f.cfg.Logger.Warn("home is silent", "hub", p.conn.Peer(), "err", err)
		}
		f.use(nil, "")
		p.end()
		p = nil
	}
	if p != nil {
		f.use(nil, "")
		p.end()
	}
}

// connect gives a pulse of the first candidate that answers, or nil.
func (f *Follower) connect(ctx context.Context) *pulse {
	for _, addr := range f.candidates() {
		p, err := f.open(ctx, addr, dialTimeout)
		if err == nil {
			f.cfg.Logger.Info("following", "hub", p.conn.Peer(), "addr", addr)
			return p
		}
		if ctx.Err() != nil {
			return nil
		}
		f.cfg.Logger.Info("home node out of reach", "addr", addr, "err", err)
	}
	return nil
}

// candidates gives the addresses to try: not the ones to avoid while there are others, and the
// last one first while a snapshot is coming from it.
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

// open connects to one node, opens the pulse and makes the connection the live one.
func (f *Follower) open(ctx context.Context, addr string, limit time.Duration) (*pulse, error) {
	dctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
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
	if err := f.listen(p); err != nil { // a node that takes connections but says nothing is no hub
		conn.Close(link.CodeGone, "no status")
		return nil, err
	}
	sctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	if f.cfg.Relay != nil {
		wg.Go(func() { f.cfg.Relay.Serve(sctx, conn, signal.Upstream) })
	}
	unblock := context.AfterFunc(ctx, func() { conn.Close(link.CodeDone, "follower stopped") })
	p.end = func() {
		unblock()
		stop()
		conn.Close(link.CodeGone, "follower left")
		wg.Wait()
	}
	f.use(conn, addr)
	return p, nil
}

// listen hears one status and acknowledges.
func (f *Follower) listen(p *pulse) error {
	_ = p.st.SetReadDeadline(time.Now().Add(f.cfg.Silence))
	body, err := p.r.Expect(wire.KindStatus)
	if err != nil {
		return err
	}
	s, err := wire.DecodeStatus(body)
	if err != nil {
		return err
	}
	f.heard(s.At, time.Now())
	f.mu.Lock()
	f.status.Leader = s.Leader
	if s.Leads {
		f.status.Leader = p.addr
	}
	f.mu.Unlock()
	_ = p.st.SetWriteDeadline(time.Now().Add(f.cfg.Silence))
	return p.w.Write(wire.KindAck, wire.AppendAck(nil, f.cfg.Sink.Position()))
}

// hold hears the hub until it falls silent, or until the leader is another node and it is time
// to move there.
func (f *Follower) hold(p *pulse) (leader string, err error) {
	since := time.Now()
	for {
		if err := f.listen(p); err != nil {
			return "", err
		}
		s := f.Status()
		if s.Leader != "" && s.Leader != p.addr && !s.Restoring && time.Since(since) >= f.cfg.MoveEvery {
			return s.Leader, nil
		}
	}
}

// move makes a connection to the leader and leaves the old one after that; when the leader is
// out of reach it stays.
func (f *Follower) move(ctx context.Context, old *pulse, leader string) *pulse {
	p, err := f.open(ctx, leader, f.cfg.Silence)
	if err != nil {
		f.cfg.Logger.Info("leader out of reach, staying", "leader", leader, "hub", old.conn.Peer(), "err", err)
		return old
	}
	f.cfg.Logger.Info("moved to leader", "hub", p.conn.Peer(), "addr", leader)
	old.end()
	return p
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

var errStale = core.E(core.KindMisdirected, "the hub is behind our epoch")
