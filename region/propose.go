package region

import (
	"context"
	"errors"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/backoff"
)

// Refusals, whose ids tell a peer what to do. The ids are append-only.
var (
	diskFull   = core.Refusal{Kind: core.KindUnavailable, ID: "nearside.home.disk_full"}
	busy       = core.Refusal{Kind: core.KindUnavailable, ID: "nearside.home.busy"}
	notLeader  = core.Refusal{Kind: core.KindUnavailable, ID: "nearside.home.not_leader"}
	canceled   = core.Refusal{Kind: core.KindCanceled, ID: "api.nearside.canceled.app_error"}
	timeout    = core.Refusal{Kind: core.KindTimeout, ID: "api.nearside.timeout.app_error"}
	tooLarge   = core.Refusal{Kind: core.KindTooLarge, ID: "api.context.request_body_too_large.app_error"}.With("reason", "max", "max", core.MaxProposalBytes)
	noID       = core.Refusal{Kind: core.KindInvalid, ID: "api.context.invalid_body_param.app_error"}
	stuckThere = core.Refusal{Kind: core.KindUnavailable, ID: "nearside.home.stuck"}
	few        = core.Refusal{Kind: core.KindUnavailable, ID: "nearside.home.few_voters"}
	stopped    = core.Refusal{Kind: core.KindUnavailable, ID: "nearside.home.stopped"}
)

// Propose orders a proposal of this node's own, here or by handing it to the leader, and gives its
// receipt once it is committed and applied at the leader. During elections it tries again with the same
// id, until ctx or Config.ProposeTimeout ends. A Temporary error means that the effect is unknown;
// KindTooLarge and KindInvalid mean that there is none.
func (r *Region) Propose(ctx context.Context, p core.Proposal) (core.Receipt, error) {
	return r.limited(ctx, p, func(ctx context.Context) (core.Receipt, error) {
		return r.attempts(ctx, p, r.order)
	})
}

// Accept is like Propose for a proposal of another node. The leader checks it first; other nodes do not.
func (r *Region) Accept(ctx context.Context, p core.Proposal) (core.Receipt, error) {
	return r.limited(ctx, p, func(ctx context.Context) (core.Receipt, error) {
		return r.attempts(ctx, p, r.checkAndOrder)
	})
}

// Order checks and orders a proposal if this node leads, and refuses at once with KindUnavailable if it
// does not. The far side of Config.Handover calls it and not Propose. Otherwise two nodes that each
// believe that the other leads would hand a proposal to each other again and again.
func (r *Region) Order(ctx context.Context, p core.Proposal) (core.Receipt, error) {
	return r.limited(ctx, p, func(ctx context.Context) (core.Receipt, error) {
		for v := r.lead.view(); v.leads && !v.ready; v = r.lead.view() {
			if err := r.wait(ctx, v.changed); err != nil {
				return core.Receipt{}, err
			}
		}
		rec, err := r.checkAndOrder(ctx, p)
		if errors.Is(err, errRetry) {
			err = notLeader.With("reason", "node")
		}
		return rec, err
	})
}

// ProposeHere orders a proposal of this node's own if this node leads, and refuses with KindUnavailable if
// it does not, or does not any more: the effect is then unknown. It is for what only the leader may propose,
// which must not be handed over: the next leader would take it for an edge's.
func (r *Region) ProposeHere(ctx context.Context, p core.Proposal) (core.Receipt, error) {
	return r.limited(ctx, p, func(ctx context.Context) (core.Receipt, error) {
		rec, err := r.order(ctx, p)
		if errors.Is(err, errRetry) {
			err = notLeader.With("reason", "node")
		}
		return rec, err
	})
}

// limited admits a proposal and gives do a deadline.
func (r *Region) limited(ctx context.Context, p core.Proposal, do func(context.Context) (core.Receipt, error)) (core.Receipt, error) {
	if len(p.Data) > core.MaxProposalBytes {
		return core.Receipt{}, tooLarge
	}
	if p.ID.IsZero() {
		return core.Receipt{}, noID
	}
	if err := core.CheckSealed(p.Sealed); err != nil {
		return core.Receipt{}, err
	}
	size := int64(len(p.Data) + sealedSize(p.Sealed))
	defer r.leave(size)
	if !r.enter(size) {
		return core.Receipt{}, busy
	}
	if end, ok := ctx.Deadline(); !ok || time.Until(end) > r.cfg.ProposeTimeout {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.cfg.ProposeTimeout)
		defer cancel()
	}
	if err := r.waitStarted(ctx); err != nil {
		return core.Receipt{}, err
	}
	if err := r.stuckRefusal(); err != nil {
		return core.Receipt{}, err
	}
	return do(ctx)
}

func (r *Region) enter(size int64) bool {
	n, b := r.inFlight.Add(1), r.inFlightBytes.Add(size)
	return n <= int64(r.cfg.MaxInFlight) && b <= r.cfg.MaxInFlightBytes
}

func (r *Region) leave(size int64) {
	r.inFlight.Add(-1)
	r.inFlightBytes.Add(-size)
}

// repeats are the pauses between two attempts to propose.
var repeats = backoff.Backoff{Min: 10 * time.Millisecond, Max: 200 * time.Millisecond}

// attempts repeats an attempt while the error is errRetry. A change of leadership ends a pause early; the
// pause is for a leader that is known but does not answer.
func (r *Region) attempts(ctx context.Context, p core.Proposal, order orderFunc) (core.Receipt, error) {
	for n := 0; ; n++ {
		v := r.lead.view()
		rec, err := r.attempt(ctx, v, p, order)
		if !errors.Is(err, errRetry) {
			return rec, err
		}
		if r.Leaderless() >= r.cfg.NoMajorityAfter {
			return core.Receipt{}, core.NoMajority.WithCause(err)
		}
		if ended := r.waitAtMost(ctx, v.changed, repeats.After(n)); ended != nil {
			return core.Receipt{}, noLeader(ctx, ended, err)
		}
	}
}

func noLeader(ctx context.Context, ended, last error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return notLeader.WithCause(last)
	}
	return ended
}

// orderFunc orders at the leader: order or checkAndOrder.
type orderFunc func(context.Context, core.Proposal) (core.Receipt, error)

func (r *Region) attempt(ctx context.Context, v view, p core.Proposal, order orderFunc) (core.Receipt, error) {
	switch {
	case v.ready:
		return order(ctx, p)
	case v.node != "" && v.node != r.cfg.Node:
		return r.handOver(ctx, v, p)
	}
	return core.Receipt{}, errRetry
}

// handOver gives the proposal to the known leader. It gives up as soon as another node leads.
func (r *Region) handOver(ctx context.Context, v view, p core.Proposal) (core.Receipt, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(v.ctx, cancel)()
	rec, err := r.cfg.Handover(ctx, r.addrOf(v.node), p)
	if err == nil {
		return rec, nil
	}
	var e *core.Error
	if errors.As(err, &e) && final(e) {
		return core.Receipt{}, err
	}
	return core.Receipt{}, errors.Join(errRetry, err)
}

// final reports whether the leader has refused the proposal itself, not because it no longer leads or
// cannot be reached. A command of a later log version is refused until all nodes are upgraded; repeating it
// at once would not help, so that is final too.
func final(e *core.Error) bool {
	if e.Kind == core.KindUnavailable {
		return e.ID == diskFull.ID || e.ID == busy.ID || e.ID == few.ID || e.ID == stuckThere.ID || e.Args["reason"] == "later_version"
	}
	return !e.Kind.Temporary() && e.Kind != core.KindCanceled
}

// checkAndOrder orders a proposal if the check accepts it.
func (r *Region) checkAndOrder(ctx context.Context, p core.Proposal) (core.Receipt, error) {
	p, err := r.cfg.Check(ctx, p)
	if err != nil {
		return core.Receipt{}, err
	}
	return r.order(ctx, p)
}

// order queues the proposal for the stamper and waits for the receipt.
func (r *Region) order(ctx context.Context, p core.Proposal) (core.Receipt, error) {
	if err := r.disk.refusal(); err != nil {
		return core.Receipt{}, err
	}
	if why := r.short.Load(); why != nil {
		return core.Receipt{}, few.With("why", *why)
	}
	began := time.Now()
	w := &waiter{id: p.ID, data: encodeEntry(p), done: make(chan result, 1)}
	select {
	case r.queue <- w:
	case <-ctx.Done():
		return core.Receipt{}, unknown(ctx)
	case <-r.ended:
		return core.Receipt{}, stopped
	}
	select {
	case res := <-w.done:
		if res.err == nil {
			r.metrics.order.Observe(time.Since(began).Seconds())
			r.cfg.Tracer.Did("order", p.ID, began, "index", res.receipt.Index)
		}
		return res.receipt, res.err
	case <-ctx.Done():
		r.lead.forget(w)
		return core.Receipt{}, unknown(ctx)
	case <-r.ended:
		return core.Receipt{}, stopped
	}
}

// unknown gives the error of a wait that ended although the proposal may still be ordered.
func unknown(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return canceled.WithCause(context.Cause(ctx))
	}
	return timeout.WithCause(context.Cause(ctx))
}

func (r *Region) waitStarted(ctx context.Context) error { return r.wait(ctx, r.started) }

// wait waits for a channel to be closed, ctx to end or the region to end.
func (r *Region) wait(ctx context.Context, c <-chan struct{}) error {
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return unknown(ctx)
	case <-r.ended:
		return stopped
	}
}

// waitAtMost is like wait, but returns nil after d.
func (r *Region) waitAtMost(ctx context.Context, c <-chan struct{}, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-c:
		return nil
	case <-ctx.Done():
		return unknown(ctx)
	case <-r.ended:
		return stopped
	}
}
