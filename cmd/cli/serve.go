package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/nearside/nearside/cmd/node"
	"github.com/nearside/nearside/edge/address"
)

const defaultData = "./nearside-data"

func (a *app) serve() *cobra.Command {
	var data, listen, admin, dsn string
	var siteURL []string
	var tls node.TLS
	var acme node.ACME
	var byACME bool
	var limited bool
	var proxies []string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run one server that is home and edge",
		Long: `Runs one server that orders writes and serves clients. It needs no set-up: without
--postgres it runs a PostgreSQL of its own under the data directory.

When it serves it prints one line, "ready http://HOST:PORT". Open that address, or point any
Mattermost client at it. The first account that is created becomes system administrator.
SIGTERM or Ctrl-C stops it cleanly.`,
		Example: `  nearside serve
  nearside serve --data /var/lib/nearside --listen 0.0.0.0:8065`,
		Args: noArgs,
	}
	f := cmd.Flags()
	f.StringVar(&data, "data", defaultData, "`directory` of everything this server keeps")
	f.StringVar(&listen, "listen", "127.0.0.1:8065", "`address` to serve clients at")
	f.StringVar(&admin, "admin", "", "loopback `address` for administration besides the socket DATA/admin/socket; requests there need\nthe token in DATA/admin/token; port 0 picks a free one (default: only the socket)")
	f.StringVar(&dsn, "postgres", "", "`DSN` of a PostgreSQL database to use instead of one of its own")
	f.StringArrayVar(&siteURL, "site-url", nil, "`URL` at which clients reach this server, without a path; if given several times, the first is told\nto clients, and pages of all of them may connect (default http://<listen>)")
	f.StringVar(&tls.Cert, "tls-cert", "", "`file` with a certificate in PEM, to serve clients by TLS; read again when it changes")
	f.StringVar(&tls.Key, "tls-key", "", "`file` with the key of the certificate")
	f.BoolVar(&byACME, "acme", false, "serve clients by TLS with a certificate from Let's Encrypt for the host of --site-url; it is renewed\nby itself. Port 443 of the host must reach --listen, or port 80 --acme-http")
	f.StringVar(&acme.Email, "acme-email", "", "`address` for warnings about the certificate")
	f.StringVar(&acme.Listen, "acme-http", "", "`address` that port 80 of the host reaches; browsers are sent to https from there")
	f.BoolVar(&limited, "rate-limit", true, "limit how fast accounts and addresses may go")
	f.StringSliceVar(&proxies, "trusted-proxy", nil, "`address` or network of a proxy whose X-Forwarded-For is believed (may be repeated)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if _, err := address.Parse(siteURL); err != nil {
			return usageError{fmt.Errorf("--site-url: %w", err)}
		}
		if byACME {
			tls.ACME = &acme
		} else if acme.Email != "" || acme.Listen != "" {
			return usageError{errors.New("--acme-email and --acme-http belong to --acme")}
		}
		return a.runNode(cmd, node.Config{
			Name: "home", Region: "local", Roles: []string{node.RoleHome, node.RoleEdge}, Data: data,
			Client:   node.Client{Listen: listen, URL: siteURL, TLS: tls},
			Admin:    node.Admin{Listen: admin},
			Link:     node.Link{Listen: "127.0.0.1:0"}, // nobody else can join yet
			Postgres: node.Postgres{DSN: dsn},
			Rate:     node.RateLimit{Enable: &limited, TrustedProxies: proxies},
		})
	}
	return cmd
}

// runNode runs a node until the command's context ends and says when it serves.
func (a *app) runNode(cmd *cobra.Command, cfg node.Config) error {
	cfg.Version = a.version
	if cfg.Logger == nil {
		cfg.Logger = a.logger(a.errOut)
	}
	cfg.OnReady = func(n *node.Node) {
		line := "ready"
		if url := n.URL(); url != "" {
			line += " " + url
		}
		fmt.Fprintln(a.out, line)
	}
	n, err := node.New(cfg)
	if err != nil {
		return err
	}
	return n.Run(cmd.Context())
}
