package region

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nearside/nearside/core"
)

// compareLimit bounds the wait for what the other home nodes say.
const compareLimit = time.Second

// ErrOutvoted says that a majority of the home nodes agrees on a digest that is not this node's:
// its machine went another way, and must be discarded before the node starts again.
var ErrOutvoted = errors.New("a majority of the home nodes has another digest")

// compareLoop compares this node's digest with those of the other home nodes. Raft sees to it
// that all apply the same entries, not that their machines make the same of them; edges find
// out by the digest of each batch, and a home node by its peers.
func (r *Region) compareLoop(ctx context.Context) error {
	if r.cfg.Compare == nil || len(r.cfg.Voters) == 1 {
		return nil
	}
	t := time.NewTicker(r.cfg.CompareEvery)
	defer t.Stop()
	var mine core.Position // of the tick before, so that the others are likely to be there too
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		if mine.Index > 0 {
			if err := r.compare(ctx, mine); err != nil {
				return err
			}
		}
		mine = r.cfg.Machine.Position()
	}
}

// compare fails when a majority has another digest at our position. When there are different
// ones but no majority, it cannot be said who is wrong, and an operator must know.
func (r *Region) compare(ctx context.Context, mine core.Position) error {
	votes := r.votes(ctx, mine)
	if len(votes) < 2 {
		return nil
	}
	for digest, n := range votes {
		if digest != mine.Digest && n > len(r.cfg.Voters)/2 {
			return core.E(core.KindDiverged, "this replica is at %s, but %d of %d home nodes have the digest %s there", mine, n, len(r.cfg.Voters), digest).
				WithCause(ErrOutvoted)
		}
	}
	r.cfg.Logger.Error("home nodes differ", "at", mine, "votes", fmt.Sprint(votes))
	return nil
}

// votes counts the home nodes by their digest at our position. One that does not answer, is not
// there yet or no longer remembers has no vote.
func (r *Region) votes(ctx context.Context, mine core.Position) map[core.Digest]int {
	ctx, cancel := context.WithTimeout(ctx, compareLimit)
	defer cancel()
	var mu sync.Mutex
	votes := map[core.Digest]int{mine.Digest: 1}
	var wg sync.WaitGroup
	for _, v := range r.cfg.Voters {
		if v.Node == r.cfg.Node {
			continue
		}
		wg.Go(func() {
			if d, ok, err := r.cfg.Compare(ctx, v.Addr, mine.Index); err == nil && ok {
				mu.Lock()
				defer mu.Unlock()
				votes[d]++
			}
		})
	}
	wg.Wait()
	return votes
}

// DigestAt gives this node's digest after an entry, false when it is not there yet or no longer
// remembers. It is what the far side of Config.Compare calls.
func (r *Region) DigestAt(ctx context.Context, i core.Index) (core.Digest, bool, error) {
	select {
	case <-r.ended:
		return core.Digest{}, false, stopped()
	default:
	}
	if i > r.cfg.Machine.Position().Index {
		return core.Digest{}, false, nil
	}
	return r.cfg.Machine.DigestAt(ctx, i)
}
