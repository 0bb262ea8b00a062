package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/nearside/nearside/bench/world"
)

func main() {
	program := flag.String("nearside", ".build/nearside", "the built program")
	duration := flag.Duration("duration", time.Hour, "how long, in whole minutes")
	latency := flag.String("latency", "real", "of the demo: real, none, or a factor")
	results := flag.String("results", "", "folder to keep the result in; empty keeps none")
	keep := flag.String("journal", "", "file to write every acknowledged write and every kill to, for looking into a finding; empty writes none")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	path, err := filepath.Abs(*program)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	os.Exit(run(ctx, path, *latency, *results, *keep, max(1, int(duration.Minutes()))))
}

func run(ctx context.Context, program, latency, results, journal string, minutes int) int {
	fmt.Println(world.Machine(ctx))
	w, err := world.Demo(ctx, program, "--latency", latency, "--rate-limit=true")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("the demo is in", w.Data())
	e := &endurance{w: w, program: program, minutes: minutes, latency: latency}
	err = e.run(ctx)
	if err == nil {
		err = e.keepJournal(journal)
	}
	var page string
	failed := 0
	if err == nil {
		page, failed = e.report(world.Machine(ctx))
		fmt.Println("\n" + page)
	}
	if stopped := w.Stop(); err == nil {
		err = stopped
	}
	if err == nil && results != "" {
		file := filepath.Join(results, time.Now().Format("2006-01-02")+"-endure.md")
		if err = os.WriteFile(file, []byte(page), 0o644); err == nil {
			fmt.Println("kept in", file)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if failed > 0 {
		fmt.Printf("%d promises were broken\n", failed)
		return 1
	}
	return 0
}
