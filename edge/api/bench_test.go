package api_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/nearside/nearside/core"
)

// crowd is an HTTP client with room for many connections to one server.
var crowd = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

func (c *client) quick(b *testing.B, method, path string, body []byte, status int) {
	req, err := http.NewRequestWithContext(b.Context(), method, c.url+"/api/v4"+path, bytes.NewReader(body))
	if err != nil {
		b.Error(err)
		return
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	resp, err := crowd.Do(req)
	if err != nil {
		b.Error(err)
		return
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != status {
		b.Errorf("%s %s: %d, %v", method, path, resp.StatusCode, err)
	}
}

func benchWorld(b *testing.B) (*client, core.ChannelID) {
	_, s := newHome(b)
	ann := s.signUp(b, "ann")
	team := ann.newTeam("crew")
	return ann, ann.newChannel(team.ID, "deck", "O")
}

func BenchmarkListPosts(b *testing.B) {
	ann, ch := benchWorld(b)
	for i := range 70 {
		ann.post(ch, fmt.Sprintf("message number %d, of the length that messages have", i))
	}
	path := "/channels/" + ch.String() + "/posts?page=0&per_page=60"
	b.SetParallelism(8)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			ann.quick(b, "GET", path, nil, 200)
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}

func BenchmarkCreatePost(b *testing.B) {
	ann, ch := benchWorld(b)
	body := []byte(fmt.Sprintf(`{"channel_id":%q,"message":"a message of the length that messages have"}`, ch))
	b.SetParallelism(8)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			ann.quick(b, "POST", "/posts", body, 201)
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}
