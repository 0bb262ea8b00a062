package blob_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/eventually"
	"github.com/nearside/nearside/replication/blob"
	"github.com/nearside/nearside/replication/link"
)

func TestPut_AlreadyThere(t *testing.T) {
	// A store that has the blob may answer before the bytes arrive, and the sender stops sending.
	quiet(t)
	w := newWorld(t)
	h := w.home("h", blob.ServerConfig{Whole: knows{newMemory()}})
	e := w.node("e", nil, nil, link.RoleEdge)
	path(h, e, link.Path{Bandwidth: 1 << 20})
	c := w.client(e, blob.Config{}, h)
	b := random(50_000_000)
	r := bytes.NewReader(b)
	if err := c.Put(within(t, eventually.Limit), [32]byte{1}, int64(len(b)), r); err != nil {
		t.Fatal(err)
	}
	if sent := len(b) - r.Len(); sent > 20<<20 {
		t.Errorf("%d bytes were sent for nothing", sent)
	}
}

type knows struct{ *memory }

func (knows) Put(context.Context, [32]byte, int64, io.Reader) error { return nil }

func TestPut_DeadFirst(t *testing.T) {
	// A put is tried at the next home node if the first is away, and again at the next if one
	// stops in the middle, provided that its reader can seek.
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
	_, _ = whole.Seek(4, io.SeekStart) // a put begins at the reader's current offset
	if err := c.Put(within(t, eventually.Limit), name, int64(len(b)), whole); err != nil {
		t.Fatal(err)
	}
	got, _, err := read(within(t, eventually.Limit), c, name, 0, -1)
	wantBytes(t, "whole", got, b, err)
}

func TestPut_CannotSeek(t *testing.T) {
	// If the reader cannot seek, and the node that received its bytes fails, the error is
	// core.KindUnavailable.
	quiet(t)
	w, bad, good := newWorld(t), newMemory(), newMemory()
	h1, h2 := w.home("h1", blob.ServerConfig{Whole: swallows{bad}}), w.home("h2", blob.ServerConfig{Whole: good})
	c := w.client(w.node("e", nil, nil, link.RoleEdge), blob.Config{}, h1, h2)
	b := random(1_000_000)
	err := c.Put(within(t, eventually.Limit), sha256.Sum256(b), int64(len(b)), io.MultiReader(bytes.NewReader(b)))
	wantKind(t, "put", err, core.KindUnavailable)
	if good.count() != 0 {
		t.Error("half of it was kept")
	}
}

// swallows reads everything and fails.
type swallows struct{ *memory }

func (swallows) Put(_ context.Context, _ [32]byte, _ int64, r io.Reader) error {
	_, _ = io.Copy(io.Discard, r)
	return core.E(core.KindInternal, "the disk broke")
}
