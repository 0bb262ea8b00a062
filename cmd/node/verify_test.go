package node

import (
	"context"
	"errors"
	"testing"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/cdn/cdntest"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/read"
)

// usedBooks also knows what uses a blob.
type usedBooks struct{ *books }

func (usedBooks) BlobUses(context.Context, core.BlobID) (read.BlobUses, error) {
	return read.BlobUses{}, nil
}

func manyBooks(n int) usedBooks {
	b := &books{refs: map[cdn.Digest]core.Blob{}}
	for i := range n {
		d, _ := cdntest.Content(byte(i), 10)
		b.hold(d, 1, 0)
	}
	return usedBooks{b}
}

// When nothing can be read it is the store that is broken: verify says so and stops, instead of
// naming every file there is.
func TestVerify_StoreAway_Stops(t *testing.T) {
	store := newTestDisk(t)
	store.off.Store(true)
	bad := 0
	v := &verifier{node: "home-1", kind: kindS3, store: store, ledger: manyBooks(200)}
	err := v.run(t.Context(), func(l VerifyLine) error {
		if l.Bad != nil {
			bad++
		}
		return nil
	})
	if core.KindOf(err) != core.KindUnavailable || bad >= lostTouch {
		t.Errorf("after %d bad blobs: %v", bad, err)
	}
}

// A verification ends when nobody listens any more, or the log cannot be read, and says why.
func TestVerify_Interrupted_Ends(t *testing.T) {
	gone := errors.New("gone")
	v := &verifier{store: newTestDisk(t), kind: kindS3, ledger: manyBooks(200)}
	if err := v.run(t.Context(), func(VerifyLine) error { return gone }); !errors.Is(err, gone) {
		t.Errorf("nobody listens: %v", err)
	}
	broken := manyBooks(1)
	broken.err = errors.New("no database")
	v.ledger = broken
	if err := v.run(t.Context(), func(VerifyLine) error { return nil }); !errors.Is(err, broken.err) {
		t.Errorf("no database: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	v.ledger = manyBooks(200)
	if err := v.run(ctx, func(VerifyLine) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// A blob whose last file goes while it is being verified is not bad.
func TestVerify_ReleasedMeanwhile_IsNotBad(t *testing.T) {
	b := manyBooks(1)
	for d, x := range b.refs {
		x.Refs = 0 // as BlobRefs says; the list of references was read before
		b.refs[d] = x
		f := (&verifier{store: newTestDisk(t), ledger: b}).look(t.Context(), x)
		if f.problem != "" {
			t.Errorf("%+v", f)
		}
	}
}
