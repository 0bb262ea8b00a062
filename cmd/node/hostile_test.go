package node_test

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nearside/nearside/cmd/admin"
	"github.com/nearside/nearside/cmd/node"
	"github.com/nearside/nearside/cmd/node/nodetest"
	"github.com/nearside/nearside/core/eventually"
)

// rawSocket is a WebSocket without a library, to send what no client sends.
type rawSocket struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

// upgrade asks a node for a socket and gives it with the status of the answer.
func upgrade(t *testing.T, url, query string, headers ...string) (*rawSocket, int) {
	t.Helper()
	host := strings.TrimPrefix(url, "http://")
	c, err := net.DialTimeout("tcp", host, eventually.Limit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(eventually.Limit))
	headers = append(headers, "Host: "+host, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: bmVhcnNpZGUtYmVuY2ghIQ==")
	fmt.Fprintf(c, "GET /api/v4/websocket%s HTTP/1.1\r\n%s\r\n\r\n", query, strings.Join(headers, "\r\n"))
	s := &rawSocket{t, c, bufio.NewReader(c)}
	answer, err := http.ReadResponse(s.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s, answer.StatusCode
}

// send writes one short text message; the mask is zero.
func (s *rawSocket) send(text string) {
	s.t.Helper()
	if _, err := s.Write(append([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}, text...)); err != nil || len(text) > 125 {
		s.t.Fatal(err)
	}
}

// next gives the next message, or the error at the end of the socket.
func (s *rawSocket) next() (m struct {
	Event string
	Data  map[string]any
	Reply int `json:"seq_reply"`
}, err error) {
	var head [4]byte
	if _, err := io.ReadFull(s.r, head[:2]); err != nil {
		return m, err
	}
	n := int(head[1])
	if n == 126 {
		_, _ = io.ReadFull(s.r, head[2:])
		n = int(binary.BigEndian.Uint16(head[2:]))
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(s.r, body); err != nil {
		return m, err
	}
	if head[0]&15 == 8 {
		return m, io.EOF
	}
	return m, json.Unmarshal(body, &m)
}

// A token in a URL ends up in logs and histories, so it is not accepted for a socket, as for nothing else.
func TestSocket_TokenInURL_IsIgnored(t *testing.T) {
	w := nodetest.Start(t, nodetest.Topology{Home: 1, Edges: []string{"tokyo"}})
	ann := w.Node("edge-tokyo").Client(t).SignUp("ann")
	s, _ := upgrade(t, ann.URL, "?access_token="+ann.Token)
	s.send(`{"seq":1,"action":"ping"}`)
	s.send(`{"seq":2,"action":"authentication_challenge","data":{"token":"` + ann.Token + `"}}`)
	for {
		m, err := s.next()
		if err != nil || m.Reply == 1 {
			t.Fatalf("the ping was answered with %+v, %v", m, err)
		}
		if m.Reply == 2 {
			return
		}
	}
}

// Sockets are opened only for pages of the same origin, and closed when their session ends. Hello has the
// same version as every answer; otherwise web clients do not load their roles.
func TestSocket_OriginAndSession(t *testing.T) {
	w := nodetest.Start(t, nodetest.Topology{Home: 1, Edges: []string{"tokyo"}})
	ann := w.Node("edge-tokyo").Client(t).SignUp("ann")
	cookie := "Cookie: MMAUTHTOKEN=" + ann.Token
	for _, origin := range []string{"https://evil.example", "null", ann.URL + "0", "http://evil.example/" + strings.TrimPrefix(ann.URL, "http://")} {
		if _, status := upgrade(t, ann.URL, "", cookie, "Origin: "+origin); status != http.StatusBadRequest {
			t.Errorf("a page of %s: %d", origin, status)
		}
	}
	s, status := upgrade(t, ann.URL, "", cookie, "Origin: "+ann.URL)
	m, err := s.next()
	if status != http.StatusSwitchingProtocols || err != nil || m.Event != "hello" {
		t.Fatalf("%d, %+v, %v", status, m, err)
	}
	if got, want := m.Data["server_version"], ann.Do("GET", "/system/ping", nil).Header.Get("X-Version-Id"); got != want {
		t.Errorf("hello says %v, answers say %v", got, want)
	}
	ann.OK("POST", "/users/logout", nil, nil)
	for err == nil {
		m, err = s.next()
	}
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		t.Error("the socket outlived its session")
	}
}

// Administration is for the user that runs the node: by a socket that nobody else can open, and over TCP only with
// the token. A web page whose name was made to point at this machine gets nothing, not even with the token.
func TestAdmin_IsNotForEverybody(t *testing.T) {
	w := nodetest.Start(t, nodetest.Topology{Home: 1, Configure: func(c *node.Config) { c.Admin.Listen = "127.0.0.1:0" }, Edges: []string{"tokyo"}})
	edge, home := w.Node("edge-tokyo"), w.Nodes()[0]
	for path, want := range map[string]fs.FileMode{
		admin.SocketPath(edge.Data()): fs.ModeSocket | 0o700, filepath.Dir(admin.SocketPath(edge.Data())): fs.ModeDir | 0o700, admin.TokenPath(edge.Data()): 0o600,
	} {
		if info, err := os.Lstat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
	token, err := admin.ReadToken(admin.TokenPath(edge.Data()))
	if err != nil {
		t.Fatal(err)
	}
	if other, err := admin.ReadToken(admin.TokenPath(home.Data())); err != nil || other == token {
		t.Errorf("two nodes have one token: %v", err)
	}
	url := adminURL(t, edge)
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(url, "http://"))
	ask := func(method, path, host string, header http.Header) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, url+path, strings.NewReader(`{"peer":"*","delay_ms":1}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Host, req.Header = host, header
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	right := http.Header{"Authorization": {"Bearer " + token}}
	for _, wrong := range []http.Header{{}, {"Authorization": {""}}, {"Authorization": {"Bearer "}}, {"Authorization": {token}}, {"Authorization": {"Bearer " + token + "x"}}, {"Authorization": {"Bearer " + token[1:]}}} {
		for _, path := range []string{"/v1/status", "/metrics", "/healthz", "/v1/distance", "/debug/pprof/", "/none"} {
			if got := ask("GET", path, "127.0.0.1:"+port, wrong); got != http.StatusUnauthorized {
				t.Errorf("%s with %v: %d", path, wrong, got)
			}
		}
	}
	for host, want := range map[string]int{
		"evil.example": 403, "evil.example:" + port: 403, "127.0.0.1.evil.example": 403, "10.0.0.1": 403, "localhost.": 403,
		"localhost:" + port: 200, "127.0.0.1:" + port: 200, "[::1]:" + port: 200, "127.0.0.1": 200,
	} {
		for method, path := range map[string]string{"GET": "/v1/status", "PUT": "/v1/distance"} {
			if got := ask(method, path, host, right); got != want {
				t.Errorf("%s %s of %s: %d, want %d", method, path, host, got, want)
			}
		}
	}
	for from, want := range map[string]int{"cross-site": 403, "same-site": 403, "none": 200} {
		header := right.Clone()
		header.Set("Sec-Fetch-Site", from)
		if got := ask("GET", "/v1/status", "127.0.0.1", header); got != want {
			t.Errorf("a page that is %s: %d, want %d", from, got, want)
		}
	}
}

// adminURL gives where a node is administered over TCP.
func adminURL(t *testing.T, n *nodetest.Node) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(n.Data(), node.File))
	var file struct{ Nodes []node.Summary }
	if err == nil {
		err = json.Unmarshal(raw, &file)
	}
	if err != nil || len(file.Nodes) != 1 {
		t.Fatalf("%s: %v", raw, err)
	}
	return file.Nodes[0].AdminURL
}
