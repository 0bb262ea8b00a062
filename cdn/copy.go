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
	maxBadInARow  = 32      // this many bad blobs in a row mean that the source is broken
	progressBytes = 1 << 20 // moved between two reports about one blob
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
	Verify  bool   // also read what the target already has, and put it again if it is damaged

	// Progress is called after every blob, and repeatedly within large ones. Bad is called for
	// every blob that could not be copied. Calls never overlap; both functions must be quick.
	Progress func(CopyStats)
	Bad      func(Digest, error)
}

// CopyStats counts the blobs that Copy has processed. Bytes are those of the source's blobs.
type CopyStats struct {
	Blobs, Bytes           int64 // processed, whatever the result
	Copied, CopiedBytes    int64 // put at the target
	Skipped                int64 // already at the target, with the same size
	Bad                    int64 // unreadable or damaged at the source
	TotalBlobs, TotalBytes int64 // zero if they were not counted
}

// Copy copies every blob of one back end to another, in the order of digests. Blobs that the
// target has with the same size are skipped, so an interrupted copy continues where it stopped.
// If the source cannot deliver a blob, Copy calls Bad, counts the blob and continues. If the
// target fails, or the source delivers nothing any more, Copy ends with the error.
//
// Blobs that are put at the source during the copy may be missed: repeat the copy until it copies
// nothing.
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

	mu        sync.Mutex // guards everything below, and is held during callbacks
	stats     CopyStats
	badInARow int // bad blobs since the last good one
}

func (c *copying) count(ctx context.Context) error {
	return c.from.List(ctx, c.opts.After, func(i Info) error {
		c.stats.TotalBlobs++
		c.stats.TotalBytes += i.Size
		return nil
	})
}

// run gives the source's blobs to the workers and returns after the last worker has ended.
func (c *copying) run(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	work := make(chan job) // closed here, after the source has been listed
	var workers sync.WaitGroup
	for range c.opts.Workers {
		workers.Go(func() {
			for j := range work {
				if err := c.blob(ctx, j); err != nil {
					stop(err) // only the first call counts; it also ends the other workers
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

// job is a blob of the source, and whether the target has one of the same size.
type job struct {
	Info
	there bool
}

// feed lists both sides in parallel. Both have the same order, so the target need not be asked
// for each blob.
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

// blob copies one blob. An error ends the whole copy.
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
	case core.KindOf(err) == core.KindInvalid: // the bytes do not match the digest; the source did not notice, the target did
		return c.bad(ctx, j, r.moved, err)
	}
	return fmt.Errorf("put %v: %w", j.Digest, err)
}

// intact reports whether the target's copy may stay.
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
		return ctx.Err() // the copy was stopped: this says nothing about the blob
	}
	c.mu.Lock()
	if c.opts.Bad != nil {
		c.opts.Bad(j.Digest, err)
	}
	c.badInARow++
	row := c.badInARow
	c.mu.Unlock()
	c.done(j, moved, func(s *CopyStats) { s.Bad++ })
	if row >= maxBadInARow && core.KindOf(err).Temporary() {
		return fmt.Errorf("the source fails: %w", err)
	}
	return nil
}

// done counts a finished blob. Bytes that were already counted while they moved are subtracted.
func (c *copying) done(j job, moved int64, count func(*CopyStats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	bad := c.stats.Bad
	count(&c.stats)
	if c.stats.Bad == bad {
		c.badInARow = 0
	}
	c.stats.Blobs++
	c.stats.Bytes += j.Size - moved
	c.report()
}

func (c *copying) report() {
	if c.opts.Progress != nil {
		c.opts.Progress(c.stats)
	}
}

// reading counts a blob's bytes as they move, and keeps the source's error separate from the
// target's.
type reading struct {
	c          *copying
	r          io.Reader
	moved      int64
	unreported int64
	err        error
}

func (r *reading) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && err != io.EOF { // a wrapped io.EOF means that the source broke
		r.err = err
	}
	if r.unreported += int64(n); r.unreported >= progressBytes {
		r.c.mu.Lock()
		r.c.stats.Bytes += r.unreported
		r.c.report()
		r.c.mu.Unlock()
		r.moved += r.unreported
		r.unreported = 0
	}
	return n, err
}
