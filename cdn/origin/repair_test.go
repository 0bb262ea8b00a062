package origin

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"slices"
	"testing"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/cdn/cdntest"
	"github.com/nearside/nearside/core"

	"github.com/nearside/nearside/core/eventually"
)

// fakeLedger is what a log refers to.
type fakeLedger struct {
	refs map[cdn.Digest]core.Blob
	err  error
}

func (b *fakeLedger) Blobs(_ context.Context, after core.BlobID, limit int) (page []core.Blob, err error) {
	for _, x := range b.refs {
		if bytes.Compare(x.ID[:], after[:]) > 0 && x.Refs > 0 {
			page = append(page, x)
		}
	}
	sortBlobs(page)
	return page[:min(limit, len(page))], b.err
}

func (b *fakeLedger) BlobRefs(_ context.Context, id core.BlobID) (refs, releasedAt int64, known bool, err error) {
	x, known := b.refs[cdn.Digest(id)]
	return x.Refs, x.ReleasedAt, known, b.err
}

func (b *fakeLedger) hold(d cdn.Digest, refs, releasedAt int64) {
	b.refs[d] = core.Blob{BlobRef: core.BlobRef{ID: core.BlobID(d), Size: 100_000}, Refs: refs, ReleasedAt: releasedAt}
}

func sortBlobs(page []core.Blob) {
	slices.SortFunc(page, func(a, b core.Blob) int { return bytes.Compare(a.ID[:], b.ID[:]) })
}

// A home node fetches blobs that the log refers to and that it lacks, and counts those that no
// node has.
func TestRepair_Missing_IsFetched(t *testing.T) {
	o, disks := homeDisks(t, 1)
	b := &fakeLedger{refs: map[cdn.Digest]core.Blob{}}
	there, err := putTest(t, disks[1], 1)
	if err != nil {
		t.Fatal(err)
	}
	short, err := putTest(t, o, 2)
	if err != nil {
		t.Fatal(err)
	}
	eventually.True(t, "copy", func() bool { return disks[1].has(short) })
	if err := os.Truncate(disks[0].file(short), 10); err != nil {
		t.Fatal(err)
	}
	nowhere, _ := cdntest.Content(3, 10)
	for _, d := range []cdn.Digest{there, short, nowhere} {
		b.hold(d, 1, 0)
	}
	r := NewRepair(RepairConfig{Disks: o, Ledger: b, Logger: slog.New(slog.DiscardHandler)})
	if err := r.walk(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !disks[0].has(there) || !disks[0].has(short) || r.Missing() != 1 || o.Repaired() != 2 {
		t.Errorf("there %v, short %v, %d missing, %d repaired", disks[0].has(there), disks[0].has(short), r.Missing(), o.Repaired())
	}
}
