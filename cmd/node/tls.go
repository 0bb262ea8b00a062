package node

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/nearside/nearside/core"
)

// TLS is the certificate that an edge shows to clients. A new one is used as soon as both files have changed.
type TLS struct {
	Cert string `yaml:"cert,omitempty"` // file in PEM: the certificate, and those between it and its authority
	Key  string `yaml:"key,omitempty"`  // file in PEM
	ACME *ACME  `yaml:"acme,omitempty"` // or from an authority
}

func (c Client) scheme() string {
	if c.TLS.Cert != "" || c.TLS.ACME != nil {
		return "https://"
	}
	return "http://"
}

// server gives the settings of a listener, nil without a certificate. Clients get HTTP/1.1: the limits of slow
// bodies and answers belong to connections, and WebSockets need one each.
func (t TLS) server(log *slog.Logger) (*tls.Config, error) {
	if t.Cert == "" {
		return nil, nil
	}
	k := &keeper{files: t, log: log}
	if err := k.load(); err != nil {
		return nil, core.E(core.KindInvalid, "client.tls: %v", err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, GetCertificate: k.certificate}, nil
}

// lookEvery is how often the files of a certificate are looked at, at most.
const lookEvery = time.Second

// keeper reads a certificate again when its files change.
type keeper struct {
	files TLS
	log   *slog.Logger

	mu     sync.Mutex // guards everything below
	looked time.Time
	seen   [2]stamp // of the files as they were last read
	cert   *tls.Certificate
}

// stamp tells versions of a file apart.
type stamp struct {
	at   time.Time
	size int64
}

// certificate is called at every handshake.
func (k *keeper) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now := time.Now(); now.Sub(k.looked) >= lookEvery {
		k.looked = now
		if err := k.load(); err != nil { // the old one is better than none: perhaps only one file is in place yet
			k.log.Error("client.tls: the new certificate cannot be used", "error", err)
		}
	}
	return k.cert, nil
}

// load reads the files if they have changed.
func (k *keeper) load() error {
	var now [2]stamp
	for i, path := range []string{k.files.Cert, k.files.Key} {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		now[i] = stamp{info.ModTime(), info.Size()}
	}
	if now == k.seen {
		return nil
	}
	k.seen = now // also if it fails, so that a wrong file is reported once
	cert, err := k.files.Load()
	if err == nil {
		k.cert = cert
	}
	return err
}

// Load reads the certificate.
func (t TLS) Load() (*tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", t.Cert, t.Key, err)
	}
	return &cert, nil
}
