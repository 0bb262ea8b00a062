package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
	"golang.org/x/net/idna"

	"github.com/nearside/nearside/core"
)

// ACME gets the certificate that an edge shows to clients from an authority, and renews it. The authority connects to
// the host: at port 443, which must then reach client.listen, or at port 80, which must then reach Listen.
type ACME struct {
	Email     string   `yaml:"email,omitempty"`     // for the authority's warnings
	Hosts     []string `yaml:"hosts,omitempty"`     // names that this edge has; default that of the first address in client.url
	Directory string   `yaml:"directory,omitempty"` // URL of the authority; default that of Let's Encrypt
	CA        string   `yaml:"ca,omitempty"`        // file in PEM with whom to trust to be the directory; default the system's
	Cache     string   `yaml:"cache,omitempty"`     // directory of keys and certificates; default <data>/acme
	Listen    string   `yaml:"listen,omitempty"`    // HOST:PORT that gets the requests to port 80; others are sent to https; default none
}

// After a failure, nothing is ordered for this long: authorities allow few failures an hour, and every handshake of
// a client would be one more.
const acmePause = 15 * time.Minute

// acmeLook is how often a certificate is looked for without a client asking. Those in use are renewed by themselves.
const acmeLook = time.Hour

// hosts gives the names to get certificates for. An edge orders none for the addresses of other edges: the authority
// would not find it there.
func (c Client) hosts() []string {
	if len(c.TLS.ACME.Hosts) > 0 || len(c.URL) == 0 {
		return c.TLS.ACME.Hosts
	}
	u, err := url.Parse(c.URL[0])
	if err != nil || u.Scheme != "https" {
		return nil
	}
	return []string{u.Hostname()}
}

func (c Client) checkACME() error {
	bad := func(format string, args ...any) error {
		return core.E(core.KindInvalid, "client.tls.acme: "+format, args...)
	}
	a := c.TLS.ACME
	switch {
	case a == nil:
		return nil
	case c.TLS.Cert != "" || c.TLS.Key != "":
		return bad("there are cert and key too; use one of the two")
	case len(c.hosts()) == 0:
		return bad("hosts: missing; without it, the first address in client.url must begin with https://")
	}
	for _, h := range c.hosts() {
		if ascii, err := idna.Lookup.ToASCII(h); err != nil || !strings.Contains(strings.Trim(ascii, "."), ".") || net.ParseIP(h) != nil {
			return bad("%q is no name that an authority gives a certificate for", h)
		}
	}
	if u, err := url.Parse(a.Directory); a.Directory != "" && (err != nil || u.Scheme != "https" || u.Host == "") {
		return bad("directory: %q is not https://HOST/PATH", a.Directory)
	}
	if _, _, err := net.SplitHostPort(a.Listen); a.Listen != "" && err != nil {
		return bad("listen: %q is not HOST:PORT", a.Listen)
	}
	return nil
}

// certificates has the certificates of an edge from an authority.
type certificates struct {
	manager *autocert.Manager
	hosts   []string
	log     *slog.Logger
	now     func() time.Time

	mu     sync.Mutex
	failed map[string]time.Time // guarded by mu: when a host last got no certificate
}

// newCertificates prepares to get certificates; it asks for none.
func newCertificates(cfg ACME, hosts []string, log *slog.Logger) (*certificates, error) {
	c := &certificates{log: log, now: time.Now, failed: map[string]time.Time{}}
	for _, h := range hosts {
		ascii, err := idna.Lookup.ToASCII(h)
		if err != nil {
			return nil, core.E(core.KindInvalid, "client.tls.acme: %q: %v", h, err)
		}
		c.hosts = append(c.hosts, ascii)
	}
	if err := os.MkdirAll(cfg.Cache, 0o700); err != nil {
		return nil, core.E(core.KindUnavailable, "client.tls.acme: cache").WithCause(err)
	}
	if err := os.Chmod(cfg.Cache, 0o700); err != nil { // also if somebody else has made it: there are keys in it
		return nil, core.E(core.KindUnavailable, "client.tls.acme: cache").WithCause(err)
	}
	client := &acme.Client{DirectoryURL: cfg.Directory, UserAgent: "nearside"}
	if cfg.CA != "" {
		pem, err := os.ReadFile(cfg.CA)
		roots := x509.NewCertPool()
		if err != nil || !roots.AppendCertsFromPEM(pem) {
			return nil, core.E(core.KindInvalid, "client.tls.acme: ca: %s has no certificate", cfg.CA).WithCause(err)
		}
		client.HTTPClient = &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}}}
	}
	c.manager = &autocert.Manager{
		Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(cfg.Cache), Client: client, Email: cfg.Email,
		HostPolicy: func(_ context.Context, host string) error { return c.allow(host) },
	}
	return c, nil
}

// allow refuses names that this edge does not have. The authority may come to another port than 80, from where it was
// sent on, and then names it.
func (c *certificates) allow(host string) error {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if !slices.Contains(c.hosts, host) {
		return fmt.Errorf("this edge is not %q", host)
	}
	return nil
}

// server gives the settings of the listener for clients, which answers the authority too.
func (c *certificates) server() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1", acme.ALPNProto}, GetCertificate: c.certificate}
}

var errPause = errors.New("the authority gave no certificate, and is asked again later")

// certificate is called at every handshake.
func (c *certificates) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name, err := idna.Lookup.ToASCII(hello.ServerName)
	if err == nil {
		err = c.allow(name)
	}
	if err != nil {
		return nil, err
	}
	if slices.Equal(hello.SupportedProtos, []string{acme.ALPNProto}) { // the authority
		return c.manager.GetCertificate(hello)
	}
	c.mu.Lock()
	at, failed := c.failed[name]
	c.mu.Unlock()
	if failed && c.now().Sub(at) < acmePause {
		return nil, errPause
	}
	cert, err := c.manager.GetCertificate(hello)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		delete(c.failed, name)
		return cert, nil
	}
	if at, again := c.failed[name]; !again || c.now().Sub(at) >= acmePause { // several clients may have waited
		c.failed[name] = c.now()
		c.log.Error("no certificate", "host", name, "error", err, "again_in", acmePause)
	}
	return nil, err
}

// run gets the certificates before the first client needs them, until ctx ends.
func (c *certificates) run(ctx context.Context) error {
	t := time.NewTicker(acmeLook)
	defer t.Stop()
	for {
		looked := make(chan struct{})
		go func() { // it may take minutes, and cannot be stopped: autocert gives no context to what it asks the authority
			defer close(looked)
			for _, host := range c.hosts {
				_, _ = c.certificate(&tls.ClientHelloInfo{ // which reports errors
					ServerName: host, SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256}, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
				})
			}
		}()
		select {
		case <-looked:
		case <-ctx.Done():
			return nil
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// secure gives the settings of the listener for clients, nil if they come without TLS.
func (n *Node) secure(s *stages) (*tls.Config, error) {
	a := n.cfg.Client.TLS.ACME
	if a == nil {
		return n.cfg.Client.TLS.server(n.log)
	}
	cfg := *a
	if cfg.Cache == "" {
		cfg.Cache = filepath.Join(n.cfg.Data, "acme")
	}
	c, err := newCertificates(cfg, n.cfg.Client.hosts(), n.log)
	if err != nil {
		return nil, err
	}
	if cfg.Listen != "" {
		l, err := Listen("client.tls.acme.listen", cfg.Listen)
		if err != nil {
			return nil, err
		}
		srv := &http.Server{Handler: c.manager.HTTPHandler(nil), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(n.log.Handler(), slog.LevelDebug)}
		s.start("http for certificates", stopInner, func(ctx context.Context) error { return serveHTTP(ctx, l, srv, adminDrain) })
	}
	s.start("certificates", stopInner, c.run)
	return c.server(), nil
}
