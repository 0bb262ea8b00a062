package blob_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/eventually"
	"github.com/nearside/nearside/replication/blob"
	"github.com/nearside/nearside/replication/link"
)

func TestGet_ResumesElsewhere(t *testing.T) {
	// If a home node stops in the middle of a read, the reader gets every byte once, the rest
	// from another node.
	quiet(t)
	w, m1, m2 := newWorld(t), newMemory(), newMemory()
	h1, h2 := w.home("h1", blob.ServerConfig{Whole: m1}), w.home("h2", blob.ServerConfig{Whole: m2})
	e := w.node("e", nil, nil, link.RoleEdge)
	path(h1, e, link.Path{Delay: time.Millisecond, Bandwidth: 4 << 20})
	b := random(10_000_000)
	name := m1.add(b)
	m2.add(b)
	c := w.client(e, blob.Config{}, h1, h2)
	r, size, err := c.Get(within(t, eventually.Limit), name, 1000, -1)
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
	// If the serving node disappears, the read continues at another one within seconds.
	quiet(t)
	w, m := newWorld(t), newMemory()
	h1, h2 := w.home("h1", blob.ServerConfig{Whole: m}), w.home("h2", blob.ServerConfig{Whole: m})
	e := w.node("e", nil, nil, link.RoleEdge)
	path(h1, e, link.Path{Delay: time.Millisecond, Bandwidth: 4 << 20})
	b := random(8_000_000)
	name := m.add(b)
	c := w.client(e, blob.Config{Idle: time.Second}, h1, h2)
	r, _, err := c.Get(within(t, eventually.Limit), name, 0, -1)
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
	got, _, err := read(within(t, eventually.Limit), c, name, 0, 10)
	wantBytes(t, "the next one", got, b[:10], err)
	eventually.InTime(t, at, time.Second) // it does not wait for the silent node
}

func TestGet_OtherSize(t *testing.T) {
	// A node that reports another size cannot continue a read that began elsewhere.
	quiet(t)
	w, m1, m2 := newWorld(t), newMemory(), newMemory()
	h1, h2 := w.home("h1", blob.ServerConfig{Whole: m1}), w.home("h2", blob.ServerConfig{Whole: m2})
	e := w.node("e", nil, nil, link.RoleEdge)
	path(h1, e, link.Path{Delay: time.Millisecond, Bandwidth: 4 << 20})
	b := random(4_000_000)
	name := m1.add(b)
	m2.add(b)
	m2.grow = 1
	r, _, err := w.client(e, blob.Config{}, h1, h2).Get(within(t, eventually.Limit), name, 0, int64(len(b)))
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
	// If no home node is left in the middle of a read, the read fails within its patience: with
	// an error, never as a short blob.
	quiet(t)
	w, m := newWorld(t), newMemory()
	h := w.home("h", blob.ServerConfig{Whole: m})
	e := w.node("e", nil, nil, link.RoleEdge)
	path(h, e, link.Path{Delay: time.Millisecond, Bandwidth: 4 << 20})
	name := m.add(random(8_000_000))
	r, _, err := w.client(e, blob.Config{Patience: 300 * time.Millisecond}, h).Get(within(t, eventually.Limit), name, 0, -1)
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

func TestGet_StoreFails(t *testing.T) {
	// If a store finds damage at the end of a blob, the reader gets an error and never a complete
	// blob; after damage in the middle, another node continues.
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
	got, _, err := read(within(t, eventually.Limit), c, name, 0, -1)
	wantKind(t, "at the end", err, core.KindDiverged)
	if len(got) == len(b) {
		t.Error("all bytes were given before the store had checked them")
	}
	bad.hook(func(_ context.Context, r io.Reader) (io.Reader, error) {
		return io.MultiReader(io.LimitReader(r, 1000), errReader{core.E(core.KindUnavailable, "bad sector")}), nil
	}, nil)
	got, _, err = read(within(t, eventually.Limit), c, name, 0, -1)
	wantBytes(t, "in the middle", got, b, err)
	damaged := func(context.Context, io.Reader) (io.Reader, error) {
		return nil, core.E(core.KindDiverged, "not what the name says")
	}
	bad.hook(damaged, nil)
	got, _, err = read(within(t, eventually.Limit), c, name, 0, -1)
	wantBytes(t, "before the first byte", got, b, err)
	good.hook(damaged, nil)
	bad.hook(func(context.Context, io.Reader) (io.Reader, error) { return strings.NewReader(""), nil }, nil)
	if got, _, err = read(within(t, eventually.Limit), c, name, 0, 10); err == nil {
		t.Errorf("a short store gave %d bytes and a clean end", len(got))
	}
}
