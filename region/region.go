package region

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/nearside/nearside/core"
)

// Settings of Raft. maxAppendEntries bounds how many entries one write takes; followers that are a little
// behind are served from the cache of logCacheEntries.
const (
	maxAppendEntries = 256
	logCacheEntries  = 1024
	streamsPerPeer   = 3
	maxRPCsInFlight  = 64
	rpcTimeout       = 2 * time.Second
	closeTimeout     = 2 * time.Second
	keptSnapshots    = 2
	transferEvery    = 10 * time.Second
)

// Region is this node's part of the home region.
type Region struct {
	// immutable after New
	cfg     Config
	lead    *lead
	feed    *feed
	applier *applier
	disk    *disk
	metrics *metrics
	queue   chan *waiter  // to the stamper; never closed
	kick    chan struct{} // holds one; tells the stamper that a mark is due
	start   string        // a random name of this start
	roster  *roster       // the home nodes by the log
	started chan struct{} // closed by Run when raft and log are set
	ended   chan struct{} // closed by Run when it returns

	// set by Run before started is closed
	raft *raft.Raft
	log  *guard

	// atomic
	began         atomic.Bool
	inFlight      atomic.Int64
	inFlightBytes atomic.Int64
	gathered      atomic.Int64           // proposals that the stamper has taken and not stamped
	differs       atomic.Pointer[string] // how the home nodes differ; nil: no difference is known
	short         atomic.Pointer[string] // at the leader: why too few home nodes vote; nil: enough do

	self      self
	admitting chan struct{} // holds one while the leader changes who votes
}

// New validates cfg. It starts nothing.
func New(cfg Config) (*Region, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	lead, feed := newLead(), newFeed(cfg.Epoch, cfg.TailBytes)
	r := &Region{
		cfg:     cfg,
		lead:    lead,
		feed:    feed,
		applier: newApplier(&cfg, feed, lead),
		disk:    newDisk(&cfg),
		queue:   make(chan *waiter, cfg.MaxInFlight),
		kick:    make(chan struct{}, 1),
		start:   newName(),

		admitting: make(chan struct{}, 1),
		roster:    newRoster(),
		started:   make(chan struct{}),
		ended:     make(chan struct{}),
	}
	r.applier.underWay = r.underWay
	r.metrics = newMetrics(r)
	return r, nil
}

// Run takes part in the region until ctx ends, and closes Config.Network. It returns nil when
// ctx ended it, an error of KindUpgrade when a committed entry is unknown to this node, and
// any other error when the node cannot go on.
func (r *Region) Run(ctx context.Context) error {
	if r.began.Swap(true) {
		return errors.New("region: Run was called before")
	}
	defer close(r.ended)
	err := r.noteOutvoted(r.run(ctx))
	r.lead.close(stopped)
	if ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
		return nil // it was still catching up
	}
	return err
}

// run opens network, log and snapshots, runs, and closes them in the opposite order.
func (r *Region) run(ctx context.Context) (err error) {
	net := newStreams(context.WithoutCancel(ctx), r.cfg.Network)
	defer func() { err = errors.Join(err, net.shut()) }()
	// The log stops only after the network is closed; see guard.
	stop, stopLog := context.WithCancel(context.WithoutCancel(ctx))
	defer stopLog()
	if err := os.MkdirAll(r.cfg.Dir, 0o700); err != nil {
		return fmt.Errorf("making the home's directory: %w", err)
	}
	if err := r.disk.check(); err != nil {
		return err
	}
	log, snaps, err := r.open(stop)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	f, err := r.begin(ctx, log, snaps)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.witness.close()) }()
	if err := r.catchUp(ctx, log, snaps); err != nil {
		return err
	}
	net.introduce(r.self.identity().Deployment, r.id(), r.cfg.addrOf(r.cfg.Node))
	return r.serve(ctx, log, snaps, net, f, stopLog)
}

// open opens log and snapshots, and reads the home nodes from them. If they cannot be read and there are
// other home nodes, they are put aside: this node then has another disk, as far as the others can tell, and
// catches up with them.
func (r *Region) open(stop context.Context) (*guard, raft.SnapshotStore, error) {
	log, snaps, err := r.tryOpen(stop)
	if err == nil || r.alone() {
		return log, snaps, err
	}
	aside, failed := os.MkdirTemp(r.cfg.Dir, "damaged-*")
	if failed != nil {
		return nil, nil, errors.Join(err, fmt.Errorf("putting a damaged log aside: %w", failed))
	}
	r.cfg.Logger.Error("the log cannot be read and is put aside; this node joins anew", "err", err, "aside", aside)
	for _, name := range []string{"log", "snapshots", identityFile} {
		if err := os.Rename(filepath.Join(r.cfg.Dir, name), filepath.Join(aside, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, fmt.Errorf("putting a damaged log aside: %w", err)
		}
	}
	return r.tryOpen(stop)
}

func (r *Region) tryOpen(stop context.Context) (*guard, raft.SnapshotStore, error) {
	store, err := r.cfg.openLog(filepath.Join(r.cfg.Dir, "log"))
	if err != nil {
		return nil, nil, err
	}
	log, err := newGuard(stop, store)
	if err != nil {
		return nil, nil, errors.Join(err, store.Close())
	}
	snaps, err := raft.NewFileSnapshotStoreWithLogger(r.cfg.Dir, keptSnapshots, raftLogger(r.cfg.Logger))
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("opening the snapshots: %w", err), log.Close())
	}
	state, err := readRoster(log, snaps)
	if err != nil {
		return nil, nil, errors.Join(err, log.Close())
	}
	r.roster.set(state)
	return log, snaps, nil
}

// begin finds out who this node is, and from where on it may vote.
func (r *Region) begin(ctx context.Context, log *guard, snaps raft.SnapshotStore) (f floor, err error) {
	says, before, err := r.identify(log, snaps)
	if err != nil {
		return f, err
	}
	if f, err = r.stand(ctx, says); err != nil {
		return f, err
	}
	f.raise(before.Term, before.LogTerm, before.LogIndex)
	mark, err := log.watermark(snaps)
	if err != nil {
		return f, err
	}
	id := r.self.identity()
	mark.Incarnation = id.Incarnation
	dir := r.cfg.WitnessDir
	if r.alone() {
		dir = "" // there is nobody to prove it to
	}
	log.witness, err = openWitness(dir, r.cfg.Node, id.Store, mark, f)
	return f, err
}

// identify reads or makes the identity of the store, begins a deployment if this node was initialised for
// that, and raises the incarnation. If the disk is whole, it gives the floor of the start before.
func (r *Region) identify(log *guard, snaps raft.SnapshotStore) (says verdict, before floor, err error) {
	id, err := loadIdentity(r.cfg.Dir)
	if err != nil && r.alone() {
		return says, before, err
	}
	if err != nil {
		r.cfg.Logger.Error("whose log this is cannot be read; this node joins anew", "err", err)
		id = identity{}
	}
	has, err := raft.HasExistingState(log, log, snaps)
	if err != nil {
		return says, before, fmt.Errorf("looking for a log: %w", err)
	}
	if r.cfg.credulous {
		defer func() { says, before = whole, floor{} }()
	}
	at := r.cfg.Machine.Position()
	if at.Index > 0 && at.Epoch != 0 && at.Epoch != r.cfg.Epoch {
		return says, before, core.E(core.KindDiverged, "the replica is at %s, but this home orders epoch %d", at, r.cfg.Epoch)
	}
	switch {
	case has && id.Store != "":
		mark, err := log.watermark(snaps)
		if err != nil {
			return says, before, err
		}
		mark.Incarnation = id.Incarnation
		if says, before = readWitness(r.cfg.WitnessDir, r.cfg.Node, id.Store, mark); r.alone() {
			says, before = whole, floor{} // nobody else could tell
		}
	case has:
		if id.Store, err = r.storeByLog(log, snaps); err != nil {
			return says, before, err
		}
	case at.Index > 0 && (r.alone() || len(id.Initial) > 0):
		return says, before, core.E(core.KindDiverged, "the log under %s is empty, but the replica is at %s: the log was lost", r.cfg.Dir, at)
	case len(id.Initial) > 0:
		if err := r.bootstrap(log, snaps, id); err != nil {
			return says, before, err
		}
		says, id.Initial = whole, nil
	default:
		if id.Store == "" || !r.cfg.credulous {
			id.Store, id.Incarnation = newName(), 0
		}
	}
	id.Incarnation++
	if err := saveIdentity(r.cfg.Dir, id); err != nil {
		return says, before, err
	}
	r.self.edit(func(s *self) { s.id, s.log, s.snaps = id, log, snaps })
	return says, before, r.checkFile()
}

// storeByLog gives the store of a log whose identity is lost. The only home node finds it in the log itself. With
// others it is not known whose log it was, so this is another store to them.
func (r *Region) storeByLog(log *guard, snaps raft.SnapshotStore) (string, error) {
	if !r.alone() {
		return newName(), nil
	}
	found, err := readSeats(log, snaps)
	if err != nil {
		return "", err
	}
	for _, v := range found.Servers {
		if node, store := splitID(v.ID); node == r.cfg.Node {
			return store, nil
		}
	}
	return "", core.E(core.KindInvalid, "the log under %s is not that of %s", r.cfg.Dir, r.cfg.Node)
}

// checkFile refuses a configuration that lists home nodes which the log does not have.
func (r *Region) checkFile() error {
	state := r.roster.get()
	if len(state.Nodes) == 0 {
		return nil
	}
	var listed []string
	for _, v := range r.cfg.Voters {
		listed = append(listed, v.Node)
	}
	return state.checkFile(listed)
}

// alone reports whether this is the only home node, by its configuration and by the log.
func (r *Region) alone() bool { return len(r.cfg.Voters) == 1 && len(r.roster.get().Nodes) <= 1 }

// Homes gives the home nodes by the log, or by the configuration before the log says something.
func (r *Region) Homes() []Voter { return r.voters() }

// Lists reports whether Homes has a node of a name.
func (r *Region) Lists(node string) bool {
	return slices.ContainsFunc(r.voters(), func(v Voter) bool { return v.Node == node })
}

// voters gives the home nodes by the log, or by the configuration before the log says something.
func (r *Region) voters() []Voter {
	state := r.roster.get()
	if len(state.Nodes) == 0 {
		return r.cfg.Voters
	}
	voters := state.voters()
	for i, v := range voters {
		voters[i].Addr = r.addrOf(v.Node)
	}
	return voters
}

// addrOf gives a home node's address. The configuration comes first, so that a node may come back at
// another address.
func (r *Region) addrOf(node string) string {
	if addr := r.cfg.addrOf(node); addr != "" {
		return addr
	}
	state := r.roster.get()
	n, _ := state.of(node)
	return n.Addr
}

// serve runs Raft and the loops until ctx ends or one of them fails.
func (r *Region) serve(ctx context.Context, log *guard, snaps raft.SnapshotStore, net *streams, f floor, stopLog func()) error {
	// work ends later than ctx, because leadership is handed over first.
	work, fail := context.WithCancelCause(context.WithoutCancel(ctx))
	defer fail(errStopping)
	r.feed.reset(r.cfg.Machine.Position().Index)
	r.lead.begin(work, unixNano(r.cfg.Machine.LastAt()))
	machine := &fsm{ctx: work, machine: r.cfg.Machine, applier: r.applier, feed: r.feed, roster: r.roster, fetch: r.fetchFromLeader, fail: fail}

	// With the library's own bound of 2, its channels have no buffers. A leader that is told of a later term while two
	// calls are under way then waits for itself, and does not stop.
	trans := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: net, ServerAddressProvider: voterAddrs{r.addrOf}, MaxPool: streamsPerPeer, MaxRPCsInFlight: maxRPCsInFlight, Timeout: rpcTimeout,
		Logger: raftLogger(r.cfg.Logger),
	})
	elect := newElections(trans, f, r.alone(), func() (uint64, uint64) {
		at, err := log.watermark(snaps)
		if err != nil {
			return 0, 0
		}
		return at.LogTerm, at.LogIndex
	})
	defer close(elect.end)
	notify := make(chan bool)
	cached, err := raft.NewLogCache(logCacheEntries, log)
	if err != nil {
		return err
	}
	r.raft, err = raft.NewRaft(r.raftConfig(notify), machine, cached, log, snaps, elect)
	if err != nil {
		return errors.Join(fmt.Errorf("starting raft: %w", err), trans.Close())
	}
	r.log = log
	r.applier.voids.open(log, func() core.Index { return core.Index(r.raft.CommitIndex()) }, r.appliedByMajority)
	r.self.edit(func(s *self) { s.running = true })
	observed := make(chan raft.Observation, 16)
	r.raft.RegisterObserver(raft.NewObserver(observed, false, func(o *raft.Observation) bool {
		_, ok := o.Data.(raft.LeaderObservation)
		return ok
	}))
	close(r.started)

	var loops sync.WaitGroup
	loop := func(f func(context.Context) error) {
		loops.Go(func() {
			if err := f(work); err != nil {
				fail(err)
			}
		})
	}
	loop(r.applier.run)
	loop(r.stampLoop)
	loop(func(ctx context.Context) error { return r.watch(ctx, notify, observed) })
	loop(func(ctx context.Context) error {
		return r.disk.run(ctx, r.yield(ctx, "disk is full", func() any { return r.disk.free.Load() }))
	})
	loop(r.watchMachine)
	loop(r.compareLoop)
	loop(r.registerLoop)
	loop(r.keepLoop)

	select {
	case <-ctx.Done():
		r.transfer(work)
	case <-work.Done():
		r.cfg.Logger.Error("home node stops", "err", context.Cause(work))
	}
	fail(errStopping)
	_ = trans.Close() // closes net; its error is reported by shut
	stopLog()
	err = r.raft.Shutdown().Error()
	loops.Wait()
	if cause := context.Cause(work); !errors.Is(cause, errStopping) {
		err = errors.Join(cause, err)
	}
	return err
}

func (r *Region) raftConfig(notify chan<- bool) *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = r.id()
	c.HeartbeatTimeout = r.cfg.ElectionTimeout
	c.ElectionTimeout = r.cfg.ElectionTimeout
	c.LeaderLeaseTimeout = r.cfg.ElectionTimeout
	c.CommitTimeout = r.cfg.CommitTimeout
	c.MaxAppendEntries = maxAppendEntries
	c.BatchApplyCh = true
	c.ShutdownOnRemove = false
	c.TrailingLogs = r.cfg.TrailingLogs
	c.SnapshotInterval = r.cfg.SnapshotEvery
	c.SnapshotThreshold = r.cfg.SnapshotThreshold
	c.NoSnapshotRestoreOnStart = true // the machine has kept its state; catchUp does the rest
	c.NoLegacyTelemetry = true
	c.NotifyCh = notify
	c.Logger = raftLogger(r.cfg.Logger)
	return c
}

// bootstrap writes the beginning of a deployment into an empty log: this node votes, and the others that
// it was initialised with may join.
func (r *Region) bootstrap(log *guard, snaps raft.SnapshotStore, id identity) error {
	server := serverID(r.cfg.Node, id.Store)
	first := raft.Configuration{Servers: []raft.Server{{ID: server, Address: raft.ServerAddress(r.cfg.addrOf(r.cfg.Node))}}}
	conf := r.raftConfig(nil)
	conf.LocalID = server
	if err := raft.BootstrapCluster(conf, log, log, snaps, nil, first); err != nil {
		return fmt.Errorf("bootstrapping: %w", err)
	}
	data, err := encodeChange(1, change{Deployment: id.Deployment, Members: id.Initial})
	if err != nil {
		return err
	}
	// Raft wrote its configuration as entry 1 of term 1.
	if err := log.StoreLog(&raft.Log{Index: 2, Term: 1, Type: raft.LogCommand, Data: data}); err != nil {
		return fmt.Errorf("writing who the home nodes are: %w", err)
	}
	return nil
}

// watch keeps lead up to date. It must never block: Raft waits for it to take notify.
func (r *Region) watch(ctx context.Context, notify <-chan bool, observed <-chan raft.Observation) error {
	r.follow() // a leader may be known from before the observer was registered
	for {
		select {
		case <-ctx.Done():
			return nil
		case leads := <-notify:
			r.follow()
			if !leads {
				r.lead.deposed()
				r.cfg.Logger.Info("no longer leader", "node", r.cfg.Node)
				continue
			}
			term := r.raft.CurrentTerm()
			r.lead.elected(term)
			r.metrics.elections.Inc()
			select {
			case r.kick <- struct{}{}:
			default: // a kick is waiting already; its mark will be of this term
			}
			r.cfg.Logger.Info("elected leader", "node", r.cfg.Node, "term", term)
		case <-observed:
			r.follow()
		}
	}
}

func (r *Region) follow() {
	_, id := r.raft.LeaderWithID()
	r.lead.follow(nodeOf(id))
}

// stampLoop is the only place that gives times and puts entries into Raft, so the order of times is the
// order of the log. It does not use Raft's futures, because they may never answer. What they would tell
// comes from the applier (applied) and from watch (leadership lost).
func (r *Region) stampLoop(ctx context.Context) error {
	var g group
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.kick:
			if term := r.lead.electedTerm(); term != 0 {
				r.raft.ApplyLog(raft.Log{Data: encodeMark(term)}, 0)
			}
		case w := <-r.queue:
			for _, w := range r.gather(ctx, &g, w) {
				if !r.lead.stamp(w, r.cfg.now().UnixNano()) {
					w.done <- result{err: errRetry}
					continue
				}
				r.raft.ApplyLog(raft.Log{Data: w.data}, 0)
			}
			r.gathered.Store(0)
		}
	}
}

// How long a proposal waits for others, so that Raft writes them to the disk together. A write costs the
// same whatever is in it; without the wait, 16 clients that wait for their answers would get about three
// proposals into one write.
const (
	groupPause = time.Millisecond
	groupFrom  = 4 // proposals under way at once; when there are fewer, none waits
)

// group has the proposals that are given to Raft together, and how many are likely to come.
type group struct {
	waiters []*waiter
	peak    int // of the proposals under way lately
}

// gather gives the proposals that go to Raft together with w. It waits until as many are here as were
// under way at once lately. If they do not come in time, it expects fewer from then on.
func (r *Region) gather(ctx context.Context, g *group, w *waiter) []*waiter {
	g.waiters = append(g.waiters[:0], w)
	r.gathered.Store(1)
	if g.peak = max(g.peak, r.underWay()); g.peak >= groupFrom {
		late := time.NewTimer(groupPause)
		defer late.Stop()
		for len(g.waiters)+r.lead.waiting() < g.peak {
			r.gathered.Store(int64(len(g.waiters)))
			select {
			case w := <-r.queue:
				g.waiters = append(g.waiters, w)
				continue
			case <-late.C:
				g.peak = g.peak * 15 / 16
			case <-ctx.Done():
			}
			break
		}
	}
	for len(r.queue) > 0 && len(g.waiters) < maxBatchItems { // only this goroutine takes from the queue
		g.waiters = append(g.waiters, <-r.queue)
	}
	r.gathered.Store(int64(len(g.waiters)))
	g.peak = max(g.peak, r.underWay())
	return g.waiters
}

// underWay gives how many proposals wait for their receipts here.
func (r *Region) underWay() int { return r.lead.waiting() + int(r.gathered.Load()) + len(r.queue) }

// transfer gives leadership to another voter, so that writes wait only a moment at a clean stop, and not
// for an election.
func (r *Region) transfer(ctx context.Context) {
	if r.alone() || !r.lead.view().leads {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 2*r.cfg.ElectionTimeout)
	defer cancel()
	r.lead.pause(true)
	defer r.lead.pause(false)
	r.raft.LeadershipTransfer() // lead shows whether it worked
	for v := r.lead.view(); v.leads; v = r.lead.view() {
		if r.wait(ctx, v.changed) != nil {
			return
		}
	}
}

// yield gives a function that gives leadership away, at most once per transferEvery, because the next
// leader may have the same problem.
func (r *Region) yield(ctx context.Context, why string, detail func() any) func() {
	var last time.Time
	return func() {
		now := r.cfg.now()
		if r.lead.view().leads && now.Sub(last) >= transferEvery {
			last = now
			r.cfg.Logger.Warn("giving leadership away", "why", why, "dir", r.cfg.Dir, "detail", detail())
			r.transfer(ctx)
		}
	}
}

// watchMachine gives leadership to another home node when the machine of this one hangs: receipts come
// from the leader's machine, so a database that does not answer here would stop all writes.
func (r *Region) watchMachine(ctx context.Context) error {
	yield := r.yield(ctx, "the database is late", func() any { return r.applier.late() })
	t := time.NewTicker(r.cfg.MachineLate / 4)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		if r.applier.late() >= r.cfg.MachineLate {
			yield()
		}
	}
}
