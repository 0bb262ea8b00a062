package applytest

import (
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
)

// UploadsOf implements apply.Scans.
func (s *Store) UploadsOf(user core.UserID) []core.Upload {
	return scan(s.state.Uploads, func(u core.Upload) bool { return u.UserID == user }, apply.ByUploadAge)
}

// OldUploads implements apply.Scans.
func (s *Store) OldUploads(before int64, n int) []core.Upload {
	old := scan(s.state.Uploads, func(u core.Upload) bool { return u.CreateAt < before }, apply.ByUploadAge)
	return old[:min(n, len(old))]
}
