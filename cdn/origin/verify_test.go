package origin

import (
	"context"
	"errors"
	"testing"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/cdn/cdntest"
	"github.com/nearside/nearside/core"
)

func manyBlobs(n int) *fakeLedger {
	b := &fakeLedger{refs: map[cdn.Digest]core.Blob{}}
	for i := range n {
		d, _ := cdntest.Content(byte(i), 10)
		b.hold(d, 1, 0)
	}
	return b
}

// verifying returns a verifier that ignores its reports.
func verifying(store cdn.Getter, l Ledger) *Verifier {
	return &Verifier{
		Store: store, Ledger: l, Progress: func(Verified) error { return nil }, Bad: func(core.BlobID, BadBlob) error { return nil },
	}
}

// If nothing can be read, the store is broken: verify says so and stops, instead of naming every
// file.
func TestVerify_StoreAway_Stops(t *testing.T) {
	store := newTestDisk(t)
	store.off.Store(true)
	bad := 0
	v := verifying(store, manyBlobs(200))
	v.Bad = func(core.BlobID, BadBlob) error { bad++; return nil }
	_, err := v.Run(t.Context())
	if core.KindOf(err) != core.KindUnavailable || bad >= maxUnreadable {
		t.Errorf("after %d bad blobs: %v", bad, err)
	}
}

// If a report cannot be delivered, or the log cannot be read, the verification ends with that
// error.
func TestVerify_Interrupted_Ends(t *testing.T) {
	gone := errors.New("gone")
	v := verifying(newTestDisk(t), manyBlobs(200))
	v.Bad = func(core.BlobID, BadBlob) error { return gone }
	if _, err := v.Run(t.Context()); !errors.Is(err, gone) {
		t.Errorf("nobody listens: %v", err)
	}
	broken := manyBlobs(1)
	broken.err = errors.New("no database")
	v = verifying(v.Store, broken)
	if _, err := v.Run(t.Context()); !errors.Is(err, broken.err) {
		t.Errorf("no database: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := verifying(v.Store, manyBlobs(200)).Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// A blob whose last reference is removed during the verification is not bad.
func TestVerify_ReleasedMeanwhile_IsNotBad(t *testing.T) {
	b := manyBlobs(1)
	for d, x := range b.refs {
		x.Refs = 0 // as BlobRefs says; the list of references was read before
		b.refs[d] = x
		f := verifying(newTestDisk(t), b).check(t.Context(), x)
		if f.problem != "" {
			t.Errorf("%+v", f)
		}
	}
}
