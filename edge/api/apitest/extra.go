package apitest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/read"
	"github.com/nearside/nearside/edge/api"
)

// ChannelOf makes a channel with n posts "1" … "n" and returns them; the oldest post is the
// system message that the creator joined.
func ChannelOf(c *Client, n int) (core.ChannelID, []core.Post) {
	team := c.NewTeam("crew")
	ch := c.NewChannel(team.ID, "deck", "O")
	var posts []core.Post
	for i := range n {
		posts = append(posts, c.Post(ch, fmt.Sprint(i+1)))
	}
	return ch, posts
}

// Filled returns a route's path with existing ids.
func Filled(path string, ids map[string]string) string {
	path = strings.TrimPrefix(path, "/api/v4")
	for name, v := range ids {
		path = strings.ReplaceAll(path, "{"+name+"}", v)
	}
	return path
}

// More has the ids of other paths: each function makes an object in a channel and returns its id. The tests of nouns
// add theirs.
var More = map[string]func(c *Client, ch core.ChannelID) string{}

// OneOfEach makes one team, channel, post and so on, and returns the ids for paths.
func OneOfEach(c *Client) map[string]string {
	team := c.NewTeam("crew")
	ch := c.NewChannel(team.ID, "deck", "O")
	f := c.AddPicture(ch, "sail.png")
	p := c.Attach(ch, f)
	out := map[string]string{
		"file_id": f.ID.String(),
		"user_id": c.Me.ID.String(), "username": c.Me.Username, "email": c.Me.Email, "team_id": team.ID.String(), "name": "crew",
		"team_name": "crew", "channel_id": ch.String(), "channel_name": "deck", "post_id": p.ID.String(), "category": "tutorial_step",
		"emoji_name": "smile", "preference_name": c.Me.ID.String(), "role_id": strings.Repeat("a", 26), "role_name": "system_user",
	}
	for name, id := range More {
		out[name] = id(c, ch)
	}
	return out
}

// Raw sends a request exactly as given, without the transport's own compression.
func (s *Site) Raw(t *testing.T, method, path, body string, h map[string]string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+"/api/v4"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range h {
		req.Header.Set(k, v)
	}
	resp, err := (&http.Transport{DisableCompression: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// Asker asks home, or fails while home is cut off.
type Asker struct {
	Answer func(context.Context, []byte) ([]byte, error)
	Asked  int
}

// Ask implements edge.Asker.
func (a *Asker) Ask(ctx context.Context, q []byte) ([]byte, error) {
	a.Asked++
	return a.Answer(ctx, q)
}

// TwoEdges makes a home with an edge at home and one elsewhere.
func TwoEdges(t *testing.T) (near, away *Site, ask *Asker) {
	h, near := NewHome(t)
	ask = &Asker{Answer: api.AnswerPosition(near)}
	return near, h.NewSite(ask), ask
}

func Noise(n int) []byte {
	b := make([]byte, n)
	rng := rand.NewChaCha8([32]byte{1})
	_, _ = rng.Read(b)
	return b
}

func (s *Site) TeamOf(ch core.ChannelID) core.TeamID {
	s.Home.T.Helper()
	c, _, err := read.New(s.DB, nil).Channel(s.Home.T.Context(), ch)
	if err != nil {
		s.Home.T.Fatal(err)
	}
	return c.TeamID
}

// Begin begins an upload.
func (c *Client) Begin(ch, name string, size int64) (up core.Upload) {
	c.T.Helper()
	c.Must(201, "POST", "/uploads", map[string]any{"channel_id": ch, "filename": name, "file_size": size}, &up)
	return up
}

// ChannelForm is the first part of a form.
const ChannelForm = "--edge\r\nContent-Disposition: form-data; name=\"channel_id\"\r\n\r\n{channel_id}\r\n"
