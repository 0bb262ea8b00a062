package blob

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/backoff"
	"github.com/nearside/nearside/replication"
	"github.com/nearside/nearside/replication/wire"
)

// maxBreaks bounds how often a read may break without a byte in between.
const maxBreaks = 8

// Get implements Store.
func (r *route) Get(ctx context.Context, name [32]byte, offset, length int64) (io.ReadCloser, int64, error) {
	if offset < 0 {
		return nil, 0, core.E(core.KindInvalid, "a part must not begin at a negative offset")
	}
	b := &body{route: r, name: name, off: offset, want: length, size: -1}
	b.ctx, b.cancel = context.WithCancel(ctx)
	if err := b.reach(); err != nil {
		b.release()
		return nil, 0, err
	}
	return b, b.size, nil
}

// body is a blob being read: a reader that continues over new connections.
type body struct {
	route  *route
	ctx    context.Context // the caller's; Close cancels it too
	cancel context.CancelFunc
	name   [32]byte

	off   int64 // of the next byte
	want  int64 // bytes still to come; negative: to the end, until the first head has the number
	size  int64 // of the whole blob; negative until the first head
	whole bool  // the server has confirmed the end
	err   error // result of every later Read

	breaks  int       // since the last byte
	broken  time.Time // time of the first of them
	avoid   string    // the node of the last break, if it delivered no bytes
	hurried bool      // a new connection is tried once; if that does not help, it may be the link

	pace pace        // of st
	st   *lease      // nil while there is none
	addr string      // address of st's node
	stop func() bool // stops watching ctx for st
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if b.err != nil || len(p) == 0 {
		return 0, b.err
	}
	n, err := b.read(p)
	if err != nil {
		b.err = err
		b.release()
	}
	return n, err
}

// Close implements io.Closer. A running Read ends.
func (b *body) Close() error {
	b.cancel()
	return nil
}

func (b *body) read(p []byte) (int, error) {
	for !b.whole {
		if b.st == nil {
			if err := b.reach(); err != nil {
				return 0, err
			}
		}
		n, err := b.pull(p)
		var e enough
		switch {
		case err == nil && (n > 0 || !b.whole):
			return n, nil
		case err == nil:
		case errors.As(err, &e):
			return 0, e.error
		default:
			if err := b.broke(err); err != nil {
				return 0, err
			}
		}
	}
	return 0, io.EOF
}

// pull reads from the stream. The last bytes are returned only after the server's confirmation.
func (b *body) pull(p []byte) (n int, err error) {
	_ = b.st.SetReadDeadline(time.Now().Add(b.route.cfg.Idle))
	if b.want > 0 {
		over := b.pace.wait()
		n, err = b.st.Read(p[:min(int64(len(p)), b.want)])
		over()
		if n == 0 && err != nil {
			return 0, &unreached{b.addr, err}
		}
	}
	if int64(n) == b.want {
		if err := b.confirm(); err != nil {
			return 0, err
		}
		b.whole = true
	}
	if n > 0 {
		b.breaks = 0
	}
	b.st.on.moved.Add(int64(n))
	b.off, b.want = b.off+int64(n), b.want-int64(n)
	if b.pace.crawls(b.want) {
		b.hurry()
	}
	return n, nil
}

// hurry continues over another connection. If there is none, the stream stays.
func (b *body) hurry() {
	if err := b.route.pool.hurry(b.ctx, b.addr, laneGet, b.st); err != nil {
		b.route.cfg.Logger.Debug("no other connection for a transfer that crawls", "err", err)
		return
	}
	b.drop()
	b.hurried = true
}

// confirm reads what follows the last byte: the confirmation, or the error that the store has
// found by then.
func (b *body) confirm() error {
	kind, msg, err := wire.NewReader(b.st, maxAnswer).Next()
	switch {
	case err != nil:
		return &unreached{b.addr, err}
	case kind == wire.KindError:
		return enough{wire.DecodeError(msg)}
	case kind != wire.KindEnd:
		return &unreached{b.addr, wire.Unexpected(kind)}
	}
	return nil
}

// broke drops the stream and decides whether to continue.
func (b *body) broke(err error) error {
	b.route.blame(b.addr, err)
	b.drop()
	if b.breaks++; b.breaks == 1 {
		b.broken = time.Now()
	}
	switch {
	case b.ctx.Err() != nil:
		return replication.GaveUp(b.ctx, err)
	case b.breaks > min(maxBreaks, b.route.rounds), b.breaks > 1 && time.Since(b.broken) >= b.route.cfg.Patience:
		return err
	}
	if b.avoid = ""; b.breaks > 1 {
		b.avoid = b.addr // it accepts streams, but delivers no bytes
		backoff.Pause(b.ctx, repeats.After(b.breaks))
	}
	b.route.cfg.Logger.Info("blob transfer interrupted", "offset", b.off, "of", b.size, "err", err)
	return nil
}

// reach makes sure that there is a stream that delivers the next byte.
func (b *body) reach() error {
	var spared bool
	return b.route.try(b.ctx, b.size >= 0, func(ctx context.Context, addr string) error {
		if addr == b.avoid && !spared { // only once: it may be the only node
			spared = true
			return &unreached{addr, core.E(core.KindUnavailable, "it broke off the previous attempt")}
		}
		return b.open(ctx, addr)
	})
}

func (b *body) open(ctx context.Context, addr string) error {
	ask := wire.AppendBlobGet(nil, wire.BlobGet{Direct: b.route.direct, Name: b.name, Offset: b.off, Length: b.want})
	st, err := b.route.open(ctx, addr, laneGet, wire.KindBlobGet, ask)
	if err != nil {
		return err
	}
	_ = st.CloseWrite()
	stop := context.AfterFunc(ctx, st.end)
	head, err := b.route.head(st, b.route.cfg.Idle+placeWait+margin)
	if err == nil {
		err = b.agree(head, addr)
	}
	if err != nil {
		stop()
		st.end()
		return err
	}
	b.st, b.addr, b.stop, b.pace = st, addr, stop, st.pace()
	b.pace.answered()
	b.pace.judged = b.hurried
	return nil
}

// agree takes the sizes of the first head, and checks the later heads against them.
func (b *body) agree(head wire.BlobHead, addr string) error {
	switch {
	case head.Length > head.Size-b.off || b.want >= 0 && head.Length != b.want || b.want < 0 && head.Length != head.Size-b.off:
		return &unreached{addr, core.E(core.KindInvalid, "it offers %d of %d bytes", head.Length, head.Size)}
	case b.size >= 0 && head.Size != b.size:
		return enough{core.E(core.KindDiverged, "a blob has %d bytes at one home node and %d at another", b.size, head.Size)}
	}
	b.size, b.want = head.Size, head.Length
	return nil
}

// drop ends the stream.
func (b *body) drop() {
	if b.st != nil {
		b.stop()
		b.st.end()
		b.st = nil
	}
}

func (b *body) release() {
	b.drop()
	b.cancel()
}
