// Package edge names what a node that serves clients needs from the rest: somewhere to
// propose and a local view to read. An edge never knows whether it is at home.
package edge

import (
	"context"
	"time"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/event"
)

// Proposer is how an edge writes. At home it is the region, away a forward client.
type Proposer interface {
	// Propose returns once the proposal is committed and applied at home. The local replica
	// may still be behind: wait with View.WaitApplied before reading.
	Propose(ctx context.Context, p core.Proposal) (core.Receipt, error)
}

// View is how an edge sees the local replica.
type View interface {
	Position() core.Position
	// WaitApplied returns once the replica has applied an index, or ctx ends.
	WaitApplied(ctx context.Context, i core.Index) error
	// Subscribe gives a cursor over the events of everything applied from now on. State that
	// an event announces can be read before the event is seen.
	Subscribe() *event.Cursor
	// Link says how the replica stands to home.
	Link() Link
}

// Link is how an edge stands to home.
type Link struct {
	Connected bool          // home was heard of within its heartbeat limit
	Lag       time.Duration // age of the last word from home; zero at home
}

// Asker asks home for what a lagging replica cannot answer: a session it has not seen yet.
type Asker interface {
	Ask(ctx context.Context, question []byte) ([]byte, error)
}

// Signals carries typing and presence to the other nodes; it may lose them.
type Signals interface {
	Send(signal []byte)
	Receive(ctx context.Context) ([]byte, error)
}

// Blobs is where an edge keeps bytes and finds them, whichever node has them. What Put has
// accepted can be read at every edge.
type Blobs interface {
	cdn.Getter
	cdn.Putter
	cdn.Stater
}
