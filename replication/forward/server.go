package forward

import (
	"context"
	"log/slog"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/replication"
	"github.com/nearside/nearside/replication/link"
	"github.com/nearside/nearside/replication/wire"
)

const (
	requestTimeout = 10 * time.Second // for a whole request to arrive, and for its answer to be sent
	maxServerWait  = 30 * time.Second // for the answer to be found
	maxRequest     = wire.MaxAskBytes + 4096
)

// AskHandler answers questions of one kind. Its error is sent to the client.
type AskHandler func(ctx context.Context, from link.Identity, payload []byte) ([]byte, error)

// ServerConfig configures a Server.
type ServerConfig struct {
	Orderer replication.Orderer // required
	// Direct receives proposals that another home node passed on; it must not pass them on again.
	// Default: Orderer.
	Direct   replication.Orderer
	Handlers map[byte]AskHandler // questions by kind; other kinds are answered with core.KindNotBuilt
	// MaxConcurrent bounds the running requests of all connections; more are refused with
	// core.KindLimit. Default: 4096.
	MaxConcurrent int
	Logger        *slog.Logger // default: discard
}

// Server receives proposals and questions at home.
type Server struct {
	cfg   ServerConfig
	slots chan struct{}
}

// NewServer validates the configuration; it starts nothing.
func NewServer(cfg ServerConfig) (*Server, error) {
	if cfg.Orderer == nil {
		return nil, core.E(core.KindInvalid, "a forward server needs an orderer")
	}
	if cfg.Direct == nil {
		cfg.Direct = cfg.Orderer
	}
	if cfg.MaxConcurrent <= 0 {
		cfg.MaxConcurrent = 4096
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Server{cfg: cfg, slots: make(chan struct{}, cfg.MaxConcurrent)}, nil
}

// Serve serves one connection until it or ctx ends. It is a link.Handler.
func (s *Server) Serve(ctx context.Context, conn *link.Conn) {
	conn.Serve(ctx, s.stream)
}

// stream answers one request. The peer's stream limit bounds their number.
func (s *Server) stream(ctx context.Context, st *link.Stream) {
	defer st.Close()
	defer context.AfterFunc(ctx, st.Abort)()
	w := wire.NewWriter(st)
	_ = st.SetDeadline(time.Now().Add(requestTimeout))
	kind, body, err := wire.NewReader(st, maxRequest).Next()
	if err != nil {
		s.refuse(w, st, err)
		return
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	default:
		s.refuse(w, st, core.E(core.KindLimit, "home has too many requests under way"))
		return
	}
	kind, answer, err := s.answer(ctx, st.Conn().Peer(), kind, body)
	_ = st.SetDeadline(time.Now().Add(requestTimeout))
	if err != nil {
		s.refuse(w, st, err)
		return
	}
	if err := w.Write(kind, answer); err != nil {
		s.refuse(w, st, err)
	}
}

// refuse sends an error instead of an answer.
func (s *Server) refuse(w *wire.Writer, st *link.Stream, err error) {
	e := core.AsError(err)
	if e.Kind == core.KindInternal || e.Kind == core.KindInvalid {
		s.cfg.Logger.Warn("forwarded request failed", "peer", st.Conn().Peer(), "err", err)
	}
	_ = w.Write(wire.KindError, wire.AppendError(nil, e))
}

func (s *Server) answer(ctx context.Context, from link.Identity, kind wire.Kind, body []byte) (wire.Kind, []byte, error) {
	switch kind {
	case wire.KindPropose:
		return s.propose(ctx, from, body)
	case wire.KindAsk:
		return s.ask(ctx, from, body)
	}
	return 0, nil, wire.Unexpected(kind)
}

func (s *Server) propose(ctx context.Context, from link.Identity, body []byte) (wire.Kind, []byte, error) {
	p, err := wire.DecodePropose(body)
	if err != nil {
		return 0, nil, err
	}
	orderer := s.cfg.Orderer
	if p.Direct {
		if !from.Has(link.RoleHome) {
			return 0, nil, core.E(core.KindMisdirected, "only home nodes may pass on proposals")
		}
		orderer = s.cfg.Direct
	}
	ctx, cancel := context.WithTimeout(ctx, min(p.Wait, maxServerWait))
	defer cancel()
	receipt, err := orderer.Propose(ctx, p.Proposal)
	if err != nil {
		return 0, nil, err
	}
	return wire.KindReceipt, wire.AppendReceipt(nil, receipt), nil
}

func (s *Server) ask(ctx context.Context, from link.Identity, body []byte) (wire.Kind, []byte, error) {
	a, err := wire.DecodeAsk(body)
	if err != nil {
		return 0, nil, err
	}
	h := s.cfg.Handlers[a.Kind]
	if h == nil {
		return 0, nil, core.E(core.KindNotBuilt, "home does not answer questions of kind %d", a.Kind)
	}
	ctx, cancel := context.WithTimeout(ctx, min(a.Wait, maxServerWait))
	defer cancel()
	answer, err := h(ctx, from, a.Payload)
	return wire.KindAnswer, answer, err
}
