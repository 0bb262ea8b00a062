package cdn

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"

	"github.com/nearside/nearside/core"
)

const (
	copyWorkers   = 4
	maxBadRow     = 32      // bad blobs on end: then it is the source that is broken, not a blob
	progressBytes = 1 << 20 // moved between two reports of one blob
)

// CopySource is where Copy reads.
type CopySource interface {
	Getter
	Lister
}

// CopyTarget is where Copy writes. It is read to know what is there, and to verify it.
type CopyTarget interface {
	Getter
	Putter
	Lister
}

// CopyOptions says how to copy. The zero value copies everything that is missing.
type CopyOptions struct {
	After   Digest // begin after this blob
	Workers int    // blobs copied at once; default 4
	Count   bool   // list the source first, so that progress knows the total
	Verify  bool   // read what is at the target already, and put it again if it is spoiled

	// Progress is told now and then, after every blob and within large ones; Bad of every blob
	// that could not be copied. Neither is called twice at once, and both must be quick.
	Progress func(CopyStats)
	Bad      func(Digest, error)
}

// CopyStats counts what a Copy has looked at. Bytes are those of the source's blobs.
type CopyStats struct {
	Blobs, Bytes           int64 // done with, whatever became of them
	Copied, CopiedBytes    int64 // put at the target
	Skipped                int64 // there already, with the same size
	Bad                    int64 // unreadable or spoiled at the source
	TotalBlobs, TotalBytes int64 // zero when they were not counted
}

// Copy copies every blob of one back end to another, in the order of digests. What is at the
// target with the same size is passed over, so a copy that was interrupted goes on where it
// stopped. A blob that the source cannot give whole is told to Bad, counted and passed over; a
// target that fails, or a source that gives nothing any more, ends the copy.
//
// Blobs put at the source meanwhile may be missed: run it again until nothing is copied.
func Copy(ctx context.Context, from CopySource, to CopyTarget, opts CopyOptions) (CopyStats, error) {
	if opts.Workers <= 0 {
		opts.Workers = copyWorkers
	}
	c := &copying{from: from, to: to, opts: opts}
	if opts.Count {
		if err := c.count(ctx); err != nil {
			return c.stats, fmt.Errorf("count blobs: %w", err)
		}
	}
	err := c.run(ctx)
	return c.stats, err
}

type copying struct {
	from CopySource
	to   CopyTarget
	opts CopyOptions

	mu     sync.Mutex // guards all below, and is held to call back
	stats  CopyStats
	badRow int // bad blobs since the last good one
}

func (c *copying) count(ctx context.Context) error {
	return c.from.List(ctx, c.opts.After, func(i Info) error {
		c.stats.TotalBlobs++
		c.stats.TotalBytes += i.Size
		return nil
	})
}

// run hands the source's blobs to the workers and returns after the last of them has ended.
func (c *copying) run(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	work := make(chan job) // closed here, when the source has been listed
	var workers sync.WaitGroup
	for range c.opts.Workers {
		workers.Go(func() {
			for j := range work {
				if err := c.blob(ctx, j); err != nil {
					stop(err) // the first counts; the others then end by it
				}
			}
		})
	}
	err := c.feed(ctx, work)
	close(work)
	workers.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// job is a blob of the source, and whether one of its size is at the target.
type job struct {
	Info
	there bool
}

// feed lists both sides at once: they are in one order, so that not every blob has to be asked for.
func (c *copying) feed(ctx context.Context, work chan<- job) error {
	var targetErr error
	next, stop := iter.Pull(c.target(ctx, &targetErr))
	defer stop()
	at, more := next()
	err := c.from.List(ctx, c.opts.After, func(i Info) error {
		for more && bytes.Compare(at.Digest[:], i.Digest[:]) < 0 {
			at, more = next()
		}
		if targetErr != nil {
			return fmt.Errorf("list the target: %w", targetErr)
		}
		select {
		case work <- job{Info: i, there: more && at.Digest == i.Digest && at.Size == i.Size}:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	if err != nil && targetErr == nil {
		return fmt.Errorf("list the source: %w", err)
	}
	return err
}

func (c *copying) target(ctx context.Context, err *error) iter.Seq[Info] {
	enough := errors.New("enough")
	return func(yield func(Info) bool) {
		*err = c.to.List(ctx, c.opts.After, func(i Info) error {
			if !yield(i) {
				return enough
			}
			return nil
		})
		if errors.Is(*err, enough) {
			*err = nil
		}
	}
}

// blob copies one; an error ends the whole copy.
func (c *copying) blob(ctx context.Context, j job) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if j.there {
		good, err := c.intact(ctx, j)
		if err != nil {
			return fmt.Errorf("verify %v at the target: %w", j.Digest, err)
		}
		if good {
			c.done(j, 0, func(s *CopyStats) { s.Skipped++ })
			return nil
		}
	}
	blob, err := c.from.Get(ctx, j.Digest, Whole)
	if err != nil {
		return c.bad(ctx, j, 0, err)
	}
	r := &reading{c: c, r: blob}
	err = errors.Join(c.to.Put(ctx, j.Digest, j.Size, r), blob.Close())
	switch {
	case err == nil:
		c.done(j, r.moved, func(s *CopyStats) { s.Copied++; s.CopiedBytes += j.Size })
		return nil
	case r.err != nil:
		return c.bad(ctx, j, r.moved, r.err)
	case core.KindOf(err) == core.KindInvalid: // the source does not know that these are other bytes; the target does
		return c.bad(ctx, j, r.moved, err)
	}
	return fmt.Errorf("put %v: %w", j.Digest, err)
}

// intact reports whether what the target has need not be put again.
func (c *copying) intact(ctx context.Context, j job) (bool, error) {
	if !c.opts.Verify {
		return true, nil
	}
	_, err := ReadWhole(ctx, c.to, j.Digest)
	switch core.KindOf(err) {
	case core.KindDiverged, core.KindNotFound:
		return false, nil
	}
	return err == nil, err
}

func (c *copying) bad(ctx context.Context, j job, moved int64, err error) error {
	if ctx.Err() != nil {
		return ctx.Err() // not the blob's fault
	}
	c.mu.Lock()
	if c.opts.Bad != nil {
		c.opts.Bad(j.Digest, err)
	}
	c.badRow++
	row := c.badRow
	c.mu.Unlock()
	c.done(j, moved, func(s *CopyStats) { s.Bad++ })
	if row >= maxBadRow && core.KindOf(err).Temporary() {
		return fmt.Errorf("the source fails: %w", err)
	}
	return nil
}

// done counts a blob of which some bytes may have been counted while they moved.
func (c *copying) done(j job, moved int64, count func(*CopyStats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	bad := c.stats.Bad
	count(&c.stats)
	if c.stats.Bad == bad {
		c.badRow = 0
	}
	c.stats.Blobs++
	c.stats.Bytes += j.Size - moved
	c.tell()
}

func (c *copying) tell() {
	if c.opts.Progress != nil {
		c.opts.Progress(c.stats)
	}
}

// reading counts a blob's bytes as they move, and keeps the source's error apart from the target's.
type reading struct {
	c          *copying
	r          io.Reader
	moved      int64
	unreported int64
	err        error
}

func (r *reading) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && err != io.EOF { // a wrapped one is a source that broke
		r.err = err
	}
	if r.unreported += int64(n); r.unreported >= progressBytes {
		r.c.mu.Lock()
		r.c.stats.Bytes += r.unreported
		r.c.tell()
		r.c.mu.Unlock()
		r.moved += r.unreported
		r.unreported = 0
	}
	return n, err
}
