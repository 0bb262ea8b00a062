package pg

import (
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/apply"
)

// Files is the table of files, deleted ones too.
var Files = table(Table[core.FileID, core.File]{
	name: "files", keys: 1, part: 20,
	key:  func(f *core.File) core.FileID { return f.ID },
	with: func(id core.FileID) core.File { return core.File{ID: id} },
	cols: []column[core.File]{
		col("id", uuids[core.FileID](), func(f *core.File) *core.FileID { return &f.ID }),
		col("user_id", uuids[core.UserID](), func(f *core.File) *core.UserID { return &f.UserID }),
		col("post_id", uuids[core.PostID](), func(f *core.File) *core.PostID { return &f.PostID }),
		col("channel_id", uuids[core.ChannelID](), func(f *core.File) *core.ChannelID { return &f.ChannelID }),
		col("create_at", bigints[int64](), func(f *core.File) *int64 { return &f.CreateAt }),
		col("update_at", bigints[int64](), func(f *core.File) *int64 { return &f.UpdateAt }),
		col("delete_at", bigints[int64](), func(f *core.File) *int64 { return &f.DeleteAt }),
		col("size", bigints[int64](), func(f *core.File) *int64 { return &f.Size }),
		col("width", bigints[int64](), func(f *core.File) *int64 { return &f.Width }),
		col("height", bigints[int64](), func(f *core.File) *int64 { return &f.Height }),
		col("content_size", bigints[int64](), func(f *core.File) *int64 { return &f.Content.Size }),
		col("thumbnail_size", bigints[int64](), func(f *core.File) *int64 { return &f.Thumbnail.Size }),
		col("preview_size", bigints[int64](), func(f *core.File) *int64 { return &f.Preview.Size }),
		col("has_preview", booleans(), func(f *core.File) *bool { return &f.HasPreview }),
		col("archived", booleans(), func(f *core.File) *bool { return &f.Archived }),
		col("name", texts(), func(f *core.File) *string { return &f.Name }),
		col("extension", texts(), func(f *core.File) *string { return &f.Extension }),
		col("mime_type", texts(), func(f *core.File) *string { return &f.MimeType }),
		col("remote_id", texts(), func(f *core.File) *string { return &f.RemoteID }),
		col("content", blobIDs(), func(f *core.File) *core.BlobID { return &f.Content.ID }),
		col("thumbnail", blobIDs(), func(f *core.File) *core.BlobID { return &f.Thumbnail.ID }),
		col("preview", blobIDs(), func(f *core.File) *core.BlobID { return &f.Preview.ID }),
		col("mini_preview", blobs(), func(f *core.File) *[]byte { return &f.MiniPreview }),
	},
})

// FileTexts is the table of what the contents of files say.
var FileTexts = table(Table[core.FileID, apply.FileText]{
	name: "file_texts", keys: 1, part: 1,
	key:  func(f *apply.FileText) core.FileID { return f.File },
	with: func(id core.FileID) apply.FileText { return apply.FileText{File: id} },
	cols: []column[apply.FileText]{
		col("file_id", uuids[core.FileID](), func(f *apply.FileText) *core.FileID { return &f.File }),
		col("text", texts(), func(f *apply.FileText) *string { return &f.Text }),
	},
})

// FileLinks is the table of public links.
var FileLinks = table(Table[core.BlobID, apply.FileLink]{
	name: "file_links", keys: 1, part: 1,
	key:  func(l *apply.FileLink) core.BlobID { return l.Link },
	with: func(link core.BlobID) apply.FileLink { return apply.FileLink{Link: link} },
	cols: []column[apply.FileLink]{
		col("link", blobIDs(), func(l *apply.FileLink) *core.BlobID { return &l.Link }),
		col("file_id", uuids[core.FileID](), func(l *apply.FileLink) *core.FileID { return &l.File }),
		col("create_at", bigints[int64](), func(l *apply.FileLink) *int64 { return &l.CreateAt }),
	},
})

// Blobs is the table of how often each blob is named.
var Blobs = table(Table[core.BlobID, core.Blob]{
	name: "blobs", keys: 1, part: 10,
	key:  func(b *core.Blob) core.BlobID { return b.ID },
	with: func(id core.BlobID) core.Blob { return core.Blob{BlobRef: core.BlobRef{ID: id}} },
	cols: []column[core.Blob]{
		col("id", blobIDs(), func(b *core.Blob) *core.BlobID { return &b.ID }),
		col("size", bigints[int64](), func(b *core.Blob) *int64 { return &b.Size }),
		col("refs", bigints[int64](), func(b *core.Blob) *int64 { return &b.Refs }),
		col("released_at", bigints[int64](), func(b *core.Blob) *int64 { return &b.ReleasedAt }),
	},
})
