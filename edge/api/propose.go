package api

import (
	"context"
	"errors"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/read"
)

// Limits of writing.
const (
	proposeLimit = 10 * time.Second // for home to order and apply
	applyLimit   = 5 * time.Second  // for this edge to follow
)

// propose has a command ordered on behalf of who asks, waits until this edge has applied it,
// and reads its result into out, which may be nil. A refusal is the error.
func (c *call) propose(_ core.TeamID, cmd command.Command, out any) error {
	a := c.api
	if !a.cfg.View.Link().Connected {
		return core.E(core.KindUnavailable, "")
	}
	data, err := command.Encode(command.Caller{Session: c.session.ID}, cmd)
	if err != nil {
		return err
	}
	at := whereabouts{a.cfg.Read.Places(c.ctx), c}
	scope := command.ScopeOf(cmd, at)
	if at.Err != nil {
		return at.Err
	}
	receipt, err := c.order(core.Proposal{ID: c.proposalID(cmd), Scope: scope, Data: data})
	if err != nil {
		return err
	}
	c.follow(receipt.Index)
	return command.DecodeOutcome(receipt.Outcome, out)
}

// proposalID gives a new id, but for a post that names its pending id always the same: a client
// that sends it again gets the first post.
func (c *call) proposalID(cmd command.Command) core.ProposalID {
	if p, ok := cmd.(*command.CreatePost); ok && p.Post.PendingPostID != "" {
		return core.DeriveID[core.Proposal]("pending post", c.user.ID.String(), p.Post.PendingPostID)
	}
	return core.NewID[core.Proposal](time.Now())
}

// whereabouts implements command.Places with what this edge has in memory.
type whereabouts struct {
	*read.Places
	c *call
}

// TeamOfChannel gives the team that a channel is in.
func (w whereabouts) TeamOfChannel(id core.ChannelID) core.TeamID {
	if id.IsZero() {
		return core.TeamID{}
	}
	ch, err := w.c.api.facts.channel(w.c.ctx, id)
	if err != nil && core.KindOf(err) != core.KindNotFound && w.Err == nil {
		w.Err = err
	}
	return ch.TeamID
}

func (c *call) order(p core.Proposal) (core.Receipt, error) {
	ctx, cancel := context.WithTimeout(c.ctx, proposeLimit)
	defer cancel()
	receipt, err := c.api.cfg.Proposer.Propose(ctx, p)
	if err != nil && core.KindOf(err) == core.KindInternal && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return receipt, core.E(core.KindTimeout, "").WithCause(err)
	}
	return receipt, err
}

// follow waits until this edge has applied an index, so that the client reads what it wrote.
// When this edge is too slow the write stands all the same: the answer says by its position
// that other answers have to wait for it.
func (c *call) follow(i core.Index) {
	view := c.api.cfg.View
	ctx, cancel := context.WithTimeout(c.ctx, applyLimit)
	defer cancel()
	if err := view.WaitApplied(ctx, i); err != nil {
		c.api.log.Warn("slow to follow", "index", i, "error", err)
	}
	c.seen = core.Position{Epoch: view.Position().Epoch, Index: max(i, c.seen.Index)}
	c.api.facts.catchUp()
}
