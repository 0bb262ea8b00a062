package command

import "github.com/nearside/nearside/core"

// AdmitNodes lets nodes take part in the deployment with the keys that it names. A node that was admitted before gets
// the new key, and its former ones are no longer good. Only home proposes it, for an operator or while a
// deployment begins.
type AdmitNodes struct {
	Nodes   []core.Node `cbor:"1,keyasint"`           // name, region, roles and key; apply decides the rest
	OnlyNew bool        `cbor:"2,keyasint,omitempty"` // leave those alone that the log knows, revoked or not
}

// RenewNode gives a node another key. The one before stays good for a while.
type RenewNode struct {
	Name string       `cbor:"1,keyasint"`
	Was  core.NodeKey `cbor:"2,keyasint"` // the key that the proposer saw; if it is another one by now, the renewal is refused
	Key  core.NodeKey `cbor:"3,keyasint"`
}

// RevokeNode throws a node out. It stays in the list, so that its name comes back only by AdmitNodes.
type RevokeNode struct {
	Name   string `cbor:"1,keyasint"`
	Reason string `cbor:"2,keyasint,omitempty"`
}
