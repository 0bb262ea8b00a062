package s3

import (
	"context"
	"errors"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/core"
)

const usualPage = 1000 // objects or uploads; no store returns more in one answer

// Delete implements cdn.Deleter. In a bucket with versions the store keeps the bytes until its
// own life-cycle rule removes them.
func (s *Store) Delete(ctx context.Context, d cdn.Digest) error {
	return s.remove(ctx, s.name(d))
}

func (s *Store) remove(ctx context.Context, name string) error {
	return s.retry(ctx, deleting, func(w *watch) error {
		err := s.core.RemoveObject(w.ctx, s.cfg.Bucket, name, minio.RemoveObjectOptions{})
		if r, ok := answer(err); ok && r.Code == minio.NoSuchKey {
			return nil
		}
		return err
	})
}

// Expire implements cdn.Deleter. The package comment says what can be lost if another node puts
// the blob at the same time.
func (s *Store) Expire(ctx context.Context, d cdn.Digest, before time.Time) (bool, error) {
	done, ok := s.busy.expire(d)
	if !ok {
		return false, gone(ctx) // it is being put, so it is not old
	}
	defer done()
	_, at, err := s.statAgain(ctx, d)
	switch {
	case core.KindOf(err) == core.KindNotFound:
		return false, nil
	case err != nil:
		return false, err
	case !at.Before(before):
		return false, nil
	}
	if err := s.Delete(ctx, d); err != nil {
		return false, err
	}
	return true, nil
}

// List implements cdn.Lister. Blobs that are put or removed during the walk may be listed or not;
// other objects in the bucket are skipped.
func (s *Store) List(ctx context.Context, after cdn.Digest, each func(cdn.Info) error) error {
	for last := s.name(after); ; {
		page, err := s.page(ctx, last)
		if err != nil {
			return err
		}
		for _, obj := range page {
			if obj.Key <= last { // without order, the caller would take a blob that comes late for a missing one
				return s.failed(listing, errors.New("the store does not list in the order of names: use a bucket of another type"))
			}
			last = obj.Key
			if err := s.visit(ctx, obj, each); err != nil {
				return err
			}
		}
		if len(page) < s.pageSize {
			return nil
		}
	}
}

func (s *Store) visit(ctx context.Context, obj minio.ObjectInfo, each func(cdn.Info) error) error {
	d, ours := s.digest(obj.Key)
	if !ours {
		return nil
	}
	if err := gone(ctx); err != nil {
		return err
	}
	return each(cdn.Info{Digest: d, Size: obj.Size, PutAt: obj.LastModified})
}

// page returns the objects after a name; fewer than pageSize if there are no more. It keeps no
// connection open while the caller works on them.
func (s *Store) page(ctx context.Context, after string) (page []minio.ObjectInfo, err error) {
	opts := minio.ListObjectsOptions{Prefix: s.cfg.Prefix, Recursive: true, StartAfter: after, MaxKeys: s.pageSize}
	err = s.retry(ctx, listing, func(w *watch) error {
		page = page[:0]
		for obj := range s.core.ListObjectsIter(w.ctx, s.cfg.Bucket, opts) {
			if obj.Err != nil {
				return obj.Err
			}
			w.Moved()
			if page = append(page, obj); len(page) == s.pageSize {
				return nil
			}
		}
		return w.ctx.Err() // the iterator ends silently if its context does
	})
	return page, err
}

// Sweep drops unfinished uploads of large blobs that began before a time, and returns their
// number. Finished blobs are not touched.
func (s *Store) Sweep(ctx context.Context, before time.Time) (dropped int, err error) {
	for last := ""; ; {
		var page minio.ListMultipartUploadsResult
		err := s.retry(ctx, sweeping, func(w *watch) (err error) {
			page, err = s.core.ListMultipartUploads(w.ctx, s.cfg.Bucket, s.cfg.Prefix, last, "", "", s.pageSize)
			return err
		})
		if err != nil {
			return dropped, err
		}
		for _, u := range page.Uploads {
			if _, ours := s.digest(u.Key); !ours || !u.Initiated.Before(before) {
				continue
			}
			if err := s.abort(ctx, u.Key, u.UploadID); err != nil {
				return dropped, err
			}
			dropped++
		}
		if !page.IsTruncated {
			return dropped, nil
		}
		if page.NextKeyMarker <= last {
			return dropped, s.failed(sweeping, errors.New("the store returned the same page again"))
		}
		last = page.NextKeyMarker // without the upload's id: that upload may be dropped by now. Other uploads of the same key wait for the next Sweep
	}
}
