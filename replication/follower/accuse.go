package follower

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/backoff"
	"github.com/nearside/nearside/replication/link"
	"github.com/nearside/nearside/replication/wire"
)

const (
	confirmWithin = 5 * time.Second        // for the answers of other home nodes
	confirmPause  = 100 * time.Millisecond // before one is asked again that is behind
)

// doubt is the word of a hub, that our history is not home's, which another home node has contradicted.
type doubt struct {
	by string        // the hub's address
	at core.Position // of the sink
}

// opinion is what a home node says about a position.
type opinion byte

const (
	silent  opinion = iota // it cannot be reached, or cannot tell
	knows                  // the position is in its history
	unknown                // it is not
)

// believes reports whether the sink's state is to be thrown away because the hub at the end of conn says that it is
// not home's. One home node with a spoiled log must not make all edges take its state, so another one is asked first. If
// none can be asked, or none can tell, the hub is believed: else an edge that has diverged would stay as it is. So it is
// if two hubs say the same, one after the other.
func (f *Follower) believes(ctx context.Context, conn *link.Conn, why error) bool {
	addr, here := f.addrOf(conn), f.cfg.Sink.Position()
	if addr == "" {
		return false // another hub is followed by now, and will say the same if it is true
	}
	if f.doubted.by != "" && f.doubted.by != addr && f.doubted.at == here {
		return true
	}
	// The hub may not know our position. Then it is wrong if another one does. Or our sink has come to another
	// digest than the hub. Then the hub is wrong if the other one does not know what the hub has come to.
	asked, wrong := here, knows
	var own *sinkError
	if errors.As(why, &own) {
		asked, wrong = own.claim, unknown
	}
	said := f.askOthers(ctx, f.others(addr), asked)
	if ctx.Err() != nil || said == wrong {
		f.cfg.Logger.Error("a home node says that this history is not home's, and another one contradicts", "at", here, "hub", conn.Peer(), "reason", why)
		f.doubted = doubt{by: addr, at: here}
		return false
	}
	return true
}

// addrOf gives the address of a connection, "" if it is not the live one any more.
func (f *Follower) addrOf(conn *link.Conn) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.conn != conn {
		return ""
	}
	return f.status.Addr
}

// askOthers asks home nodes about a position, all at once, and gives the first answer.
func (f *Follower) askOthers(ctx context.Context, addrs []string, at core.Position) (said opinion) {
	ctx, cancel := context.WithTimeout(ctx, confirmWithin)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel() // before wg.Wait: it ends the questions that are no longer needed
	answers := make(chan opinion, len(addrs))
	for _, addr := range addrs {
		wg.Go(func() { answers <- f.ask(ctx, addr, at) })
	}
	for range addrs {
		if said = <-answers; said != silent {
			return said
		}
	}
	return silent
}

// ask asks one home node about a position until it can tell or ctx ends.
func (f *Follower) ask(ctx context.Context, addr string, at core.Position) opinion {
	conn, err := f.cfg.Endpoint.Dial(ctx, addr, link.ClassLog)
	if err != nil {
		return silent
	}
	defer conn.Close(link.CodeDone, "asked")
	for {
		said, behind := askOnce(ctx, conn, at)
		if !behind || !backoff.Pause(ctx, confirmPause) {
			return said
		}
	}
}

// askOnce begins to follow a home node from a position, and sees whether it agrees; behind says that it is not there
// yet.
func askOnce(ctx context.Context, conn *link.Conn, at core.Position) (said opinion, behind bool) {
	st, err := conn.OpenStream(ctx)
	if err != nil {
		return silent, false
	}
	defer st.Abort()
	defer context.AfterFunc(ctx, st.Abort)() // unblocks the reads
	if err := wire.NewWriter(st).Write(wire.KindHello, wire.AppendHello(nil, wire.Hello{Version: wire.Version, At: at})); err != nil {
		return silent, false
	}
	r := wire.NewReader(st, 0)
	body, err := r.Expect(wire.KindWelcome)
	if err != nil {
		return silent, false
	}
	welcome, err := wire.DecodeStatus(body)
	switch {
	case err != nil || welcome.At.Epoch < at.Epoch:
		return silent, false
	case welcome.At == at:
		return knows, false
	case welcome.At.Before(at):
		return silent, true
	}
	kind, body, err := r.Next()
	if err != nil {
		return silent, false
	}
	switch _, err := decodeLog(kind, body); {
	case err == nil:
		return knows, false
	case core.KindOf(err) == core.KindDiverged:
		return unknown, false
	}
	return silent, false // it has cut its log, or fails
}
