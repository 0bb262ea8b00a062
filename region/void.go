package region

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/hashicorp/raft"

	"github.com/nearside/nearside/core"
)

// An entry that the machine refuses again and again stops every replica, because a committed entry is never skipped.
// An operator can order that it is skipped. The order, a void, is a log of its own after the entry, so the applier looks
// ahead in the log for one while it is stuck. See DESIGN.md.

// stuckAfter is how often the machine must have refused an entry until this node says that it is stuck there.
const stuckAfter = 3

// heldFile is a file in the region's directory with the index of the entry that this node has promised not to apply.
const heldFile = "held"

// voids has what the applier knows about orders to skip entries, and where it is stuck.
type voids struct {
	dir      string
	logger   *slog.Logger
	once     sync.Once                                         // the log is looked through before the first entry is applied
	log      raft.LogStore                                     // set by open, like the two below
	commit   func() core.Index                                 // up to where the log cannot change any more
	majority func(ctx context.Context, i core.Index) (ok bool) // whether most home nodes have applied an entry

	mu     sync.Mutex // guards all below
	known  map[core.Index]*core.Void
	ahead  core.Index // the log was looked through up to here
	back   bool       // and from its beginning
	stuck  *core.Stuck
	times  int        // how often the machine has refused stuck's entry
	holds  core.Index // the entry that this node does not apply, unless there is an order to skip it; 0: none
	wakeUp chan struct{}
}

func newVoids(c *Config) *voids {
	return &voids{dir: c.Dir, logger: c.Logger, known: map[core.Index]*core.Void{}, wakeUp: make(chan struct{}, 1)}
}

// open gives the log that is looked through. It reads which entry an earlier process has promised not to apply.
func (v *voids) open(log raft.LogStore, commit func() core.Index, majority func(context.Context, core.Index) bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.log, v.commit, v.majority = log, commit, majority
	raw, err := os.ReadFile(filepath.Join(v.dir, heldFile))
	if err != nil {
		return
	}
	if i, err := strconv.ParseUint(strings.TrimSpace(string(raw)), 10, 64); err == nil {
		v.holds = core.Index(i)
	}
}

// Offsets in formatVoid, whose integers are big-endian.
const (
	voidOf     = 1          // the entry
	voidAt     = voidOf + 8 // when the order was given
	voidSum    = voidAt + 8 // CRC-32C of all else
	voidReason = voidSum + 4
)

func encodeVoid(i core.Index, at time.Time, reason string) []byte {
	b := binary.BigEndian.AppendUint64([]byte{formatVoid}, uint64(i))
	b = binary.BigEndian.AppendUint64(b, uint64(at.UnixNano()))
	b = append(append(b, 0, 0, 0, 0), reason...)
	binary.BigEndian.PutUint32(b[voidSum:], sumOfVoid(b))
	return b
}

func sumOfVoid(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:voidSum], castagnoli), castagnoli, b[voidReason:])
}

func decodeVoid(l *raft.Log) (what, core.Entry, error) {
	switch b := l.Data; {
	case len(b) < voidReason || len(b) > voidReason+core.MaxVoidReason:
		return isNothing, core.Entry{}, unknownForm(l)
	case binary.BigEndian.Uint32(b[voidSum:]) != sumOfVoid(b):
		return isNothing, core.Entry{}, fmt.Errorf("log %d: %w", l.Index, errDamaged)
	}
	of := core.Index(binary.BigEndian.Uint64(l.Data[voidOf:]))
	at := time.Unix(0, int64(binary.BigEndian.Uint64(l.Data[voidAt:]))).UTC()
	return isVoid, core.Entry{Index: of, Void: &core.Void{By: core.Index(l.Index), At: at, Reason: string(l.Data[voidReason:])}}, nil
}

// note remembers an order. The first one for an entry counts, and one that does not come after its entry is none.
func (v *voids) note(e core.Entry) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.noteLocked(e)
}

func (v *voids) noteLocked(e core.Entry) {
	if was := v.known[e.Index]; e.Void.By > e.Index && (was == nil || e.Void.By < was.By) {
		v.known[e.Index] = e.Void
		select {
		case v.wakeUp <- struct{}{}:
		default:
		}
	}
}

// mark sets the orders to skip in entries.
func (v *voids) mark(entries []core.Entry) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.known) == 0 {
		return
	}
	for i := range entries {
		entries[i].Void = v.known[entries[i].Index]
	}
}

// lookAhead looks for orders in the log from an index on, as far as it is committed. What was seen before is not read again.
func (v *voids) lookAhead(from core.Index) {
	v.mu.Lock()
	defer v.mu.Unlock()
	to := v.commit()
	v.look(max(from, v.ahead+1), to)
	v.ahead = max(v.ahead, to)
}

// lookBack looks for orders in all of the log, once: for followers that read old entries from the disk.
func (v *voids) lookBack() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.back {
		v.look(1, v.commit())
		v.back = true
	}
}

func (v *voids) look(from, to core.Index) {
	first, err := v.log.FirstIndex()
	if err != nil {
		v.logger.Warn("the log could not be looked through for orders to skip entries", "err", err)
		return
	}
	for i := max(uint64(from), first); i <= uint64(to); i++ {
		var l raft.Log
		if v.log.GetLog(i, &l) != nil || l.Type != raft.LogCommand || len(l.Data) == 0 || l.Data[0] != formatVoid {
			continue // what cannot be read cannot be applied either, and stops the node there
		}
		if kind, e, err := decodeVoid(&l); err == nil && kind == isVoid {
			v.noteLocked(e)
		}
	}
}

// tried notes what the machine said. at is where it is now.
func (v *voids) tried(err error, at core.Index) {
	var s *core.Stuck
	if !errors.As(err, &s) {
		if err == nil {
			v.free(at)
		}
		return
	}
	v.mu.Lock()
	if v.stuck == nil || v.stuck.Index != s.Index {
		v.times = 0
	}
	v.stuck = s
	v.times++
	v.mu.Unlock()
	v.lookAhead(s.Index + 1)
}

// free notes that the machine is beyond an index.
func (v *voids) free(at core.Index) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.stuck, v.times = nil, 0
	if v.holds != 0 && v.holds <= at {
		v.letGo()
	}
}

func (v *voids) letGo() {
	v.holds = 0
	if err := os.Remove(filepath.Join(v.dir, heldFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		v.logger.Warn("a promise about an entry could not be removed", "err", err)
	}
}

// stuckAt gives where this node is stuck; nil if it is not, or not for long.
func (v *voids) stuckAt() *core.Stuck {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.times < stuckAfter {
		return nil
	}
	return v.stuck
}

// heldAmong gives how many entries come before the one that is held; 0 if none of them is held, or the first one.
func (v *voids) heldAmong(entries []core.Entry) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	for n, e := range entries {
		if e.Index == v.holds && v.known[e.Index] == nil {
			return n
		}
	}
	return 0
}

// held reports whether an entry must not be applied now.
func (v *voids) held(e core.Entry) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return e.Void == nil && v.holds != 0 && e.Index == v.holds
}

// heldPause is how long a node that holds an entry waits until it looks again.
const heldPause = 100 * time.Millisecond

// wait waits for an order to skip an entry that is held. Once most home nodes have the entry behind them, there is an order
// that is still on its way, or they could apply it: in both cases nothing is held any more.
func (v *voids) wait(ctx context.Context, i core.Index, n int) {
	v.lookAhead(i + 1)
	v.mu.Lock()
	known := v.known[i] != nil
	v.mu.Unlock()
	if known {
		return
	}
	if n%10 == 9 && v.majority(ctx, i) {
		v.mu.Lock()
		v.letGo()
		v.mu.Unlock()
		return
	}
	select {
	case <-ctx.Done():
	case <-v.wakeUp:
	case <-time.After(heldPause):
	}
}

// hold promises not to apply an entry at which this node is stuck, across restarts.
func (v *voids) hold(i core.Index) (bool, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.holds == i {
		return true, nil
	}
	if v.stuck == nil || v.stuck.Index != i || v.times < stuckAfter {
		return false, nil
	}
	path := filepath.Join(v.dir, heldFile)
	if err := writeDurably(path, []byte(strconv.FormatUint(uint64(i), 10)+"\n")); err != nil {
		return false, fmt.Errorf("promising not to apply entry %d: %w", i, err)
	}
	v.holds = i
	return true, nil
}

func writeDurably(path string, data []byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// What the leader says to the home nodes about an entry, in askVoid.
const (
	voidAsk     byte = 0 // are you stuck there?
	voidHold    byte = 1 // do not apply it from now on, unless you find an order to skip it
	voidRelease byte = 2 // there will be no order
)

func (r *Region) answerVoid(i core.Index, how byte) ([]byte, error) {
	yes := []byte{1}
	v := r.applier.voids
	switch how {
	case voidAsk:
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.holds == i || v.stuck != nil && v.stuck.Index == i && v.times >= stuckAfter {
			return yes, nil
		}
	case voidHold:
		if ok, err := v.hold(i); err != nil || ok {
			return yes, err
		}
	case voidRelease:
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.holds == i {
			v.letGo()
		}
		return yes, nil
	}
	return []byte{0}, nil
}

// sayVoid says something about an entry to every home node, this one included, and gives how many said yes.
func (r *Region) sayVoid(ctx context.Context, i core.Index, how byte) (yes int) {
	question := append(binary.BigEndian.AppendUint64([]byte{askVoid}, uint64(i)), how)
	for _, v := range r.voters() {
		var answer []byte
		var err error
		if v.Node == r.cfg.Node {
			answer, err = r.answerVoid(i, how)
		} else {
			limited, cancel := context.WithTimeout(ctx, compareLimit)
			answer, err = r.cfg.Ask(limited, v.Addr, question)
			cancel()
		}
		if err == nil && len(answer) == 1 && answer[0] == 1 {
			yes++
		}
	}
	return yes
}

// appliedByMajority reports whether most home nodes have applied an entry.
func (r *Region) appliedByMajority(ctx context.Context, i core.Index) bool {
	n := 0
	for _, v := range r.voters() {
		if v.Node == r.cfg.Node {
			continue
		}
		limited, cancel := context.WithTimeout(ctx, compareLimit)
		if _, ok, err := r.askDigest(limited, v.Addr, i); err == nil && ok {
			n++
		}
		cancel()
	}
	return n > len(r.voters())/2
}

// Stuck gives the entry at which this node cannot go on; nil if it can.
func (r *Region) Stuck() *core.Stuck { return r.applier.voids.stuckAt() }

// stuckRefusal refuses proposals while this node leads and is stuck: nobody could get a receipt.
func (r *Region) stuckRefusal() error {
	if s := r.Stuck(); s != nil && r.lead.view().leads {
		return stuckThere.With("index", s.Index)
	}
	return nil
}

// voidLimit is how long Void waits until the order is known to be in the log.
const voidLimit = 15 * time.Second

// Void orders that all replicas skip an entry. It is refused unless this node leads and a majority of the home nodes is
// stuck at the entry; these promise first not to apply it any more. A replica that could apply it has another digest
// than they, and is made anew.
func (r *Region) Void(ctx context.Context, i core.Index, reason string) error {
	switch reason = strings.TrimSpace(reason); {
	case reason == "" || len(reason) > core.MaxVoidReason || !utf8.ValidString(reason) || strings.IndexByte(reason, 0) >= 0:
		return core.E(core.KindInvalid, "say a reason of at most %d bytes", core.MaxVoidReason)
	}
	if err := r.waitStarted(ctx); err != nil {
		return err
	}
	if leader, _, _ := r.Leader(); !r.lead.view().leads {
		return core.E(core.KindConflict, "only the home node that leads can order this, and that is %q", leader)
	}
	ctx, cancel := context.WithTimeout(ctx, voidLimit)
	defer cancel()
	need := len(r.voters())/2 + 1
	if n := r.sayVoid(ctx, i, voidAsk); n < need {
		return core.E(core.KindConflict, "entry %d stays: %d of %d home nodes cannot apply it, and an entry is skipped only if that are %d", i, n, len(r.voters()), need)
	}
	if n := r.sayVoid(ctx, i, voidHold); n < need {
		r.sayVoid(ctx, i, voidRelease)
		return core.E(core.KindConflict, "entry %d stays: only %d of %d home nodes still cannot apply it", i, n, len(r.voters()))
	}
	r.cfg.Logger.Warn("an operator orders that an entry is skipped", "index", i, "reason", reason)
	r.raft.ApplyLog(raft.Log{Data: encodeVoid(i, r.cfg.now(), reason)}, 0)
	for r.Position().Index < i {
		if err := r.waitAtMost(ctx, r.ended, heldPause); err != nil {
			return core.E(core.KindTimeout, "the order is not known to be in the log yet; until it is, entry %d is held: repeat the order", i).WithCause(err)
		}
	}
	return nil
}

// Entry gives an entry as it is in this node's log.
func (r *Region) Entry(ctx context.Context, i core.Index) (core.Entry, error) {
	if err := r.waitStarted(ctx); err != nil {
		return core.Entry{}, err
	}
	var l raft.Log
	switch err := r.log.GetLog(uint64(i), &l); {
	case errors.Is(err, raft.ErrLogNotFound) || err == nil && uint64(i) > r.raft.CommitIndex():
		return core.Entry{}, core.E(core.KindNotFound, "this node's log has no entry %d", i)
	case err != nil:
		return core.Entry{}, fmt.Errorf("reading log %d: %w", i, err)
	}
	kind, e, err := decodeLog(&l)
	if err != nil {
		return e, err
	}
	if kind == isVoid {
		return core.Entry{}, core.E(core.KindNotFound, "%d is no entry: it orders that entry %d is skipped, because: %s", i, e.Index, e.Void.Reason)
	}
	if kind != isEntry {
		return core.Entry{}, core.E(core.KindNotFound, "%d is no entry: the log has something of its own there", i)
	}
	r.applier.voids.lookBack()
	list := []core.Entry{e}
	r.applier.voids.mark(list)
	return list[0], nil
}
