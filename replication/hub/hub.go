package hub

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/replication"
	"github.com/nearside/nearside/replication/link"
	"github.com/nearside/nearside/replication/signal"
	"github.com/nearside/nearside/replication/wire"
)

const (
	batchBytes    = 1 << 20   // approximate content of one batch frame; see wire.MaxFrameBytes
	chunkBytes    = 256 << 10 // snapshot bytes per frame
	maxFollowers  = 512
	maxSmallFrame = 4096             // limit of the frames that followers send
	openTimeout   = 10 * time.Second // from a stream's first byte to its first whole frame
	writeTimeout  = 30 * time.Second // a follower that reads nothing for this long is dropped
)

// Config configures a Hub.
type Config struct {
	Source replication.Source // required
	// Leader returns the link address of home's leader ("" if there is none) and whether this
	// node is the leader.
	Leader    func() (addr string, self bool) // required
	Relay     *signal.Relay                   // optional: signals
	Allow     func(peer link.Identity) error  // optional: refuses peers, in addition to the check of their certificate
	Heartbeat time.Duration                   // default: 250 ms
	Silence   time.Duration                   // default: 3 s without an acknowledgement means that the follower does not hear us
	Logger    *slog.Logger                    // default: discard
}

// Peer is a follower as its hub sees it.
type Peer struct {
	Node  link.Identity
	Addr  string
	At    core.Position // applied there, as of Heard
	Lag   core.Index    // number of indexes that it is behind the source now
	Heard time.Time
	RTT   time.Duration
}

// Hub serves followers.
type Hub struct {
	cfg Config

	mu        sync.Mutex
	followers map[*follower]struct{} // guarded by mu
}

// follower is one connection of a follower.
type follower struct {
	hub  *Hub
	conn *link.Conn
	log  *slog.Logger

	mu     sync.Mutex
	at     core.Position // guarded by mu
	heard  time.Time     // guarded by mu; zero until the first ack
	pulses bool          // guarded by mu: it has a pulse stream, or carries only signals
}

// New validates the configuration; it starts nothing.
func New(cfg Config) (*Hub, error) {
	if cfg.Source == nil || cfg.Leader == nil {
		return nil, core.E(core.KindInvalid, "a hub needs Source and Leader")
	}
	if cfg.Heartbeat <= 0 {
		cfg.Heartbeat = 250 * time.Millisecond
	}
	if cfg.Silence <= 0 {
		cfg.Silence = 3 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Hub{cfg: cfg, followers: map[*follower]struct{}{}}, nil
}

// Peers lists the followers that have sent an acknowledgement, by region and node.
func (h *Hub) Peers() []Peer {
	source := h.cfg.Source.Position()
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]Peer, 0, len(h.followers))
	for f := range h.followers {
		if p, ok := f.peer(); ok {
			p.Lag = source.Index - min(p.At.Index, source.Index)
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b Peer) int { return cmp.Compare(a.Node.String()+a.Addr, b.Node.String()+b.Addr) })
	return out
}

func (f *follower) peer() (Peer, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return Peer{Node: f.conn.Peer(), Addr: f.conn.RemoteAddr(), At: f.at, Heard: f.heard, RTT: f.conn.RTT()}, !f.heard.IsZero()
}

// Serve serves one connection until it or ctx ends. It is a link.Handler.
func (h *Hub) Serve(ctx context.Context, conn *link.Conn) {
	f := &follower{hub: h, conn: conn, log: h.cfg.Logger.With("peer", conn.Peer(), "addr", conn.RemoteAddr())}
	if err := h.add(f); err != nil {
		f.log.Warn("follower refused", "err", err)
		conn.Close(link.CodeRefused, err.Error())
		return
	}
	defer h.remove(f)
	conn.Serve(ctx, f.stream)
}

func (h *Hub) add(f *follower) error {
	if h.cfg.Allow != nil {
		if err := h.cfg.Allow(f.conn.Peer()); err != nil {
			return err
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.followers) >= maxFollowers {
		return core.E(core.KindLimit, "too many followers")
	}
	h.followers[f] = struct{}{}
	return nil
}

func (h *Hub) remove(f *follower) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.followers, f)
}

// stream serves one stream. If it fails, the follower's other streams continue.
func (f *follower) stream(ctx context.Context, st *link.Stream) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, st.Abort)() // unblocks reads and writes
	r, w := wire.NewReader(st, maxSmallFrame), wire.NewWriter(deadlined{st})
	_ = st.SetReadDeadline(time.Now().Add(openTimeout))
	kind, body, err := r.Next()
	if err == nil {
		_ = st.SetReadDeadline(time.Time{})
		err = f.serve(ctx, kind, body, r, w)
	}
	if err == nil || ctx.Err() != nil {
		_ = st.CloseWrite()
		return
	}
	f.log.Info("follower stream ended", "kind", kind, "err", err)
	_ = w.Write(wire.KindError, wire.AppendError(nil, core.AsError(err)))
	_ = st.Close()
}

func (f *follower) serve(ctx context.Context, kind wire.Kind, body []byte, r *wire.Reader, w *wire.Writer) error {
	switch kind {
	case wire.KindHello:
		return f.follow(ctx, body, w)
	case wire.KindPulse:
		return f.pulse(ctx, r, w)
	case wire.KindFetch:
		return f.snapshot(ctx, body, w)
	case wire.KindSignals:
		return f.signals(ctx, signal.FromHome)
	}
	return wire.Unexpected(kind)
}

func (h *Hub) status() wire.Status {
	addr, self := h.cfg.Leader()
	return wire.Status{Version: wire.Version, At: h.cfg.Source.Position(), Leader: addr, Leads: self}
}

// signals carries datagrams. Only one per connection is allowed, or the peer would get each
// signal twice.
func (f *follower) signals(ctx context.Context, kind signal.Kind) error {
	if !f.claim() {
		return core.E(core.KindInvalid, "a connection has one pulse")
	}
	if f.hub.cfg.Relay != nil {
		f.hub.cfg.Relay.Serve(ctx, f.conn, kind)
	}
	return nil
}

func (f *follower) claim() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	first := !f.pulses
	f.pulses = true
	return first
}

// pulse sends the hub's status and receives the follower's positions. If no positions come,
// perhaps only our direction of the path works: the connection is closed. Otherwise the follower
// would believe that it can reach home for as long as QUIC keeps trying.
func (f *follower) pulse(ctx context.Context, r *wire.Reader, w *wire.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { _ = f.signals(ctx, signal.Follower) })
	wg.Go(func() {
		defer cancel()
		f.acks(r)
	})
	began := time.Now()
	tick := time.NewTicker(f.hub.cfg.Heartbeat)
	defer tick.Stop()
	for {
		if f.silence(began) > f.hub.cfg.Silence {
			f.log.Info("follower is silent", "after", f.hub.cfg.Silence)
			f.conn.Close(link.CodeGone, "no acknowledgement received")
			return nil
		}
		if err := w.Write(wire.KindStatus, wire.AppendStatus(nil, f.hub.status())); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// silence returns the time since the follower was last heard, or since began if it never was.
func (f *follower) silence(began time.Time) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.heard.After(began) {
		began = f.heard
	}
	return time.Since(began)
}

func (f *follower) acks(r *wire.Reader) {
	for {
		body, err := r.Expect(wire.KindAck)
		if err != nil {
			return
		}
		at, err := wire.DecodeAck(body)
		if err != nil {
			return
		}
		f.mu.Lock()
		f.at, f.heard = at, time.Now()
		f.mu.Unlock()
	}
}

// deadlined gives every write a deadline, so that a follower that stopped reading is dropped.
type deadlined struct{ *link.Stream }

func (d deadlined) Write(b []byte) (int, error) {
	_ = d.SetWriteDeadline(time.Now().Add(writeTimeout))
	return d.Stream.Write(b)
}
