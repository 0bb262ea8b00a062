package hub

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/replication/link"
	"github.com/nearside/nearside/replication/wire"
)

// follow sends the log from the follower's position on.
func (f *follower) follow(ctx context.Context, body []byte, w *wire.Writer) error {
	hello, err := wire.DecodeHello(body)
	if err != nil {
		return err
	}
	if hello.Version != wire.Version {
		return core.E(core.KindUpgrade, "this node speaks protocol %d, its hub %d", hello.Version, wire.Version)
	}
	if err := w.Write(wire.KindWelcome, wire.AppendStatus(nil, f.hub.status())); err != nil {
		return err
	}
	at := hello.At
	for {
		batch, err := f.hub.tail(ctx, at)
		switch {
		case errors.Is(err, core.ErrCompacted), errors.Is(err, core.ErrDiverged):
			f.log.Warn("follower needs a snapshot", "at", at, "source", f.hub.cfg.Source.Position(), "err", err)
			return w.Write(wire.KindTurn, wire.AppendTurn(nil, wire.Turn{Diverged: errors.Is(err, core.ErrDiverged)}))
		case err != nil:
			return err
		}
		if !f.home() {
			batch = unsealed(batch)
		}
		if err := w.WritePacked(wire.KindBatch, wire.AppendBatch(nil, batch)); err != nil {
			return err
		}
		at = batch.After
	}
}

// home reports whether the follower is a home node, as its certificate says. Only home nodes get sealed
// values.
func (f *follower) home() bool { return f.conn.Peer().Has(link.RoleHome) }

// unsealed gives a batch without its sealed parts. The entries are shared with other followers, so they are
// copied, but only if there is something to leave out.
func unsealed(b core.Batch) core.Batch {
	if !slices.ContainsFunc(b.Entries, func(e core.Entry) bool { return e.Sealed != nil }) {
		return b
	}
	b.Entries = slices.Clone(b.Entries)
	for i := range b.Entries {
		b.Entries[i].Sealed = nil
	}
	return b
}

// tail is Source.Tail for a follower that may be ahead of this node, because another home node
// sent it entries that have not arrived here yet. In this case it waits until the source has
// them.
func (h *Hub) tail(ctx context.Context, at core.Position) (core.Batch, error) {
	for {
		here := h.cfg.Source.Position()
		if at.Epoch != here.Epoch || at.Index <= here.Index {
			return h.cfg.Source.Tail(ctx, at, batchBytes)
		}
		if _, err := h.cfg.Source.Tail(ctx, here, 1); err != nil {
			return core.Batch{}, err
		}
	}
}

// snapshot sends a snapshot from an offset on.
func (f *follower) snapshot(ctx context.Context, body []byte, w *wire.Writer) error {
	fetch, err := wire.DecodeFetch(body)
	if err != nil {
		return err
	}
	snap, err := f.hub.cfg.Source.Snapshot(ctx, fetch.ID, f.home())
	if err != nil {
		return err
	}
	closeOnce := sync.OnceFunc(func() { _ = snap.Close() })
	defer closeOnce()
	defer context.AfterFunc(ctx, closeOnce)() // ReadAt may wait for bytes that are still being produced
	head := wire.SnapshotHead{ID: snap.ID(), At: snap.Position(), Offset: fetch.Offset}
	if head.ID != fetch.ID {
		head.Offset = 0 // the requested snapshot is gone
	}
	f.log.Info("snapshot", "id", head.ID, "at", head.At, "offset", head.Offset)
	if err := w.Write(wire.KindSnapshot, wire.AppendSnapshotHead(nil, head)); err != nil {
		return err
	}
	return copySnapshot(w, snap, head.Offset)
}

func copySnapshot(w *wire.Writer, snap core.Snapshot, off int64) error {
	buf := make([]byte, chunkBytes)
	for {
		n, err := snap.ReadAt(buf, off)
		if n > 0 {
			if err := w.WritePacked(wire.KindChunk, buf[:n]); err != nil {
				return err
			}
			off += int64(n)
		}
		switch {
		case errors.Is(err, io.EOF):
			return w.Write(wire.KindEnd, nil)
		case err != nil:
			return err
		}
	}
}
