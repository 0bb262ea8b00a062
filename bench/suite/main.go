// Command suite runs the steps of `make test`, or with -check those of `make check`, one after another,
// and ends with one line of totals. If a step fails, the later ones still run. Skipped tests are listed
// with their reasons. Every twenty seconds it says what a step is doing. The exit code is 1 if anything
// failed.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// patience is how long nothing is printed before it says what a step is doing.
const patience = 20 * time.Second

// step is one command. read reads its output and counts.
type step struct {
	name string
	args []string
	read func(*totals, io.Reader)
}

func main() {
	check := flag.Bool("check", false, "also run the linters and what else a change must pass")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var sum totals
	began := time.Now()
	for _, s := range steps(&sum, *check) {
		if ctx.Err() == nil {
			sum.run(ctx, s)
		}
	}
	if ctx.Err() != nil {
		sum.fail("the run was interrupted")
	}
	os.Exit(sum.print(time.Since(began)))
}

// atOnce is how many packages are tested at a time: more than there are cores on a small machine,
// because tests of several processes wait more than they compute.
const atOnce = "-p=4"

// codecs are foreign packages that work byte by byte and share no memory between goroutines. Under the race
// detector they are five to ten times slower; a race in our use of them is found in our code.
var codecs = []string{"compress/...", "hash/...", "image/...", "golang.org/x/image/...", "golang.org/x/crypto/argon2", "golang.org/x/crypto/blake2b"}

func steps(sum *totals, check bool) (all []step) {
	if check {
		for _, target := range []string{"format", "vet", "tidy", "deadcode", "vulnerabilities", "lint", "canaries"} {
			all = append(all, step{name: target, args: []string{"make", target}, read: (*totals).exitCodeOnly})
		}
	}
	race := []string{"-race"}
	for _, c := range codecs {
		race = append(race, "-gcflags="+c+"=-race=false")
	}
	if _, err := exec.LookPath(cc()); err != nil {
		race = nil
		sum.note("no C compiler: the tests ran without the race detector (apt-get install gcc)")
	}
	gotest := append([]string{"go", "test", "-json", "-timeout=10m", "-shuffle=on", atOnce}, race...)
	packages, err := packagesBut("/bench/chaos") // has a step of its own, with the machine to itself
	if err != nil {
		sum.fail("go list: " + err.Error())
	}
	compile := append([]string{"go", "build", "-v"}, race...)
	return append(all,
		step{name: "compile", args: append(compile, "./..."), read: (*totals).compiled},
		step{name: "go tests", args: append(gotest, packages...), read: (*totals).goTests},
		// Thousands of short days leave much garbage and little memory in use.
		step{name: "disks of voters", args: []string{"env", "GOGC=400", "SIM_SEEDS=2000", "go", "test", "-json", "-count=1", "-timeout=10m", "-run=TestSim_", "./region"}, read: (*totals).goTests},
		step{name: "storms", args: []string{"go", "test", "-json", "-count=1", "-timeout=10m", "./bench/chaos"}, read: (*totals).goTests},
		step{name: "driver test", args: []string{"node", "--test", "--test-reporter=tap", "cmd/nearside/e2e/driver.test.mjs"}, read: (*totals).tap},
	)
}

func packagesBut(suffix string) ([]string, error) {
	out, err := exec.Command("go", "list", "./...").Output()
	all := strings.Fields(string(out))
	return slices.DeleteFunc(all, func(p string) bool { return strings.HasSuffix(p, suffix) }), err
}

// cc names the C compiler that the race detector needs.
func cc() string {
	if name := os.Getenv("CC"); name != "" {
		return name
	}
	return "gcc"
}

// run runs a step and counts its tests. A step that fails without a failed test counts as one failure.
func (t *totals) run(ctx context.Context, s step) {
	began, failed, passed := time.Now(), len(t.failures), t.passed
	fmt.Printf("== %s\n", s.name)
	cmd := exec.CommandContext(ctx, s.args[0], s.args[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	read := make(chan struct{})
	go func() {
		defer close(read)
		s.read(t, r)
		io.Copy(io.Discard, r) // a reader that stops early must not block the command
	}()
	t.doing.Store("")
	stop := t.sayAtWork(began)
	err := cmd.Run()
	stop()
	w.Close()
	<-read
	switch {
	case err != nil && len(t.failures) == failed:
		t.fail(s.name + ": " + err.Error())
	case err == nil && len(t.failures) == failed && t.passed == passed:
		t.passed++ // a step that has no tests is one check
	}
	fmt.Printf("   %s\n", time.Since(began).Round(100*time.Millisecond))
}

// sayAtWork prints from time to time what the step is doing, until stop is called.
func (t *totals) sayAtWork(began time.Time) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		ticks := time.NewTicker(patience)
		defer ticks.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticks.C:
				fmt.Printf("   %4.0fs at work %s\n", time.Since(began).Seconds(), t.doing.Load())
			}
		}
	})
	return func() { close(done); wg.Wait() }
}
