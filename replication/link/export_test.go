package link

import (
	"context"
	"crypto/tls"
	"net"

	"github.com/quic-go/quic-go"
)

// DialBlindly connects like an intruder: it trusts any server and presents the given credentials.
func DialBlindly(ctx context.Context, creds *Credentials, addr string, class Class) (*Conn, error) {
	pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	to, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, err
	}
	conf := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{class.String()}, MinVersion: tls.VersionTLS13}
	if creds != nil {
		conf.Certificates = []tls.Certificate{creds.cert}
	}
	q, err := quic.Dial(ctx, pc, to, conf, quicConfig(idleTimeout))
	if err != nil {
		return nil, err
	}
	context.AfterFunc(q.Context(), func() { _ = pc.Close() })
	return &Conn{q: q, class: class}, nil
}
