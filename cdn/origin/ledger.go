package origin

import (
	"context"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/core"
)

// Blobs reads and stores blobs; it is a disk of another home node, or a whole origin.
type Blobs interface {
	cdn.Getter
	cdn.Putter
	cdn.Stater
}

// pageOfBlobs is how many blobs are asked for at a time.
const pageOfBlobs = 1000

// Ledger is what the log knows of blobs, in the local replica.
type Ledger interface {
	// Blobs gives the blobs that the log refers to, by id, after one of them.
	Blobs(ctx context.Context, after core.BlobID, limit int) ([]core.Blob, error)
	// BlobRefs says how often the log refers to a blob, and when the last reference went. A
	// blob that the log has never named is not known.
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
