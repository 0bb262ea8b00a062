package s3

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/core"
)

const checkLimit = time.Minute

// Check performs once every kind of request that a Store needs, on a small object of its own. Its
// error's message is for the operator: it says what is wrong and which setting to change. The
// kind is core.KindUnavailable if the fault may disappear by itself, and core.KindInvalid if a
// setting must be changed; in the latter case a node should not start.
func (s *Store) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	p := &probe{Store: s, name: s.cfg.Prefix + "nearside-probe-" + rand.Text(), content: []byte(rand.Text())}
	for _, step := range []struct {
		action
		try func(*watch) error
	}{
		{retrieving, p.keys},
		{putting, p.put},
		{getting, p.get},
		{listing, p.list},
		{putting, p.begin},
		{sweeping, p.uploads},
		{aborting, p.abort},
		{deleting, p.delete},
		{listing, p.missing},
	} {
		w := newWatch(ctx, s.cfg.StallTimeout)
		err := w.blame(step.try(w))
		w.End()
		if err != nil {
			p.tidy(ctx)
			return s.verdict(ctx, step.action, err)
		}
	}
	return nil
}

// verdict is failed for the operator: the explanation is the message, not only the cause.
func (s *Store) verdict(ctx context.Context, a action, err error) error {
	var ours *core.Error
	switch {
	case gone(ctx) != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded):
		return gone(ctx)
	case errors.Is(err, errFile) && errors.As(err, &ours):
		return core.E(core.KindInvalid, "%s", ours.Message).WithCause(ours.Cause)
	case errors.As(err, &ours):
		return ours
	}
	kind := core.KindInvalid
	if temporary(err) {
		kind = core.KindUnavailable
	}
	return core.E(kind, "object store: %s: %s", a.doing, s.explain(a, err)).WithCause(err)
}

// probe is the test object of a Check. Its name is no digest, so it is not a blob.
type probe struct {
	*Store
	name    string
	content []byte
	id      string // of its unfinished upload
	there   bool
}

func (p *probe) keys(w *watch) error {
	_, err := p.creds.GetWithContext(&credentials.CredContext{
		Context: w.ctx, Client: &http.Client{Transport: p.transport, Timeout: roleTimeout},
	})
	return err
}

func (p *probe) put(w *watch) error {
	try := func() error {
		sum := sha256.Sum256(p.content)
		return p.send(w, p.name, cdn.Digest(sum), p.content)
	}
	err := try()
	if p.redirected(err) {
		err = try()
	}
	p.there = err == nil
	return err
}

func (p *probe) get(w *watch) error {
	got, err := p.read(w)
	if err == nil && !bytes.Equal(got, p.content) {
		return core.E(core.KindInvalid, "object store: the bytes read differ from the bytes put: a proxy changes them, or two stores share the endpoint %s", p.cfg.Endpoint)
	}
	return err
}

func (p *probe) read(w *watch) ([]byte, error) {
	sse, err := p.sse.accessOptions()
	if err != nil {
		return nil, err
	}
	body, _, _, err := p.core.GetObject(w.ctx, p.cfg.Bucket, p.name, minio.GetObjectOptions{ServerSideEncryption: sse})
	if err != nil {
		return nil, err
	}
	got, err := io.ReadAll(io.LimitReader(body, int64(len(p.content))+1))
	return got, errors.Join(err, body.Close())
}

func (p *probe) list(w *watch) error {
	for obj := range p.core.ListObjectsIter(w.ctx, p.cfg.Bucket, minio.ListObjectsOptions{Prefix: p.name, MaxKeys: 1}) {
		return obj.Err
	}
	return w.ctx.Err()
}

func (p *probe) begin(w *watch) error {
	opts, err := p.createOptions()
	if err != nil {
		return err
	}
	p.id, err = p.core.NewMultipartUpload(w.ctx, p.cfg.Bucket, p.name, opts)
	return err
}

// uploads checks the listing of unfinished uploads. It only warns: without the listing, a rule of
// the bucket must drop old uploads.
func (p *probe) uploads(w *watch) error {
	_, err := p.core.ListMultipartUploads(w.ctx, p.cfg.Bucket, p.name, "", "", "", 1)
	if r, ok := answer(err); ok && r.StatusCode == http.StatusNotImplemented {
		p.cfg.Logger.WarnContext(w.ctx, "the object store cannot list unfinished uploads: give the bucket a life-cycle rule that drops them")
		return nil
	}
	return err
}

func (p *probe) abort(w *watch) error {
	err := p.core.AbortMultipartUpload(w.ctx, p.cfg.Bucket, p.name, p.id)
	if err == nil {
		p.id = ""
	}
	return err
}

func (p *probe) delete(w *watch) error {
	err := p.core.RemoveObject(w.ctx, p.cfg.Bucket, p.name, minio.RemoveObjectOptions{})
	if err == nil {
		p.there = false
	}
	return err
}

// missing reads the deleted object. A store that answers "forbidden" here hides from callers
// without list permission that an object is missing.
func (p *probe) missing(w *watch) error {
	_, err := p.read(w)
	if r, ok := answer(err); ok && r.Code == minio.NoSuchKey {
		return nil
	}
	if err == nil {
		return core.E(core.KindUnavailable, "object store: a deleted object can still be read")
	}
	return err
}

// tidy removes what a failed check has created, if it may.
func (p *probe) tidy(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortLimit)
	defer cancel()
	w := newWatch(ctx, p.cfg.StallTimeout)
	defer w.End()
	var err error
	if p.id != "" {
		err = p.abort(w)
	}
	if p.there {
		err = errors.Join(err, p.delete(w))
	}
	if err != nil {
		p.cfg.Logger.WarnContext(ctx, fmt.Sprintf("the test object %s could not be removed from the bucket", p.name), "err", err)
	}
}
