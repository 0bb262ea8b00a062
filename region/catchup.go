package region

import (
	"github.com/nearside/nearside/core/backoff"

	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/nearside/nearside/core"
)

// catchUp brings the machine to the newest snapshot pointer before Raft starts, because Raft assumes that
// the machine is there. It is not there if the node was killed while it fetched the state, or if its
// database was replaced by an older one.
func (r *Region) catchUp(ctx context.Context, log *guard, snaps raft.SnapshotStore) error {
	list, err := snaps.List()
	if err != nil || len(list) == 0 {
		return err
	}
	_, rc, err := snaps.Open(list[0].ID)
	if err != nil {
		return fmt.Errorf("opening a snapshot pointer: %w", err)
	}
	defer rc.Close()
	p, err := readPointer(rc)
	if err != nil {
		return err
	}
	at := p.Position
	if r.cfg.Machine.Position().Index >= at.Index {
		return nil
	}
	if err := r.replay(ctx, log, core.Index(list[0].Index)); !errors.Is(err, core.ErrCompacted) {
		return err
	}
	return r.fetchFromAny(ctx, at)
}

// replay applies the entries that the machine lacks, up to an index, from this node's own log.
func (r *Region) replay(ctx context.Context, log *guard, to core.Index) error {
	if last, err := log.LastIndex(); err != nil {
		return fmt.Errorf("reading the log's end: %w", err)
	} else if core.Index(last) < to {
		return core.ErrCompacted
	}
	for {
		entries, err := readLog(log, r.cfg.Machine.Position().Index+1, to, maxBatchBytes)
		if err != nil || len(entries) == 0 {
			return err
		}
		if _, err := r.applier.persist(ctx, entries); err != nil {
			return err
		}
	}
}

// fetchFromAny asks the other voters one after another until one has the state.
func (r *Region) fetchFromAny(ctx context.Context, at core.Position) error {
	if r.alone() {
		return core.E(core.KindDiverged, "the replica is at %s, the log begins after it, and no other home node has the entries: restore a backup", r.cfg.Machine.Position())
	}
	for {
		for _, v := range r.voters() {
			if v.Node == r.cfg.Node {
				continue
			}
			err := r.cfg.Fetch(ctx, v.Addr, at)
			if r.cfg.Machine.Position().Index >= at.Index {
				return nil
			}
			r.cfg.Logger.Warn("fetching the state from another home node", "from", v.Node, "at", at, "err", err)
		}
		if !backoff.Pause(ctx, time.Second) {
			return context.Cause(ctx)
		}
	}
}

// fetchFromLeader fetches while Raft runs: the leader has just sent the pointer.
func (r *Region) fetchFromLeader(ctx context.Context, at core.Position) error {
	_, id := r.raft.LeaderWithID()
	if id == "" {
		return errors.New("no leader to fetch from")
	}
	return r.cfg.Fetch(ctx, r.addrOf(nodeOf(id)), at)
}
