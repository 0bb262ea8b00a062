package node

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nearside/nearside/core"
)

// certify writes a certificate of its own and its key, and gives their files.
func certify(t *testing.T, dir string, serial int64) TLS {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	c := &x509.Certificate{SerialNumber: big.NewInt(serial), DNSNames: []string{"chat.example"}, NotBefore: now, NotAfter: now.Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	files := TLS{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	for path, b := range map[string]*pem.Block{files.Cert: {Type: "CERTIFICATE", Bytes: cert}, files.Key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
		at := now.Add(time.Duration(serial) * time.Second) // files may be written within one tick of the clock
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// Clients see the certificate in the files, a new one once it is there, and the old one while the files do not
// fit together.
func TestTLS_NewFiles_AreUsed(t *testing.T) {
	dir := t.TempDir()
	files := certify(t, dir, 1)
	var said bytes.Buffer
	k := &keeper{files: files, log: slog.New(slog.NewTextHandler(&said, nil))}
	serial := func() int64 {
		t.Helper()
		k.looked = time.Time{} // the second is over
		cert, err := k.certificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return cert.Leaf.SerialNumber.Int64()
	}
	if got := serial(); got != 1 {
		t.Errorf("certificate %d", got)
	}
	old, err := os.ReadFile(files.Key)
	if err != nil {
		t.Fatal(err)
	}
	certify(t, dir, 2)
	whole, err := os.ReadFile(files.Key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(files.Key, append(old, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := serial(); got != 1 || serial() != 1 || strings.Count(said.String(), "cannot be used") != 1 {
		t.Errorf("with half of the files, certificate %d; it said %s", got, said.String())
	}
	if err := os.WriteFile(files.Key, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := serial(); got != 2 {
		t.Errorf("with new files, certificate %d", got)
	}
	if err := os.Remove(files.Cert); err != nil {
		t.Fatal(err)
	}
	if got := serial(); got != 2 {
		t.Errorf("without files, certificate %d", got)
	}
}

// A listener with a certificate speaks TLS of 1.2 or later and HTTP/1.1.
func TestTLS_Listener(t *testing.T) {
	files := certify(t, t.TempDir(), 1)
	cfg, err := files.server(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(r.Proto))
	})}
	go func() { _ = srv.Serve(tls.NewListener(l, cfg)) }()
	defer srv.Close()
	for version, want := range map[uint16]bool{tls.VersionTLS13: true, tls.VersionTLS12: true, tls.VersionTLS11: false} {
		c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: version, NextProtos: []string{"h2", "http/1.1"}})
		if (err == nil) != want {
			t.Errorf("TLS %x: %v", version, err)
		}
		if err != nil {
			continue
		}
		if got := c.ConnectionState().NegotiatedProtocol; got != "http/1.1" {
			t.Errorf("it speaks %q", got)
		}
		c.Close()
	}
	for _, wrong := range []TLS{{Cert: files.Key, Key: files.Cert}, {Cert: files.Cert + "x", Key: files.Key}} {
		if _, err := wrong.server(nil); core.KindOf(err) != core.KindInvalid {
			t.Errorf("%+v: %v", wrong, err)
		}
	}
	if none, err := (TLS{}).server(nil); none != nil || err != nil {
		t.Errorf("without a certificate: %v, %v", none, err)
	}
}
