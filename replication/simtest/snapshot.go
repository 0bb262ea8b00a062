package simtest

import (
	"bytes"
	"context"
	"encoding/gob"
	"fmt"
	"io"
	"slices"

	"github.com/nearside/nearside/core"
)

// Snapshot is a Chain as bytes.
type Snapshot struct {
	id   string
	at   core.Position
	data []byte
	gate func(off int64) // if set, called before each read
}

// Snapshot implements replication.Source.
func (c *Chain) Snapshot(_ context.Context, id string, sealed bool) (core.Snapshot, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.snapshots[id]; s != nil {
		return s, nil
	}
	s := &Snapshot{at: c.position()}
	s.id = fmt.Sprintf("snap-%s-%t", s.at, sealed)
	if kept := c.snapshots[s.id]; kept != nil {
		return kept, nil
	}
	entries := slices.Clone(c.entries)
	for i := range entries {
		if !sealed {
			entries[i].Sealed = nil
		}
	}
	var buf bytes.Buffer
	if err := gob.NewEncoder(&buf).Encode(state{c.first, entries, c.digests, s.at}); err != nil {
		return nil, err
	}
	s.data = buf.Bytes()
	c.snapshots[s.id] = s
	return s, nil
}

// DropSnapshots removes every snapshot, so that it cannot be resumed.
func (c *Chain) DropSnapshots() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.snapshots = map[string]*Snapshot{}
}

// ID implements core.Snapshot.
func (s *Snapshot) ID() string { return s.id }

// Position implements core.Snapshot.
func (s *Snapshot) Position() core.Position { return s.at }

// Size is the snapshot's length in bytes.
func (s *Snapshot) Size() int { return len(s.data) }

// OnRead sets a function that is called with the offset before each read.
func (s *Snapshot) OnRead(f func(off int64)) { s.gate = f }

// ReadAt implements core.Snapshot.
func (s *Snapshot) ReadAt(p []byte, off int64) (int, error) {
	if s.gate != nil {
		s.gate(off)
	}
	if off >= int64(len(s.data)) {
		return 0, io.EOF
	}
	return copy(p, s.data[off:]), nil
}

// Close implements core.Snapshot.
func (s *Snapshot) Close() error { return nil }
