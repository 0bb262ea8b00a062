package admin

import (
	"context"
	"encoding/hex"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/region"
	"github.com/nearside/nearside/replication/link"
	"github.com/nearside/nearside/replication/roll"
)

// When an operator is told that a certificate ends soon. A node renews its own ten days before.
const (
	NodeEndsSoon   = 7 * 24 * time.Hour
	IssuerEndsSoon = 60 * 24 * time.Hour
)

// PKIHandler answers the requests of operators about who may take part in the deployment.
type PKIHandler struct {
	Dir    string                                              // of the node's certificate, and of the issuer at home
	Parts  func() (*region.Region, *roll.Roll, *link.Endpoint) // nil: it is not there, or not yet
	Order  func(context.Context, *region.Region, command.Command) error
	Rotate func(context.Context) error // gets this node another key
}

// Register adds the handler's paths.
func (h *PKIHandler) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/pki", h.status)
	mux.HandleFunc("POST /v1/pki/admit", h.admit)
	mux.HandleFunc("POST /v1/pki/issue", h.issue)
	mux.HandleFunc("POST /v1/pki/revoke", h.revoke)
	mux.HandleFunc("POST /v1/pki/rotate", h.rotate)
}

// PKI is who may take part in the deployment, as one node knows it.
type PKI struct {
	Node       string         `json:"node"` // that answers
	Deployment string         `json:"deployment"`
	Nodes      []PKINode      `json:"nodes"`
	Refused    []roll.Refused `json:"refused"`              // peers that came to this node
	IssuerEnds time.Time      `json:"issuer_ends,omitzero"` // zero: this node has no issuer
	RootHere   bool           `json:"root_key_here"`        // the authority's key is on this node
	Warnings   []string       `json:"warnings"`
}

// PKINode is one node.
type PKINode struct {
	core.Node
	Key   string    `json:"key"`
	State string    `json:"state"`         // admitted, ends soon, ended, revoked
	Ends  time.Time `json:"ends,omitzero"` // of its certificate, if it is connected to the node that answers
}

// The states of a node.
const (
	nodeAdmitted = "admitted"
	nodeEndsSoon = "ends soon"
	nodeEnded    = "ended"
	nodeRevoked  = "revoked"
)

func (h *PKIHandler) status(w http.ResponseWriter, _ *http.Request) {
	_, admitted, ep := h.Parts()
	if admitted == nil || ep == nil {
		Fail(w, core.E(core.KindUnavailable, "this node is still starting"))
		return
	}
	Answer(w, http.StatusOK, StatusOf(h.Dir, admitted, ep, time.Now()))
}

// StatusOf gives what a node knows of who may take part.
func StatusOf(dir string, admitted *roll.Roll, ep *link.Endpoint, now time.Time) PKI {
	own := ep.Own()
	out := PKI{Node: own.Node, Deployment: own.Deployment, Nodes: []PKINode{}, Refused: admitted.Refused(), Warnings: []string{}}
	ends := map[string]time.Time{own.Node: own.Until}
	for _, p := range ep.Peers() {
		if p.Until.After(ends[p.Node]) {
			ends[p.Node] = p.Until
		}
	}
	for _, n := range admitted.Nodes() {
		one := PKINode{Node: n, Key: hex.EncodeToString(n.Key[:8]), State: nodeAdmitted, Ends: ends[n.Name]}
		switch left := one.Ends.Sub(now); {
		case n.RevokeAt != 0:
			one.State = nodeRevoked
		case one.Ends.IsZero():
		case left <= 0:
			one.State = nodeEnded
			out.Warnings = append(out.Warnings, "the certificate of "+n.Name+" has ended: type `nearside pki issue "+n.Name+"`")
		case left < NodeEndsSoon:
			one.State = nodeEndsSoon
			out.Warnings = append(out.Warnings, "the certificate of "+n.Name+" ends at "+one.Ends.UTC().Format(time.RFC3339)+" and was not renewed")
		}
		out.Nodes = append(out.Nodes, one)
	}
	if len(out.Nodes) == 0 {
		out.Warnings = append(out.Warnings, "this node knows no admitted node yet, so a certificate alone lets others in")
	}
	if !own.Has(link.RoleHome) {
		return out
	}
	_, err := link.LoadCA(dir)
	out.RootHere = err == nil
	issuer, err := link.LoadIssuer(dir)
	switch {
	case err == nil:
		out.IssuerEnds = issuer.Until()
		if out.IssuerEnds.Sub(now) < IssuerEndsSoon && !out.RootHere {
			out.Warnings = append(out.Warnings, "the issuer of "+own.Node+" ends at "+out.IssuerEnds.UTC().Format(time.RFC3339)+
				": make another one where the authority's key is, with `nearside pki issue --issuer`")
		}
	case !out.RootHere:
		out.Warnings = append(out.Warnings, own.Node+" has no issuer, so it cannot renew certificates while it leads")
	}
	return out
}

// Issuer gives what a home node makes certificates with: its issuer, which is renewed in time if the authority's own key is
// there too; or that key, if there is no issuer.
func Issuer(dir string, now time.Time) (*link.CA, error) {
	issuer, err := link.LoadIssuer(dir)
	if err == nil && issuer.Until().Sub(now) > link.IssuerValidity/3 {
		return issuer, nil
	}
	root, rootErr := link.LoadCA(dir)
	switch {
	case rootErr == nil && err == nil:
		if issuer, err = root.NewIssuer(now); err == nil {
			err = issuer.Save(dir)
		}
		return issuer, err
	case rootErr == nil:
		return root, nil
	case err == nil:
		return issuer, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, core.E(core.KindUnavailable, "there is no issuer in %s: make one where the authority's key is, with `nearside pki issue --issuer`", dir)
	}
	return nil, err
}

// leading gives what changes of the list need.
func (h *PKIHandler) leading() (*region.Region, *roll.Roll, error) {
	reg, admitted, ep := h.Parts()
	switch {
	case reg == nil || admitted == nil || ep == nil:
		return nil, nil, core.E(core.KindUnavailable, "this node is not at home, or still starting")
	case !reg.IsLeader():
		return nil, nil, core.E(core.KindUnavailable, "this home node does not lead; ask the one that does")
	}
	return reg, admitted, nil
}

// Admit is the body of a request to admit nodes.
type Admit struct {
	Certificates []string `json:"certificates"` // PEM, each with its issuer's
	OnlyNew      bool     `json:"only_new"`     // leave those alone that the log knows
}

func (h *PKIHandler) admit(w http.ResponseWriter, req *http.Request) {
	var in Admit
	err := Decode(w, req, `{"certificates":["PEM"]}`, &in)
	var nodes []core.Node
	for _, text := range in.Certificates {
		var p link.Peer
		if err == nil {
			p, err = link.PeerOf([]byte(text), h.Dir, time.Now())
		}
		nodes = append(nodes, core.Node{Name: p.Node, Region: p.Region, Roles: p.RoleList(), Key: p.Key})
	}
	if err == nil {
		err = h.order(req.Context(), &command.AdmitNodes{Nodes: nodes, OnlyNew: in.OnlyNew})
	}
	if err != nil {
		Fail(w, err)
		return
	}
	h.status(w, req)
}

func (h *PKIHandler) order(ctx context.Context, c command.Command) error {
	reg, _, err := h.leading()
	if err != nil {
		return err
	}
	return Plain(h.Order(ctx, reg, c))
}

// Plain gives a refusal of a change of the nodes in words for operators.
func Plain(err error) error {
	e := core.AsError(err)
	said, ok := map[string]string{
		"roles": "the roles of a node are home, edge, or home,edge", "name": "names have 1 to 63 lower-case letters, digits and dashes",
		"key": "the key is not the one that the log expects", "revoked": "the node was revoked: `nearside pki issue` brings it back",
		"no_home":   "the home nodes of this new deployment are not admitted yet; try again in a moment",
		"last_home": "it is the last home node: without one nobody could order anything, or admit another",
		"limit":     "the deployment has as many nodes as it can have", "text": "the reason is too long",
	}[e.Args["reason"]]
	switch {
	case err == nil:
		return nil
	case e.ID == "nearside.node.unknown.app_error":
		return core.E(e.Kind, "the deployment has no node of that name; see `nearside pki status`")
	case ok:
		return core.E(e.Kind, "%s", said)
	}
	return err
}

// Issue is the body of a request for a certificate.
type Issue struct {
	Node   string `json:"node"`
	Region string `json:"region"` // empty, like Roles: as it was admitted before
	Roles  string `json:"roles"`
	Public []byte `json:"public_key"`
}

// Issued is the answer: PEM texts.
type Issued struct {
	Certificate string `json:"certificate"`
	Authority   string `json:"authority"`
}

func (h *PKIHandler) issue(w http.ResponseWriter, req *http.Request) {
	var in Issue
	err := Decode(w, req, `{"node":"NAME","region":"REGION","roles":"edge","public_key":"BASE64"}`, &in)
	var out Issued
	if err == nil {
		out, err = h.certify(req.Context(), in)
	}
	if err != nil {
		Fail(w, err)
		return
	}
	Answer(w, http.StatusOK, out)
}

func (h *PKIHandler) certify(ctx context.Context, in Issue) (Issued, error) {
	_, admitted, err := h.leading()
	if err != nil {
		return Issued{}, err
	}
	if was, known := admitted.Of(in.Node); known {
		if in.Region == "" {
			in.Region = was.Region
		}
		if in.Roles == "" {
			in.Roles = was.Roles
		}
	}
	if in.Region == "" || in.Roles == "" {
		return Issued{}, core.E(core.KindInvalid, "%s is new: say --region and --roles", in.Node)
	}
	key, err := link.KeyOf(in.Public)
	if err != nil {
		return Issued{}, err
	}
	ca, err := Issuer(h.Dir, time.Now())
	if err != nil {
		return Issued{}, err
	}
	id := link.IdentityOf(in.Node, in.Region, in.Roles)
	certificate, authority, err := ca.Certify(id, in.Public, time.Now(), link.NodeValidity)
	if err != nil {
		return Issued{}, err
	}
	n := core.Node{Name: in.Node, Region: in.Region, Roles: id.RoleList(), Key: key}
	return Issued{string(certificate), string(authority)}, h.order(ctx, &command.AdmitNodes{Nodes: []core.Node{n}})
}

// Revoke is the body of a request to throw a node out.
type Revoke struct {
	Node   string `json:"node"`
	Reason string `json:"reason"`
}

func (h *PKIHandler) revoke(w http.ResponseWriter, req *http.Request) {
	var in Revoke
	err := Decode(w, req, `{"node":"NAME","reason":"TEXT"}`, &in)
	if err == nil {
		err = h.throwOut(req.Context(), in)
	}
	if err != nil {
		Fail(w, err)
		return
	}
	h.status(w, req)
}

// throwOut revokes a node. A home node loses its vote first: afterwards nobody would talk to it, and if there were only two, the
// other one could not order that.
func (h *PKIHandler) throwOut(ctx context.Context, in Revoke) error {
	reg, admitted, err := h.leading()
	if err != nil {
		return err
	}
	n, known := admitted.Of(in.Node)
	switch {
	case !known:
		return core.E(core.KindNotFound, "the deployment has no node %q; see `nearside pki status`", in.Node)
	case in.Node == reg.Status().Node:
		return core.E(core.KindConflict, "%s leads and orders its own end: let another home node lead (stop this one for a moment), and ask again", in.Node)
	}
	if n.IsHome() && n.RevokeAt == 0 && reg.Lists(in.Node) {
		_, err := reg.SetMembers(ctx, without(in.Node))
		if err != nil {
			return err
		}
	}
	return h.order(ctx, &command.RevokeNode{Name: in.Node, Reason: in.Reason})
}

func (h *PKIHandler) rotate(w http.ResponseWriter, req *http.Request) {
	if err := h.Rotate(req.Context()); err != nil {
		Fail(w, err)
		return
	}
	h.status(w, req)
}

// ReadCertificate reads a node's certificate for Admit.
func ReadCertificate(path string) (string, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, "node.crt")
	}
	raw, err := os.ReadFile(path)
	return string(raw), err
}
