package core

import "time"

// Limits of the nodes of a deployment.
const (
	MaxNodes      = 1024             // that the log knows, those that were revoked included
	MaxNodesOnce  = 32               // admitted by one entry
	MaxNodeReason = 200              // bytes
	KeyOverlap    = 10 * time.Minute // how long the key before a renewal stays good: the node must learn of the new certificate
)

// NodeKey stands for the key of a node: it is the SHA-256 of its certificate's public key.
type NodeKey [32]byte

// IsZero reports whether it stands for no key.
func (k NodeKey) IsZero() bool { return k == NodeKey{} }

// Node is a node that was admitted to the deployment. A certificate alone lets nobody in: its name, region, roles
// and key must be those of a node that was admitted and not revoked.
type Node struct {
	Name     string  `cbor:"1,keyasint" json:"node" db:"name" max:"63"`
	Region   string  `cbor:"2,keyasint" json:"region" db:"region" max:"63"`
	Roles    string  `cbor:"3,keyasint" json:"roles" db:"roles" max:"16"` // home, edge, or home,edge in this order
	Key      NodeKey `cbor:"4,keyasint" json:"-" db:"key"`
	KeyAt    int64   `cbor:"5,keyasint,omitempty" json:"key_at" db:"key_at"` // since when it has the key
	OldKey   NodeKey `cbor:"6,keyasint,omitzero" json:"-" db:"old_key"`      // the one before, after a renewal
	OldUntil int64   `cbor:"7,keyasint,omitempty" json:"-" db:"old_until"`   // until when that is good
	AdmitAt  int64   `cbor:"8,keyasint,omitempty" json:"admitted_at" db:"admit_at"`
	RevokeAt int64   `cbor:"9,keyasint,omitempty" json:"revoked_at,omitempty" db:"revoke_at"` // 0: it is admitted
	Reason   string  `cbor:"10,keyasint,omitempty" json:"reason,omitempty" db:"reason" max:"200"`
}

// IsHome reports whether the node has the role home.
func (n *Node) IsHome() bool { return n.Roles == "home" || n.Roles == "home,edge" }

// Is reports whether two nodes have the same region, roles and key.
func (n *Node) Is(other *Node) bool {
	return n.Region == other.Region && n.Roles == other.Roles && n.Key == other.Key
}

var badNode = Refusal{Kind: KindInvalid, ID: "nearside.node.app_error"}

// Check validates what is said of a node that is to be admitted.
func (n *Node) Check() error {
	if n.Roles != "edge" && !n.IsHome() {
		return badNode.With("reason", "roles")
	}
	if !ValidNodeName(n.Name) || !ValidNodeName(n.Region) {
		return badNode.With("reason", "name")
	}
	if n.Key.IsZero() {
		return badNode.With("reason", "key")
	}
	return nil
}

// ValidNodeName reports whether a text can name a node or a region: 1 to 63 lower-case letters, digits and dashes.
func ValidNodeName(s string) bool {
	return s != "" && len(s) <= 63 && only(s, lowerLetters+digits+"-")
}
