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
	"time"

	"github.com/nearside/nearside/core"
)

// The files of a CA and of a node's credentials; only the owner can read the keys.
const (
	caCertFile   = "ca.crt"
	caKeyFile    = "ca.key"
	nodeCertFile = "node.crt"
	nodeKeyFile  = "node.key"
)

const (
	caValidity = 20 * 365 * 24 * time.Hour
	// NodeValidity is the default validity of a node's certificate.
	NodeValidity = 5 * 365 * 24 * time.Hour
	clockSkew    = time.Hour // a certificate is already valid this long before it was made
	serverName   = "node.nearside.internal"
)

// CA is a deployment's own certificate authority. Anybody with its key can add nodes.
type CA struct {
	Deployment string
	cert       *x509.Certificate
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
	if !validName(deployment) {
		return nil, core.E(core.KindInvalid, "%q is not a valid name of a deployment", deployment)
	}
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	tmpl := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: "Nearside " + deployment},
		URIs:                  []*url.URL{{Scheme: "nearside", Host: deployment}},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(caValidity),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	cert, err := sign(tmpl, tmpl, pub, key)
	if err != nil {
		return nil, fmt.Errorf("making ca: %w", err)
	}
	return &CA{Deployment: deployment, cert: cert, key: key}, nil
}

// Issue makes the credentials of a node, valid from now for validity.
func (ca *CA) Issue(id Identity, now time.Time, validity time.Duration) (*Credentials, error) {
	id.Deployment = ca.Deployment
	if err := id.Check(); err != nil {
		return nil, err
	}
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	cert, err := sign(&x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: id.String()},
		URIs:         []*url.URL{id.URI()},
		DNSNames:     []string{serverName},
		NotBefore:    now.Add(-clockSkew),
		NotAfter:     now.Add(validity),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}, ca.cert, pub, ca.key)
	if err != nil {
		return nil, fmt.Errorf("issuing certificate: %w", err)
	}
	return newCredentials(cert, key, ca.cert)
}

// Save writes the authority to a directory.
func (ca *CA) Save(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := writeKey(filepath.Join(dir, caKeyFile), ca.key); err != nil {
		return err
	}
	return writeCert(filepath.Join(dir, caCertFile), ca.cert)
}

// LoadCA reads what Save wrote; if there is nothing, the error is os.ErrNotExist.
func LoadCA(dir string) (*CA, error) {
	cert, err := readCert(filepath.Join(dir, caCertFile))
	if err != nil {
		return nil, err
	}
	key, err := readKey(filepath.Join(dir, caKeyFile))
	if err != nil {
		return nil, err
	}
	if len(cert.URIs) != 1 || cert.URIs[0].Scheme != "nearside" {
		return nil, core.E(core.KindInvalid, "%s is not the certificate of a deployment", caCertFile)
	}
	return &CA{Deployment: cert.URIs[0].Host, cert: cert, key: key}, nil
}

// Save writes a node's credentials to a directory, with the authority's certificate, without
// the authority's key.
func (c *Credentials) Save(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := writeKey(filepath.Join(dir, nodeKeyFile), c.cert.PrivateKey.(ed25519.PrivateKey)); err != nil {
		return err
	}
	if err := writeCert(filepath.Join(dir, caCertFile), c.ca); err != nil {
		return err
	}
	return writeCert(filepath.Join(dir, nodeCertFile), c.cert.Leaf)
}

// LoadCredentials reads what Save wrote; if there is nothing, the error is os.ErrNotExist.
func LoadCredentials(dir string) (*Credentials, error) {
	ca, err := readCert(filepath.Join(dir, caCertFile))
	if err != nil {
		return nil, err
	}
	cert, err := readCert(filepath.Join(dir, nodeCertFile))
	if err != nil {
		return nil, err
	}
	key, err := readKey(filepath.Join(dir, nodeKeyFile))
	if err != nil {
		return nil, err
	}
	return newCredentials(cert, key, ca)
}

func newCredentials(cert *x509.Certificate, key ed25519.PrivateKey, ca *x509.Certificate) (*Credentials, error) {
	id, err := identityOf(cert)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	return &Credentials{
		Identity: id,
		cert:     tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert},
		ca:       ca,
		roots:    roots,
	}, nil
}

// Valid returns the reason why other nodes of the deployment will refuse these credentials at a
// time, or nil.
func (c *Credentials) Valid(now time.Time) error {
	_, err := c.cert.Leaf.Verify(x509.VerifyOptions{Roots: c.roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
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

func writeCert(path string, cert *x509.Certificate) error {
	return writeFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}), 0o644)
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

func readPEM(path string) ([]byte, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, core.E(core.KindInvalid, "%s holds no PEM block", path)
	}
	return block.Bytes, nil
}

func readCert(path string) (*x509.Certificate, error) {
	der, err := readPEM(path)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return cert, nil
}

func readKey(path string) (ed25519.PrivateKey, error) {
	der, err := readPEM(path)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	ed, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, core.E(core.KindInvalid, "%s is not an Ed25519 key", path)
	}
	return ed, nil
}
