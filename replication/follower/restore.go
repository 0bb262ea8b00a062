package follower

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/backoff"
	"github.com/nearside/nearside/replication"
	"github.com/nearside/nearside/replication/link"
	"github.com/nearside/nearside/replication/wire"
)

// chunkTimeout bounds the wait for a snapshot's next bytes; the hub may still be producing them.
const chunkTimeout = time.Minute

var errGone = core.E(core.KindUnavailable, "the snapshot is gone")

// restore replaces the sink's state by a snapshot from the hub.
func (f *Follower) restore(ctx context.Context) error {
	f.restoring(true)
	defer f.restoring(false)
	s := &snapshot{ctx: ctx, live: f.live, pauses: f.cfg.Backoff, log: f.cfg.Logger}
	if err := s.restore(f.cfg.Sink); err != nil {
		return err
	}
	f.applied(s.head.At)
	return nil
}

// FetchConfig configures Fetch.
type FetchConfig struct {
	Endpoint   *link.Endpoint   // required
	Candidates func() []string  // required: link addresses of home nodes that may have a snapshot
	Sink       replication.Sink // required
	Logger     *slog.Logger     // default: discard
}

// Fetch restores a sink once, from any candidate that has a snapshot, without following. A home
// node gets state in this way if its own log no longer has it. It continues after interruptions,
// and ends with ctx.
func Fetch(ctx context.Context, cfg FetchConfig) error {
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	dialer := cfg.Endpoint.Dialer(link.ClassLog)
	defer dialer.Close()
	defer context.AfterFunc(ctx, func() { _ = dialer.Close() })() // unblocks the sink's reads
	var last string
	live := func(ctx context.Context) (*link.Conn, error) {
		err := error(core.E(core.KindUnavailable, "no home node to fetch from"))
		for _, addr := range append([]string{last}, cfg.Candidates()...) { // the last one has the snapshot that was begun
			if addr == "" {
				continue
			}
			dctx, cancel := context.WithTimeout(ctx, dialTimeout)
			conn, derr := dialer.Conn(dctx, addr)
			cancel()
			if derr == nil {
				last = addr
				return conn, nil
			}
			err = derr
		}
		return nil, err
	}
	s := &snapshot{ctx: ctx, live: live, pauses: DefaultBackoff(), log: log}
	return s.restore(cfg.Sink)
}

// snapshot is a snapshot being received: an io.Reader that continues over new connections.
type snapshot struct {
	ctx    context.Context
	live   func(context.Context) (*link.Conn, error)
	pauses backoff.Backoff
	log    *slog.Logger

	head     wire.SnapshotHead
	off      int64 // of the next byte
	chunk    []byte
	whole    bool
	st       *link.Stream // nil if there is no stream
	r        *wire.Reader
	failures int
}

func (s *snapshot) restore(sink replication.Sink) error {
	defer s.drop()
	if err := s.reach(); err != nil {
		return err
	}
	s.log.Info("restoring", "id", s.head.ID, "at", s.head.At)
	if err := sink.Restore(s.ctx, s.head.At, s); err != nil {
		return &sinkError{err: err}
	}
	return nil
}

// Read implements io.Reader: the bytes of one snapshot, over as many connections as necessary.
func (s *snapshot) Read(p []byte) (int, error) {
	for len(s.chunk) == 0 {
		if s.whole {
			return 0, io.EOF
		}
		if err := s.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.chunk)
	s.chunk = s.chunk[n:]
	return n, nil
}

// next gets a chunk; if the link breaks, it continues over the next connection.
func (s *snapshot) next() error {
	if err := s.reach(); err != nil {
		return err
	}
	_ = s.st.SetReadDeadline(time.Now().Add(chunkTimeout))
	kind, body, err := s.r.Next()
	switch {
	case err != nil:
		s.log.Warn("snapshot interrupted", "id", s.head.ID, "offset", s.off, "err", err)
		s.drop()
		return s.retry()
	case kind == wire.KindChunk:
		s.chunk, s.off, s.failures = body, s.off+int64(len(body)), 0
	case kind == wire.KindEnd:
		s.whole = true
	case kind == wire.KindError:
		return wire.DecodeError(body)
	default:
		return wire.Unexpected(kind)
	}
	return nil
}

// reach makes sure that there is a stream at our offset.
func (s *snapshot) reach() error {
	for s.st == nil {
		err := s.open()
		switch {
		case err == nil:
			return nil
		case s.ctx.Err() != nil:
			return s.ctx.Err()
		case errors.Is(err, errGone) || !core.KindOf(err).Temporary():
			return err
		}
		s.log.Info("snapshot out of reach", "id", s.head.ID, "offset", s.off, "err", err)
		if err := s.retry(); err != nil {
			return err
		}
	}
	return nil
}

func (s *snapshot) retry() error {
	backoff.Pause(s.ctx, s.pauses.After(s.failures))
	s.failures++
	return s.ctx.Err()
}

func (s *snapshot) open() error {
	conn, err := s.live(s.ctx)
	if err != nil {
		return err
	}
	st, err := conn.OpenStream(s.ctx)
	if err != nil {
		return err
	}
	r := wire.NewReader(st, 0)
	head, err := fetch(st, r, wire.Fetch{ID: s.head.ID, Offset: s.off})
	switch {
	case err != nil:
	case s.head.ID == "":
		s.head = head
	case head.ID != s.head.ID || head.Offset != s.off:
		err = errGone
	}
	if err != nil {
		st.Abort()
		return err
	}
	s.st, s.r = st, r
	return nil
}

func fetch(st *link.Stream, r *wire.Reader, f wire.Fetch) (wire.SnapshotHead, error) {
	if err := wire.NewWriter(st).Write(wire.KindFetch, wire.AppendFetch(nil, f)); err != nil {
		return wire.SnapshotHead{}, err
	}
	_ = st.SetReadDeadline(time.Now().Add(chunkTimeout))
	body, err := r.Expect(wire.KindSnapshot)
	if err != nil {
		return wire.SnapshotHead{}, err
	}
	return wire.DecodeSnapshotHead(body)
}

func (s *snapshot) drop() {
	if s.st != nil {
		s.st.Abort()
		s.st = nil
	}
}
