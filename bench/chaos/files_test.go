package chaos_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nearside/nearside/bench/load"
	"github.com/nearside/nearside/bench/world"
	"github.com/nearside/nearside/core/eventually"
)

// content gives bytes that no other file has.
func content(seed uint64, n int) []byte {
	b := make([]byte, n)
	rng := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), 7})
	_, _ = rng.Read(b) // it never fails
	return b
}

// far starts a demo with real distances and a user at every edge, all in one channel.
func far(t *testing.T) (*world.World, []world.Node, []load.Person, load.Room) {
	t.Helper()
	program := os.Getenv("NEARSIDE")
	if program == "" {
		t.Skip("NEARSIDE names no built program: `make test` and `make chaos` set it")
	}
	path, err := filepath.Abs(program)
	if err != nil {
		t.Fatal(err)
	}
	w, err := world.Demo(t.Context(), path, "--latency", "real")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Stop(); err != nil {
			t.Error(err)
		}
	})
	edges, err := w.Edges()
	if err != nil {
		t.Fatal(err)
	}
	people, room, err := load.Meet(t.Context(), "attachments", world.URLs(edges))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range people { // an edge far away knows the channel a moment later
		err := eventually.Poll(t.Context(), time.Minute, func() error {
			c := p.Conn()
			defer c.Close()
			_, err := c.Call(t.Context(), "GET", "channels/"+room.Channel+"/members/"+p.ID, nil, nil)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return w, edges, people, room
}

// A file that an edge has acknowledged can be read at every other edge, from the origin and from the
// cache, although the edge that took it was killed right after it answered.
func TestFiles_SurviveTheEdgeThatTookThem(t *testing.T) {
	w, edges, people, room := far(t)
	first, second := people[2], people[1] // Singapore and Frankfurt
	kept := map[string][]byte{}
	for i := range 6 {
		b := content(uint64(i), 200_000*(i+1)+i)
		f, err := first.Upload(t.Context(), room.Channel, fmt.Sprintf("file %d.bin", i), bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatalf("upload %d: %v", i, err)
		}
		if _, err := first.Post(t.Context(), room.Channel, "see file", f.ID); err != nil {
			t.Fatalf("post file %d: %v", i, err)
		}
		kept[f.ID] = b
	}
	if err := edges[2].Kill(); err != nil {
		t.Fatal(err)
	}
	var cold, warm time.Duration
	for id, b := range kept {
		cold += wantFile(t, second, id, b)
		warm += wantFile(t, second, id, b)
	}
	t.Logf("read cold in %v, warm in %v", cold, warm)
	if warm*3 > cold {
		t.Errorf("six files read warm in %v, cold in %v: the second read was not from here", warm, cold)
	}
	again(t, w, edges[2])
	for id, b := range kept {
		wantFile(t, first, id, b)
	}
}

// If an edge is killed in the middle of an upload, the upload goes on at another edge from the byte that
// was acknowledged.
func TestFiles_UploadGoesOnAtAnotherEdge(t *testing.T) {
	w, edges, people, room := far(t)
	first := people[2]
	b := content(99, 11<<20)
	id, err := first.BeginUpload(t.Context(), room.Channel, "big.bin", int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	if _, done, err := first.ContinueUpload(t.Context(), id, b[:5<<20]); err != nil || done {
		t.Fatalf("first half: %v, %v", done, err)
	}
	if err := edges[2].Kill(); err != nil {
		t.Fatal(err)
	}
	elsewhere := first
	elsewhere.Base = edges[1].URL
	offset, err := elsewhere.UploadOffset(t.Context(), id)
	if err != nil || offset != 5<<20 {
		t.Fatalf("at another edge the upload has %d bytes: %v", offset, err)
	}
	f, done, err := elsewhere.ContinueUpload(t.Context(), id, b[offset:])
	if err != nil || !done {
		t.Fatalf("second half: %v, %v", done, err)
	}
	wantFile(t, elsewhere, f.ID, b)
	again(t, w, edges[2])
	wantFile(t, first, f.ID, b)
}

// wantFile reads a file and gives how long that took.
func wantFile(t *testing.T, p load.Person, id string, want []byte) time.Duration {
	t.Helper()
	got, err := p.Download(t.Context(), id)
	if err != nil {
		t.Fatalf("read at %s: %v", p.Base, err)
	}
	if got.SHA256 != sha256.Sum256(want) {
		t.Fatalf("read at %s: %d bytes that are not those uploaded", p.Base, got.Bytes)
	}
	return got.Took
}

// again waits until a node that was killed serves again.
func again(t *testing.T, w *world.World, was world.Node) {
	t.Helper()
	err := eventually.Poll(t.Context(), time.Minute, func() error {
		nodes, err := w.Nodes()
		if err != nil {
			return err
		}
		for _, n := range nodes {
			if n.Name == was.Name && n.PID != was.PID {
				_, err := n.Status(t.Context())
				return errors.Join(err, serves(t.Context(), n))
			}
		}
		return errors.New("it has not been started again")
	})
	if err != nil {
		t.Fatalf("%s: %v", was.Name, err)
	}
}

// serves makes a request that needs no session.
func serves(ctx context.Context, n world.Node) error {
	c := load.NewConn(n.URL, "")
	defer c.Close()
	_, err := c.Call(ctx, "GET", "system/ping", nil, nil)
	return err
}
