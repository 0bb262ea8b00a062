package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/nearside/nearside/cmd/node"
	"github.com/nearside/nearside/core"
)

func (a *app) files() *cobra.Command {
	return group("files", "Look after the files that people upload",
		`Looks after the bytes of files where they durably are: on the disks of the home nodes, or in a
bucket of an object store.`,
		a.filesStatus(), a.filesVerify(), a.filesSweep(), a.filesMigrate())
}

func (a *app) filesStatus() *cobra.Command {
	var t targets
	var o format
	cmd := &cobra.Command{
		Use: "status", Short: "Show where files are and how they are", Args: noArgs,
		Long: `Asks every node of a deployment where it keeps files and what it had to mend since it started.

` + targetsHelp,
		Example: "  nearside files status --data " + defaultData + "\n  nearside files status --admin http://127.0.0.1:8067 -o json",
	}
	t.flags(cmd)
	o.flag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		nodes, err := t.find(cmd)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), askLimit)
		defer cancel()
		answers := askEach[node.FilesStatus](ctx, nodes, "/v1/files", nil)
		if o == "json" {
			err = writeJSON(a.out, map[string]any{"nodes": answers})
		} else {
			err = printAnswers(a.out, answers, "NODE\tSTORE\tAT\tBLOBS\tBYTES\tMISSING\tPENDING\tREPAIRED\tSWEPT\tTROUBLE", func(w io.Writer, s node.FilesStatus) {
				fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%d\t%d\t%d\t%d\t%s\n", s.Node, s.Store, orDash(s.Where), s.Blobs, size(s.Bytes), s.Missing,
					s.Pending, s.Repaired, s.Swept, orDash(s.Trouble))
			})
		}
		return errors.Join(err, noAnswer(answers))
	}
	return cmd
}

func (a *app) filesSweep() *cobra.Command {
	var t targets
	var o format
	var force bool
	cmd := &cobra.Command{
		Use: "sweep", Short: "Remove bytes that no file needs any more", Args: noArgs,
		Long: `Has the home nodes remove stored bytes now that nothing refers to, and that are older than
files.grace and files.keep_deleted say. They do so by themselves every hour.

A sweep that would remove most of what is stored, none of which the log has ever known, is
refused without --force: it is usually the store of another deployment.

` + targetsHelp,
		Example: "  nearside files sweep\n  nearside files sweep --force -o json",
	}
	t.flags(cmd)
	o.flag(cmd)
	cmd.Flags().BoolVar(&force, "force", false, "remove what the log has never known, however much it is")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		homes, silent, err := t.with(cmd, node.RoleHome)
		if err != nil {
			return err
		}
		answers := askEach[node.Sweep](cmd.Context(), homes, "/v1/files/sweep", map[string]bool{"force": force})
		if o == "json" {
			err = writeJSON(a.out, map[string]any{"nodes": answers})
		} else {
			err = printAnswers(a.out, answers, "NODE\tBLOBS\tBYTES\tNEVER KNOWN\tRELEASED\tSWEPT\tBYTES SWEPT\tNOTE", func(w io.Writer, s node.Sweep) {
				fmt.Fprintf(w, "%s\t%d\t%s\t%d\t%d\t%d\t%s\t%s\n", s.Node, s.Blobs, size(s.Bytes), s.Orphans, s.Released, s.Swept, size(s.SweptBytes), orDash(s.Skipped))
			})
		}
		return errors.Join(err, anyError(answers), silent)
	}
	return cmd
}

// said is what one node answered, or why it did not.
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
			if err := call(ctx, n.AdminURL+path, body, &got); err != nil {
				answers[i].Error = err.Error()
				return
			}
			answers[i].Answer = &got
		})
	}
	wg.Wait()
	return answers
}

func printAnswers[T any](out io.Writer, answers []said[T], head string, row func(io.Writer, T)) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
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
	return errors.New("no node answers; is the deployment running? Start it with `nearside serve` or `nearside demo`")
}

func anyError[T any](answers []said[T]) error {
	for _, s := range answers {
		if s.Error != "" {
			return fmt.Errorf("%s: %s", s.name, s.Error)
		}
	}
	return nil
}

// verified is the result of a verification.
type verified struct {
	Nodes []node.Verified `json:"nodes"`
	Bad   []badAt         `json:"bad"`
}

// badAt is a bad blob and the node that found it.
type badAt struct {
	Node string `json:"node"`
	node.BadBlob
}

func (a *app) filesVerify() *cobra.Command {
	var t targets
	var o format
	var repair bool
	cmd := &cobra.Command{
		Use: "verify", Short: "Read every file and say which are damaged", Args: noArgs,
		Long: `Reads every blob that the log refers to where it durably is, on the disk of every home node or
in the bucket, and says which are missing or damaged, and which files and posts need them. With
--repair what is bad at one home node is brought from another that has it whole.

It exits with 1 if anything is bad.

` + targetsHelp,
		Example: "  nearside files verify --data " + defaultData + "\n  nearside files verify --repair -o json",
	}
	t.flags(cmd)
	o.flag(cmd)
	cmd.Flags().BoolVar(&repair, "repair", false, "bring what is bad from another home node")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		homes, silent, err := t.with(cmd, node.RoleHome)
		if err != nil {
			return err
		}
		homes, bucket := keepers(cmd.Context(), homes)
		if bucket {
			silent = nil // one is enough
		}
		got, err := a.verify(cmd.Context(), homes, repair)
		if o == "json" {
			return errors.Join(writeJSON(a.out, got), err, silent, got.failure())
		}
		return errors.Join(got.print(a.out), err, silent, got.failure())
	}
	return cmd
}

// keepers gives the nodes to ask: all with disks of their own, or one that reaches the bucket.
func keepers(ctx context.Context, homes []report) (ask []report, bucket bool) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	for i, s := range askEach[node.FilesStatus](ctx, homes, "/v1/files", nil) {
		if s.Answer != nil && s.Answer.Store == "s3" {
			return homes[i : i+1], true
		}
	}
	return homes, false
}

// verify has all nodes verify at once and gathers what they say.
func (a *app) verify(ctx context.Context, homes []report, repair bool) (verified, error) {
	got := verified{Nodes: []node.Verified{}, Bad: []badAt{}}
	var mu sync.Mutex // guards got, now and line
	now, line := map[string]node.Verified{}, newProgress(a.errOut)
	hear := func(name string, l node.VerifyLine) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case l.Bad != nil:
			got.Bad = append(got.Bad, badAt{name, *l.Bad})
		case l.Summary != nil:
			now[name] = *l.Summary
			got.Nodes = append(got.Nodes, *l.Summary)
		case l.Progress != nil:
			now[name] = *l.Progress
		}
		var sum node.Verified
		for _, v := range now {
			sum.Blobs, sum.Bytes, sum.Bad = sum.Blobs+v.Blobs, sum.Bytes+v.Bytes, sum.Bad+v.Bad
		}
		line.say(fmt.Sprintf("%d blobs read, %s, %d bad", sum.Blobs, size(sum.Bytes), sum.Bad))
	}
	errs := make([]error, len(homes))
	var wg sync.WaitGroup
	for i, h := range homes {
		wg.Go(func() {
			if err := listen(ctx, h.AdminURL, repair, func(l node.VerifyLine) { hear(h.Node, l) }); err != nil {
				errs[i] = fmt.Errorf("%s: %w", h.Node, err)
			}
		})
	}
	wg.Wait()
	line.clear()
	slices.SortFunc(got.Nodes, func(a, b node.Verified) int { return cmp.Compare(a.Node, b.Node) })
	return got, errors.Join(errs...)
}

// listen has one node verify and gives each line of its answer.
func listen(ctx context.Context, url string, repair bool, each func(node.VerifyLine)) error {
	var body any
	if repair {
		body = struct{}{}
	}
	resp, err := request(ctx, url+"/v1/files/verify", body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	for dec := json.NewDecoder(resp.Body); ; {
		var l node.VerifyLine
		switch err := dec.Decode(&l); {
		case errors.Is(err, io.EOF):
			return errors.New("the node stopped before it had read everything")
		case err != nil:
			return err
		case l.Error != "":
			return errors.New(l.Error)
		}
		each(l)
		if l.Summary != nil {
			return nil
		}
	}
}

func (v verified) failure() error {
	bad := int64(0)
	for _, n := range v.Nodes {
		bad += n.Bad
	}
	if bad > 0 {
		return fmt.Errorf("%d of the blobs that were read are bad", bad)
	}
	return nil
}

func (v verified) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if len(v.Bad) > 0 {
		fmt.Fprintln(w, "NODE\tPROBLEM\tBLOB\tBYTES\tNEEDED BY\tPOST\tCHANNEL")
	}
	for _, b := range v.Bad {
		problem := b.Problem
		if b.Repaired {
			problem += ", repaired"
		}
		for _, use := range b.uses() {
			fmt.Fprintf(w, "%s\t%s\t%.16s\t%d\t%s\n", b.Node, problem, b.Digest, b.Size, use)
		}
	}
	if len(v.Bad) > 0 {
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w, "NODE\tSTORE\tBLOBS\tBYTES\tBAD\tREPAIRED\tNOT HERE YET")
	for _, n := range v.Nodes {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%d\t%d\t%d\n", n.Node, n.Store, n.Blobs, size(n.Bytes), n.Bad, n.Repaired, n.Elsewhere)
	}
	return w.Flush()
}

// uses gives the cells that say who needs a blob, a row each.
func (b badAt) uses() (rows []string) {
	id := func(zero bool, s string) string {
		if zero {
			return "-"
		}
		return s
	}
	for _, f := range b.Files {
		rows = append(rows, fmt.Sprintf("file %s %q\t%s\t%s", f.ID, f.Name, id(f.PostID.IsZero(), f.PostID.String()), f.ChannelID))
	}
	for _, u := range b.Users {
		rows = append(rows, fmt.Sprintf("picture of user %s\t-\t-", u))
	}
	for _, u := range b.Uploads {
		rows = append(rows, fmt.Sprintf("upload %s\t-\t-", u))
	}
	if len(rows) == 0 {
		rows = append(rows, "-\t-\t-")
	}
	return rows
}

var errNoConfig = usageError{errors.New("whose files? Name a home node's configuration with --config FILE")}

// loadConfig reads the configuration that --config names.
func loadConfig(path string) (node.Config, error) {
	if path == "" {
		return node.Config{}, errNoConfig
	}
	cfg, err := node.Load(path)
	if errors.Is(err, os.ErrNotExist) {
		err = core.E(core.KindNotFound, "cannot read the configuration %s", path)
	}
	return cfg, err
}
