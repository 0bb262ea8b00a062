package tier

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/cdn/tier/s3fifo"
	"github.com/nearside/nearside/core"
)

const (
	maxFills = 64          // at once; further misses are passed through
	runWait  = time.Second // how long a miss waits for Run to begin
)

// Tier is a cache over an origin.
type Tier struct {
	cfg    Config // immutable after New
	onDisk func(file) file
	hot    *hot
	pages  pages
	count  counters
	ailing atomic.Bool   // the last write to the directory failed
	begun  chan struct{} // closed by Run
	wake   chan struct{} // one slot: there is a copy to make

	mu      sync.Mutex // guards everything below, and that each name in index has its file
	run     context.Context
	ended   bool // Run has ended or is ending
	closed  bool
	index   map[cdn.Digest]*entry
	policy  *s3fifo.Policy[cdn.Digest] // of the names in index
	fills   map[cdn.Digest]*fill
	outside space    // on the disk and not in index: being written, or removed and still open
	due     []*entry // to be copied to the origin, in this order
	owed    int      // entries that are due, including running copies
	work    sync.WaitGroup
}

// space is a part of the bounds.
type space struct {
	bytes int64
	files int
}

// entry is a blob on the disk. Its file stays open while a reader uses it.
type entry struct {
	d     cdn.Digest // these two are immutable
	size  int64
	slots []*slot // guarded by hot.mu, like forgot
	// forgot means that no more chunks may be kept in memory.
	forgot bool

	// Guarded by Tier.mu; f and sums do not change while opens is above zero.
	due   bool
	gone  bool // not in index: being written, or removed
	opens int
	f     *os.File
	sums  []uint64
}

// New checks cfg. It touches no file.
func New(cfg Config) (*Tier, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	t := &Tier{
		cfg: cfg, hot: newHot(cfg.MemoryBytes), begun: make(chan struct{}), wake: make(chan struct{}, 1),
		index: map[cdn.Digest]*entry{}, policy: s3fifo.New[cdn.Digest](), fills: map[cdn.Digest]*fill{},
	}
	t.register(cfg.Metrics)
	return t, nil
}

// Run copies due blobs to the origin until ctx ends. It returns after the last fill has ended.
func (t *Tier) Run(ctx context.Context) error {
	t.mu.Lock()
	if t.run != nil {
		t.mu.Unlock()
		return core.E(core.KindInternal, "Run was called twice")
	}
	t.run = ctx
	close(t.begun)
	t.mu.Unlock()
	var copiers sync.WaitGroup
	for range maxCopies {
		copiers.Go(func() { t.copies(ctx) })
	}
	copiers.Wait() // until ctx ends
	t.mu.Lock()
	t.ended = true
	t.mu.Unlock()
	t.work.Wait() // no fill begins after ended is set
	return nil
}

// Close ends the use of a Tier whose Run has returned: every later call is refused.
func (t *Tier) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for _, e := range t.index {
		t.hot.forget(e)
	}
	return nil
}

func (t *Tier) path(e *entry) string { return filepath.Join(t.cfg.Dir, fileName(e.d, e.size, e.due)) }

// Purge drops a blob, and reports whether it was kept. A blob that the origin lacks stays.
func (t *Tier) Purge(d cdn.Digest) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if fl := t.fills[d]; fl != nil {
		fl.purged = true
	}
	e := t.index[d]
	if e == nil || e.due {
		return false
	}
	t.drop(e)
	return true
}

// PurgeAll drops all blobs that the origin has, and returns their number.
func (t *Tier) PurgeAll() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, fl := range t.fills {
		fl.purged = true
	}
	for _, e := range t.index {
		if !e.due {
			t.drop(e)
			n++
		}
	}
	return n
}

// Stat returns a blob's size: from the cache, or from the origin.
func (t *Tier) Stat(ctx context.Context, d cdn.Digest) (int64, error) {
	t.mu.Lock()
	e, closed := t.index[d], t.closed
	t.mu.Unlock()
	switch {
	case closed:
		return 0, errClosed()
	case ctx.Err() != nil:
		return 0, gone(ctx)
	case e != nil:
		return e.size, nil
	}
	return t.cfg.Origin.Stat(ctx, d)
}

// reserve makes space for a blob that is about to be written; nil if it does not fit. The caller
// has the entry open.
func (t *Tier) reserve(d cdn.Digest, size int64) *entry {
	if size < 0 || size > t.cfg.MaxBytes { // this also prevents an overflow of the sum below
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.makeSpace(space{fileBytes(size), 1}) {
		return nil
	}
	t.outside.bytes, t.outside.files = t.outside.bytes+fileBytes(size), t.outside.files+1
	return &entry{d: d, size: size, gone: true, opens: 1}
}

// makeSpace evicts until more fits. It evicts nothing if that would not be enough. The caller
// holds mu.
func (t *Tier) makeSpace(more space) bool {
	files, bytes := t.policy.Pinned()
	if t.outside.bytes+bytes+more.bytes > t.cfg.MaxBytes || t.outside.files+files+more.files > t.cfg.MaxFiles {
		return false
	}
	for t.outside.bytes+t.policy.Bytes()+more.bytes > t.cfg.MaxBytes || t.outside.files+t.policy.Len()+more.files > t.cfg.MaxFiles {
		d, ok := t.policy.Evict()
		if !ok {
			return false
		}
		t.remove(t.index[d])
		t.count.evictions.Add(1)
	}
	return true
}

// keep gives a finished part its name, and replaces an older one of the same blob if this one is
// due. The older one is removed last: it may be the only copy. The caller holds mu.
func (t *Tier) keep(e *entry, p *part, due bool) error {
	old := t.index[e.d]
	if old != nil && !due {
		return os.Remove(p.path)
	}
	e.due = due
	if err := os.Rename(p.path, t.path(e)); err != nil {
		return err
	}
	if old != nil {
		t.strike(old)
		if !old.due { // otherwise both have the same name
			t.unlink(old)
		}
	}
	e.gone = false
	t.outside.bytes, t.outside.files = t.outside.bytes-fileBytes(e.size), t.outside.files-1
	t.index[e.d] = e
	t.policy.Add(e.d, fileBytes(e.size))
	t.policy.Pin(e.d, true) // it is open
	if due {
		t.owe(e)
	}
	return nil
}

// drop removes a kept blob. While a reader has it open, it still occupies its space. The caller
// holds mu.
func (t *Tier) drop(e *entry) {
	t.strike(e)
	t.unlink(e)
}

// strike is drop without removing the file's name. The caller holds mu.
func (t *Tier) strike(e *entry) {
	t.policy.Remove(e.d)
	if e.opens > 0 {
		t.outside.bytes, t.outside.files = t.outside.bytes+fileBytes(e.size), t.outside.files+1
	}
	t.forget(e)
}

// remove removes a blob that the policy has evicted. The caller holds mu.
func (t *Tier) remove(e *entry) {
	t.forget(e)
	t.unlink(e)
}

func (t *Tier) forget(e *entry) {
	delete(t.index, e.d)
	if e.due {
		t.owed--
	}
	e.gone = true
	t.hot.forget(e)
}

func (t *Tier) unlink(e *entry) {
	if err := os.Remove(t.path(e)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.cfg.Logger.Warn("a cached blob cannot be removed", "blob", e.d, "err", err)
	}
}

// acquire opens a kept blob's file for reading. It returns errDamaged if the blob must be
// dropped, errGone if it was.
func (t *Tier) acquire(e *entry) error {
	t.mu.Lock()
	if e.gone {
		t.mu.Unlock()
		return errGone
	}
	e.opens++
	t.policy.Pin(e.d, true)
	opened, path := e.f != nil, t.path(e)
	t.mu.Unlock()
	if opened {
		return nil
	}
	f, sums, err := openKept(path, e.d, e.size)
	t.mu.Lock()
	renamed := errors.Is(err, fs.ErrNotExist) && path != t.path(e)
	switch {
	case err != nil:
	case e.f != nil:
		_ = f.Close() // another reader opened it at the same time
	default:
		e.f, e.sums = f, sums
	}
	t.mu.Unlock()
	if err == nil {
		return nil
	}
	t.release(e)
	if renamed { // it was renamed because the origin has it now
		return t.acquire(e)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return errDamaged
	}
	return err
}

// release undoes reserve or acquire.
func (t *Tier) release(e *entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e.opens--; e.opens > 0 {
		return
	}
	if e.f != nil {
		_ = e.f.Close()
		e.f, e.sums = nil, nil
	}
	if e.gone {
		t.hot.forget(e)
		t.outside.bytes, t.outside.files = t.outside.bytes-fileBytes(e.size), t.outside.files-1
		return
	}
	t.policy.Pin(e.d, e.due)
}

// damaged drops a damaged blob; a second caller finds it dropped already. False if no other copy
// exists, so that it must stay.
func (t *Tier) damaged(e *entry) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.index[e.d] != e {
		return true
	}
	if e.due {
		return false
	}
	t.cfg.Logger.Warn("a cached blob was damaged and is fetched again", "blob", e.d)
	t.count.healed.Add(1)
	t.drop(e)
	return true
}

var errGone = errors.New("the blob was evicted")

func errClosed() error { return core.E(core.KindUnavailable, "the cache is closed") }

// gone returns the reason for which a context ended.
func gone(ctx context.Context) error {
	k := core.KindCanceled
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		k = core.KindTimeout
	}
	return core.E(k, "the reader stopped waiting").WithCause(context.Cause(ctx))
}

// fault gives an error of the origin or the disk a kind that callers act on.
func fault(err error) error {
	if core.KindOf(err) != core.KindInternal {
		return err
	}
	return core.E(core.KindUnavailable, "the blob cannot be read now").WithCause(err)
}
