package fanout

import (
	"container/list"
	"context"
	"errors"
	"hash/maphash"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/event"
	"github.com/nearside/nearside/core/trace"
	"github.com/nearside/nearside/edge"
	"github.com/nearside/nearside/edge/presence"
)

// Config configures a Hub.
type Config struct {
	View        edge.View                                                     // required
	Memberships func(ctx context.Context, u core.UserID) (Memberships, error) // required
	// MayPost fails with an Error if the user may not post in the channel. Required for Typing.
	MayPost  func(ctx context.Context, u core.UserID, ch core.ChannelID) error
	InTouch  func() bool   // whether home was heard recently enough to honour sessions; nil: it always was
	Signals  edge.Signals  // nil: there are no other edges
	Presence *presence.Map // nil: everybody is offline
	Version  string        // hello's server_version
	Hostname string        // hello's server_hostname
	Limits   Limits        // zero fields mean their defaults
	Now      func() time.Time
	Metrics  prometheus.Registerer // default: nothing is registered
	Tracer   *trace.Tracer         // default: nothing is traced
	Logger   *slog.Logger          // default: discard
}

// Memberships is a user's teams and channels, as the replica had them at a position.
type Memberships struct {
	At       core.Position
	Channels map[core.ChannelID]core.TeamID // with each channel's team
	Teams    []core.TeamID
	Admin    bool // system administrator
	Deaf     bool // to mentions of everybody
}

// Limits are the bounds of a Hub; each comment says what happens when it is reached.
type Limits struct {
	Sockets     int           // 20,000; Register fails
	PerUser     int           // 256, including parked ones; the user's oldest is closed
	QueueEvents int           // 256; the socket is closed. At half of it, typing and status are dropped
	QueueBytes  int           // 1 MB; the same. A single event may be larger
	RingEvents  int           // 128 sent events are kept for a resume
	RingBytes   int           // 128 KB of them
	Parked      int           // 2,048 parked sockets; the one parked for the longest time is dropped
	ParkedBytes int           // 64 KB queued for a parked socket; then it is dropped
	ParkFor     time.Duration // 5 min; then it is dropped
	PingEvery   time.Duration // 60 s
	StopWithin  time.Duration // 2 s for close frames when Run ends; then connections are cut
	Effects     int           // 65,536 membership changes while a socket registers; then registering fails
}

func (l *Limits) defaults() {
	def(&l.Sockets, 20_000)
	def(&l.PerUser, 256)
	def(&l.QueueEvents, 256)
	def(&l.QueueBytes, 1<<20)
	def(&l.RingEvents, 128)
	def(&l.RingBytes, 128<<10)
	def(&l.Parked, 2048)
	def(&l.ParkedBytes, 64<<10)
	def(&l.ParkFor, 5*time.Minute)
	def(&l.PingEvery, time.Minute)
	def(&l.StopWithin, 2*time.Second)
	def(&l.Effects, 65_536)
}

func def[T comparable](field *T, v T) {
	var zero T
	if *field == zero {
		*field = v
	}
}

// Stats are counters since the start, and two gauges.
type Stats struct {
	Sockets   int   // connected now
	Parked    int   // parked now
	Delivered int64 // events queued for a socket
	Encoded   int64 // events encoded; each counts once, however many sockets get it
	Dropped   int64 // typing and status events dropped for slow sockets
	Slow      int64 // sockets closed because their queue was full
	Resumed   int64 // sockets that were resumed
}

// Hub delivers events to sockets. Use New.
type Hub struct {
	// Immutable after New.
	cfg     Config
	lim     Limits
	now     func() time.Time
	log     *slog.Logger
	metrics *metrics

	typing  limiter // has its own lock
	foreign limiter
	writers writers

	mu       sync.Mutex // guards everything below
	open     bool       // Run has subscribed and has not ended
	at       core.Index // index of the last delivered batch
	users    map[core.UserID]*member
	channels map[core.ChannelID]map[*member]struct{}
	teams    map[core.TeamID]map[*member]struct{}
	joining  map[core.UserID]*joining
	byID     map[string]*Socket // connection id → socket, including parked ones
	parked   list.List          // of *Socket, the one parked for the longest time first
	dying    []*Socket          // closed sockets, removed from the indexes before mu is released
	pings    [pingSlots]map[*Socket]struct{}
	nextSlot int
	ended    endedSessions
	stats    Stats
}

// pingSlots divides PingEvery: each slot pings its part of the sockets.
const pingSlots = 60

// New validates cfg and makes a Hub.
func New(cfg Config) (*Hub, error) {
	if cfg.View == nil || cfg.Memberships == nil {
		return nil, errors.New("fanout: View and Memberships are required")
	}
	h := &Hub{cfg: cfg, lim: cfg.Limits, now: cfg.Now, log: cfg.Logger, byID: map[string]*Socket{}}
	h.writers.limit = halfOfProcessors()
	h.lim.defaults()
	if h.lim.PingEvery < pingSlots*time.Millisecond {
		return nil, errors.New("fanout: PingEvery is under 60 ms")
	}
	h.typing.seed, h.foreign.seed = maphash.MakeSeed(), maphash.MakeSeed()
	if h.now == nil {
		h.now = time.Now
	}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	for i := range h.pings {
		h.pings[i] = map[*Socket]struct{}{}
	}
	h.forgetIndexes()
	h.metrics = newMetrics(h)
	return h, nil
}

// Run delivers events until ctx ends, then closes all sockets.
func (h *Hub) Run(ctx context.Context) error {
	cur := h.cfg.View.Subscribe()
	h.mu.Lock()
	h.open = true
	h.mu.Unlock()

	ctx, cancel := context.WithCancel(ctx)
	var loops sync.WaitGroup
	loops.Go(func() { h.tick(ctx) })
	if h.cfg.Signals != nil {
		loops.Go(func() { h.receive(ctx) })
	}
	err := h.drain(ctx, cur)
	cancel()
	loops.Wait()
	h.close()
	return err
}

func (h *Hub) drain(ctx context.Context, cur *event.Cursor) error {
	for {
		batches, err := cur.Next(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, core.ErrDiverged):
			h.log.Warn("history replaced, closing all sockets")
			h.reset()
		case err != nil:
			return err
		}
		for i := range batches {
			h.batch(&batches[i])
		}
	}
}

// batch delivers the events of one entry. It holds the lock the whole time, so a socket registers
// between entries, never inside one.
func (h *Hub) batch(b *event.Batch) {
	began := time.Now()
	h.mu.Lock()
	defer h.unlock()
	now := h.now()
	for _, ev := range b.Events {
		h.effect(b.Index, ev)
		h.deliver(b, ev, now)
	}
	h.at = b.Index
	took := time.Since(began)
	h.metrics.batch.Observe(took.Seconds())
	h.cfg.Tracer.Did("fan-out", b.Proposal, began, "index", b.Index, "events", len(b.Events), "sockets", len(h.byID))
	h.metrics.slow.Note("its sockets", took, "index", b.Index, "events", len(b.Events), "sockets", len(h.byID))
}

// Publish delivers an event that is not in the log to the sockets of this edge.
func (h *Hub) Publish(ev event.Event) {
	h.mu.Lock()
	defer h.unlock()
	h.deliver(&event.Batch{}, ev, h.now())
}

// tick pings the sockets of one slot, and removes expired ones.
func (h *Hub) tick(ctx context.Context) {
	t := time.NewTicker(h.lim.PingEvery / pingSlots)
	defer t.Stop()
	for slot := 0; ; slot = (slot + 1) % pingSlots {
		select {
		case <-t.C:
			h.sweep(slot)
		case <-ctx.Done():
			return
		}
	}
}

func (h *Hub) sweep(slot int) {
	h.mu.Lock()
	defer h.unlock()
	now := h.now()
	if h.cfg.InTouch != nil && !h.cfg.InTouch() {
		h.dropAll(EndOutOfTouch)
	}
	for s := range h.pings[slot] {
		if s.client.expired(now) {
			h.drop(s, EndSession)
			continue
		}
		s.ping()
	}
	h.unparkOld(now)
	if p := h.cfg.Presence; p != nil {
		h.statuses(p.Tick())
	}
}

// reset drops the state of the old history and closes all sockets: their clients reconnect and
// read everything again.
func (h *Hub) reset() {
	h.mu.Lock()
	defer h.unlock()
	h.dropAll(EndReset)
	for _, j := range h.joining {
		j.void = true
	}
	h.forgetIndexes()
	h.at = 0
}

func (h *Hub) forgetIndexes() {
	h.users = map[core.UserID]*member{}
	h.channels = map[core.ChannelID]map[*member]struct{}{}
	h.teams = map[core.TeamID]map[*member]struct{}{}
	h.joining = map[core.UserID]*joining{}
}

// close ends all sockets with a close frame, and cuts those that do not accept it in time.
func (h *Hub) close() {
	h.mu.Lock()
	h.open = false
	if h.cfg.Presence != nil {
		h.cfg.Presence.Leave()
	}
	all := h.dropAll(EndShutdown)
	h.unlock()

	cut := time.AfterFunc(h.lim.StopWithin, func() {
		for _, w := range all {
			w.Abort()
		}
	})
	defer cut.Stop()
	h.writers.running.Wait()
}

// dropAll closes every socket and returns their wires.
func (h *Hub) dropAll(why End) []Wire {
	var all []Wire
	for _, s := range h.byID {
		if w := h.drop(s, why); w != nil {
			all = append(all, w)
		}
	}
	return all
}

// Stats returns the counters.
func (h *Hub) Stats() Stats {
	h.mu.Lock()
	defer h.unlock()
	st := h.stats
	st.Parked = h.parked.Len()
	st.Sockets = len(h.byID) - st.Parked
	return st
}
