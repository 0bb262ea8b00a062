package node_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nearside/nearside/cmd/node"
	"github.com/nearside/nearside/cmd/node/nodetest"
	"github.com/nearside/nearside/core"
)

// A node with client.assets serves the web client at every path that is not the API's, and
// keeps compressed forms under its data.
func TestNode_Assets_ServesTheWebClient(t *testing.T) {
	build := t.TempDir()
	script := strings.Repeat("console.log('nearside')\n", 200)
	for name, content := range map[string]string{"root.html": "<title>the client</title>", "main.0123456789abcdef.js": script} {
		if err := os.WriteFile(filepath.Join(build, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var data string
	w := nodetest.Start(t, nodetest.Topology{Configure: func(cfg *node.Config) { cfg.Client.Assets, data = build, cfg.Data }})
	at := w.Nodes()[0].URL()
	for path, want := range map[string]int{
		"/": 200, "/crew/channels/town-square": 200, "/static/main.0123456789abcdef.js": 200, "/static/none.js": 404, "/api/v4/none": 404, "/api/v4/system/ping": 200,
	} {
		status, coding, body := fetch(t, at+path)
		if status != want || want == 404 && strings.Contains(body, "the client") {
			t.Errorf("%s: %d %s", path, status, body)
		}
		if strings.HasPrefix(path, "/static/main") && coding != "br" {
			t.Errorf("%s: coding %q", path, coding)
		}
	}
	kept, err := filepath.Glob(filepath.Join(data, "assets", "*.br"))
	if err != nil || len(kept) != 1 {
		t.Errorf("kept %v, %v", kept, err)
	}
}

func fetch(t *testing.T, url string) (status int, coding, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "br")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("Content-Encoding"), string(b)
}

// Assets on a node without the role edge are an error, and the message names the key.
func TestConfig_AssetsNeedAnEdge(t *testing.T) {
	cfg := node.Config{Name: "a", Region: "b", Roles: []string{node.RoleHome}, Data: "c", Client: node.Client{Assets: "d"}}
	if err := cfg.Check(); core.KindOf(err) != core.KindInvalid || !strings.Contains(err.Error(), "client.assets") {
		t.Errorf("%v", err)
	}
}
