package tier

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/core"
)

const (
	ahead     = 1 << 20 // a reader this far ahead of a fill is sent to the origin
	errUnkept = fillEnd("the blob cannot be kept")
	errAhead  = fillEnd("the fill is far behind")
	errFilled = fillEnd("the fill has ended")
)

// fillEnd tells a reader to read from somewhere else.
type fillEnd string

func (e fillEnd) Error() string { return string(e) }

// fill fetches one blob into the cache. Tier.Run waits for it.
type fill struct {
	t      *Tier
	d      cdn.Digest
	cancel context.CancelFunc
	done   chan struct{} // closed when the result is known
	front  atomic.Int64  // bytes that have arrived

	// Guarded by Tier.mu.
	waiters int
	purged  bool
	kept    bool

	mu     sync.Mutex // guards everything below
	change chan struct{}
	e      *entry // nil until the size is known
	part   *part
	sums   []uint64 // of the complete chunks
	pg     *page    // of the chunk at index at, which is being written
	at     int64
	right  bool  // the whole content matches the digest
	err    error // why it ended; errFilled if it succeeded
}

// join adds the caller to the readers that wait for a blob, and starts its fill if there is none;
// nil if it cannot be filled now.
func (t *Tier) join(ctx context.Context, d cdn.Digest) *fill {
	t.awaitRun(ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	fl := t.fills[d]
	if fl == nil {
		if t.run == nil || t.ended || t.run.Err() != nil || len(t.fills) >= maxFills {
			return nil
		}
		run, cancel := context.WithCancel(t.run)
		fl = &fill{t: t, d: d, cancel: cancel, done: make(chan struct{})}
		t.fills[d] = fl
		t.work.Go(func() { fl.run(run) })
	}
	fl.waiters++
	return fl
}

// awaitRun waits up to runWait for Run to begin, for a request during start-up.
func (t *Tier) awaitRun(ctx context.Context) {
	select {
	case <-t.begun:
		return
	default:
	}
	limit := time.NewTimer(runWait)
	defer limit.Stop()
	select {
	case <-t.begun:
	case <-limit.C:
	case <-ctx.Done():
	}
}

// leave removes a reader. If it was the last one and half or more is missing, the fill ends, and
// the next reader starts another.
func (t *Tier) leave(fl *fill) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fl.waiters--
	if fl.waiters > 0 || fl.pastHalf() {
		return
	}
	fl.cancel()
	if t.fills[fl.d] == fl {
		delete(t.fills, fl.d)
	}
}

// spoil prevents a fill's result from being kept.
func (t *Tier) spoil(fl *fill) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fl.purged = true
}

func (fl *fill) pastHalf() bool {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	return fl.err != nil || fl.e != nil && fl.front.Load()*2 >= fl.e.size
}

func (fl *fill) run(ctx context.Context) {
	defer fl.cancel()
	err := fl.fetch(ctx)
	if err == nil {
		err = errFilled
		fl.t.count.fills.Add(1)
	}
	fl.t.mu.Lock()
	if fl.t.fills[fl.d] == fl {
		delete(fl.t.fills, fl.d)
	}
	fl.t.mu.Unlock()
	fl.mu.Lock()
	fl.err = err
	if fl.pg != nil {
		fl.pg.release()
		fl.pg = nil
	}
	e := fl.e
	fl.wake()
	fl.mu.Unlock()
	if e != nil {
		fl.t.release(e)
	}
	close(fl.done)
}

// fetch fetches the blob, checks and keeps it.
func (fl *fill) fetch(ctx context.Context) error {
	ctx, watch := watched(ctx)
	defer watch.End()
	src := &source{ctx: ctx, t: fl.t, d: fl.d, watch: watch}
	if err := src.open(); err != nil {
		return err
	}
	defer src.close()
	e := fl.t.reserve(fl.d, src.size)
	if e == nil {
		return errUnkept
	}
	p, err := fl.t.newPart()
	if err != nil {
		fl.t.release(e)
		return fl.t.writeFailed(err)
	}
	fl.t.mu.Lock()
	e.f = p.f
	fl.t.mu.Unlock()
	fl.mu.Lock()
	fl.e, fl.part = e, p
	fl.wake()
	fl.mu.Unlock()
	if err = fl.copy(src); err == nil {
		err = fl.settle()
	}
	if err != nil {
		removePart(p)
	}
	return err
}

// copy copies the content and wakes the readers after every piece.
func (fl *fill) copy(src *source) error {
	for off := int64(0); off < src.size; {
		pg := fl.t.pages.get(min(chunk, src.size-off))
		fl.mu.Lock()
		old := fl.pg
		fl.pg, fl.at = pg, off/chunk
		fl.mu.Unlock()
		if old != nil {
			old.release()
		}
		for at := 0; at < len(pg.data); {
			n, err := src.Read(pg.data[at:])
			if err != nil {
				return err
			}
			if err := fl.add(pg.data[at : at+n]); err != nil {
				return err
			}
			at, off = at+n, off+int64(n)
		}
	}
	return nil
}

func (fl *fill) add(b []byte) error {
	if _, err := fl.part.Write(b); err != nil {
		return fl.t.writeFailed(err)
	}
	fl.mu.Lock()
	defer fl.mu.Unlock()
	fl.sums = fl.part.sums
	fl.front.Add(int64(len(b)))
	fl.wake()
	return nil
}

// settle checks the whole and keeps it. Readers get the last chunk before the file is durable.
func (fl *fill) settle() error {
	e, p := fl.e, fl.part // only this goroutine sets them
	right := p.matches(fl.d)
	fl.mu.Lock()
	fl.right, fl.sums = right, p.sums
	fl.wake()
	fl.mu.Unlock()
	if !right {
		return core.E(core.KindDiverged, "the origin's bytes do not match the digest")
	}
	err := p.finish(fl.d)
	fl.t.mu.Lock()
	defer fl.t.mu.Unlock()
	e.sums = p.sums
	if err == nil && !fl.purged {
		if err = fl.t.keep(e, p, false); err == nil {
			fl.kept = true
			fl.t.ailing.Store(false)
			return nil
		}
	}
	removePart(p)
	if err != nil {
		_ = fl.t.writeFailed(err) // its readers have all bytes; only later readers find nothing kept
	}
	return nil
}

// wake wakes the readers that wait for a change. The caller holds mu.
func (fl *fill) wake() {
	if fl.change != nil {
		close(fl.change)
		fl.change = nil
	}
}

// await waits for a change. The caller holds mu, which is released while it waits.
func (fl *fill) await(ctx context.Context) error {
	if fl.change == nil {
		fl.change = make(chan struct{})
	}
	change := fl.change
	fl.mu.Unlock()
	defer fl.mu.Lock()
	select {
	case <-change:
		return nil
	case <-ctx.Done():
		return gone(ctx)
	}
}

// entry waits until the size is known.
func (fl *fill) entry(ctx context.Context) (*entry, error) {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	for {
		switch {
		case fl.e != nil:
			return fl.e, nil
		case fl.err != nil:
			return nil, fl.err
		}
		if err := fl.await(ctx); err != nil {
			return nil, err
		}
	}
}

// page returns the chunk that contains an offset, with n readable bytes. The caller has the entry
// open. If wait is false and the chunk is far ahead, it returns errAhead.
func (fl *fill) page(ctx context.Context, off int64, wait bool) (pg *page, n int64, err error) {
	pg, n, sum, err := fl.find(ctx, off, wait)
	if err != nil || pg != nil {
		return pg, n, err
	}
	i := off / chunk
	pg = fl.t.pages.get(min(chunk, fl.e.size-i*chunk))
	if !readChunk(fl.part.f, i, fl.e.size, sum, pg) {
		pg.release()
		fl.t.spoil(fl)
		return nil, 0, errDamaged
	}
	return pg, int64(len(pg.data)), nil
}

// find waits until an offset may be read. If pg is nil, the chunk is in the file already.
func (fl *fill) find(ctx context.Context, off int64, wait bool) (pg *page, n int64, sum uint64, err error) {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	i := off / chunk
	for fl.err == nil {
		front := fl.front.Load()
		give := front
		if !fl.right { // a reader must not get the complete blob before the digest is known to match
			give = min(front, (fl.e.size-1)/chunk*chunk)
		}
		switch {
		case off >= front+ahead && !wait:
			return nil, 0, 0, errAhead
		case off < give && i == fl.at && fl.pg != nil:
			return fl.pg.hold(), min(give-i*chunk, chunk), 0, nil
		case off < give:
			return nil, 0, fl.sums[i], nil
		}
		if err := fl.await(ctx); err != nil {
			return nil, 0, 0, err
		}
	}
	return nil, 0, 0, fl.err
}

// settled waits until the content is known to be right.
func (fl *fill) settled(ctx context.Context) error {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	for {
		switch {
		case fl.right:
			return nil
		case fl.err != nil:
			return fl.err
		}
		if err := fl.await(ctx); err != nil {
			return err
		}
	}
}

const warmers = 4 // blobs that WarmAll fetches at once

// WarmAll fetches blobs into the cache, calls bad for each that failed, and returns the number of
// the others. Calls of bad do not overlap.
func (t *Tier) WarmAll(ctx context.Context, list []cdn.Digest, bad func(cdn.Digest, error)) (warmed int) {
	jobs := make(chan cdn.Digest)
	var mu sync.Mutex // guards warmed, and is held while bad is called
	var wg sync.WaitGroup
	for range warmers {
		wg.Go(func() {
			for d := range jobs {
				err := t.Warm(ctx, d)
				mu.Lock()
				if err == nil {
					warmed++
				} else {
					bad(d, err)
				}
				mu.Unlock()
			}
		})
	}
	for _, d := range list {
		jobs <- d // each worker ends with ctx
	}
	close(jobs)
	wg.Wait()
	return warmed
}

// Warm fetches a blob without reading it. Errors: core.KindTooLarge if it does not fit,
// core.KindUnavailable if the directory cannot be written.
func (t *Tier) Warm(ctx context.Context, d cdn.Digest) error {
	if e, err := t.lookup(d); err != nil || e != nil {
		return err
	}
	fl := t.join(ctx, d)
	if fl == nil {
		return core.E(core.KindUnavailable, "too much is being fetched, or the node is stopping")
	}
	defer t.leave(fl)
	select {
	case <-fl.done:
	case <-ctx.Done():
		return gone(ctx)
	}
	t.mu.Lock()
	kept := fl.kept
	t.mu.Unlock()
	fl.mu.Lock()
	err := fl.err
	fl.mu.Unlock()
	switch {
	case kept:
		return nil
	case !errors.Is(err, errUnkept) && !errors.Is(err, errFilled):
		return fault(err)
	case t.ailing.Load():
		return core.E(core.KindUnavailable, "the cache's directory cannot be written")
	}
	return core.E(core.KindTooLarge, "the blob does not fit into the cache")
}

// writeFailed records that the directory cannot be written, logs it the first time, and returns
// errUnkept.
func (t *Tier) writeFailed(err error) error {
	if !t.ailing.Swap(true) {
		t.cfg.Logger.Warn("the cache's directory cannot be written: misses are read from the origin", "dir", t.cfg.Dir, "err", err)
	}
	return errUnkept
}
