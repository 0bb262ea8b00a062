package link_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/eventually"
	"github.com/nearside/nearside/replication/link"
)

func newCA(t *testing.T, deployment string) *link.CA {
	t.Helper()
	ca, err := link.NewCA(deployment, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func issue(t *testing.T, ca *link.CA, node string, roles ...link.Role) *link.Credentials {
	t.Helper()
	c, err := ca.Issue(link.Identity{Region: "here", Node: node, Roles: roles}, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func bind(t *testing.T, addr string) net.PacketConn {
	t.Helper()
	pc, err := link.Bind(addr)
	if err != nil {
		t.Fatal(err)
	}
	return pc
}

// start runs an endpoint until the returned stop is called or the test ends.
func start(t *testing.T, cfg link.Config, prepare ...func(*link.Endpoint)) (*link.Endpoint, func()) {
	t.Helper()
	if cfg.Conn == nil {
		cfg.Conn = bind(t, "127.0.0.1:0")
	}
	e, err := link.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range prepare {
		p(e)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return e, stop
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// echo sends back the bytes of each stream, and each datagram.
func echo(ctx context.Context, conn *link.Conn) {
	go func() {
		for {
			b, err := conn.ReceiveDatagram(ctx)
			if err != nil {
				return
			}
			_ = conn.SendDatagram(b)
		}
	}()
	for {
		st, err := conn.AcceptStream(ctx)
		if err != nil {
			return
		}
		go func() {
			_, _ = io.Copy(st, st)
			_ = st.CloseWrite()
		}()
	}
}

func ask(ctx context.Context, conn *link.Conn, what string) (string, error) {
	st, err := conn.OpenStream(ctx)
	if err != nil {
		return "", err
	}
	defer context.AfterFunc(ctx, st.Abort)()
	if _, err := st.Write([]byte(what)); err != nil {
		return "", err
	}
	_ = st.CloseWrite()
	got, err := io.ReadAll(st)
	return string(got), err
}

func TestEndpoint_Echo(t *testing.T) {
	// Two nodes of a deployment reach each other in both directions, know each other's names, and
	// can use streams and datagrams.
	ca := newCA(t, "dep")
	handlers := map[link.Class]link.Handler{link.ClassForward: echo, link.ClassBlob: echo}
	h, _ := start(t, link.Config{Credentials: issue(t, ca, "h", link.RoleHome), Handlers: handlers})
	e, _ := start(t, link.Config{Credentials: issue(t, ca, "e", link.RoleEdge), Handlers: map[link.Class]link.Handler{link.ClassBlob: echo}})
	ctx := within(t, eventually.Limit)
	for _, way := range []struct {
		from, to *link.Endpoint
		class    link.Class
	}{{e, h, link.ClassForward}, {e, h, link.ClassBlob}, {h, e, link.ClassBlob}} {
		conn, err := way.from.Dial(ctx, way.to.Addr(), way.class)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(way.to.Self(), conn.Peer()); diff != "" {
			t.Fatal(diff)
		}
		if got, err := ask(ctx, conn, "hello"); got != "hello" || err != nil {
			t.Fatal(got, err)
		}
		if err := conn.SendDatagram(make([]byte, 1100)); err != nil {
			t.Fatal(err)
		}
		if b, err := conn.ReceiveDatagram(ctx); len(b) != 1100 || err != nil {
			t.Fatal(len(b), err)
		}
		conn.Close(link.CodeDone, "done")
	}
}

// lockedBuffer is a log that any goroutine may write.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func TestEndpoint_Refuses(t *testing.T) {
	// A peer of another deployment, or without the role, is refused, and the log says why.
	ca, other := newCA(t, "dep"), newCA(t, "dep") // same name, another key
	stranger := newCA(t, "elsewhere")
	expired, err := ca.Issue(link.Identity{Region: "here", Node: "old", Roles: []link.Role{link.RoleEdge}}, time.Now().Add(-2*time.Hour), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		creds *link.Credentials
		class link.Class
		says  string
	}{
		{"forged authority", issue(t, other, "x", link.RoleEdge), link.ClassForward, "not of this deployment"},
		{"other deployment", issue(t, stranger, "x", link.RoleEdge), link.ClassForward, "not of this deployment"},
		{"expired", expired, link.ClassForward, "not of this deployment"},
		{"wrong role", issue(t, ca, "x", link.RoleEdge), link.ClassRaft, "does not have the role home"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var logged lockedBuffer
			h, _ := start(t, link.Config{Credentials: issue(t, ca, "h", link.RoleHome), Logger: slog.New(slog.NewTextHandler(&logged, nil)),
				Handlers: map[link.Class]link.Handler{link.ClassForward: echo, link.ClassRaft: echo}})
			// The intruder trusts everybody, so only the server's check can refuse it.
			conn, err := link.DialBlindly(within(t, eventually.Limit), c.creds, h.Addr(), c.class)
			if err == nil {
				_, err = ask(within(t, eventually.Limit), conn, "hello")
			}
			if err == nil {
				t.Fatal("let in")
			}
			if !strings.Contains(logged.String(), "peer refused") || !strings.Contains(logged.String(), c.says) {
				t.Fatalf("log says %q", logged.String())
			}
		})
	}
}

func TestEndpoint_RefusesNoCertificate(t *testing.T) {
	// A client without any certificate is refused, and the log says so.
	var logged lockedBuffer
	h, _ := start(t, link.Config{Credentials: issue(t, newCA(t, "dep"), "h", link.RoleHome), Logger: slog.New(slog.NewTextHandler(&logged, nil)),
		Handlers: map[link.Class]link.Handler{link.ClassForward: echo}})
	conn, err := link.DialBlindly(within(t, eventually.Limit), nil, h.Addr(), link.ClassForward)
	if err == nil {
		_, err = ask(within(t, eventually.Limit), conn, "hello")
	}
	if err == nil || !strings.Contains(logged.String(), "no certificate") {
		t.Fatalf("%v, log says %q", err, logged.String())
	}
}

func TestEndpoint_DialChecksServer(t *testing.T) {
	// A node does not talk to a server of another deployment, nor to one without the class's role.
	ca := newCA(t, "dep")
	me, _ := start(t, link.Config{Credentials: issue(t, ca, "me", link.RoleEdge)})
	forged, _ := start(t, link.Config{Credentials: issue(t, newCA(t, "dep"), "h", link.RoleHome), Handlers: map[link.Class]link.Handler{link.ClassLog: echo}})
	edge, _ := start(t, link.Config{Credentials: issue(t, ca, "e", link.RoleEdge), Handlers: map[link.Class]link.Handler{link.ClassLog: echo}})
	for _, to := range []*link.Endpoint{forged, edge} {
		if _, err := me.Dial(within(t, eventually.Limit), to.Addr(), link.ClassLog); core.KindOf(err) != core.KindUnavailable {
			t.Fatal(err)
		}
	}
}

func TestEndpoint_PeerStops(t *testing.T) {
	// When a node stops, its peers know at once, not after a time-out; when it is back at its
	// address it can be dialed again.
	ca := newCA(t, "dep")
	cfg := link.Config{Credentials: issue(t, ca, "h", link.RoleHome), Handlers: map[link.Class]link.Handler{link.ClassForward: echo}}
	h, stop := start(t, cfg)
	e, _ := start(t, link.Config{Credentials: issue(t, ca, "e", link.RoleEdge)})
	ctx := within(t, eventually.Limit)
	conn, err := e.Dial(ctx, h.Addr(), link.ClassForward)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	stop()
	<-conn.Context().Done()
	eventually.InTime(t, at, time.Second)
	cfg.Conn = bind(t, h.Addr())
	start(t, cfg)
	conn, err = e.Dial(ctx, h.Addr(), link.ClassForward)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ask(ctx, conn, "again"); got != "again" || err != nil {
		t.Fatal(got, err)
	}
}

func TestEndpoint_PeerCrashes(t *testing.T) {
	// When a node crashes and is back, the first packet on an old connection ends that
	// connection.
	ca := newCA(t, "dep")
	dist := link.NewDistance(1)
	cfg := link.Config{Credentials: issue(t, ca, "h", link.RoleHome), Handlers: map[link.Class]link.Handler{link.ClassForward: echo}, Distance: dist}
	h, stop := start(t, cfg)
	e, _ := start(t, link.Config{Credentials: issue(t, ca, "e", link.RoleEdge)})
	conn, err := e.Dial(within(t, eventually.Limit), h.Addr(), link.ClassForward)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ask(within(t, eventually.Limit), conn, "there?"); err != nil { // the handshake is confirmed
		t.Fatal(err)
	}
	dist.SetDefault(link.Path{Blackout: true})
	stop()
	cfg.Conn, cfg.Distance = bind(t, h.Addr()), nil
	start(t, cfg)
	at := time.Now()
	if _, err := ask(within(t, eventually.Limit), conn, "still there?"); core.KindOf(err) != core.KindUnavailable {
		t.Fatal(err)
	}
	eventually.InTime(t, at, 2*time.Second)
}

func TestStreams(t *testing.T) {
	// A class as plain streams: many Dials share a connection, Accept returns each stream,
	// deadlines work, Close ends Accept.
	ca := newCA(t, "dep")
	var a, b *link.Streams
	start(t, link.Config{Credentials: issue(t, ca, "a", link.RoleHome)}, func(e *link.Endpoint) { a = e.Streams(link.ClassRaft) })
	start(t, link.Config{Credentials: issue(t, ca, "b", link.RoleHome)}, func(e *link.Endpoint) { b = e.Streams(link.ClassRaft) })
	var wg sync.WaitGroup
	defer wg.Wait()
	defer b.Close()
	wg.Go(func() {
		for {
			c, err := b.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			})
		}
	})
	for range 20 {
		c, err := a.Dial(within(t, eventually.Limit), b.Addr())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("ping")); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 4)
		if _, err := io.ReadFull(c, got); string(got) != "ping" || err != nil {
			t.Fatal(string(got), err)
		}
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		if _, err := c.Read(got); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_ = b.Close()
	if _, err := b.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
}

func TestEndpoint_OneProcessPerName(t *testing.T) {
	// A second process under the name of a node that is connected is refused, and told why. One at the same address, and
	// one that comes when the first has gone, take its place.
	ca := newCA(t, "dep")
	creds := issue(t, ca, "e", link.RoleEdge)
	h, _ := start(t, link.Config{Credentials: issue(t, ca, "h", link.RoleHome), Handlers: map[link.Class]link.Handler{link.ClassForward: echo, link.ClassBlob: echo}})
	reach := func(e *link.Endpoint, class link.Class) error {
		conn, err := e.Dial(within(t, eventually.Limit), h.Addr(), class)
		if err == nil {
			_, err = ask(within(t, eventually.Limit), conn, "hello")
		}
		return err
	}
	dist := link.NewDistance(1)
	first, stop := start(t, link.Config{Credentials: creds, Distance: dist})
	if err := reach(first, link.ClassForward); err != nil {
		t.Fatal(err)
	}
	second, _ := start(t, link.Config{Credentials: creds})
	for _, class := range []link.Class{link.ClassForward, link.ClassBlob} {
		if err := reach(second, class); err == nil || !strings.Contains(err.Error(), "another process runs as e at "+first.Addr()) {
			t.Errorf("a second process: %v", err)
		}
		if err := reach(first, class); err != nil {
			t.Errorf("the first process: %v", err)
		}
	}
	dist.SetDefault(link.Path{Blackout: true}) // it is killed
	stop()
	third, stop := start(t, link.Config{Credentials: creds, Conn: bind(t, first.Addr())})
	at := time.Now()
	if err := reach(third, link.ClassForward); err != nil {
		t.Error(err)
	}
	eventually.InTime(t, at, 2*time.Second)
	stop()
	if err := eventually.Poll(t.Context(), eventually.Limit, func() error { return reach(second, link.ClassForward) }); err != nil {
		t.Error(err)
	}
}
