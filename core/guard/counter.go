package guard

import (
	"context"
	"sync"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
)

const (
	underWay   = 2 // entries at a time; others gather for the next one
	countLimit = 10 * time.Second
)

// counter orders entries that count attempts. Attempts that come while others are under way share the
// next entry.
type counter struct {
	propose func(ctx context.Context, p core.Proposal) (core.Receipt, error)
	turn    chan struct{} // holds one element for each entry under way

	mu   *sync.Mutex // guards next
	next **gathering // not proposed yet, and not full
}

// gathering is an entry that several attempts share.
type gathering struct {
	cmd  command.CountAttempts // complete when the entry is proposed
	done chan struct{}         // closed when the entry was applied

	// valid once done is closed
	granted []bool
	at      core.Index
	err     error
}

func newCounter(propose func(ctx context.Context, p core.Proposal) (core.Receipt, error)) counter {
	return counter{propose: propose, turn: make(chan struct{}, underWay), mu: &sync.Mutex{}, next: new(*gathering)}
}

// reserve counts an attempt; granted says that it may be checked.
func (c counter) reserve(ctx context.Context, a core.Attempt) (granted bool, at core.Index, err error) {
	var place int
	g, err := c.order(ctx, func(cmd *command.CountAttempts) {
		place = len(cmd.Attempts)
		cmd.Attempts = append(cmd.Attempts, a)
	})
	if err != nil || place >= len(g.granted) {
		return false, 0, err
	}
	return g.granted[place], g.at, nil
}

// right gives back the attempts of a share, because one of them was right.
func (c counter) right(ctx context.Context, id core.AttemptID) (core.Index, error) {
	g, err := c.order(ctx, func(cmd *command.CountAttempts) { cmd.Right = append(cmd.Right, id) })
	if err != nil {
		return 0, err
	}
	return g.at, nil
}

// order adds something to the next entry, and returns when that was applied at home.
func (c counter) order(ctx context.Context, add func(*command.CountAttempts)) (*gathering, error) {
	c.mu.Lock()
	g := *c.next
	first := g == nil
	if first {
		g = &gathering{done: make(chan struct{})}
		*c.next = g
	}
	add(&g.cmd)
	if len(g.cmd.Attempts)+len(g.cmd.Right) == core.MaxAttemptsOnce {
		*c.next = nil
	}
	c.mu.Unlock()
	if first {
		c.run(context.WithoutCancel(ctx), g) // others wait for it, so it must not end with this one
		return g, g.err
	}
	select {
	case <-g.done:
		return g, g.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (c counter) run(ctx context.Context, g *gathering) {
	ctx, cancel := context.WithTimeout(ctx, countLimit)
	defer cancel()
	defer close(g.done)
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		g.err = context.Cause(ctx)
	}
	c.mu.Lock()
	if *c.next == g {
		*c.next = nil
	}
	c.mu.Unlock()
	if g.err == nil {
		g.err = c.count(ctx, g)
	}
}

func (c counter) count(ctx context.Context, g *gathering) error {
	data, err := command.Encode(command.Caller{}, &g.cmd)
	if err != nil {
		return err
	}
	receipt, err := c.propose(ctx, core.Proposal{ID: core.NewID[core.Proposal](time.Now()), Data: data})
	if err != nil {
		return err
	}
	var counted command.Counted
	g.granted, g.at = nil, receipt.Index
	if err := command.DecodeOutcome(receipt.Outcome, &counted); err != nil {
		return err
	}
	g.granted = counted.Granted
	return nil
}
