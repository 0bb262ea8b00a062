// Package replication has the interfaces of the replication layer: a log to follow, a place to
// apply and a place to propose. Its subpackages carry entries, proposals, snapshots and signals
// between nodes over QUIC. All of these are opaque to them; none may know what a message is.
package replication

import (
	"context"
	"io"

	"github.com/nearside/nearside/core"
)

// Source is a log that can be followed. At home it is the region's feed.
type Source interface {
	Position() core.Position
	// Tail returns the entries after a position, with their sealed parts: at least one, about maxBytes of
	// them at most. It
	// waits until there are some or ctx ends. It fails with core.ErrCompacted or core.ErrDiverged
	// if the follower needs a snapshot.
	Tail(ctx context.Context, after core.Position, maxBytes int) (core.Batch, error)
	// Snapshot returns the snapshot with an id while it is kept; otherwise, and for "", a recent
	// one. One with the sealed values is only for home nodes.
	Snapshot(ctx context.Context, id string, sealed bool) (core.Snapshot, error)
}

// Sink is a place to apply. On an edge it is the replica.
type Sink interface {
	Position() core.Position
	// Apply applies a batch that begins right after Position. It fails with core.ErrDiverged if
	// the resulting digest is not the batch's.
	Apply(ctx context.Context, b core.Batch) error
	// Restore replaces the whole state by a snapshot. The old state is served until the new one
	// is complete.
	Restore(ctx context.Context, at core.Position, r io.Reader) error
}

// Orderer is a place to propose. At home it is the region, on other nodes a forward client.
type Orderer interface {
	// Propose returns when the proposal is committed and applied at home. After a Temporary error
	// the effect is unknown: proposing again with the same ID is harmless.
	Propose(ctx context.Context, p core.Proposal) (core.Receipt, error)
}

// Signals carries short-lived messages between nodes. They may be dropped and are never logged.
type Signals interface {
	// Send offers a signal to every other node. It never blocks.
	Send(signal []byte)
	// Receive returns the next signal from another node.
	Receive(ctx context.Context) ([]byte, error)
}

// MaxSignalBytes bounds a signal so that it fits one datagram on any path.
const MaxSignalBytes = 1000
