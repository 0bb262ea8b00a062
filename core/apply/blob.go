package apply

import "github.com/nearside/nearside/core"

// Blobs is how often files, pictures and uploads name each blob.
var Blobs = table[core.BlobID, core.Blob]("blobs")

// hold counts one more reference to each blob that is named. That a blob's size is always the
// same tells a mixed-up name before it is kept.
func (x *exec) hold(refs ...core.BlobRef) error {
	for _, ref := range refs {
		if ref.ID.IsZero() {
			continue
		}
		b, known := Blobs.Get(x, ref.ID)
		if ref.Size < 0 || known && b.Refs > 0 && b.Size != ref.Size {
			return badRequest.With("reason", "blob_size")
		}
		Blobs.Put(x, core.Blob{BlobRef: ref, Refs: b.Refs + 1})
	}
	return nil
}

// release counts one reference less to each blob that is named. The row stays when there are
// none left: since when is what the sweep of stored bytes goes by.
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

// longAgo is a time of release that needs no waiting for: what was only on its way to somewhere.
const longAgo = 1

// drop releases blobs that nobody can ask for again, as the parts of an upload that has become a
// file: the sweep need not keep them for an undo, only for as long as it keeps every blob.
func (x *exec) drop(refs ...core.BlobRef) {
	for _, ref := range refs {
		x.releaseOne(ref, longAgo)
	}
}

// named is a reference without a size when it names nothing.
func named(ref core.BlobRef) core.BlobRef {
	if ref.ID.IsZero() {
		return core.BlobRef{}
	}
	return ref
}
