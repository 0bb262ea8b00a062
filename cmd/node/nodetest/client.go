package nodetest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/backoff"
	"github.com/nearside/nearside/core/secrettest"
)

// Client is a user at an edge who uses the API as any client does.
type Client struct {
	URL      string
	Token    string
	Position string // what it has seen; sent with every request when not empty
	User     core.User

	t       testing.TB
	secrets *secrettest.Secrets
}

// Answer is the answer of an edge.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Client gives a user at the node who has not signed in.
func (n *Node) Client(t testing.TB) *Client { return &Client{URL: n.URL(), t: t, secrets: n.w.secrets} }

// NewClient gives a user at any edge, such as one in another process.
func NewClient(t testing.TB, url string) *Client {
	return &Client{URL: url, t: t, secrets: secrettest.New()}
}

// At gives the same user at another edge, with the same seen position.
func (c *Client) At(n *Node) *Client {
	moved := *c
	moved.URL = n.URL()
	return &moved
}

// Do sends a request, and keeps the position of the answer.
func (c *Client) Do(method, path string, body any) Answer {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
	defer cancel()
	var payload io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			c.t.Fatal(err)
		}
		payload = bytes.NewReader(raw)
		c.secrets.Learn(nil, raw, nil)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.URL+"/api/v4"+path, payload)
	if err != nil {
		c.t.Fatal(err)
	}
	return c.send(req, http.DefaultClient.Do)
}

// send sends a request as the user, and keeps the position of the answer.
func (c *Client) send(req *http.Request, do func(*http.Request) (*http.Response, error)) Answer {
	c.t.Helper()
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	if c.Position != "" {
		req.Header.Set("X-Nearside-Position", c.Position)
	}
	resp, err := do(req)
	if err != nil {
		c.t.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	defer resp.Body.Close()
	a := Answer{Status: resp.StatusCode, Header: resp.Header}
	c.secrets.Learn(req.Header, nil, resp.Header)
	if a.Body, err = io.ReadAll(resp.Body); err != nil {
		c.t.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	if at := resp.Header.Get("X-Nearside-Position"); at != "" {
		c.Position = at
	}
	return a
}

// OK sends a request, requires a 2xx and decodes the answer into out, which may be nil. Like every client, it
// tries again when the edge cannot answer now.
func (c *Client) OK(method, path string, body, out any) {
	c.t.Helper()
	a, _ := c.again(func() Answer { return c.Do(method, path, body) })
	c.decode(a, method+" "+path, out)
}

func (c *Client) decode(a Answer, what string, out any) {
	c.t.Helper()
	if a.Status/100 != 2 {
		c.t.Fatalf("%s: %d %s", what, a.Status, a.Body)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal(a.Body, out); err != nil {
		c.t.Fatalf("%s: %v: %s", what, err, a.Body)
	}
}

// again asks until the answer is not that the edge cannot now, or could not in time. After such an answer
// the effect is unknown: only what may be done twice is asked in this way. repeated says that it was asked twice.
func (c *Client) again(ask func() Answer) (a Answer, repeated bool) {
	c.t.Helper()
	for limit := time.Now().Add(waitLimit); ; repeated = true {
		a = ask()
		cannot := a.Status == http.StatusServiceUnavailable || a.Status == http.StatusGatewayTimeout
		if !cannot || time.Now().After(limit) || !backoff.Pause(c.t.Context(), 50*time.Millisecond) {
			return a, repeated
		}
	}
}

// make makes something with a name of its own. That the name is taken means that an earlier attempt made it.
func (c *Client) make(path string, body any) {
	c.t.Helper()
	a, repeated := c.again(func() Answer { return c.Do("POST", path, body) })
	if !repeated || a.Status != http.StatusBadRequest {
		c.decode(a, "POST "+path, nil)
	}
}

// SignUp makes an account and signs in.
func (c *Client) SignUp(name string) *Client {
	c.t.Helper()
	c.make("/users", map[string]string{"username": name, "email": name + "@example.com", "password": "correct horse 1"})
	return c.Login(name)
}

// Login signs in to an account that SignUp made.
func (c *Client) Login(name string) *Client {
	c.t.Helper()
	a, _ := c.again(func() Answer {
		return c.Do("POST", "/users/login", map[string]string{"login_id": name, "password": "correct horse 1"})
	})
	c.decode(a, "login", &c.User)
	c.Token = a.Header.Get("Token")
	return c
}

// Room makes a team and gives it with its first channel.
func (c *Client) Room(name string) (core.Team, core.Channel) {
	c.t.Helper()
	var team core.Team
	var ch core.Channel
	c.make("/teams", map[string]any{"name": name, "display_name": name, "type": "O", "allow_open_invite": true})
	c.OK("GET", "/teams/name/"+name, nil, &team)
	c.OK("GET", "/teams/"+team.ID.String()+"/channels/name/town-square", nil, &ch)
	return team, ch
}

// Join makes the person a member of a team.
func (c *Client) Join(team core.Team) {
	c.t.Helper()
	c.OK("POST", "/teams/"+team.ID.String()+"/members", map[string]string{"team_id": team.ID.String(), "user_id": c.User.ID.String()}, nil)
}

// Post writes a message, with files if there are any. The pending id makes a repeated attempt harmless.
func (c *Client) Post(ch core.ChannelID, message string, files ...core.FileID) (p core.Post) {
	c.t.Helper()
	c.OK("POST", "/posts", map[string]any{
		"channel_id": ch, "message": message, "file_ids": files,
		"pending_post_id": c.User.ID.String() + ":" + core.NewID[core.Post](time.Now()).String(),
	}, &p)
	return p
}

// Messages gives the latest messages of a channel, newest first.
func (c *Client) Messages(ch core.ChannelID) []string {
	c.t.Helper()
	var list struct {
		Order []core.PostID             `json:"order"`
		Posts map[core.PostID]core.Post `json:"posts"`
	}
	c.OK("GET", "/channels/"+ch.String()+"/posts?per_page=200", nil, &list)
	var out []string
	for _, id := range list.Order {
		if p := list.Posts[id]; p.Type == "" {
			out = append(out, p.Message)
		}
	}
	return out
}
