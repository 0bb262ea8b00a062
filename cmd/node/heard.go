package node

import (
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/nearside/nearside/core"
)

// defaultSessionGrace is for how long an edge honours sessions without hearing from home.
const defaultSessionGrace = 24 * time.Hour

const (
	heardEvery = time.Second // between two looks at how long ago home was heard
	noteEvery  = time.Minute // between two notes of it
)

// heard knows how long ago this edge last had everything that home had. Longer ago than the grace, sessions may have
// been ended without this edge knowing, and it honours none. The time of change of a file tells it after a restart.
type heard struct {
	path  string
	grace time.Duration // negative: for ever
	began time.Time
	was   time.Time // when home was last heard before this start

	noted time.Time // owned by run
	lost  atomic.Bool
}

// newHeard reads the note of the last run. Without one, home counts as heard now.
func newHeard(data string, grace time.Duration, now time.Time) (*heard, error) {
	h := &heard{path: filepath.Join(data, "heard"), grace: grace, began: now}
	if h.grace == 0 {
		h.grace = defaultSessionGrace
	}
	info, err := os.Stat(h.path)
	if err == nil {
		h.was = info.ModTime()
		return h, nil
	}
	h.was = now
	return h, h.note(now)
}

func (h *heard) note(at time.Time) error {
	f, err := os.OpenFile(h.path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		err = f.Close()
	}
	if err == nil {
		err = os.Chtimes(h.path, at, at)
	}
	if err != nil {
		return core.E(core.KindUnavailable, "cannot note when home was last heard").WithCause(err)
	}
	h.noted = at
	return nil
}

// look takes how long ago, at a time, this edge had everything that home had; false: not since the start.
func (h *heard) look(lag time.Duration, ever bool, now time.Time) error {
	at := now.Add(-lag)
	if !ever || at.Before(h.began) {
		at = h.was
	}
	h.lost.Store(h.grace >= 0 && now.Sub(at) > h.grace)
	if now.Sub(at) < noteEvery && at.Sub(h.noted) >= noteEvery {
		return h.note(at)
	}
	return nil
}

// inTouch reports whether sessions are honoured.
func (h *heard) inTouch() bool { return !h.lost.Load() }

// lag gives how long ago this node had everything that home had; false: not since the start, or it cannot tell.
func (n *Node) lag() (time.Duration, bool) {
	p := n.parts.Load()
	if p.region == nil {
		return p.follower.Status().Lag(p.replica.Position(), time.Now())
	}
	if lag, ok := p.region.Lag(); ok {
		return lag, true
	}
	return p.region.Leaderless(), true // the others go on without this node
}

// hear looks from time to time how long ago home was heard, until ctx ends.
func (n *Node) hear(ctx context.Context, lag func() (time.Duration, bool)) error {
	t := time.NewTicker(heardEvery)
	defer t.Stop()
	for lost := false; ; {
		d, ever := lag()
		if err := n.heard.look(d, ever, time.Now()); err != nil {
			n.log.Error("sessions", "error", err) // without the note, the next start refuses sessions earlier
		}
		if now := !n.heard.inTouch(); now != lost {
			lost = now
			if lost {
				n.log.Error("home was not heard for longer than client.session_grace: sessions are not honoured until it is", "grace", n.heard.grace)
			} else {
				n.log.Info("home is heard: sessions are honoured again")
			}
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
	}
}
