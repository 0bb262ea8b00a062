package blob_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/eventually"
	"github.com/nearside/nearside/replication/blob"
	"github.com/nearside/nearside/replication/link"
)

func TestClient_RoundTrip(t *testing.T) {
	// A blob that is put at home is read back byte for byte, at every size, and Stat returns its
	// size.
	quiet(t)
	w, m := newWorld(t), newMemory()
	c, _, _ := w.pair(m)
	ctx := within(t, eventually.Limit)
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
	// A part, even an empty one, is exactly that part; a part that is not inside the blob is
	// refused.
	quiet(t)
	w, m := newWorld(t), newMemory()
	c, _, _ := w.pair(m)
	b := random(300_000)
	name := m.add(b)
	ctx := within(t, eventually.Limit)
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
	// A store's error arrives with its kind and id; no other node is asked if it would give the
	// same error.
	quiet(t)
	w, m := newWorld(t), newMemory()
	h := w.home("h", blob.ServerConfig{Whole: m, MaxBytes: 1000})
	c := w.client(w.node("e", nil, nil, link.RoleEdge), blob.Config{Patience: 100 * time.Millisecond}, h)
	ctx := within(t, eventually.Limit)
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

func TestClient_OnlyHomeNodes(t *testing.T) {
	// A node that is not a home node cannot receive blobs in home's place, although its
	// certificate is valid.
	quiet(t)
	w, m := newWorld(t), newMemory()
	s, err := blob.NewServer(blob.ServerConfig{Whole: m})
	if err != nil {
		t.Fatal(err)
	}
	impostor := w.node("x", nil, s.Serve, link.RoleEdge)
	c := w.client(w.node("e", nil, nil, link.RoleEdge), blob.Config{}, impostor)
	err = c.Put(within(t, eventually.Limit), sha256.Sum256([]byte("abc")), 3, strings.NewReader("abc"))
	wantKind(t, "put", err, core.KindUnavailable)
	if m.count() != 0 {
		t.Error("it took the blob")
	}
}

func TestClient_CutOff(t *testing.T) {
	// If home cannot be reached, requests fail at once and say so, whatever candidates there are.
	quiet(t)
	w := newWorld(t)
	e := w.node("e", nil, nil, link.RoleEdge)
	h := w.home("h", blob.ServerConfig{Whole: newMemory()})
	off := w.client(e, blob.Config{Connected: func() bool { return false }}, h)
	nobody := w.client(e, blob.Config{})
	at := time.Now()
	for _, c := range []*blob.Client{off, nobody} {
		_, err := c.Stat(within(t, eventually.Limit), [32]byte{})
		wantKind(t, "stat", err, core.KindUnavailable)
		_, _, err = c.Get(within(t, eventually.Limit), [32]byte{}, 0, -1)
		wantKind(t, "get", err, core.KindUnavailable)
		wantKind(t, "put", c.Put(within(t, eventually.Limit), [32]byte{}, 0, strings.NewReader("")), core.KindUnavailable)
	}
	eventually.InTime(t, at, time.Second)
}

func TestClient_SilentStore(t *testing.T) {
	// If a home node's store does not answer, the next node is asked.
	quiet(t)
	w, hangs, good := newWorld(t), newMemory(), newMemory()
	b := random(1000)
	name := hangs.add(b)
	good.add(b)
	hangs.hook(func(ctx context.Context, _ io.Reader) (io.Reader, error) { <-ctx.Done(); return nil, ctx.Err() }, nil)
	h1 := w.home("h1", blob.ServerConfig{Whole: hangs, Idle: 200 * time.Millisecond})
	h2 := w.home("h2", blob.ServerConfig{Whole: good})
	got, _, err := read(within(t, eventually.Limit), w.client(w.node("e", nil, nil, link.RoleEdge), blob.Config{}, h1, h2), name, 0, -1)
	wantBytes(t, "whole", got, b, err)
}

func TestClient_Cancel(t *testing.T) {
	// If the caller's context ends, or it closes the body, the place at home becomes free and no
	// goroutine is left.
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
		eventually.Nil(t, func() error {
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
	if _, err := c.Stat(within(t, eventually.Limit), name); err != nil {
		t.Error("the place is not free:", err)
	}
}

func TestClient_Run(t *testing.T) {
	// Run has a connection for each direction before the first request, replaces one that breaks,
	// follows the first candidate, and closes all of them at its end.
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
		eventually.Nil(t, func() error {
			if n, _ := served.Load(name); n.(*atomic.Int64).Load() != want {
				return errors.New(name + " does not have the expected connections")
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
	_, err = c.Stat(within(t, eventually.Limit), [32]byte{})
	wantKind(t, "after the end", err, core.KindUnavailable)
}

func TestClient_Concurrent(t *testing.T) {
	// Of many concurrent callers, some of which stop early, each gets its own bytes.
	quiet(t)
	w, m := newWorld(t), newMemory()
	c, _, _ := w.pair(m)
	ctx := within(t, eventually.Limit)
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
		eventually.Nil(t, func() error {
			if m.opened.Load() != m.closed.Load() {
				return errors.New("bodies are still open")
			}
			return nil
		})
	}
}
