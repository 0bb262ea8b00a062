package replica

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
	"github.com/nearside/nearside/core/event"
	"github.com/nearside/nearside/core/pg"
	"github.com/nearside/nearside/core/trace"
)

// Limits of a batch and of what is kept for recovery.
const (
	maxBatchEntries = 512
	maxBatchBytes   = 4 << 20
	maxKeptBytes    = 16 << 20
	batchLimit      = time.Minute // for the database to take one batch
)

// Config configures a Replica. The zero value of each optional field means its default.
type Config struct {
	DB            *pg.DB                // required: migrated, and written by nobody else
	Dir           string                // required: for snapshots being made; emptied by Open
	Epoch         core.Epoch            // of the entries given to Apply; default 1
	CacheBytes    int                   // memory for cached rows; default pg.DefaultCacheBytes
	FlushEvery    time.Duration         // how often what was applied is made durable; default 1 s
	SweepEvery    time.Duration         // how often some sealed values are looked at, to remove those that no row names; default 10 s
	SnapshotKeep  time.Duration         // how long a snapshot can be asked for by its id; default 10 min
	SnapshotsKept int                   // how many at most; default 2
	Metrics       prometheus.Registerer // default: nothing is registered
	Tracer        *trace.Tracer         // default: nothing is traced
	Logger        *slog.Logger          // default: discard
}

// Replica is one copy of the state.
type Replica struct {
	cfg     Config // immutable after New
	log     *slog.Logger
	metrics *metrics
	tail    *event.Tail
	waiters waiters
	spool   *spool

	place   atomic.Pointer[place]
	stuck   atomic.Pointer[core.Stuck]
	version atomic.Int64 // of the log, as far as it is applied

	restoring chan struct{} // holds one token while a restore runs

	turn    chan struct{} // holds one token; its holder owns the fields below
	store   *pg.Store
	machine *apply.Machine // over store
	goal    place          // the position that readers have been told
	stale   bool           // the database may be at another position
	failing core.Index     // the entry that failed last, alone in its batch
	failed  int            // how often, one after the other
	doubt   *committed     // the batch for whose commit there was no answer
	kept    *kept          // replaced with each state that was not applied here
}

// place is how far the replica is.
type place struct {
	pos core.Position
	at  time.Time
}

// New makes a replica. It does nothing until Open.
func New(cfg Config) (*Replica, error) {
	if cfg.DB == nil || cfg.Dir == "" {
		return nil, errors.New("replica: DB and Dir are required")
	}
	setDefault(&cfg.Epoch, 1)
	setDefault(&cfg.FlushEvery, time.Second)
	setDefault(&cfg.SweepEvery, 10*time.Second)
	setDefault(&cfg.SnapshotKeep, 10*time.Minute)
	setDefault(&cfg.SnapshotsKept, 2)
	setDefault(&cfg.Logger, slog.New(slog.DiscardHandler))
	m := newMetrics(cfg)
	r := &Replica{
		cfg: cfg, metrics: m, log: cfg.Logger, tail: event.NewTail(), turn: make(chan struct{}, 1), restoring: make(chan struct{}, 1),
		store: pg.NewStore(cfg.DB, cfg.CacheBytes), spool: newSpool(cfg, m), kept: &kept{},
	}
	r.machine = apply.NewMachine(r.store)
	r.place.Store(&place{})
	r.turn <- struct{}{}
	return r, nil
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// Open reads the position and removes what an earlier process left in Dir.
func (r *Replica) Open(ctx context.Context) error {
	if err := r.spool.open(); err != nil {
		return fmt.Errorf("open spool: %w", err)
	}
	if err := r.take(ctx); err != nil {
		return err
	}
	defer r.release()
	_, at, err := r.store.Position(ctx)
	if err != nil {
		return fmt.Errorf("read position: %w", err)
	}
	// What an earlier process committed may not be durable yet, and recovery relies on it.
	pos, err := pg.Flush(ctx, r.cfg.DB)
	if err != nil {
		return err
	}
	return r.begin(ctx, place{pos, at})
}

// Run flushes and makes the snapshots that are asked for, until ctx ends.
func (r *Replica) Run(ctx context.Context) error {
	spooled := make(chan struct{})
	go func() { defer close(spooled); r.spool.run(ctx) }()
	r.flushLoop(ctx)
	<-spooled
	<-r.turn // never given back before Drop: nothing is applied any more
	r.store.Drop()
	r.turn <- struct{}{}
	return nil
}

// take waits for the turn to apply.
func (r *Replica) take(ctx context.Context) error {
	select {
	case <-r.turn:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// begin starts from a state that was not applied by this process: the one in the database, or a snapshot.
func (r *Replica) begin(ctx context.Context, at place) error {
	version, err := pg.LogVersion(ctx, r.cfg.DB, pg.Schema)
	if err != nil {
		return fmt.Errorf("read log version: %w", err)
	}
	r.version.Store(version)
	r.goal, r.stale, r.doubt, r.kept = at, false, nil, &kept{flushed: at.pos.Index}
	r.move(at)
	return nil
}

func (r *Replica) release() { r.turn <- struct{}{} }

func (r *Replica) move(to place) {
	r.place.Store(&to)
	r.waiters.advance(to.pos.Index)
}

// Position gives the position up to which everything can be read.
func (r *Replica) Position() core.Position { return r.place.Load().pos }

// LogVersion gives the version of the log at Position.
func (r *Replica) LogVersion() int64 { return r.version.Load() }

// LastAt gives the time of the last applied entry; zero before the first.
func (r *Replica) LastAt() time.Time { return r.place.Load().at }

// WaitApplied returns once the entry at an index, and all before it, can be read.
func (r *Replica) WaitApplied(ctx context.Context, i core.Index) error {
	if r.Position().Index >= i {
		return nil
	}
	w := r.waiters.add(i)
	if r.Position().Index >= i { // it was applied while the waiter was added
		r.waiters.drop(w)
		return nil
	}
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		r.waiters.drop(w)
		return context.Cause(ctx)
	}
}

// Subscribe gives a cursor over the events of everything applied from now on.
func (r *Replica) Subscribe() *event.Cursor { return r.tail.Subscribe() }

// DigestAt gives the digest after the entry at an index, or false when it is not remembered or
// there is no such entry.
func (r *Replica) DigestAt(ctx context.Context, i core.Index) (core.Digest, bool, error) {
	pos := r.Position()
	switch {
	case i == 0:
		return core.Digest{}, true, nil
	case i == pos.Index:
		return pos.Digest, true, nil
	case i > pos.Index:
		return core.Digest{}, false, nil
	}
	rec, ok, err := pg.RecordOf(ctx, r.cfg.DB, i)
	return rec.Digest, ok, err
}
