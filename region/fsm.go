package region

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/raft"

	"github.com/nearside/nearside/core"
)

// maxPointerBytes bounds what a peer may send as a snapshot: it is only a position and the home nodes.
const maxPointerBytes = 16 << 10

var errStopping = errors.New("region is stopping")

// fsm is Raft's side of the applier. Raft calls it from one goroutine.
type fsm struct {
	ctx     context.Context // ends when the region stops
	machine Machine
	applier *applier
	feed    *feed
	roster  *roster
	fetch   func(ctx context.Context, at core.Position) error
	fail    func(error) // stops the region
}

var _ raft.BatchingFSM = (*fsm)(nil)

// Apply implements raft.FSM.
func (f *fsm) Apply(l *raft.Log) any { return f.ApplyBatch([]*raft.Log{l})[0] }

// ApplyBatch queues a batch. Receipts go from the applier to the waiters, not through the results of this
// method, because Raft would deliver them only when the whole batch is applied.
func (f *fsm) ApplyBatch(logs []*raft.Log) []any {
	items := make([]item, 0, len(logs))
	for _, l := range logs {
		kind, e, err := decodeLog(l)
		if err != nil {
			f.fail(err)
			f.applier.stop() // nothing after the unknown entry may be applied
			break
		}
		switch kind {
		case isEntry:
			items = append(items, item{entry: e})
		case isMark:
			items = append(items, item{mark: l.Term, at: core.Index(l.Index)})
		case isRoster:
			if err := f.roster.apply(l.Term, l.Index, e.Data); err != nil {
				f.fail(err)
				f.applier.stop()
			}
		case isVoid:
			f.applier.voids.note(e)
		case isNothing:
		}
	}
	f.applier.push(items)
	return make([]any, len(logs))
}

// Snapshot flushes the machine and gives a pointer to where it is. Raft truncates its log
// only after a snapshot, so the log always reaches back to what the machine has on disk.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	if !f.applier.drain() {
		return nil, errStopping
	}
	at, err := f.machine.Flush(f.ctx)
	if err != nil {
		return nil, fmt.Errorf("flushing the machine: %w", err)
	}
	if have := f.machine.Position(); at.Index < have.Index {
		return nil, fmt.Errorf("the machine flushed up to %d of %d", at.Index, have.Index)
	}
	return pointer{Position: at, Roster: f.roster.get()}, nil
}

// Restore is called when the leader's log no longer has the entries after ours. The snapshot is only a
// position; the machine gets the state over a link.
func (f *fsm) Restore(rc io.ReadCloser) error {
	defer rc.Close()
	p, err := readPointer(rc)
	if err != nil {
		return err
	}
	f.roster.set(p.Roster)
	if !f.applier.drain() {
		return errStopping
	}
	defer func() { f.feed.reset(f.machine.Position().Index) }()
	return f.reach(f.ctx, p.Position)
}

// reach brings the machine to a position or beyond.
func (f *fsm) reach(ctx context.Context, at core.Position) error {
	if f.machine.Position().Index >= at.Index {
		return nil
	}
	if err := f.fetch(ctx, at); err != nil {
		return fmt.Errorf("fetching the machine's state: %w", err)
	}
	if have := f.machine.Position(); have.Index < at.Index {
		return fmt.Errorf("fetching gave position %s, short of %s", have, at)
	}
	return nil
}

// pointer is a snapshot of Raft, as JSON: a position of the machine, and the home nodes by the log up to there.
type pointer struct {
	Position core.Position `json:"position"`
	Roster   rosterState   `json:"roster"`
}

// Persist implements raft.FSMSnapshot.
func (p pointer) Persist(sink raft.SnapshotSink) error {
	b, err := json.Marshal(p)
	if err == nil {
		_, err = sink.Write(b)
	}
	if err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}

// Release implements raft.FSMSnapshot.
func (p pointer) Release() {}

func readPointer(r io.Reader) (pointer, error) {
	var p pointer
	b, err := io.ReadAll(io.LimitReader(r, maxPointerBytes+1))
	if err != nil {
		return p, fmt.Errorf("reading a snapshot pointer: %w", err)
	}
	if len(b) > maxPointerBytes {
		return p, errors.New("snapshot pointer is too large")
	}
	if err := json.Unmarshal(b, &p); err != nil {
		return p, fmt.Errorf("decoding a snapshot pointer: %w", err)
	}
	return p, nil
}
