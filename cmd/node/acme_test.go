package node

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/eventually"
)

// silent is a logger of the old kind that says nothing.
var silent = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)

// authority is Pebble, a small ACME server, with a DNS that finds every host at this machine.
type authority struct {
	directory, trust string         // URL and file
	roots            *x509.CertPool // of the certificates that it makes
}

// newAuthority starts an authority that connects to hosts at the given ports, and makes certificates for some seconds.
func newAuthority(t *testing.T, httpPort, tlsPort, seconds int, where map[string]string) *authority {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	t.Setenv("PEBBLE_WFE_NONCEREJECT", "0")
	store := db.NewMemoryStore()
	maker := ca.New(silent, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {ValidityPeriod: uint64(seconds)}})
	front := wfe.New(silent, store, va.New(silent, httpPort, tlsPort, false, resolver(t, where), store), maker, []string{"ca.test"}, false, false, 1, 1)
	srv := httptest.NewTLSServer(front.Handler())
	t.Cleanup(srv.Close)
	a := &authority{directory: srv.URL + wfe.DirectoryPath, trust: filepath.Join(t.TempDir(), "directory.pem"), roots: x509.NewCertPool()}
	if err := os.WriteFile(a.trust, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	a.roots.AppendCertsFromPEM(maker.GetRootCert(0).PEM())
	return a
}

// resolver starts a DNS server and gives its address.
func resolver(t *testing.T, where map[string]string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &dns.Server{Listener: l, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		answer := new(dns.Msg).SetReply(q)
		if ip := where[strings.TrimSuffix(q.Question[0].Name, ".")]; q.Question[0].Qtype == dns.TypeA && ip != "" {
			answer.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}, A: net.ParseIP(ip)}}
		}
		_ = w.WriteMsg(answer)
	})}
	go func() { _ = srv.ActivateAndServe() }()
	t.Cleanup(func() { _ = srv.Shutdown() })
	return l.Addr().String()
}

func listenAt(t *testing.T, addr string) (net.Listener, int) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l, l.Addr().(*net.TCPAddr).Port
}

// serveCertificates serves by TLS at l with certificates of an authority.
func serveCertificates(t *testing.T, l net.Listener, a *authority, cache string, host string) *certificates {
	t.Helper()
	c, err := newCertificates(ACME{Directory: a.directory, CA: a.trust, Cache: cache, Email: "ops@example.com"}, []string{host}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{ReadHeaderTimeout: time.Minute, ErrorLog: silent, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, r.Proto)
	})}
	go func() { _ = srv.Serve(tls.NewListener(l, c.server())) }()
	t.Cleanup(func() { _ = srv.Close() })
	return c
}

// shown gives the certificate that a client accepts from a host.
func (a *authority) shown(addr, host string) (*x509.Certificate, error) {
	conn, err := tls.Dial("tcp", addr, &tls.Config{ServerName: host, RootCAs: a.roots, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if got := conn.ConnectionState().NegotiatedProtocol; got != "http/1.1" {
		return nil, fmt.Errorf("it speaks %q", got)
	}
	return conn.ConnectionState().PeerCertificates[0], nil
}

// Each of two edges gets a certificate for its own host before a client asks, over the port that serves clients. It
// serves no other name, keeps its keys to itself, and uses them after a restart.
func TestACME_EachEdgeItsOwnHost(t *testing.T) {
	one, port := listenAt(t, "127.0.0.1:0")
	two, _ := listenAt(t, fmt.Sprint("127.0.0.2:", port))
	a := newAuthority(t, 1, port, 3600, map[string]string{"one.chat.test": "127.0.0.1", "two.chat.test": "127.0.0.2"})
	dir := filepath.Join(t.TempDir(), "acme")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	c := serveCertificates(t, one, a, dir, "one.chat.test")
	go func() { ended <- c.run(ctx) }()
	eventually.Nil(t, func() error { _, err := os.Stat(filepath.Join(dir, "one.chat.test")); return err })
	cert, err := a.shown(one.Addr().String(), "one.chat.test")
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the cache: %v, %v", info.Mode(), err)
	}
	serveCertificates(t, two, a, filepath.Join(t.TempDir(), "acme"), "two.chat.test")
	if _, err := a.shown(two.Addr().String(), "two.chat.test"); err != nil {
		t.Error(err)
	}
	if _, err := a.shown(one.Addr().String(), "two.chat.test"); err == nil {
		t.Error("an edge has a certificate for the other's host")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	again, _ := listenAt(t, "127.0.0.1:0")
	serveCertificates(t, again, a, dir, "one.chat.test")
	if now, err := a.shown(again.Addr().String(), "one.chat.test"); err != nil || now.SerialNumber.Cmp(cert.SerialNumber) != 0 {
		t.Errorf("after a restart: %v", err)
	}
}

// A certificate is renewed while it is served.
func TestACME_Renewed(t *testing.T) {
	l, port := listenAt(t, "127.0.0.1:0")
	a := newAuthority(t, 1, port, 4, map[string]string{"chat.test.example": "127.0.0.1"})
	serveCertificates(t, l, a, t.TempDir(), "chat.test.example")
	first, err := a.shown(l.Addr().String(), "chat.test.example")
	if err != nil {
		t.Fatal(err)
	}
	eventually.Nil(t, func() error {
		now, err := a.shown(l.Addr().String(), "chat.test.example")
		if err == nil && now.SerialNumber.Cmp(first.SerialNumber) == 0 {
			err = errors.New("it is still the first certificate")
		}
		return err
	})
}

// Where the authority does not reach the port for clients, it reaches the one for it, which sends everybody else to
// https. After a failure the authority is left alone for a while.
func TestACME_OverHTTP(t *testing.T) {
	front, port := listenAt(t, "127.0.0.1:0")
	l, _ := listenAt(t, "127.0.0.1:0")
	a := newAuthority(t, port, 1, 3600, map[string]string{"chat.test.example": "127.0.0.1"})
	c := serveCertificates(t, l, a, t.TempDir(), "chat.test.example")
	var said bytes.Buffer
	c.log = slog.New(slog.NewTextHandler(&said, nil))
	for range 3 {
		if _, err := a.shown(l.Addr().String(), "chat.test.example"); err == nil {
			t.Fatal("a certificate without a check")
		}
	}
	if n := strings.Count(said.String(), "no certificate"); n != 1 {
		t.Errorf("asked %d times: %s", n, said.String())
	}
	c = serveCertificates(t, l, a, t.TempDir(), "chat.test.example")
	srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: c.manager.HTTPHandler(nil)}
	go func() { _ = srv.Serve(front) }()
	t.Cleanup(func() { _ = srv.Close() })
	hello := &tls.ClientHelloInfo{ServerName: "chat.test.example", CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}}
	if _, err := c.certificate(hello); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+front.Addr().String()+"/login", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "chat.test.example"
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if to := resp.Header.Get("Location"); resp.StatusCode != http.StatusFound || to != "https://chat.test.example/login" {
		t.Errorf("%d to %q", resp.StatusCode, to)
	}
}

// An edge orders certificates for its own names only, and what cannot work is refused before it starts.
func TestACME_Hosts(t *testing.T) {
	for _, c := range []struct {
		client Client
		want   string // the names, or part of the error
	}{
		{Client{URL: URLs{"https://frankfurt.example.com:8443", "https://singapore.example.com"}, TLS: TLS{ACME: &ACME{}}}, "[frankfurt.example.com]"},
		{Client{URL: URLs{"https://chat.example.com"}, TLS: TLS{ACME: &ACME{Hosts: []string{"a.example.com", "b.example.com"}}}}, "[a.example.com b.example.com]"},
		{Client{TLS: TLS{ACME: &ACME{}}}, "hosts: missing"},
		{Client{URL: URLs{"http://chat.example.com"}, TLS: TLS{ACME: &ACME{}}}, "hosts: missing"},
		{Client{URL: URLs{"https://localhost"}, TLS: TLS{ACME: &ACME{}}}, "no name"},
		{Client{URL: URLs{"https://192.0.2.1"}, TLS: TLS{ACME: &ACME{}}}, "no name"},
		{Client{URL: URLs{"https://chat.example.com"}, TLS: TLS{Cert: "c", Key: "k", ACME: &ACME{}}}, "use one of the two"},
		{Client{URL: URLs{"https://chat.example.com"}, TLS: TLS{ACME: &ACME{Directory: "http://ca.example"}}}, "directory"},
		{Client{URL: URLs{"https://chat.example.com"}, TLS: TLS{ACME: &ACME{Listen: "80"}}}, "listen"},
	} {
		got := fmt.Sprint(c.client.hosts())
		if err := c.client.checkACME(); err != nil {
			got = core.AsError(err).Message
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%+v: %s, not %s", c.client, got, c.want)
		}
	}
	if _, err := newCertificates(ACME{CA: "nowhere", Cache: t.TempDir()}, []string{"a.example.com"}, nil); core.KindOf(err) != core.KindInvalid {
		t.Errorf("without the file of the authority: %v", err)
	}
}
