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
// was acknowledged. It begins when the node takes part, perhaps with a disk that lacks what it acknowledged before; so it
// keeps the floor too, which binds the node also after the next start.
type witness struct {
	mu    sync.Mutex // guards all below
	file  *os.File   // nil: there is no directory in memory
	mark  watermark
	floor floor
}

// watermark is how far a store has come.
type watermark struct {
	Incarnation uint64
	Term, Vote  uint64 // the newest term, and the newest in which it voted
	LogTerm     uint64 // of the last entry
	LogIndex    uint64
}

const (
	witnessSum   = 8 * 8
	witnessBytes = witnessSum + 4
)

// encode gives what the file of a witness has: the watermark, the floor, and a checksum.
func (w *witness) encode() []byte {
	b := make([]byte, 0, witnessBytes)
	for _, v := range w.fields() {
		b = binary.BigEndian.AppendUint64(b, *v)
	}
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

func (w *witness) decode(b []byte) (ok bool) {
	if len(b) != witnessBytes || crc32.ChecksumIEEE(b[:witnessSum]) != binary.BigEndian.Uint32(b[witnessSum:]) {
		return false
	}
	for i, v := range w.fields() {
		*v = binary.BigEndian.Uint64(b[8*i:])
	}
	return true
}

func (w *witness) fields() []*uint64 {
	return []*uint64{&w.mark.Incarnation, &w.mark.Term, &w.mark.Vote, &w.mark.LogTerm, &w.mark.LogIndex, &w.floor.Term, &w.floor.LogTerm, &w.floor.LogIndex}
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

// readWitness compares a disk with what an earlier process noted in memory. If the disk is whole, it gives the floor that
// bound that process.
func readWitness(dir, node, store string, now watermark) (verdict, floor) {
	if dir == "" {
		return unproven, floor{}
	}
	raw, err := os.ReadFile(witnessPath(dir, node, store))
	if err != nil {
		return unproven, floor{}
	}
	var old witness
	switch {
	case !old.decode(raw):
		return unproven, floor{}
	case now.covers(old.mark):
		return whole, old.floor
	}
	return contradicts, floor{}
}

// openWitness begins a witness at a watermark, for a node that takes part with a floor.
func openWitness(dir, node, store string, now watermark, f floor) (*witness, error) {
	w := &witness{mark: now, floor: f}
	if dir == "" {
		return w, nil
	}
	file, err := os.OpenFile(witnessPath(dir, node, store), os.O_CREATE|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		return w, nil // it is only an advantage
	}
	if err != nil {
		return nil, fmt.Errorf("opening the witness of the log: %w", err)
	}
	w.file = file
	w.write()
	return w, nil
}

// write replaces what the file says. A witness that cannot be written is removed, because it would be
// behind what is acknowledged from now on. The caller holds mu, or nobody else has the witness yet.
func (w *witness) write() {
	if w.file == nil {
		return
	}
	if _, err := w.file.WriteAt(w.encode(), 0); err != nil {
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
