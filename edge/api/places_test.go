package api_test

import (
	"strings"
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge/api"
)

// Who has as many large downloads under way as one may have gets no further one; others do, and
// small files, which hold nothing, are sent to everybody.
func TestFiles_DownloadsAtOnce_AreBounded(t *testing.T) {
	h, s := newHome(t)
	w := newShipshape(t, h, s)
	large := w.ann.addFile(w.ch, "a.bin", "application/octet-stream", noise(200_000), nil)
	small := w.ann.addFile(w.ch, "b.txt", "text/plain", []byte("b"), nil)
	w.ann.attach(w.ch, large, small)
	read := func(c *client, f core.File) (int, string) {
		resp, body := c.fetch("GET", "/files/"+f.ID.String())
		return resp.StatusCode, string(body)
	}
	done := w.site.api.Downloading(w.ann.me.ID, api.DownloadsOfUser)
	if status, body := read(w.ann, large); status != 429 || !strings.Contains(body, "api.nearside.downloads_of_user.app_error") {
		t.Errorf("one too many: %d %.200s", status, body)
	}
	for _, c := range []struct {
		who  *client
		file core.File
	}{{w.ann, small}, {w.admin, large}} {
		if status, _ := read(c.who, c.file); status != 200 {
			t.Errorf("%s at the same time: %d", c.file.Name, status)
		}
	}
	done()
	if status, _ := read(w.ann, large); status != 200 {
		t.Errorf("after the others had ended: %d", status)
	}
}
