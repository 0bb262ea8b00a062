package s3

import (
	"cmp"
	"log/slog"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/nearside/nearside/core"
)

const (
	amazon = "s3.amazonaws.com"

	mib          = 1 << 20
	minPartBytes = 5 * mib // minimum of the protocol
	maxPartBytes = 5 << 30
	maxParts     = 10_000
	maxPrefix    = 512 // bytes; an object's name may have 1024
)

// How requests name the bucket.
const (
	StyleAuto    = "auto"    // virtual for the stores that are known to need it, otherwise path
	StylePath    = "path"    // https://HOST/BUCKET/object
	StyleVirtual = "virtual" // https://BUCKET.HOST/object
)

// Config names the bucket and how to reach it. Zero values mean the defaults.
type Config struct {
	Endpoint       string // https://HOST[:PORT] or HOST; plain http needs http://; default: Amazon's
	PublicEndpoint string // the endpoint in signed URLs, as clients reach it; default Endpoint
	Bucket         string // required; it is not created
	Prefix         string // of every object's name; a slash is added
	Region         string // default: the store is asked for it
	PathStyle      string // StyleAuto (default), StylePath or StyleVirtual

	AccessKey  string // with SecretKey or SecretFile; default AWS_ACCESS_KEY_ID
	SecretKey  string // default AWS_SECRET_ACCESS_KEY
	SecretFile string // read again every minute, so that the key may be changed
	IAM        bool   // instead of keys: use the environment, ~/.aws/credentials or the machine's role

	SSE        string // encryption at rest: none (default), s3, kms:KEYID, or c with SSEKeyFile
	SSEKeyFile string // a file of 32 bytes, raw or as 64 hexadecimal digits; needs https

	PartBytes      int64         // larger blobs are uploaded in parts of this size; default 16 MiB
	MaxBufferBytes int64         // memory of all uploads together; default 4 parts
	MaxRetries     int           // of a request; default 5; negative: none
	RetryFor       time.Duration // no retry begins later than this; default 30s
	ConnectTimeout time.Duration // default 5s
	StallTimeout   time.Duration // maximum time without an answer or a byte; default 30s

	Logger *slog.Logger // default: discard
}

func (c Config) withDefaults() Config {
	c.Endpoint = cmp.Or(c.Endpoint, amazon)
	c.PublicEndpoint = cmp.Or(c.PublicEndpoint, c.Endpoint)
	c.PathStyle = cmp.Or(c.PathStyle, StyleAuto)
	if c.Prefix != "" && !strings.HasSuffix(c.Prefix, "/") {
		c.Prefix += "/"
	}
	c.PartBytes = cmp.Or(c.PartBytes, 16*mib)
	c.MaxBufferBytes = cmp.Or(c.MaxBufferBytes, 4*c.PartBytes)
	c.MaxRetries = cmp.Or(c.MaxRetries, 5)
	c.RetryFor = cmp.Or(c.RetryFor, 30*time.Second)
	c.ConnectTimeout = cmp.Or(c.ConnectTimeout, 5*time.Second)
	c.StallTimeout = cmp.Or(c.StallTimeout, 30*time.Second)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// check refuses settings that cannot work, and names them.
func (c Config) check() error {
	bad := func(format string, args ...any) error { return core.E(core.KindInvalid, format, args...) }
	switch {
	case c.Bucket == "":
		return bad("%sbucket: missing", setting)
	case !prefixOK(c.Prefix):
		return bad("%sprefix: %q is not a relative path of at most %d bytes", setting, c.Prefix, maxPrefix)
	case c.PathStyle != StyleAuto && c.PathStyle != StylePath && c.PathStyle != StyleVirtual:
		return bad("%spath_style: %q is unknown; use auto, path or virtual", setting, c.PathStyle)
	case c.SecretKey != "" && c.SecretFile != "":
		return bad("%ssecret_key and secret_file exclude each other", setting)
	case c.IAM && (c.AccessKey != "" || c.SecretKey != "" || c.SecretFile != ""):
		return bad("%siam and keys exclude each other", setting)
	case (c.SSE == "c") != (c.SSEKeyFile != ""):
		return bad("%ssse_key_file is only allowed with sse: c", setting)
	case c.PartBytes < minPartBytes || c.PartBytes > maxPartBytes:
		return bad("a part must have between 5 MiB and 5 GiB")
	case c.MaxBufferBytes < c.PartBytes:
		return bad("the memory for uploads must be at least one part")
	case c.RetryFor < 0 || c.ConnectTimeout < 0 || c.StallTimeout < 0:
		return bad("a time limit must not be negative")
	}
	return nil
}

func prefixOK(p string) bool {
	trimmed := strings.TrimSuffix(p, "/")
	return p == "" || len(p) <= maxPrefix && trimmed == path.Clean(trimmed) && !strings.HasPrefix(p, "/") &&
		trimmed != "." && trimmed != ".." && !strings.HasPrefix(p, "../")
}

// host splits an endpoint. Plain http must be written explicitly.
func host(key, endpoint string) (hostport string, secure bool, err error) {
	if !strings.Contains(endpoint, "://") {
		endpoint = "https://" + endpoint
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return "", false, core.E(core.KindInvalid, "%s%s: want https://HOST[:PORT] or HOST without a path", setting, key)
	}
	return u.Host, u.Scheme == "https", nil
}
