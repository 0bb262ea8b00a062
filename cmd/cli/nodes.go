package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/nearside/nearside/cmd/admin"
)

// targets are the nodes that a command asks.
type targets struct {
	data  string
	admin []string
	token string // file
}

const targetsHelp = `The nodes are those of the data directory of "serve" or "demo", or those named with --admin
or, as a list with commas, in ` + adminEnv + `: by the path of the socket that each node has at
admin/socket in its own data directory, or by the http:// address of one that listens on TCP
(with --admin-token, the file admin/token in the same directory). Only the user that runs a node,
and root, can use its socket.`

func (t *targets) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&t.data, "data", defaultData, "`directory` of the deployment")
	cmd.Flags().StringSliceVar(&t.admin, "admin", nil, "administration `sockets` or URLs of the nodes")
	cmd.Flags().StringVar(&t.token, "admin-token", "", "`file` with the token for administration by URL")
}

// find gives the nodes, without asking them for their status.
func (t *targets) find(cmd *cobra.Command) ([]report, error) {
	if env := os.Getenv(adminEnv); env != "" && len(t.admin) == 0 && !cmd.Flags().Changed("data") {
		t.admin = strings.Split(env, ",")
	}
	token := ""
	if t.token != "" {
		var err error
		if token, err = admin.ReadToken(t.token); err != nil {
			return nil, err
		}
	}
	return findNodes(t.data, t.admin, token)
}

// with asks all nodes for their status and gives those that have a role. silent names the nodes that do
// not answer and may have the role: then the result is not complete.
func (t *targets) with(cmd *cobra.Command, role string) (found []report, silent, err error) {
	nodes, err := t.find(cmd)
	if err != nil {
		return nil, nil, err
	}
	all := ask(cmd.Context(), nodes)
	if err := nobody(all); err != nil {
		return nil, nil, err
	}
	for _, r := range all {
		switch {
		case r.Status != nil && slices.Contains(r.Roles, role):
			found = append(found, r)
		case r.Status == nil && (r.roles == nil || slices.Contains(r.roles, role)):
			silent = errors.Join(silent, fmt.Errorf("%s does not answer at %s", r.name, r.place))
		}
	}
	if len(found) == 0 {
		return nil, nil, fmt.Errorf("no node with the role %s answers; name one with --admin", role)
	}
	return found, silent, nil
}

// call asks a node for one JSON answer. A body makes it a POST.
func call(ctx context.Context, at admin.Place, path string, body, out any) error {
	resp, err := request(ctx, at, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(io.LimitReader(resp.Body, maxAnswerBytes)).Decode(out)
}

// request asks a node and gives the answer if its status is good. The caller closes its body.
func request(ctx context.Context, at admin.Place, path string, body any) (*http.Response, error) {
	method, payload := http.MethodGet, io.Reader(nil)
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		method, payload = http.MethodPost, bytes.NewReader(raw)
	}
	resp, err := at.Ask(ctx, method, path, payload)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	var said struct {
		Error string `json:"error"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswerBytes)).Decode(&said); err != nil || said.Error == "" {
		return nil, fmt.Errorf("%s answers %s", at, resp.Status)
	}
	return nil, errors.New(said.Error)
}

// said is the answer of one node, or why there is none.
type said[T any] struct {
	AdminURL string `json:"admin_url"`
	Answer   *T     `json:"answer,omitempty"`
	Error    string `json:"error,omitempty"`

	name string
}

// askEach asks all nodes at once.
func askEach[T any](ctx context.Context, nodes []report, path string, body any) []said[T] {
	answers := make([]said[T], len(nodes))
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() {
			answers[i] = said[T]{AdminURL: n.AdminURL, name: n.name}
			var got T
			if err := call(ctx, n.place, path, body, &got); err != nil {
				answers[i].Error = err.Error()
				return
			}
			answers[i].Answer = &got
		})
	}
	wg.Wait()
	return answers
}

// show writes the answers of the nodes, as JSON or as a table with a row for each.
func show[T any](a *app, o format, answers []said[T], head string, row func(io.Writer, T)) error {
	if o == "json" {
		return writeJSON(a.out, map[string]any{"nodes": answers})
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, head)
	for _, s := range answers {
		if s.Answer == nil {
			fmt.Fprintf(w, "%s\t%s\n", s.name, s.Error)
			continue
		}
		row(w, *s.Answer)
	}
	return w.Flush()
}

func noAnswer[T any](answers []said[T]) error {
	for _, s := range answers {
		if s.Answer != nil {
			return nil
		}
	}
	return errNobody
}

func anyError[T any](answers []said[T]) error {
	for _, s := range answers {
		if s.Error != "" {
			return fmt.Errorf("%s: %s", s.name, s.Error)
		}
	}
	return nil
}
