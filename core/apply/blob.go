package apply

import (
	"github.com/nearside/nearside/core"
)

// hold counts one more reference to each blob that is named. That a blob's size is always the
// same tells a mixed-up name before it is kept.
func (x *exec) hold(refs ...core.BlobRef) error {
	for _, ref := range refs {
		if ref.ID.IsZero() {
			continue
		}
		b, known := x.Blobs.Get(ref.ID)
		if ref.Size < 0 || known && b.Refs > 0 && b.Size != ref.Size {
			return invalid("api.context.invalid_body_param.app_error", "The stored bytes have another size than that.")
		}
		x.Blobs.Put(core.Blob{BlobRef: ref, Refs: b.Refs + 1})
	}
	return nil
}

// release counts one reference less to each blob that is named. The row stays when there are
// none left: since when is what the sweep of stored bytes goes by.
func (x *exec) release(refs ...core.BlobRef) {
	for _, ref := range refs {
		b, known := x.Blobs.Get(ref.ID)
		if ref.ID.IsZero() || !known || b.Refs == 0 {
			continue
		}
		b.Refs--
		if b.Refs == 0 {
			b.ReleasedAt = x.now
		}
		x.Blobs.Put(b)
	}
}

// named is a reference without a size when it names nothing.
func named(ref core.BlobRef) core.BlobRef {
	if ref.ID.IsZero() {
		return core.BlobRef{}
	}
	return ref
}
