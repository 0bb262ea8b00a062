package nodetest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nearside/nearside/cmd/node"
	"github.com/nearside/nearside/core"
)

// Configure changes the configuration of a stopped node.
func (n *Node) Configure(change func(*node.Config)) { change(&n.cfg) }

// BlobFile is where the node keeps a blob on its own disk, as a home node does.
func (n *Node) BlobFile(b core.BlobID) string {
	name := b.String()
	return filepath.Join(n.cfg.Data, "files", name[:2], name[2:4], name)
}

// CacheFile is where an edge keeps a blob in its cache; empty when it does not.
func (n *Node) CacheFile(b core.BlobID) string {
	found := ""
	_ = filepath.WalkDir(filepath.Join(n.cfg.Data, "cache"), func(path string, _ os.DirEntry, err error) error {
		if err == nil && strings.Contains(filepath.Base(path), b.String()) {
			found = path
		}
		return nil
	})
	return found
}

// Spooled lists what lies in the directory of arriving files.
func (n *Node) Spooled(t testing.TB) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(n.cfg.Data, "spool"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// Admin asks a node by its administration socket and decodes the answer into out, which may be nil.
func (n *Node) Admin(t testing.TB, method, path, body string, out any) (status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
	defer cancel()
	resp, err := n.Place().Ask(ctx, method, path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if out != nil {
		if err := json.Unmarshal(raw, out); err != nil {
			t.Fatalf("%s: %v: %s", path, err, raw)
		}
	}
	return resp.StatusCode
}

// TryUpload uploads a file and gives the answer as it is.
func (c *Client) TryUpload(ch core.ChannelID, name string, content []byte) Answer {
	c.t.Helper()
	query := url.Values{"channel_id": {ch.String()}, "filename": {name}}
	return c.bytes("POST", "/files?"+query.Encode(), content)
}

// Upload uploads a file. Like every client, it tries again when the edge says that it cannot now.
func (c *Client) Upload(ch core.ChannelID, name string, content []byte) core.File {
	c.t.Helper()
	a, _ := c.again(func() Answer { return c.TryUpload(ch, name, content) })
	var got struct {
		Files []core.File `json:"file_infos"`
	}
	if c.decode(a, "upload", &got); len(got.Files) != 1 {
		c.t.Fatalf("upload: %s", a.Body)
	}
	return got.Files[0]
}

// Download asks for a file's content. It follows no redirect.
func (c *Client) Download(id core.FileID) Answer {
	c.t.Helper()
	return c.bytes("GET", "/files/"+id.String(), nil)
}

// bytes asks with a body that is not JSON.
func (c *Client) bytes(method, path string, content []byte) Answer {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, c.URL+"/api/v4"+path, bytes.NewReader(content))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	return c.send(req, http.DefaultTransport.RoundTrip) // follows no redirect
}
