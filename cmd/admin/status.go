package admin

import (
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/region"
)

// Status is the state of a node: the answer of /v1/status.
type Status struct {
	Node     string   `json:"node"`
	Region   string   `json:"region"`
	Roles    []string `json:"roles"`
	Leader   string   `json:"leader"` // name of the home node that orders; empty: none known
	Position Position `json:"position"`
	// AppliedLagMS is how long ago the replica last had everything that home had, in
	// milliseconds; 0 while it has, -1 when it never had.
	AppliedLagMS int64        `json:"applied_lag_ms"`
	Peers        []PeerStatus `json:"peers"`

	State     string `json:"state"`            // starting, ready, rebuilding, stuck, differs, no database
	Reason    string `json:"reason,omitempty"` // why its answers would be wrong
	Connected bool   `json:"connected"`        // to home, or at home to a leader
	Version   string `json:"version"`
	// LogVersion is the version of the log at Position, Understands the newest one that this program
	// understands.
	LogVersion  int64 `json:"log_version"`
	Understands int64 `json:"understands"`

	URL  string         `json:"url,omitempty"`
	Home *region.Status `json:"home,omitempty"`
}

// Position is a core.Position as JSON.
type Position struct {
	Epoch  uint64 `json:"epoch"`
	Index  uint64 `json:"index"`
	Digest string `json:"digest"`
}

// Before reports whether p is older than q.
func (p Position) Before(q Position) bool {
	return p.Epoch < q.Epoch || p.Epoch == q.Epoch && p.Index < q.Index
}

// PositionOf converts a position.
func PositionOf(p core.Position) Position {
	return Position{Epoch: uint64(p.Epoch), Index: uint64(p.Index), Digest: p.Digest.String()}
}

// PeerStatus is another node as this one sees it.
type PeerStatus struct {
	Node     string    `json:"node"`
	Region   string    `json:"region"`
	Roles    []string  `json:"roles"`
	Addr     string    `json:"addr"`
	Alive    bool      `json:"alive"`
	RTTMS    float64   `json:"rtt_ms,omitempty"`
	Position *Position `json:"position,omitempty"` // of a follower, as it last said
	HeardMS  int64     `json:"heard_ms,omitempty"` // how long ago
}
