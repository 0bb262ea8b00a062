package apply

import (
	"cmp"
	"slices"

	"github.com/nearside/nearside/core"
)

// ByUploadAge is the order of uploads: total, so that every replica has the same.
func ByUploadAge(a, b core.Upload) int {
	return cmp.Or(cmp.Compare(a.CreateAt, b.CreateAt), slices.Compare(a.ID[:], b.ID[:]))
}
