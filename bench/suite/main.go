// Command suite runs what `make test` proves, step after step, and ends with one honest line
// of totals. A step that fails does not keep the later ones from running; anything that was
// skipped is listed with its reason. The exit code is 1 when anything failed.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// step is one part of the proof. read follows the command's output and counts.
type step struct {
	name    string
	args    []string
	read    func(*totals, io.Reader)
	mustErr bool // the command has to fail, or the step does
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var sum totals
	began := time.Now()
	for _, s := range steps(&sum) {
		if ctx.Err() == nil {
			sum.run(ctx, s)
		}
	}
	if ctx.Err() != nil {
		sum.fail("the run was interrupted")
	}
	os.Exit(sum.print(time.Since(began)))
}

func steps(sum *totals) []step {
	race := []string{"-race"}
	if _, err := exec.LookPath(cc()); err != nil {
		race = nil
		sum.note("no C compiler: the tests ran without the race detector (apt-get install gcc)")
	}
	gotest := append([]string{"go", "test", "-json", "-timeout=10m", "-shuffle=on"}, race...)
	packages, err := packagesBut("/bench/chaos") // has a step of its own, with the machine to itself
	if err != nil {
		sum.fail("go list: " + err.Error())
	}
	all := []step{
		{name: "format", args: []string{"sh", "-c", "gofmt -l $(git ls-files -co --exclude-standard '*.go')"}, read: (*totals).mustBeSilent},
		{name: "vet", args: []string{"go", "vet", "./..."}, read: (*totals).exitCodeOnly},
		{name: "go tests " + strings.Join(race, " "), args: append(gotest, packages...), read: (*totals).goTests},
		{name: "storms", args: []string{"go", "test", "-json", "-count=1", "-timeout=10m", "./bench/chaos"}, read: (*totals).goTests},
		{name: "driver test", args: []string{"node", "--test", "--test-reporter=tap", "cmd/nearside/e2e/driver.test.mjs"}, read: (*totals).tap},
	}
	if race != nil {
		all = append(all, step{
			name: "race detector finds a race that is there", args: []string{"go", "test", "-race", "-tags=racecanary", "-run=TestCanary", "./bench/suite"},
			read: (*totals).quiet, mustErr: true,
		})
	}
	return all
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

// run runs a step and counts what it says. A step that fails without having named a failed
// test counts as one failure itself.
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
	err := cmd.Run()
	w.Close()
	<-read
	if s.mustErr && err == nil {
		err = errors.New("it passed")
	} else if s.mustErr {
		err = nil
	}
	switch {
	case err != nil && len(t.failures) == failed:
		t.fail(s.name + ": " + err.Error())
	case err == nil && len(t.failures) == failed && t.passed == passed:
		t.passed++ // a step that has no tests is one check
	}
	fmt.Printf("   %s\n", time.Since(began).Round(100*time.Millisecond))
}
