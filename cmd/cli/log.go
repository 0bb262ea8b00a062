package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/nearside/nearside/cmd/admin"
)

const logHelp = `Every change is an entry of the log, and every replica applies the entries one after the other. An entry that
a replica cannot apply stops it there: its status is stuck and names the entry. Look at the entry first. If all home
nodes are stuck there, and a newer program does not help, order that every replica skips it.

` + targetsHelp

func (a *app) log() *cobra.Command {
	cmd := &cobra.Command{Use: "log", Short: "Show an entry of the log; order that one is skipped", Long: logHelp, Args: noArgs}
	cmd.AddCommand(a.logShow(), a.logVoid())
	return cmd
}

func (a *app) logShow() *cobra.Command {
	var t targets
	var o format
	cmd := &cobra.Command{
		Use: "show INDEX", Short: "Show an entry of the log, without what people have written", Args: cobra.ExactArgs(1), Long: logHelp,
		Example: "  nearside log show 4711 --data " + defaultData,
	}
	t.flags(cmd)
	o.flag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.logCall(cmd, &t, o, "/v1/log/"+args[0], nil) }
	return cmd
}

func (a *app) logVoid() *cobra.Command {
	var t targets
	var o format
	var reason string
	cmd := &cobra.Command{
		Use: "void INDEX --reason TEXT", Short: "Order that every replica skips an entry", Args: cobra.ExactArgs(1), Long: logHelp + `
The order is refused unless a majority of the home nodes is stuck at the entry. It is in the log and stays there. Who
proposed the entry is told that the change was taken out. A replica that has applied the entry is made anew.`,
		Example: "  nearside log void 4711 --reason 'the database refuses its index entry'",
	}
	t.flags(cmd)
	o.flag(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "`why` the entry is skipped (required)")
	_ = cmd.MarkFlagRequired("reason")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.logCall(cmd, &t, o, "/v1/log/"+args[0]+"/void", map[string]any{"reason": reason})
	}
	return cmd
}

// logCall asks the home node that leads, and prints the entry that it answers with.
func (a *app) logCall(cmd *cobra.Command, t *targets, o format, path string, body any) error {
	var e admin.LogEntry
	if err := t.askLeader(cmd, path, body, &e); err != nil {
		return err
	}
	if o == "json" {
		return writeJSON(a.out, e)
	}
	return printEntry(a.out, e)
}

func printEntry(out io.Writer, e admin.LogEntry) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	team := e.Team
	if team == "" {
		team = "the whole deployment"
	}
	fmt.Fprintf(w, "entry\t%d\ncommand\t%s\ntime\t%s\nproposal\t%s\nconcerns\t%s\nsize\t%d bytes\n", e.Index, e.Command, e.At.Format(time.RFC3339Nano), e.Proposal, team, e.Bytes)
	for _, name := range slices.Sorted(maps.Keys(e.Fields)) {
		fmt.Fprintf(w, "  %s\t%s\n", name, e.Fields[name])
	}
	if e.Void != nil {
		fmt.Fprintf(w, "skipped\tby the order at %d, %s: %s\n", e.Void.By, e.Void.At.Format(time.RFC3339), e.Void.Reason)
	}
	return w.Flush()
}
