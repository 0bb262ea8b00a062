package node

import (
	"path/filepath"

	"github.com/nearside/nearside/cdn/disk"
	"github.com/nearside/nearside/cdn/scan"
	"github.com/nearside/nearside/edge"
	"github.com/nearside/nearside/edge/api"
	"github.com/nearside/nearside/replication/blob"
	"github.com/nearside/nearside/replication/link"
)

// diskReserve is what blobs leave free on a disk that PostgreSQL and the log may share.
const diskReserve = 256 << 20

// startOrigin makes this home node one of those that keep the blobs, and serves them to the
// others. It comes before the link, which serves from it.
func (n *Node) startOrigin(s *stages, ep *link.Endpoint) (edge.Blobs, *keeping, error) {
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
	peers := map[string]edge.Blobs{}
	for _, h := range n.cfg.Home {
		if h.Node != n.cfg.Name {
			peers[h.Node] = linked{client.At(h.Addr)}
		}
	}
	o := newOrigin(own, peers, n.log)
	s.start("blob copies", stopInner, o.Run)
	srv, err := blob.NewServer(blob.ServerConfig{Whole: served{o}, Own: served{own}, Logger: n.log})
	if err != nil {
		return nil, nil, err
	}
	ep.Handle(link.ClassBlob, srv.Serve)
	return o, &keeping{kind: kindDisk, where: n.cfg.Files.Dir, store: own, origin: o}, nil
}

// startBlobLink gives the origin as an edge elsewhere sees it: over the link.
func (n *Node) startBlobLink(s *stages, ep *link.Endpoint, candidates func() []string, connected func() bool) (edge.Blobs, error) {
	client, err := blob.New(blob.Config{Endpoint: ep, Candidates: candidates, Connected: connected, Logger: n.log})
	if err != nil {
		return nil, err
	}
	s.start("blob links", stopInner, client.Run)
	return linked{client}, nil
}

// apiFiles says what the API does with files. What an earlier run was receiving is forgotten:
// nobody was told that it is kept.
func (n *Node) apiFiles(blobs edge.Blobs) (api.Files, error) {
	spool := filepath.Join(n.cfg.Data, "spool")
	if err := emptyDir(spool); err != nil {
		return api.Files{}, err
	}
	f := api.Files{Blobs: blobs, Spool: spool, MaxBytes: n.cfg.Files.MaxMB << 20, PublicLinks: n.cfg.Files.PublicLinks}
	if n.cfg.Files.Clamd == "" {
		return f, nil
	}
	at, err := clamdAt(n.cfg.Files.Clamd)
	if err != nil {
		return f, err
	}
	f.Scanner, err = scan.NewClamd(at)
	return f, err
}
