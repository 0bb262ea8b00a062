package link

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/nearside/nearside/core"
)

// Role is a node's part in its deployment.
type Role string

// The roles.
const (
	RoleHome Role = "home" // orders the log
	RoleEdge Role = "edge" // serves clients
)

// Identity names a node, as its certificate does.
type Identity struct {
	Deployment string
	Region     string
	Node       string
	Roles      []Role
}

// IdentityOf gives the identity of a node from its roles as a list with commas.
func IdentityOf(node, region, roles string) Identity {
	id := Identity{Region: region, Node: node}
	for r := range strings.SplitSeq(roles, ",") {
		id.Roles = append(id.Roles, Role(strings.TrimSpace(r)))
	}
	return id
}

// Has reports whether the node has a role.
func (id Identity) Has(r Role) bool { return slices.Contains(id.Roles, r) }

// RoleList gives the roles separated by commas, home first, in whatever order the certificate has them.
func (id Identity) RoleList() string {
	roles := make([]string, len(id.Roles))
	for i, r := range id.Roles {
		roles[i] = string(r)
	}
	slices.Sort(roles)
	slices.Reverse(roles) // home before edge, as the list of nodes has them
	return strings.Join(roles, ",")
}

// String returns "region/node".
func (id Identity) String() string { return id.Region + "/" + id.Node }

// URI is the name inside the certificate: nearside://deployment/region/node?roles=home,edge.
func (id Identity) URI() *url.URL {
	return &url.URL{Scheme: "nearside", Host: id.Deployment, Path: "/" + id.Region + "/" + id.Node, RawQuery: "roles=" + id.RoleList()}
}

// Check validates the names: 1–63 lower-case letters, digits and dashes each.
func (id Identity) Check() error {
	for _, name := range []string{id.Deployment, id.Region, id.Node} {
		if !core.ValidNodeName(name) {
			return core.E(core.KindInvalid, "%q is not a valid name: use 1 to 63 lower-case letters, digits and dashes", name)
		}
	}
	for _, r := range id.Roles {
		if r != RoleHome && r != RoleEdge {
			return core.E(core.KindInvalid, "unknown role %q", r)
		}
	}
	if len(id.Roles) == 0 {
		return core.E(core.KindInvalid, "a node has at least one role")
	}
	return nil
}

// identityOf reads the single nearside URI of a verified certificate.
func identityOf(cert *x509.Certificate) (Identity, error) {
	for _, u := range cert.URIs {
		if u.Scheme != "nearside" {
			continue
		}
		region, node, ok := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
		if !ok {
			break
		}
		id := Identity{Deployment: u.Host, Region: region, Node: node}
		for r := range strings.SplitSeq(u.Query().Get("roles"), ",") {
			id.Roles = append(id.Roles, Role(r))
		}
		if err := id.Check(); err != nil {
			return Identity{}, fmt.Errorf("certificate names %s: %w", u, err)
		}
		return id, nil
	}
	return Identity{}, core.E(core.KindMisdirected, "the certificate names no node")
}

// Class separates the traffic between two nodes.
type Class byte

// The classes.
const (
	ClassRaft    Class = iota // ordering; between home nodes only
	ClassLog                  // followers at a home node: log, snapshots, signals
	ClassForward              // proposals and questions to a home node
	ClassBlob                 // files
	ClassGossip               // liveness
	classEnd
)

// rule is the role that a class requires on each side.
type rule struct {
	alpn       string
	use, serve Role // empty: any role
}

var rules = [classEnd]rule{
	ClassRaft:    {"nearside-raft/1", RoleHome, RoleHome},
	ClassLog:     {"nearside-log/1", "", RoleHome},
	ClassForward: {"nearside-forward/1", "", RoleHome},
	ClassBlob:    {"nearside-blob/1", "", ""},
	ClassGossip:  {"nearside-gossip/1", "", ""},
}

// String returns the class's ALPN name.
func (c Class) String() string { return rules[c].alpn }

func classOf(alpn string) (Class, bool) {
	for c, r := range rules {
		if r.alpn == alpn {
			return Class(c), true
		}
	}
	return 0, false
}

// Peer is what a node proves of itself by its certificate.
type Peer struct {
	Identity
	Key         core.NodeKey
	From, Until time.Time // when the certificate was made, and its end
	Dialed      bool      // this node dialed it
}

// Admission decides which nodes with a certificate of the deployment may take part in it.
type Admission interface {
	Check(p Peer) error          // why a node may not; nil: it may
	Note(node string, why error) // a node was refused for another reason
}

// peerOf reads a certificate.
func peerOf(cert *x509.Certificate) (Peer, error) {
	id, err := identityOf(cert)
	return Peer{Identity: id, Key: sha256.Sum256(cert.RawSubjectPublicKeyInfo), From: cert.NotBefore.Add(clockSkew), Until: cert.NotAfter}, err
}

// verify checks a peer's certificate chain for the deployment and the required role.
func verify(chain []*x509.Certificate, self *Credentials, need Role, usage x509.ExtKeyUsage) error {
	if len(chain) == 0 {
		return core.E(core.KindUnauthorized, "the peer presents no certificate")
	}
	if err := verifyChain(chain[:min(len(chain), maxChain)], self.roots, time.Time{}, usage); err != nil {
		return core.E(core.KindUnauthorized, "the peer's certificate is not of this deployment").WithCause(err)
	}
	id, err := identityOf(chain[0])
	switch {
	case err != nil:
		return err
	case id.Deployment != self.Identity.Deployment:
		return core.E(core.KindMisdirected, "%s belongs to deployment %s, not %s", id, id.Deployment, self.Identity.Deployment)
	case need != "" && !id.Has(need):
		return core.E(core.KindMisdirected, "%s does not have the role %s", id, need)
	}
	return nil
}
