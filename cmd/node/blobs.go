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

// startOrigin makes this home node one of those that keep the blobs, or that reach the bucket
// which does, and serves them to the others. It comes before the link, which serves from it.
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

// openOrigin gives the origin, and this node's own disk if that is a part of it.
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

// startAwayBlobs gives the origin as an edge elsewhere reaches it: the bucket if it knows it,
// else home over the link.
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

// startBucket opens the bucket and tries it. With one that refuses us for a reason which a
// setting has to mend, a home node does not start; an edge does, since it can still show what
// it has, and so does everybody while the bucket is only out of reach.
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

// apiFiles says what the API does with files. What an earlier run was receiving is forgotten:
// nobody was told that it is kept.
func (n *Node) apiFiles(k *keeping) (files.Config, error) {
	spool := filepath.Join(n.cfg.Data, "spool")
	if err := emptyDir(spool); err != nil {
		return files.Config{}, err
	}
	f := files.Config{Blobs: k.reach(), Spool: spool, MaxBytes: n.cfg.Files.MaxMB << 20, PublicLinks: n.cfg.Files.PublicLinks, Signer: k.signer}
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
