package blob_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/eventually"
	"github.com/nearside/nearside/replication/blob"
	"github.com/nearside/nearside/replication/link"
	"github.com/nearside/nearside/replication/simtest"
)

// memory is a store in memory; its hooks make it slow, faulty or watched.
type memory struct {
	mu    sync.Mutex
	blobs map[[32]byte][]byte // guarded by mu

	get  getHook // guarded by mu: applied to the body of a Get
	put  putHook // guarded by mu: called before the bytes are read
	grow int64   // guarded by mu: added to reported sizes, a false size

	opened, closed atomic.Int64
}

type (
	getHook func(ctx context.Context, r io.Reader) (io.Reader, error)
	putHook func(ctx context.Context) error
)

// hook replaces the hooks.
func (m *memory) hook(get getHook, put putHook) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.get, m.put = get, put
}

func (m *memory) hooks() (getHook, putHook, int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.get, m.put, m.grow
}

func (m *memory) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.blobs)
}

func newMemory() *memory { return &memory{blobs: map[[32]byte][]byte{}} }

func (m *memory) add(b []byte) [32]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	name := sha256.Sum256(b)
	m.blobs[name] = b
	return name
}

func (m *memory) find(name [32]byte) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.blobs[name]
	if !ok {
		return nil, core.Refusal{Kind: core.KindNotFound, ID: "blob.missing"}
	}
	return b, nil
}

type tracked struct {
	io.Reader
	m *memory
}

func (t tracked) Close() error { t.m.closed.Add(1); return nil }

func (m *memory) Get(ctx context.Context, name [32]byte, offset, length int64) (io.ReadCloser, int64, error) {
	b, err := m.find(name)
	if err != nil {
		return nil, 0, err
	}
	size := int64(len(b))
	if offset < 0 || offset > size || length > size-offset {
		return nil, 0, core.E(core.KindInvalid, "no such part")
	}
	if length < 0 {
		length = size - offset
	}
	var r io.Reader = bytes.NewReader(b[offset : offset+length])
	get, _, grow := m.hooks()
	if get != nil {
		if r, err = get(ctx, r); err != nil {
			return nil, 0, err
		}
	}
	m.opened.Add(1)
	return tracked{r, m}, size + grow, nil
}

func (m *memory) Put(ctx context.Context, name [32]byte, size int64, r io.Reader) error {
	m.opened.Add(1)
	defer m.closed.Add(1)
	if _, put, _ := m.hooks(); put != nil {
		if err := put(ctx); err != nil {
			return err
		}
	}
	var buf bytes.Buffer
	n, err := io.Copy(&buf, r)
	if err != nil {
		return err
	}
	if n != size || sha256.Sum256(buf.Bytes()) != name {
		return core.E(core.KindInvalid, "other bytes than the name says")
	}
	m.add(buf.Bytes())
	return nil
}

func (m *memory) Stat(_ context.Context, name [32]byte) (int64, error) {
	b, err := m.find(name)
	return int64(len(b)), err
}

// world is a deployment: home nodes with stores and edges, over real sockets on loopback.
type world struct {
	t   testing.TB
	ca  *link.CA
	net *simtest.Net // nil: real sockets

	conns sync.Map // that home nodes serve
}

func newWorld(t testing.TB) *world {
	ca, err := link.NewCA("dep", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return &world{t: t, ca: ca}
}

type node struct {
	*link.Endpoint
	distance *link.Distance
	stop     func()
}

// node starts an endpoint that runs until its stop or the end of the test.
func (w *world) node(name string, pc net.PacketConn, handler link.Handler, roles ...link.Role) *node {
	w.t.Helper()
	creds, err := w.ca.Issue(link.Identity{Region: "here", Node: name, Roles: roles}, time.Now(), time.Hour)
	if err != nil {
		w.t.Fatal(err)
	}
	switch {
	case pc != nil:
	case w.net != nil:
		pc = w.net.Listen()
	default:
		if pc, err = link.Bind("127.0.0.1:0"); err != nil {
			w.t.Fatal(err)
		}
	}
	n := &node{distance: link.NewDistance(1)}
	cfg := link.Config{Conn: pc, Credentials: creds, Distance: n.distance, Handlers: map[link.Class]link.Handler{}}
	if handler != nil {
		cfg.Handlers[link.ClassBlob] = handler
		cfg.Handlers[link.ClassLog] = echo
	}
	if n.Endpoint, err = link.New(cfg); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	n.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	})
	w.t.Cleanup(n.stop)
	return n
}

// echo answers each stream with its own bytes.
func echo(ctx context.Context, conn *link.Conn) {
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

// home starts a home node that serves a store.
func (w *world) home(name string, cfg blob.ServerConfig) *node {
	w.t.Helper()
	cfg.Logger = logger(w.t)
	s, err := blob.NewServer(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.node(name, nil, func(ctx context.Context, c *link.Conn) {
		w.conns.Store(c, nil)
		defer w.conns.Delete(c)
		s.Serve(ctx, c)
	}, link.RoleHome)
}

// client makes a client at a node for some home nodes.
func (w *world) client(n *node, cfg blob.Config, homes ...*node) *blob.Client {
	w.t.Helper()
	cfg.Endpoint, cfg.Logger = n.Endpoint, logger(w.t)
	if cfg.Candidates == nil {
		cfg.Candidates = func() (addrs []string) {
			for _, h := range homes {
				addrs = append(addrs, h.Addr())
			}
			return addrs
		}
	}
	c, err := blob.New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

// pair is an edge with a client of one home node.
func (w *world) pair(m *memory) (*blob.Client, *node, *node) {
	h := w.home("h", blob.ServerConfig{Whole: m})
	e := w.node("e", nil, nil, link.RoleEdge)
	return w.client(e, blob.Config{}, h), e, h
}

func path(a, b *node, p link.Path) {
	a.distance.Set(netip.MustParseAddrPort(b.Addr()), p)
	b.distance.Set(netip.MustParseAddrPort(a.Addr()), p)
}

func logger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// quiet checks at the end of a test that no goroutine of ours is left.
func quiet(t testing.TB) {
	t.Helper()
	t.Cleanup(func() {
		eventually.Nil(t, func() error {
			buf := make([]byte, 1<<20)
			stacks := string(buf[:runtime.Stack(buf, true)])
			if strings.Contains(stacks, "replication/blob.(") || strings.Contains(stacks, "replication/blob.New") {
				return errors.New("goroutines are left:\n" + stacks)
			}
			return nil
		})
	})
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)}).Read(b)
	return b
}

func read(ctx context.Context, s blob.Store, name [32]byte, offset, length int64) ([]byte, int64, error) {
	r, size, err := s.Get(ctx, name, offset, length)
	if err != nil {
		return nil, 0, err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	return b, size, err
}

func wantKind(t testing.TB, what string, err error, k core.Kind) {
	t.Helper()
	if err == nil || core.KindOf(err) != k {
		t.Errorf("%s: %v, want kind %s", what, err, k)
	}
}

func wantBytes(t testing.TB, what string, got, want []byte, err error) {
	t.Helper()
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: %d bytes, want %d, %v", what, len(got), len(want), err)
	}
}
