package cli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/nearside/nearside/cmd/demo"
)

func (a *app) demo() *cobra.Command {
	var data, listen, latency string
	var regions []string
	var limited bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a whole federation on this machine",
		Long: `Runs a whole deployment on this machine: three home nodes in the first region and an edge in
every region, each a process of its own with its own PostgreSQL. The links between regions are
as slow as the real ones. Nothing limits how fast one account may go, because a demo is for one
person, whose scripts are fast; --rate-limit limits it as in a deployment.

It writes DIR/demo.json, prints a table of the nodes, and then "ready". A node that dies is
started again. Ctrl-C or SIGTERM stops all. The edges listen on consecutive ports.`,
		Example: `  nearside demo
  nearside demo --regions dublin,tokyo --latency none`,
		Args: noArgs,
	}
	f := cmd.Flags()
	f.StringVar(&data, "data", defaultData, "`directory` of everything the nodes keep")
	f.StringVar(&listen, "listen", "127.0.0.1:8065", "`address` of the first edge")
	f.StringSliceVar(&regions, "regions", []string{"virginia", "frankfurt", "singapore"}, "`names` of the regions, home first")
	f.StringVar(&latency, "latency", "real", "distance between regions: real, none, or a `factor`")
	f.BoolVar(&limited, "rate-limit", false, "limit how fast accounts and addresses may go, as other nodes do")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		factor, err := demo.ParseLatency(latency)
		if err != nil {
			return err
		}
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find this program: %w", err)
		}
		d, err := demo.New(demo.Options{
			Dir: data, Listen: listen, Regions: regions, Factor: factor, Limited: limited, Binary: self, Out: a.out, Logger: a.logger(a.errOut),
		})
		if err != nil {
			return err
		}
		return d.Run(cmd.Context())
	}
	return cmd
}
