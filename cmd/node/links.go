package node

import (
	"context"
	"fmt"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/pg"
	"github.com/nearside/nearside/core/proof"
	"github.com/nearside/nearside/core/read"
	"github.com/nearside/nearside/core/replica"
	"github.com/nearside/nearside/core/tasks"
	"github.com/nearside/nearside/core/trail"
	"github.com/nearside/nearside/edge"
	"github.com/nearside/nearside/edge/api"
	"github.com/nearside/nearside/edge/api/access"
	"github.com/nearside/nearside/region"
	"github.com/nearside/nearside/replication"
	"github.com/nearside/nearside/replication/blob"
	"github.com/nearside/nearside/replication/follower"
	"github.com/nearside/nearside/replication/forward"
	"github.com/nearside/nearside/replication/gossip"
	"github.com/nearside/nearside/replication/hub"
	"github.com/nearside/nearside/replication/link"
	"github.com/nearside/nearside/replication/signal"
)

// The sides do not import each other, so it is checked here that their types fit.
var (
	_ replication.Source  = (*region.Region)(nil)
	_ replication.Sink    = (*replica.Sink)(nil)
	_ replication.Orderer = orderer(nil)
	_ region.Machine      = (*replica.Replica)(nil)
	_ region.Network      = (*link.Streams)(nil)
	_ edge.Proposer       = orderer(nil)
	_ edge.Proposer       = (*forward.Client)(nil)
	_ edge.Signals        = (*signal.Relay)(nil)
	_ edge.View           = (*homeView)(nil)
	_ edge.View           = (*awayView)(nil)
)

// The kinds of questions that are asked at home; they are append-only.
const (
	askEdge   byte = 1 // by edges; edge/api says what they are
	askGuard  byte = 2 // by edges: whether a secret is right; core/guard says what they are
	askPKI    byte = 3 // by every node: another certificate for itself
	askTrail  byte = 5 // by all nodes: that an operator has done something there, for the audit trail
	askRegion byte = 4 // by home nodes; region says what they are
)

const pollEvery = 5 * time.Millisecond // while waiting for a leader or the first entries, at start only

// outside is what an edge needs from the rest of the deployment. The edge does not know whether that is the
// region in this process or a link to it.
type outside struct {
	proposer edge.Proposer
	view     edge.View
	signals  edge.Signals
	asker    edge.Asker // nil: no node has newer state than this one
	guard    access.Guard
	blobs    *keeping // where the bytes of files are
}

// startLink starts the link, and the region at home or a follower elsewhere.
func (n *Node) startLink(ctx context.Context, s *stages, cred *link.Credentials) (*outside, error) {
	socket := n.cfg.Socket
	if socket == nil {
		var err error
		if socket, err = link.Bind(n.cfg.Link.Listen); err != nil {
			return nil, core.E(core.KindUnavailable, "link.listen: cannot listen on %s", n.cfg.Link.Listen).WithCause(err)
		}
	}
	s.onStop("link socket", func() { _ = socket.Close() }) // the endpoint closes it too, once it runs
	admitted, err := n.newRoll(ctx)
	if err != nil {
		return nil, err
	}
	ep, err := link.New(link.Config{Conn: socket, Credentials: cred, Admission: admitted, Distance: n.far.link, Metrics: n.metrics.registry, Logger: n.log})
	if err != nil {
		return nil, err
	}
	n.update(func(p *parts) { p.link, p.roll = ep, admitted })
	relay := signal.New()
	if n.cfg.Is(RoleHome) {
		return n.startHome(ctx, s, ep, relay)
	}
	return n.startAway(ctx, s, ep, relay)
}

// runLink starts the endpoint once every class has its handler.
func (n *Node) runLink(s *stages, ep *link.Endpoint) error {
	g, err := gossip.New(gossip.Config{
		Endpoint: ep, Advertise: n.linkAddr(ep), Join: n.meet, Position: n.parts.Load().replica.Position, Logger: n.log,
	})
	if err != nil {
		return err
	}
	n.startAdmission(s, ep, n.parts.Load().roll)
	s.start("link", stopInner, ep.Run)
	s.start("gossip", stopInner, g.Run)
	n.update(func(p *parts) { p.gossip = g })
	return nil
}

// linkAddr gives the address at which others reach this node.
func (n *Node) linkAddr(ep *link.Endpoint) string {
	if n.cfg.Link.Advertise != "" {
		return n.cfg.Link.Advertise
	}
	for _, h := range n.cfg.Home {
		if h.Node == n.cfg.Name {
			return h.Addr
		}
	}
	return ep.Addr()
}

// meet gives the addresses at which gossip begins.
func (n *Node) meet() []string {
	if len(n.cfg.Join) > 0 {
		return n.cfg.Join
	}
	return n.otherHomes()
}

func (n *Node) otherHomes() []string {
	var addrs []string
	for _, h := range n.cfg.Home {
		if h.Node != n.cfg.Name {
			addrs = append(addrs, h.Addr)
		}
	}
	return addrs
}

// startHome starts the region at this home node.
func (n *Node) startHome(ctx context.Context, s *stages, ep *link.Endpoint, relay *signal.Relay) (*outside, error) {
	if err := n.initialise(); err != nil {
		return nil, err
	}
	rep := n.parts.Load().replica
	var reg *region.Region
	fwd, err := forward.New(forward.Config{Endpoint: ep, Logger: n.log, Candidates: func() []string {
		_, leader, _ := reg.Leader()
		return n.homesFrom(leader)
	}})
	if err != nil {
		return nil, err
	}
	if reg, err = n.newRegion(ep, rep, fwd); err != nil {
		return nil, err
	}
	view := &homeView{rep, reg}
	trail, err := n.startTrail(s, reg)
	if err != nil {
		return nil, err
	}
	guards, err := n.startGuard(ctx, s, reg, fwd, trail)
	if err != nil {
		return nil, err
	}
	h, err := n.handleLinks(ep, reg, relay, view, guards, trail)
	if err != nil {
		return nil, err
	}
	keep, err := n.startOrigin(ctx, s, ep)
	if err != nil {
		return nil, err
	}
	if err := n.runLink(s, ep); err != nil {
		return nil, err
	}
	s.onStop("forwarding", func() { _ = fwd.Close() })
	n.startRenewal(s, ep, func(ctx context.Context, question []byte) ([]byte, error) {
		if reg.IsLeader() {
			return n.renewFor(ctx, reg, n.parts.Load().roll, n.cfg.Name, question)
		}
		return fwd.Ask(ctx, askPKI, question)
	})
	if others := n.otherHomes(); len(others) > 0 {
		mesh, err := signal.NewMesh(signal.MeshConfig{Endpoint: ep, Relay: relay, Homes: n.otherHomes, Logger: n.log})
		if err != nil {
			return nil, err
		}
		s.start("signals", stopInner, mesh.Run)
	}
	s.start("region", stopRegion, n.standing(reg.Run))
	n.update(func(p *parts) { p.region, p.hub, p.trail = reg, h, trail })
	s.start("admission of home nodes", stopInner, n.admitHomes(reg, ep, n.parts.Load().roll))
	n.startDeeds(s, fwd)
	out := &outside{proposer: ownEdge(reg, rep.LogVersion), view: view, signals: relay, guard: guards, blobs: keep}
	if len(n.cfg.Home) > 1 {
		out.asker = asker{fwd} // the leader may be ahead of this node
	}
	if err := n.awaitLeader(ctx, s, reg); err != nil {
		return nil, err
	}
	if err := n.startTasks(s, reg); err != nil {
		return nil, err
	}
	if err := n.startUpgrade(s, reg); err != nil {
		return nil, err
	}
	return out, n.startKeeping(ctx, s, keep, reg)
}

// startTasks starts the worker that finishes tasks.
func (n *Node) startTasks(s *stages, reg *region.Region) error {
	w, err := tasks.New(tasks.Config{
		Tasks: read.New(n.parts.Load().db, nil).Tasks, Propose: reg.Propose, Leads: reg.IsLeader, Logger: n.log,
	})
	if err != nil {
		return err
	}
	s.start("tasks", stopInner, w.Run)
	return nil
}

// newRegion makes this node's part of the region.
func (n *Node) newRegion(ep *link.Endpoint, rep *replica.Replica, fwd *forward.Client) (*region.Region, error) {
	db := n.parts.Load().db
	peers, err := proof.New(proof.Config{
		LogVersion: rep.LogVersion, Attempt: read.New(db, nil).Attempt, OpenServer: n.openServer(), Quota: n.cfg.Files.quota(),
		Token: func(ctx context.Context, s core.SessionID) (core.TokenHash, bool, error) {
			return pg.TokenOf(ctx, db, s)
		},
	})
	if err != nil {
		return nil, err
	}
	return region.New(region.Config{
		Node: n.cfg.Name, Dir: regionDir(n.cfg.Data), Voters: votersOf(n.cfg, ep.Addr()), Machine: rep, Network: ep.Streams(link.ClassRaft),
		Handover: fwd.ProposeTo,
		Check:    peers.Check,
		Fetch: func(ctx context.Context, addr string, _ core.Position) error {
			return follower.Fetch(ctx, follower.FetchConfig{
				Endpoint: ep, Candidates: func() []string { return []string{addr} }, Sink: rep.Sink(), Logger: n.log,
			})
		},
		Ask: func(ctx context.Context, addr string, question []byte) ([]byte, error) {
			return fwd.AskAt(ctx, addr, askRegion, question)
		},
		ElectionTimeout: n.cfg.Tuning.ElectionTimeout, SnapshotEvery: n.cfg.Tuning.SnapshotEvery,
		SnapshotThreshold: n.cfg.Tuning.SnapshotThreshold, TrailingLogs: n.cfg.Tuning.TrailingLogs, Metrics: n.metrics.registry, Tracer: n.tracer, Logger: n.log,
		WitnessDir: n.cfg.Tuning.WitnessDir,
	})
}

// handleLinks serves followers and proposals.
func (n *Node) handleLinks(ep *link.Endpoint, reg *region.Region, relay *signal.Relay, view *homeView, guards *homeGuard, trail *trail.Trail) (*hub.Hub, error) {
	h, err := hub.New(hub.Config{Source: reg, Relay: relay, Logger: n.log, Leader: func() (string, bool) {
		_, addr, _ := reg.Leader()
		return addr, reg.IsLeader()
	}})
	if err != nil {
		return nil, err
	}
	srv, err := forward.NewServer(forward.ServerConfig{
		Orderer: orderer(reg.Accept), Direct: orderer(reg.Order), Logger: n.log,
		Handlers: map[byte]forward.AskHandler{
			askEdge: answers(api.AnswerPosition(view)), askGuard: answers(guards.here.Answer), askRegion: answers(reg.Answer),
			askPKI: n.answerRenewals(reg, n.parts.Load().roll),
			askTrail: func(ctx context.Context, from link.Identity, deed []byte) ([]byte, error) {
				return trail.Answer(ctx, from.Node, deed)
			},
		},
	})
	if err != nil {
		return nil, err
	}
	ep.Handle(link.ClassLog, h.Serve)
	ep.Handle(link.ClassForward, srv.Serve)
	return h, nil
}

// openServer reports whether anybody may sign up, as this node is configured. At home it decides; at an edge it is
// what clients are told.
func (n *Node) openServer() bool { return n.cfg.Open == nil || *n.cfg.Open }

// answers gives a handler that answers every peer.
func answers(answer func(ctx context.Context, question []byte) ([]byte, error)) forward.AskHandler {
	return func(ctx context.Context, _ link.Identity, question []byte) ([]byte, error) {
		return answer(ctx, question)
	}
}

// asker puts an edge's questions to home.
type asker struct{ fwd *forward.Client }

// Ask implements edge.Asker.
func (a asker) Ask(ctx context.Context, question []byte) ([]byte, error) {
	return a.fwd.Ask(ctx, askEdge, question)
}

// awaitLeader waits until proposals can be ordered, because "ready" promises that.
func (n *Node) awaitLeader(ctx context.Context, s *stages, reg *region.Region) error {
	return n.poll(ctx, s, "a leader", func() bool { return reg.TakesPart() || n.stuck.Load() != nil || reg.Stuck() != nil })
}

// poll waits for a condition for which there is no notification.
func (n *Node) poll(ctx context.Context, s *stages, what string, done func() bool) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case err := <-s.failed:
			return err
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, context.Cause(ctx))
		}
	}
	return nil
}

// orderer is a replication.Orderer and an edge.Proposer.
type orderer func(context.Context, core.Proposal) (core.Receipt, error)

// Propose implements replication.Orderer.
func (f orderer) Propose(ctx context.Context, p core.Proposal) (core.Receipt, error) {
	return f(ctx, p)
}

// ownEdge orders the proposals of the edge in a home node. They are made by this program, so they need no check,
// unless the log is in an earlier version than this program understands.
func ownEdge(reg *region.Region, version func() int64) orderer {
	return func(ctx context.Context, p core.Proposal) (core.Receipt, error) {
		if version() < core.LogVersion {
			return reg.Accept(ctx, p)
		}
		return reg.Propose(ctx, p)
	}
}

// homeView is the view of an edge at home.
type homeView struct {
	*replica.Replica
	reg *region.Region
}

// Link implements edge.View: a home node is connected while there is a leader.
func (v *homeView) Link() edge.Link {
	_, _, ok := v.reg.Leader()
	return edge.Link{Connected: ok, NoMajority: v.reg.Leaderless() >= noMajorityAfter}
}

// noMajorityAfter is how long home may have no leader before that is said aloud. An election takes less.
const noMajorityAfter = 1500 * time.Millisecond

// noMajority reports whether home answers but has had no leader for too long. A follower whose hub is cut off
// from the other home nodes moves to one that knows a leader, if there is one.
func noMajority(st follower.Status) bool {
	return st.Connected && st.Leader == "" && !st.LedAt.IsZero() && time.Since(st.LedAt) >= noMajorityAfter
}

// awayView is the view of an edge elsewhere.
type awayView struct {
	*replica.Replica
	f *follower.Follower
}

// Link implements edge.View.
func (v *awayView) Link() edge.Link {
	st := v.f.Status()
	return edge.Link{Connected: st.Connected, NoMajority: noMajority(st), Lag: time.Since(st.HeardAt)}
}

// staleStart is how long an edge with some state waits for home before it serves what it has.
const staleStart = 5 * time.Second

// startAway makes this node follow home.
func (n *Node) startAway(ctx context.Context, s *stages, ep *link.Endpoint, relay *signal.Relay) (*outside, error) {
	rep := n.parts.Load().replica
	var f *follower.Follower
	candidates := func() []string { return n.homesFrom(f.Status().Leader) }
	f, err := follower.New(follower.Config{Endpoint: ep, Candidates: candidates, Sink: rep.Sink(), Relay: relay, Logger: n.log})
	if err != nil {
		return nil, err
	}
	connected := func() bool { return f.Status().Connected }
	fwd, err := forward.New(forward.Config{Endpoint: ep, Candidates: candidates, Connected: connected, Logger: n.log})
	if err != nil {
		return nil, err
	}
	if err := n.runLink(s, ep); err != nil {
		return nil, err
	}
	s.onStop("forwarding", func() { _ = fwd.Close() })
	n.startRenewal(s, ep, func(ctx context.Context, question []byte) ([]byte, error) { return fwd.Ask(ctx, askPKI, question) })
	s.start("follower", stopInner, n.standing(f.Run))
	keep, err := n.startAwayBlobs(ctx, s, blob.Config{Endpoint: ep, Candidates: candidates, Connected: connected, Logger: n.log})
	if err != nil {
		return nil, err
	}
	n.update(func(p *parts) { p.follower, p.keeping = f, keep })
	n.startDeeds(s, fwd)
	out := &outside{proposer: fwd, view: &awayView{rep, f}, signals: relay, asker: asker{fwd}, guard: remoteGuard(fwd), blobs: keep}
	began := time.Now()
	return out, n.poll(ctx, s, "home", func() bool {
		st := f.Status()
		return st.HasAll() && st.Leader != "" || n.stuck.Load() != nil || rep.Stuck() != nil || rep.Position().Index > 0 && time.Since(began) > staleStart
	})
}

// homesFrom lists the other home nodes, one of them first.
func (n *Node) homesFrom(first string) []string {
	var addrs []string
	if first != "" {
		addrs = append(addrs, first)
	}
	for _, h := range n.cfg.Home {
		if h.Addr != first && h.Node != n.cfg.Name {
			addrs = append(addrs, h.Addr)
		}
	}
	return addrs
}
