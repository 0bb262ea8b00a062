// Package roll has the list of the nodes that were admitted, in memory, and checks by it whoever connects.
//
// The list itself is in the log (core.Node). The composition root keeps the copy here true by the events of the log,
// so the check costs no query and needs no database.
//
// Concurrency: a Roll is safe for concurrent use and starts no goroutines.
package roll

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/replication/link"
)

// maxRefused bounds the refused peers that are remembered.
const maxRefused = 64

// slack is how much earlier than its key's place in the log a certificate may be made: times in it are whole seconds of another
// clock.
const slack = time.Minute

// Config configures a Roll. The zero value of each field means its default.
type Config struct {
	Listed func(node string) bool // whether the log lists a home node, admitted or not; default: none
	Late   func() bool            // whether this node may lack entries that home has; default: never
	Now    func() time.Time       // default: time.Now
}

// Roll is the list. It implements link.Admission.
type Roll struct {
	cfg Config

	mu      sync.Mutex // guards all below
	nodes   map[string]core.Node
	refused map[string]Refused
}

var _ link.Admission = (*Roll)(nil)

// Refused is a peer that was refused, and why.
type Refused struct {
	Node   string    `json:"node"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
	Times  int       `json:"times"`
}

// New makes an empty roll.
func New(cfg Config) *Roll {
	if cfg.Listed == nil {
		cfg.Listed = func(string) bool { return false }
	}
	if cfg.Late == nil {
		cfg.Late = func() bool { return false }
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Roll{cfg: cfg, nodes: map[string]core.Node{}, refused: map[string]Refused{}}
}

// Set replaces the whole list.
func (r *Roll) Set(nodes []core.Node) {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.nodes)
	for _, n := range nodes {
		r.nodes[n.Name] = n
	}
}

// Change sets one node.
func (r *Roll) Change(n core.Node) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.nodes[n.Name] = n
}

// Of gives a node of the list.
func (r *Roll) Of(name string) (core.Node, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, ok := r.nodes[name]
	return n, ok
}

// Nodes gives the list, by name.
func (r *Roll) Nodes() []core.Node {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.SortedFunc(maps.Values(r.nodes), func(a, b core.Node) int { return cmp.Compare(a.Name, b.Name) })
}

// Refused gives the peers that were refused lately, by name.
func (r *Roll) Refused() []Refused {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.SortedFunc(maps.Values(r.refused), func(a, b Refused) int { return cmp.Compare(a.Node, b.Node) })
}

// Note remembers that a peer was refused.
func (r *Roll) Note(node string, why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	was, known := r.refused[node]
	if !known && len(r.refused) >= maxRefused {
		oldest := slices.MinFunc(slices.Collect(maps.Values(r.refused)), func(a, b Refused) int { return a.At.Compare(b.At) })
		delete(r.refused, oldest.Node)
	}
	r.refused[node] = Refused{Node: node, Reason: why.Error(), At: r.cfg.Now(), Times: was.Times + 1}
}

// Check refuses a peer that may not take part, and says what an operator can do.
func (r *Roll) Check(p link.Peer) error {
	err := r.check(p)
	if err != nil {
		r.Note(p.Node, err)
	}
	return err
}

func (r *Roll) check(p link.Peer) error {
	now := r.cfg.Now()
	if !now.Before(p.Until) {
		return core.E(core.KindUnauthorized, "the certificate of %s has ended at %s: make another one with `nearside pki issue %s` at home",
			p.Node, p.Until.UTC().Format(time.RFC3339), p.Node)
	}
	r.mu.Lock()
	n, known := r.nodes[p.Node]
	empty := len(r.nodes) == 0
	r.mu.Unlock()
	key := p.Key == n.Key || p.Key == n.OldKey && now.UnixMilli() < n.OldUntil
	switch {
	case empty: // nothing to check by: this node is new, or the deployment is
		return nil
	case !known && r.mayBeNew(p):
		return nil
	case !known:
		return core.E(core.KindForbidden, "%s is not admitted to this deployment: type `nearside pki admit CERTIFICATE` at home", p.Node)
	case n.RevokeAt != 0:
		return core.E(core.KindForbidden, "%s was revoked (%s): `nearside pki issue %s` at home would bring it back with a new key", p.Node, n.Reason, p.Node)
	case n.Region != p.Region || n.Roles != p.RoleList():
		return core.E(core.KindForbidden, "the certificate says that %s is in %s with the roles %s, but it was admitted in %s with the roles %s",
			p.Node, p.Region, p.RoleList(), n.Region, n.Roles)
	case key || r.mayBeRenewed(p, n):
		return nil
	}
	return core.E(core.KindForbidden, "%s comes with another key than the log has: if it is the right one, type `nearside pki admit CERTIFICATE` at home", p.Node)
}

// mayBeNew reports whether a peer that is not in the list may be a home node all the same. The log lists home nodes
// before they are admitted; and a node that was away for long must be able to learn of new ones from them.
func (r *Roll) mayBeNew(p link.Peer) bool {
	return p.Has(link.RoleHome) && (r.cfg.Listed(p.Node) || p.Dialed && r.cfg.Late())
}

// mayBeRenewed reports whether a peer may be a home node that has got another key since this node had the newest entries.
func (r *Roll) mayBeRenewed(p link.Peer, n core.Node) bool {
	return n.IsHome() && p.From.Add(slack).UnixMilli() >= n.KeyAt && (p.Dialed || r.cfg.Listed(p.Node)) && r.cfg.Late()
}
