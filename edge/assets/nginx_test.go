package assets

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// edgeStub is an edge as a cache sees it: the real assets, and answers like the API's.
type edgeStub struct {
	assets http.Handler
	began  chan struct{} // closed when the first byte of an upload has arrived

	mu    sync.Mutex
	asked map[string]int // by path
}

func (e *edgeStub) count(path string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.asked[path]
}

func (e *edgeStub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	e.asked[r.URL.Path]++
	e.mu.Unlock()
	switch {
	case r.URL.Path == "/api/v4/users/u/image":
		w.Header().Set("Cache-Control", "max-age=86400, private")
		w.Header().Set("Content-Type", "image/png")
		_, _ = io.WriteString(w, "picture of "+r.Header.Get("Authorization"))
	case r.URL.Path == "/api/v4/config/client":
		w.Header().Set("Expires", "0")
		_, _ = io.WriteString(w, "{}")
	case r.URL.Path == "/api/v4/files":
		e.take(w, r)
	case r.URL.Path == "/api/v4/websocket":
		upgrade(w, r)
	case r.URL.Path == "/static/short.txt": // our own files are not so short-lived
		w.Header().Set("Cache-Control", "public, max-age=1")
		_, _ = io.WriteString(w, "short, cookies: "+r.Header.Get("Cookie"))
	default:
		e.assets.ServeHTTP(w, r)
	}
}

// take reports the first byte of a body while the rest is still being sent.
func (e *edgeStub) take(w http.ResponseWriter, r *http.Request) {
	first := make([]byte, 1)
	_, _ = io.ReadFull(r.Body, first)
	close(e.began)
	n, _ := io.Copy(io.Discard, r.Body)
	_, _ = fmt.Fprintf(w, "%s and %d more", first, n)
}

// upgrade answers a protocol of one line.
func upgrade(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "websocket" || r.Header.Get("Connection") != "upgrade" {
		http.Error(w, "not an upgrade", http.StatusBadRequest)
		return
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
	_ = rw.Flush()
	line, _ := rw.ReadString('\n')
	_, _ = rw.WriteString("heard " + line)
	_ = rw.Flush()
}

// proxied is nginx with our configuration in front of an edge, each on its own socket.
type proxied struct {
	edge   *edgeStub
	origin *http.Server
	socket string
	client *http.Client
}

func startNginx(t *testing.T) *proxied {
	t.Helper()
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		nginx = "/usr/sbin/nginx" // Debian's path, which is not in the PATH of ordinary users
	}
	if _, err := os.Stat(nginx); err != nil {
		t.Skip("nginx is not installed: apt-get install nginx-light")
	}
	dir := t.TempDir()
	p := &proxied{socket: filepath.Join(dir, "nginx.sock"), edge: &edgeStub{asked: map[string]int{}, began: make(chan struct{})}}
	p.edge.assets = started(t, Config{FS: testBuild()})
	p.startOrigin(t, filepath.Join(dir, "edge.sock"))
	p.client = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", p.socket)
		},
	}}
	conf := nginxConfig(t, dir)
	cmd := exec.CommandContext(t.Context(), nginx, "-p", dir, "-c", conf)
	var log bytes.Buffer
	cmd.Stderr = &log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // its workers end with it
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = cmd.Cancel()
		<-ended
		if t.Failed() {
			t.Log(log.String())
		}
	})
	p.await(t, ended, &log)
	return p
}

func (p *proxied) startOrigin(t *testing.T, socket string) {
	t.Helper()
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	p.origin = &http.Server{Handler: p.edge, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() { defer close(done); _ = p.origin.Serve(l) }()
	t.Cleanup(func() { _ = p.origin.Close(); <-done })
}

// nginxConfig returns the deployed configuration with a test's sockets in three places.
func nginxConfig(t *testing.T, dir string) string {
	t.Helper()
	raw, err := os.ReadFile("../../deploy/nginx-cache.conf")
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for old, place := range map[string]string{
		"listen 80;": "listen unix:" + dir + "/nginx.sock;", "server 127.0.0.1:8065;": "server unix:" + dir + "/edge.sock;", "/var/cache/nginx/nearside": dir + "/cache",
	} {
		if strings.Count(text, old) != 1 {
			t.Fatalf("%q does not stand once in the configuration", old)
		}
		text = strings.Replace(text, old, place, 1)
	}
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;" // only our user can read the directory
	}
	var temp strings.Builder
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&temp, "%s_temp_path %s/%s;\n", kind, dir, kind)
	}
	main := fmt.Sprintf("%s daemon off; worker_processes 1; pid %s/pid; error_log stderr;\nevents {}\nhttp {\naccess_log off;\n%s%s}\n", user, dir, &temp, text)
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, []byte(main), 0o600); err != nil {
		t.Fatal(err)
	}
	return conf
}

// await waits until nginx answers.
func (p *proxied) await(t *testing.T, ended <-chan struct{}, log *bytes.Buffer) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		if conn, err := net.Dial("unix", p.socket); err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ended:
			t.Fatalf("nginx ended: %s", log)
		case <-deadline:
			t.Fatal("nginx does not answer")
		}
	}
}

// get returns the cache's status, the header and the body.
func (p *proxied) get(t *testing.T, path string, fields ...string) (string, http.Header, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://nearside"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	resp, err := p.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.Header.Get("X-Cache-Status"), resp.Header, string(body)
}

const hashedScript = "/static/main.0123456789abcdef01.js"

// A file is fetched once for each coding, however browsers spell Accept-Encoding, and each gets a
// coding that it accepts.
func TestNginx_OneCopyForEachCoding(t *testing.T) {
	p := startNginx(t)
	for _, c := range []struct{ accept, coding, cache string }{
		{"gzip, deflate, br, zstd", "br", "MISS"}, {"br, gzip", "br", "HIT"}, {"br;q=1.0,gzip;q=0.8", "br", "HIT"},
		{"gzip", "gzip", "MISS"}, {"gzip, br;q=0", "gzip", "HIT"}, {"gzip,br;q=0.0,zstd;q=0", "gzip", "HIT"}, {"br", "br", "HIT"},
		{"zstd", "zstd", "MISS"}, {"", "", "MISS"}, {"identity", "", "HIT"}, {"br;q=0", "", "HIT"}, {"deflate, brotli", "", "HIT"},
	} {
		status, h, body := p.get(t, hashedScript, "Accept-Encoding", c.accept)
		if status != c.cache || h.Get("Content-Encoding") != c.coding || h.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%q: %s, %q, vary %q", c.accept, status, h.Get("Content-Encoding"), h.Get("Vary"))
		}
		r := &http.Response{Header: h, Body: io.NopCloser(strings.NewReader(body))}
		if unpacked(t, r) != script {
			t.Errorf("%q: other bytes", c.accept)
		}
	}
	if n := p.edge.count(hashedScript); n != 4 {
		t.Errorf("the edge was asked %d times", n)
	}
}

// The cache answers conditional requests by the edge's own tags, and a query string makes no
// second copy.
func TestNginx_Revalidation(t *testing.T) {
	p := startNginx(t)
	_, h, _ := p.get(t, hashedScript, "Accept-Encoding", "br")
	tag := h.Get("ETag")
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://nearside"+hashedScript+"?v=2", nil)
	r.Header.Set("Accept-Encoding", "br")
	r.Header.Set("If-None-Match", tag)
	resp, err := p.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusNotModified || resp.Header.Get("ETag") != tag || p.edge.count(hashedScript) != 1 {
		t.Errorf("%d, %s, asked %d times", resp.StatusCode, resp.Header.Get("ETag"), p.edge.count(hashedScript))
	}
}

// Private answers, the API's, the page itself and missing files are requested every time; a
// cookie reaches only the edge.
func TestNginx_KeepsNothingPrivate(t *testing.T) {
	p := startNginx(t)
	for _, path := range []string{"/api/v4/users/u/image", "/api/v4/config/client", "/", "/static/none.js", "/static/remote_entry.js"} {
		for _, who := range []string{"ann", "bob"} {
			status, _, body := p.get(t, path, "Authorization", who)
			if status == "HIT" || strings.HasPrefix(body, "picture") && body != "picture of "+who {
				t.Errorf("%s for %s: %s, %s", path, who, status, body)
			}
		}
		if n := p.edge.count(path); n != 2 {
			t.Errorf("%s: the edge was asked %d times", path, n)
		}
	}
	if _, _, body := p.get(t, "/static/short.txt", "Cookie", "MMAUTHTOKEN=secret"); body != "short, cookies: " {
		t.Errorf("%q", body)
	}
}

// If many clients request a new file at once, the edge is asked once.
func TestNginx_AsksOnce(t *testing.T) {
	p := startNginx(t)
	var all sync.WaitGroup
	for range 40 {
		all.Go(func() { p.get(t, "/static/i18n/de.json", "Accept-Encoding", "br") })
	}
	all.Wait()
	if n := p.edge.count("/static/i18n/de.json"); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// If the edge is down, fetched files are still served, even if they are too old.
func TestNginx_ServesWithoutEdge(t *testing.T) {
	p := startNginx(t)
	p.get(t, hashedScript, "Accept-Encoding", "br")
	p.get(t, "/static/short.txt")
	_ = p.origin.Close()
	if status, h, _ := p.get(t, hashedScript, "Accept-Encoding", "br"); status != "HIT" || h.Get("Content-Encoding") != "br" {
		t.Errorf("%s", status)
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		status, _, body := p.get(t, "/static/short.txt")
		if body != "short, cookies: " {
			t.Fatalf("%s: %.100q", status, body)
		}
		if status == "STALE" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("never old: %s", status)
		}
	}
}

// An upload reaches the edge byte by byte; the API's limits, not nginx's, end one that is too
// large.
func TestNginx_StreamsUploads(t *testing.T) {
	p := startNginx(t)
	pr, pw := io.Pipe()
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://nearside/api/v4/files", pr)
	r.ContentLength = 1 << 20
	go func() {
		_, _ = pw.Write([]byte("x"))
		select { // the rest is sent only after the edge has the first byte
		case <-p.edge.began:
		case <-t.Context().Done():
		}
		_, _ = pw.Write(make([]byte, 1<<20-1))
	}()
	resp, err := p.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if body, _ := io.ReadAll(resp.Body); string(body) != "x and 1048575 more" {
		t.Errorf("%q", body)
	}
	r, _ = http.NewRequestWithContext(t.Context(), http.MethodPost, "http://nearside/api/v4/posts", bytes.NewReader(make([]byte, 400<<10)))
	resp, err = p.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge || p.edge.count("/api/v4/posts") != 0 {
		t.Errorf("a large post: %d", resp.StatusCode)
	}
}

// A WebSocket passes in both directions.
func TestNginx_PassesUpgrades(t *testing.T) {
	p := startNginx(t)
	conn, err := net.Dial("unix", p.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = io.WriteString(conn, "GET /api/v4/websocket HTTP/1.1\r\nHost: nearside\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello\n")
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", resp, err)
	}
	if line, _ := r.ReadString('\n'); line != "heard hello\n" {
		t.Errorf("%q", line)
	}
}
