// Package replication names what the opaque middle needs: a log to follow, a place to apply
// and a place to propose. Its folders carry entries, proposals, snapshots and signals between
// nodes over QUIC; none of them may learn what a message is.
package replication

import (
	"context"
	"io"

	"github.com/nearside/nearside/core"
)

// Source is a log that can be followed. At home it is the region's feed.
type Source interface {
	Position() core.Position
	// Tail gives the entries after a position, at least one, at most about maxBytes of them.
	// It waits until there are some or ctx ends. It fails with core.ErrCompacted or
	// core.ErrDiverged when only a snapshot can help.
	Tail(ctx context.Context, after core.Position, maxBytes int) (core.Batch, error)
	// Snapshot gives the snapshot with an id while it is kept, else (or for "") a recent one.
	Snapshot(ctx context.Context, id string) (core.Snapshot, error)
}

// Sink is a place to apply. On an edge it is the replica.
type Sink interface {
	Position() core.Position
	// Apply applies a batch that begins right after Position. It fails with core.ErrDiverged
	// when the digest it comes to is not the batch's.
	Apply(ctx context.Context, b core.Batch) error
	// Restore replaces everything with a snapshot; the old state serves until it is whole.
	Restore(ctx context.Context, at core.Position, r io.Reader) error
}

// Orderer is a place to propose. At home it is the region, away a forward client.
type Orderer interface {
	// Propose returns once the proposal is committed and applied at home. A Temporary error
	// means that the effect is unknown: proposing again with the same ID is harmless.
	Propose(ctx context.Context, p core.Proposal) (core.Receipt, error)
}

// Signals carries short-lived messages between nodes. They may be dropped and are never logged.
type Signals interface {
	// Send offers a signal to every other node. It never blocks.
	Send(signal []byte)
	// Receive gives the next signal of another node.
	Receive(ctx context.Context) ([]byte, error)
}

// MaxSignalBytes bounds a signal so that it fits one datagram on any path.
const MaxSignalBytes = 1000
