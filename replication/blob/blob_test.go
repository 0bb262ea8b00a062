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
	"github.com/nearside/nearside/replication/blob"
	"github.com/nearside/nearside/replication/link"
	"github.com/nearside/nearside/replication/simtest"
)

// memory is a store in memory; its hooks make it slow, faulty or watched.
type memory struct {
	mu    sync.Mutex
	blobs map[[32]byte][]byte // guarded by mu

	get  getHook // guarded by mu: over the body of a Get
	put  putHook // guarded by mu: before the bytes are read
	grow int64   // guarded by mu: added to sizes, a lie

	opened, closed atomic.Int64
}

type (
	getHook func(ctx context.Context, r io.Reader) (io.Reader, error)
	putHook func(ctx context.Context) error
)

// hook sets what happens from now on.
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
		return nil, core.E(core.KindNotFound, "no such blob").WithID("blob.missing")
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

// node starts an endpoint until the test or its stop ends it.
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

// until waits for a condition and says the last reason why it is not there.
func until(t testing.TB, what func() error) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.After(20 * time.Second)
	for {
		err := what()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-end:
			t.Fatal(err)
		}
	}
}

// quiet checks at the end of a test that no goroutine of ours is left.
func quiet(t testing.TB) {
	t.Helper()
	t.Cleanup(func() {
		until(t, func() error {
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

func TestClient_RoundTrip(t *testing.T) {
	// What is put at home comes back from there, byte for byte, at every size, and Stat knows its size.
	quiet(t)
	w, m := newWorld(t), newMemory()
	c, _, _ := w.pair(m)
	ctx := within(t, 30*time.Second)
	for _, n := range []int{0, 1, 100, 64<<10 - 1, 64 << 10, 64<<10 + 1, 1<<20 - 1, 1 << 20, 1<<20 + 1, 10_000_000} {
		b := random(n)
		name := sha256.Sum256(b)
		if err := c.Put(ctx, name, int64(n), bytes.NewReader(b)); err != nil {
			t.Fatal(n, err)
		}
		got, size, err := read(ctx, c, name, 0, -1)
		wantBytes(t, "whole", got, b, err)
		if size != int64(n) {
			t.Errorf("size %d of %d", size, n)
		}
		if size, err := c.Stat(ctx, name); size != int64(n) || err != nil {
			t.Error(size, err)
		}
	}
	if err := c.Put(ctx, sha256.Sum256([]byte("pipe")), 4, io.MultiReader(strings.NewReader("pi"), strings.NewReader("pe"))); err != nil {
		t.Error("from a reader that cannot seek:", err)
	}
}

func TestClient_Ranges(t *testing.T) {
	// A part is exactly that part, also an empty one; one that is not inside is refused.
	quiet(t)
	w, m := newWorld(t), newMemory()
	c, _, _ := w.pair(m)
	b := random(300_000)
	name := m.add(b)
	ctx := within(t, 20*time.Second)
	for _, r := range [][2]int64{{0, 1}, {0, 300_000}, {299_999, 1}, {100_000, 100_001}, {0, 0}, {300_000, 0}, {7, 0}} {
		got, size, err := read(ctx, c, name, r[0], r[1])
		wantBytes(t, "part", got, b[r[0]:r[0]+r[1]], err)
		if size != 300_000 {
			t.Errorf("size %d", size)
		}
	}
	got, _, err := read(ctx, c, name, 200_000, -1)
	wantBytes(t, "to the end", got, b[200_000:], err)
	got, _, err = read(ctx, c, name, 300_000, -1)
	wantBytes(t, "nothing to the end", got, nil, err)
	const most = 1<<63 - 1
	for _, r := range [][2]int64{{0, 300_001}, {300_000, 1}, {300_001, 0}, {300_001, -1}, {-1, 5}, {1, most}, {most, most}} {
		_, _, err := read(ctx, c, name, r[0], r[1])
		wantKind(t, "part outside", err, core.KindInvalid)
	}
}

func TestClient_Errors(t *testing.T) {
	// What a store says crosses the wire with its kind and id, and is final where it would be the same anywhere.
	quiet(t)
	w, m := newWorld(t), newMemory()
	h := w.home("h", blob.ServerConfig{Whole: m, MaxBytes: 1000})
	c := w.client(w.node("e", nil, nil, link.RoleEdge), blob.Config{Patience: 100 * time.Millisecond}, h)
	ctx := within(t, 20*time.Second)
	_, _, err := read(ctx, c, [32]byte{1}, 0, -1)
	wantKind(t, "get", err, core.KindNotFound)
	if e := core.AsError(err); e.ID != "blob.missing" {
		t.Errorf("id %q", e.ID)
	}
	_, err = c.Stat(ctx, [32]byte{1})
	wantKind(t, "stat", err, core.KindNotFound)
	put := func(size int64, b string) error {
		return c.Put(ctx, sha256.Sum256([]byte(b)), size, strings.NewReader(b))
	}
	wantKind(t, "other bytes", c.Put(ctx, [32]byte{9}, 3, strings.NewReader("abc")), core.KindInvalid)
	wantKind(t, "fewer bytes", put(4, "abc"), core.KindInvalid)
	wantKind(t, "more bytes", put(2, "abc"), core.KindInvalid)
	wantKind(t, "below zero", put(-1, ""), core.KindInvalid)
	wantKind(t, "too large", put(1001, strings.Repeat("x", 1001)), core.KindTooLarge)
	fail := errors.New("the caller's own")
	if err := c.Put(ctx, [32]byte{9}, 10, io.MultiReader(strings.NewReader("abc"), errReader{fail})); !errors.Is(err, fail) {
		t.Error(err)
	}
	m.hook(nil, func(context.Context) error { return core.E(core.KindUnavailable, "disk full") })
	wantKind(t, "full", put(3, "abc"), core.KindUnavailable)
	m.hook(nil, nil)
	if err := put(3, "abc"); err != nil {
		t.Error(err)
	}
	if n := m.count(); n != 1 {
		t.Errorf("%d blobs are kept of refused ones", n-1)
	}
}

type errReader struct{ error }

func (e errReader) Read([]byte) (int, error) { return 0, e.error }

func TestPut_AlreadyThere(t *testing.T) {
	// A store that has the blob may say so before the bytes come, and the sender stops sending.
	quiet(t)
	w := newWorld(t)
	h := w.home("h", blob.ServerConfig{Whole: knows{newMemory()}})
	e := w.node("e", nil, nil, link.RoleEdge)
	path(h, e, link.Path{Bandwidth: 1 << 20})
	c := w.client(e, blob.Config{}, h)
	b := random(50_000_000)
	r := bytes.NewReader(b)
	if err := c.Put(within(t, 20*time.Second), [32]byte{1}, int64(len(b)), r); err != nil {
		t.Fatal(err)
	}
	if sent := len(b) - r.Len(); sent > 20<<20 {
		t.Errorf("%d bytes were sent for nothing", sent)
	}
}

type knows struct{ *memory }

func (knows) Put(context.Context, [32]byte, int64, io.Reader) error { return nil }

func TestServer_Direct(t *testing.T) {
	// Home nodes read and store at another's own disk; an edge may not, though it may ask the origin.
	quiet(t)
	w, whole, own := newWorld(t), newMemory(), newMemory()
	h := w.home("h", blob.ServerConfig{Whole: whole, Own: own})
	bare := w.home("bare", blob.ServerConfig{Whole: whole})
	other := w.client(w.node("h2", nil, nil, link.RoleHome), blob.Config{}, h)
	edge := w.client(w.node("e", nil, nil, link.RoleEdge), blob.Config{}, h)
	ctx := within(t, 20*time.Second)
	b := []byte("on one disk")
	name := sha256.Sum256(b)
	if err := other.At(h.Addr()).Put(ctx, name, int64(len(b)), bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	got, _, err := read(ctx, other.At(h.Addr()), name, 3, -1)
	wantBytes(t, "direct", got, b[3:], err)
	if n, err := other.At(h.Addr()).Stat(ctx, name); n != int64(len(b)) || err != nil {
		t.Error(n, err)
	}
	_, err = other.Stat(ctx, name)
	wantKind(t, "the origin was not told", err, core.KindNotFound)
	_, err = edge.At(h.Addr()).Stat(ctx, name)
	wantKind(t, "stat by an edge", err, core.KindMisdirected)
	_, _, err = read(ctx, edge.At(h.Addr()), name, 0, -1)
	wantKind(t, "get by an edge", err, core.KindMisdirected)
	wantKind(t, "put by an edge", edge.At(h.Addr()).Put(ctx, name, int64(len(b)), bytes.NewReader(b)), core.KindMisdirected)
	_, err = other.At(bare.Addr()).Stat(ctx, name)
	wantKind(t, "a node without a disk", err, core.KindNotBuilt)
}

func TestClient_OnlyHomeNodes(t *testing.T) {
	// A node that is not at home cannot take blobs in home's place, though its certificate is good.
	quiet(t)
	w, m := newWorld(t), newMemory()
	s, err := blob.NewServer(blob.ServerConfig{Whole: m})
	if err != nil {
		t.Fatal(err)
	}
	impostor := w.node("x", nil, s.Serve, link.RoleEdge)
	c := w.client(w.node("e", nil, nil, link.RoleEdge), blob.Config{}, impostor)
	err = c.Put(within(t, 10*time.Second), sha256.Sum256([]byte("abc")), 3, strings.NewReader("abc"))
	wantKind(t, "put", err, core.KindUnavailable)
	if m.count() != 0 {
		t.Error("it took the blob")
	}
}

func TestGet_ResumesElsewhere(t *testing.T) {
	// A home node stops in the middle of a read; the reader gets every byte once, from the other one.
	quiet(t)
	w, m1, m2 := newWorld(t), newMemory(), newMemory()
	h1, h2 := w.home("h1", blob.ServerConfig{Whole: m1}), w.home("h2", blob.ServerConfig{Whole: m2})
	e := w.node("e", nil, nil, link.RoleEdge)
	path(h1, e, link.Path{Delay: time.Millisecond, Bandwidth: 4 << 20})
	b := random(10_000_000)
	name := m1.add(b)
	m2.add(b)
	c := w.client(e, blob.Config{}, h1, h2)
	r, size, err := c.Get(within(t, 30*time.Second), name, 1000, -1)
	if err != nil || size != int64(len(b)) {
		t.Fatal(size, err)
	}
	defer r.Close()
	first := make([]byte, 2_000_000)
	if _, err := io.ReadFull(r, first); err != nil {
		t.Fatal(err)
	}
	h1.stop()
	rest, err := io.ReadAll(r)
	wantBytes(t, "whole", append(first, rest...), b[1000:], err)
	if m2.opened.Load() != 1 {
		t.Error("the other node was not asked once but", m2.opened.Load())
	}
}

func TestGet_ResumesAfterSilence(t *testing.T) {
	// The serving node vanishes without a word; the read goes on at another one within seconds.
	quiet(t)
	w, m := newWorld(t), newMemory()
	h1, h2 := w.home("h1", blob.ServerConfig{Whole: m}), w.home("h2", blob.ServerConfig{Whole: m})
	e := w.node("e", nil, nil, link.RoleEdge)
	path(h1, e, link.Path{Delay: time.Millisecond, Bandwidth: 4 << 20})
	b := random(8_000_000)
	name := m.add(b)
	c := w.client(e, blob.Config{Idle: time.Second}, h1, h2)
	r, _, err := c.Get(within(t, 30*time.Second), name, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	first := make([]byte, 1_000_000)
	if _, err := io.ReadFull(r, first); err != nil {
		t.Fatal(err)
	}
	path(h1, e, link.Path{Blackout: true})
	rest, err := io.ReadAll(r)
	wantBytes(t, "whole", append(first, rest...), b, err)
	at := time.Now()
	got, _, err := read(within(t, 10*time.Second), c, name, 0, 10)
	wantBytes(t, "the next one", got, b[:10], err)
	if took := time.Since(at); took > time.Second {
		t.Errorf("the next request waited %s for the silent node", took)
	}
}

func TestGet_OtherSize(t *testing.T) {
	// A node that says another size cannot continue a read that began elsewhere.
	quiet(t)
	w, m1, m2 := newWorld(t), newMemory(), newMemory()
	h1, h2 := w.home("h1", blob.ServerConfig{Whole: m1}), w.home("h2", blob.ServerConfig{Whole: m2})
	e := w.node("e", nil, nil, link.RoleEdge)
	path(h1, e, link.Path{Delay: time.Millisecond, Bandwidth: 4 << 20})
	b := random(4_000_000)
	name := m1.add(b)
	m2.add(b)
	m2.grow = 1
	r, _, err := w.client(e, blob.Config{}, h1, h2).Get(within(t, 30*time.Second), name, 0, int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadFull(r, make([]byte, 100_000)); err != nil {
		t.Fatal(err)
	}
	h1.stop()
	_, err = io.ReadAll(r)
	wantKind(t, "the rest", err, core.KindDiverged)
}

func TestGet_GivesUp(t *testing.T) {
	// When no home node is left in the middle of a read, the reader hears of it within its patience: an error,
	// never a short clean end.
	quiet(t)
	w, m := newWorld(t), newMemory()
	h := w.home("h", blob.ServerConfig{Whole: m})
	e := w.node("e", nil, nil, link.RoleEdge)
	path(h, e, link.Path{Delay: time.Millisecond, Bandwidth: 4 << 20})
	name := m.add(random(8_000_000))
	r, _, err := w.client(e, blob.Config{Patience: 300 * time.Millisecond}, h).Get(within(t, 30*time.Second), name, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadFull(r, make([]byte, 100_000)); err != nil {
		t.Fatal(err)
	}
	h.stop()
	_, err = io.ReadAll(r)
	wantKind(t, "the rest", err, core.KindUnavailable)
	if _, again := r.Read(make([]byte, 1)); again != err {
		t.Error("another error the second time:", again)
	}
}

func TestPut_DeadFirst(t *testing.T) {
	// A put goes to the next home node when the first is not there, and to the next again when one stops in the
	// middle, if its reader can seek.
	quiet(t)
	w, m := newWorld(t), newMemory()
	dead := w.home("dead", blob.ServerConfig{Whole: newMemory()})
	dead.stop()
	broken := newMemory()
	h2, h3 := w.home("h2", blob.ServerConfig{Whole: broken}), w.home("h3", blob.ServerConfig{Whole: m})
	c := w.client(w.node("e", nil, nil, link.RoleEdge), blob.Config{}, dead, h2, h3)
	broken.hook(nil, func(context.Context) error { go h2.stop(); return core.E(core.KindInternal, "it fell") })
	b := random(5_000_000)
	name := sha256.Sum256(b)
	whole := bytes.NewReader(append([]byte("head"), b...))
	_, _ = whole.Seek(4, io.SeekStart) // a put begins where its reader stands
	if err := c.Put(within(t, 20*time.Second), name, int64(len(b)), whole); err != nil {
		t.Fatal(err)
	}
	got, _, err := read(within(t, 20*time.Second), c, name, 0, -1)
	wantBytes(t, "whole", got, b, err)
}

func TestPut_CannotSeek(t *testing.T) {
	// A reader that cannot begin again gives core.KindUnavailable when the node that took its bytes fails.
	quiet(t)
	w, bad, good := newWorld(t), newMemory(), newMemory()
	h1, h2 := w.home("h1", blob.ServerConfig{Whole: swallows{bad}}), w.home("h2", blob.ServerConfig{Whole: good})
	c := w.client(w.node("e", nil, nil, link.RoleEdge), blob.Config{}, h1, h2)
	b := random(1_000_000)
	err := c.Put(within(t, 20*time.Second), sha256.Sum256(b), int64(len(b)), io.MultiReader(bytes.NewReader(b)))
	wantKind(t, "put", err, core.KindUnavailable)
	if good.count() != 0 {
		t.Error("half of it was kept")
	}
}

// swallows reads all and fails.
type swallows struct{ *memory }

func (swallows) Put(_ context.Context, _ [32]byte, _ int64, r io.Reader) error {
	_, _ = io.Copy(io.Discard, r)
	return core.E(core.KindInternal, "the disk broke")
}

func TestClient_CutOff(t *testing.T) {
	// Without a way home requests fail at once and say so, whatever candidates there are.
	quiet(t)
	w := newWorld(t)
	e := w.node("e", nil, nil, link.RoleEdge)
	h := w.home("h", blob.ServerConfig{Whole: newMemory()})
	off := w.client(e, blob.Config{Connected: func() bool { return false }}, h)
	nobody := w.client(e, blob.Config{})
	at := time.Now()
	for _, c := range []*blob.Client{off, nobody} {
		_, err := c.Stat(within(t, 5*time.Second), [32]byte{})
		wantKind(t, "stat", err, core.KindUnavailable)
		_, _, err = c.Get(within(t, 5*time.Second), [32]byte{}, 0, -1)
		wantKind(t, "get", err, core.KindUnavailable)
		wantKind(t, "put", c.Put(within(t, 5*time.Second), [32]byte{}, 0, strings.NewReader("")), core.KindUnavailable)
	}
	if took := time.Since(at); took > time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestGet_StoreFails(t *testing.T) {
	// What a store finds wrong at the end of a blob reaches the reader, who never sees a clean end; a fault in the
	// middle is mended by another node.
	quiet(t)
	w, bad, good := newWorld(t), newMemory(), newMemory()
	h1, h2 := w.home("h1", blob.ServerConfig{Whole: bad}), w.home("h2", blob.ServerConfig{Whole: good})
	b := random(3_000_000)
	name := bad.add(b)
	good.add(b)
	c := w.client(w.node("e", nil, nil, link.RoleEdge), blob.Config{Patience: 300 * time.Millisecond}, h1, h2)
	bad.hook(func(_ context.Context, r io.Reader) (io.Reader, error) {
		return io.MultiReader(r, errReader{core.E(core.KindDiverged, "not what the name says")}), nil
	}, nil)
	got, _, err := read(within(t, 20*time.Second), c, name, 0, -1)
	wantKind(t, "at the end", err, core.KindDiverged)
	if len(got) == len(b) {
		t.Error("all bytes were given before the store had checked them")
	}
	bad.hook(func(_ context.Context, r io.Reader) (io.Reader, error) {
		return io.MultiReader(io.LimitReader(r, 1000), errReader{core.E(core.KindUnavailable, "bad sector")}), nil
	}, nil)
	got, _, err = read(within(t, 20*time.Second), c, name, 0, -1)
	wantBytes(t, "in the middle", got, b, err)
	damaged := func(context.Context, io.Reader) (io.Reader, error) {
		return nil, core.E(core.KindDiverged, "not what the name says")
	}
	bad.hook(damaged, nil)
	got, _, err = read(within(t, 20*time.Second), c, name, 0, -1)
	wantBytes(t, "before the first byte", got, b, err)
	good.hook(damaged, nil)
	bad.hook(func(context.Context, io.Reader) (io.Reader, error) { return strings.NewReader(""), nil }, nil)
	if got, _, err = read(within(t, 20*time.Second), c, name, 0, 10); err == nil {
		t.Errorf("a short store gave %d bytes and a clean end", len(got))
	}
}

func TestServer_StalledReader(t *testing.T) {
	// A peer that does not read is dropped, its place is free and the store's body closed; should it read again,
	// it gets all bytes nevertheless.
	quiet(t)
	w, m := newWorld(t), newMemory()
	h := w.home("h", blob.ServerConfig{Whole: m, Idle: 200 * time.Millisecond, MaxConcurrent: 1})
	e := w.node("e", nil, nil, link.RoleEdge)
	c := w.client(e, blob.Config{}, h)
	b := random(20_000_000)
	name := m.add(b)
	ctx := within(t, 60*time.Second)
	r, _, err := c.Get(ctx, name, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	until(t, func() error {
		if m.closed.Load() < 1 {
			return errors.New("the body is still open")
		}
		return nil
	})
	if got, _, err := read(ctx, c, name, 0, 10); err != nil || !bytes.Equal(got, b[:10]) {
		t.Error("the place is not free:", err)
	}
	got, err := io.ReadAll(r)
	wantBytes(t, "late", got, b, err)
}

func TestServer_SlowWriter(t *testing.T) {
	// A peer that sends a byte now and then is dropped, though it never stops altogether; so is one that sends
	// nothing after its request, and one that does not even finish that.
	quiet(t)
	w, m := newWorld(t), newMemory()
	h := w.home("h", blob.ServerConfig{Whole: m, Idle: 200 * time.Millisecond})
	e := w.node("e", nil, nil, link.RoleEdge)
	ctx := within(t, 20*time.Second)
	conn, err := e.Dial(ctx, h.Addr(), link.ClassBlob)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(link.CodeDone, "")
	for name, request := range map[string][]byte{"silent": putRequest(1 << 20), "half a request": putRequest(1 << 20)[:10]} {
		st, err := conn.OpenStream(ctx)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = st.Write(request)
		_, err = io.ReadAll(st)
		wantKind(t, name, err, core.KindUnavailable)
	}
	st, err := conn.OpenStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = st.Write(putRequest(1 << 20))
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for n := 0; err == nil; n++ {
		<-tick.C
		if _, err = st.Write([]byte{1}); n > 200 {
			t.Fatal("it is still served")
		}
	}
	until(t, func() error {
		if m.opened.Load() != m.closed.Load() {
			return errors.New("a put is still open")
		}
		return nil
	})
}

func TestClient_SilentStore(t *testing.T) {
	// A home node whose store does not answer is left for the next one.
	quiet(t)
	w, hangs, good := newWorld(t), newMemory(), newMemory()
	b := random(1000)
	name := hangs.add(b)
	good.add(b)
	hangs.hook(func(ctx context.Context, _ io.Reader) (io.Reader, error) { <-ctx.Done(); return nil, ctx.Err() }, nil)
	h1 := w.home("h1", blob.ServerConfig{Whole: hangs, Idle: 200 * time.Millisecond})
	h2 := w.home("h2", blob.ServerConfig{Whole: good})
	got, _, err := read(within(t, 20*time.Second), w.client(w.node("e", nil, nil, link.RoleEdge), blob.Config{}, h1, h2), name, 0, -1)
	wantBytes(t, "whole", got, b, err)
}

func TestClient_Cancel(t *testing.T) {
	// A caller who goes away, or closes the body, frees the place at home and leaves nothing running.
	quiet(t)
	w, m := newWorld(t), newMemory()
	h := w.home("h", blob.ServerConfig{Whole: m, MaxConcurrent: 1})
	e := w.node("e", nil, nil, link.RoleEdge)
	path(h, e, link.Path{Delay: time.Millisecond, Bandwidth: 1 << 20})
	c := w.client(e, blob.Config{}, h)
	b := random(20_000_000)
	name := m.add(b)
	free := func(what string) {
		t.Helper()
		until(t, func() error {
			if m.opened.Load() != m.closed.Load() {
				return errors.New(what + ": still open")
			}
			return nil
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	r, _, err := c.Get(ctx, name, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	_, err = io.ReadAll(r)
	wantKind(t, "read", err, core.KindCanceled)
	free("canceled get")
	if r, _, err = c.Get(t.Context(), name, 0, -1); err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	_ = r.Close()
	free("closed get")
	ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	wantKind(t, "put", c.Put(ctx, name, int64(len(b)), bytes.NewReader(b)), core.KindTimeout)
	free("canceled put")
	if _, err := c.Stat(within(t, 5*time.Second), name); err != nil {
		t.Error("the place is not free:", err)
	}
}

func TestServer_Bounds(t *testing.T) {
	// No more transfers run than there are places, and no peer takes more than its share; those who wait too long
	// are told that it is a limit.
	quiet(t)
	w, m := newWorld(t), newMemory()
	name := m.add(random(10))
	gate := make(chan struct{})
	m.hook(func(ctx context.Context, r io.Reader) (io.Reader, error) {
		select {
		case <-gate:
			return r, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}, nil)
	var now, most atomic.Int64
	counted := counts{m, &now, &most}
	h := w.home("h", blob.ServerConfig{Whole: counted, Own: m, MaxConcurrent: 3, MaxPerPeer: 2})
	greedy := w.client(w.node("e1", nil, nil, link.RoleEdge), blob.Config{Patience: time.Millisecond}, h)
	modest := w.client(w.node("e2", nil, nil, link.RoleEdge), blob.Config{Patience: time.Millisecond}, h)
	ctx := within(t, 20*time.Second)
	var wg sync.WaitGroup
	errs := make(chan error, 10)
	for range 6 {
		wg.Go(func() { _, _, err := read(ctx, greedy, name, 0, -1); errs <- err })
	}
	until(t, func() error {
		if now.Load() != 2 {
			return errors.New("two should be inside")
		}
		return nil
	})
	wg.Go(func() { _, _, err := read(ctx, modest, name, 0, -1); errs <- err })
	until(t, func() error {
		if now.Load() != 3 {
			return errors.New("the share of one peer keeps another out")
		}
		return nil
	})
	for range 4 {
		wantKind(t, "waited", <-errs, core.KindLimit)
	}
	close(gate)
	for range 3 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	if n := most.Load(); n != 3 {
		t.Errorf("%d at once", n)
	}
	if _, _, err := read(ctx, greedy, name, 0, -1); err != nil {
		t.Error("later:", err)
	}
}

// counts knows how many requests are inside.
type counts struct {
	*memory
	now, most *atomic.Int64
}

func (c counts) Get(ctx context.Context, name [32]byte, offset, length int64) (io.ReadCloser, int64, error) {
	n := c.now.Add(1)
	for old := c.most.Load(); n > old && !c.most.CompareAndSwap(old, n); old = c.most.Load() {
	}
	defer c.now.Add(-1)
	return c.memory.Get(ctx, name, offset, length)
}

func TestClient_Run(t *testing.T) {
	// Run has a connection for each direction ready before anybody asks, gets another when that one dies, follows the first candidate,
	// and closes all of them at its end.
	quiet(t)
	w, m := newWorld(t), newMemory()
	var served sync.Map // node → number of connections
	start := func(name string, pc net.PacketConn) *node {
		s, err := blob.NewServer(blob.ServerConfig{Whole: m})
		if err != nil {
			t.Fatal(err)
		}
		n, _ := served.LoadOrStore(name, new(atomic.Int64))
		return w.node(name, pc, func(ctx context.Context, c *link.Conn) {
			n.(*atomic.Int64).Add(1)
			defer n.(*atomic.Int64).Add(-1)
			s.Serve(ctx, c)
		}, link.RoleHome)
	}
	alive := func(name string, want int64) {
		t.Helper()
		until(t, func() error {
			if n, _ := served.Load(name); n.(*atomic.Int64).Load() != want {
				return errors.New(name + " has not the connections that it should")
			}
			return nil
		})
	}
	h1, h2 := start("h1", nil), start("h2", nil)
	var first atomic.Value
	first.Store(h1.Addr())
	e := w.node("e", nil, nil, link.RoleEdge)
	c := w.client(e, blob.Config{Candidates: func() []string { return []string{first.Load().(string)} }})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	alive("h1", 2)
	addr := h1.Addr()
	h1.stop()
	alive("h1", 0)
	pc, err := link.Bind(addr)
	if err != nil {
		t.Fatal(err)
	}
	start("h1", pc)
	alive("h1", 2)
	first.Store(h2.Addr())
	alive("h2", 2)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	alive("h1", 0)
	alive("h2", 0)
	_, err = c.Stat(within(t, 5*time.Second), [32]byte{})
	wantKind(t, "after the end", err, core.KindUnavailable)
}

func TestClient_Concurrent(t *testing.T) {
	// Many callers at once, some of them leaving early, each get their own bytes.
	quiet(t)
	w, m := newWorld(t), newMemory()
	c, _, _ := w.pair(m)
	ctx := within(t, 60*time.Second)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for j := range 5 {
				b := random(100_000 + i*1000 + j)
				name := sha256.Sum256(b)
				if err := c.Put(ctx, name, int64(len(b)), bytes.NewReader(b)); err != nil {
					t.Error(err)
				}
				if r, _, err := c.Get(ctx, name, 0, -1); err != nil {
					t.Error(err)
				} else {
					_ = r.Close()
				}
				got, _, err := read(ctx, c, name, int64(i), -1)
				wantBytes(t, "own", got, b[i:], err)
			}
		})
	}
	wg.Wait()
	if m.opened.Load() != m.closed.Load() {
		until(t, func() error {
			if m.opened.Load() != m.closed.Load() {
				return errors.New("bodies are still open")
			}
			return nil
		})
	}
}
