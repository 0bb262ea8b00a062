package node

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/read"
	"github.com/nearside/nearside/core/trail"
	"github.com/nearside/nearside/region"
	"github.com/nearside/nearside/replication/forward"
)

// startTrail starts what home adds to the audit trail, and removes from it.
func (n *Node) startTrail(s *stages, reg *region.Region) (*trail.Trail, error) {
	t, err := trail.New(trail.Config{
		Propose: reg.ProposeHere, Leads: reg.IsLeader, Retention: time.Duration(n.cfg.Audit.RetentionDays) * 24 * time.Hour, Logger: n.log,
	})
	if err != nil {
		return nil, err
	}
	s.start("audit trail", stopInner, t.Run)
	return t, nil
}

var errManyDeeds = errors.New("too much waits for home already")

// startDeeds starts what tells home what operators do at this node.
func (n *Node) startDeeds(s *stages, fwd *forward.Client) {
	tell := func(ctx context.Context, d trail.Deed) error {
		if p := n.parts.Load(); p.trail != nil && p.region.IsLeader() {
			return p.trail.Tell(ctx, n.cfg.Name, d)
		}
		question, err := d.Question()
		if err == nil {
			_, err = fwd.Ask(ctx, askTrail, question)
		}
		return err
	}
	s.start("audits of operators", stopInner, func(ctx context.Context) error { return n.deeds.Run(ctx, tell, n.deedLost) })
}

// deedLost logs what an operator has done if home has not taken it.
func (n *Node) deedLost(a core.Audit, err error) {
	n.log.Warn("what an operator has done is not in the audit trail", "actor", a.Actor, "address", a.Address, "action", a.Action, "object", a.Object, "result", a.Result, "err", err)
}

// startLines starts what writes the audit trail into a file.
func (n *Node) startLines(s *stages) error {
	if n.cfg.Audit.File == "" {
		return nil
	}
	p := n.parts.Load()
	store := read.New(p.db, nil)
	lines, err := trail.NewLines(trail.LinesConfig{
		Path: n.cfg.Audit.File, Place: filepath.Join(n.cfg.Data, "audit.place"), MaxBytes: int64(n.cfg.Audit.MaxMB) << 20,
		After: func(ctx context.Context, number int64, limit int) ([]core.Audit, error) {
			return store.Audits(ctx, read.AuditFilter{After: number, Onward: true}, read.Page{Size: limit})
		},
		Last: store.LastAudit, Changed: p.replica.Position, Logger: n.log,
	})
	if err != nil {
		return err
	}
	s.start("audit file", stopInner, lines.Run)
	return nil
}
