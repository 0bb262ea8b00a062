package region

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/nearside/nearside/core"
)

// compareLimit bounds the wait for the answers of the other home nodes.
const compareLimit = time.Second

// ErrOutvoted says that a majority of the home nodes agrees on a digest that is not this node's. Its
// machine has diverged and must be discarded before the node starts again.
var ErrOutvoted = errors.New("a majority of the home nodes has another digest")

// compareLoop compares this node's digest with those of the other home nodes. Raft guarantees that all
// apply the same entries, but not that their machines come to the same state. Edges find a difference by
// the digest of each batch, home nodes by comparing with one another.
func (r *Region) compareLoop(ctx context.Context) error {
	t := time.NewTicker(r.cfg.CompareEvery)
	defer t.Stop()
	var mine core.Position // of the tick before, so that the others have probably reached it too
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		if mine.Index > 0 && !r.alone() {
			if err := r.compare(ctx, mine); err != nil {
				return err
			}
		}
		mine = r.cfg.Machine.Position()
	}
}

// compare fails if a majority has another digest at our position. If digests differ but no majority
// agrees, nobody can know which one is wrong; that is logged for the operator.
func (r *Region) compare(ctx context.Context, mine core.Position) error {
	votes := r.votes(ctx, mine)
	if len(votes) < 2 {
		if votes[mine.Digest] > 1 && r.differs.Swap(nil) != nil {
			r.cfg.Logger.Info("home nodes agree again", "at", mine)
		}
		return nil
	}
	for digest, n := range votes {
		if digest != mine.Digest && n > len(r.voters())/2 {
			return core.E(core.KindDiverged, "this replica is at %s, but %d of %d home nodes have the digest %s there", mine, n, len(r.voters()), digest).
				WithCause(ErrOutvoted)
		}
	}
	how := fmt.Sprintf("the home nodes have %d digests at entry %d, and no majority says which is right", len(votes), mine.Index)
	r.differs.Store(&how)
	r.cfg.Logger.Error("home nodes differ", "at", mine, "votes", fmt.Sprint(votes))
	return nil
}

// votes counts the home nodes by their digest at our position. A node that does not answer, has not
// reached the position or no longer remembers the digest has no vote.
func (r *Region) votes(ctx context.Context, mine core.Position) map[core.Digest]int {
	ctx, cancel := context.WithTimeout(ctx, compareLimit)
	defer cancel()
	var mu sync.Mutex
	votes := map[core.Digest]int{mine.Digest: 1}
	var wg sync.WaitGroup
	for _, v := range r.voters() {
		if v.Node == r.cfg.Node {
			continue
		}
		wg.Go(func() {
			if d, ok, err := r.askDigest(ctx, v.Addr, mine.Index); err == nil && ok {
				mu.Lock()
				defer mu.Unlock()
				votes[d]++
			}
		})
	}
	wg.Wait()
	return votes
}

// outvotedFile is a file in the region's directory; if it exists, this node was outvoted.
const outvotedFile = "outvoted"

// noteOutvoted writes outvotedFile if err is ErrOutvoted, so that the next start discards the machine.
func (r *Region) noteOutvoted(err error) error {
	if errors.Is(err, ErrOutvoted) {
		err = errors.Join(err, os.WriteFile(filepath.Join(r.cfg.Dir, outvotedFile), []byte(err.Error()+"\n"), 0o600))
	}
	return err
}

// DiscardOutvoted calls discard if the region in dir was outvoted when it last ran: the machine
// must then be emptied before New, and the region fills it again. The log stays, because it is the same
// on all home nodes.
func DiscardOutvoted(dir string, discard func(why string) error) error {
	path := filepath.Join(dir, outvotedFile)
	why, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking for an outvoted machine: %w", err)
	}
	if err := discard(strings.TrimSpace(string(why))); err != nil {
		return fmt.Errorf("discarding an outvoted machine: %w", err)
	}
	return os.Remove(path)
}
