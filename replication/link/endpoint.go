package link

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/quic-go/quic-go"

	"github.com/nearside/nearside/core"
)

// Windows and times of every connection. A 300 ms path at 1 Gbit/s holds 37 MB.
const (
	initialStreamWindow = 2 << 20
	blobStreamWindow    = 8 << 20 // an eighth of the connection's window, so eight slow readers can fill that
	listenStreamWindow  = 4 << 20
	maxStreamWindow     = 32 << 20
	initialConnWindow   = 4 << 20
	listenConnWindow    = 32 << 20
	maxConnWindow       = 64 << 20
	maxStreams          = 2048
	handshakeTimeout    = 5 * time.Second
	keepAlive           = 2 * time.Second
	idleTimeout         = 6 * time.Second
	shortIdleTimeout    = 3 * time.Second // elections, proposals and reads must not wait for a dead connection
	connIDBytes         = 16              // shorter ones would make small packets too small to be answered by a reset
	maxConns            = 4096            // accepted connections; more are refused
)

// Handler serves one accepted connection, which is closed when it returns. Its ctx ends with the
// connection or the endpoint; it must return soon after that.
type Handler func(ctx context.Context, conn *Conn)

// Config configures an Endpoint.
type Config struct {
	Conn        net.PacketConn        // required: the bound UDP socket (see Bind); Run closes it
	Credentials *Credentials          // required
	Admission   Admission             // optional: without one, a certificate is enough
	Handlers    map[Class]Handler     // classes without a handler (and without Streams) are refused
	Distance    *Distance             // optional: imitates far peers
	Metrics     prometheus.Registerer // default: nothing is registered
	Logger      *slog.Logger          // default: discard
}

// Endpoint is a node's end of all its links.
type Endpoint struct {
	// Immutable after New.
	id       Identity
	admitted Admission
	process  string // names this process among those with the same name
	log      *slog.Logger
	metrics  *metrics
	udp      net.PacketConn
	distance *Distance
	tr       *quic.Transport
	ready    chan struct{} // closed by Run when it listens
	stopped  chan struct{} // closed by Run when it has ended

	self atomic.Pointer[Credentials] // replaced when the certificate is renewed

	mu       sync.Mutex
	handlers map[Class]Handler  // guarded by mu; fixed once Run listens
	streams  map[Class]*Streams // guarded by mu
	conns    map[*Conn]struct{} // guarded by mu: open connections; nil when Run stops
	said     string             // guarded by mu: why a peer has refused this node last; empty: none has
	refusal  string             // guarded by mu: why a home node has refused it last
	refused  time.Time          // guarded by mu: when
}

// Bind opens the UDP socket for an Endpoint.
func Bind(addr string) (net.PacketConn, error) {
	ua, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, fmt.Errorf("resolving link address: %w", err)
	}
	pc, err := net.ListenUDP("udp", ua)
	if err != nil {
		return nil, fmt.Errorf("binding link socket: %w", err)
	}
	return pc, nil
}

// New validates the configuration; it starts nothing.
func New(cfg Config) (*Endpoint, error) {
	if cfg.Conn == nil || cfg.Credentials == nil {
		return nil, core.E(core.KindInvalid, "a link endpoint needs a socket and credentials")
	}
	e := &Endpoint{
		id: cfg.Credentials.Identity, admitted: cfg.Admission, log: cfg.Logger, metrics: newMetrics(cfg.Metrics), udp: cfg.Conn, distance: cfg.Distance,
		ready: make(chan struct{}), stopped: make(chan struct{}),
		handlers: map[Class]Handler{}, streams: map[Class]*Streams{}, conns: map[*Conn]struct{}{},
	}
	e.self.Store(cfg.Credentials)
	e.process = processProto + rand.Text()
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	for c, h := range cfg.Handlers {
		e.handlers[c] = h
	}
	pc := cfg.Conn
	if cfg.Distance != nil {
		pc = cfg.Distance.wrap(pc)
	}
	reset := quic.StatelessResetKey(cfg.Credentials.resetKey())
	e.tr = &quic.Transport{Conn: pc, StatelessResetKey: &reset, ConnectionIDLength: connIDBytes, ConnContext: withSaid}
	return e, nil
}

// Handle sets a class's handler; call it before Run.
func (e *Endpoint) Handle(c Class, h Handler) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.handlers[c] = h
}

// Addr is the socket's address.
func (e *Endpoint) Addr() string { return e.udp.LocalAddr().String() }

// Self is the node's own identity.
func (e *Endpoint) Self() Identity { return e.id }

// Run listens and serves until ctx ends, then closes every connection. It returns the
// listener's error if that fails first.
func (e *Endpoint) Run(ctx context.Context) error {
	defer close(e.stopped)
	defer e.udp.Close()
	if e.distance != nil {
		stop := e.distance.start(context.WithoutCancel(ctx))
		defer stop() // after closeAll: it sends the connections' last packets
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer e.tr.Close()
	defer e.closeAll() // before wg.Wait: handlers wait on their connections
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ln, err := e.tr.Listen(e.serverTLS(), listenConfig())
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	defer ln.Close()
	close(e.ready)
	slots := make(chan struct{}, maxConns)
	for {
		q, err := ln.Accept(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("accepting links: %w", err)
		}
		select {
		case slots <- struct{}{}:
			wg.Go(func() { e.serve(ctx, q); <-slots })
		default:
			_ = q.CloseWithError(CodeBusy, "too many connections")
		}
	}
}

func (e *Endpoint) serve(ctx context.Context, q *quic.Conn) {
	conn, err := e.wrap(q, false)
	if err != nil {
		e.log.Warn("peer refused", "addr", q.RemoteAddr(), "err", err)
		_ = q.CloseWithError(CodeRefused, err.Error())
		return
	}
	e.mu.Lock()
	h := e.handlers[conn.class]
	e.mu.Unlock()
	e.metrics.taken.WithLabelValues(classLabel(conn.class)).Inc()
	e.log.Debug("link accepted", "class", conn.class, "peer", conn.peer, "addr", conn.RemoteAddr())
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(q.Context(), cancel)()
	h(ctx, conn)
	conn.Close(CodeDone, "served")
}

// Dial connects to a node for one class. The caller closes the Conn.
func (e *Endpoint) Dial(ctx context.Context, addr string, class Class) (*Conn, error) {
	select {
	case <-e.ready:
	case <-e.stopped:
		return nil, core.E(core.KindUnavailable, "the link endpoint is closed")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	ua, err := resolve(ctx, addr)
	if err != nil {
		return nil, core.E(core.KindUnavailable, "cannot resolve %s", addr).WithCause(err)
	}
	q, err := e.tr.Dial(ctx, ua, e.clientTLS(class), dialConfig(class))
	e.metrics.dialed(class, err)
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, core.E(core.KindUnavailable, "cannot reach %s", addr).WithCause(err)
	}
	conn, err := e.wrap(q, true)
	if err != nil {
		_ = q.CloseWithError(CodeRefused, err.Error())
		return nil, err
	}
	return conn, nil
}

// wrap makes a Conn of a connection whose certificate is good, if the peer is admitted. A peer that is not learns why:
// so this is not part of the handshake.
func (e *Endpoint) wrap(q *quic.Conn, dialed bool) (*Conn, error) {
	state := q.ConnectionState().TLS
	class, ok := classOf(state.NegotiatedProtocol)
	if !ok || len(state.PeerCertificates) == 0 {
		return nil, core.E(core.KindMisdirected, "no class agreed")
	}
	peer, err := peerOf(state.PeerCertificates[0])
	if err != nil {
		return nil, err
	}
	peer.Dialed = dialed
	conn := &Conn{q: q, class: class, peer: peer, process: processOf(q), opened: time.Now()}
	if !e.track(conn) {
		return nil, core.E(core.KindUnavailable, "the link endpoint is closed")
	}
	if err := e.admit(conn); err != nil { // after track, or Recheck could miss it
		return nil, err
	}
	if !dialed {
		err = e.onlyOne(conn)
	}
	return conn, err
}

// admit asks whether the peer of a connection may take part in the deployment.
func (e *Endpoint) admit(conn *Conn) error {
	if e.admitted == nil {
		return nil
	}
	return e.admitted.Check(conn.peer)
}

// track remembers a connection so that Run can close it with a code: if only QUIC's socket is
// closed, the peers notice it by time-out.
func (e *Endpoint) track(conn *Conn) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.conns == nil {
		return false
	}
	e.conns[conn] = struct{}{}
	e.metrics.open.Inc()
	context.AfterFunc(conn.Context(), func() {
		e.metrics.open.Dec()
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.conns, conn)
		e.noteRefusal(conn)
	})
	return true
}

// noteRefusal remembers why a peer has refused this node, and logs each reason once.
func (e *Endpoint) noteRefusal(conn *Conn) {
	var app *quic.ApplicationError
	if !errors.As(context.Cause(conn.Context()), &app) || !app.Remote || app.ErrorCode != CodeRefused {
		return
	}
	told := app.ErrorMessage == e.said
	e.said = app.ErrorMessage
	if conn.peer.Has(RoleHome) {
		e.refusal, e.refused = app.ErrorMessage, time.Now()
	}
	if told {
		return
	}
	e.log.Warn("a peer refuses this node", "peer", conn.peer.Identity, "addr", conn.RemoteAddr(), "reason", app.ErrorMessage)
}

// How long a refusal counts: a node that is refused dials again sooner. And how long a connection has lasted that was not
// refused: the peer closes it as soon as it has looked at the list.
const (
	refusalCounts = 30 * time.Second
	notRefused    = 2 * time.Second
)

// Refusal says why the home nodes refuse this node; empty if one of them does not, or if they have not refused it of late.
func (e *Endpoint) Refusal() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	if now.Sub(e.refused) > refusalCounts {
		return ""
	}
	for conn := range e.conns {
		if conn.peer.Has(RoleHome) && now.Sub(conn.opened) > notRefused {
			return ""
		}
	}
	return e.refusal
}

// Recheck closes the connections whose peers may no longer take part.
func (e *Endpoint) Recheck() {
	for _, conn := range e.open() {
		if err := e.admit(conn); err != nil {
			e.log.Warn("peer cut off", "peer", conn.peer.Identity, "class", conn.class, "addr", conn.RemoteAddr(), "err", err)
			conn.Close(CodeRefused, err.Error())
		}
	}
}

// Renew replaces this node's credentials. Connections that are open go on; new ones have the new certificate.
func (e *Endpoint) Renew(c *Credentials) error {
	if c.Identity.URI().String() != e.id.URI().String() {
		return core.E(core.KindInvalid, "the certificate is of %s, not of %s", c.Identity, e.id)
	}
	e.self.Store(c)
	return nil
}

// Own gives what this node's certificate says.
func (e *Endpoint) Own() Peer { return e.self.Load().Peer() }

// Peers gives what the certificates of the present connections say.
func (e *Endpoint) Peers() []Peer {
	conns := e.open()
	peers := make([]Peer, len(conns))
	for i, conn := range conns {
		peers[i] = conn.peer
	}
	return peers
}

func (e *Endpoint) open() []*Conn {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Collect(maps.Keys(e.conns))
}

func (e *Endpoint) closeAll() {
	e.mu.Lock()
	conns := e.conns
	e.conns = nil
	e.mu.Unlock()
	for conn := range conns {
		conn.Close(CodeDone, "node is stopping")
	}
}

// serverTLS requests the certificate and checks it itself instead of by ClientAuth, so that every
// refusal is one log line with the peer and the reason.
func (e *Endpoint) serverTLS() *tls.Config {
	e.mu.Lock()
	defer e.mu.Unlock()
	var protos []string
	for c := range e.handlers {
		protos = append(protos, c.String())
	}
	base := &tls.Config{
		MinVersion:             tls.VersionTLS13,
		GetCertificate:         func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &e.self.Load().cert, nil },
		NextProtos:             protos,
		ClientAuth:             tls.RequestClientCert,
		SessionTicketsDisabled: true,
	}
	base.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		hear(hello)
		c := base.Clone()
		c.VerifyConnection = func(s tls.ConnectionState) error {
			err := e.verifyClient(s)
			if err != nil {
				e.log.Warn("peer refused", "addr", hello.Conn.RemoteAddr(), "class", s.NegotiatedProtocol, "err", err)
			}
			return err
		}
		return c, nil
	}
	return base
}

func (e *Endpoint) verifyClient(s tls.ConnectionState) error {
	class, ok := classOf(s.NegotiatedProtocol)
	if !ok {
		return core.E(core.KindMisdirected, "no class agreed")
	}
	return verify(s.PeerCertificates, e.self.Load(), rules[class].use, x509.ExtKeyUsageClientAuth)
}

func (e *Endpoint) clientTLS(class Class) *tls.Config {
	self := e.self.Load()
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{self.cert},
		NextProtos:   []string{class.String(), e.process},
		RootCAs:      self.roots,
		ServerName:   serverName,
		VerifyConnection: func(s tls.ConnectionState) error {
			return verify(s.PeerCertificates, self, rules[class].serve, x509.ExtKeyUsageServerAuth)
		},
	}
}

// dialConfig returns the configuration for a class. Readers of blobs begin with wide windows:
// under a fast stream, acknowledgements use everything that QUIC's pacing allows the receiver to
// send, so the frames that would widen the windows wait until the stream stops.
func dialConfig(class Class) *quic.Config {
	switch class {
	case ClassRaft, ClassForward:
		return quicConfig(shortIdleTimeout)
	case ClassBlob:
		c := quicConfig(shortIdleTimeout) // a running read must not wait for a dead connection
		c.InitialStreamReceiveWindow, c.InitialConnectionReceiveWindow = blobStreamWindow, maxConnWindow
		return c
	default:
		return quicConfig(idleTimeout)
	}
}

// listenConfig is for all classes, since the class is known too late; its windows suit incoming
// blobs.
func listenConfig() *quic.Config {
	c := quicConfig(idleTimeout)
	c.InitialStreamReceiveWindow, c.InitialConnectionReceiveWindow = listenStreamWindow, listenConnWindow
	return c
}

func quicConfig(idle time.Duration) *quic.Config {
	return &quic.Config{
		HandshakeIdleTimeout:           handshakeTimeout,
		MaxIdleTimeout:                 idle,
		KeepAlivePeriod:                min(keepAlive, idle/3),
		InitialStreamReceiveWindow:     initialStreamWindow,
		MaxStreamReceiveWindow:         maxStreamWindow,
		InitialConnectionReceiveWindow: initialConnWindow,
		MaxConnectionReceiveWindow:     maxConnWindow,
		MaxIncomingStreams:             maxStreams,
		MaxIncomingUniStreams:          -1,
		EnableDatagrams:                true,
	}
}

func resolve(ctx context.Context, addr string) (*net.UDPAddr, error) {
	if ap, err := netip.ParseAddrPort(addr); err == nil {
		return net.UDPAddrFromAddrPort(ap), nil
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	n, err := net.DefaultResolver.LookupPort(ctx, "udp", port)
	if err != nil {
		return nil, err
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	if len(ips) == 0 {
		return nil, errors.New("no address")
	}
	return net.UDPAddrFromAddrPort(netip.AddrPortFrom(ips[0].Unmap(), uint16(n))), nil
}
