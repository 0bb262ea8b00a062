package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/nearside/nearside/cmd/admin"
	"github.com/nearside/nearside/cmd/node"
)

func (a *app) cdn() *cobra.Command {
	return group("cdn", "Look at the caches of files at the edges",
		`Every edge keeps the files that its people read in a bounded cache. These commands show, fill and
empty the caches; nothing is lost with what is in them.`,
		a.cdnStat(), a.cdnWarm(), a.cdnPurge())
}

func (a *app) cdnStat() *cobra.Command {
	var t targets
	var o format
	cmd := &cobra.Command{
		Use: "stat", Short: "Show what each cache holds and how often it helped", Args: noArgs,
		Long: `Asks every edge for its cache of files: what is in it, and what it has done since it started.

` + targetsHelp,
		Example: "  nearside cdn stat --data " + defaultData + "\n  nearside cdn stat -o json",
	}
	t.flags(cmd)
	o.flag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		edges, silent, err := t.with(cmd, node.RoleEdge)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), askLimit)
		defer cancel()
		answers := askEach[admin.CacheStatus](ctx, edges, "/v1/cdn", nil)
		err = show(a, o, answers, "NODE\tHIT RATIO\tHITS\tMISSES\tFILES\tBYTES\tIN MEMORY\tFROM MEMORY\tFROM DISK\tFROM ORIGIN\tEVICTED\tHEALED\tPENDING",
			func(w io.Writer, s admin.CacheStatus) {
				fmt.Fprintf(w, "%s\t%.2f\t%d\t%d\t%d of %d\t%s of %s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\n", s.Node, s.HitRatio, s.Hits, s.Misses, s.Files, s.MaxFiles,
					size(s.Bytes), size(s.MaxBytes), size(s.Hot), size(s.MemoryBytes), size(s.DiskBytes), size(s.OriginBytes), s.Evictions, s.Healed, s.Pending)
			})
		return errors.Join(err, anyError(answers), silent)
	}
	return cmd
}

func (a *app) cdnWarm() *cobra.Command {
	var t targets
	var o format
	var recent int
	cmd := &cobra.Command{
		Use: "warm [DIGEST]...", Short: "Bring files into the caches before somebody reads them",
		Long: `Brings blobs into the cache of every edge: those that are named, and with --recent those of the
latest files. A digest is the SHA-256 of the content, as "nearside files verify" shows it.

` + targetsHelp,
		Example: "  nearside cdn warm --recent 500\n  nearside cdn warm --admin /var/lib/nearside/admin/socket 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
	}
	t.flags(cmd)
	o.flag(cmd)
	cmd.Flags().IntVar(&recent, "recent", 0, "`number` of the latest files")
	cmd.RunE = func(cmd *cobra.Command, digests []string) error {
		if len(digests) == 0 && recent == 0 {
			return usageError{errors.New("nothing to bring: name digests, or use --recent")}
		}
		edges, silent, err := t.with(cmd, node.RoleEdge)
		if err != nil {
			return err
		}
		answers := askEach[admin.Warmed](cmd.Context(), edges, "/v1/cdn/warm", map[string]any{"digests": digests, "recent": recent})
		err = show(a, o, answers, "NODE\tWARMED\tFAILED\tFIRST ERROR", func(w io.Writer, s admin.Warmed) {
			first := "-"
			if len(s.Errors) > 0 {
				first = s.Errors[0]
			}
			fmt.Fprintf(w, "%s\t%d\t%d\t%s\n", s.Node, s.Warmed, s.Failed, first)
		})
		return errors.Join(err, anyError(answers), failedToWarm(answers), silent)
	}
	return cmd
}

func failedToWarm(answers []said[admin.Warmed]) error {
	n := 0
	for _, s := range answers {
		if s.Answer != nil {
			n += s.Answer.Failed
		}
	}
	if n > 0 {
		return fmt.Errorf("%d blobs could not be brought into a cache", n)
	}
	return nil
}

func (a *app) cdnPurge() *cobra.Command {
	var t targets
	var o format
	var all bool
	cmd := &cobra.Command{
		Use: "purge [DIGEST]...", Short: "Drop files from the caches",
		Long: `Drops blobs from the cache of every edge: those that are named, or with --all everything. Blobs
that the origin does not have yet are kept; the others are fetched again when somebody reads them.

` + targetsHelp,
		Example: "  nearside cdn purge --all\n  nearside cdn purge 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
	}
	t.flags(cmd)
	o.flag(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "everything")
	cmd.RunE = func(cmd *cobra.Command, digests []string) error {
		if all == (len(digests) > 0) {
			return usageError{errors.New("nothing to drop: name digests, or use --all")}
		}
		edges, silent, err := t.with(cmd, node.RoleEdge)
		if err != nil {
			return err
		}
		answers := askEach[admin.Purged](cmd.Context(), edges, "/v1/cdn/purge", map[string]any{"digests": digests, "all": all})
		err = show(a, o, answers, "NODE\tPURGED", func(w io.Writer, s admin.Purged) { fmt.Fprintf(w, "%s\t%d\n", s.Node, s.Purged) })
		return errors.Join(err, anyError(answers), silent)
	}
	return cmd
}
