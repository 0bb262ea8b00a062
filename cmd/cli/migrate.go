package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/cmd/node"
)

// badCopy is a blob that could not be copied.
type badCopy struct {
	Digest string `json:"digest"`
	Cause  string `json:"cause"`
}

// migrated is the result of a copy between back ends.
type migrated struct {
	From    string    `json:"from"`
	To      string    `json:"to"`
	Blobs   int64     `json:"blobs"`
	Bytes   int64     `json:"bytes"`
	Copied  int64     `json:"copied"`
	CopiedB int64     `json:"copied_bytes"`
	Skipped int64     `json:"skipped"` // those that were at the target already
	Bad     []badCopy `json:"bad"`
}

func (a *app) filesMigrate() *cobra.Command {
	var config, from, to string
	var verify bool
	var o format
	cmd := &cobra.Command{
		Use: "migrate", Short: "Copy all files to another store", Args: noArgs,
		Long: `Copies every blob from one store to another: for example from a home node's disk to a bucket. A store
is "disk" (files.dir of the configuration), "disk:DIR", or "s3" (files.s3 of the configuration).
Nothing is removed. Blobs that are at the target already are skipped, so a copy that was interrupted
goes on where it stopped, and a repeated copy copies only what is new.

To move a running deployment from its disks to a bucket:
  1. write files.s3 into a copy of a home node's configuration and run migrate with it;
  2. put files.s3 into the configuration of every home node and restart them one by one;
  3. run migrate once more on each home node, for what was uploaded meanwhile.

It exits with 1 if a blob at the source is damaged; the others are copied nevertheless.`,
		Example: `  nearside files migrate --config node.yaml --from disk --to s3
  nearside files migrate --config node.yaml --from s3 --to disk:/mnt/backup/files --verify`,
	}
	f := cmd.Flags()
	f.StringVar(&config, "config", "", "configuration `file` of a home node (required)")
	f.StringVar(&from, "from", "", "`store` to copy from (required)")
	f.StringVar(&to, "to", "", "`store` to copy to (required)")
	f.BoolVar(&verify, "verify", false, "read what is at the target already, and copy it again if it is damaged")
	o.flag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if from == "" || to == "" {
			return usageError{errors.New("name both stores, with --from and --to")}
		}
		if from == to {
			return usageError{errors.New("--from and --to name the same store")}
		}
		cfg, err := loadConfig(config, "whose files? Name a home node's configuration")
		if err != nil {
			return err
		}
		return a.migrateFiles(cmd.Context(), cfg, from, to, verify, o)
	}
	return cmd
}

func (a *app) migrateFiles(ctx context.Context, cfg node.Config, from, to string, verify bool, o format) error {
	source, err := cfg.OpenStore(ctx, from, false)
	if err != nil {
		return fmt.Errorf("--from: %w", err)
	}
	defer source.Close()
	target, err := cfg.OpenStore(ctx, to, true)
	if err != nil {
		return fmt.Errorf("--to: %w", err)
	}
	defer target.Close()
	got, err := a.migrate(ctx, source, target, verify)
	got.From, got.To = from, to
	if o == "json" {
		err = errors.Join(writeJSON(a.out, got), err)
	} else {
		a.printMigrated(got)
	}
	if err == nil && len(got.Bad) > 0 {
		err = fmt.Errorf("%d blobs at the source are damaged or unreadable", len(got.Bad))
	}
	return err
}

func (a *app) migrate(ctx context.Context, from cdn.CopySource, to cdn.CopyTarget, verify bool) (migrated, error) {
	got, line := migrated{Bad: []badCopy{}}, newProgress(a.errOut)
	defer line.clear()
	st, err := cdn.Copy(ctx, from, to, cdn.CopyOptions{
		Count: true, Verify: verify,
		Progress: func(s cdn.CopyStats) {
			line.say(fmt.Sprintf("%s%d of %d blobs, %s of %s, %d copied, %d bad", bar(s.Bytes, s.TotalBytes), s.Blobs, s.TotalBlobs,
				size(s.Bytes), size(s.TotalBytes), s.Copied, s.Bad))
		},
		Bad: func(d cdn.Digest, err error) { got.Bad = append(got.Bad, badCopy{d.String(), err.Error()}) },
	})
	got.Blobs, got.Bytes, got.Copied, got.CopiedB, got.Skipped = st.Blobs, st.Bytes, st.Copied, st.CopiedBytes, st.Skipped
	if ctx.Err() != nil {
		err = errors.New("interrupted; run the same command again to go on")
	}
	return got, err
}

func (a *app) printMigrated(m migrated) {
	for _, b := range m.Bad {
		fmt.Fprintf(a.out, "bad: %s: %s\n", b.Digest, b.Cause)
	}
	fmt.Fprintf(a.out, "%s to %s: %d blobs, %s; %d copied, %s; %d were there; %d bad\n",
		m.From, m.To, m.Blobs, size(m.Bytes), m.Copied, size(m.CopiedB), m.Skipped, len(m.Bad))
}
