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
		Use: "status", Short: "Show where files are kept and whether all is well", Args: noArgs,
		Long: `Asks every node of a deployment where it keeps files, and what it has repaired since it started.

` + targetsHelp,
		Example: "  nearside files status --data " + defaultData + "\n  nearside files status --admin /var/lib/nearside/admin/socket -o json",
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
		answers := askEach[admin.FilesStatus](ctx, nodes, "/v1/files", nil)
		err = show(a, o, answers, "NODE\tSTORE\tAT\tBLOBS\tBYTES\tMISSING\tPENDING\tREPAIRED\tSWEPT\tTROUBLE", func(w io.Writer, s admin.FilesStatus) {
			fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%d\t%d\t%d\t%d\t%s\n", s.Node, s.Store, orDash(s.Where), s.Blobs, size(s.Bytes), s.Missing,
				s.Pending, s.Repaired, s.Swept, orDash(s.Trouble))
		})
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
		Long: `Makes the home nodes remove stored bytes that nothing refers to, and that are older than
files.grace and files.keep_deleted say. They also do that by themselves, every hour.

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
		answers := askEach[admin.Sweep](cmd.Context(), homes, "/v1/files/sweep", map[string]bool{"force": force})
		err = show(a, o, answers, "NODE\tBLOBS\tBYTES\tNEVER KNOWN\tRELEASED\tSWEPT\tBYTES SWEPT\tNOTE", func(w io.Writer, s admin.Sweep) {
			fmt.Fprintf(w, "%s\t%d\t%s\t%d\t%d\t%d\t%s\t%s\n", s.Node, s.Blobs, size(s.Bytes), s.Orphans, s.Released, s.Swept, size(s.SweptBytes), orDash(s.Skipped))
		})
		return errors.Join(err, anyError(answers), silent)
	}
	return cmd
}
