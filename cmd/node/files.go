package node

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/cdn/disk"
	"github.com/nearside/nearside/cdn/s3"
	"github.com/nearside/nearside/cdn/scan"
	"github.com/nearside/nearside/core"
)

// Files has the settings of files.
type Files struct {
	MaxMB       int64         `yaml:"max_mb,omitempty"`       // of one file; default 100
	PersonGB    int64         `yaml:"person_gb,omitempty"`    // of the files of one person, as home says; default 100
	TeamGB      int64         `yaml:"team_gb,omitempty"`      // of the files of one team, as home says; default 1000
	PublicLinks bool          `yaml:"public_links,omitempty"` // people may share links that need no session
	Redirect    bool          `yaml:"redirect,omitempty"`     // readers are sent to the bucket; needs s3
	Acknowledge string        `yaml:"acknowledge,omitempty"`  // when an upload is acknowledged: once it is at the origin, or local: at this edge; default origin
	CacheMB     int64         `yaml:"cache_mb,omitempty"`     // size of an edge's cache on disk; default 2048
	CacheFiles  int           `yaml:"cache_files,omitempty"`  // files in the cache; default 100,000
	MemoryMB    int64         `yaml:"memory_mb,omitempty"`    // part of the cache that is also in memory; default 64
	Clamd       string        `yaml:"clamd,omitempty"`        // unix:/PATH or HOST:PORT of the virus scanner that is asked about every upload; default none
	Grace       time.Duration `yaml:"grace,omitempty"`        // time after which stored bytes without a file are removed; default 24h
	KeepDeleted time.Duration `yaml:"keep_deleted,omitempty"` // time after which the bytes of deleted files are removed; default 720h
	Dir         string        `yaml:"dir,omitempty"`          // where a home node keeps them without s3; default <data>/files
	S3          *S3           `yaml:"s3,omitempty"`           // keep them in a bucket instead of the home nodes' disks
}

// S3 says which bucket keeps the files. Every home node needs it, and every edge that should
// reach the bucket itself; other edges reach it through home.
type S3 struct {
	Endpoint string `yaml:"endpoint,omitempty"` // https://HOST[:PORT] or HOST; default Amazon's
	// PublicEndpoint is how clients reach it, for redirect; default Endpoint.
	PublicEndpoint string `yaml:"public_endpoint,omitempty"`
	Bucket         string `yaml:"bucket"`                 // required
	Prefix         string `yaml:"prefix,omitempty"`       // of every object's name
	Region         string `yaml:"region,omitempty"`       // default: asked for
	PathStyle      string `yaml:"path_style,omitempty"`   // auto, path or virtual; default auto
	AccessKey      string `yaml:"access_key,omitempty"`   // with secret_key or secret_file, or iam; default AWS_ACCESS_KEY_ID
	SecretKey      Secret `yaml:"secret_key,omitempty"`   // default AWS_SECRET_ACCESS_KEY
	SecretFile     string `yaml:"secret_file,omitempty"`  // file that holds the secret key; it may change
	IAM            bool   `yaml:"iam,omitempty"`          // take the keys from the environment or the machine's role
	SSE            string `yaml:"sse,omitempty"`          // none, s3, kms:KEYID or c; default none
	SSEKeyFile     string `yaml:"sse_key_file,omitempty"` // 32 bytes, with sse: c
}

// Secret is a text that is neither logged nor shown.
type Secret string

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "(hidden)"
}

// GoString hides the secret.
func (s Secret) GoString() string { return s.String() }

// LogValue hides the secret.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText hides the secret; MarshalYAML does not.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalYAML writes the secret, for configuration files.
func (s Secret) MarshalYAML() (any, error) { return string(s), nil }

// UnmarshalText reads a secret.
func (s *Secret) UnmarshalText(text []byte) error { *s = Secret(text); return nil }

// When an upload is acknowledged.
const (
	ackOrigin = "origin"
	ackLocal  = "local"
)

const (
	maxFileMB  = 100 << 10 // 100 GiB; larger objects are beyond what object stores take in one piece
	maxQuotaGB = 1 << 20
	minGrace   = time.Hour // with less, an upload under way could lose its bytes
	scanLimit  = 2 * time.Minute
)

func (f Files) check() error {
	bad := func(format string, args ...any) error { return core.E(core.KindInvalid, format, args...) }
	switch {
	case f.MaxMB < 0 || f.MaxMB > maxFileMB:
		return bad("files.max_mb: goes from 1 to %d", maxFileMB)
	case f.PersonGB < 0 || f.TeamGB < 0 || f.PersonGB > maxQuotaGB || f.TeamGB > maxQuotaGB:
		return bad("files.person_gb, files.team_gb: go from 1 to %d", maxQuotaGB)
	case f.CacheMB < 0 || f.CacheFiles < 0 || f.MemoryMB < 0:
		return bad("files.cache_mb, files.cache_files, files.memory_mb: are not below zero")
	case f.Acknowledge != "" && f.Acknowledge != ackOrigin && f.Acknowledge != ackLocal:
		return bad("files.acknowledge: %q is none; use origin or local", f.Acknowledge)
	case f.Redirect && f.S3 == nil:
		return bad("files.redirect: needs files.s3; there is no other place to send readers to")
	case f.Redirect && f.S3.SSE == "c":
		return bad("files.redirect: excludes sse: c; only we can read what is encrypted with our key")
	case f.Redirect && f.Acknowledge == ackLocal:
		return bad("files.redirect: excludes acknowledge: local; readers would be sent to a bucket that has not got the file yet")
	case f.Grace != 0 && f.Grace < minGrace:
		return bad("files.grace: at least %v, or uploads under way lose their bytes", minGrace)
	case f.KeepDeleted < 0:
		return bad("files.keep_deleted: is not below zero")
	}
	if f.Clamd != "" {
		if _, err := ClamdAt(f.Clamd); err != nil {
			return err
		}
	}
	if f.S3 == nil {
		return nil
	}
	_, err := s3.New(f.S3.Settings(nil)) // the store checks its own settings
	return err
}

// quota gives what people and teams may store.
func (f Files) quota() core.Quota { return core.Quota{Person: f.PersonGB << 30, Team: f.TeamGB << 30} }

// Settings converts the settings to those of the store.
func (c *S3) Settings(log *slog.Logger) s3.Config {
	return s3.Config{
		Endpoint: c.Endpoint, PublicEndpoint: c.PublicEndpoint, Bucket: c.Bucket, Prefix: c.Prefix, Region: c.Region, PathStyle: c.PathStyle,
		AccessKey: c.AccessKey, SecretKey: string(c.SecretKey), SecretFile: c.SecretFile, IAM: c.IAM, SSE: c.SSE, SSEKeyFile: c.SSEKeyFile,
		Logger: log,
	}
}

// paths gives the settings that name files, to make them absolute.
func (f *Files) paths() []*string {
	p := []*string{&f.Dir}
	if f.S3 != nil {
		p = append(p, &f.S3.SecretFile, &f.S3.SSEKeyFile)
	}
	return p
}

func (f Files) withDefaults(data string) Files {
	f.MaxMB = cmp.Or(f.MaxMB, 100)
	f.PersonGB = cmp.Or(f.PersonGB, 100)
	f.TeamGB = cmp.Or(f.TeamGB, 1000)
	f.Acknowledge = cmp.Or(f.Acknowledge, ackOrigin)
	f.CacheMB = cmp.Or(f.CacheMB, 2048)
	f.CacheFiles = cmp.Or(f.CacheFiles, 100_000)
	f.MemoryMB = cmp.Or(f.MemoryMB, 64)
	f.Grace = cmp.Or(f.Grace, 24*time.Hour)
	f.KeepDeleted = cmp.Or(f.KeepDeleted, 30*24*time.Hour)
	f.Dir = cmp.Or(f.Dir, filepath.Join(data, "files"))
	return f
}

// Store is an open back end of files.
type Store struct {
	cdn.Store
	io.Closer
}

// OpenStore opens a back end for the command line: "disk" is the directory of cfg, "disk:DIR" another one,
// and "s3" is the bucket of cfg, which is tried. A directory is created only if mayBeNew is set.
func (cfg Config) OpenStore(ctx context.Context, where string, mayBeNew bool) (Store, error) {
	dir, ok := strings.CutPrefix(where, "disk:")
	switch {
	case where == kindDisk:
		dir = cfg.Files.withDefaults(cfg.Data).Dir
	case where == kindS3:
		return cfg.openBucket(ctx)
	case !ok || dir == "":
		return Store{}, core.E(core.KindInvalid, "%q is no store; use disk, disk:DIR or s3", where)
	}
	if _, err := os.Stat(dir); err != nil && !mayBeNew {
		return Store{}, core.E(core.KindNotFound, "there is no directory %s", dir)
	}
	s, err := disk.Open(disk.Config{Dir: dir, MinFree: diskReserve})
	return Store{s, s}, err
}

func (cfg Config) openBucket(ctx context.Context) (Store, error) {
	if cfg.Files.S3 == nil {
		return Store{}, core.E(core.KindInvalid, "the configuration names no bucket; add files.s3")
	}
	s, err := s3.New(cfg.Files.S3.Settings(cfg.Logger))
	if err != nil {
		return Store{}, err
	}
	return Store{s, s}, s.Check(ctx)
}

// ClamdAt parses the address of the scanner.
func ClamdAt(addr string) (scan.Config, error) {
	cfg := scan.Config{Network: "tcp", Address: addr, Timeout: scanLimit}
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		cfg.Network, cfg.Address = "unix", path
		if !filepath.IsAbs(path) {
			return cfg, core.E(core.KindInvalid, "files.clamd: %q has no absolute path after unix:", addr)
		}
		return cfg, nil
	}
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return cfg, core.E(core.KindInvalid, "files.clamd: %q is neither unix:/PATH nor HOST:PORT", addr)
	}
	return cfg, nil
}

// emptyDir creates a directory, or empties it if an earlier run has left files there.
func emptyDir(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("empty %s: %w", dir, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make %s: %w", dir, err)
	}
	return nil
}
