package node

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/pg"
	"github.com/nearside/nearside/region"
	"github.com/nearside/nearside/replication/forward"
	"github.com/nearside/nearside/replication/link"
)

// discardFile says, in the data directory, that the replica must be discarded at the next start.
const discardFile = "discard"

// digestOf asks another home node for its digest after an entry.
func digestOf(ctx context.Context, fwd *forward.Client, addr string, i core.Index) (d core.Digest, ok bool, err error) {
	answer, err := fwd.AskAt(ctx, addr, askDigest, binary.BigEndian.AppendUint64(nil, uint64(i)))
	if err != nil || len(answer) != len(d) {
		return d, false, err
	}
	return core.Digest(answer), true, nil
}

// answerDigest answers digestOf; with nothing when the digest is not known here.
func answerDigest(reg *region.Region) forward.AskHandler {
	return func(ctx context.Context, _ link.Identity, question []byte) ([]byte, error) {
		if len(question) != 8 {
			return nil, core.E(core.KindInvalid, "an index has 8 bytes")
		}
		d, ok, err := reg.DigestAt(ctx, core.Index(binary.BigEndian.Uint64(question)))
		if err != nil || !ok {
			return nil, err
		}
		return d[:], nil
	}
}

// noteOutvoted makes sure that a home node whose replica went another way than the others' starts
// without it. The log stays: it is the same everywhere.
func (n *Node) noteOutvoted(err error) error {
	if errors.Is(err, region.ErrOutvoted) {
		err = errors.Join(err, WriteFile(filepath.Join(n.cfg.Data, discardFile), []byte(err.Error()+"\n"), 0o600))
	}
	return err
}

// discardOutvoted empties the database if noteOutvoted asked for it; the region fills it again.
func (n *Node) discardOutvoted(ctx context.Context, db *pg.DB) error {
	path := filepath.Join(n.cfg.Data, discardFile)
	why, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for a replica to discard: %w", err)
	}
	n.log.Warn("discarding the replica, to rebuild it", "why", string(why))
	err = db.WriteTx(ctx, func(ctx context.Context, tx pg.Tx) error { return pg.DropSchema(ctx, tx, pg.Schema) })
	if err != nil {
		return fmt.Errorf("discard replica: %w", err)
	}
	return os.Remove(path)
}
