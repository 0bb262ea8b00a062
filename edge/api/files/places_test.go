package files_test

import (
	"strings"
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge/api/apitest"
	"github.com/nearside/nearside/edge/api/files"
)

// A user with the maximum number of large downloads gets no further one; other users do, and
// small files are always sent, because they occupy nothing.
func TestFiles_DownloadsAtOnce_AreBounded(t *testing.T) {
	h, s := apitest.NewHome(t)
	w := apitest.NewFileWorld(t, h, s)
	large := w.Ann.AddFile(w.Channel, "a.bin", "application/octet-stream", apitest.Noise(200_000), nil)
	small := w.Ann.AddFile(w.Channel, "b.txt", "text/plain", []byte("b"), nil)
	w.Ann.Attach(w.Channel, large, small)
	read := func(c *apitest.Client, f core.File) (int, string) {
		resp, body := c.Fetch("GET", "/files/"+f.ID.String())
		return resp.StatusCode, string(body)
	}
	done := service(w.Site).Downloading(w.Ann.Me.ID, files.DownloadsOfUser)
	if status, body := read(w.Ann, large); status != 429 || !strings.Contains(body, "api.nearside.downloads_of_user.app_error") {
		t.Errorf("one too many: %d %.200s", status, body)
	}
	for _, c := range []struct {
		who  *apitest.Client
		file core.File
	}{{w.Ann, small}, {w.Admin, large}} {
		if status, _ := read(c.who, c.file); status != 200 {
			t.Errorf("%s at the same time: %d", c.file.Name, status)
		}
	}
	done()
	if status, _ := read(w.Ann, large); status != 200 {
		t.Errorf("after the others had ended: %d", status)
	}
}
