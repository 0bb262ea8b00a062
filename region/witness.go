package region

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// defaultWitnessDir is in memory: it outlives a process, but not a machine.
const defaultWitnessDir = "/dev/shm"

// witness is a small file in memory that says how far the log beside it has come. It outlives the process,
// so after a kill -9 or an update a node can prove that its disk still has everything that it ever
// acknowledged, without asking anybody. After a restart of the machine, or with an older copy of the disk,
// there is no witness or it contradicts. It never says more than the disk has, and is never behind what
// was acknowledged.
type witness struct {
	mu   sync.Mutex // guards all below
	file *os.File   // nil: there is no directory in memory
	mark watermark
}

// watermark is how far a store has come.
type watermark struct {
	Incarnation uint64
	Term, Vote  uint64 // the newest term, and the newest in which it voted
	LogTerm     uint64 // of the last entry
	LogIndex    uint64
}

const watermarkBytes = 5*8 + 4

func (w watermark) encode() []byte {
	b := make([]byte, 0, watermarkBytes)
	for _, v := range []uint64{w.Incarnation, w.Term, w.Vote, w.LogTerm, w.LogIndex} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

func decodeWatermark(b []byte) (w watermark, ok bool) {
	if len(b) != watermarkBytes || crc32.ChecksumIEEE(b[:40]) != binary.BigEndian.Uint32(b[40:]) {
		return w, false
	}
	for i, v := range []*uint64{&w.Incarnation, &w.Term, &w.Vote, &w.LogTerm, &w.LogIndex} {
		*v = binary.BigEndian.Uint64(b[8*i:])
	}
	return w, true
}

// covers reports whether a store that is at w has everything that one at old had.
func (w watermark) covers(old watermark) bool {
	return w.Incarnation == old.Incarnation && w.Term >= old.Term && w.Vote >= old.Vote &&
		(w.LogTerm > old.LogTerm || w.LogTerm == old.LogTerm && w.LogIndex >= old.LogIndex)
}

// verdict is what a witness says of a disk.
type verdict int

const (
	unproven    verdict = iota // there is no witness
	whole                      // the disk has all that it ever acknowledged
	contradicts                // the disk has been further
)

func witnessPath(dir, node, store string) string {
	return filepath.Join(dir, fmt.Sprintf("nearside-%s-%s", node, store))
}

// readWitness compares a disk with what an earlier process noted in memory.
func readWitness(dir, node, store string, now watermark) verdict {
	if dir == "" {
		return unproven
	}
	raw, err := os.ReadFile(witnessPath(dir, node, store))
	if err != nil {
		return unproven
	}
	switch old, ok := decodeWatermark(raw); {
	case !ok:
		return unproven
	case now.covers(old):
		return whole
	}
	return contradicts
}

// openWitness begins a witness at a watermark.
func openWitness(dir, node, store string, now watermark) (*witness, error) {
	w := &witness{mark: now}
	if dir == "" {
		return w, nil
	}
	f, err := os.OpenFile(witnessPath(dir, node, store), os.O_CREATE|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		return w, nil // it is only an advantage
	}
	if err != nil {
		return nil, fmt.Errorf("opening the witness of the log: %w", err)
	}
	w.file = f
	w.write()
	return w, nil
}

// write replaces what the file says. A witness that cannot be written is removed, because it would be
// behind what is acknowledged from now on. The caller holds mu, or nobody else has the witness yet.
func (w *witness) write() {
	if w.file == nil {
		return
	}
	if _, err := w.file.WriteAt(w.mark.encode(), 0); err != nil {
		_ = os.Remove(w.file.Name())
		_ = w.file.Close()
		w.file = nil
	}
}

// set notes a new watermark if it differs.
func (w *witness) set(change func(*watermark)) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.mark
	if change(&w.mark); w.mark != before {
		w.write()
	}
}

func (w *witness) close() error {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.file == nil {
		return nil
	}
	return w.file.Close()
}
