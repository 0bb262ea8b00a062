package tier

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/backoff"
)

const (
	maxCopies  = 4 // to the origin at once
	firstPause = time.Second
	lastPause  = time.Minute
)

// Put stores a blob. When it returns, the blob is at the origin, or with Config.Local durable
// here. A blob that does not fit here goes to the origin only. Put also goes to the origin if the
// blob is kept here: the origin may have removed it since, for lack of references.
func (t *Tier) Put(ctx context.Context, d cdn.Digest, size int64, r io.Reader) error {
	if ctx.Err() != nil {
		return gone(ctx)
	}
	kept, err := t.lookup(d)
	if err != nil {
		return err
	}
	if kept != nil && !t.cfg.Local {
		return t.cfg.Origin.Put(ctx, d, size, r)
	}
	e := t.reserve(d, size)
	if e == nil {
		return t.cfg.Origin.Put(ctx, d, size, r)
	}
	defer t.release(e)
	p, err := t.newPart()
	if err != nil {
		_ = t.writeFailed(err)
		return t.cfg.Origin.Put(ctx, d, size, r)
	}
	t.mu.Lock()
	e.f = p.f
	t.mu.Unlock()
	if err := t.store(ctx, e, p, r); err != nil {
		removePart(p)
		return err
	}
	return nil
}

// store writes the part and stores it where Put promises it.
func (t *Tier) store(ctx context.Context, e *entry, p *part, r io.Reader) error {
	rest, err := t.receive(ctx, p, e.size, r)
	switch {
	case err != nil && rest == nil:
		return err
	case err != nil: // the disk failed: what it has and what is still to come go to the origin
		_ = t.writeFailed(err)
		removePart(p)
		return t.cfg.Origin.Put(ctx, e.d, e.size, io.MultiReader(p.content(), rest))
	case p.n != e.size || !p.matches(e.d):
		return errOther()
	}
	if t.cfg.Local {
		if err = t.settle(e, p, true); err == nil {
			return nil
		}
		_ = t.writeFailed(err)
	}
	if err := t.cfg.Origin.Put(ctx, e.d, e.size, p.content()); err != nil {
		return err
	}
	if !t.cfg.Local {
		if err = t.settle(e, p, false); err == nil {
			return nil
		}
		_ = t.writeFailed(err) // the origin has it
	}
	removePart(p)
	return nil
}

// receive writes what r delivers. After an error of the disk it returns what is not written yet.
func (t *Tier) receive(ctx context.Context, p *part, size int64, r io.Reader) (rest io.Reader, err error) {
	pg := t.pages.get(min(chunk, size+1))
	defer pg.release()
	buf := pg.data
	for {
		if ctx.Err() != nil {
			return nil, gone(ctx)
		}
		n, err := r.Read(buf)
		if p.n+int64(n) > size {
			return nil, errOther()
		}
		if w, err := p.Write(buf[:n]); err != nil {
			return io.MultiReader(bytes.NewReader(bytes.Clone(buf[w:n])), r), err
		}
		switch {
		case err == io.EOF:
			return nil, nil
		case err != nil:
			return nil, err
		}
	}
}

func errOther() error {
	return core.E(core.KindInvalid, "the bytes do not match the digest and the size")
}

// settle makes a part durable under its name.
func (t *Tier) settle(e *entry, p *part, due bool) error {
	if err := p.finish(e.d); err != nil {
		return err
	}
	t.mu.Lock()
	e.sums = p.sums
	err := t.keep(e, p, due)
	t.mu.Unlock()
	if err == nil && due {
		err = syncDir(t.cfg.Dir) // the blob is acknowledged as durable, so its name must survive a crash
	}
	if err == nil {
		t.ailing.Store(false)
	}
	return err
}

// owe queues a copy to the origin. The caller holds mu.
func (t *Tier) owe(e *entry) {
	t.owed++
	t.due = append(t.due, e)
	t.nudge()
}

func (t *Tier) nudge() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// copies copies due blobs to the origin, with growing pauses while that fails.
func (t *Tier) copies(ctx context.Context) {
	failures := 0
	for {
		e := t.nextDue()
		if e == nil {
			select {
			case <-t.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		err := t.copyOut(ctx, e)
		if err == nil {
			failures = 0
			continue
		}
		t.again(e, err)
		if !backoff.Pause(ctx, backoff.Backoff{Min: firstPause, Max: lastPause}.After(failures)) {
			return
		}
		failures++
	}
}

// nextDue returns a blob that is still to be copied, and wakes another copier if there is one
// more.
func (t *Tier) nextDue() *entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.due) > 0 {
		e := t.due[0]
		t.due = t.due[1:]
		if len(t.due) > 0 {
			t.nudge()
		}
		if !e.gone {
			return e
		}
	}
	return nil
}

func (t *Tier) again(e *entry, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e.gone {
		return
	}
	t.due = append(t.due, e) // tried again after a pause
	t.cfg.Logger.Warn("copying a blob to the origin failed", "blob", e.d, "owed", t.owed, "err", err)
}

// copyOut copies one blob. The origin checks it against its digest.
func (t *Tier) copyOut(ctx context.Context, e *entry) error {
	if err := t.acquire(e); err != nil {
		if errors.Is(err, errGone) {
			return nil // a Put of the same bytes has replaced it
		}
		return err
	}
	defer t.release(e)
	ctx, watch := watched(ctx)
	defer watch.End()
	r := &noted{r: io.NewSectionReader(e.f, 0, e.size), each: watch.Moved}
	if err := t.cfg.Origin.Put(ctx, e.d, e.size, r); err != nil {
		return why(ctx, err)
	}
	t.count.copied.Add(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	if e.gone {
		return nil
	}
	from := t.path(e)
	e.due = false
	t.owed--
	if err := os.Rename(from, t.path(e)); err != nil {
		_ = os.Remove(from)
		t.drop(e) // the origin has it; the next reader fills
	}
	return nil
}

// noted calls back after every read.
type noted struct {
	r    io.Reader
	each func()
}

func (n *noted) Read(p []byte) (int, error) {
	n.each()
	return n.r.Read(p)
}

// removePart removes a file that did not get a name.
func removePart(p *part) { _ = os.Remove(p.path) }
