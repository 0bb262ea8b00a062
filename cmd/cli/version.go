package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/nearside/nearside/cmd/node"
	"github.com/nearside/nearside/region"
)

func (a *app) versionCmd() *cobra.Command {
	var o format
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version; show or raise that of the log",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			if o == "json" {
				return writeJSON(a.out, map[string]string{"version": a.version, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH})
			}
			_, err := fmt.Fprintf(a.out, "nearside %s (%s, %s/%s)\n", a.version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
	o.flag(cmd)
	cmd.AddCommand(a.versionStatus(), a.versionRaise())
	return cmd
}

const versionHelp = `The log has a version. Changes of a new program in what it does with the log take effect only with
the next version of the log. Home begins that version when every node has understood it for a day,
or when you say so. Until then an upgrade can be rolled back, node by node.

` + targetsHelp

func (a *app) versionStatus() *cobra.Command {
	var t targets
	var o format
	cmd := &cobra.Command{
		Use: "status", Short: "Show which version the log has, and which each node understands", Args: noArgs, Long: versionHelp,
		Example: "  nearside version status --data " + defaultData,
	}
	t.flags(cmd)
	o.flag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var st region.UpgradeStatus
		if err := t.askLeader(cmd, "/v1/version", nil, &st); err != nil {
			return err
		}
		return a.showVersion(o, st)
	}
	return cmd
}

func (a *app) versionRaise() *cobra.Command {
	var t targets
	var o format
	var without []string
	cmd := &cobra.Command{
		Use: "raise", Short: "Begin the log's next version now", Args: noArgs, Long: versionHelp + `

While a node does not understand the next version, it cannot begin, even if that node is away. Nodes
named with --without do not count: they serve old state until they are upgraded.`,
		Example: "  nearside version raise\n  nearside version raise --without edge-sydney",
	}
	t.flags(cmd)
	o.flag(cmd)
	cmd.Flags().StringSliceVar(&without, "without", nil, "`nodes` that need not understand it")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var st region.UpgradeStatus
		if err := t.askLeader(cmd, "/v1/version/raise", map[string]any{"without": without}, &st); err != nil {
			return err
		}
		return a.showVersion(o, st)
	}
	return cmd
}

// leader finds the home node that leads.
func (t *targets) leader(cmd *cobra.Command) (report, error) {
	homes, silent, err := t.with(cmd, node.RoleHome)
	if err != nil {
		return report{}, err
	}
	for _, r := range homes {
		if r.Leader == r.Node {
			return r, nil
		}
	}
	return report{}, errors.Join(errors.New("no home node that answers leads"), silent)
}

// askLeader asks the home node that leads.
func (t *targets) askLeader(cmd *cobra.Command, path string, body, out any) error {
	leader, err := t.leader(cmd)
	if err != nil {
		return err
	}
	return call(cmd.Context(), leader.place, path, body, out)
}

func (a *app) showVersion(o format, st region.UpgradeStatus) error {
	if o == "json" {
		return writeJSON(a.out, st)
	}
	fmt.Fprintf(a.out, "The log is in version %d; its leader understands %d.\n", st.LogVersion, st.Understands)
	if !st.RaisedAt.IsZero() {
		fmt.Fprintf(a.out, "Version %d begins at %s, or with `nearside version raise`.\n", st.LogVersion+1, st.RaisedAt.Format(time.RFC3339))
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NODE\tUNDERSTANDS\tSEEN")
	for _, n := range st.Nodes {
		seen := "never"
		if !n.At.IsZero() {
			seen = n.At.Format(time.RFC3339)
		}
		fmt.Fprintf(w, "%s\t%d\t%s\n", n.Node, n.Understands, seen)
	}
	return w.Flush()
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
