package forward

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/replication"
	"github.com/nearside/nearside/replication/link"
	"github.com/nearside/nearside/replication/wire"
)

const (
	dialTimeout = 2 * time.Second
	defaultWait = 10 * time.Second // for callers without a deadline
	maxHedges   = 64               // at once, so that a slow home does not become slower
)

// Config configures a Client.
type Config struct {
	Endpoint   *link.Endpoint  // required
	Candidates func() []string // required: link addresses of home nodes, the leader first
	// Connected reports whether home can be reached at all. While it returns false, calls fail at
	// once instead of waiting. Default: always true.
	Connected func() bool
	// Hedge is how long a home node may be silent before the next one is asked in parallel. It
	// should be more than a round trip and a commit. Default: 500 ms.
	Hedge  time.Duration
	Logger *slog.Logger // default: discard
}

// Client proposes at home from another node.
type Client struct {
	cfg     Config
	streams *link.Streams
	hedges  chan struct{} // a slot per running hedge

	mu      sync.Mutex
	suspect map[string]time.Time // guarded by mu: nodes that were silent while another answered, and until when they are asked last
}

var _ replication.Orderer = (*Client)(nil)

// New validates the configuration; it starts nothing.
func New(cfg Config) (*Client, error) {
	if cfg.Endpoint == nil || cfg.Candidates == nil {
		return nil, core.E(core.KindInvalid, "a forward client needs an endpoint and candidates")
	}
	if cfg.Connected == nil {
		cfg.Connected = func() bool { return true }
	}
	if cfg.Hedge <= 0 {
		cfg.Hedge = 500 * time.Millisecond
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Client{cfg: cfg, streams: cfg.Endpoint.Dialer(link.ClassForward),
		hedges: make(chan struct{}, maxHedges), suspect: map[string]time.Time{}}, nil
}

// Close ends the client's connections and the calls that wait on them.
func (c *Client) Close() error { return c.streams.Close() }

// Propose implements replication.Orderer. It tries home nodes until one gives an answer that is
// not Temporary or ctx ends (without a deadline: after 10 s). If no node can be reached, it fails
// at once with core.KindUnavailable.
func (c *Client) Propose(ctx context.Context, p core.Proposal) (core.Receipt, error) {
	body, err := c.everywhere(ctx, func(ctx context.Context, addr string) ([]byte, error) {
		return c.propose(ctx, addr, p, false)
	})
	if err != nil {
		return core.Receipt{}, err
	}
	return wire.DecodeReceipt(body)
}

// ProposeTo proposes once at one home node, which orders the proposal or refuses it but does not
// pass it on.
func (c *Client) ProposeTo(ctx context.Context, addr string, p core.Proposal) (core.Receipt, error) {
	body, err := c.propose(ctx, addr, p, true)
	if err != nil {
		return core.Receipt{}, err
	}
	return wire.DecodeReceipt(body)
}

func (c *Client) propose(ctx context.Context, addr string, p core.Proposal, direct bool) ([]byte, error) {
	if len(p.Data) > core.MaxProposalBytes {
		return nil, core.E(core.KindTooLarge, "a proposal has at most %d bytes", core.MaxProposalBytes)
	}
	body := wire.AppendPropose(nil, wire.Propose{Proposal: p, Wait: wait(ctx), Direct: direct})
	return c.request(ctx, addr, wire.KindPropose, body, wire.KindReceipt)
}

// Ask sends a question of a kind to home and returns the handler's answer. Home nodes are tried
// as in Propose.
func (c *Client) Ask(ctx context.Context, kind byte, payload []byte) ([]byte, error) {
	if len(payload) > wire.MaxAskBytes {
		return nil, core.E(core.KindTooLarge, "a question has at most %d bytes", wire.MaxAskBytes)
	}
	return c.everywhere(ctx, func(ctx context.Context, addr string) ([]byte, error) {
		return c.AskAt(ctx, addr, kind, payload)
	})
}

// AskAt sends a question to one home node, once.
func (c *Client) AskAt(ctx context.Context, addr string, kind byte, payload []byte) ([]byte, error) {
	body := wire.AppendAsk(nil, wire.Ask{Kind: kind, Wait: wait(ctx), Payload: payload})
	return c.request(ctx, addr, wire.KindAsk, body, wire.KindAnswer)
}

// request sends one frame and reads one, on a stream of its own.
func (c *Client) request(ctx context.Context, addr string, kind wire.Kind, body []byte, want wire.Kind) ([]byte, error) {
	st, err := c.open(ctx, addr)
	if err != nil {
		return nil, &unreached{addr, err}
	}
	defer st.Close()
	defer context.AfterFunc(ctx, st.Abort)()
	if err := wire.NewWriter(st).Write(kind, body); err != nil {
		return nil, &unreached{addr, err}
	}
	_ = st.CloseWrite()
	got, answer, err := wire.NewReader(st, 0).Next()
	switch {
	case err != nil:
		return nil, &unreached{addr, err}
	case got == wire.KindError:
		return nil, wire.DecodeError(answer)
	case got != want:
		return nil, wire.Unexpected(got)
	}
	return answer, nil
}

func (c *Client) open(ctx context.Context, addr string) (*link.Stream, error) {
	dctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return c.streams.Open(dctx, addr)
}

func wait(ctx context.Context) time.Duration {
	if at, ok := ctx.Deadline(); ok {
		return time.Until(at)
	}
	return defaultWait
}
