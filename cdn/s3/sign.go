package s3

import (
	"context"
	"net/url"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/core"
)

// The validity of a signed URL, as the protocol limits it. With keys of a machine's role the URL
// ends earlier, with the keys.
const (
	minValid = time.Second
	maxValid = 7 * 24 * time.Hour
)

// SignedURL implements cdn.Signer. It sends no request, except one for the bucket's region if
// none is configured; so the blob need not exist.
func (s *Store) SignedURL(ctx context.Context, d cdn.Digest, contentType, disposition string, valid time.Duration) (string, error) {
	if valid < minValid || valid > maxValid {
		return "", core.E(core.KindInvalid, "a signed URL can be valid for %v to %v", minValid, maxValid)
	}
	if s.sse.key != nil {
		return "", core.E(core.KindNotBuilt, "objects encrypted with our own key cannot be read by URL")
	}
	query := url.Values{}
	if contentType != "" {
		query.Set("response-content-type", contentType)
	}
	if disposition != "" {
		query.Set("response-content-disposition", disposition)
	}
	var signed *url.URL
	err := s.retry(ctx, signing, func(w *watch) error {
		c, err := s.public(w.ctx)
		if err != nil {
			return err
		}
		signed, err = c.PresignedGetObject(w.ctx, s.cfg.Bucket, s.name(d), valid, query)
		return err
	})
	if err != nil {
		return "", err
	}
	return signed.String(), nil
}

// public returns the client that signs. It asks for the region at our own endpoint: the public
// one may not be reachable from here.
func (s *Store) public(ctx context.Context) (*minio.Client, error) {
	if s.cfg.PublicEndpoint == s.cfg.Endpoint {
		return s.core.Client, nil
	}
	region, err := s.core.GetBucketLocation(ctx, s.cfg.Bucket)
	if err != nil {
		return nil, err
	}
	s.signing.Lock()
	defer s.signing.Unlock()
	if s.signer == nil {
		s.signer, err = s.client("public_endpoint", s.cfg.PublicEndpoint, region)
	}
	return s.signer, err
}
