// Package edge has the interfaces that a node serving clients needs from the other packages: a
// place to propose, and a local view to read. An edge never knows whether it is at home.
package edge

import (
	"context"
	"time"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/event"
)

// Proposer is how an edge writes. At home it is the region, on other nodes a forward client.
type Proposer interface {
	// Propose returns when the proposal is committed and applied at home. The local replica may
	// still be behind: call View.WaitApplied before reading.
	Propose(ctx context.Context, p core.Proposal) (core.Receipt, error)
}

// View is how an edge sees the local replica.
type View interface {
	Position() core.Position
	// WaitApplied returns when the replica has applied an index, or ctx ends.
	WaitApplied(ctx context.Context, i core.Index) error
	// Subscribe returns a cursor over the events of everything applied from now on. The state
	// that an event announces can be read before the event is delivered.
	Subscribe() *event.Cursor
	// Link reports the state of the connection to home.
	Link() Link
}

// Link is the state of an edge's connection to home.
type Link struct {
	Connected  bool          // home was heard within its heartbeat limit
	NoMajority bool          // home answers, but too few of its nodes reach each other to order anything
	Lag        time.Duration // time since the last message from home; zero at home
}

// Asker asks home a question that a replica which is behind cannot answer, for example about a
// session it does not have yet.
type Asker interface {
	Ask(ctx context.Context, question []byte) ([]byte, error)
}

// Signals carries typing and presence to the other nodes. It may lose them.
type Signals interface {
	Send(signal []byte)
	Receive(ctx context.Context) ([]byte, error)
}

// Blobs stores and reads bytes, whichever node has them. Every edge can read what Put has
// accepted.
type Blobs interface {
	cdn.Getter
	cdn.Putter
	cdn.Stater
}
