package cli

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/nearside/nearside/cmd/admin"
	"github.com/nearside/nearside/cmd/node"
	"github.com/nearside/nearside/region"
)

const homeHelp = `The home nodes agree on one order for everything that is written. A majority of them must vote. Who they
are is in the log, together with the disk of each: a home node that comes with another disk, or with an
older copy of its own, catches up with the others before it votes again.
`

func (a *app) home() *cobra.Command {
	cmd := &cobra.Command{Use: "home", Short: "Begin a deployment; list, add and remove home nodes", Long: homeHelp, Args: noArgs}
	cmd.AddCommand(a.homeInit(), a.homeList(), a.homeAdd(), a.homeRemove(), a.homeTrust())
	return cmd
}

func (a *app) homeInit() *cobra.Command {
	var config string
	cmd := &cobra.Command{
		Use: "init", Short: "Begin a new deployment on one of its home nodes", Args: noArgs,
		Long: homeHelp + `
A deployment begins once, on one home node, before that node is started for the first time. The
other home nodes of its file join when they start. Never run it to bring back a node whose disk was
lost: start that node, and it catches up by itself.`,
		Example: "  nearside home init --config /etc/nearside/node.yaml",
	}
	cmd.Flags().StringVar(&config, "config", "", "configuration `file` of the home node (required)")
	cmd.RunE = func(*cobra.Command, []string) error {
		cfg, err := loadConfig(config, "which node? Name its configuration")
		if err != nil {
			return err
		}
		if err := node.Initialise(cfg); err != nil {
			return err
		}
		_, err = fmt.Fprintf(a.out, "A new deployment begins on %s. Start it: nearside node --config %s\n", cfg.Name, config)
		return err
	}
	return cmd
}

func (a *app) homeList() *cobra.Command {
	var t targets
	var o format
	cmd := &cobra.Command{
		Use: "list", Short: "List the home nodes, who votes and who leads", Args: noArgs, Long: homeHelp + "\n" + targetsHelp,
		Example: "  nearside home list --data " + defaultData,
	}
	t.flags(cmd)
	o.flag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		homes, _, err := t.with(cmd, node.RoleHome)
		if err != nil {
			return err
		}
		newest := homes[0].Home
		for _, h := range homes[1:] {
			if h.Home != nil && (newest == nil || h.Home.Commit > newest.Commit) {
				newest = h.Home
			}
		}
		if newest == nil {
			return fmt.Errorf("%s has not opened its log yet: %s", homes[0].Node, homes[0].State)
		}
		if o == "json" {
			return writeJSON(a.out, newest)
		}
		return printHome(a.out, newest, homes)
	}
	return cmd
}

func printHome(out io.Writer, st *region.Status, homes []report) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NODE\tADDRESS\tVOTES\tLEADS\tSTATE")
	for _, v := range st.Voters {
		state := "does not answer"
		if i := slices.IndexFunc(homes, func(r report) bool { return r.Node == v.Node }); i >= 0 {
			state = homes[i].State
			if homes[i].Reason != "" {
				state += ": " + homes[i].Reason
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", v.Node, v.Addr, yesNo(slices.Contains(st.Voting, v.Node)), yesNo(st.Leader == v.Node), state)
	}
	return w.Flush()
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func (a *app) homeAdd() *cobra.Command {
	var addr string
	cmd := a.changeHome("add NODE", "Let a new home node join", `The new node may then start with an empty directory. It votes when it has everything. Start it at
once: it counts towards the majority from now on, so the second home node of a deployment holds up
writes until it has joined. Afterwards name it in the home list of every node's file.`, "/v1/home/add", &addr)
	cmd.Example = "  nearside home add virginia-4 --addr 10.0.0.4:8074"
	cmd.Flags().StringVar(&addr, "addr", "", "link `address` of the new node (required)")
	_ = cmd.MarkFlagRequired("addr")
	return cmd
}

func (a *app) homeRemove() *cobra.Command {
	addr := "-"
	cmd := a.changeHome("remove NODE", "Take a home node out for good", `Those that stay must reach each other and be a majority. A node that is away for long should be
removed: until then, it counts towards the majority.`, "/v1/home/remove", &addr)
	cmd.Example = "  nearside home remove virginia-3"
	return cmd
}

func (a *app) changeHome(use, short, long, path string, addr *string) *cobra.Command {
	var t targets
	cmd := &cobra.Command{Use: use, Short: short, Args: cobra.ExactArgs(1), Long: homeHelp + "\n" + long + "\n\n" + targetsHelp}
	t.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var now admin.Home
		if err := t.askLeader(cmd, path, region.Voter{Node: args[0], Addr: *addr}, &now); err != nil {
			return err
		}
		fmt.Fprintln(a.out, "The home nodes are now:")
		for _, v := range now.Voters {
			fmt.Fprintf(a.out, "  %s at %s\n", v.Node, v.Addr)
		}
		return nil
	}
	return cmd
}

func (a *app) homeTrust() *cobra.Command {
	var t targets
	var yes bool
	cmd := &cobra.Command{
		Use: "trust NODE", Short: "Say that the disk of a home node that waits is whole", Args: cobra.ExactArgs(1),
		Long: homeHelp + `
A home node that was started again cannot know whether its disk is an older copy. It asks the others. If
too many of them are gone, it waits, and ` + "`nearside status`" + ` says for whom. If they will not come back,
and you know that this node has its newest disk, say so. If you are wrong, what was acknowledged
may be lost.

` + targetsHelp,
		Example: "  nearside home trust virginia-2 --disk-is-whole",
	}
	t.flags(cmd)
	cmd.Flags().BoolVar(&yes, "disk-is-whole", false, "you have made sure of it (required)")
	_ = cmd.MarkFlagRequired("disk-is-whole")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		homes, _, err := t.with(cmd, node.RoleHome)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(homes, func(r report) bool { return r.Node == args[0] })
		switch {
		case i < 0:
			return fmt.Errorf("no home node %q answers", args[0])
		case !yes:
			return fmt.Errorf("look at the disk first, and then say so with --disk-is-whole")
		}
		if err := call(cmd.Context(), homes[i].place, "/v1/home/trust", map[string]any{}, &region.Status{}); err != nil {
			return err
		}
		_, err = fmt.Fprintf(a.out, "%s goes on with the disk that it has.\n", args[0])
		return err
	}
	return cmd
}
