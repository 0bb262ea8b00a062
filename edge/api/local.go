package api

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/event"
	"github.com/nearside/nearside/edge"
	"github.com/nearside/nearside/edge/hot"
)

// LocalConfig configures a Local. The zero value of each optional field means its documented default.
type LocalConfig struct {
	View     edge.View                                    // required
	Asker    edge.Asker                                   // asks home for its position; default: this edge is never behind
	Position func(context.Context) (core.Position, error) // of the state that reads see now; required
	Metrics  prometheus.Registerer                        // default: metrics are not registered
}

// Local is this edge's view of the replica, with its position and the caches of what was read
// from it.
type Local struct {
	Caches *hot.Metrics // of all caches of this edge

	view     edge.View
	asker    edge.Asker
	position func(context.Context) (core.Position, error)
	home     *questions
	misses   *hot.Misses[string]

	learn []func(event.Event) // the subscribers; complete before the first request
	reset []func()            // likewise

	wake *event.Cursor // owned by Run

	mu     sync.Mutex // guards cursor, and makes events be processed one after another
	cursor *event.Cursor
	high   atomic.Uint64 // the highest index that a request has seen here; written under mu
}

// NewLocal makes a Local and subscribes it to the events of the replica.
func NewLocal(cfg LocalConfig) (*Local, error) {
	if cfg.View == nil || cfg.Position == nil {
		return nil, errors.New("api.LocalConfig needs View and Position")
	}
	cursor := cfg.View.Subscribe()
	return &Local{
		Caches: hot.NewMetrics(cfg.Metrics),
		view:   cfg.View, asker: cfg.Asker, position: cfg.Position, home: newQuestions(),
		misses: hot.NewMisses[string](missesKept, missRemembers), cursor: cursor, wake: cursor.Clone(),
	}, nil
}

// OnEvent calls learn for every event of type E: one event's type, or a kind of effect. Call it
// before the first request.
func OnEvent[E any](l *Local, learn func(E)) {
	l.learn = append(l.learn, func(e event.Event) {
		if e, ok := e.(E); ok {
			learn(e)
		}
	})
}

// OnReset calls reset when history is replaced. Call it before the first request.
func (l *Local) OnReset(reset func()) { l.reset = append(l.reset, reset) }

// Run processes events while there are no requests, so that they do not pile up, until ctx ends.
func (l *Local) Run(ctx context.Context) error {
	for {
		_, err := l.wake.Next(ctx)
		if err != nil && !errors.Is(err, core.ErrDiverged) {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		l.CatchUp()
	}
}

// CatchUp processes every event that has been published. What a replica has applied has been
// published, so after waiting for an index and then calling this, the caches have nothing older.
func (l *Local) CatchUp() {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.view.Position().Index // before the cursor: the events then include everything up to here
	for {
		batches, err, ok := l.cursor.Poll()
		if !ok {
			l.high.Store(max(l.high.Load(), uint64(at)))
			return
		}
		if err != nil {
			for _, reset := range l.reset {
				reset()
			}
			l.high.Store(0)
			at = l.view.Position().Index // of the new history, which may be lower
			continue
		}
		for i := range batches {
			for _, e := range batches[i].Events {
				for _, learn := range l.learn {
					learn(e)
				}
			}
		}
	}
}

// Linked reports whether home was heard recently.
func (l *Local) Linked() bool { return l.view.Link().Connected }

// writable says why nothing can be ordered now; nil if it can, as far as this edge knows.
func (l *Local) writable() error {
	switch link := l.view.Link(); {
	case link.NoMajority:
		return core.NoMajority
	case !link.Connected:
		return core.E(core.KindUnavailable, "")
	}
	return nil
}

// CatchUpWithHome returns when this edge has everything that home had at the time of the call.
func (l *Local) CatchUpWithHome(ctx context.Context) error {
	if l.asker == nil {
		return nil
	}
	return l.home.ask(ctx, l.askHome)
}

func (l *Local) askHome(ctx context.Context) error {
	answer, err := l.asker.Ask(ctx, []byte(positionQuestion))
	if err != nil {
		return err
	}
	pos, err := core.ParsePosition(string(answer))
	if err != nil {
		return err
	}
	if err := l.view.WaitApplied(ctx, pos.Index); err != nil {
		return err
	}
	l.CatchUp()
	return nil
}

// Cache stores what was read from the replica, in groups that events invalidate.
type Cache[G, K comparable, V any] struct {
	*hot.Cache[G, K, V]
	local *Local
}

// Keep makes a cache of values whose sizes add up to at most max; a nil size counts each value as
// one. Each drop says which events invalidate which group; name is the cache's name in the
// metrics. Call it before the first request.
func Keep[G, K comparable, V any](l *Local, name string, max int64, size func(V) int64, drops ...Drop[G]) Cache[G, K, V] {
	c := Cache[G, K, V]{hot.New[G, K](l.Caches, name, max, size), l}
	for _, drop := range drops {
		drop(l, c.Forget)
	}
	l.OnReset(c.Clear)
	return c
}

// Drop subscribes to the events that drop groups of a cache.
type Drop[G comparable] func(l *Local, forget func(G))

// DropOn drops a group for every event of type E: DropOn(event.UserChanged.UserChanged) drops the
// user whom an event has changed.
func DropOn[E any, G comparable](group func(E) G) Drop[G] {
	return func(l *Local, forget func(G)) { OnEvent(l, func(e E) { forget(group(e)) }) }
}

// Get reads through the cache. Nothing is cached that was read while the database was behind what
// was seen here: after a crash it may be without its last commits, which are then applied again,
// but not announced again.
func (c Cache[G, K, V]) Get(ctx context.Context, g G, k K, fill func(context.Context) (V, bool, error)) (V, error) {
	return c.Cache.Get(ctx, g, k, func(ctx context.Context) (V, bool, error) {
		high := c.local.high.Load()
		v, keep, err := fill(ctx)
		if err != nil || !keep {
			return v, false, err
		}
		at, err := c.local.position(ctx)
		return v, uint64(at.Index) >= high, err
	})
}

// Row reads one row through a cache of rows by id; the zero value means that there is none.
func Row[T, V any](ctx context.Context, c Cache[core.ID[T], struct{}, V], id core.ID[T], find func(context.Context, core.ID[T]) (V, bool, error)) (V, error) {
	return c.Get(ctx, id, struct{}{}, func(ctx context.Context) (V, bool, error) { return find(ctx, id) })
}

// AnswerPosition answers the question that edges ask home before they report that something does
// not exist. It is for the node at home.
func AnswerPosition(view edge.View) func(ctx context.Context, question []byte) ([]byte, error) {
	return func(_ context.Context, question []byte) ([]byte, error) {
		if string(question) != positionQuestion {
			return nil, core.E(core.KindInvalid, "Unknown question.")
		}
		return []byte(view.Position().String()), nil
	}
}

// positionQuestion asks home for its position.
const positionQuestion = "position"

// Limits of waiting.
const (
	waitLimit     = 2 * time.Second // for this edge to reach what a client has seen
	askLimit      = 2 * time.Second // for home to return its position, and for this edge to reach it
	missesKept    = 1024
	missRemembers = time.Second
)
