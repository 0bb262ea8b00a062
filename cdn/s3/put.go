package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/core"
)

const (
	abortLimit    = 10 * time.Second // for cleaning up after the caller's context has ended
	completeSlack = 4                // times StallTimeout: a store may copy all parts before it answers
)

// Put implements cdn.Putter. It sends the bytes even if the blob is stored: they have to be read
// to be checked, the object's age begins anew, and a damaged object is replaced.
func (s *Store) Put(ctx context.Context, d cdn.Digest, size int64, r io.Reader) error {
	if size < 0 {
		return core.E(core.KindInvalid, "a blob's size must not be negative")
	}
	done, err := s.busy.put(ctx, d)
	if err != nil {
		return err
	}
	defer done()
	part := partSize(size, s.cfg.PartBytes)
	held := min(size, part, s.cfg.MaxBufferBytes)
	if err := s.memory.Acquire(ctx, held); err != nil {
		return fmt.Errorf("wait for an upload buffer: %w", err)
	}
	defer s.memory.Release(held)
	u := &upload{Store: s, d: d, left: size, size: size, src: cdn.NewSource(ctx, r), hash: sha256.New()}
	buf := make([]byte, min(size, part))
	if size <= part {
		return u.whole(ctx, buf)
	}
	return u.parts(ctx, buf)
}

// partSize returns the size of a blob's parts. It exceeds usual if there would otherwise be too
// many parts.
func partSize(size, usual int64) int64 {
	least := (size + maxParts - 1) / maxParts
	return max(usual, (least+mib-1)/mib*mib)
}

// upload is a blob that is being uploaded.
type upload struct {
	*Store
	d          cdn.Digest
	size, left int64 // left: bytes that the source has still to deliver
	src        *cdn.Source
	hash       hash.Hash
}

// fill reads all of buf from the source. At the end of the source it checks the whole blob.
func (u *upload) fill(buf []byte) error {
	n, err := io.ReadFull(u.src, buf)
	u.hash.Write(buf[:n])
	u.left -= int64(n)
	if u.src.Err() != nil {
		return fmt.Errorf("read blob: %w", u.src.Err())
	}
	if err != nil {
		return u.otherSize()
	}
	if u.left > 0 {
		return nil
	}
	if n, _ := io.ReadFull(u.src, make([]byte, 1)); n > 0 { // one more byte means that size is wrong
		return u.otherSize()
	} else if u.src.Err() != nil {
		return fmt.Errorf("read blob: %w", u.src.Err())
	}
	if !bytes.Equal(u.hash.Sum(nil), u.d[:]) {
		return core.E(core.KindInvalid, "the blob's bytes do not match its digest")
	}
	return nil
}

func (u *upload) otherSize() error {
	return core.E(core.KindInvalid, "the blob does not have the announced %d bytes", u.size)
}

// whole sends a blob in one request. The store checks the bytes against the signed digest again.
func (u *upload) whole(ctx context.Context, buf []byte) error {
	if err := u.fill(buf); err != nil {
		return err
	}
	return u.retry(ctx, putting, func(w *watch) error { return u.send(w, u.name(u.d), u.d, buf) })
}

func (s *Store) send(w *watch, name string, d cdn.Digest, buf []byte) error {
	opts, err := s.createOptions()
	if err != nil {
		return err
	}
	plain := s.plain.Load()
	if !plain { // the store checks this checksum and stores it with the object
		opts.UserMetadata = map[string]string{"x-amz-checksum-sha256": base64.StdEncoding.EncodeToString(d[:])}
	}
	b := &body{b: buf, w: w}
	defer b.release()
	_, err = s.core.PutObject(w.ctx, s.cfg.Bucket, name, b, int64(len(buf)), "", d.String(), opts)
	if r, ok := answer(err); ok && !plain && slices.Contains(unknownHeader, r.StatusCode) {
		s.plain.Store(true) // the digest is signed into the request anyway
		return s.send(w, name, d, buf)
	}
	return err
}

// What stores answer to an unknown header.
var unknownHeader = []int{http.StatusBadRequest, http.StatusNotImplemented}

// createOptions returns the options of a request that creates an object. We hash the content ourselves:
// the client's streaming signature would frame the bytes.
func (s *Store) createOptions() (minio.PutObjectOptions, error) {
	sse, err := s.sse.createOptions()
	return minio.PutObjectOptions{ServerSideEncryption: sse, DisableContentSha256: true}, err
}

// parts sends a blob in parts. The last is sent after the whole was checked, so no store can
// assemble wrong bytes. If anything fails, the sent parts are dropped.
func (u *upload) parts(ctx context.Context, buf []byte) (err error) {
	id, err := u.begin(ctx, u.name(u.d))
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			u.abandon(ctx, u.name(u.d), id)
		}
	}()
	var sent []minio.CompletePart
	for u.left > 0 {
		part := buf[:min(int64(len(buf)), u.left)]
		if err := u.fill(part); err != nil {
			return err
		}
		etag, err := u.part(ctx, id, len(sent)+1, part)
		if err != nil {
			return err
		}
		sent = append(sent, minio.CompletePart{PartNumber: len(sent) + 1, ETag: etag})
	}
	return u.complete(ctx, id, sent)
}

func (s *Store) begin(ctx context.Context, name string) (id string, err error) {
	err = s.retry(ctx, putting, func(w *watch) error {
		opts, err := s.createOptions()
		if err != nil {
			return err
		}
		id, err = s.core.NewMultipartUpload(w.ctx, s.cfg.Bucket, name, opts)
		return err
	})
	return id, err
}

func (u *upload) part(ctx context.Context, id string, number int, buf []byte) (etag string, err error) {
	sum := sha256.Sum256(buf)
	err = u.retry(ctx, putting, func(w *watch) error {
		sse, err := u.sse.accessOptions()
		if err != nil {
			return err
		}
		b := &body{b: buf, w: w}
		defer b.release()
		p, err := u.core.PutObjectPart(w.ctx, u.cfg.Bucket, u.name(u.d), id, number, b, int64(len(buf)),
			minio.PutObjectPartOptions{Sha256Hex: hex.EncodeToString(sum[:]), SSE: sse, DisableContentSha256: true})
		etag = p.ETag
		return err
	})
	return etag, err
}

func (u *upload) complete(ctx context.Context, id string, sent []minio.CompletePart) error {
	tries := 0
	return u.repeat(ctx, putting, func() error {
		tries++
		w := newWatch(ctx, completeSlack*u.cfg.StallTimeout)
		defer w.End()
		opts, err := u.createOptions()
		if err != nil {
			return err
		}
		_, err = u.core.CompleteMultipartUpload(w.ctx, u.cfg.Bucket, u.name(u.d), id, sent, opts)
		if r, ok := answer(err); ok && r.Code == minio.NoSuchUpload && tries > 1 {
			if n, _, statErr := u.stat(w, u.d); statErr == nil && n == u.size {
				return nil // an earlier attempt had succeeded, and its answer was lost
			}
		}
		return w.blame(err)
	})
}

// abandon drops the parts that were sent, also if the caller's context has ended. If the store is
// unavailable, Sweep drops them later.
func (s *Store) abandon(ctx context.Context, name, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortLimit)
	defer cancel()
	if err := s.abort(ctx, name, id); err != nil {
		s.cfg.Logger.InfoContext(ctx, "an unfinished upload is left at the object store", "err", err)
	}
}

func (s *Store) abort(ctx context.Context, name, id string) error {
	return s.retry(ctx, aborting, func(w *watch) error {
		err := s.core.AbortMultipartUpload(w.ctx, s.cfg.Bucket, name, id)
		if r, ok := answer(err); ok && r.Code == minio.NoSuchUpload {
			return nil
		}
		return err
	})
}

// body lends a buffer to one request. The transport may read on after the request has failed;
// after release it gets nothing more, so the buffer can be filled again.
type body struct {
	mu sync.Mutex // guards b
	b  []byte
	w  *watch
}

func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, b.b)
	b.b = b.b[n:]
	b.w.Moved()
	return n, nil
}

func (b *body) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.b = nil
}

// inUse excludes Put and Expire of the same blob from each other.
type inUse struct {
	mu       sync.Mutex // guards everything below
	putting  map[cdn.Digest]int
	expiring map[cdn.Digest]chan struct{} // closed when the expiry ends
}

func newInUse() *inUse {
	return &inUse{putting: map[cdn.Digest]int{}, expiring: map[cdn.Digest]chan struct{}{}}
}

// put waits while d is being expired.
func (u *inUse) put(ctx context.Context, d cdn.Digest) (done func(), err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for over := u.expiring[d]; over != nil; over = u.expiring[d] {
		u.mu.Unlock()
		select {
		case <-over:
		case <-ctx.Done():
		}
		u.mu.Lock()
		if err := gone(ctx); err != nil {
			return nil, err
		}
	}
	u.putting[d]++
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		if u.putting[d]--; u.putting[d] == 0 {
			delete(u.putting, d)
		}
	}, nil
}

// expire begins, unless d is being put or expired at the moment.
func (u *inUse) expire(d cdn.Digest) (done func(), ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.putting[d] > 0 || u.expiring[d] != nil {
		return nil, false
	}
	over := make(chan struct{})
	u.expiring[d] = over
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		delete(u.expiring, d)
		close(over)
	}, true
}
