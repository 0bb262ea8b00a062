package s3

import (
	"testing"
	"time"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/cdn/cdntest"
	"github.com/nearside/nearside/cdn/s3/s3test"
)

// to gives the configuration of a new bucket of a server.
func to(t *testing.T, srv *s3test.Server) Config {
	t.Helper()
	return Config{
		Endpoint: srv.Endpoint, Bucket: srv.Bucket(t), AccessKey: srv.AccessKey, SecretKey: srv.SecretKey,
		PartBytes: minPartBytes, RetryFor: 2 * time.Second, StallTimeout: 10 * time.Second,
	}
}

func open(t *testing.T, cfg Config) *Store {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatalf("new: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// A bucket keeps every promise of a store, with and without a prefix, and no upload stays unfinished in it.
func TestStore_KeepsThePromises(t *testing.T) {
	srv := s3test.Start(t)
	for name, set := range map[string]func(*Config){
		"plain":      func(*Config) {},
		"prefix":     func(c *Config) { c.Prefix = "deep/er" },
		"one region": func(c *Config) { c.Region = s3test.Region },
		"path style": func(c *Config) { c.PathStyle = StylePath },
	} {
		t.Run(name, func(t *testing.T) {
			cdntest.Run(t, func(t *testing.T) cdn.Store {
				cfg := to(t, srv)
				set(&cfg)
				return open(t, cfg)
			})
		})
	}
}

// A bucket that is as it should be passes the check and is left as it was.
func TestCheck_GoodBucket_Passes(t *testing.T) {
	s := open(t, to(t, s3test.Start(t)))
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
}
