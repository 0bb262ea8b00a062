package link

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/nearside/nearside/core"
)

// The files of an authority, of an issuer and of a node's credentials; only the owner can read the keys.
const (
	caCertFile     = "ca.crt"
	caKeyFile      = "ca.key"
	issuerCertFile = "issuer.crt"
	issuerKeyFile  = "issuer.key"
	nodeCertFile   = "node.crt"
	nodeKeyFile    = "node.key"
	nextKeyFile    = "next.key" // of a renewal that is under way
)

const (
	caValidity = 20 * 365 * 24 * time.Hour
	// IssuerValidity is the validity of an issuer's certificate.
	IssuerValidity = 365 * 24 * time.Hour
	// NodeValidity is the validity of a node's certificate. A node that runs renews it in time.
	NodeValidity = 30 * 24 * time.Hour
	clockSkew    = time.Hour // a certificate is already valid this long before it was made
	maxChain     = 3         // certificates of a node that are looked at
	serverName   = "node.nearside.internal"
)

// CA makes certificates: it is the authority of a deployment, or an issuer that the authority has made. With the key
// of either one can make certificates, but they let nobody in that the log has not admitted.
type CA struct {
	Deployment string
	root       *x509.Certificate
	issuer     *x509.Certificate // nil: the authority itself
	key        ed25519.PrivateKey
}

// Credentials are a node's certificate and key, and the authority's certificate to check peers
// with.
type Credentials struct {
	Identity Identity
	cert     tls.Certificate
	ca       *x509.Certificate
	roots    *x509.CertPool
}

// NewCA makes the authority of a new deployment.
func NewCA(deployment string, now time.Time) (*CA, error) {
	if !core.ValidNodeName(deployment) {
		return nil, core.E(core.KindInvalid, "%q is not a valid name of a deployment", deployment)
	}
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	tmpl := authority("Nearside "+deployment, now, caValidity)
	tmpl.URIs = []*url.URL{{Scheme: "nearside", Host: deployment}}
	tmpl.MaxPathLen = 1
	cert, err := sign(tmpl, tmpl, pub, key)
	if err != nil {
		return nil, fmt.Errorf("making ca: %w", err)
	}
	return &CA{Deployment: deployment, root: cert, key: key}, nil
}

// NewIssuer makes an issuer, so that the authority's own key can be kept away from all nodes.
func (ca *CA) NewIssuer(now time.Time) (*CA, error) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	tmpl := authority("Nearside "+ca.Deployment+" issuer", now, IssuerValidity)
	tmpl.MaxPathLenZero = true
	cert, err := sign(tmpl, ca.signer(), pub, ca.key)
	if err != nil {
		return nil, fmt.Errorf("making issuer: %w", err)
	}
	return &CA{Deployment: ca.Deployment, root: ca.root, issuer: cert, key: key}, nil
}

func authority(name string, now time.Time, validity time.Duration) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-clockSkew), NotAfter: now.Add(validity),
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true,
	}
}

// signer gives the certificate whose key signs.
func (ca *CA) signer() *x509.Certificate {
	if ca.issuer != nil {
		return ca.issuer
	}
	return ca.root
}

// Until is when the last certificate that it makes ends at the latest.
func (ca *CA) Until() time.Time { return ca.signer().NotAfter }

// Request is a new key that waits for its certificate. The key never leaves the node for which it is made.
type Request struct{ key ed25519.PrivateKey }

// NewRequest makes a key.
func NewRequest() (*Request, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return &Request{key}, err
}

// LoadRequest reads the key of a renewal that is under way; if there is none, the error is os.ErrNotExist.
func LoadRequest(dir string) (*Request, error) {
	key, err := readKey(filepath.Join(dir, nextKeyFile))
	if err != nil {
		return nil, err
	}
	return &Request{key}, nil
}

// Save writes the key to a directory, until the credentials are saved there.
func (r *Request) Save(dir string) error { return writeKey(filepath.Join(dir, nextKeyFile), r.key) }

// Public gives the public key for Certify.
func (r *Request) Public() []byte {
	der, err := x509.MarshalPKIXPublicKey(r.key.Public())
	if err != nil {
		panic(err) // it is an Ed25519 key
	}
	return der
}

// Finish makes credentials of the answer to a request: PEM texts.
func (r *Request) Finish(certificate, authority []byte) (*Credentials, error) {
	chain, err := parseCerts(certificate)
	if err != nil {
		return nil, err
	}
	ca, err := parseCerts(authority)
	if err != nil {
		return nil, err
	}
	if !r.key.Public().(ed25519.PublicKey).Equal(chain[0].PublicKey) {
		return nil, core.E(core.KindInvalid, "the certificate is for another key")
	}
	return newCredentials(chain, r.key, ca[0])
}

// KeyOf gives what stands for a public key in the log.
func KeyOf(public []byte) (core.NodeKey, error) {
	key, err := x509.ParsePKIXPublicKey(public)
	if _, ok := key.(ed25519.PublicKey); err != nil || !ok {
		return core.NodeKey{}, core.E(core.KindInvalid, "that is no Ed25519 key")
	}
	return sha256.Sum256(public), nil
}

// Certify makes the certificate for a public key, and gives it and the authority's as PEM texts.
func (ca *CA) Certify(id Identity, public []byte, now time.Time, validity time.Duration) (certificate, authority []byte, err error) {
	if _, err := KeyOf(public); err != nil {
		return nil, nil, err
	}
	key, err := x509.ParsePKIXPublicKey(public)
	if err != nil {
		return nil, nil, err
	}
	cert, err := ca.certify(id, key.(ed25519.PublicKey), now, validity)
	if err != nil {
		return nil, nil, err
	}
	chain := []*x509.Certificate{cert}
	if ca.issuer != nil {
		chain = append(chain, ca.issuer)
	}
	return encodeCerts(chain), encodeCerts([]*x509.Certificate{ca.root}), nil
}

// Issue makes the credentials of a node, valid from now for validity.
func (ca *CA) Issue(id Identity, now time.Time, validity time.Duration) (*Credentials, error) {
	req, err := NewRequest()
	if err != nil {
		return nil, err
	}
	certificate, authority, err := ca.Certify(id, req.Public(), now, validity)
	if err != nil {
		return nil, err
	}
	return req.Finish(certificate, authority)
}

func (ca *CA) certify(id Identity, pub ed25519.PublicKey, now time.Time, validity time.Duration) (*x509.Certificate, error) {
	id.Deployment = ca.Deployment
	if err := id.Check(); err != nil {
		return nil, err
	}
	if !now.Before(ca.Until()) {
		return nil, core.E(core.KindUnavailable, "the certificate that signs others has ended at %s", ca.Until().UTC().Format(time.RFC3339))
	}
	end := now.Add(validity)
	if end.After(ca.Until()) {
		end = ca.Until()
	}
	cert, err := sign(&x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: id.String()},
		URIs:         []*url.URL{id.URI()},
		DNSNames:     []string{serverName},
		NotBefore:    now.Add(-clockSkew),
		NotAfter:     end,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}, ca.signer(), pub, ca.key)
	if err != nil {
		return nil, fmt.Errorf("issuing certificate: %w", err)
	}
	return cert, nil
}

// Save writes the authority, or the issuer, to a directory.
func (ca *CA) Save(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := writeCerts(filepath.Join(dir, caCertFile), ca.root); err != nil {
		return err
	}
	if ca.issuer == nil {
		return writeKey(filepath.Join(dir, caKeyFile), ca.key)
	}
	if err := writeKey(filepath.Join(dir, issuerKeyFile), ca.key); err != nil {
		return err
	}
	return writeCerts(filepath.Join(dir, issuerCertFile), ca.issuer)
}

// LoadCA reads the authority that Save wrote; if there is none, the error is os.ErrNotExist.
func LoadCA(dir string) (*CA, error) {
	return loadCA(dir, caKeyFile)
}

func loadCA(dir, keyFile string) (*CA, error) {
	certs, err := readCerts(filepath.Join(dir, caCertFile))
	if err != nil {
		return nil, err
	}
	key, err := readKey(filepath.Join(dir, keyFile))
	if err != nil {
		return nil, err
	}
	root := certs[0]
	if len(root.URIs) != 1 || root.URIs[0].Scheme != "nearside" {
		return nil, core.E(core.KindInvalid, "%s is not the certificate of a deployment", caCertFile)
	}
	return &CA{Deployment: root.URIs[0].Host, root: root, key: key}, nil
}

// LoadIssuer reads the issuer that Save wrote; if there is none, the error is os.ErrNotExist.
func LoadIssuer(dir string) (*CA, error) {
	ca, err := loadCA(dir, issuerKeyFile)
	if err != nil {
		return nil, err
	}
	certs, err := readCerts(filepath.Join(dir, issuerCertFile))
	if err != nil {
		return nil, err
	}
	ca.issuer = certs[0]
	return ca, nil
}

// Again gives the same node and key another certificate.
func (ca *CA) Again(c *Credentials, now time.Time) (*Credentials, error) {
	r := &Request{c.cert.PrivateKey.(ed25519.PrivateKey)}
	certificate, authority, err := ca.Certify(c.Identity, r.Public(), now, NodeValidity)
	if err != nil {
		return nil, err
	}
	return r.Finish(certificate, authority)
}

// Save writes a node's credentials to a directory, with the authority's certificate, without
// the authority's key. Whenever it is interrupted, LoadCredentials finds a certificate with its key.
func (c *Credentials) Save(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	next := &Request{c.cert.PrivateKey.(ed25519.PrivateKey)}
	if err := next.Save(dir); err != nil {
		return err
	}
	if err := writeCerts(filepath.Join(dir, caCertFile), c.ca); err != nil {
		return err
	}
	chain, err := x509.ParseCertificates(slices.Concat(c.cert.Certificate...))
	if err != nil {
		return err
	}
	if err := writeCerts(filepath.Join(dir, nodeCertFile), chain...); err != nil {
		return err
	}
	return os.Rename(filepath.Join(dir, nextKeyFile), filepath.Join(dir, nodeKeyFile))
}

// LoadCredentials reads what Save wrote; if there is nothing, the error is os.ErrNotExist.
func LoadCredentials(dir string) (*Credentials, error) {
	ca, err := readCerts(filepath.Join(dir, caCertFile))
	if err != nil {
		return nil, err
	}
	chain, err := readCerts(filepath.Join(dir, nodeCertFile))
	if err != nil {
		return nil, err
	}
	key, err := readKey(filepath.Join(dir, nodeKeyFile))
	if err != nil || !key.Public().(ed25519.PublicKey).Equal(chain[0].PublicKey) {
		next, nextErr := LoadRequest(dir)
		switch {
		case nextErr == nil && next.key.Public().(ed25519.PublicKey).Equal(chain[0].PublicKey):
			key = next.key // Save was interrupted
		case err != nil:
			return nil, err
		default:
			return nil, core.E(core.KindInvalid, "%s and %s in %s do not belong together", nodeCertFile, nodeKeyFile, dir)
		}
	}
	return newCredentials(chain, key, ca[0])
}

// newCredentials makes credentials of a node's certificate and the issuers between it and the authority.
func newCredentials(chain []*x509.Certificate, key ed25519.PrivateKey, ca *x509.Certificate) (*Credentials, error) {
	id, err := identityOf(chain[0])
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	return &Credentials{
		Identity: id,
		cert:     tls.Certificate{Certificate: raw(chain), PrivateKey: key, Leaf: chain[0]},
		ca:       ca,
		roots:    roots,
	}, nil
}

// Peer gives what others see of these credentials.
func (c *Credentials) Peer() Peer {
	p, _ := peerOf(c.cert.Leaf) // newCredentials has read it
	return p
}

func raw(chain []*x509.Certificate) (out [][]byte) {
	for _, c := range chain {
		out = append(out, c.Raw)
	}
	return out
}

// verifyChain checks a node's certificate, which may be followed by an issuer's; the zero time is now.
func verifyChain(chain []*x509.Certificate, roots *x509.CertPool, now time.Time, usage x509.ExtKeyUsage) error {
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}})
	return err
}

// Valid returns the reason why other nodes of the deployment will refuse these credentials at a
// time, or nil.
func (c *Credentials) Valid(now time.Time) error {
	chain, err := x509.ParseCertificates(slices.Concat(c.cert.Certificate...))
	if err == nil {
		err = verifyChain(chain, c.roots, now, x509.ExtKeyUsageAny)
	}
	if err != nil {
		return core.E(core.KindUnauthorized, "this node's certificate is not valid").WithCause(err)
	}
	return nil
}

// resetKey is the key of stateless resets: with it, a restarted node ends its peers' old
// connections at once.
func (c *Credentials) resetKey() [32]byte {
	key := c.cert.PrivateKey.(ed25519.PrivateKey)
	return sha256.Sum256(append([]byte("nearside stateless reset "), key.Seed()...))
}

func sign(tmpl, parent *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, pub, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func serial() *big.Int {
	var b [16]byte
	_, _ = rand.Read(b[:]) // crypto/rand never returns an error
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b[:])
}

func writeCerts(path string, certs ...*x509.Certificate) error {
	return writeFile(path, encodeCerts(certs), 0o644)
}

func encodeCerts(certs []*x509.Certificate) (out []byte) {
	for _, c := range certs {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return out
}

func writeKey(path string, key ed25519.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return writeFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

// writeFile writes a file whole or not at all: with a half-written key a node could not start.
func writeFile(path string, data []byte, mode os.FileMode) error {
	tmp := path + ".new"
	if err := os.WriteFile(tmp, data, mode); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

func readCerts(path string) ([]*x509.Certificate, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	certs, err := parseCerts(text)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return certs, nil
}

// parseCerts reads the certificates in a PEM text: at least one.
func parseCerts(text []byte) (certs []*x509.Certificate, err error) {
	for len(certs) < maxChain {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certs, text = append(certs, c), rest
	}
	if len(certs) == 0 {
		return nil, core.E(core.KindInvalid, "it holds no certificate")
	}
	return certs, nil
}

// PeerOf reads a node's certificate, with its issuer's if it has one, and checks that the authority whose certificate
// is in dir stands behind it.
func PeerOf(certificate []byte, dir string, now time.Time) (Peer, error) {
	ca, err := readCerts(filepath.Join(dir, caCertFile))
	if err != nil {
		return Peer{}, err
	}
	chain, err := parseCerts(certificate)
	if err != nil {
		return Peer{}, core.E(core.KindInvalid, "that is no certificate").WithCause(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca[0])
	if err := verifyChain(chain, roots, now, x509.ExtKeyUsageAny); err != nil {
		return Peer{}, core.E(core.KindInvalid, "the certificate is not one of this deployment, or has ended").WithCause(err)
	}
	return peerOf(chain[0])
}

func readKey(path string) (ed25519.PrivateKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, core.E(core.KindInvalid, "%s holds no PEM block", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	ed, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, core.E(core.KindInvalid, "%s is not an Ed25519 key", path)
	}
	return ed, nil
}
