package blob

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/replication/link"
	"github.com/nearside/nearside/replication/wire"
)

// ServerConfig configures a Server. The zero value of each optional field means its default.
type ServerConfig struct {
	Whole Store // required: the origin, for edges and home nodes
	// Own is this node's own disk, for other home nodes; it must not ask other nodes. Without it,
	// such requests are answered with core.KindNotBuilt.
	Own Store
	// MaxBytes bounds a blob; a larger one is refused with core.KindTooLarge before its first
	// byte. Default: 64 GiB.
	MaxBytes int64
	// MaxConcurrent bounds the running transfers of each of the two stores; more wait for two
	// seconds and are then refused with core.KindLimit. Default: 256.
	MaxConcurrent int
	// MaxPerPeer bounds the transfers of one node, so that it cannot occupy all places. Default:
	// half of MaxConcurrent.
	MaxPerPeer int
	// Idle is how long 64 KiB may take, and how long a store may take to open a blob. A slower
	// transfer is ended, because it would occupy its place for ever. Default: 10 s.
	Idle   time.Duration
	Logger *slog.Logger // default: discard
}

// Server serves blobs at home.
type Server struct {
	cfg        ServerConfig
	whole, own *gate
}

// NewServer validates the configuration; it starts nothing.
func NewServer(cfg ServerConfig) (*Server, error) {
	if cfg.Whole == nil {
		return nil, core.E(core.KindInvalid, "a blob server needs a store")
	}
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = 64 << 30
	}
	if cfg.MaxConcurrent <= 0 {
		cfg.MaxConcurrent = 256
	}
	if cfg.MaxPerPeer <= 0 {
		cfg.MaxPerPeer = (cfg.MaxConcurrent + 1) / 2
	}
	if cfg.Idle <= 0 {
		cfg.Idle = defaultIdle
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Server{cfg: cfg, whole: newGate(cfg.MaxConcurrent, cfg.MaxPerPeer), own: newGate(cfg.MaxConcurrent, cfg.MaxPerPeer)}, nil
}

// Serve serves one connection until it or ctx ends. It is a link.Handler.
func (s *Server) Serve(ctx context.Context, conn *link.Conn) {
	conn.Serve(ctx, s.stream)
}

// transfer is one running request.
type transfer struct {
	*Server
	st    *link.Stream
	out   *wire.Writer
	watch *watch
	log   *slog.Logger
}

// broken is a failure in the middle of the bytes, where an error can no longer be sent.
type broken struct{ error }

// stream answers one request. The peer's stream limit bounds their number.
func (s *Server) stream(ctx context.Context, st *link.Stream) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer st.Close()
	defer context.AfterFunc(ctx, st.Abort)()
	t := &transfer{Server: s, st: st, out: wire.NewWriter(st), log: s.cfg.Logger.With("peer", st.Conn().Peer())}
	t.watch = newWatch(s.cfg.Idle, func() { cancel(core.E(core.KindTimeout, "the transfer makes no progress")) })
	defer t.watch.stop()
	err := t.serve(ctx)
	var b broken
	switch {
	case err == nil:
	case errors.As(err, &b), ctx.Err() != nil: // at the end of ctx the stream is given up, so an answer would be lost or not by chance
		t.log.Debug("blob transfer broke off", "err", b.error, "because", context.Cause(ctx))
		st.Abort()
	default:
		t.refuse(err)
	}
}

func (t *transfer) serve(ctx context.Context) error {
	kind, body, err := wire.NewReader(t.st, maxRequest).Next()
	if err != nil {
		return err
	}
	switch kind {
	case wire.KindBlobGet:
		return t.get(ctx, body)
	case wire.KindBlobPut:
		return t.put(ctx, body)
	case wire.KindBlobStat:
		return t.stat(ctx, body)
	default:
		return wire.Unexpected(kind)
	}
}

// refuse sends an error instead of an answer.
func (t *transfer) refuse(err error) {
	e := core.AsError(err)
	if e.Kind == core.KindInternal || e.Kind == core.KindInvalid || e.Kind == core.KindMisdirected {
		t.log.Warn("blob request failed", "err", err)
	}
	t.watch.allow(t.cfg.Idle)
	_ = t.out.Write(wire.KindError, wire.AppendError(nil, e))
}

// enter returns the requested store when there is a place, and a function that frees the place.
func (t *transfer) enter(ctx context.Context, direct bool) (Store, func(), error) {
	store, gate, peer := t.cfg.Whole, t.whole, t.st.Conn().Peer()
	switch {
	case direct && !peer.Has(link.RoleHome):
		return nil, nil, core.E(core.KindMisdirected, "only home nodes may use a node's own disk")
	case direct && t.cfg.Own == nil:
		return nil, nil, core.E(core.KindNotBuilt, "this node has no blob store of its own")
	case direct:
		store, gate = t.cfg.Own, t.own
	}
	t.watch.allow(t.cfg.Idle + placeWait)
	leave, err := gate.enter(ctx, peer.String())
	t.watch.allow(t.cfg.Idle)
	return store, leave, err
}

func (t *transfer) stat(ctx context.Context, body []byte) error {
	q, err := wire.DecodeBlobStat(body)
	if err != nil {
		return err
	}
	store, leave, err := t.enter(ctx, q.Direct)
	if err != nil {
		return err
	}
	defer leave()
	size, err := store.Stat(ctx, q.Name)
	if err != nil {
		return err
	}
	return t.answer(wire.BlobHead{Size: size})
}

func (t *transfer) answer(h wire.BlobHead) error {
	t.watch.allow(t.cfg.Idle)
	if err := t.out.Write(wire.KindBlobHead, wire.AppendBlobHead(nil, h)); err != nil {
		return broken{err}
	}
	return nil
}

func (t *transfer) get(ctx context.Context, body []byte) error {
	q, err := wire.DecodeBlobGet(body)
	if err != nil {
		return err
	}
	store, leave, err := t.enter(ctx, q.Direct)
	if err != nil {
		return err
	}
	defer leave()
	b, size, err := store.Get(ctx, q.Name, q.Offset, q.Length)
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	length := q.Length
	if length < 0 {
		length = size - q.Offset
	}
	if length < 0 || length > size-q.Offset {
		return core.E(core.KindInternal, "the store returned a part outside the blob of %d bytes", size)
	}
	if err := t.answer(wire.BlobHead{Size: size, Length: length}); err != nil {
		return err
	}
	return t.send(b, length)
}

// send sends exactly length bytes. It reads one byte more from the store: the store has checked
// all bytes only when it returns the end.
func (t *transfer) send(b io.Reader, length int64) error {
	buf := make([]byte, min(length, bufBytes))
	for left := length; left > 0; {
		n, err := b.Read(buf[:min(left, int64(len(buf)))])
		if _, werr := t.st.Write(buf[:n]); werr != nil {
			return broken{werr}
		}
		t.watch.moved(n)
		left -= int64(n)
		if err == nil || left == 0 && errors.Is(err, io.EOF) {
			continue
		}
		if left == 0 {
			return err
		}
		t.log.Warn("a blob cannot be read", "left", left, "err", err)
		return broken{err}
	}
	if err := ended(b); err != nil {
		return err
	}
	if err := t.out.Write(wire.KindEnd, nil); err != nil {
		return broken{err}
	}
	return nil
}

func (t *transfer) put(ctx context.Context, body []byte) error {
	q, err := wire.DecodeBlobPut(body)
	switch {
	case err != nil:
		return err
	case q.Size > t.cfg.MaxBytes:
		return core.E(core.KindTooLarge, "a blob has at most %d bytes", t.cfg.MaxBytes)
	}
	store, leave, err := t.enter(ctx, q.Direct)
	if err != nil {
		return err
	}
	defer leave()
	if err := store.Put(ctx, q.Name, q.Size, &incoming{transfer: t, size: q.Size, left: q.Size}); err != nil {
		return err
	}
	return t.answer(wire.BlobHead{Size: q.Size})
}

// incoming reads exactly the announced bytes. It returns the last of them only when nothing
// follows.
type incoming struct {
	*transfer
	size, left int64
	whole      bool // the end was seen
	err        error
}

// Read implements io.Reader.
func (r *incoming) Read(p []byte) (int, error) {
	switch {
	case r.err != nil:
		return 0, r.err
	case r.whole:
		return 0, io.EOF
	case len(p) == 0:
		return 0, nil
	}
	n := 0
	if r.left > 0 {
		n, r.err = r.st.Read(p[:min(int64(len(p)), r.left)])
		if n > 0 || r.err == nil {
			r.err = nil // it is returned again if bytes are missing
		} else if errors.Is(r.err, io.EOF) {
			r.err = core.E(core.KindInvalid, "the blob ended %d bytes early", r.left)
		}
		r.watch.moved(n)
		r.left -= int64(n)
	}
	if r.left == 0 && r.err == nil {
		if r.err = ended(r.st); r.err == nil {
			r.whole = true
			r.watch.allow(settle(r.size))
		}
	}
	if r.err != nil {
		return 0, r.err
	}
	if r.whole && n == 0 {
		return 0, io.EOF
	}
	return n, nil
}
