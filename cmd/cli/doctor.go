package cli

import (
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/nearside/nearside/cmd/doctor"
)

func (a *app) doctor() *cobra.Command {
	var config string
	var o format
	cmd := &cobra.Command{
		Use: "doctor", Short: "Try everything that a node needs, and say what is wrong", Args: noArgs,
		Long: `Reads a node's configuration and tries what it names: directories, certificate, addresses,
database, the disk or bucket of files, virus scanner and web client. It says for each which key
to change. It may be run while the node runs; then it does not try what the node itself uses.

It exits with 1 if something is bad.`,
		Example: "  nearside doctor --config /etc/nearside/node.yaml\n  nearside doctor --config node.yaml -o json",
	}
	cmd.Flags().StringVar(&config, "config", "", "configuration `file` (required)")
	o.flag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := loadConfig(config, "which node? Name its configuration")
		if err != nil {
			return err
		}
		found := doctor.Diagnose(cmd.Context(), cfg)
		if o == "json" {
			return errors.Join(writeJSON(a.out, map[string]any{"findings": found}), sick(found))
		}
		w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "KEY\tVERDICT\tWHAT IT IS")
		for _, f := range found {
			fmt.Fprintf(w, "%s\t%s\t%s\n", f.Key, f.Verdict, f.Says)
		}
		return errors.Join(w.Flush(), sick(found))
	}
	return cmd
}

func sick(found []doctor.Finding) error {
	n := 0
	for _, f := range found {
		if f.Verdict == doctor.VerdictBad {
			n++
		}
	}
	if n > 0 {
		return fmt.Errorf("%d of %d things are bad", n, len(found))
	}
	return nil
}
