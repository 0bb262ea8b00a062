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

// Check tries once everything that a Store will have to do, with a small object of its own, and
// says in a sentence what is wrong and which setting mends it. Its error's message is meant for
// the operator. What may pass by itself is core.KindUnavailable, what a setting has to mend
// core.KindInvalid: with the latter a node had better not start.
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

// verdict is failed for the operator: what is wrong is the message.
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
	if passes(err) {
		kind = core.KindUnavailable
	}
	return core.E(kind, "object store: %s: %s", a.doing, s.explain(a, err)).WithCause(err)
}

// probe is an object that is no blob, since its name is no digest.
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
		return core.E(core.KindInvalid, "object store: it gives other bytes than were put: something between changes them, or two stores answer at %s", p.cfg.Endpoint)
	}
	return err
}

func (p *probe) read(w *watch) ([]byte, error) {
	sse, err := p.sse.touching()
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
	opts, err := p.making()
	if err != nil {
		return err
	}
	p.id, err = p.core.NewMultipartUpload(w.ctx, p.cfg.Bucket, p.name, opts)
	return err
}

// uploads may be missing: a store that cannot list them has to drop old ones by itself.
func (p *probe) uploads(w *watch) error {
	_, err := p.core.ListMultipartUploads(w.ctx, p.cfg.Bucket, p.name, "", "", "", 1)
	if r, ok := answer(err); ok && r.StatusCode == http.StatusNotImplemented {
		p.cfg.Logger.WarnContext(w.ctx, "the object store cannot list unfinished uploads: give the bucket a rule that drops them")
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

// missing asks for what is not there any more. A store that says "forbidden" then hides what is
// missing from who may not list.
func (p *probe) missing(w *watch) error {
	_, err := p.read(w)
	if r, ok := answer(err); ok && r.Code == minio.NoSuchKey {
		return nil
	}
	if err == nil {
		return core.E(core.KindUnavailable, "object store: it still gives an object that was deleted")
	}
	return err
}

// tidy takes away what a failed check has made, if it may.
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
		p.cfg.Logger.WarnContext(ctx, fmt.Sprintf("a probe stays in the bucket: %s", p.name), "err", err)
	}
}
