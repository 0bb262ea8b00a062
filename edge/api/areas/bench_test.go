package areas_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/nearside/nearside/cdn/tier"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge"
	"github.com/nearside/nearside/edge/api/apitest"
	"github.com/nearside/nearside/edge/api/areas"
)

// crowd is an HTTP client that keeps many connections to one server.
var crowd = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

func quick(c *apitest.Client, b *testing.B, method, path string, body []byte, status int) {
	req, err := http.NewRequestWithContext(b.Context(), method, c.URL+"/api/v4"+path, bytes.NewReader(body))
	if err != nil {
		b.Error(err)
		return
	}
	req.Header.Set("Authorization", "Bearer "+c.Token)
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

func benchWorld(b *testing.B) (*apitest.Client, core.ChannelID) {
	_, s := apitest.NewHome(b)
	ann := s.SignUp(b, "ann")
	team := ann.NewTeam("crew")
	return ann, ann.NewChannel(team.ID, "deck", "O")
}

func BenchmarkListPosts(b *testing.B) {
	ann, ch := benchWorld(b)
	for i := range 70 {
		ann.Post(ch, fmt.Sprintf("message number %d, of the length that messages have", i))
	}
	path := "/channels/" + ch.String() + "/posts?page=0&per_page=60"
	b.SetParallelism(8)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			quick(ann, b, "GET", path, nil, 200)
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
			quick(ann, b, "POST", "/posts", body, 201)
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}

// BenchmarkDownload reads a file from an edge's cache, and the same file through http.ServeFile:
// one large file, and many of a megabyte at once.
func BenchmarkDownload(b *testing.B) {
	h, s := apitest.NewHomeWith(b, func(cfg *areas.Config) { cfg.Files.Blobs = withCache(b, cfg.Files.Blobs) })
	w := apitest.NewFileWorld(b, h, s)
	for _, size := range []int{1 << 20, 64 << 20} {
		content := apitest.Noise(size)
		f := w.Ann.AddFile(w.Channel, "film.mp4", "video/mp4", content, nil)
		name := filepath.Join(b.TempDir(), "film.mp4")
		if err := os.WriteFile(name, content, 0o600); err != nil {
			b.Fatal(err)
		}
		plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, name) }))
		b.Cleanup(plain.Close)
		for _, from := range []struct {
			name string
			c    apitest.Client
			path string
		}{{"serve-file", apitest.Client{T: b, URL: plain.URL}, "/"}, {"edge", *w.Ann, "/files/" + f.ID.String()}} {
			b.Run(fmt.Sprintf("%s/%dMiB", from.name, size>>20), func(b *testing.B) {
				b.SetBytes(int64(size))
				if size > 1<<20 {
					for b.Loop() {
						quick(&from.c, b, "GET", from.path, nil, 200)
					}
					return
				}
				b.SetParallelism(64 / runtime.GOMAXPROCS(0))
				b.RunParallel(func(p *testing.PB) {
					for p.Next() {
						quick(&from.c, b, "GET", from.path, nil, 200)
					}
				})
			})
		}
	}
}

// withCache puts an edge's cache in front of an origin.
func withCache(b *testing.B, origin edge.Blobs) edge.Blobs {
	t, err := tier.New(tier.Config{Dir: b.TempDir(), MaxBytes: 1 << 30, MaxFiles: 100, Origin: origin})
	if err == nil {
		err = t.Load()
	}
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- t.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, t.Close()); err != nil {
			b.Error(err)
		}
	})
	return t
}

// BenchmarkLogin measures sign-ins of different people at once: two entries that count, one that signs in, and one
// hash of 19 MiB and two passes each.
func BenchmarkLogin(b *testing.B) {
	_, s := apitest.NewHome(b)
	const people = 16
	var names []string
	for i := range people {
		names = append(names, s.SignUp(b, fmt.Sprint("user", i)).Me.Username)
	}
	b.ResetTimer()
	before := cpu(b)
	work := make(chan int)
	done := make(chan struct{})
	for range people {
		go func() {
			defer func() { done <- struct{}{} }()
			for i := range work {
				if id := login(b, crowd, s.URL, map[string]string{"login_id": names[i%people], "password": apitest.Password}); id != "" {
					b.Error(id)
				}
			}
		}()
	}
	for i := range b.N {
		work <- i
	}
	close(work)
	for range people {
		<-done
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "logins/s")
	b.ReportMetric(float64((cpu(b)-before).Milliseconds())/float64(b.N), "cpu-ms/login") // of this process; PostgreSQL has its own
}

// cpu gives how much time of processors this process has taken.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
