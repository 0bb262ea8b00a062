package blob

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/backoff"
	"github.com/nearside/nearside/replication/link"
	"github.com/nearside/nearside/replication/wire"
)

const (
	suspectFor = 3 * time.Second // a node that was silent or disconnected is asked last for this long
	checkEvery = time.Second     // how often Run checks its connections
)

// redials are the pauses before Run tries to connect again.
var redials = backoff.Backoff{Min: 250 * time.Millisecond, Max: 5 * time.Second}

// Config configures a Client. The zero value of each optional field means its default.
type Config struct {
	Endpoint   *link.Endpoint  // required
	Candidates func() []string // required: link addresses of home nodes, the best first
	// Connected reports whether home can be reached at all. While it returns false, new requests
	// fail at once instead of waiting; running ones keep trying. Default: always true.
	Connected func() bool
	// Idle is how long a node may be silent before the next one is asked. Default: 10 s.
	Idle time.Duration
	// Patience is how long a read continues without a byte from any node before it fails, and how
	// long a request is repeated while home nodes answer with a temporary error. Default: 10 s.
	Patience time.Duration
	Logger   *slog.Logger // default: discard
}

// Client reads and stores blobs at home from another node.
type Client struct {
	cfg  Config
	home *route
	pool *pool

	mu      sync.Mutex
	suspect map[string]time.Time // guarded by mu: nodes that were silent or disconnected, and until when they are asked last
}

var _ Store = (*Client)(nil)

// New validates the configuration; it starts nothing.
func New(cfg Config) (*Client, error) {
	if cfg.Endpoint == nil || cfg.Candidates == nil {
		return nil, core.E(core.KindInvalid, "a blob client needs an endpoint and candidates")
	}
	if cfg.Connected == nil {
		cfg.Connected = func() bool { return true }
	}
	if cfg.Idle <= 0 {
		cfg.Idle = defaultIdle
	}
	if cfg.Patience <= 0 {
		cfg.Patience = defaultIdle
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Client{cfg: cfg, pool: newPool(cfg.Endpoint), suspect: map[string]time.Time{}}
	c.home = &route{Client: c, addrs: c.order, connected: cfg.Connected, rounds: maxRounds}
	return c, nil
}

// Run keeps connections to the first candidate open and renews worn connections, until ctx ends;
// then it closes all of them.
func (c *Client) Run(ctx context.Context) error {
	defer c.Close()
	for failures := 0; ctx.Err() == nil; {
		if err := c.keep(ctx); err != nil {
			c.cfg.Logger.Debug("no connection for blobs", "err", err)
			backoff.Pause(ctx, redials.After(failures))
			failures++
			continue
		}
		failures = 0
		backoff.Pause(ctx, checkEvery)
	}
	return nil
}

func (c *Client) keep(ctx context.Context) error {
	addrs := c.cfg.Candidates()
	if len(addrs) == 0 {
		return core.E(core.KindUnavailable, "no home node known")
	}
	for ln := range lanes {
		if err := c.pool.connect(ctx, addrs[0], ln); err != nil {
			return err
		}
	}
	return c.pool.renew(ctx)
}

// Close ends the client's connections and the requests on them.
func (c *Client) Close() error {
	c.pool.close()
	return nil
}

// Get implements Store.
func (c *Client) Get(ctx context.Context, name [32]byte, offset, length int64) (io.ReadCloser, int64, error) {
	return c.home.Get(ctx, name, offset, length)
}

// Put implements Store. If a node fails in the middle, the next is tried if r is an io.Seeker.
// Otherwise the error is core.KindUnavailable, and the blob may or may not be stored.
func (c *Client) Put(ctx context.Context, name [32]byte, size int64, r io.Reader) error {
	return c.home.Put(ctx, name, size, r)
}

// Stat implements Store.
func (c *Client) Stat(ctx context.Context, name [32]byte) (int64, error) {
	return c.home.Stat(ctx, name)
}

// At returns the store of one home node's own disk; only home nodes may use it. It asks no other
// node and hardly repeats requests: its caller knows the other nodes.
func (c *Client) At(addr string) Store {
	return &route{Client: c, addrs: func() []string { return []string{addr} }, direct: true, rounds: 1}
}

// order returns the candidates: connected ones first, suspect ones last.
func (c *Client) order() []string {
	addrs := slices.Clone(c.cfg.Candidates())
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	rank := make(map[string]int, len(addrs))
	for _, a := range addrs {
		switch until, suspect := c.suspect[a]; {
		case suspect && now.Before(until):
			rank[a] = 2
		case !c.pool.alive(a):
			rank[a] = 1
		}
	}
	for a, until := range c.suspect {
		if now.After(until) {
			delete(c.suspect, a)
		}
	}
	slices.SortStableFunc(addrs, func(a, b string) int { return cmp.Compare(rank[a], rank[b]) })
	return addrs
}

// blame marks a node that was silent or whose connection was lost: the next requests ask it last.
// A node that only ended a stream may have had a reason.
func (c *Client) blame(addr string, err error) {
	if !timedOut(err) && c.pool.alive(addr) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.suspect[addr] = time.Now().Add(suspectFor)
}

// route is a way to a store: through any home node, or directly to one.
type route struct {
	*Client
	addrs     func() []string
	connected func() bool // nil: always
	direct    bool
	rounds    int // over the addresses
}

// Stat implements Store.
func (r *route) Stat(ctx context.Context, name [32]byte) (size int64, err error) {
	err = r.try(ctx, false, func(ctx context.Context, addr string) error {
		st, err := r.open(ctx, addr, laneGet, wire.KindBlobStat, wire.AppendBlobStat(nil, wire.BlobStat{Direct: r.direct, Name: name}))
		if err != nil {
			return err
		}
		defer st.end()
		defer context.AfterFunc(ctx, st.Abort)()
		_ = st.CloseWrite()
		head, err := r.head(st, r.cfg.Idle+placeWait+margin)
		size = head.Size
		return err
	})
	return size, err
}

// open begins a request. The caller ends the lease.
func (r *route) open(ctx context.Context, addr string, ln lane, kind wire.Kind, body []byte) (*lease, error) {
	st, err := r.pool.open(ctx, addr, ln)
	if err != nil {
		return nil, &unreached{addr, err}
	}
	_ = st.SetWriteDeadline(time.Now().Add(r.cfg.Idle))
	if err := wire.NewWriter(st).Write(kind, body); err != nil {
		st.end()
		return nil, &unreached{addr, err}
	}
	return st, nil
}

// head reads the answer.
func (r *route) head(st *lease, within time.Duration) (wire.BlobHead, error) {
	addr := st.Conn().RemoteAddr()
	_ = st.SetReadDeadline(time.Now().Add(within))
	kind, body, err := wire.NewReader(st, maxAnswer).Next()
	switch {
	case err != nil:
		return wire.BlobHead{}, &unreached{addr, err}
	case kind == wire.KindError:
		return wire.BlobHead{}, wire.DecodeError(body)
	case kind != wire.KindBlobHead:
		return wire.BlobHead{}, &unreached{addr, wire.Unexpected(kind)}
	}
	head, err := wire.DecodeBlobHead(body)
	if err != nil {
		return wire.BlobHead{}, &unreached{addr, err}
	}
	return head, nil
}
