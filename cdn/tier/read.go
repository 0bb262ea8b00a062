package tier

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/core"
)

const maxHeals = 3 // per reader; a disk that damages everything gets no fourth attempt

// Get opens a blob or a part of it. Its reader is an io.WriterTo, which writes whole chunks
// without copying them, and an io.Seeker. ctx bounds all its waiting. If the origin delivers
// wrong bytes, a read of the whole ends with core.KindDiverged before the last chunk.
func (t *Tier) Get(ctx context.Context, d cdn.Digest, r cdn.Range) (cdn.Blob, error) {
	if ctx.Err() != nil {
		return cdn.Blob{}, gone(ctx)
	}
	e, err := t.lookup(d)
	if err != nil {
		return cdn.Blob{}, err
	}
	rd := &reader{t: t, ctx: ctx, d: d, size: -1}
	if e != nil {
		t.count.hits.Add(1)
		t.touch(d)
		rd.e, rd.size = e, e.size
	} else {
		t.count.misses.Add(1)
		err = rd.join()
		if errors.Is(err, errUnkept) {
			err = rd.pass(r)
		}
	}
	if err == nil {
		err = rd.within(r)
	}
	if err != nil {
		_ = rd.Close()
		return cdn.Blob{}, err
	}
	return cdn.Blob{ReadCloser: rd, Size: rd.size}, nil
}

func (t *Tier) lookup(d cdn.Digest) (*entry, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, errClosed()
	}
	return t.index[d], nil
}

func (t *Tier) touch(d cdn.Digest) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.policy.Touch(d)
}

// reader reads the bytes of a range from wherever they are: memory, a kept file, a fill or the
// origin. It may change from one to another between two chunks.
type reader struct {
	t    *Tier
	ctx  context.Context // of the Get
	d    cdn.Digest
	size int64

	start, off, end int64
	moved           bool // did not begin at the start, so the whole cannot be checked

	pg   *page
	buf  []byte // the unread bytes of pg
	from *counter

	e      *entry // the kept blob; nil if it is not kept
	held   bool   // e is open
	fl     *fill  // the fill that this reader waits for
	src    *direct
	heals  int
	failed error // permanent: every later read returns it
}

// within sets the range, when the size is known.
func (r *reader) within(want cdn.Range) error {
	if want.Offset < 0 || want.Offset > r.size || want.Length > r.size-want.Offset {
		return core.E(core.KindInvalid, "the range is not inside the blob of %d bytes", r.size)
	}
	r.start, r.off, r.end = want.Offset, want.Offset, r.size
	if want.Length >= 0 {
		r.end = want.Offset + want.Length
	}
	return nil
}

// join waits for a fill until the size is known. It returns errUnkept if there is no fill.
func (r *reader) join() error {
	r.fl = r.t.join(r.ctx, r.d)
	if r.fl == nil {
		return errUnkept
	}
	e, err := r.fl.entry(r.ctx)
	switch {
	case errors.Is(err, errUnkept):
		r.leave()
		return err
	case err != nil:
		return err
	case r.size >= 0 && e.size != r.size:
		return core.E(core.KindDiverged, "the origin reports another size")
	}
	r.size = e.size
	if r.held = r.t.reopen(e); r.held {
		r.e = e
		return nil
	}
	r.leave() // it has ended, and its result is not kept
	return errUnkept
}

// reopen opens a blob that may still be filling; false if its file is closed.
func (t *Tier) reopen(e *entry) bool {
	t.mu.Lock()
	opened := e.opens > 0 && e.f != nil
	if opened {
		e.opens++
	}
	t.mu.Unlock()
	return opened || t.acquire(e) == nil
}

// pass opens the blob at the origin.
func (r *reader) pass(want cdn.Range) error {
	src, size, err := r.t.direct(r.ctx, r.d, want)
	if err != nil {
		return err
	}
	r.src = src
	if r.size >= 0 && size != r.size {
		return core.E(core.KindDiverged, "the origin reports another size")
	}
	r.size = size
	return nil
}

// whole reports whether the blob is read completely and in order. After damage, such a reader
// waits for the new fill, however far ahead it is: the origin would otherwise deliver the blob
// twice.
func (r *reader) whole() bool { return !r.moved && r.start == 0 && r.end == r.size }

// passRest continues at the origin. A read of the whole begins there at the first byte, so that
// it can be checked.
func (r *reader) passRest() error {
	r.release()
	if !r.whole() {
		return r.pass(cdn.Range{Offset: r.off, Length: r.end - r.off})
	}
	if err := r.pass(cdn.Whole); err != nil {
		return err
	}
	return r.src.skip(r.off)
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := r.ready(); err != nil {
		return 0, err
	}
	n := copy(p, r.buf)
	r.took(n)
	return n, nil
}

// WriteTo implements io.WriterTo.
func (r *reader) WriteTo(w io.Writer) (n int64, err error) {
	for {
		switch err := r.ready(); {
		case err == io.EOF: //nolint:errorlint // an error of the origin that wraps it is no end
			return n, nil
		case err != nil:
			return n, err
		}
		m, err := w.Write(r.buf)
		n += int64(m)
		r.took(m)
		if err != nil {
			return n, err
		}
	}
}

// Seek implements io.Seeker, within the range.
func (r *reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.off - r.start
	case io.SeekEnd:
		offset += r.end - r.start
	}
	if offset < 0 || offset > r.end-r.start {
		return 0, core.E(core.KindInvalid, "the offset is outside the range")
	}
	if at := r.start + offset; at != r.off {
		r.release()
		r.off, r.moved = at, true
	}
	return offset, nil
}

// Close releases everything.
func (r *reader) Close() error {
	r.release()
	r.leave()
	r.shut()
	r.failed = fs.ErrClosed
	return nil
}

func (r *reader) took(n int) {
	r.buf = r.buf[n:]
	r.off += int64(n)
	r.from.Add(int64(n))
}

// release drops the page and the origin.
func (r *reader) release() {
	if r.pg != nil {
		r.pg.release()
		r.pg, r.buf = nil, nil
	}
	if r.src != nil {
		_ = r.src.Close()
		r.src = nil
	}
}

func (r *reader) leave() {
	if r.fl != nil {
		r.t.leave(r.fl)
		r.fl = nil
	}
}

// shut closes the kept file.
func (r *reader) shut() {
	if r.held {
		r.t.release(r.e)
	}
	r.e, r.held = nil, false
}

// ready makes sure that buf has bytes.
func (r *reader) ready() error {
	if len(r.buf) > 0 {
		return nil
	}
	if r.pg != nil {
		r.pg.release()
		r.pg = nil
	}
	for len(r.buf) == 0 && r.failed == nil {
		err := r.step()
		if err == io.EOF { //nolint:errorlint // as in WriteTo
			return err // the caller may seek and read on
		}
		r.failed = err
	}
	return r.failed
}

// step gets bytes, or decides where to look for them next.
func (r *reader) step() error {
	switch {
	case r.off == r.end && r.src == nil:
		return r.ends()
	case r.ctx.Err() != nil:
		return gone(r.ctx)
	case r.src != nil:
		return r.fromOrigin()
	case r.fl != nil:
		return r.fromFill()
	case r.e != nil:
		return r.fromKept()
	}
	if e, err := r.t.lookup(r.d); err != nil || e != nil {
		r.e = e
		return err
	}
	err := r.join()
	if errors.Is(err, errUnkept) {
		return r.passRest()
	}
	return err
}

// ends returns what follows the last byte. After a fill, it waits until the whole is known to be
// right.
func (r *reader) ends() error {
	if r.fl != nil && r.end == r.size {
		if err := r.fl.settled(r.ctx); err != nil && !errors.Is(err, errFilled) && !errors.Is(err, errUnkept) {
			return err
		}
	}
	return io.EOF
}

func (r *reader) fromOrigin() error {
	pg := r.t.pages.get(chunk)
	n, err := r.src.Read(pg.data)
	if err != nil {
		pg.release()
		return err
	}
	r.pg, r.buf, r.from = pg, pg.data[:n], &r.t.count.fromOrigin
	return nil
}

func (r *reader) fromFill() error {
	pg, n, err := r.fl.page(r.ctx, r.off, r.whole())
	switch {
	case err == nil:
		if n == int64(len(pg.data)) {
			r.t.hot.offer(r.e, r.off/chunk, pg)
		}
		r.use(pg, n, &r.t.count.fromOrigin)
		return nil
	case errors.Is(err, errFilled):
		r.leave() // the kept blob is open already
		return nil
	case errors.Is(err, errAhead):
		return r.passRest()
	case errors.Is(err, errUnkept), errors.Is(err, errDamaged):
		r.leave()
		r.shut()
		return r.passRest()
	}
	return err
}

func (r *reader) fromKept() error {
	i := r.off / chunk
	if pg := r.t.hot.get(r.e, i); pg != nil {
		r.use(pg, int64(len(pg.data)), &r.t.count.fromMemory)
		return nil
	}
	if !r.held {
		switch err := r.t.acquire(r.e); {
		case err == nil:
			r.held = true
		case errors.Is(err, errGone):
			r.e = nil
			return nil
		case errors.Is(err, errDamaged):
			return r.heal()
		default: // too many open files, or a failing disk
			r.e = nil
			return r.passRest()
		}
	}
	pg := r.t.pages.get(min(chunk, r.size-i*chunk))
	if !readChunk(r.e.f, i, r.size, r.e.sums[i], pg) {
		pg.release()
		return r.heal()
	}
	r.t.hot.offer(r.e, i, pg)
	r.use(pg, int64(len(pg.data)), &r.t.count.fromDisk)
	return nil
}

// heal drops the damaged blob; the next step fetches it again.
func (r *reader) heal() error {
	if r.heals++; r.heals > maxHeals {
		return core.E(core.KindUnavailable, "the cache's disk damages what is written to it")
	}
	if !r.t.damaged(r.e) {
		return core.E(core.KindDiverged, "the only copy of the blob is damaged")
	}
	r.shut()
	return nil
}

// use takes over a page of which n bytes are good.
func (r *reader) use(pg *page, n int64, from *counter) {
	first := r.off / chunk * chunk
	r.pg, r.buf, r.from = pg, pg.data[r.off-first:min(n, r.end-first)], from
}
