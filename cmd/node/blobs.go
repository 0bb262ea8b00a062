package node

import (
	"context"
	"path/filepath"
	"time"

	"github.com/nearside/nearside/cdn/disk"
	"github.com/nearside/nearside/cdn/origin"
	"github.com/nearside/nearside/cdn/s3"
	"github.com/nearside/nearside/cdn/scan"
	"github.com/nearside/nearside/cdn/tier"
	"github.com/nearside/nearside/cmd/admin"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge"
	"github.com/nearside/nearside/edge/api/files"
	"github.com/nearside/nearside/replication/blob"
	"github.com/nearside/nearside/replication/link"
)

const (
	diskReserve = 256 << 20 // bytes that blobs leave free on a disk that PostgreSQL and the log may share
	startCheck  = 15 * time.Second
)

// startOrigin starts the origin at this home node, on its disk or in the bucket. It comes before the link,
// which serves blobs from it.
func (n *Node) startOrigin(ctx context.Context, s *stages, ep *link.Endpoint) (*keeping, error) {
	k, own, err := n.openOrigin(ctx, s, ep)
	if err != nil {
		return nil, err
	}
	cfg := blob.ServerConfig{Whole: served{k.origin}, MaxBytes: maxFileMB << 20, Logger: n.log}
	if own != nil {
		cfg.Own = served{own}
	}
	srv, err := blob.NewServer(cfg)
	if err != nil {
		return nil, err
	}
	ep.Handle(link.ClassBlob, srv.Serve)
	return k, n.startTier(ctx, s, k)
}

// openOrigin gives the origin, and this node's own disk if the origin uses it.
func (n *Node) openOrigin(ctx context.Context, s *stages, ep *link.Endpoint) (*keeping, edge.Blobs, error) {
	if n.cfg.Files.S3 != nil {
		k, err := n.startBucket(ctx, s)
		return k, nil, err
	}
	own, err := disk.Open(disk.Config{Dir: n.cfg.Files.Dir, MinFree: diskReserve})
	if err != nil {
		return nil, nil, err
	}
	s.onStop("blobs", func() { _ = own.Close() })
	client, err := blob.New(blob.Config{Endpoint: ep, Candidates: n.otherHomes, Logger: n.log})
	if err != nil {
		return nil, nil, err
	}
	s.onStop("blob links", func() { _ = client.Close() })
	peers := map[string]origin.Blobs{}
	for _, h := range n.cfg.Home {
		if h.Node != n.cfg.Name {
			peers[h.Node] = linked{client.At(h.Addr)}
		}
	}
	o := origin.NewDisks(own, peers, n.log)
	s.start("blob copies", stopInner, o.Run)
	k := &keeping{origin: o, kept: own, Files: admin.Files{Store: kindDisk, Where: n.cfg.Files.Dir, Blobs: own, Disks: o}}
	return k, own, nil
}

// startAwayBlobs gives the origin for an edge away from home: the bucket if it is configured, else the home
// nodes over the link.
func (n *Node) startAwayBlobs(ctx context.Context, s *stages, cfg blob.Config) (*keeping, error) {
	if n.cfg.Files.S3 != nil {
		k, err := n.startBucket(ctx, s)
		if err != nil {
			return nil, err
		}
		return k, n.startTier(ctx, s, k)
	}
	client, err := blob.New(cfg)
	if err != nil {
		return nil, err
	}
	s.start("blob links", stopInner, client.Run)
	k := &keeping{origin: linked{client}, Files: admin.Files{Store: kindLink}}
	return k, n.startTier(ctx, s, k)
}

// startTier puts an edge's cache before the origin.
func (n *Node) startTier(ctx context.Context, s *stages, k *keeping) error {
	if !n.cfg.Is(RoleEdge) {
		return nil
	}
	f, counted := n.cfg.Files, origin.NewCounted(k.origin)
	t, err := tier.New(tier.Config{
		Dir: filepath.Join(n.cfg.Data, "cache"), MaxBytes: f.CacheMB << 20, MaxFiles: f.CacheFiles, MemoryBytes: f.MemoryMB << 20,
		Origin: counted, Local: f.Acknowledge == ackLocal, Metrics: n.metrics.registry, Logger: n.log,
	})
	if err != nil {
		return err
	}
	if err := t.Load(); err != nil {
		return err
	}
	s.onStop("cache", func() { _ = t.Close() })
	s.start("cache copies", stopInner, t.Run)
	k.Tier, k.Counted = t, counted
	return n.openLedger(ctx, s, k)
}

// startBucket opens the bucket and tries it. If a setting is wrong, a home node does not start, but an edge
// does, because it can still serve what it has. If the bucket can only not be reached, both start.
func (n *Node) startBucket(ctx context.Context, s *stages) (*keeping, error) {
	store, err := s3.New(n.cfg.Files.S3.Settings(n.log))
	if err != nil {
		return nil, err
	}
	s.onStop("bucket", func() { _ = store.Close() })
	b := origin.NewBucket(store, n.metrics.jobs, n.log)
	if err := b.Try(ctx, startCheck); err != nil && core.KindOf(err) == core.KindInvalid && n.cfg.Is(RoleHome) {
		return nil, err
	}
	s.start("bucket check", stopInner, b.Run)
	k := &keeping{origin: store, kept: store, Files: admin.Files{Store: kindS3, Where: n.cfg.Files.S3.Bucket, Blobs: store, Trouble: b.Trouble}}
	if n.cfg.Files.Redirect {
		k.signer = store
	}
	return k, nil
}

// apiFiles gives the configuration of files for the API. It removes uploads that an earlier run has not
// finished; they were not acknowledged.
func (n *Node) apiFiles(k *keeping) (files.Config, error) {
	spool := filepath.Join(n.cfg.Data, "spool")
	if err := emptyDir(spool); err != nil {
		return files.Config{}, err
	}
	f := files.Config{Blobs: k.reach(), Spool: spool, MaxBytes: n.cfg.Files.MaxMB << 20, Quota: n.cfg.Files.quota(), PublicLinks: n.cfg.Files.PublicLinks, Signer: k.signer}
	if n.cfg.Files.Clamd == "" {
		return f, nil
	}
	at, err := ClamdAt(n.cfg.Files.Clamd)
	if err != nil {
		return f, err
	}
	f.Scanner, err = scan.NewClamd(at)
	return f, err
}
