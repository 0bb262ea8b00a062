package node

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"time"

	"github.com/nearside/nearside/cmd/admin"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/backoff"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/region"
	"github.com/nearside/nearside/replication/forward"
	"github.com/nearside/nearside/replication/link"
	"github.com/nearside/nearside/replication/roll"
)

const (
	renewEvery = time.Minute      // how often a node looks whether its certificate should be renewed
	renewLimit = 20 * time.Second // for home to answer
)

// renewals is how long a node waits after a renewal that failed, as it does while the node starts.
var renewals = backoff.Backoff{Min: 250 * time.Millisecond, Max: renewEvery}

// renewer gets this node another key and certificate in time, and when an operator asks for it.
type renewer struct {
	dir   string
	link  *link.Endpoint
	ask   func(ctx context.Context, question []byte) ([]byte, error)
	order chan chan error // an operator waits for the result
	log   *slog.Logger
}

// renewal is the question to home, and admin.Issued the answer.
type renewal struct {
	Public []byte `json:"public_key"`
}

// run renews until ctx ends.
func (r *renewer) run(ctx context.Context) error {
	for failures := 0; ; {
		own, pause := r.link.Own(), renewEvery
		_, err := link.LoadRequest(r.dir) // one that was interrupted: home may have the new key already
		if err == nil || time.Now().After(own.Until.Add(-own.Until.Sub(own.From)/3)) {
			if err := r.renew(ctx); err != nil && ctx.Err() == nil {
				pause = renewals.After(failures)
				failures++
				r.log.Warn("the certificate of this node is not renewed yet", "ends", own.Until, "error", err)
			} else {
				failures = 0
			}
		}
		again := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			again.Stop()
			return nil
		case <-again.C:
		case said := <-r.order:
			again.Stop()
			said <- r.renew(ctx)
		}
	}
}

// rotate renews at once.
func (r *renewer) rotate(ctx context.Context) error {
	said := make(chan error, 1)
	select {
	case r.order <- said:
	case <-ctx.Done():
		return core.E(core.KindUnavailable, "this node is stopping or busy with a renewal").WithCause(context.Cause(ctx))
	}
	select {
	case err := <-said:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// renew tries until home answers, for a while.
func (r *renewer) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, renewLimit)
	defer cancel()
	for failures := 0; ; failures++ {
		err := r.try(ctx)
		if core.KindOf(err) != core.KindUnavailable || !backoff.Pause(ctx, renewals.After(failures)) {
			return err
		}
	}
}

// try makes a key, which is on disk before home knows of it: if the answer is lost, it is asked again with the same key.
func (r *renewer) try(ctx context.Context) error {
	req, err := link.LoadRequest(r.dir)
	if errors.Is(err, fs.ErrNotExist) {
		if req, err = link.NewRequest(); err == nil {
			err = req.Save(r.dir)
		}
	}
	if err != nil {
		return err
	}
	question, err := json.Marshal(renewal{Public: req.Public()})
	if err != nil {
		return err
	}
	raw, err := r.ask(ctx, question)
	if err != nil {
		return err
	}
	var got admin.Issued
	if err := json.Unmarshal(raw, &got); err != nil {
		return err
	}
	cred, err := req.Finish([]byte(got.Certificate), []byte(got.Authority))
	if err == nil {
		err = cred.Save(r.dir)
	}
	if err == nil {
		err = r.link.Renew(cred)
	}
	if err == nil {
		r.log.Info("this node has another key and certificate", "ends", cred.Peer().Until)
	}
	return err
}

// startRenewal renews this node's certificate while it runs; ask asks home.
func (n *Node) startRenewal(s *stages, ep *link.Endpoint, ask func(context.Context, []byte) ([]byte, error)) {
	if n.cfg.Identity != nil {
		return // a test's, which is in no directory
	}
	r := &renewer{dir: n.cfg.PKI, link: ep, ask: ask, order: make(chan chan error), log: n.log}
	n.update(func(p *parts) { p.renewer = r })
	s.start("renewal of the certificate", stopInner, r.run)
}

// answerRenewals answers nodes that ask for another certificate, at the leader. A node gets one with the name, region and roles that the
// log has, and with the key that it asks for.
func (n *Node) answerRenewals(reg *region.Region, admitted *roll.Roll) forward.AskHandler {
	return func(ctx context.Context, peer link.Identity, question []byte) ([]byte, error) {
		return n.renewFor(ctx, reg, admitted, peer.Node, question)
	}
}

func (n *Node) renewFor(ctx context.Context, reg *region.Region, admitted *roll.Roll, name string, question []byte) ([]byte, error) {
	var in renewal
	if err := json.Unmarshal(question, &in); err != nil {
		return nil, core.E(core.KindInvalid, "the question for a certificate cannot be read").WithCause(err)
	}
	key, err := link.KeyOf(in.Public)
	if err != nil {
		return nil, err
	}
	if !reg.IsLeader() {
		return nil, core.E(core.KindUnavailable, "this home node does not lead")
	}
	node, known := admitted.Of(name)
	if !known {
		return nil, core.E(core.KindForbidden, "%s is not admitted", name)
	}
	ca, err := admin.Issuer(n.cfg.PKI, time.Now())
	if err != nil {
		return nil, err
	}
	certificate, authority, err := ca.Certify(link.IdentityOf(node.Name, node.Region, node.Roles), in.Public, time.Now(), link.NodeValidity)
	if err != nil {
		return nil, err
	}
	if err := admin.Plain(n.order(ctx, reg, &command.RenewNode{Name: name, Was: node.Key, Key: key})); err != nil {
		return nil, err
	}
	return json.Marshal(admin.Issued{Certificate: string(certificate), Authority: string(authority)})
}
