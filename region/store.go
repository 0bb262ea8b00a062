package region

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nearside/nearside/core/backoff"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/metadb"
)

// segmentBytes is the size of the files of the log. It is well under the default MinFreeBytes, so that
// there is space for a new file while proposals are accepted.
const segmentBytes = 16 << 20

// logStore is Raft's log and its few stable values, in one directory.
type logStore interface {
	raft.LogStore
	raft.StableStore
	// Reopen gives a store over the same directory that works again after a failed write. The old
	// one stays open for reading.
	Reopen() (logStore, error)
	// CloseLog closes this store; Close also what it shares with the reopened ones.
	CloseLog() error
	Close() error
}

// walStore is a raft-wal. After a failed write the library refuses all further writes until the log is
// opened again. Its meta database stays open for that, because its file is locked.
type walStore struct {
	*wal.WAL
	dir     string
	segment int
	meta    meta
}

// meta is a meta database that stays open when its WAL is closed.
type meta struct{ *metadb.BoltMetaDB }

// Close does nothing, because the WAL calls it when it is closed. walStore.Close closes the database.
func (meta) Close() error { return nil }

func openWAL(dir string, segment int) (logStore, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the log directory: %w", err)
	}
	s := &walStore{dir: dir, segment: segment, meta: meta{&metadb.BoltMetaDB{}}}
	opened, err := s.Reopen()
	if err != nil {
		return nil, errors.Join(err, s.meta.BoltMetaDB.Close())
	}
	return opened, nil
}

func (s *walStore) Reopen() (logStore, error) {
	w, err := wal.Open(s.dir, wal.WithMetaStore(s.meta), wal.WithSegmentSize(s.segment), wal.WithLogger(silent()))
	if err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	return &walStore{WAL: w, dir: s.dir, segment: s.segment, meta: s.meta}, nil
}

func (s *walStore) CloseLog() error { return s.WAL.Close() }

func (s *walStore) Close() error { return errors.Join(s.WAL.Close(), s.meta.BoltMetaDB.Close()) }

// guard stands between Raft and its log. If the disk is full or fails, appends fail, and Raft steps down.
// But Raft panics if it cannot write a stable value (term or vote). So these writes wait here until the
// disk accepts them or the region stops.
type guard struct {
	stop    context.Context // ends after the network is closed, never before
	witness *witness        // of what is on the disk; nil before the node stands

	cur     atomic.Pointer[logStore]
	trouble atomic.Pointer[string] // the last failure, nil when the last write worked

	mu     sync.Mutex // guards all below and orders writes
	last   uint64     // the last log that was stored, 0 when there is none
	broken bool       // cur needs to be reopened before the next write
	seats  seats      // the newest voters in the log
	owed   bool       // a suffix was deleted, and an append must follow: Raft still believes in the suffix
}

func newGuard(stop context.Context, s logStore) (*guard, error) {
	last, err := s.LastIndex()
	if err != nil {
		return nil, fmt.Errorf("reading the log's end: %w", err)
	}
	found, err := findSeats(s)
	if err != nil {
		return nil, err
	}
	g := &guard{stop: stop, last: last, seats: found}
	g.cur.Store(&s)
	return g, nil
}

func (g *guard) store() logStore { return *g.cur.Load() }

// Trouble says why the last write failed; "" if it did not.
func (g *guard) Trouble() string {
	if t := g.trouble.Load(); t != nil {
		return *t
	}
	return ""
}

func (g *guard) note(err error) error {
	if err == nil {
		g.trouble.Store(nil)
		return nil
	}
	s := err.Error()
	g.trouble.Store(&s)
	return err
}

// IsMonotonic tells Raft that the log has no gaps.
func (g *guard) IsMonotonic() bool { return true }

// FirstIndex implements raft.LogStore.
func (g *guard) FirstIndex() (i uint64, err error) {
	err = g.read(func(s logStore) error { i, err = s.FirstIndex(); return err })
	return i, err
}

// LastIndex implements raft.LogStore.
func (g *guard) LastIndex() (i uint64, err error) {
	err = g.read(func(s logStore) error { i, err = s.LastIndex(); return err })
	return i, err
}

// GetLog implements raft.LogStore.
func (g *guard) GetLog(i uint64, l *raft.Log) error {
	return g.read(func(s logStore) error { return s.GetLog(i, l) })
}

// read repeats a read if the store was replaced meanwhile: Raft panics when it cannot read its log.
func (g *guard) read(do func(logStore) error) error {
	for {
		p := g.cur.Load()
		err := do(*p)
		if err == nil || g.cur.Load() == p {
			return err
		}
	}
}

// StoreLog implements raft.LogStore.
func (g *guard) StoreLog(l *raft.Log) error { return g.StoreLogs([]*raft.Log{l}) }

// StoreLogs implements raft.LogStore.
func (g *guard) StoreLogs(logs []*raft.Log) error {
	for {
		owed, err := g.tryStore(logs)
		if err == nil || !owed {
			return err
		}
		if !backoff.Pause(g.stop, retryPause) {
			return err
		}
	}
}

const retryPause = 100 * time.Millisecond

func (g *guard) tryStore(logs []*raft.Log) (owed bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	err = g.write(func(s logStore) error { return s.StoreLogs(logs) })
	if err == nil {
		end := logs[len(logs)-1]
		g.last, g.owed = end.Index, false
		for _, l := range logs {
			if l.Type == raft.LogConfiguration {
				g.seats = seatsOf(l)
			}
		}
		g.witness.set(func(w *watermark) { w.LogTerm, w.LogIndex = end.Term, end.Index })
	}
	return g.owed, err
}

// DeleteRange implements raft.LogStore.
func (g *guard) DeleteRange(from, to uint64) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	suffix := to >= g.last
	if suffix {
		var before raft.Log // zero if nothing is left
		_ = g.GetLog(from-1, &before)
		g.witness.set(func(w *watermark) { w.LogTerm, w.LogIndex = before.Term, before.Index }) // before the disk forgets it
	}
	err := g.write(func(s logStore) error { return s.DeleteRange(from, to) })
	if err == nil && suffix {
		g.owed = true
		if g.last, err = g.store().LastIndex(); err == nil && g.seats.Index > g.last {
			g.seats, err = findSeats(g.store())
		}
	}
	return err
}

// write does one write on a working store. The caller holds mu.
func (g *guard) write(do func(logStore) error) error {
	if g.stop.Err() != nil {
		return errStopping // so that nothing is acknowledged while the region stops
	}
	if g.broken {
		if err := g.reopen(); err != nil {
			return g.note(err)
		}
	}
	err := do(g.store())
	g.broken = err != nil
	return g.note(err)
}

// reopen replaces the store. Logs after the last stored one are of a write that was reported as failed.
// They are removed, because Raft will write others with the same indexes.
func (g *guard) reopen() error {
	old := g.store()
	s, err := old.Reopen()
	if err != nil {
		return fmt.Errorf("reopening the log: %w", err)
	}
	if err := g.trim(s); err != nil {
		return errors.Join(fmt.Errorf("trimming the reopened log: %w", err), s.CloseLog())
	}
	g.cur.Store(&s)
	g.broken = false
	return old.CloseLog()
}

func (g *guard) trim(s logStore) error {
	first, err := s.FirstIndex()
	if err != nil {
		return err
	}
	last, err := s.LastIndex()
	switch {
	case err != nil:
		return err
	case last < g.last:
		return fmt.Errorf("the log ends at %d, but %d was stored", last, g.last)
	case last > g.last:
		return s.DeleteRange(max(first, g.last+1), last)
	}
	return nil
}

// The names under which Raft keeps its term, and the newest term in which it voted.
const (
	keyTerm = "CurrentTerm"
	keyVote = "LastVoteTerm"
)

// newestSeats gives the newest voters in the log.
func (g *guard) newestSeats() seats {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.seats
}

// watermark gives how far the store has come.
func (g *guard) watermark(snaps raft.SnapshotStore) (w watermark, err error) {
	if w.LogIndex, err = g.LastIndex(); err != nil {
		return w, fmt.Errorf("reading the log's end: %w", err)
	}
	if w.LogIndex > 0 {
		var end raft.Log
		if err := g.GetLog(w.LogIndex, &end); err != nil {
			return w, fmt.Errorf("reading the last entry: %w", err)
		}
		w.LogTerm = end.Term
	}
	list, err := snaps.List()
	if err != nil {
		return w, fmt.Errorf("listing the snapshots: %w", err)
	}
	if len(list) > 0 && list[0].Index > w.LogIndex {
		w.LogTerm, w.LogIndex = list[0].Term, list[0].Index
	}
	w.Term, w.Vote = g.number(keyTerm), g.number(keyVote)
	return w, nil
}

// number reads a stable number; 0 if there is none.
func (g *guard) number(key string) uint64 {
	n, err := g.GetUint64([]byte(key))
	if err != nil {
		return 0
	}
	return n
}

// Set implements raft.StableStore.
func (g *guard) Set(key, val []byte) error {
	return g.insist(func(s logStore) error { return s.Set(key, val) })
}

// SetUint64 implements raft.StableStore.
func (g *guard) SetUint64(key []byte, val uint64) error {
	err := g.insist(func(s logStore) error { return s.SetUint64(key, val) })
	g.witness.set(func(w *watermark) {
		switch string(key) {
		case keyTerm:
			w.Term = val
		case keyVote:
			w.Vote = val
		}
	})
	return err
}

// insist repeats the write of a stable value until the disk accepts it. If the region stops first, it
// reports success although nothing was written. That does no harm: the network is closed, so no vote is
// sent, and StoreLogs refuses, so this node cannot become leader.
func (g *guard) insist(do func(logStore) error) error {
	failed := false
	for {
		err := do(g.store())
		if err != nil {
			failed = g.note(err) != nil
			if backoff.Pause(g.stop, retryPause) {
				continue
			}
		} else if failed {
			g.trouble.Store(nil)
		}
		return nil
	}
}

// Get implements raft.StableStore.
func (g *guard) Get(key []byte) ([]byte, error) { return g.store().Get(key) }

// GetUint64 implements raft.StableStore.
func (g *guard) GetUint64(key []byte) (uint64, error) { return g.store().GetUint64(key) }

// Close closes the store.
func (g *guard) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.store().Close()
}
