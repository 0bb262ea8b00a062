package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/pg"
)

// spool keeps the last snapshots in files, so that several readers can read one, and a reader whose
// connection broke can go on. A file has no name once it is open, so it is removed when its last reader
// closes it, or when the process ends.
type spool struct {
	cfg     Config
	metrics *metrics
	asks    chan *spooled // to run

	mu   sync.Mutex // guards kept
	kept []*spooled // oldest first
}

// spooled is one snapshot, complete or still being made.
type spooled struct {
	id     string
	sealed bool // it has the sealed values: see pg.Export
	file   *os.File
	made   time.Time
	cancel context.CancelCauseFunc // ends the export
	ctx    context.Context

	mu      sync.Mutex    // guards the fields below
	pos     core.Position // once begun
	begun   bool
	size    int64
	ended   bool
	err     error
	readers int           // and one more while it is kept
	moved   chan struct{} // closed and replaced at each change
}

var errDropped = errors.New("the snapshot was dropped")

const spoolPattern = "snapshot-*"

func newSpool(cfg Config, m *metrics) *spool {
	return &spool{cfg: cfg, metrics: m, asks: make(chan *spooled)}
}

// open removes what an earlier process may have left in the directory.
func (s *spool) open() error {
	if err := os.MkdirAll(s.cfg.Dir, 0o700); err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(s.cfg.Dir, spoolPattern))
	for _, path := range old {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// run makes snapshots, one at a time, and drops the old ones.
func (s *spool) run(ctx context.Context) {
	defer s.drop()
	tick := time.NewTicker(max(s.cfg.SnapshotKeep/10, time.Second))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.mu.Lock()
			s.expire()
			s.mu.Unlock()
		case n := <-s.asks:
			stop := context.AfterFunc(ctx, func() { n.cancel(context.Cause(ctx)) })
			began := time.Now()
			err := pg.Export(n.ctx, s.cfg.DB, n, n.sealed, n.begin)
			s.metrics.snapshotDone(actionMake, began, err)
			n.finish(err)
			stop()
		}
	}
}

// drop forgets every snapshot; those that are being made fail.
func (s *spool) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.kept {
		n.cancel(errDropped)
		n.close()
	}
	s.kept = nil
}

// Snapshot gives the snapshot with an id while it is kept. Otherwise, or for "", it gives the last one if
// that is recent enough, or a new one. It can be read while it is being made. A snapshot with the sealed values
// is for home nodes only; it is never given to who asks for one without them, whatever the id.
func (r *Replica) Snapshot(ctx context.Context, id string, sealed bool) (core.Snapshot, error) {
	n, fresh, err := r.spool.pick(ctx, id, sealed, r.Position())
	if err != nil {
		return nil, fmt.Errorf("make snapshot: %w", err)
	}
	if fresh {
		select {
		case r.spool.asks <- n:
		case <-ctx.Done():
			n.finish(context.Cause(ctx))
		}
	}
	if err := n.awaitBegun(ctx); err != nil {
		n.close()
		return nil, fmt.Errorf("make snapshot: %w", err)
	}
	return &reader{spooled: n}, nil
}

// maxSnapshotLag is how many entries a snapshot may be behind to be given to a new reader, which needs
// the entries after it: the log must still have them.
const maxSnapshotLag = 20_000

func (s *spool) pick(ctx context.Context, id string, sealed bool, now core.Position) (n *spooled, fresh bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	for i := len(s.kept) - 1; i >= 0; i-- {
		n := s.kept[i]
		if n.sealed == sealed && (id == n.id || n.useful(now)) && n.open() {
			return n, false, nil
		}
	}
	if n, err = s.create(ctx, sealed); err != nil {
		return nil, false, err
	}
	s.kept = append(s.kept, n)
	s.expire()
	return n, true, nil
}

// expire drops failed, old and surplus snapshots. Those with sealed values and those without are counted apart, so
// that followers of one kind do not push out what followers of the other are reading.
func (s *spool) expire() {
	newer := map[bool]int{} // by sealed
	var keep []*spooled
	for i := len(s.kept) - 1; i >= 0; i-- {
		n := s.kept[i]
		newer[n.sealed]++
		if n.failed() || time.Since(n.made) > s.cfg.SnapshotKeep || newer[n.sealed] > s.cfg.SnapshotsKept {
			n.close()
			continue
		}
		keep = append(keep, n)
	}
	slices.Reverse(keep)
	s.kept = keep
}

func (s *spool) create(ctx context.Context, sealed bool) (*spooled, error) {
	f, err := os.CreateTemp(s.cfg.Dir, spoolPattern)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	n := &spooled{
		id: core.NewID[spooled](time.Now()).String(), sealed: sealed, file: f, made: time.Now(),
		readers: 2, moved: make(chan struct{}), // one for being kept, one for the caller
	}
	n.ctx, n.cancel = context.WithCancelCause(context.WithoutCancel(ctx)) // others may read it after the first reader has closed it
	return n, nil
}

// change calls f and wakes all readers that wait for the snapshot.
func (n *spooled) change(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
	close(n.moved)
	n.moved = make(chan struct{})
}

func (n *spooled) begin(h pg.SnapshotHeader) {
	n.change(func() { n.begun, n.pos = true, h.Position })
}

// Write appends to the file.
func (n *spooled) Write(p []byte) (int, error) {
	if err := context.Cause(n.ctx); err != nil {
		return 0, err
	}
	k, err := n.file.Write(p)
	n.change(func() { n.size += int64(k) })
	return k, err
}

func (n *spooled) finish(err error) {
	n.change(func() {
		if !n.ended {
			n.ended, n.err = true, err
		}
	})
}

func (n *spooled) failed() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ended && n.err != nil
}

// useful reports whether a new reader can follow the log from the snapshot on.
func (n *spooled) useful(now core.Position) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.err == nil && (!n.begun || n.pos.Epoch == now.Epoch && n.pos.Index+maxSnapshotLag >= now.Index)
}

// open adds a reader.
func (n *spooled) open() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.readers == 0 || n.err != nil {
		return false
	}
	n.readers++
	return true
}

// close removes a reader; after the last one the file is closed, which removes it.
func (n *spooled) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.readers--; n.readers == 0 {
		n.cancel(errDropped)
		_ = n.file.Close() // it has no name and no reader
	}
}

func (n *spooled) awaitBegun(ctx context.Context) error {
	for {
		n.mu.Lock()
		begun, err, moved := n.begun, n.err, n.moved
		n.mu.Unlock()
		if begun || err != nil {
			return err
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// reader is a core.Snapshot.
type reader struct {
	*spooled
	once sync.Once
}

// ID implements core.Snapshot.
func (r *reader) ID() string { return r.id }

// Position implements core.Snapshot.
func (r *reader) Position() core.Position { return r.pos }

// ReadAt implements core.Snapshot.
func (r *reader) ReadAt(p []byte, off int64) (int, error) {
	for {
		r.mu.Lock()
		size, ended, err, moved := r.size, r.ended, r.err, r.moved
		r.mu.Unlock()
		switch {
		case off < size:
			return r.file.ReadAt(p[:min(int64(len(p)), size-off)], off)
		case err != nil:
			return 0, fmt.Errorf("make snapshot: %w", err)
		case ended:
			return 0, io.EOF
		}
		<-moved // ends with the export, which Run ends
	}
}

// Close implements core.Snapshot.
func (r *reader) Close() error {
	r.once.Do(r.close)
	return nil
}
