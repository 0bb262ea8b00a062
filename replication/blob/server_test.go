package blob_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/eventually"
	"github.com/nearside/nearside/replication/blob"
	"github.com/nearside/nearside/replication/link"
	"github.com/nearside/nearside/replication/simtest"
)

func TestServer_Direct(t *testing.T) {
	// Home nodes read and store at another node's own disk; an edge may not, although it may use
	// the origin.
	quiet(t)
	w, whole, own := newWorld(t), newMemory(), newMemory()
	h := w.home("h", blob.ServerConfig{Whole: whole, Own: own})
	bare := w.home("bare", blob.ServerConfig{Whole: whole})
	other := w.client(w.node("h2", nil, nil, link.RoleHome), blob.Config{}, h)
	edge := w.client(w.node("e", nil, nil, link.RoleEdge), blob.Config{}, h)
	ctx := within(t, eventually.Limit)
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

func TestServer_StalledReader(t *testing.T) {
	// A peer that does not read is dropped, its place becomes free and the store's body is
	// closed; if it reads again, it still gets all bytes.
	quiet(t)
	w, m := newWorld(t), newMemory()
	h := w.home("h", blob.ServerConfig{Whole: m, Idle: 200 * time.Millisecond, MaxConcurrent: 1})
	e := w.node("e", nil, nil, link.RoleEdge)
	c := w.client(e, blob.Config{}, h)
	b := random(20_000_000)
	name := m.add(b)
	ctx := within(t, eventually.Limit)
	r, _, err := c.Get(ctx, name, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	eventually.Nil(t, func() error {
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
	// A peer that sends a byte now and then is dropped, although it never stops completely; so is
	// a peer that sends nothing after its request, and one that does not finish the request.
	quiet(t)
	synctest.Test(t, testSlowWriter)
}

func testSlowWriter(t *testing.T) {
	w, m := newWorld(t), newMemory()
	w.net = simtest.NewNet()
	h := w.home("h", blob.ServerConfig{Whole: m, Idle: 200 * time.Millisecond})
	e := w.node("e", nil, nil, link.RoleEdge)
	ctx := within(t, eventually.Limit)
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
	for n := 0; err == nil; n++ {
		time.Sleep(20 * time.Millisecond)
		if _, err = st.Write([]byte{1}); n > 20 {
			t.Fatal("it is still served")
		}
	}
	eventually.Nil(t, func() error {
		if m.opened.Load() != m.closed.Load() {
			return errors.New("a put is still open")
		}
		return nil
	})
}

func TestServer_Bounds(t *testing.T) {
	// No more transfers run than there are places, and no peer gets more than its share; those
	// that wait too long get KindLimit.
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
	ctx := within(t, eventually.Limit)
	var wg sync.WaitGroup
	errs := make(chan error, 10)
	for range 6 {
		wg.Go(func() { _, _, err := read(ctx, greedy, name, 0, -1); errs <- err })
	}
	eventually.Nil(t, func() error {
		if now.Load() != 2 {
			return errors.New("two should be inside")
		}
		return nil
	})
	wg.Go(func() { _, _, err := read(ctx, modest, name, 0, -1); errs <- err })
	eventually.Nil(t, func() error {
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

// counts counts the running requests.
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
