package api

import (
	"context"
	"errors"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
)

// Limits of writing.
const (
	proposeLimit = 10 * time.Second // for home to order and apply
	applyLimit   = 5 * time.Second  // for this edge to apply it
)

// Propose has a command ordered for the caller, waits until this edge has applied it, and reads
// its result into out, which may be nil. A refusal is returned as the error.
func (c *Call) Propose(cmd command.Command, out any) error {
	return c.ProposeAs(core.NewID[core.Proposal](time.Now()), cmd, out)
}

// ProposeAs is Propose with an id by which home recognises a repeated proposal.
func (c *Call) ProposeAs(id core.ProposalID, cmd command.Command, out any) error {
	return c.propose(id, cmd, nil, out)
}

// propose proposes a command with its sealed values. The proof shows home that this edge was shown the
// session's token.
func (c *Call) propose(id core.ProposalID, cmd command.Command, sealed [][]byte, out any) error {
	if err := c.api.local.writable(); err != nil {
		return err
	}
	scope, err := c.api.cfg.Scope(c, cmd)
	if err != nil {
		return err
	}
	by := command.Caller{Session: c.Session.ID}
	by.Connection, _ = core.ParseID[core.Connection](c.Request.Header.Get("Connection-Id"))
	if _, ends := cmd.(*command.EndSession); ends {
		c.api.refused.last(c, c.Session.ID)
	}
	if command.TraceOf(cmd).Kind != 0 {
		by.Address = c.Address.WithZone("").String()
	}
	data, err := command.Encode(by, cmd)
	if err != nil {
		return err
	}
	p := core.Proposal{ID: id, Scope: scope, Data: data, Sealed: sealed}
	if c.Token != "" {
		p.Proof = core.HashToken(c.Token).ProofKey().Prove(&p)
	}
	receipt, err := c.order(p)
	if err != nil {
		return err
	}
	c.Follow(receipt.Index)
	return command.DecodeOutcome(receipt.Outcome, out)
}

// Changed proposes a command, and returns what the command has made or changed, read by its key
// at this edge. If this edge does not apply it in time, the error says that the change may have
// been made.
func Changed[T, K any](c *Call, cmd command.Command, find func(context.Context, K) (T, bool, error), key K) (v T, err error) {
	if err := c.Propose(cmd, nil); err != nil {
		return v, err
	}
	return ReadBack(c, find, key)
}

// ChangedSealed is Changed for a command with sealed values.
func ChangedSealed[T, K any](c *Call, cmd command.Command, sealed [][]byte, find func(context.Context, K) (T, bool, error), key K) (v T, err error) {
	if err := c.propose(core.NewID[core.Proposal](time.Now()), cmd, sealed, nil); err != nil {
		return v, err
	}
	return ReadBack(c, find, key)
}

// Made proposes a command that makes an object, and returns the object as this edge reads it afterwards.
func Made[T any](c *Call, cmd command.Command, find func(context.Context, core.ID[T]) (T, bool, error)) (v T, err error) {
	var made command.Made
	if err := c.Propose(cmd, &made); err != nil {
		return v, err
	}
	return ReadBack(c, find, core.ID[T](made.ID))
}

// ReadBack returns what a proposed command has made or changed.
func ReadBack[T, K any](c *Call, find func(context.Context, K) (T, bool, error), key K) (v T, err error) {
	if c.behind {
		return v, core.E(core.KindTimeout, "")
	}
	v, ok, err := find(c, key)
	if err == nil && !ok { // it has been deleted since
		err = core.E(core.KindNotFound, "")
	}
	return v, err
}

// Behind reports whether this edge could not follow in time what was proposed.
func (c *Call) Behind() bool { return c.behind }

func (c *Call) order(p core.Proposal) (core.Receipt, error) {
	leave, err := c.proposing()
	if err != nil {
		return core.Receipt{}, err
	}
	defer leave()
	defer since(time.Now(), &c.Spent.Propose)
	ctx, cancel := context.WithTimeout(c.Context, proposeLimit)
	defer cancel()
	receipt, err := c.api.cfg.Proposer.Propose(ctx, p)
	if err != nil && core.KindOf(err) == core.KindInternal && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return receipt, core.E(core.KindTimeout, "").WithCause(err)
	}
	return receipt, err
}

// Follow waits until this edge has applied an index, so that the client can read what it wrote.
// If this edge is too slow, the write is still valid: the position in the answer makes other
// answers wait for it.
func (c *Call) Follow(i core.Index) {
	defer since(time.Now(), &c.Spent.Follow)
	view := c.api.local.view
	if view.Position().Index < i { // at home it is not
		ctx, cancel := context.WithTimeout(c.Context, applyLimit)
		defer cancel()
		if err := view.WaitApplied(ctx, i); err != nil {
			c.behind = true
			c.Log().Warn("slow to follow", "index", i, "error", err)
		}
	}
	c.seen = core.Position{Epoch: view.Position().Epoch, Index: max(i, c.seen.Index)}
	c.api.local.CatchUp()
}
