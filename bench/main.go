// Command bench measures every number that we promise, prints each beside its target, and
// writes the result with a description of the machine to a file. It runs the built program in processes
// and uses it as a client does, and runs the Go benchmarks of parts that can be measured alone.
//
// The load runs on the same machine as the program. The exit code is 1 if a number misses its target, a
// promise was broken, or a measurement failed.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/nearside/nearside/bench/world"
)

// bench has what all measurements need.
type bench struct {
	program  string // path of the built nearside
	before   string // path of an earlier program to compare with; empty: there is none
	noBefore string // why there is none
	short    bool   // shorter loads, for trying the bench itself
	report   *report
}

// part is a group of measurements that needs one set-up.
type part struct {
	name, what string
	run        func(*bench, context.Context) error
	byDefault  bool
}

var parts = []part{
	{"serve", "one node: posts, pages, sockets, start", (*bench).serve, true},
	{"cpu", "one node: CPU time of what clients do most, beside an earlier commit", (*bench).cpu, true},
	{"machine", "the state machine alone", (*bench).machine, true},
	{"worst", "the most expensive entries that a client can cause", (*bench).worst, true},
	{"abuse", "what one account can take from the others", (*bench).abuse, true},
	{"raft", "the log alone, three voters", (*bench).raft, true},
	{"demo", "three regions at their real distances", (*bench).demo, true},
	{"files", "one node: cached files", (*bench).files, true},
	{"upload", "one node: a huge upload", (*bench).upload, true},
	{"far", "a file at an edge far away", (*bench).far, true},
	{"cache", "which files an edge keeps", (*bench).cache, true},
	{"images", "thumbnails", (*bench).images, true},
	{"leader", "the leader killed ten times under load", (*bench).leader, true},
	{"edge", "edges killed under load", (*bench).edge, false},
	{"database", "PostgreSQL killed under load", (*bench).database, false},
	{"follower", "home nodes killed that do not lead, under load", (*bench).follower, false},
	{"frozen", "the leader stopped for seconds under load", (*bench).frozen, false},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx))
}

func run(ctx context.Context) int {
	program := flag.String("nearside", ".build/nearside", "the built program")
	earlier := flag.String("before", "", "the program as it was built from an earlier commit, to compare CPU times with")
	results := flag.String("results", "", "folder to keep the result in; empty keeps none")
	only := flag.String("only", "", "parts to run, separated by commas: "+strings.Join(names(func(part) bool { return true }), ", "))
	short := flag.Bool("short", false, "shorter loads: to try the bench, not to measure")
	folder := flag.String("serve-files", "", "be http.ServeFile for a folder: what the bench compares with")
	bareDir := flag.String("bare", "", "do the least that a post needs, in a folder: what the bench compares with")
	thumbnails := flag.Int("thumbnails", 0, "make so many thumbnails and say what that took: what the bench measures")
	flag.Parse()
	switch {
	case *folder != "":
		return exit(beServeFiles(ctx, *folder))
	case *bareDir != "":
		return exit(beBare(ctx, *bareDir))
	case *thumbnails != 0:
		return exit(beThumbnails(ctx, *thumbnails))
	}
	path, err := filepath.Abs(*program)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	before, noBefore := earlierProgram(*earlier)
	chosen := names(func(p part) bool { return p.byDefault })
	if *only != "" {
		chosen = strings.Split(*only, ",")
	}
	b := &bench{program: path, before: before, noBefore: noBefore, short: *short, report: &report{machine: world.Machine(ctx)}}
	fmt.Println(b.report.machine)
	for _, p := range parts {
		if !slices.Contains(chosen, p.name) || ctx.Err() != nil {
			continue
		}
		fmt.Printf("\n%s: %s\n", p.name, p.what)
		if err := p.run(b, ctx); err != nil {
			b.report.broken(p.name, err)
		}
	}
	if *results != "" && ctx.Err() == nil {
		if err := b.report.keep(*results); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return b.report.conclude()
}

// earlierProgram gives the path of the program to compare with, or why there is none.
func earlierProgram(path string) (abs, missing string) {
	if path == "" {
		return "", "-before names no program of an earlier commit"
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Sprintf("the program of the earlier commit is missing (%v)", err)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err.Error()
	}
	return abs, ""
}

// exit gives the exit code of a process that the bench starts.
func exit(err error) int {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func names(keep func(part) bool) (out []string) {
	for _, p := range parts {
		if keep(p) {
			out = append(out, p.name)
		}
	}
	return out
}
