package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/nearside/nearside/cmd/admin"
	"github.com/nearside/nearside/cmd/node"
)

// verified is the result of a verification.
type verified struct {
	Nodes []admin.Verified `json:"nodes"`
	Bad   []badAt          `json:"bad"`
}

// badAt is a bad blob and the node that found it.
type badAt struct {
	Node string `json:"node"`
	admin.BadBlob
}

func (a *app) filesVerify() *cobra.Command {
	var t targets
	var o format
	var repair bool
	cmd := &cobra.Command{
		Use: "verify", Short: "Read every file and say which are damaged", Args: noArgs,
		Long: `Reads every blob that a file or picture needs, on the disk of every home node or in the bucket, and
says which are missing or damaged, and which files and posts need them. With --repair, a bad blob
at one home node is replaced by a good one from another.

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

// keepers gives the nodes to ask: all that have disks, or one that reaches the bucket.
func keepers(ctx context.Context, homes []report) (ask []report, bucket bool) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	for i, s := range askEach[admin.FilesStatus](ctx, homes, "/v1/files", nil) {
		if s.Answer != nil && s.Answer.Store == "s3" {
			return homes[i : i+1], true
		}
	}
	return homes, false
}

// verify makes all nodes verify at once and collects their answers.
func (a *app) verify(ctx context.Context, homes []report, repair bool) (verified, error) {
	got := verified{Nodes: []admin.Verified{}, Bad: []badAt{}}
	var mu sync.Mutex // guards got, now and line
	now, line := map[string]admin.Verified{}, newProgress(a.errOut)
	hear := func(name string, l admin.VerifyLine) {
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
		var sum admin.Verified
		for _, v := range now {
			sum.Blobs, sum.Bytes, sum.Bad = sum.Blobs+v.Blobs, sum.Bytes+v.Bytes, sum.Bad+v.Bad
		}
		line.say(fmt.Sprintf("%d blobs read, %s, %d bad", sum.Blobs, size(sum.Bytes), sum.Bad))
	}
	errs := make([]error, len(homes))
	var wg sync.WaitGroup
	for i, h := range homes {
		wg.Go(func() {
			if err := listen(ctx, h.place, repair, func(l admin.VerifyLine) { hear(h.Node, l) }); err != nil {
				errs[i] = fmt.Errorf("%s: %w", h.Node, err)
			}
		})
	}
	wg.Wait()
	line.clear()
	slices.SortFunc(got.Nodes, func(a, b admin.Verified) int { return cmp.Compare(a.Node, b.Node) })
	return got, errors.Join(errs...)
}

// listen makes one node verify and gives each line of its answer.
func listen(ctx context.Context, at admin.Place, repair bool, each func(admin.VerifyLine)) error {
	var body any
	if repair {
		body = struct{}{}
	}
	resp, err := request(ctx, at, "/v1/files/verify", body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	for dec := json.NewDecoder(resp.Body); ; {
		var l admin.VerifyLine
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

// uses gives table cells that say what needs a blob, one row for each.
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
