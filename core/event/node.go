package event

import "github.com/nearside/nearside/core"

// NodeChanged announces to the links of this node that a node was admitted, got another key, or was revoked.
type NodeChanged struct {
	quiet
	Node core.Node
}
