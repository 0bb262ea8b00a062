package cli

import (
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"
)

func (a *app) node() *cobra.Command {
	var config, logFile string
	var parentFD int
	cmd := &cobra.Command{
		Use:   "node",
		Short: "Run one node of a deployment",
		Long: `Runs one node of a deployment of several, as its configuration file says. The file is YAML
or JSON; a key that is not known is an error. The node's certificate must be there already.

  name: edge-frankfurt
  region: frankfurt
  roles: [edge]
  data: /var/lib/nearside
  pki: /etc/nearside/pki             # ca.crt, node.crt, node.key
  client: {listen: "0.0.0.0:8065"}
  link: {listen: ":8074"}
  home:
    - {node: virginia-1, addr: "10.0.0.1:8074"}
  files: {cache_mb: 20480}           # the README tells of limits, buckets and virus scanners

When it serves it prints one line that begins with "ready". SIGTERM or Ctrl-C stops it cleanly.`,
		Example: `  nearside node --config /etc/nearside/node.yaml`,
		Args:    noArgs,
	}
	f := cmd.Flags()
	f.StringVar(&config, "config", "", "configuration `file` (required)")
	f.StringVar(&logFile, "log-file", "", "`file` to log to instead of standard error; kept under 20 MB")
	f.IntVar(&parentFD, "parent-fd", 0, "stop when this descriptor reaches its end")
	_ = f.MarkHidden("parent-fd")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := loadConfig(config, "which node? Name its configuration")
		if err != nil {
			return err
		}
		if logFile != "" {
			w, err := openLogFile(logFile)
			if err != nil {
				return err
			}
			defer w.Close()
			cfg.Logger = a.logger(w)
		}
		if parentFD > 0 {
			ctx, cancel := context.WithCancel(cmd.Context())
			defer cancel()
			go untilEnd(parentFD, cancel)
			cmd.SetContext(ctx)
		}
		err = a.runNode(cmd, cfg)
		if err != nil && cfg.Logger != nil {
			cfg.Logger.Error("node failed", "error", err)
		}
		return err
	}
	return cmd
}

// untilEnd waits for the end of a pipe to which nothing is written. It ends when the process that holds
// the other side ends, in whatever way.
func untilEnd(fd int, then func()) {
	_, _ = io.Copy(io.Discard, os.NewFile(uintptr(fd), "parent"))
	then()
}
