package areas_test

import (
	"crypto/sha256"
	"net/http"
	"testing"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge/api/apitest"
	"github.com/nearside/nearside/edge/api/areas"
)

func TestQuota_FilesOfAPerson(t *testing.T) {
	// Who has stored what they may is refused, before the bytes are stored, and can store again what they delete.
	h, s := apitest.NewHomeWith(t, func(cfg *areas.Config) { cfg.Files.Quota = core.Quota{Person: 1000} })
	ann := s.SignUp(t, "ann")
	ch, _ := apitest.ChannelOf(ann, 0)
	upload := func(content []byte) string { return apitest.FormWith("files", "a.bin", content) }
	var made struct {
		Files []core.File `json:"file_infos"`
	}
	place := "/files?channel_id=" + ch.String()
	ann.Must(http.StatusCreated, "POST", place, upload(apitest.Noise(600)), &made)
	const id = "api.nearside.storage.app_error"
	more := apitest.Noise(401)
	ann.Fails(http.StatusRequestEntityTooLarge, id, "POST", place, upload(more))
	if _, err := h.Blobs.Stat(t.Context(), cdn.Digest(sha256.Sum256(more))); err == nil {
		t.Error("the bytes are stored")
	}
	ann.Fails(http.StatusRequestEntityTooLarge, id, "POST", "/uploads", map[string]any{"channel_id": ch, "filename": "b.bin", "file_size": 401})
	var p core.Post
	ann.Must(http.StatusCreated, "POST", "/posts", map[string]any{"channel_id": ch, "file_ids": []core.FileID{made.Files[0].ID}}, &p)
	ann.Must(http.StatusOK, "DELETE", "/posts/"+p.ID.String(), nil, nil)
	ann.Must(http.StatusCreated, "POST", place, upload(more), nil)
}
