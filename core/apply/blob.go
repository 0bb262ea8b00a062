package apply

import "github.com/nearside/nearside/core"

// Blobs counts for each blob how many files, pictures and uploads name it.
var Blobs = table[core.BlobID, core.Blob]("blobs", "id")

// hold counts one more reference to each blob. A blob that is named with another size than before
// is refused: the name must be a mistake.
func (x *exec) hold(refs ...core.BlobRef) error {
	for _, ref := range refs {
		if ref.ID.IsZero() {
			continue
		}
		b, known := Blobs.Get(x, ref.ID)
		if ref.Size < 0 || ref.Size > core.MaxFileBytes || known && b.Refs > 0 && b.Size != ref.Size {
			return badRequest.With("reason", "blob_size")
		}
		Blobs.Put(x, core.Blob{BlobRef: ref, Refs: b.Refs + 1})
	}
	return nil
}

// release counts one reference less to each blob. The row stays when no reference is left, because
// the sweep of stored bytes needs to know since when.
func (x *exec) release(refs ...core.BlobRef) {
	for _, ref := range refs {
		x.releaseOne(ref, x.now)
	}
}

func (x *exec) releaseOne(ref core.BlobRef, at int64) {
	if ref.ID.IsZero() {
		return
	}
	b, known := Blobs.Get(x, ref.ID)
	if !known || b.Refs == 0 {
		return
	}
	b.Refs--
	if b.Refs == 0 {
		b.ReleasedAt = at
	}
	Blobs.Put(x, b)
}

// longAgo is a time of release so old that the sweep need not wait any more.
const longAgo = 1

// drop releases blobs that nobody can ask for again, such as the parts of an upload that has become
// a file. The sweep keeps them only as long as it keeps every new blob, not as long as deleted files.
func (x *exec) drop(refs ...core.BlobRef) {
	for _, ref := range refs {
		x.releaseOne(ref, longAgo)
	}
}

// named gives ref, without its size if it names no blob.
func named(ref core.BlobRef) core.BlobRef {
	if ref.ID.IsZero() {
		return core.BlobRef{}
	}
	return ref
}
