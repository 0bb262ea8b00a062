package follower

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/backoff"
	"github.com/nearside/nearside/replication"
	"github.com/nearside/nearside/replication/link"
	"github.com/nearside/nearside/replication/signal"
)

// Config configures a Follower.
type Config struct {
	Endpoint   *link.Endpoint   // required
	Candidates func() []string  // required: link addresses of home nodes, best first
	Sink       replication.Sink // required
	Relay      *signal.Relay    // optional: signals are carried on the same connection
	Backoff    backoff.Backoff  // default: DefaultBackoff()
	Silence    time.Duration    // default: a link is dead after 2 s without a message from the hub
	MoveEvery  time.Duration    // default: 5 s between moves to another leader
	Logger     *slog.Logger     // default: discard
}

// DefaultBackoff begins fast, because most failures are restarts.
func DefaultBackoff() backoff.Backoff {
	return backoff.Backoff{Min: 50 * time.Millisecond, Max: 2 * time.Second}
}

// Status is what a follower knows about itself and home.
type Status struct {
	Connected bool          // home was heard within Config.Silence
	Hub       link.Identity // the home node that it follows, or followed last
	Addr      string        // that node's address
	Leader    string        // the leader's address as reported by the hub; empty if unknown
	LedAt     time.Time     // when a hub last knew a leader; zero: never
	Source    core.Position // home's position as last heard
	HeardAt   time.Time     // when home was last heard; zero: never
	FreshAt   time.Time     // at this time the sink had everything that home had; zero: never
	RTT       time.Duration
	Restoring bool // a snapshot is being restored
	Diverged  bool // home said that the sink has another history; until it is replaced or home says that it is right
}

// HasAll reports whether the sink ever had everything that home had, which is also true while the
// log is empty.
func (s Status) HasAll() bool {
	return !s.FreshAt.IsZero() || s.Source.Epoch > 0 && s.Source.Index == 0
}

// Lag returns how long ago a sink at a position last had everything: zero if it has now,
// otherwise at least a millisecond; false if it never had.
func (s Status) Lag(at core.Position, now time.Time) (time.Duration, bool) {
	switch {
	case !s.HasAll():
		return 0, false
	case s.Connected && at.Index >= s.Source.Index:
		return 0, true
	}
	return max(time.Millisecond, now.Sub(s.FreshAt)), true
}

// Follower keeps a sink at the end of a log.
type Follower struct {
	cfg Config

	doubted doubt // owned by apply

	mu      sync.Mutex
	conn    *link.Conn           // guarded by mu, like everything below; the live connection or nil
	changed chan struct{}        // closed when conn changes, then replaced
	avoid   map[string]time.Time // nodes that gave wrong answers, and until when to avoid them
	status  Status
	pending freshMark
}

// freshMark records that home was at index at some time, until the sink is there too.
type freshMark struct {
	at   core.Position
	when time.Time
}

// New validates the configuration; it starts nothing.
func New(cfg Config) (*Follower, error) {
	if cfg.Endpoint == nil || cfg.Candidates == nil || cfg.Sink == nil {
		return nil, core.E(core.KindInvalid, "a follower needs an endpoint, candidates and a sink")
	}
	if cfg.Backoff == (backoff.Backoff{}) {
		cfg.Backoff = DefaultBackoff()
	}
	if cfg.Silence <= 0 {
		cfg.Silence = 2 * time.Second
	}
	if cfg.MoveEvery <= 0 {
		cfg.MoveEvery = 5 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Follower{cfg: cfg, changed: make(chan struct{}), avoid: map[string]time.Time{}}, nil
}

// Run follows until ctx ends and then returns nil, or until the sink returns core.KindUpgrade and
// then returns that error: this node must not continue.
func (f *Follower) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { f.keep(ctx) })
	return f.apply(ctx)
}

// Status returns the current state.
func (f *Follower) Status() Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.status
	s.Connected = f.conn != nil && time.Since(s.HeardAt) < f.cfg.Silence
	if f.conn != nil {
		s.RTT = f.conn.RTT()
	}
	return s
}

// live returns the connection, and waits until there is one.
func (f *Follower) live(ctx context.Context) (*link.Conn, error) {
	for {
		f.mu.Lock()
		conn, changed := f.conn, f.changed
		f.mu.Unlock()
		if conn != nil && conn.Context().Err() == nil {
			return conn, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// use makes conn the live connection; nil if there is none.
func (f *Follower) use(conn *link.Conn, addr string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.conn = conn
	if conn != nil {
		f.status.Hub, f.status.Addr = conn.Peer(), addr
	}
	close(f.changed)
	f.changed = make(chan struct{})
}

// heard records home's position, as the hub reported it.
func (f *Follower) heard(at core.Position, now time.Time) {
	applied := f.cfg.Sink.Position()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.HeardAt = now
	if f.status.Source.Before(at) {
		f.status.Source = at
	}
	if at == applied { // another home node was wrong, and nothing new may come that would say so
		f.status.Diverged = false
	}
	if f.pending.when.IsZero() {
		if f.conn != nil {
			now = now.Add(-f.conn.RTT() / 2) // when it was true at home
		}
		f.pending = freshMark{at: at, when: now}
	}
	f.freshen(applied)
}

// freshen is called with mu held.
func (f *Follower) freshen(applied core.Position) {
	if !f.pending.when.IsZero() && (f.pending.at.Index == 0 || !applied.Before(f.pending.at)) {
		f.status.FreshAt, f.pending = f.pending.when, freshMark{}
	}
}

// applied records that the sink has advanced.
func (f *Follower) applied(source core.Position) {
	at := f.cfg.Sink.Position()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.status.Source.Before(source) {
		f.status.Source = source
	}
	f.status.Diverged = false
	f.freshen(at)
}

// diverged records that home does not know the sink's history.
func (f *Follower) diverged() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.Diverged = true
}

// avoided reports whether a node gave wrong answers a short while ago.
func (f *Follower) avoided(addr string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Now().Before(f.avoid[addr])
}

func (f *Follower) restoring(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.Restoring = on
}

// distrust drops the connection to a node that gave wrong answers, and avoids the node for a
// while.
func (f *Follower) distrust(conn *link.Conn, why error) {
	f.mu.Lock()
	if f.conn == nil || f.conn == conn { // else another hub is followed by now
		f.avoid[f.status.Addr] = time.Now().Add(avoidFor)
	}
	f.mu.Unlock()
	f.cfg.Logger.Warn("leaving hub", "hub", conn.Peer(), "err", why)
	conn.Close(link.CodeRefused, why.Error())
}
