package node

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/replication/link"
)

// distances has the imitated paths of this node, by peer. It may be empty: then nothing is imitated.
type distances struct {
	link *link.Distance // nil when nothing is imitated: the socket stays fast

	mu    sync.Mutex
	paths []Imitate // guarded by mu
}

func newDistances(paths []Imitate, seed uint64) (*distances, error) {
	d := &distances{}
	if len(paths) == 0 {
		return d, nil
	}
	d.link = link.NewDistance(seed)
	d.paths = slices.Clone(paths)
	for _, p := range d.paths {
		if err := d.apply(p); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (d *distances) apply(p Imitate) error {
	addr, err := netip.ParseAddrPort(p.Addr)
	if err != nil {
		return core.E(core.KindInvalid, "imitate: %s: %q is not IP:PORT", p.Peer, p.Addr)
	}
	d.link.Set(addr, link.Path{
		Delay:  time.Duration(p.DelayMS * float64(time.Millisecond)),
		Jitter: time.Duration(p.JitterMS * float64(time.Millisecond)),
		Loss:   p.Loss, Blackout: p.Blackout, Bandwidth: int64(p.Mbit * 1e6 / 8),
	})
	return nil
}

func (d *distances) list() []Imitate {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]Imitate{}, d.paths...)
}

// set changes the path to a peer, or to all with "*". The address stays.
func (d *distances) set(change Imitate) error {
	if err := change.check(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	found := false
	for i, p := range d.paths {
		if change.Peer != "*" && p.Peer != change.Peer {
			continue
		}
		found = true
		next := change
		next.Peer, next.Addr = p.Peer, p.Addr
		if err := d.apply(next); err != nil {
			return err
		}
		d.paths[i] = next
	}
	if !found {
		return core.E(core.KindNotFound, "no distance is imitated to %q; peers are %s", change.Peer, d.names())
	}
	return nil
}

// names is called with mu held.
func (d *distances) names() string {
	var names []string
	for _, p := range d.paths {
		names = append(names, p.Peer)
	}
	if len(names) == 0 {
		return "none: this node was started without any (imitate: in its configuration)"
	}
	return strings.Join(names, ", ")
}
