package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/nearside/nearside/cmd/admin"
	"github.com/nearside/nearside/cmd/node"
	"github.com/nearside/nearside/replication/link"
	"github.com/nearside/nearside/replication/roll"
)

const pkiHelp = `Every node has a certificate of the deployment's own authority, for 30 days. A node that runs renews its own in
time. A certificate alone lets nobody in: the log lists the nodes that are admitted, each with its region, its
roles and its key, and every connection is checked against the list. A node that is revoked is cut off by all others.

The authority's key, ca.key, can be kept away from all nodes. Home nodes make certificates with an issuer, which
the authority makes once a year.
`

func (a *app) pki() *cobra.Command {
	cmd := &cobra.Command{Use: "pki", Short: "Certificates: list, issue, admit and revoke nodes", Long: pkiHelp, Args: noArgs}
	cmd.AddCommand(a.pkiStatus(), a.pkiInit(), a.pkiIssue(), a.pkiAdmit(), a.pkiRotate(), a.pkiRevoke())
	return cmd
}

func (a *app) pkiStatus() *cobra.Command {
	var t targets
	var o format
	cmd := &cobra.Command{
		Use: "status", Short: "List the nodes that are admitted, their keys, and what needs an operator", Args: noArgs,
		Long: pkiHelp + `
It exits with 1 if something needs an operator.

` + targetsHelp,
		Example: "  nearside pki status --data " + defaultData,
	}
	t.flags(cmd)
	o.flag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		nodes, err := t.find(cmd)
		if err != nil {
			return err
		}
		answers := askEach[admin.PKI](cmd.Context(), nodes, "/v1/pki", nil)
		if err := noAnswer(answers); err != nil {
			return errors.Join(err, anyError(answers))
		}
		all := gather(answers)
		if o == "json" {
			err = writeJSON(a.out, all)
		} else {
			err = a.printPKI(all)
		}
		if err == nil && len(all.Warnings) > 0 {
			err = errors.New("the certificates need an operator")
		}
		return err
	}
	return cmd
}

// gather makes one picture of the answers: the longest list of nodes, and what each node has seen.
func gather(answers []said[admin.PKI]) (all admin.PKI) {
	ends := map[string]time.Time{}
	refused := []roll.Refused{}
	for _, s := range answers {
		if s.Answer == nil {
			continue
		}
		got := *s.Answer
		for _, n := range got.Nodes {
			if n.Ends.After(ends[n.Name]) {
				ends[n.Name] = n.Ends
			}
		}
		for _, r := range got.Refused {
			r.At = r.At.Round(time.Second)
			refused = append(refused, r)
		}
		warnings := append(all.Warnings, got.Warnings...)
		issuer := all.IssuerEnds
		if issuer.IsZero() || !got.IssuerEnds.IsZero() && got.IssuerEnds.Before(issuer) {
			issuer = got.IssuerEnds
		}
		root := all.RootHere || got.RootHere
		if len(got.Nodes) > len(all.Nodes) || all.Node == "" {
			all = got
		}
		all.Warnings, all.IssuerEnds, all.RootHere = warnings, issuer, root
	}
	slices.Sort(all.Warnings)
	all.Warnings, all.Refused = slices.Compact(all.Warnings), refused
	for i, n := range all.Nodes {
		all.Nodes[i].Ends = ends[n.Name]
	}
	return all
}

func (a *app) printPKI(all admin.PKI) error {
	fmt.Fprintf(a.out, "deployment %s\n", all.Deployment)
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NODE\tREGION\tROLES\tKEY\tENDS\tSTATE")
	for _, n := range all.Nodes {
		state := n.State
		if n.Reason != "" {
			state += ": " + n.Reason
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", n.Name, n.Region, n.Roles, n.Key, day(n.Ends), state)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	where := "not on these nodes"
	if all.RootHere {
		where = "on a home node"
	}
	fmt.Fprintf(a.out, "issuer ends %s; the authority's key is %s\n", day(all.IssuerEnds), where)
	for _, r := range all.Refused {
		fmt.Fprintf(a.out, "refused %d times, last at %s: %s\n", r.Times, r.At.Format(time.RFC3339), r.Reason)
	}
	for _, text := range all.Warnings {
		fmt.Fprintf(a.out, "warning: %s\n", text)
	}
	return nil
}

func day(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.DateOnly)
}

func (a *app) pkiInit() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use: "init DIR", Short: "Make the authority of a new deployment in a directory", Args: cobra.ExactArgs(1),
		Long: pkiHelp + `
Do it once, on a machine that is not a node, and keep the directory. "nearside serve" does it by itself
at its first start.`,
		Example: "  nearside pki init authority --deployment example",
	}
	cmd.Flags().StringVar(&name, "deployment", "", "`name` of the deployment; a random one by default")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if _, err := link.LoadCA(args[0]); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("there is an authority in %s already", args[0])
		}
		ca, err := node.Authority(args[0], name, time.Now())
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(a.out, "The authority of %s is in %s. Keep ca.key secret and away from the nodes.\n", ca.Deployment, args[0])
		return err
	}
	return cmd
}

// issueFlags say what is to be made.
type issueFlags struct {
	region, roles, out, ca string
	issuer                 bool
}

func (a *app) pkiIssue() *cobra.Command {
	var t targets
	var f issueFlags
	cmd := &cobra.Command{
		Use: "issue NODE", Short: "Make a key and a certificate for a node, and admit it", Args: cobra.MaximumNArgs(1),
		Long: pkiHelp + `
It writes node.key, node.crt and ca.crt to --out; move them to the node's pki directory. The leader admits the
node with the new key. A key that the node had before is no longer good; a node that was revoked comes back.

With --ca, the directory of the authority, nothing is asked and nobody is admitted: do that
with "nearside pki admit". The certificates of the first home nodes are made so. With --issuer it makes the
issuer of a home node, issuer.key and issuer.crt, instead.

` + targetsHelp,
		Example: `  nearside pki issue edge-tokyo --region tokyo --roles edge --out edge-tokyo
  nearside pki issue virginia-1 --region virginia --roles home --ca authority --out virginia-1
  nearside pki issue --issuer --ca authority --out virginia-1`,
	}
	t.flags(cmd)
	cmd.Flags().StringVar(&f.region, "region", "", "`region` of the node; as before by default")
	cmd.Flags().StringVar(&f.roles, "roles", "", "its `roles`: home, edge, or home,edge; as before by default")
	cmd.Flags().StringVar(&f.out, "out", "", "`directory` for the files (required)")
	cmd.Flags().StringVar(&f.ca, "ca", "", "`directory` with the authority's ca.key and ca.crt")
	cmd.Flags().BoolVar(&f.issuer, "issuer", false, "make an issuer for home nodes")
	_ = cmd.MarkFlagRequired("out")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case f.issuer && (len(args) > 0 || f.ca == ""):
			return usageError{errors.New("an issuer is made with --ca DIR, and for no node")}
		case !f.issuer && len(args) == 0:
			return usageError{errors.New("which node? Name it")}
		case f.issuer:
			return a.makeIssuer(f)
		}
		return a.makeNode(cmd, &t, f, args[0])
	}
	return cmd
}

func (a *app) makeIssuer(f issueFlags) error {
	ca, err := link.LoadCA(f.ca)
	if err != nil {
		return fmt.Errorf("authority in %s: %w", f.ca, err)
	}
	issuer, err := ca.NewIssuer(time.Now())
	if err == nil {
		err = issuer.Save(f.out)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "An issuer until %s is in %s. Copy issuer.key and issuer.crt to the pki directory of a home node.\n", day(issuer.Until()), f.out)
	return err
}

func (a *app) makeNode(cmd *cobra.Command, t *targets, f issueFlags, name string) error {
	if found, err := link.LoadCredentials(f.out); err == nil && found.Identity.Node != name {
		return fmt.Errorf("%s has the certificate of %s; use another directory", f.out, found.Identity.Node)
	}
	req, err := link.NewRequest()
	if err != nil {
		return err
	}
	var got admin.Issued
	if f.ca == "" {
		if err := t.askLeader(cmd, "/v1/pki/issue", admin.Issue{Node: name, Region: f.region, Roles: f.roles, Public: req.Public()}, &got); err != nil {
			return err
		}
	} else if got, err = offline(f, name, req); err != nil {
		return err
	}
	cred, err := req.Finish([]byte(got.Certificate), []byte(got.Authority))
	if err == nil {
		err = cred.Save(f.out)
	}
	if err != nil {
		return err
	}
	next := "Move the files to its pki directory, and start it."
	if f.ca != "" {
		next = "Home nodes of a new deployment are admitted by themselves; for every other node type `nearside pki admit " + filepath.Join(f.out, "node.crt") + "` at home."
	}
	_, err = fmt.Fprintf(a.out, "The certificate of %s until %s is in %s. %s\n", name, day(cred.Peer().Until), f.out, next)
	return err
}

// offline makes a certificate with the authority's own key.
func offline(f issueFlags, name string, req *link.Request) (admin.Issued, error) {
	if f.region == "" || f.roles == "" {
		return admin.Issued{}, usageError{errors.New("with --ca, say --region and --roles")}
	}
	ca, err := link.LoadCA(f.ca)
	if err != nil {
		return admin.Issued{}, fmt.Errorf("authority in %s: %w", f.ca, err)
	}
	certificate, authority, err := ca.Certify(link.IdentityOf(name, f.region, f.roles), req.Public(), time.Now(), link.NodeValidity)
	return admin.Issued{Certificate: string(certificate), Authority: string(authority)}, err
}

func (a *app) pkiAdmit() *cobra.Command {
	var t targets
	cmd := &cobra.Command{
		Use: "admit CERTIFICATE…", Short: "Admit nodes whose certificates were made elsewhere", Args: cobra.MinimumNArgs(1),
		Long: pkiHelp + `
A certificate is the file node.crt, or a directory with it. A node that was admitted with another key gets this one;
a node that was revoked comes back.

` + targetsHelp,
		Example: "  nearside pki admit edge-tokyo/node.crt",
	}
	t.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var in admin.Admit
		for _, path := range args {
			text, err := admin.ReadCertificate(path)
			if err != nil {
				return err
			}
			in.Certificates = append(in.Certificates, text)
		}
		var now admin.PKI
		if err := t.askLeader(cmd, "/v1/pki/admit", in, &now); err != nil {
			return err
		}
		return a.printPKI(now)
	}
	return cmd
}

func (a *app) pkiRotate() *cobra.Command {
	var t targets
	cmd := &cobra.Command{
		Use: "rotate [NODE]", Short: "Give a node, or all of them, a new key and certificate at once", Args: cobra.MaximumNArgs(1),
		Long: pkiHelp + `
Each node makes its key itself and asks the leader for the certificate; it is not started again. The key before
stays good for ten minutes. If a key was stolen, revoke the node instead, and issue another.

` + targetsHelp,
		Example: "  nearside pki rotate edge-tokyo",
	}
	t.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		nodes, err := t.find(cmd)
		if err != nil {
			return err
		}
		var failed error
		found := false
		for _, n := range ask(cmd.Context(), nodes) { // one after another, so that the others always work
			if len(args) > 0 && n.name != args[0] && (n.Status == nil || n.Node != args[0]) {
				continue
			}
			found = true
			var now admin.PKI
			if err := call(cmd.Context(), n.place, "/v1/pki/rotate", map[string]any{}, &now); err != nil {
				failed = errors.Join(failed, fmt.Errorf("%s: %w", n.place, err))
				continue
			}
			for _, one := range now.Nodes {
				if one.Name == now.Node {
					fmt.Fprintf(a.out, "%s has a new certificate until %s.\n", now.Node, day(one.Ends))
				}
			}
		}
		if !found {
			return fmt.Errorf("no node %q among those that are asked; name it with --admin", args)
		}
		return failed
	}
	return cmd
}

func (a *app) pkiRevoke() *cobra.Command {
	var t targets
	var reason string
	cmd := &cobra.Command{
		Use: "revoke NODE --reason TEXT", Short: "Throw a node out", Args: cobra.ExactArgs(1),
		Long: pkiHelp + `
Every node that knows of it ends its connections with the node and refuses new ones. A home node also loses its
vote. The last home node stays, and so does the one that leads: let another one lead first.

` + targetsHelp,
		Example: "  nearside pki revoke edge-tokyo --reason 'its disk was stolen'",
	}
	t.flags(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "`why`; others see it (required)")
	_ = cmd.MarkFlagRequired("reason")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var now admin.PKI
		if err := t.askLeader(cmd, "/v1/pki/revoke", admin.Revoke{Node: args[0], Reason: reason}, &now); err != nil {
			return err
		}
		return a.printPKI(now)
	}
	return cmd
}
