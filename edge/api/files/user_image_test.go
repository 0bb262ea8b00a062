package files_test

import (
	"bytes"
	"image"
	"image/png"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge/api/apitest"
	"github.com/nearside/nearside/edge/api/areas"
)

// imageOf requests a user's picture as another user.
func imageOf(c *apitest.Client, t testing.TB, user core.UserID, headers ...string) (status int, etag string, m image.Image) {
	t.Helper()
	resp, body := c.Fetch("GET", "/users/"+user.String()+"/image", append(headers, "Accept-Encoding", "gzip")...)
	if resp.StatusCode != 200 {
		return resp.StatusCode, resp.Header.Get("Etag"), nil
	}
	if resp.Header.Get("Content-Type") != "image/png" || resp.Header.Get("Cache-Control") != "max-age=86400, private" || resp.Header.Get("Content-Encoding") != "" {
		t.Errorf("a picture has headers %v", resp.Header)
	}
	m, err := png.Decode(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return 200, resp.Header.Get("Etag"), m
}

func TestUserImage(t *testing.T) {
	// Users have their initials until they set a picture, and again after they remove it;
	// everybody sees a change at once, and an unchanged picture is not sent again.
	h, s := apitest.NewHome(t)
	w := apitest.NewFileWorld(t, h, s)
	id := w.Ann.Me.ID
	_, first, m := imageOf(w.Bob, t, id)
	if m.Bounds().Dx() != 128 || m.Bounds().Dy() != 128 {
		t.Errorf("initials have %v", m.Bounds())
	}
	if status, _, _ := imageOf(w.Bob, t, id, "If-None-Match", first); status != 304 {
		t.Errorf("the same initials: %d", status)
	}
	w.Ann.Must(200, "POST", "/users/me/image", apitest.FormWith("image", "me.jpg", apitest.JPEG(400, 300)), nil)
	var u core.User
	w.Bob.Must(200, "GET", "/users/"+id.String(), nil, &u)
	status, etag, m := imageOf(w.Bob, t, id, "If-None-Match", first)
	if status != 200 || u.LastPictureUpdate == 0 || etag != strconv.FormatInt(u.LastPictureUpdate, 10) || m.Bounds().Dx() != 256 || m.Bounds().Dy() != 256 {
		t.Errorf("the picture: %d, ETag %q of %d, %v", status, etag, u.LastPictureUpdate, m.Bounds())
	}
	for _, tag := range []string{etag, `"` + etag + `"`, `W/"` + etag + `"`} {
		if status, again, _ := imageOf(w.Bob, t, id, "If-None-Match", tag); status != 304 || again != etag {
			t.Errorf("the same picture: %d with ETag %q", status, again)
		}
	}
	if resp, body := w.Bob.Fetch("HEAD", "/users/"+id.String()+"/image"); resp.StatusCode != 200 || len(body) > 0 || resp.ContentLength < 100 {
		t.Errorf("HEAD: %d with %d bytes", resp.StatusCode, resp.ContentLength)
	}
	if resp, body := w.Bob.Fetch("GET", "/users/"+id.String()+"/image/default"); resp.StatusCode != 200 || !bytes.HasPrefix(body, []byte("\x89PNG")) {
		t.Errorf("the default: %d", resp.StatusCode)
	}
	w.Admin.Must(200, "POST", "/users/"+id.String()+"/image", apitest.PictureForm, nil)
	if _, other, _ := imageOf(w.Bob, t, id); other == etag {
		t.Error("another picture has the same ETag")
	}
	w.Ann.Must(200, "DELETE", "/users/me/image", nil, nil)
	if _, last, m := imageOf(w.Bob, t, id); last == first || last == etag || m.Bounds().Dx() != 128 {
		t.Errorf("after deletion the ETag is %q, the picture %v", last, m.Bounds())
	}
	w.Ann.Must(200, "PUT", "/users/me/patch", map[string]string{"username": "queen.ann"}, nil)
	_, before, _ := imageOf(w.Bob, t, id)
	w.Ann.Must(200, "PUT", "/users/me/patch", map[string]string{"username": "zoe"}, nil)
	if _, after, _ := imageOf(w.Bob, t, id); after == before {
		t.Error("another name has the same initials for ever")
	}
}

func TestUserImage_Refused(t *testing.T) {
	// Nobody can change another user's picture. A file that is no picture or is too large, or a
	// broken form, changes nothing and leaves nothing.
	spool := t.TempDir()
	h, s := apitest.NewHomeWith(t, func(cfg *areas.Config) { cfg.Files.MaxBytes, cfg.Files.Spool = 1<<20, spool })
	w := apitest.NewFileWorld(t, h, s)
	path := "/users/" + w.Ann.Me.ID.String() + "/image"
	w.Bob.Fails(403, "api.context.permissions.app_error", "POST", path, apitest.PictureForm)
	w.Bob.Fails(403, "api.context.permissions.app_error", "DELETE", path, nil)
	w.Admin.Fails(404, "app.user.missing_account.const", "DELETE", "/users/"+core.NewID[core.User](t0).String()+"/image", nil)
	w.Ann.Fails(404, "app.user.missing_account.const", "GET", "/users/"+core.NewID[core.User](t0).String()+"/image", nil)
	w.Ann.Fails(404, "app.user.missing_account.const", "GET", "/users/"+core.NewID[core.User](t0).String()+"/image/default", nil)
	whole := apitest.FormWith("image", "x.png", apitest.PNG(50, 50))
	for body, want := range map[string]struct {
		status int
		id     string
	}{
		apitest.FormWith("image", "x.png", []byte("no picture")):      {400, "api.user.upload_profile_user.decode.app_error"},
		apitest.FormWith("image", "x.png", nil):                       {400, "api.user.upload_profile_user.decode.app_error"},
		apitest.FormWith("image", "x.png", apitest.PNG(50, 50)[:100]): {400, "api.user.upload_profile_user.decode.app_error"},
		apitest.FormWith("image", "x.png", bomb(70_000, 70_000)):      {400, "api.user.upload_profile_user.decode.app_error"},
		apitest.FormWith("other", "x.png", apitest.PNG(50, 50)):       {400, "api.user.upload_profile_user.no_file.app_error"},
		apitest.FormWith("image", "x.png", make([]byte, 2<<20)):       {413, "api.user.upload_profile_user.too_large.app_error"},
		whole[:len(whole)-40]: {400, "api.file.upload_file.read_request.app_error"},
		whole[:len(whole)-5]:  {400, "api.file.upload_file.read_request.app_error"},
		"--edge\r\nbroken":    {400, "api.file.upload_file.read_form.app_error"},
		`{"image":"x"}`:       {400, "api.user.upload_profile_user.no_file.app_error"},
		strings.Repeat("--edge\r\nContent-Disposition: form-data; name=x\r\n\r\n\r\n", 200) + whole: {400, "api.file.upload_file.read_form.app_error"},
	} {
		w.Ann.Fails(want.status, want.id, "POST", path, body)
	}
	if left, err := os.ReadDir(spool); err != nil || len(left) > 0 {
		t.Errorf("%d files are left behind, %v", len(left), err)
	}
	if err := h.Blobs.List(t.Context(), cdn.Digest{}, func(i cdn.Info) error { t.Errorf("%v is stored", i); return nil }); err != nil {
		t.Error(err)
	}
}
