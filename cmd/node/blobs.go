package node

import (
	"path/filepath"

	"github.com/nearside/nearside/cdn/disk"
	"github.com/nearside/nearside/cdn/scan"
	"github.com/nearside/nearside/edge"
	"github.com/nearside/nearside/edge/api"
)

// diskReserve is what blobs leave free on a disk that PostgreSQL and the log may share.
const diskReserve = 256 << 20

// openDisk opens this node's own blobs.
func (n *Node) openDisk(s *stages) (*disk.Store, error) {
	store, err := disk.Open(disk.Config{Dir: n.cfg.Files.Dir, MinFree: diskReserve})
	if err != nil {
		return nil, err
	}
	s.onStop("blobs", func() { _ = store.Close() })
	return store, nil
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
