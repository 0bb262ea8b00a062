package world

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nearside/nearside/cmd/admin"
	"github.com/nearside/nearside/core/eventually"
)

// Node is one line of demo.json.
type Node struct {
	Name     string   `json:"name"`
	Region   string   `json:"region"`
	Roles    []string `json:"roles"`
	PID      int      `json:"pid"`
	URL      string   `json:"url"`
	Admin    string   `json:"admin_socket"`
	AdminURL string   `json:"admin_url"`
}

// Position is the position of a node, from its status.
type Position struct {
	Epoch  uint64 `json:"epoch"`
	Index  uint64 `json:"index"`
	Digest string `json:"digest"`
}

// Status has the fields of /v1/status that the measurements need.
type Status struct {
	Node     string   `json:"node"`
	Leader   string   `json:"leader"`
	Position Position `json:"position"`
	State    string   `json:"state"`
	Reason   string   `json:"reason"` // of a state other than ready
	// Home is what a home node knows of home.
	Home *struct {
		Voting []string `json:"voting"`
	} `json:"home"`
	// LogVersion is the version of the log, Understands the newest one that the node's program understands.
	LogVersion  int64 `json:"log_version"`
	Understands int64 `json:"understands"`
}

// Nodes reads demo.json; a node that was started again has a new PID in it.
func (w *World) Nodes() ([]Node, error) {
	text, err := os.ReadFile(filepath.Join(w.Data(), "demo.json"))
	if err != nil {
		return nil, fmt.Errorf("read demo.json: %w", err)
	}
	var d struct{ Nodes []Node }
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, fmt.Errorf("read demo.json: %w", err)
	}
	return d.Nodes, nil
}

// Edges gives the nodes that serve clients.
func (w *World) Edges() ([]Node, error) {
	nodes, err := w.Nodes()
	return slices.DeleteFunc(nodes, func(n Node) bool { return n.URL == "" }), err
}

// URLs gives where clients reach nodes.
func URLs(nodes []Node) (urls []string) {
	for _, n := range nodes {
		urls = append(urls, n.URL)
	}
	return urls
}

// adminLimit is how long a node may take to answer an operator.
const adminLimit = 10 * time.Second

// ask asks a node by its administration socket.
func (n Node) ask(ctx context.Context, method, path string, send io.Reader, read func(body io.Reader) error) error {
	ctx, cancel := context.WithTimeout(ctx, adminLimit)
	defer cancel()
	answer, err := admin.Place{Socket: n.Admin, URL: n.AdminURL}.Ask(ctx, method, path, send)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s at %s: %s", method, path, n.Name, answer.Status)
	}
	return read(answer.Body)
}

func (n Node) getJSON(ctx context.Context, path string, out any) error {
	return n.ask(ctx, http.MethodGet, path, nil, func(body io.Reader) error { return json.NewDecoder(body).Decode(out) })
}

// Metric asks a node for a metric that has no labels.
func (n Node) Metric(ctx context.Context, name string) (value float64, err error) {
	err = n.ask(ctx, http.MethodGet, "/metrics", nil, func(body io.Reader) error {
		lines := bufio.NewScanner(body)
		for lines.Scan() {
			if text, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
				value, err = strconv.ParseFloat(text, 64)
				return err
			}
		}
		return cmp.Or(lines.Err(), fmt.Errorf("%s has no metric %s", n.Name, name))
	})
	return value, err
}

// Status asks a node for its status.
func (n Node) Status(ctx context.Context) (s Status, err error) {
	err = n.getJSON(ctx, "/v1/status", &s)
	return s, err
}

// Tables asks a node for the digest of each of its replicated tables, without the columns named as
// TABLE.COLUMN.
func (n Node) Tables(ctx context.Context, without ...string) (map[string]string, error) {
	var t struct {
		Tables map[string]string `json:"tables"`
	}
	err := n.getJSON(ctx, "/v1/tables?"+url.Values{"without": without}.Encode(), &t)
	return t.Tables, err
}

// Far sets delay and bandwidth of the path from a node to a peer. The path back must be set at the peer.
func (n Node) Far(ctx context.Context, peer string, oneWay time.Duration, mbit float64) error {
	body, err := json.Marshal(map[string]any{"peer": peer, "delay_ms": float64(oneWay) / float64(time.Millisecond), "mbit": mbit})
	if err != nil {
		return err
	}
	return n.ask(ctx, http.MethodPut, "/v1/distance", bytes.NewReader(body), func(io.Reader) error { return nil })
}

// Kill ends a node's process at once, as a power cut would.
func (n Node) Kill() error { return syscall.Kill(n.PID, syscall.SIGKILL) }

// Freeze stops a node's process for a while; it does not notice.
func (n Node) Freeze(d time.Duration) error {
	if err := syscall.Kill(n.PID, syscall.SIGSTOP); err != nil {
		return err
	}
	time.AfterFunc(d, func() { _ = syscall.Kill(n.PID, syscall.SIGCONT) }) // it may be gone
	return nil
}

// Leader gives the node that orders writes now.
func (w *World) Leader(ctx context.Context) (leader Node, err error) {
	return leader, eventually.Poll(ctx, 20*time.Second, func() error {
		nodes, err := w.Nodes()
		if err != nil {
			return err
		}
		for _, n := range nodes {
			if s, err := n.Status(ctx); err == nil && s.Leader == n.Name {
				leader = n
				return nil
			}
		}
		return errors.New("no node says that it leads")
	})
}

// Converged waits until every node is up, at one position with one digest, and then compares
// their tables, without the columns named as TABLE.COLUMN. It gives one line for each difference.
func (w *World) Converged(ctx context.Context, limit time.Duration, without ...string) ([]string, error) {
	var nodes []Node
	err := eventually.Poll(ctx, limit, func() (err error) {
		if nodes, err = w.Nodes(); err != nil {
			return err
		}
		seen := map[Position][]string{}
		for _, n := range nodes {
			s, err := n.Status(ctx)
			if err != nil {
				return err
			}
			seen[s.Position] = append(seen[s.Position], n.Name)
		}
		if len(seen) != 1 {
			return fmt.Errorf("%d different positions: %v", len(seen), seen)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return compareTables(ctx, nodes, without)
}

func compareTables(ctx context.Context, nodes []Node, without []string) (different []string, err error) {
	var first map[string]string
	for _, n := range nodes {
		tables, err := n.Tables(ctx, without...)
		if err != nil {
			return nil, err
		}
		if len(tables) == 0 {
			return nil, fmt.Errorf("%s names no tables", n.Name)
		}
		if first == nil {
			first = tables
		}
		if !slices.Equal(slices.Sorted(maps.Keys(first)), slices.Sorted(maps.Keys(tables))) {
			different = append(different, fmt.Sprintf("%s and %s have different tables", nodes[0].Name, n.Name))
		}
		for table, digest := range tables {
			if digest != first[table] {
				different = append(different, fmt.Sprintf("table %s of %s differs from that of %s", table, n.Name, nodes[0].Name))
			}
		}
	}
	return different, nil
}
