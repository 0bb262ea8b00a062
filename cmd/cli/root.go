package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/nearside/nearside/cmd/node"
	"github.com/nearside/nearside/core"
)

// The exit codes that scripts may rely on.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// sameWish is how long after a signal another one is taken for the same request.
const sameWish = time.Second

// app is what the commands share. It is immutable once flags are read.
type app struct {
	version     string
	out, errOut io.Writer
	verbose     bool
}

// usageError says that the program was called wrongly.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// Main runs the program and gives its exit code.
func Main(version string, args []string, out, errOut io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal has its default effect, but not immediately: shells and timeout(1) send a
	// signal both to the process and to its group.
	defer context.AfterFunc(ctx, func() { time.AfterFunc(sameWish, stop) })()
	a := &app{version: version, out: out, errOut: errOut}
	root := a.root()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitDone
	}
	code := exitCode(err)
	fmt.Fprintf(errOut, "nearside: %v\n", err)
	if code == exitUsage && cmd != nil {
		fmt.Fprintf(errOut, "Type `%s --help` for how it is used.\n", cmd.CommandPath())
	}
	return code
}

// exitCode is the one place where errors become exit codes.
func exitCode(err error) int {
	if errors.As(err, &usageError{}) || core.KindOf(err) == core.KindInvalid {
		return exitUsage
	}
	return exitFailed
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "nearside",
		Short: "A self-hosted messaging server that is near everybody",
		Long: `Nearside is a self-hosted messaging server for people in many places. Every edge answers
reads from its own copy of everything; one home region puts all writes into one order.

Try it:
  nearside demo     a whole federation on this machine
  nearside serve    one server
  nearside status   who is where, who leads, how far behind`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		Args:              noSuchCommand,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: false},
	}
	root.SuggestionsMinimumDistance = 2
	root.SetOut(a.out)
	root.SetErr(a.errOut)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.PersistentFlags().BoolVarP(&a.verbose, "verbose", "v", false, "log more")
	root.AddCommand(a.serve(), a.demo(), a.node(), a.home(), a.pki(), a.log(), a.status(), a.lag(), a.files(), a.cdn(), a.audit(), a.doctor(), a.versionCmd())
	root.InitDefaultHelpCmd()
	return root
}

func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	msg := fmt.Sprintf("there is no command %q", args[0])
	if s := cmd.SuggestionsFor(args[0]); len(s) > 0 {
		msg += "; did you mean " + strings.Join(s, " or ") + "?"
	}
	return usageError{errors.New(msg)}
}

// noArgs refuses arguments, with exit code 2 where cobra's own would give 1.
func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("unexpected argument %q", args[0])}
	}
	return nil
}

// logger writes to w; without --verbose only what an operator wants to read.
func (a *app) logger(w io.Writer) *slog.Logger {
	level := slog.LevelInfo
	if a.verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

// format is the -o flag.
type format string

func (f *format) flag(cmd *cobra.Command) {
	*f = "table"
	cmd.Flags().VarP(f, "output", "o", "`format`: table or json")
}

// String implements pflag.Value.
func (f *format) String() string { return string(*f) }

// Type implements pflag.Value.
func (f *format) Type() string { return "format" }

// Set implements pflag.Value.
func (f *format) Set(s string) error {
	if s != "table" && s != "json" {
		return errors.New("use table or json")
	}
	*f = format(s)
	return nil
}

// group is a command that only has subcommands.
func group(use, short, long string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.SuggestionsMinimumDistance = 2
	cmd.AddCommand(commands...)
	return cmd
}

// loadConfig reads the configuration that --config names. whose asks for it when it names none.
func loadConfig(path, whose string) (node.Config, error) {
	if path == "" {
		return node.Config{}, usageError{errors.New(whose + " with --config FILE")}
	}
	cfg, err := node.Load(path)
	if errors.Is(err, os.ErrNotExist) {
		err = core.E(core.KindNotFound, "cannot read the configuration %s", path)
	}
	return cfg, err
}
