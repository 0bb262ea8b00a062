package node

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/region"
)

// The states of a node. In any but ready it may give wrong answers, or none, and readyz says so.
const (
	stateStarting   = "starting"
	stateReady      = "ready"
	stateRebuilding = "rebuilding"  // the replica has another history than home, and is being replaced
	stateStuck      = "stuck"       // an entry is unknown to this version, or cannot be applied: answers get older and older
	stateDiffers    = "differs"     // the home nodes differ, and no majority agrees
	stateRefused    = "refused"     // home does not let this node take part, for example because it was revoked
	stateWaiting    = "waiting"     // a home node that does not take part yet, because its disk may not have everything
	stateDatabase   = "no database" // it does not answer
)

// StateReadOnly says that home has no majority: nothing can be written; what is read is right.
const StateReadOnly = "read-only"

// How often the database is asked whether it works, and how long it may take to answer.
const (
	databaseEvery = time.Second
	databaseLimit = 3 * time.Second
)

// condition says what is wrong with a running node; empty strings: nothing.
type condition struct {
	serving    bool
	rebuilding bool
	stuck      string // why the log cannot be applied any further
	differs    string // how the home nodes differ
	waiting    string // why a home node does not take part yet
	readOnly   string // why nothing can be written
	database   string // why the database cannot be used
	refused    string // why home refuses this node
}

// state gives the worst state and its reason.
func (c condition) state() (state, reason string) {
	switch {
	case c.stuck != "":
		return stateStuck, c.stuck
	case c.rebuilding:
		return stateRebuilding, "what this node holds is not what home has; it is being replaced"
	case c.differs != "":
		return stateDiffers, c.differs
	case c.database != "":
		return stateDatabase, c.database
	case c.refused != "":
		return stateRefused, "home refuses this node: " + c.refused
	case c.waiting != "":
		return stateWaiting, c.waiting
	case c.readOnly != "":
		return StateReadOnly, c.readOnly
	case !c.serving:
		return stateStarting, ""
	}
	return stateReady, ""
}

// health says whether the node's answers can be trusted, and why not.
func (n *Node) health(p *parts) (state, reason string) {
	c := condition{serving: p.serving, rebuilding: p.rebuilding(), stuck: textOf(n.stuck.Load()), database: textOf(n.noDatabase.Load())}
	if p.replica != nil && c.stuck == "" {
		c.stuck = stuckAt(p.replica.Stuck())
	}
	if p.link != nil {
		c.refused = p.link.Refusal()
	}
	switch {
	case p.region != nil:
		st := p.region.Status()
		c.differs, c.waiting, c.readOnly = st.Differs, st.Waiting, homeReadOnly(st)
	case p.follower != nil && noMajority(p.follower.Status()):
		c.readOnly = "home has had no majority for " + since(p.follower.Status().LedAt) + ": too few of its nodes reach each other"
	}
	return c.state()
}

// stuckAt says at which entry a replica comes no further; "" if there is none.
func stuckAt(s *core.Stuck) string {
	if s == nil {
		return ""
	}
	return fmt.Sprintf("%v; see `nearside log show %d`", s, s.Index)
}

// homeReadOnly says why a home node cannot order anything; "" if it can.
func homeReadOnly(st region.Status) string {
	if st.Short != "" {
		return st.Short
	}
	if d := time.Duration(st.Leaderless) * time.Millisecond; d >= noMajorityAfter {
		return "no leader for " + d.Round(time.Second).String() + ": this node does not reach enough of the home nodes " + names(st.Voters)
	}
	return ""
}

func names(voters []region.Voter) string {
	var all []string
	for _, v := range voters {
		all = append(all, v.Node)
	}
	return strings.Join(all, ", ")
}

func since(t time.Time) string { return time.Since(t).Round(time.Second).String() }

func textOf(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// standing runs what applies the log. If that meets an entry that this version does not know, the node does
// not stop: it goes on serving what it has until it is upgraded.
func (n *Node) standing(run func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		err := run(ctx)
		if core.KindOf(err) != core.KindUpgrade {
			return err
		}
		why := core.AsError(err).Error()
		n.stuck.Store(&why)
		n.log.Error("the log cannot be applied any further: upgrade this node; until then it serves what it has", "error", err)
		<-ctx.Done()
		return nil
	}
}

// watchDatabase asks the database again and again whether it works, until ctx ends.
func (n *Node) watchDatabase(ask func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		tick := time.NewTicker(databaseEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
			n.askDatabase(ctx, ask)
		}
	}
}

func (n *Node) askDatabase(ctx context.Context, ask func(context.Context) error) {
	limited, cancel := context.WithTimeout(ctx, databaseLimit)
	defer cancel()
	err := ask(limited)
	if ctx.Err() != nil {
		return
	}
	before, why := textOf(n.noDatabase.Load()), ""
	if err != nil {
		why = "the database does not answer: " + err.Error()
	}
	n.noDatabase.Store(&why)
	switch {
	case why != "" && before == "":
		n.log.Error("the database does not answer", "error", err)
	case why == "" && before != "":
		n.log.Info("the database answers again")
	}
}
