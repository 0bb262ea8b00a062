package pg

import (
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
)

// Uploads is the table of uploads under way.
var Uploads = table(Table[core.UploadID, core.Upload]{
	name: "uploads", keys: 1, part: 8,
	key:  func(u *core.Upload) core.UploadID { return u.ID },
	with: func(id core.UploadID) core.Upload { return core.Upload{ID: id} },
	cols: []column[core.Upload]{
		col("id", uuids[core.UploadID](), func(u *core.Upload) *core.UploadID { return &u.ID }),
		col("user_id", uuids[core.UserID](), func(u *core.Upload) *core.UserID { return &u.UserID }),
		col("channel_id", uuids[core.ChannelID](), func(u *core.Upload) *core.ChannelID { return &u.ChannelID }),
		col("create_at", bigints[int64](), func(u *core.Upload) *int64 { return &u.CreateAt }),
		col("file_size", bigints[int64](), func(u *core.Upload) *int64 { return &u.FileSize }),
		col("file_offset", bigints[int64](), func(u *core.Upload) *int64 { return &u.FileOffset }),
		col("type", texts(), func(u *core.Upload) *string { return &u.Type }),
		col("filename", texts(), func(u *core.Upload) *string { return &u.Filename }),
		col("parts", lists[core.BlobRef](), func(u *core.Upload) *[]core.BlobRef { return &u.Parts }),
	},
})

// UploadsOf implements apply.Scans.
func (q scans) UploadsOf(user core.UserID) []core.Upload {
	return rowsOf(q.s.state.Uploads).scan("SELECT "+Uploads.Columns("")+" FROM uploads WHERE user_id = $1", [][]byte{user[:]},
		func(u *core.Upload) bool { return u.UserID == user }, apply.ByUploadAge)
}

// OldUploads implements apply.Scans.
func (q scans) OldUploads(before int64, n int) []core.Upload {
	r := rowsOf(q.s.state.Uploads)
	// What the batch has changed may be among the first rows: as many more make up for it.
	limit := bigint(uint64(n + len(r.dirty)))
	old := r.scan("SELECT "+Uploads.Columns("")+" FROM uploads WHERE create_at < $1 ORDER BY create_at, id LIMIT $2",
		[][]byte{bigint(uint64(before)), limit}, func(u *core.Upload) bool { return u.CreateAt < before }, apply.ByUploadAge)
	return old[:min(n, len(old))]
}
