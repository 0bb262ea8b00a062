package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/nearside/nearside/core"
)

// setting is the prefix of the settings that messages name.
const setting = "files.s3."

// action is a kind of request, and the permission that it needs.
type action struct{ doing, permission string }

var (
	putting    = action{"put blob", "s3:PutObject"}
	getting    = action{"get blob", "s3:GetObject"}
	asking     = action{"stat blob", "s3:GetObject"}
	deleting   = action{"delete blob", "s3:DeleteObject"}
	listing    = action{"list blobs", "s3:ListBucket"}
	aborting   = action{"abort upload", "s3:AbortMultipartUpload"}
	sweeping   = action{"list uploads", "s3:ListBucketMultipartUploads"}
	signing    = action{"sign URL", "s3:GetObject"}
	retrieving = action{"get keys", "the machine's role"}
)

var errStalled = errors.New("no byte moved for too long")

// answer returns the store's answer, if err contains one.
func answer(err error) (minio.ErrorResponse, bool) {
	var r minio.ErrorResponse
	ok := errors.As(err, &r)
	return r, ok
}

// failed gives an error the kind that callers act on. A user who wants a file learns only that
// the store is unavailable. The cause says, for the log, what is wrong and which setting to
// change.
func (s *Store) failed(a action, err error) error {
	r, answered := answer(err)
	var ours *core.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &ours):
		return fmt.Errorf("%s: %w", a.doing, err)
	case answered && r.Code == minio.NoSuchKey:
		return core.E(core.KindNotFound, "no such blob").WithCause(fmt.Errorf("%s: %w", a.doing, err))
	case answered && r.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		return core.E(core.KindInvalid, "the range is not inside the blob").WithCause(fmt.Errorf("%s: %w", a.doing, err))
	}
	return core.E(core.KindUnavailable, "the object store is unavailable").
		WithCause(fmt.Errorf("%s: %s: %w", a.doing, s.explain(a, err), err))
}

// temporary reports whether the same request may succeed soon.
func temporary(err error) bool {
	if r, ok := answer(err); ok {
		return r.StatusCode >= 500 && r.StatusCode != http.StatusNotImplemented ||
			slices.Contains(temporaryStatus, r.StatusCode) || slices.Contains(temporaryCodes, r.Code)
	}
	var ours *core.Error
	if errors.As(err, &ours) {
		return ours.Kind.Temporary()
	}
	var dns *net.DNSError
	return !(errors.As(err, &dns) && dns.IsNotFound) && !mistrust(err) && !strings.Contains(err.Error(), httpsOverHTTP)
}

// Conflict means that another request for the object is running.
var temporaryStatus = []int{http.StatusRequestTimeout, http.StatusConflict, http.StatusTooManyRequests}

// Codes whose status alone would not show that a retry helps. The last two mean that bytes were
// damaged on the way.
var temporaryCodes = []string{
	"RequestTimeout", "Throttling", "ThrottlingException", "RequestLimitExceeded", "RequestThrottled", "SlowDown",
	"ExpiredToken", "ExpiredTokenException", minio.BadDigest, minio.XAmzContentSHA256Mismatch,
}

const httpsOverHTTP = "server gave HTTP response to HTTPS client"

// redirected reports whether the store named the bucket's region because none was configured; the
// client has then recorded it.
func (s *Store) redirected(err error) bool {
	r, _ := answer(err)
	return s.cfg.Region == "" && r.Region != "" && (r.Code == minio.AuthorizationHeaderMalformed || r.Code == minio.InvalidRegion)
}

func mistrust(err error) bool {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var hostname x509.HostnameError
	var record tls.RecordHeaderError
	return errors.As(err, &unknown) || errors.As(err, &invalid) || errors.As(err, &hostname) || errors.As(err, &record)
}

// explain says in one sentence what is wrong and which setting to change.
func (s *Store) explain(a action, err error) string {
	r, answered := answer(err)
	if !answered {
		return s.explainNetwork(err)
	}
	switch {
	case r.Code == minio.NoSuchBucket || r.Code == minio.InvalidBucketName:
		return fmt.Sprintf("there is no bucket %q at %s: create it, or change %sbucket", s.cfg.Bucket, s.cfg.Endpoint, setting)
	case r.Code == minio.InvalidAccessKeyID:
		return fmt.Sprintf("%s does not know the access key: change %saccess_key", s.cfg.Endpoint, setting)
	case r.Code == minio.SignatureDoesNotMatch:
		return fmt.Sprintf("the secret key does not belong to the access key: change %ssecret_key", setting)
	case r.Code == minio.RequestTimeTooSkewed:
		return "this machine's clock differs from the store's by too much: set it"
	case r.Code == minio.AuthorizationHeaderMalformed, r.Code == minio.InvalidRegion, r.Code == "PermanentRedirect",
		r.Code == "IncorrectEndpoint", r.StatusCode == http.StatusMovedPermanently:
		return s.explainRegion(r)
	case strings.HasPrefix(r.Code, "KMS.") || strings.Contains(r.Code, "Encryption"):
		return fmt.Sprintf("the store does not support this encryption: change %ssse", setting)
	case r.StatusCode == http.StatusForbidden:
		return fmt.Sprintf("the keys may not do this in bucket %q: grant them %s, or change %saccess_key", s.cfg.Bucket, a.permission, setting)
	}
	return fmt.Sprintf("%s answered %d %s", s.cfg.Endpoint, r.StatusCode, r.Code)
}

func (s *Store) explainRegion(r minio.ErrorResponse) string {
	if r.Region == "" {
		return fmt.Sprintf("bucket %q is in another region: change %sregion or endpoint", s.cfg.Bucket, setting)
	}
	return fmt.Sprintf("bucket %q is in region %s: change %sregion", s.cfg.Bucket, r.Region, setting)
}

func (s *Store) explainNetwork(err error) string {
	switch {
	case errors.Is(err, errStalled):
		return fmt.Sprintf("%s does not answer in time", s.cfg.Endpoint)
	case strings.Contains(err.Error(), httpsOverHTTP):
		return fmt.Sprintf("%s does not speak https: write http:// in %sendpoint if that is intended", s.cfg.Endpoint, setting)
	case mistrust(err):
		return fmt.Sprintf("the certificate of %s is not trusted: change %sendpoint, or name its authority in SSL_CERT_FILE", s.cfg.Endpoint, setting)
	}
	return fmt.Sprintf("%s cannot be reached: check the network and %sendpoint", s.cfg.Endpoint, setting)
}

func badEndpoint(key string, err error) error {
	return core.E(core.KindInvalid, "%s%s: %v", setting, key, err)
}

// gone returns the context's error if it has ended: the caller has given up.
func gone(ctx context.Context) error {
	if ctx.Err() != nil {
		return fmt.Errorf("object store: %w", ctx.Err())
	}
	return nil
}
