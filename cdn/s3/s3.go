package s3

import (
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"golang.org/x/sync/semaphore"

	"github.com/nearside/nearside/cdn"
)

// Store is a cdn.Store in a bucket, and a cdn.Signer.
type Store struct {
	// Immutable after New.
	cfg       Config
	core      *minio.Core
	transport *http.Transport
	creds     *credentials.Credentials
	sse       encryption
	pageSize  int // objects in one answer to a list request

	memory *semaphore.Weighted // bytes of upload buffers
	busy   *inUse

	plain atomic.Bool // the store does not accept checksum headers; set when it refuses one

	signing sync.Mutex    // guards signer
	signer  *minio.Client // for the public endpoint; made at the first use
}

var (
	_ cdn.Store  = (*Store)(nil)
	_ cdn.Signer = (*Store)(nil)
)

// New checks the configuration. It reads and sends nothing.
func New(cfg Config) (*Store, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	_, secure, err := host("endpoint", cfg.Endpoint)
	if err != nil {
		return nil, err
	}
	s := &Store{
		cfg: cfg, transport: transport(cfg), memory: semaphore.NewWeighted(cfg.MaxBufferBytes),
		busy: newInUse(), pageSize: usualPage,
	}
	if s.sse, err = encryptionOf(cfg, secure); err != nil {
		return nil, err
	}
	if s.creds, err = credentialsOf(cfg); err != nil {
		return nil, err
	}
	client, err := s.client("endpoint", cfg.Endpoint, cfg.Region)
	if err != nil {
		return nil, err
	}
	s.core = &minio.Core{Client: client}
	_, _, err = host("public_endpoint", cfg.PublicEndpoint)
	return s, err
}

// client returns a client that sends each request once. Retries are made in retry: there is one
// budget for them, and no two requests read the same buffer.
func (s *Store) client(key, endpoint, region string) (*minio.Client, error) {
	hostport, secure, err := host(key, endpoint)
	if err != nil {
		return nil, err
	}
	styles := map[string]minio.BucketLookupType{
		StyleAuto: minio.BucketLookupAuto, StylePath: minio.BucketLookupPath, StyleVirtual: minio.BucketLookupDNS,
	}
	c, err := minio.New(hostport, &minio.Options{
		Creds: s.creds, Secure: secure, Transport: s.transport, Region: region,
		BucketLookup: styles[s.cfg.PathStyle], MaxRetries: 1,
	})
	if err != nil {
		return nil, badEndpoint(key, err)
	}
	return c, nil
}

func transport(cfg Config) *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: cfg.ConnectTimeout, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout: 2 * cfg.ConnectTimeout,
		MaxIdleConns:        256,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     time.Minute,
		DisableCompression:  true, // a blob's bytes must not be changed on the way
	}
}

// Close drops idle connections.
func (s *Store) Close() error {
	s.transport.CloseIdleConnections()
	return nil
}

// name returns the name of a blob's object. It is made of the digest's digits only.
func (s *Store) name(d cdn.Digest) string {
	x := d.String()
	return s.cfg.Prefix + x[:2] + "/" + x[2:4] + "/" + x
}

// digest is the inverse of name; false for any other object.
func (s *Store) digest(name string) (cdn.Digest, bool) {
	d, err := cdn.ParseDigest(name[strings.LastIndexByte(name, '/')+1:])
	return d, err == nil && s.name(d) == name
}
