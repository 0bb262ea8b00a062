package node

import (
	"time"

	"github.com/nearside/nearside/core/trail"
	"github.com/nearside/nearside/region"
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
