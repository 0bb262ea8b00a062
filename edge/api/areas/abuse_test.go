package areas_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge/api/apitest"
	"github.com/nearside/nearside/edge/rate"
)

// The shape of the measurement.
const (
	abusers = 8  // connections of the one account
	turns   = 8  // pairs of a quiet and a loud turn
	looks   = 60 // requests of somebody else in a turn

	spree = 10 * time.Second // for which it goes on at most until it is refused
)

// wish is a request of the account that takes all it can get.
type wish struct{ method, path, body string }

// BenchmarkAbuse measures what somebody waits for while one account does what is expensive, from several connections, as
// fast as it is answered: how many times the p99 of quiet turns that of the turns between them is. Before that it spends
// what a busy person may spend at once, which takes seconds: what counts is what can go on for hours.
func BenchmarkAbuse(b *testing.B) {
	s := limited(b, rate.Config{})
	max, eve := s.SignUp(b, "max"), s.SignUp(b, "eve")
	team := max.NewTeam("loud").ID
	loud := max.NewChannel(team, "loud", "O")
	eve.JoinTeam(team)
	eve.Join(loud)
	long := base64.StdEncoding.EncodeToString(apitest.Noise(core.MaxPostRunes / 4 * 3))
	for range 150 {
		max.Post(loud, long)
	}
	picture := apitest.FormWith("image", "me.png", apitest.PNG(4000, 4000))
	file := apitest.FormWith("files", "me.png", apitest.PNG(4000, 4000))
	runs := 0
	mentions := fmt.Sprintf(`{"channel_id":%q,"message":%q}`, loud, strings.Repeat("@ann #tag ", core.MaxPostRunes/10))
	for name, kind := range map[string]func(n int) wish{
		"lists":    func(n int) wish { return wish{"GET", fmt.Sprintf("/channels/%s/posts?since=%d", loud, n+1), ""} },
		"pages":    func(int) wish { return wish{"GET", fmt.Sprintf("/channels/%s/posts?per_page=200", loud), ""} },
		"searches": func(n int) wish { return wish{"POST", "/users/search", fmt.Sprintf(`{"term":"e%d"}`, n%7)} },
		"posts":    func(int) wish { return wish{"POST", "/posts", mentions} },
		"logins": func(n int) wish {
			return wish{"POST", "/users/login", fmt.Sprintf(`{"login_id":"nobody%d","password":"wrong password"}`, n)}
		},
		"pictures": func(int) wish { return wish{"POST", "/users/me/image", picture} },
		"files":    func(int) wish { return wish{"POST", "/files?channel_id=" + loud.String(), file} },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				runs++
				ann := s.SignUp(b, fmt.Sprint("ann", runs)) // who is limited too, so each run has another
				quiet := ann.NewChannel(ann.NewTeam(fmt.Sprint("quiet-", runs)).ID, "quiet", "O")
				var calm, noisy []time.Duration
				served := 0
				patience(ann, quiet) // caches are warm
				spend(b, s, eve.Token, kind)
				for range turns {
					calm = append(calm, patience(ann, quiet)...)
					stop := abuse(b, s, eve.Token, kind, nil)
					noisy = append(noisy, patience(ann, quiet)...)
					served += stop()
				}
				p99 := func(took []time.Duration) float64 {
					slices.Sort(took)
					return took[len(took)*99/100].Seconds() * 1000
				}
				b.ReportMetric(p99(calm), "quiet-ms")
				b.ReportMetric(p99(noisy), "loud-ms")
				b.ReportMetric(p99(noisy)/p99(calm), "ratio")
				b.ReportMetric(float64(served), "served")
			}
		})
	}
}

// patience gives how long each request of somebody who reads and writes took.
func patience(c *apitest.Client, ch core.ChannelID) (took []time.Duration) {
	pause := time.NewTicker(2 * time.Millisecond) // people pause; without one it would measure itself
	defer pause.Stop()
	for i := range looks {
		began := time.Now()
		switch i % 5 {
		case 0:
			c.Post(ch, fmt.Sprint("message ", i))
		case 1:
			c.Must(http.StatusOK, "GET", "/users/me", nil, nil)
		default:
			c.Must(http.StatusOK, "GET", fmt.Sprintf("/channels/%s/posts?per_page=30", ch), nil, nil)
		}
		took = append(took, time.Since(began))
		<-pause.C
	}
	return took
}

// spend makes requests until the first one is refused, or for as long as a spree may take.
func spend(b *testing.B, s *apitest.Site, token string, kind func(n int) wish) {
	refused := make(chan struct{})
	var once sync.Once
	stop := abuse(b, s, token, kind, func() { once.Do(func() { close(refused) }) })
	select {
	case <-refused:
	case <-time.After(spree):
	}
	stop()
}

// abuse makes requests of one account as fast as they are answered, until stop is called, which gives how many were
// not refused. It tells onRefused, unless that is nil, of those that were.
func abuse(b *testing.B, s *apitest.Site, token string, kind func(n int) wish, onRefused func()) (stop func() int) {
	ctx, cancel := context.WithCancel(b.Context())
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: abusers}}
	var all sync.WaitGroup
	var mu sync.Mutex
	served := 0
	for i := range abusers {
		all.Go(func() {
			for n := i; ctx.Err() == nil; n += abusers {
				r := kind(n)
				req, err := http.NewRequestWithContext(ctx, r.method, s.URL+apitest.Place(r.path), strings.NewReader(r.body))
				if err != nil {
					b.Error(err)
					return
				}
				req.Header.Set("X-Forwarded-For", "192.0.2.66")
				req.Header.Set("Authorization", "Bearer "+token)
				req.Header.Set("Accept-Encoding", "gzip") // set here, so that it is not decoded here
				if boundary, _, form := strings.Cut(r.body, "\r\n"); form {
					req.Header.Set("Content-Type", "multipart/form-data; boundary="+boundary[2:])
				}
				resp, err := client.Do(req)
				if err != nil {
					continue // it was stopped
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				switch {
				case resp.StatusCode != http.StatusTooManyRequests:
					mu.Lock()
					served++
					mu.Unlock()
				case onRefused != nil:
					onRefused()
				}
			}
		})
	}
	return func() int {
		cancel()
		all.Wait()
		client.CloseIdleConnections()
		return served
	}
}
