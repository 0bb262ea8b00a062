package origin

import (
	"context"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/core"
)

// Blobs reads and stores blobs: the disk of another home node, or a whole origin.
type Blobs interface {
	cdn.Getter
	cdn.Putter
	cdn.Stater
}

// pageOfBlobs is the number of blobs that one query reads.
const pageOfBlobs = 1000

// Ledger is what the log knows about blobs, read from the local replica.
type Ledger interface {
	// Blobs returns the blobs that the log refers to, in the order of ids, after the given one.
	Blobs(ctx context.Context, after core.BlobID, limit int) ([]core.Blob, error)
	// BlobRefs returns the number of references to a blob, and when the last one was removed.
	// known is false if the log has never named the blob.
	BlobRefs(ctx context.Context, id core.BlobID) (refs, releasedAt int64, known bool, err error)
}

// Referenced calls each for every blob that the log refers to, in the order of their digests.
func Referenced(ctx context.Context, l Ledger, each func(core.Blob) error) error {
	var after core.BlobID
	for {
		page, err := l.Blobs(ctx, after, pageOfBlobs)
		if err != nil {
			return err
		}
		for _, b := range page {
			if err := each(b); err != nil {
				return err
			}
			after = b.ID
		}
		if len(page) < pageOfBlobs {
			return nil
		}
	}
}
