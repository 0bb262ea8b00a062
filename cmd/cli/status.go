package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/nearside/nearside/cmd/admin"
	"github.com/nearside/nearside/cmd/demo"
	"github.com/nearside/nearside/cmd/node"
)

const (
	askLimit       = 5 * time.Second
	maxAnswerBytes = 4 << 20
	adminEnv       = "NEARSIDE_ADMIN"
)

// report is the answer of one node, or why there is none.
type report struct {
	AdminURL string `json:"admin_url"`
	*admin.Status
	Behind uint64 `json:"behind"` // entries
	Error  string `json:"error,omitempty"`

	place admin.Place
	name  string   // from demo.json or node.json, for nodes that do not answer
	roles []string // likewise; nil if not known
}

func (a *app) status() *cobra.Command {
	return a.watch("status", "Show who is where and who leads", `Asks every node of a deployment for its status.`,
		"NODE\tREGION\tROLES\tSTATE\tLEADER\tINDEX\tBEHIND\tLAG\tCLIENTS AT", func(w io.Writer, r report) {
			url := r.URL
			if url == "" {
				url = "-"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\n", r.Node, r.Region, strings.Join(r.Roles, ","), r.State,
				orDash(r.Leader), r.Position.Index, r.Behind, lagText(r.AppliedLagMS), url)
		})
}

func (a *app) lag() *cobra.Command {
	return a.watch("lag", "Show how far behind each node is", `Asks every node of a deployment how far it has come.`,
		"NODE\tREGION\tPOSITION\tBEHIND\tLAG\tSTATE", func(w io.Writer, r report) {
			fmt.Fprintf(w, "%s\t%s\t%d.%d.%.8s\t%d\t%s\t%s\n", r.Node, r.Region, r.Position.Epoch, r.Position.Index, r.Position.Digest,
				r.Behind, lagText(r.AppliedLagMS), r.State)
		})
}

func (a *app) watch(use, short, long, head string, row func(io.Writer, report)) *cobra.Command {
	var t targets
	var o format
	cmd := &cobra.Command{
		Use: use, Short: short, Args: noArgs,
		Long: long + `

It exits with 1 if a node says that its answers would be wrong, and says why: its replica is
being replaced, the log has an entry that its version does not know, the home nodes differ, or
its database does not answer; and if home has no majority, so that nothing can be written.

` + targetsHelp,
		Example: "  nearside " + use + " --data " + defaultData + "\n  nearside " + use + " --admin /var/lib/nearside/admin/socket -o json",
	}
	t.flags(cmd)
	o.flag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		nodes, err := t.find(cmd)
		if err != nil {
			return err
		}
		reports := ask(cmd.Context(), nodes)
		if o == "json" {
			err = writeJSON(a.out, map[string]any{"nodes": reports})
		} else {
			err = printReports(a.out, head, reports, row)
		}
		return errors.Join(err, nobody(reports), unfit(reports))
	}
	return cmd
}

// findNodes gives the nodes that the flags name, or those of a data directory.
func findNodes(data string, named []string, token string) ([]report, error) {
	var found []report
	for _, at := range named {
		r := report{AdminURL: strings.TrimRight(strings.TrimSpace(at), "/"), name: at}
		r.place = admin.Place{URL: r.AdminURL, Token: token}
		if strings.HasPrefix(at, "/") || strings.HasPrefix(at, ".") {
			r.place = admin.Place{Socket: r.AdminURL}
		}
		found = append(found, r)
	}
	if len(found) > 0 {
		return found, nil
	}
	for _, file := range []string{demo.File, node.File} {
		raw, err := os.ReadFile(filepath.Join(data, file))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var list struct {
			Nodes []node.Summary `json:"nodes"`
		}
		if err == nil {
			err = json.Unmarshal(raw, &list)
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", filepath.Join(data, file), err)
		}
		for _, n := range list.Nodes {
			if file == node.File { // its directory may have another name here than where the node runs
				n.AdminSocket = admin.SocketPath(data)
			}
			place := admin.Place{Socket: n.AdminSocket, URL: n.AdminURL}
			found = append(found, report{AdminURL: cmp.Or(n.AdminURL, n.AdminSocket), place: place, name: n.Name, roles: n.Roles})
		}
		return found, nil
	}
	return nil, fmt.Errorf("no deployment in %s: start one with `nearside serve --data %s`, or name a node with --admin", data, data)
}

// ask asks all nodes at once and computes how far each is behind the most advanced one.
func ask(ctx context.Context, nodes []report) []report {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	var wg sync.WaitGroup
	for i := range nodes {
		r := &nodes[i]
		wg.Go(func() {
			var st admin.Status
			if err := call(ctx, r.place, "/v1/status", nil, &st); err != nil {
				r.Error = err.Error()
				return
			}
			r.Status = &st
		})
	}
	wg.Wait()
	var first admin.Position
	for _, r := range nodes {
		if r.Status != nil && first.Before(r.Position) {
			first = r.Position
		}
	}
	for i, r := range nodes {
		if r.Status != nil && r.Position.Epoch == first.Epoch {
			nodes[i].Behind = first.Index - r.Position.Index
		}
	}
	return nodes
}

func printReports(out io.Writer, head string, reports []report, row func(io.Writer, report)) error {
	if why := nothingWritten(reports); why != "" {
		fmt.Fprintf(out, "NOTHING CAN BE WRITTEN: %s\n\n", why)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, head)
	for _, r := range reports {
		if r.Status == nil {
			fmt.Fprintf(w, "%s\tdoes not answer at %s\n", r.name, r.place)
			continue
		}
		row(w, r)
	}
	return w.Flush()
}

// nothingWritten says why the deployment can only be read; "" if it can be written. A home node knows more
// than an edge.
func nothingWritten(reports []report) (why string) {
	for _, r := range reports {
		if r.Status != nil && r.State == node.StateReadOnly && (why == "" || slices.Contains(r.Roles, node.RoleHome)) {
			why = r.Reason
		}
	}
	return why
}

var errNobody = errors.New("no node answers; is the deployment running? Start it with `nearside serve` or `nearside demo`")

func nobody(reports []report) error {
	for _, r := range reports {
		if r.Status != nil {
			return nil
		}
	}
	return errNobody
}

// unfit names the nodes whose answers would be wrong, without those that are still starting.
func unfit(reports []report) error {
	var errs []error
	for _, r := range reports {
		if r.Status != nil && r.Reason != "" {
			errs = append(errs, fmt.Errorf("%s is not ready (%s): %s", r.Node, r.State, r.Reason))
		}
	}
	return errors.Join(errs...)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func lagText(ms int64) string {
	if ms < 0 {
		return "unknown"
	}
	return (time.Duration(ms) * time.Millisecond).String()
}
